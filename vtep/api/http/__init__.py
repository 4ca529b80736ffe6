"""What may be read, over HTTP: metrics, probes, and the status page."""
