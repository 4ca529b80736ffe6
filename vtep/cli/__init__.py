"""The commands that ask a running daemon over gRPC, and show the answer to a person or to a script.

Knows the messages of the API and the terminal. Does not know how the daemon finds its answers: every sentence about a
row comes from the daemon.
"""
