"""A station of this leaf: one MAC of one VNI behind an access port, with its host addresses.

This module has values only. It does not know how a bridge learns, which routes there are, or what is advertised.
"""

from typing import Final

from msgspec import Struct

from vtep.addr import Ip, Mac, Vni

SEQ_MAX: Final = 0xFFFF_FFFF
"""The highest sequence number of the MAC mobility community (RFC 7432 7.7)."""


class Station(Struct, frozen=True, gc=False):
    """A MAC behind an access port of a VNI's bridge."""

    vni: Vni
    mac: Mac
    port: str
    """The name of the port, for people. A station that changes its port has not moved in the sense of EVPN."""
    static: bool = False
    """True for an entry that an operator made: it must not move (RFC 7432 15.2)."""
    gateway: bool = False
    """True for the bridge itself, which is the gateway of the other stations."""
    hosts: frozenset[Ip] = frozenset()
    synced: bool = False
    """True if its row is that of a MAC which another VTEP of our segment has seen as well, or has seen once (RFC 9721 4)."""

    @property
    def key(self) -> tuple[Vni, Mac]:
        return (self.vni, self.mac)

    @property
    def fixed(self) -> bool:
        """True if it has no sequence number: no route can take its MAC while it is in the bridge."""
        return self.static or self.gateway


class LocalClaim(Struct, frozen=True, gc=False):
    """A station of ours with its sequence number, which decides how well it competes with routes."""

    station: Station
    seq: int = 0
    """The sequence number with which it is advertised."""
    lost: bool = False
    """True if a better route came after the bridge learned it. It counts again after the bridge learns it again."""
