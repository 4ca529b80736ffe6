"""What routes say of MACs, as values that many MACs share.

A peer advertises thousands of MACs with the same attributes, RD, tag, label and segment. Everything that such routes share is
one `Path`. All that is said of one MAC is one `Offers`: the paths of its routes. MACs of which the routes say the same have
the same `Offers` object, so the projection judges it once for all of them.

A route with a host address has a path of its own, because the address belongs to the MAC. So has its `Offers`.
"""

from typing import Any

from msgspec import Struct

from vtep.addr import NO_SEGMENT, Esi, Ip, RouteDistinguisher
from vtep.evpn.attributes import Attributes


class Path(Struct, frozen=True, eq=False, gc=False):
    """A Type-2 route without its MAC. Two paths with the same values are two paths."""

    peer: Ip
    attributes: Attributes
    rd: RouteDistinguisher
    tag: int
    label: int
    ip: Ip | None = None
    esi: Esi = NO_SEGMENT
    label2: int | None = None
    stale: bool = False
    """The route is from a session that has ended, or it is about to be removed."""


class Offers:
    """All that is said of a MAC."""

    __slots__ = ("judged", "paths")

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self.paths = paths
        self.judged: Any = None
        """What the projection concluded from the paths, with what that depends on beside them."""
