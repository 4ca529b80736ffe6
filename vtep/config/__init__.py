"""The configuration: from TOML to values, and every problem with its place."""
