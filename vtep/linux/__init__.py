"""The kernel edge: neighbor messages as values, the socket that carries them, the links that they live on.

`socket.Kernel` is Linux, `memory.MemoryKernel` is a kernel in a dictionary; both answer to the same calls. What the rows
mean, whose they are and when to write them is known above.
"""
