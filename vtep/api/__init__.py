"""Whoever asks from outside, answered from what is published."""

import os

# gRPC's core would write to stderr by itself, and any stranger's failed handshake makes it. It looks here once, when it is
# imported; whoever wants to hear it sets the variable.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
