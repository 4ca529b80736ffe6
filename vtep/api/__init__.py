"""What other programs may ask the daemon, over gRPC and HTTP. Answers come from what is published."""

import os

# The core of gRPC writes to stderr by itself, for example when the handshake of any client fails. It reads this variable
# once, when it is imported; set the variable to see its messages.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
