"""All that is said of each MAC: one table, which many MACs share values of, and which groups of MACs change together.

    MAC  ──> Offers, a tuple of paths, the same object for all MACs of which the same is said
    MAC  ──> its host addresses in order, whose positions the paths have in their place

    replace: MACs of one Offers, a path less and a path more ──> one new Offers for all of them
    change_host: one MAC, because an address belongs to one

    MAC    peer 1 says        peer 2 says        its value
    A      behind 10.0.0.1                       Offers X: one path
    B      behind 10.0.0.1                       Offers X, the same object
    C      behind 10.0.0.1    behind 10.0.0.1    Offers Y: two paths

If peer 2 says the same of B, B takes Offers Y, which is there already. A million MACs that never moved, in one VNI and
behind ten VTEPs, need ten such values.

A path, and all that is said, are looked up by what they say, so that MACs share them. Peers choose how many there are, so only
the latest are remembered, and none with long attributes, of which 8,192 would take 300 MB. One that is forgotten is made again:
it is then another object, and MACs share it from then on.

With more than `SHARED_MAX` routes a MAC has `OwnOffers`, and it shares again with half as many. This module knows nothing about
peers' sessions, marks no change, and does not know which path is better.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any, Final, cast

from vtep.addr import Ip, Mac
from vtep.evpn.crowd import MOST
from vtep.evpn.event import RouteKey
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.offers import Alike, Epoch, Offers, OwnOffers, Path, PathName, address_at, path_of
from vtep.store.sharded import ShardedDict

SHARED_MAX: Final = 16
"""A MAC with more routes shares what is said of it with no other, until it has half as many."""

REMEMBERED_MAX: Final = 8192
"""How many paths, and how many different things that are said of MACs, are remembered so that MACs share them. Peers choose how
many there are. One that is forgotten is made again, and is then shared with those that come later."""


class Said:
    """The table of MACs. `Index` changes it."""

    def __init__(self) -> None:
        self._macs: ShardedDict[Mac, Offers] = ShardedDict()
        self._addresses: ShardedDict[Mac, tuple[Ip, ...]] = ShardedDict()
        """The host addresses of each MAC whose paths have their positions."""
        self._paths: dict[tuple[object, ...], Path] = {}
        """By what they say. Attributes and epochs are in it by their identity, which stays theirs while the path has them."""
        self._offers: dict[tuple[Path, ...], Offers] = {}
        self._judged: deque[Offers] = deque()
        """The offers beside which something is kept that was concluded from them, the oldest first."""
        self.made = 0
        """How many different things were said of MACs so far; each is judged once."""
        self.many: set[Mac] = set()
        """The MACs that have at least `many_from` routes, so that those of a peer must be counted before it gets another."""
        self.many_from = MOST

    @property
    def macs(self) -> ShardedDict[Mac, Offers]:
        """All that is said of each MAC. To be read only."""
        return self._macs

    def offers_of(self, macs: Collection[Mac]) -> list[Offers | None]:
        """Return all that is said of each MAC; MACs of which the same is said have the same `Offers`."""
        return self._macs.of(macs)

    def addresses_of(self, macs: Collection[Mac]) -> list[tuple[Ip, ...] | None]:
        """Return the host addresses whose positions the paths of each MAC have, in order."""
        return self._addresses.of(macs) if self._addresses else [None] * len(macs)

    def ips_of(self, mac: Mac) -> Iterable[Ip]:
        ips: Iterable[Ip] | None = self._addresses.get(mac)
        if ips is None and isinstance(said := self._macs.get(mac), OwnOffers):
            ips = {path.ip for path in said.paths if path.ip is not None}
        return ips or ()

    def paths_of(self, mac: Mac, said: Offers) -> list[Path]:
        """Return all that is said of a MAC, with the host addresses themselves."""
        ips = self._addresses.get(mac)
        if ips is None:
            return list(said.paths)
        return [path if path.ip is None else _with(path, ips[int.from_bytes(path.ip)]) for path in said.paths]

    def routes_of(self, mac: Mac) -> tuple[MacIp, ...]:
        """Return the routes of a MAC, made again from what they say."""
        said = self._macs.get(mac)
        return () if said is None else tuple(path.of(mac, path.ip) for path in self.paths_of(mac, said))

    def grouped(self, macs: Collection[Mac]) -> Collection[tuple[Offers | None, list[Mac]]]:
        """Return the MACs in groups of which the same is said."""
        if len(macs) == 1:
            (mac,) = macs
            return ((self._macs.get(mac), [mac]),)
        groups: dict[int, tuple[Offers | None, list[Mac]]] = {}
        for mac, said in zip(macs, self._macs.of(macs), strict=True):
            group = groups.get(id(said))
            if group is None:
                groups[id(said)] = (said, [mac])
            else:
                group[1].append(mac)
        return groups.values()

    def count_of_peer(self, mac: Mac, peer: Ip) -> int:
        """Return how many routes of this MAC a peer has, without those that are leaving."""
        said = self._macs.get(mac)
        return 0 if said is None else said.count_of_peer(peer)

    def keys(self, peer: Ip, part: int) -> Iterator[RouteKey]:
        """Yield the keys of what a peer says of MACs alone, of one of the `SHARDS` parts of all MACs."""
        for mac, said in self._macs.shards[part].items():
            for path in said.paths:
                if path.peer == peer and path.ip is None and not path.epoch.now.leaving:
                    yield path.key(mac)

    def remember(self, offers: Offers, judged: object) -> None:
        """Keep what was concluded from offers beside them, and forget the oldest: it takes more memory than the offers."""
        if _are_long(offers.firsts):
            return
        offers.judged = judged
        self._judged.append(offers)
        if len(self._judged) > REMEMBERED_MAX:
            self._judged.popleft().judged = None

    def path(
        self,
        epoch: Epoch,
        peer: Ip,
        name: PathName,
        route: MacIp | Path | Alike,
        ip: Ip | None = None,
    ) -> Path:
        """Return the path that routes share which say the same."""
        said = (id(epoch), name, ip, id(route.attributes), route.label, route.esi, route.label2)
        found = self._paths.get(said)
        if found is None:
            found = Path(
                peer, route.attributes, route.rd, route.tag, route.label, ip, route.esi, route.label2, name, epoch
            )
            if not route.attributes.is_long:
                _forget_oldest(self._paths)
                self._paths[said] = found
        return found

    def replace(self, macs: list[Mac], said: Offers | None, old: Path | None, new: Path | None) -> None:
        """Replace a path without a host address by another, for MACs of which the same is said; None stands for no path."""
        if isinstance(said, OwnOffers):
            said.replace(old, new)
            for mac in macs:
                self._take_own(mac, said)
        else:
            self._replace_shared(macs, said, old, new)

    def _replace_shared(self, macs: list[Mac], said: Offers | None, old: Path | None, new: Path | None) -> None:
        paths = (
            () if said is None else said.paths if old is None else tuple([one for one in said.paths if one is not old])
        )
        if new is not None:
            paths = (*paths, new)
        if len(paths) > SHARED_MAX:
            for mac in macs:
                self._say(mac, [*self.paths_of(mac, said or _NOTHING), *paths[-1:]])
        elif not paths:
            for shard, mac in zip(self._macs.shards_of(macs), macs, strict=True):
                shard.pop(mac, None)
        else:
            after = self._shared(paths)
            if len(macs) == 1:
                self._macs[macs[0]] = after
            else:
                for shard, mac in zip(self._macs.shards_of(macs), macs, strict=True):
                    shard[mac] = after
        if self.many or len(paths) >= self.many_from:
            self._note_counts(macs)

    def change_host(
        self, mac: Mac, ip: Ip, name: PathName, old: MacIp | None, new: MacIp | None, epoch: Epoch | None
    ) -> None:
        """Replace a path with a host address among all that is said of the MAC."""
        said, peer = self._macs.get(mac), cast("MacIp", old or new).peer
        ips = self._addresses.get(mac, ())
        at = bisect_left(ips, ip)
        is_known = ips[at : at + 1] == (ip,)
        if isinstance(said, OwnOffers):
            said.replace(said.find(peer, name, ip), None if new is None else path_of(new, name, cast("Epoch", epoch)))
            self._take_own(mac, said)
        elif at < len(ips) - is_known or (said is not None and len(said) >= SHARED_MAX):  # other positions change
            paths = [] if said is None else self.paths_of(mac, said)
            kept = [one for one in paths if one.ip != ip or one.name != name or one.peer != peer]
            self._say(mac, kept if new is None else [*kept, path_of(new, name, cast("Epoch", epoch))])
            self._note_counts([mac])
        else:
            place = address_at(at)
            path = None if said is None or old is None else said.find(peer, name, place)
            self._replace_shared(
                [mac], said, path, None if new is None else self.path(cast("Epoch", epoch), peer, name, new, place)
            )
            if new is None:
                left = self._macs.get(mac)
                if left is None or all(one.ip != place for one in left.paths):
                    self._place(mac, ips[:-1])
            elif not is_known:
                self._place(mac, (*ips, ip))

    def _shared(self, paths: tuple[Path, ...]) -> Offers:
        """Return the offers that MACs share of which this is said."""
        found = self._offers.get(paths)
        if found is None:
            found = Offers(paths)
            self.made += 1
            if not _are_long(paths):
                _forget_oldest(self._offers)
                self._offers[paths] = found
        return found

    def _say(self, mac: Mac, paths: list[Path]) -> None:
        """Replace all that is said of a MAC; the paths have the host addresses themselves."""
        ips = tuple(sorted({path.ip for path in paths if path.ip is not None}))
        said: Offers
        if len(paths) > SHARED_MAX:
            ips, said = (), OwnOffers(paths)
        else:
            said = self._shared(tuple([
                path if path.ip is None else self.path(path.epoch, path.peer, path.name, path, address_at(ips.index(path.ip)))
                for path in paths
            ]))  # fmt: skip
        if said:
            self._macs[mac] = said
        else:
            self._macs.pop(mac)
        self._place(mac, ips)

    def _place(self, mac: Mac, ips: tuple[Ip, ...]) -> None:
        if ips:
            self._addresses[mac] = ips
        else:
            self._addresses.pop(mac)

    def _take_own(self, mac: Mac, said: OwnOffers) -> None:
        """Share what is said of a MAC again if it has few routes by now."""
        if len(said) <= SHARED_MAX // 2:
            self._say(mac, list(said.paths))
        self._note_counts([mac])

    def _note_counts(self, macs: list[Mac]) -> None:
        """Note whether these MACs, of which equally much is said, have many routes."""
        said = self._macs.get(macs[0])
        if said is not None and len(said) >= self.many_from:
            self.many.update(macs)
        elif self.many:
            self.many.difference_update(macs)


_NOTHING: Final = Offers(())


def _are_long(paths: Iterable[Path]) -> bool:
    """Return whether the attributes of any path take so much memory that nothing may be remembered of it."""
    return any(path.attributes.is_long for path in paths)


def _with(path: Path, ip: Ip | None) -> Path:
    """Return the path with another address."""
    return Path(
        path.peer, path.attributes, path.rd, path.tag, path.label, ip, path.esi, path.label2, path.name, path.epoch
    )


def _forget_oldest(table: dict[Any, Any]) -> None:
    """Make room for one more; many go at once, because to find the oldest takes longer the more have gone."""
    if len(table) >= REMEMBERED_MAX:
        for key in list(islice(table, max(1, REMEMBERED_MAX // 8))):
            del table[key]
