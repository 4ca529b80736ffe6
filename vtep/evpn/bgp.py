"""Numbers of BGP that more than one reader of octets needs. Imports nothing, because code inside ExaBGP's process reads it too."""

from typing import Final

MARKER: Final = b"\xff" * 16
HEADER: Final = 19
"""Octets of the head of a message: marker, length, type (RFC 4271 4.1)."""
OPEN: Final = 1
UPDATE: Final = 2
NOTIFICATION: Final = 3
SMALLEST_UPDATE: Final = HEADER + 4
"""Octets of an UPDATE with two lengths of zero, which is the End-of-RIB of IPv4 (RFC 4271 4.3, RFC 4724 2)."""

EVPN: Final = b"\x00\x19\x46"
"""AFI 25 and SAFI 70 (RFC 7432 7)."""
