"""Netlink messages as octets: how each is written, and how each is read. Knows no socket."""
