"""A kernel in memory: one module for each table, and one in front of them."""
