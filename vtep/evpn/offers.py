"""What routes say of MACs, as values that many MACs share.

    Epoch    the routes of a peer that become suspect, become stale and leave together
    Path     a Type-2 route without its MAC: the attributes, RD, tag, label, segment and epoch that thousands of routes share
    Offers   all that is said of one MAC: the paths of its routes

MACs of which the routes say the same have the same `Offers` object, so what changes is changed, and judged, once for all of
them. A path points to its epoch. So a lost session makes a million routes stale by one value, and no route is touched.

    fresh ──(refresh begins)──> suspect ──(refresh ends)──> leaving ──(swept, part by part)──> gone
      └────────(session lost)──────┴────> stale ──(deadline)───┘

Two epochs with the same fate become one: the newer one points into the older.

A host address belongs to one MAC, so a shared path does not have it. It has the position of the address among those of the MAC
(`address_at`), which puts paths in the same order as the addresses would. A MAC with many routes has `OwnOffers`, which change in
place, and whose paths have the addresses themselves. Of these, the ones that differ in RD and host address only are one kind,
which is judged once, so a MAC with 10,000 host addresses takes as many steps of judgement as one with ten.

This module does not know which MACs there are (`index`), and it does not know which path is better.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec import Struct

from vtep.addr import Esi, Ip, Mac, RouteDistinguisher
from vtep.evpn.attributes import Attributes
from vtep.evpn.crowd import Kinds
from vtep.evpn.event import RouteKey
from vtep.evpn.mac_ip import CODE as MAC_IP
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.nlri import Route
from vtep.store.ranked import Ranked
from vtep.store.sharded import ShardedDict


class Epoch:
    """Routes of one peer with the same fate. Only `Rib` decides it."""

    __slots__ = ("_into", "counts", "leaving", "routes", "stale")

    def __init__(self) -> None:
        self.routes: ShardedDict[RouteKey, Route] = ShardedDict()
        """Those that belong to no group of MACs: every type but Type-2 without a host address."""
        self.counts: Counter[type[Route]] = Counter()
        """How many routes there are of each type, with those that only the MACs' paths name."""
        self.stale = False
        """They are from a session that has ended, or they are leaving."""
        self.leaving = False
        self._into: Epoch | None = None

    def __len__(self) -> int:
        return self.counts.total()

    @property
    def now(self) -> "Epoch":
        """The epoch that this one is part of: itself, unless it was merged."""
        epoch = self
        while epoch._into is not None:
            epoch = epoch._into
        return epoch


def merged(older: Epoch, newer: Epoch) -> Epoch:
    """Return both as one; a route is in only one of them. It costs nothing if one of them is empty, as it usually is."""
    if not older:
        return newer
    if newer:
        for part, more in zip(older.routes.shards, newer.routes.shards, strict=True):
            part.update(more)
        older.counts += newer.counts
        newer.counts, newer.routes = Counter(), ShardedDict()
        newer._into = older
    return older


PathName: TypeAlias = bytes
"""The key of a Type-2 route without its MAC and its host address: the RD, the tag, the lengths, and a path identifier."""
_MAC_AT: Final = 14
_IP_LENGTH_AT: Final = 20
_IP_AT: Final = 21


def split_key(key: RouteKey) -> tuple[PathName, bytes]:
    """Return the name of the path, and the octets of the MAC, of a Type-2 route without a host address.

     0      1    9     13   14    20     21
    +------+----+-----+----+-----+------+-----------------+
    | 0x02 | RD | tag | 48 | MAC | bits | path identifier |     the name is everything but the MAC
    +------+----+-----+----+-----+------+-----------------+
    """
    return key[:_MAC_AT] + key[_IP_LENGTH_AT:], key[_MAC_AT:_IP_LENGTH_AT]


def joined_key(name: PathName, mac: bytes) -> RouteKey:
    """Return the key of the route of this name about a MAC without a host address."""
    return name[:_MAC_AT] + mac + name[_MAC_AT:]


