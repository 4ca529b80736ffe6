"""Containers that know nothing of networks: tables, queues, the latest value, batches, histograms."""
