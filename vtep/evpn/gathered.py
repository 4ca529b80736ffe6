"""The routes of one announcement, and the keys of one withdrawal, where those that say the same of many MACs or prefixes are one group.

A peer packs thousands of MACs with the same octets around them: the same RD, segment, tag, labels and attributes. Such routes
are not made one by one. Their octets around the MAC are decoded once (`Alike`), and each of them costs one entry in its group.
So are the Type-5 routes of many prefixes (`prefix.Alike`). The RIB takes the groups as they are. For other readers it is a mapping from
keys to routes, which are made when a reader asks.

A withdrawal names keys alone, so its groups are the MACs under one name.

An announcement replaces what was said before, so the order counts: what a later group says of a MAC or of a prefix under the same
name holds.
This module does not know which routes there are already.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from vtep.addr import Ip, Mac
from vtep.evpn import prefix
from vtep.evpn.attributes import Attributes
from vtep.evpn.event import RouteKey
from vtep.evpn.mac_ip import MacIp, is_of_mac_alone, unpack
from vtep.evpn.nlri import Route, nlri_key, unpack_nlri
from vtep.evpn.offers import Alike, PathName, is_key_of_mac_alone, joined_key, split_key
from vtep.evpn.prefix import IpPrefix, path_id_of_key

_MAC_AT: Final = 25
_MAC_END: Final = 31
_PREFIX: Final = bytes((prefix.CODE,))


class Gathered(Mapping[RouteKey, Route]):
    """Routes of one peer, in groups where they say the same of MACs alone."""

    def __init__(self, peer: Ip, routes: Iterable[tuple[RouteKey, Route]] = ()) -> None:
        self._peer = peer
        self.groups: list[Alike] = []
        """The later one counts where two have the same name."""
        self.prefixes: list[prefix.Alike] = []
        """The later one counts where two have a key in common."""
        self.others: dict[RouteKey, Route] = {}
        """Every route that is in no group."""
        self._latest: dict[PathName, Alike] = {}
        self._by_octets: dict[tuple[bytes, bytes, bytes, int], Alike] = {}
        self._latest_prefixes: dict[bytes, prefix.Alike] = {}
        """By the RD, the tag and the path identifier, which two routes with one key have in common."""
        self._prefixes_by_octets: dict[tuple[bytes, bytes, bytes, int], prefix.Alike] = {}
        self._all: dict[RouteKey, Route] | None = None
        for key, route in routes:
            if isinstance(route, MacIp) and route.ip is None:
                self._group(key, route).macs[route.mac] = None
            elif isinstance(route, IpPrefix):
                self._group_of_prefixes(key[1:13] + path_id_of_key(key), route).keys[key] = None
            else:
                self.others[key] = route

    def add(self, nlri: bytes, attributes: Attributes, path_id: bytes = b"") -> None:
        """Add a route from its octets. Raises RouteError if no route of ours can represent it."""
        if nlri[:1] == _PREFIX:
            self._add_prefix(nlri, attributes, path_id)
            return
        if not is_of_mac_alone(nlri):
            key, route = unpack_nlri(nlri, self._peer, attributes)
            self.others[key + path_id] = route
            return
        around = (nlri[:_MAC_AT], nlri[_MAC_END:], path_id, id(attributes))
        group = self._by_octets.get(around)
        if group is None or self._latest[group.name] is not group:
            key, route = unpack(nlri, self._peer, attributes)
            group = self._by_octets[around] = self._group(key + path_id, route)
        group.macs[Mac(nlri[_MAC_AT:_MAC_END])] = None

    def _add_prefix(self, nlri: bytes, attributes: Attributes, path_id: bytes) -> None:
        """Add a Type-5 route. One of which the octets around the prefix are known costs an entry in its group."""
        before, behind, end = prefix.shape(nlri)
        around = (before, behind, path_id, id(attributes))
        group = self._prefixes_by_octets.get(around)
        name = before[2:10] + before[20:24] + path_id
        if group is None or self._latest_prefixes[name] is not group:
            _, route = prefix.unpack(nlri, self._peer, attributes)
            group = self._prefixes_by_octets[around] = self._group_of_prefixes(name, route)
        group.keys[prefix.key_to(nlri, end) + path_id] = None

    def add_run(self, nlri: bytes, octets: bytes, at: int, end: int) -> int:
        """Add the Type-5 routes that begin here and differ from the one just added in the prefix alone; return where they end.

        An UPDATE has hundreds of them, so this costs a comparison and a key for each. What is not quite like it is left to `add`.
        """
        size, (before, behind, prefix_end) = len(nlri), prefix.shape(nlri)
        keys = self._latest_prefixes[before[2:10] + before[20:24]].keys
        start, bits = b"\x05" + before[2:10] + before[20:24], 8 * (prefix_end - 25)
        while (
            at + size <= end
            and octets[at : at + 24] == before
            and octets[at + prefix_end : at + size] == behind
            and octets[at + 24] <= bits
        ):
            keys[start + octets[at + 24 : at + prefix_end]] = None
            at += size
        return at

    def _group_of_prefixes(self, name: bytes, route: IpPrefix) -> prefix.Alike:
        """Return the group to which a Type-5 route belongs: the latest of its name, if that says the same, or a new one."""
        group = self._latest_prefixes.get(name)
        if group is None or not prefix.says_the_same(group.value, route):
            group = self._latest_prefixes[name] = prefix.Alike(prefix.shared(route), {})
            self.prefixes.append(group)
        return group

    def _group(self, key: RouteKey, route: MacIp) -> Alike:
        """Return the group to which a route belongs that says something of a MAC alone."""
        name, _ = split_key(key)
        group = self._latest.get(name)
        if group is None or not group.says(route):
            group = self._latest[name] = Alike.of(name, route)
            self.groups.append(group)
        return group

    def __bool__(self) -> bool:
        return bool(self.groups or self.prefixes or self.others)

    def __len__(self) -> int:
        macs: dict[PathName, set[Mac]] = {}
        for group in self.groups:
            macs.setdefault(group.name, set()).update(group.macs)
        prefixes = {key for alike in self.prefixes for key in alike.keys}
        return sum(map(len, macs.values())) + len(prefixes) + len(self.others)

    def __iter__(self) -> Iterator[RouteKey]:
        return iter(self._routes())

    def __getitem__(self, key: RouteKey) -> Route:
        return self._routes()[key]

    def _routes(self) -> dict[RouteKey, Route]:
        if self._all is None:
            found = {group.key(mac): group.route(self._peer, mac) for group in self.groups for mac in group.macs}
            prefixes = {key: prefix.whole(key, alike.value) for alike in self.prefixes for key in alike.keys}
            self._all = found | prefixes | self.others
        return self._all


class WithdrawnKeys(Collection[RouteKey]):
    """The keys of routes that a peer withdraws, each once, those of MACs alone in groups."""

    def __init__(self, keys: Iterable[RouteKey] = ()) -> None:
        self.groups: dict[PathName, dict[Mac, None]] = {}
        self.others: dict[RouteKey, None] = {}
        """Every key that is in no group."""
        self._by_octets: dict[bytes, dict[Mac, None]] = {}
        for key in keys:
            if is_key_of_mac_alone(key):
                self._group(key)[Mac(split_key(key)[1])] = None
            else:
                self.others[key] = None

    def add(self, nlri: bytes, path_id: bytes = b"") -> None:
        """Add the key of an NLRI from its octets. Raises RouteError if no route of ours can have it."""
        if not is_of_mac_alone(nlri):
            self.others[nlri_key(nlri) + path_id] = None
            return
        around = nlri[:_MAC_AT] + path_id
        if (group := self._by_octets.get(around)) is None:
            group = self._by_octets[around] = self._group(nlri_key(nlri) + path_id)
        group[Mac(nlri[_MAC_AT:_MAC_END])] = None

    def _group(self, key: RouteKey) -> dict[Mac, None]:
        return self.groups.setdefault(split_key(key)[0], {})

    def __len__(self) -> int:
        return sum(map(len, self.groups.values())) + len(self.others)

    def __iter__(self) -> Iterator[RouteKey]:
        yield from (joined_key(name, mac) for name, macs in self.groups.items() for mac in macs)
        yield from self.others

    def __contains__(self, key: object) -> bool:
        return any(key == one for one in self)

    def __eq__(self, other: object) -> bool:
        """Compare which keys there are with those of any other collection."""
        return isinstance(other, Collection) and set(self) == set(other)

    __hash__ = None  # type: ignore[assignment]
