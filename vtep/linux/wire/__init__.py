"""Netlink messages: how each is packed, and how each is read."""
