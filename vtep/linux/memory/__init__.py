"""A kernel in memory that answers as Linux does, quirks included."""
