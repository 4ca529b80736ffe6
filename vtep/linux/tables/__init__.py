"""The tables of the kernel that are written: one module for each kind of row, with all that is known of it."""
