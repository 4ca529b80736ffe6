"""The kernel's tables that we write: one module for each, with all that is known of its rows."""
