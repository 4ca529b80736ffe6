"""What routes say of MACs, as values that many MACs share.

A peer advertises thousands of MACs with the same attributes, RD, tag, label and segment. Everything that such routes share is
one `Path`. All that is said of one MAC is one `Offers`: the paths of its routes. MACs of which the routes say the same have
the same `Offers` object, so the projection judges it once for all of them.

A host address belongs to one MAC, so a shared path does not have it. It has the position of the address among those of the MAC
(`address_at`), which puts paths in the same order as the addresses would. A MAC with very many routes has an `Offers` of its own.
"""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct

from vtep.addr import NO_SEGMENT, Esi, Ip, RouteDistinguisher
from vtep.evpn.attributes import Attributes
from vtep.evpn.mac_ip import MacIp


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


def address_at(position: int) -> Ip:
    """Return what stands for the host address at this position, the lowest address being at 0."""
    return Ip(position.to_bytes(4))


class Offers:
    """All that is said of a MAC."""

    __slots__ = ("judged", "paths")

    def __init__(self, paths: tuple[Path | MacIp, ...]) -> None:
        self.paths = paths
        """A route that belongs to one MAC alone stands for its path."""
        self.judged: Any = None
        """What the projection concluded from the paths, with what that depends on beside them."""


FEW: Final = 8
"""Of so few paths, each is judged by itself."""


class Kinds:
    """Paths of one MAC, of which those that differ only in RD, host address and peer are one kind.

    The rules do not look at these three, except to name one path that stands for its location. So a kind is judged once, by the
    path that comes first in that order, and a MAC with 10,000 host addresses takes as many steps of judgement as one with ten.
    """

    __slots__ = ("firsts", "others")

    def __init__(self, paths: Iterable[Path | MacIp]) -> None:
        found = list(paths)
        self.firsts: list[Path | MacIp] = found
        self.others: dict[int, list[Path | MacIp]] = {}
        """By the identity of the first path: the others of its kind."""
        if len(found) <= FEW:
            return
        kinds: dict[tuple[object, ...], list[Path | MacIp]] = {}
        for path in found:
            kinds.setdefault((id(path.attributes), path.label, path.tag, path.esi, path.stale), []).append(path)
        self.firsts = []
        for alike in kinds.values():
            lowest = min([path.rd for path in alike])
            first = min(
                (path for path in alike if path.rd == lowest), key=lambda path: (path.ip or b"", path.peer.order)
            )
            self.firsts.append(first)
            if len(alike) > 1:
                self.others[id(first)] = [path for path in alike if path is not first]
