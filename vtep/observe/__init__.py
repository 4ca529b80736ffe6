"""What everyone may read: values that are published, never state that is shared."""
