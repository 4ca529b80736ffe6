"""The daemon: its tasks, what joins them, and the commands that need no running daemon."""
