"""What was heard on this leaf's own ports: one MAC of one VNI, with its host addresses.

Values only. Does not know how a bridge learns, which routes there are, or what is announced.
"""

from typing import Final

from msgspec import Struct

from vtep.addr import Ip, Mac, Vni

SEQ_MAX: Final = 0xFFFF_FFFF
"""Of the MAC mobility community (RFC 7432 7.7)."""


class Station(Struct, frozen=True, gc=False):
    """A MAC behind an access port of a VNI's bridge."""

    vni: Vni
    mac: Mac
    port: str
    """The port's name, for people: a change of it is no move for EVPN."""
    static: bool = False
    """An operator's entry: it may not move (RFC 7432 15.2)."""
    gateway: bool = False
    """The bridge itself, which routes for the others."""
    hosts: frozenset[Ip] = frozenset()

    @property
    def key(self) -> tuple[Vni, Mac]:
        return (self.vni, self.mac)

    @property
    def fixed(self) -> bool:
        """It has no sequence and is at its place for as long as it is there, whoever else says otherwise."""
        return self.static or self.gateway


class LocalClaim(Struct, frozen=True, gc=False):
    """A station that is here, and how strong our claim to it is."""

    station: Station
    seq: int = 0
    """What it is announced with, while it is."""
    lost: bool = False
    """A better route came after it was heard: only being heard again brings it back."""
