"""What asks a running daemon, over gRPC, and shows a person or a script what it said.

Knows the API's messages and the terminal. Does not know how the daemon comes to its answers: every sentence about a row
is the daemon's own.
"""
