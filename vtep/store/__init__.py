"""Containers that know nothing of networks: tables, sharded dictionaries, the latest value, batches,
histograms, and a journal on disk."""
