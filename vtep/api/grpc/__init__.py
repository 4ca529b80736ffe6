"""What may be read and requested, over gRPC."""