def host_path_name(key: RouteKey) -> PathName:
    """Return the name of the path of a Type-2 route with a host address."""
    return key[:_MAC_AT] + key[_IP_LENGTH_AT:_IP_AT] + key[_IP_AT + key[_IP_LENGTH_AT] // 8 :]


def is_key_of_mac_alone(key: RouteKey) -> bool:
    """Return whether this is the key of a Type-2 route without a host address."""
    return key[0] == MAC_IP and key[_IP_LENGTH_AT] == 0


class Path(Struct, frozen=True, eq=False, gc=False):
    """A Type-2 route without its MAC. Two paths with the same values are two paths.

    A field means what it means in `MacIp`, except for these three.
    """

    peer: Ip
    attributes: Attributes
    rd: RouteDistinguisher
    tag: int
    label: int
    ip: Ip | None
    """None in a route about a MAC alone. In a shared path, the position of the host address (`address_at`)."""
    esi: Esi
    label2: int | None
    name: PathName
    """With the MAC and the host address it makes the key of the route, so it tells apart a peer's paths for them."""
    epoch: Epoch
    """Read it by `epoch.now`, because it may have become a part of another one."""

    @property
    def stale(self) -> bool:
        """The route is from a session that has ended, or it is leaving."""
        return self.epoch.now.stale

    def of(self, mac: Mac, ip: Ip | None) -> MacIp:
        """Return the route that says this of a MAC and a host address of it."""
        return MacIp(self.peer, self.attributes, self.rd, self.tag, mac, self.label, ip, self.esi, self.label2)

    def key(self, mac: Mac) -> RouteKey:
        """Return the key of the route that says this of a MAC without a host address."""
        return joined_key(self.name, mac)

    def says(self, other: "Path") -> bool:
        """Return whether another path of the same name says the same; the epoch may be another one."""
        return self.stale == other.stale and self.repeats(other)

    def repeats(self, other: "Path") -> bool:
        """Return whether another path of the same name has the same content, whatever became of its session."""
        return (
            self.label == other.label
            and self.esi == other.esi
            and self.label2 == other.label2
            and self.attributes == other.attributes
        )


class Alike(Struct, frozen=True, eq=False):
    """Type-2 routes without a host address that say the same of several MACs."""

    name: PathName
    attributes: Attributes
    rd: RouteDistinguisher
    tag: int
    label: int
    esi: Esi
    label2: int | None
    macs: dict[Mac, None]

    @classmethod
    def of(cls, name: PathName, route: MacIp) -> "Alike":
        """Return a group that says what this route says, of no MAC yet."""
        return cls(name, route.attributes, route.rd, route.tag, route.label, route.esi, route.label2, {})

    def says(self, route: MacIp) -> bool:
        """Return whether a route of the same name says the same; two attributes that are not one object are different."""
        return (
            self.attributes is route.attributes
            and self.label == route.label
            and self.esi == route.esi
            and self.label2 == route.label2
        )

    def key(self, mac: Mac) -> RouteKey:
        return joined_key(self.name, mac)

    def route(self, peer: Ip, mac: Mac) -> MacIp:
        return MacIp(peer, self.attributes, self.rd, self.tag, mac, self.label, None, self.esi, self.label2)


def path_of(route: MacIp, name: PathName, epoch: Epoch) -> Path:
    """Return what a route says of its MAC, with its host address."""
    return Path(
        route.peer, route.attributes, route.rd, route.tag, route.label, route.ip, route.esi, route.label2, name, epoch
    )


def address_at(position: int) -> Ip:
    """Return what stands for the host address at this position, the lowest address being at 0."""
    return Ip(position.to_bytes(4))


class Offers:
    """All that is said of a MAC. It never changes, because MACs share it."""

    __slots__ = ("_paths", "judged")

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._paths = paths
        self.judged: Any = None
        """What the projection concluded from the paths, with what that depends on beside them."""

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def paths(self) -> tuple[Path, ...]:
        return self._paths

    @property
    def firsts(self) -> Sequence[Path]:
        """The first path of each kind. Here, each path is a kind of its own."""
        return self._paths

    @property
    def kinds(self) -> Mapping[int, Ranked[Path]]:
        """The kinds that have more than one path, by the identity of the first one."""
        return {}

    @property
    def epochs(self) -> set[Epoch]:
        return {path.epoch.now for path in self._paths}

    def find(self, peer: Ip, name: PathName, ip: Ip | None = None) -> Path | None:
        """Return the path of this name, with this address or what stands for it."""
        for path in self._paths:
            if path.name == name and path.peer == peer and path.ip == ip:
                return path
        return None

    def count_of_peer(self, peer: Ip) -> int:
        """Return how many paths of a peer there are that are not leaving."""
        return sum(path.peer == peer and not path.epoch.now.leaving for path in self._paths)


class OwnOffers(Offers):
    """All that is said of one MAC with many routes. A route comes or goes in one step, however many there are."""

    __slots__ = ("_by_name", "_counts", "_is_listed", "_kinds")

    def __init__(self, paths: Iterable[Path]) -> None:
        super().__init__(())
        self._by_name: dict[tuple[Ip, PathName, Ip | None], Path] = {}
        self._counts: Counter[tuple[Ip, Epoch]] = Counter()
        self._kinds = Kinds(_kind, _rank)
        self._is_listed = False
        for path in paths:
            self.replace(None, path)

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths, the oldest first. The tuple is kept until the next change."""
        if not self._is_listed:
            self._paths, self._is_listed = tuple(self._by_name.values()), True
        return self._paths

    @property
    def firsts(self) -> Sequence[Path]:
        return [kind.first for kind in self._kinds]

    @property
    def kinds(self) -> Mapping[int, Ranked[Path]]:
        return {id(kind.first): kind for kind in self._kinds if len(kind) > 1}

    @property
    def epochs(self) -> set[Epoch]:
        return {epoch.now for _, epoch in self._counts}

    def find(self, peer: Ip, name: PathName, ip: Ip | None = None) -> Path | None:
        return self._by_name.get((peer, name, ip))

    def count_of_peer(self, peer: Ip) -> int:
        return sum(count for (one, epoch), count in self._counts.items() if one == peer and not epoch.now.leaving)

    def replace(self, old: Path | None, new: Path | None) -> None:
        """Replace a path by another; None stands for no path."""
        self.judged, self._is_listed = None, False
        self._kinds.replace(old, new)
        if old is not None:
            del self._by_name[old.peer, old.name, old.ip]
            self._counts[old.peer, old.epoch] -= 1
            if not self._counts[old.peer, old.epoch]:
                del self._counts[old.peer, old.epoch]
        if new is not None:
            self._by_name[new.peer, new.name, new.ip] = new
            self._counts[new.peer, new.epoch] += 1


def _kind(path: Path) -> tuple[object, ...]:
    """Return what the rules look at. An epoch is of one peer, and all of it is stale or none."""
    return (id(path.attributes), path.label, path.tag, path.esi, path.epoch)


def _rank(path: Path) -> tuple[bytes, bytes, PathName]:
    """Sort the paths of one kind as `winner.route_order` does."""
    return (path.rd, path.ip or b"", path.name)
