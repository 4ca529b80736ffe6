"""The routes of all peers, found by what the projection asks for, and what changed since it asked last.

    MAC          what its Type-2 routes say, with and without a host address, as a value that MACs share (`offers`)
    host         the Type-2 routes that name this address
    endpoint     the Type-3 routes whose floods go there
    segment      its Type-1 routes, its Type-4 routes, and the MACs that are on it
    prefix       the routes that lead to it (`routed`)

The stations of this leaf are found by MAC and by host address. The index knows which route is where, and not whether it is
stale or better than another: the RIB decides the one, and the projection the other.

    Rib ──replace, put──────> tables ──marks──> changed ──take_changed, a slice at a time──> projection
     ├───leave, mark_stale──> sweep ───────────────┘  ^
     └── (Type-1 routes) ───> answers compared ───────┘   only if an answer is another one

A route that says something of a MAC alone is nowhere else: the table from MAC to `Offers` is the only one that has it, and a
group of MACs of which the same is said changes together. Any other route is in its epoch by its key, and here as well.

When very many routes leave or become stale at once, the index handles a slice of them each time the projection asks what
changed, so the event loop is not blocked. Routes that have a key are taken from their epoch. For those of MACs alone, a sweep
goes through the table of MACs, shard by shard, once for all epochs that leave or became stale at about the same time. The
result is the same as if they had left one after another.

A segment may have 100,000 MACs, and most of its Type-1 routes change nothing for them: the same route comes from a second route
reflector, or one more VTEP becomes an alias. So the projection asks the index its questions about a segment (`conclude`), and the
index keeps the answers. When a Type-1 route changes, it asks again, and marks the MACs only if an answer is another one.

Routes that differ in their names only are one kind, which is judged once (`crowd.Kinds`). A MAC with very many kinds, and a host or a MAC
on a segment with very many routes, may take long to judge all the same, and a peer may change its routes all the time. It waits for its
turn, so the others never wait for more than one of them.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, KeysView
from itertools import chain, islice
from itertools import count as counted
from math import ceil, inf
from typing import Any, Final, TypeAlias, TypeVar, cast

from msgspec import structs

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, Prefix, Vni
from vtep.evpn.crowd import MOST, Crowd, Kinds, MakeKinds, Routes, all_of, kinds_of, replaced
from vtep.evpn.ead import PER_ES_TAG, EthernetAd
from vtep.evpn.event import RouteKey
from vtep.evpn.imet import Imet
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.nlri import Route
from vtep.evpn.offers import Epoch, Offers, Path, host_path_name
from vtep.evpn.prefix import IpPrefix, prefix_of_key
from vtep.evpn.routed import Put, RoutesByPrefix, host_prefix
from vtep.evpn.said import Said
from vtep.evpn.segment import Segment
from vtep.evpn.station import LocalClaim
from vtep.store.sharded import SHARDS

_AdGroup: TypeAlias = tuple[int, int]
"""The tag and the label of Type-1 routes."""

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")

Held: TypeAlias = tuple[Route, Epoch]
"""A route that has a key, with its epoch."""

WORK_OF_RIVALS: Final = 4
"""The work of a MAC with several locations or with a history, compared with a MAC with one route. Measured: 4 to 6 us against
3 us where many MACs are judged together, and 40 to 80 us for a MAC that is judged by itself."""

WORK_OF_SEGMENT: Final = 16
"""The work of a MAC that is the first or the last one on its segment, in the same unit: a group comes or goes with it (measured:
100 to 160 us)."""

WORK_OF_NEW: Final = 6
"""The work that comes with what is said for the first time, in the same unit: it is judged once for all MACs of which it is said.
Measured: 30 to 45 us for a MAC of which nothing is said that is said of another one."""

WALKED_AT_ONCE: Final = 20
"""How many MACs a sweep passes in the time in which one is judged."""


_versions = counted(1)


class Changed:
    """The MACs, hosts, endpoints, segments and prefixes that the projection must judge again.

    A Type-1 route per EVI concerns one VNI of its segment, so such routes are topics of their own (`evis`).
    """

    __slots__ = ("_macs", "endpoints", "evis", "hosts", "prefixes", "segments")

    def __init__(
        self,
        macs: Iterable[Mac] = (),
        hosts: Iterable[Ip] = (),
        endpoints: Iterable[Ip] = (),
        segments: Iterable[Esi] = (),
        prefixes: Iterable[Prefix] = (),
        evis: Iterable[tuple[Esi, int, int]] = (),
    ) -> None:
        self._macs = dict.fromkeys(macs)
        """In the order in which they changed. What came together lies together in memory, so each later lookup costs less."""
        self.hosts = set(hosts)
        self.endpoints = set(endpoints)
        self.segments = set(segments)
        self.prefixes = set(prefixes)
        self.evis = set(evis)
        """The segment, tag and label of routes per EVI."""

    @property
    def macs(self) -> KeysView[Mac]:
        return self._macs.keys()

    def add_macs(self, macs: Iterable[Mac]) -> None:
        self._macs.update(dict.fromkeys(macs))

    def remove_macs(self, macs: Iterable[Mac]) -> None:
        for mac in macs:
            del self._macs[mac]

    def __bool__(self) -> bool:
        return bool(self._macs or self.hosts or self.endpoints or self.segments or self.prefixes or self.evis)

    def add(self, other: "Changed") -> None:
        """Add everything of another one."""
        self._macs.update(other._macs)
        self.hosts |= other.hosts
        self.endpoints |= other.endpoints
        self.segments |= other.segments
        self.prefixes |= other.prefixes
        self.evis |= other.evis

    def take(self, share: float) -> "Changed":
        """Remove and return this share of the MACs, hosts and prefixes, and all endpoints and segments, which are few."""
        part = Changed(endpoints=self.endpoints, segments=self.segments, evis=self.evis)
        part.add_macs(islice(self._macs, ceil(share * len(self._macs))))
        self.remove_macs(part.macs)
        part.hosts.update(self.hosts.pop() for _ in range(ceil(share * len(self.hosts))))
        part.prefixes.update(self.prefixes.pop() for _ in range(ceil(share * len(self.prefixes))))
        self.endpoints, self.segments, self.evis = set(), set(), set()
        return part


class Index:
    """The RIB fills it, and the projection reads it."""

    def __init__(self) -> None:
        self.local_claims: dict[Mac, dict[Vni, LocalClaim]] = {}
        """The stations of this leaf."""
        self._homes: dict[Ip, set[tuple[Vni, Mac]]] = {}
        """The stations of this leaf, by host address; two VNIs may have one address."""
        self.said = Said()
        self._made = 0
        """How many different things had been said of MACs when MACs were last marked."""
        self._hosts: dict[Ip, Routes[MacIp]] = {}
        self._endpoints: dict[Ip, Routes[Imet]] = {}
        self._segments: dict[Esi, dict[Mac, int]] = {}
        """The MACs that are on each segment, with the number of routes that say so."""
        self._members: dict[Esi, Routes[Segment]] = {}
        self._ads: dict[Esi, dict[_AdGroup, dict[tuple[Ip, RouteKey], EthernetAd]]] = {}
        """Grouped, because a segment has as many routes per EVI as VNIs, and each VNI asks for its own only."""
        self._ads_changed: OrderedDict[Esi, set[_AdGroup]] = OrderedDict()
        """The groups whose routes changed, and for which it is not known yet whether that concerns the MACs of the segment. In
        this table and in `_segments_changed` the oldest of very many goes first, which takes a dictionary longer the more have gone."""
        self._conclusions: dict[Esi, dict[tuple[_AdGroup, Hashable], tuple[Callable[[], Any], Any]]] = {}
        """What was concluded from the Type-1 routes of each segment, and how to conclude it again."""
        self._segment_versions: dict[Esi, int] = {}
        self._forgotten: set[Esi] = set()
        """The segments of which some answers were forgotten, so that it is not known whether they are still the same."""
        self._concluded_by: object = None
        """The policy by which they were concluded. Another policy forgets all of them."""
        self._conclusions_count = 0
        self.prefixes = RoutesByPrefix()
        self._indexes_changed: set[Esi] = set()
        """Segments whose Type-1 routes changed, and which prefixes name. Their prefixes are not yet in `_changed`, because a segment has
        as many routes as VNIs, and as many prefixes as a peer likes."""
        self.ads_version = 0
        """Grows when a Type-1 route comes, goes or changes, and when a segment with known answers loses its last MAC."""
        self.routes: Counter[type[Route]] = Counter()
        """How many routes there are of each type, including those that are leaving."""
        self._changed = Changed()
        self._work = 0
        """The estimated work of judging `_changed`, in MACs with one route."""
        self.leaving: dict[Ip, list[Epoch]] = {}
        """The epochs whose routes are to be removed, by peer."""
        self.staleness = 0
        """Grows when routes that stay become stale, so that what they say means something else."""
        self._sweeping: dict[Epoch, int] = {}
        """The epochs whose MACs are looked for, each with the number of shards in which to look."""
        self._shard = 0
        """The part of the table of MACs at which the sweep is."""
        self._swept: list[Mac] = []
        """The MACs of the shard under way that are still to be looked at."""
        self._segments_changed: OrderedDict[Esi, list[Mac]] = OrderedDict()
        """The MACs of each segment whose routes changed, as far as they are not yet in `_changed`."""
        self._segments_again: set[Esi] = set()
        """Those among them whose routes changed once more meanwhile, so that all their MACs come again."""
        self._put_off_macs: dict[Mac, None] = {}
        self._put_off_hosts: dict[Ip, None] = {}
        """What changed and has so many routes that it must wait for its turn."""
        self._crowded_hosts: set[Ip] = set()
        self._rest_until = -inf
        """Until then no such MAC or host is judged, so that everything else has its turn."""

    @property
    def version(self) -> tuple[int, int]:
        """Another one as soon as what is said of a MAC may mean something else, though the same is said."""
        return self.ads_version, self.staleness

    @property
    def work(self) -> int:
        """The estimated work of judging all that changed, in MACs with one route."""
        leaving = set(chain.from_iterable(self.leaving.values()))
        stale = sum(epoch.counts[MacIp] for epoch in self._sweeping if epoch not in leaving)
        on_segments = sum(map(len, self._segments_changed.values()))
        waiting = sum(map(len, leaving)) + stale + on_segments + len(self._ads_changed)
        waiting += len(self._indexes_changed)
        return self._work + WORK_OF_RIVALS * waiting

    def routes_of_host(self, ip: Ip) -> tuple[MacIp, ...]:
        return all_of(self._hosts.get(ip, ()))

    def kinds_of_host(self, ip: Ip) -> Kinds[MacIp]:
        """Return the routes that name a host address, those that differ in MAC, RD and peer only together, the lowest MAC first."""
        return kinds_of(self._hosts.get(ip, ()), _host_kinds)

    def homes_of(self, ip: Ip) -> Iterable[tuple[Vni, Mac]]:
        """Return the VNI and MAC of each station of this leaf that has this host address."""
        return self._homes.get(ip, ())

    def kinds_of_endpoint(self, endpoint: Ip) -> Kinds[Imet]:
        """Return its Type-3 routes, those that differ in RD, originator and peer only together, the lowest RD first."""
        return kinds_of(self._endpoints.get(endpoint, ()), _imet_kinds)

    def ads_at(self, segment: Esi, tag: int, label: int) -> Collection[EthernetAd]:
        """Return the Type-1 routes of a segment with this tag and label; the label of a route per segment does not matter.

        A route per EVI without a label is returned for every label: FRR 8.4 sets the label of what it reflects to zero, so
        only the Route Targets say for which VNI it is.
        """
        groups = self._ads.get(segment, {})
        if tag == PER_ES_TAG or label == 0 or (tag, 0) not in groups:
            return groups.get((tag, 0 if tag == PER_ES_TAG else label), {}).values()
        return [*groups.get((tag, label), {}).values(), *groups[tag, 0].values()]

    def conclude(
        self, policy: object, segment: Esi, group: _AdGroup, question: Hashable, work_out: Callable[[], T]
    ) -> T:
        """Return the answer to a question about a segment, from memory if its Type-1 routes have not changed since.

        The answer may depend on the routes per segment and on those of this group, and on nothing else that changes. A new
        policy makes all answers out of date. The number of answers is bounded, because peers choose what is asked.
        """
        if policy is not self._concluded_by or self._conclusions_count > CONCLUSIONS_MAX:
            self._forgotten |= self._conclusions.keys()
            self._concluded_by, self._conclusions, self._conclusions_count = policy, {}, 0
        if segment in self._ads_changed:
            self._forgotten.add(segment)  # this answer is not remembered, so it cannot be compared
            return work_out()
        known = self._conclusions.setdefault(segment, {})
        found = known.get((group, question))
        if found is None:
            self._conclusions_count += 1
            found = known[group, question] = (work_out, work_out())
        answer: T = found[1]
        return answer

    def version_of(self, segment: Esi) -> int:
        """Return a number that stands for the routes per segment of this segment, in any index; 0 if it has no route.

        So what follows from them alone may be remembered by it.
        """
        return self._segment_versions.get(segment, 0)

    def members_of(self, segment: Esi) -> tuple[Segment, ...]:
        """Return the Type-4 routes of a segment."""
        return all_of(self._members.get(segment, ()))

    def everything(self) -> Changed:
        """Return everything that can be judged."""
        self._drain_leaving(inf)
        segments = (*self._members, *self._ads)
        return Changed((*self.said.macs, *self.local_claims), self._hosts, self._endpoints, segments, self.prefixes)

    def in_parts(self, most: int) -> Iterator[Changed]:
        """Yield everything that can be judged, at most so many MACs or hosts at a time. Endpoints and segments come first.

        A MAC or host that comes or goes meanwhile may be missing: it is in what changed.
        """
        yield Changed(endpoints=self._endpoints, segments=(*self._members, *self._ads))
        macs = chain(chain.from_iterable(list(part) for part in self.said.macs.shards), list(self.local_claims))
        while part := Changed(macs=islice(macs, most)):
            yield part
        hosts = iter(list(self._hosts))
        while part := Changed(hosts=islice(hosts, most)):
            yield part
        prefixes = iter(list(self.prefixes))
        while part := Changed(prefixes=islice(prefixes, most)):
            yield part

    @property
    def due(self) -> float | None:
        """When it is the turn of a MAC or host with very many routes, if one waits."""
        return self._rest_until if self._put_off_macs or self._put_off_hosts else None

    @property
    def put_off_macs(self) -> Iterable[Mac]:
        """The MACs that wait for their turn because they have very many routes."""
        return self._put_off_macs

    def take_changed(self, work_max: float = inf, now: float = inf) -> Changed:
        """Return what changed since the last call, but at most twice as much as this work.

        Judging a MAC takes time in proportion to its kinds of routes, and it cannot be interrupted. So a MAC with very many kinds,
        and a host or a MAC on a segment with very many routes, waits until the others were taken. It comes alone, and the next one
        comes after a rest four times as long.
        """
        part = self._take_small(work_max)
        if work_max < inf:
            self._put_off_crowds(part)
            self._take_crowd(part, now)
        else:
            part.add(Changed(self._put_off_macs, self._put_off_hosts))
            self._put_off_macs, self._put_off_hosts = {}, {}
        return part

    def _take_small(self, work_max: float) -> Changed:
        """Return a part of what changed that costs about `work_max` to judge, so that nothing else waits long."""
        for segment in self._indexes_changed:
            self._mark_routed(self.prefixes.behind(segment))
        self._indexes_changed.clear()
        room = work_max / WORK_OF_RIVALS
        room = self._drain_leaving(room)
        self._compare_segments(COMPARED_AT_ONCE if work_max < inf else inf)
        while self._segments_changed and room > 0:
            room -= self._mark_segment(room)
        if self._work > 2 * work_max:
            part = self._changed.take(work_max / self._work)
            self._work = self._work - int(work_max) if self._changed else 0
            return part
        changed, self._changed = self._changed, Changed()
        self._work = 0
        return changed

    def _put_off_crowds(self, part: Changed) -> None:
        crowded = [mac for mac in part.macs & self.said.many if max(self._cost_of(mac)) > MOST]
        hosts = part.hosts & self._crowded_hosts
        part.remove_macs(crowded)
        part.hosts -= hosts
        self._put_off_macs |= dict.fromkeys(crowded)
        self._put_off_hosts |= dict.fromkeys(hosts)

    def _take_crowd(self, part: Changed, now: float) -> None:
        """Add the MAC and the host that have waited longest, if it is time."""
        if now < self._rest_until:
            return
        rest_s = 0.0
        for mac in list(islice(self._put_off_macs, 1)):
            del self._put_off_macs[mac]
            part.add_macs((mac,))
            kinds, listed = self._cost_of(mac)
            rest_s += max(REST_S_PER_KIND * kinds, REST_S_PER_ROUTE * listed)
        for ip in list(islice(self._put_off_hosts, 1)):
            del self._put_off_hosts[ip]
            part.hosts.add(ip)
            rest_s += REST_S_PER_KIND * len(self.kinds_of_host(ip)) + REST_S_PER_ROUTE * len(self._hosts.get(ip, ()))
        if rest_s and now < inf:
            self._rest_until = now + rest_s

    def _cost_of(self, mac: Mac) -> tuple[int, int]:
        """Return how many kinds of routes a MAC has, of which each is judged, and how many routes may be listed.

        If it is on a segment, that may be ours: then this leaf has a row for each host address.
        """
        said = self.said.macs.get(mac)
        if said is None:
            return 0, 0
        firsts = said.firsts
        return len(firsts), 0 if all(path.esi == NO_SEGMENT for path in firsts) else len(said)

    def mark_stale(self, epoch: Epoch) -> None:
        """Note that the routes of an epoch became stale, so their MACs must be judged again, unless they leave before that."""
        self.staleness += 1
        self._look_for(epoch)

    def leave(self, peer: Ip, epoch: Epoch) -> None:
        """Take these routes of a peer, and remove them slice by slice."""
        if epoch:
            self.staleness += 1
            epoch.stale = epoch.leaving = True
            self.leaving.setdefault(peer, []).append(epoch)
            self._look_for(epoch)

    def _look_for(self, epoch: Epoch) -> None:
        if epoch.counts[MacIp]:
            self._sweeping[epoch] = SHARDS + 1  # the shard under way was begun without it

    def mark_macs(self, macs: Iterable[Mac]) -> None:
        """Mark these MACs and the hosts of their routes as changed, because their eligibility as remote MACs has changed."""
        known = [mac for mac in macs if mac in self.said.macs]
        self._mark(known)
        self._changed.hosts.update(ip for mac in known for ip in self.said.ips_of(mac))

    def mark_segment(self, segment: Esi) -> None:
        """Mark a segment and the MACs on it as changed, because our own port on it has changed."""
        self._changed.segments.add(segment)
        self.mark_macs(tuple(self._segments.get(segment, ())))

    def mark_hosts(self, hosts: Iterable[Ip]) -> None:
        """Mark these host addresses as changed, because whether a remote host can have them has changed."""
        self._changed.hosts.update(ip for ip in hosts if ip in self._hosts)

    def routes_of(self, mac: Mac) -> tuple[MacIp, ...]:
        return self.said.routes_of(mac)

    def replace(self, macs: list[Mac], said: Offers | None, old: Path | None, new: Path | None) -> None:
        """Replace a path without a host address by another, for MACs of which the same is said; None stands for no path."""
        self.said.replace(macs, said, old, new)
        for path, count in ((old, -len(macs)), (new, len(macs))):
            if path is not None:
                self._count(MacIp, path.epoch.now, count)
        self._change_segment(macs, old, new)
        if old is None or new is None or not new.says(old):
            self._mark(macs, 1 if said is None else WORK_OF_RIVALS)

    def put(self, key: RouteKey, old: Held | None, new: Held | None) -> None:
        """Replace a route that has a key by another of this key, so of the same type; None stands for no route."""
        before = None if old is None else old[0]
        after = None if new is None else new[0]
        either = after or before
        assert either is not None
        if isinstance(either, IpPrefix):
            self._put_prefix(key, old, new)
            return
        if old is not None:
            self._count(type(either), old[1], -1)
            old[1].routes.pop(key)
        if new is not None:
            self._count(type(either), new[1], 1)
            new[1].routes[key] = new[0]
        if isinstance(either, MacIp):
            mac_before, mac_after = cast("MacIp | None", before), cast("MacIp | None", after)
            self._put_host(key, either, mac_before, mac_after, None if new is None else new[1])
            if host_prefix(mac_before) is not None or host_prefix(mac_after) is not None:
                self._put_routed_host(mac_before, mac_after)
        elif isinstance(either, Imet):
            self._put_imet(cast("Imet | None", before), cast("Imet | None", after))
        elif isinstance(either, EthernetAd):
            self._put_ad(key, either, cast("EthernetAd | None", before), cast("EthernetAd | None", after))
        elif isinstance(either, Segment):
            self._put_member(either, cast("Segment | None", before), cast("Segment | None", after))

    def put_prefixes(self, keys: Collection[RouteKey], value: IpPrefix, epoch: Epoch) -> Put:
        """Put the Type-5 routes of these keys, which say the same, as far as they are plain (`RoutesByPrefix.put_many`)."""
        put = self.prefixes.put_many(keys, value, epoch.routes)
        self._count(IpPrefix, epoch, len(put.new))
        self._mark_routed(put.prefixes)
        return put

    def remove_prefixes(self, keys: Iterable[RouteKey], epoch: Epoch) -> list[RouteKey]:
        """Remove the Type-5 routes of these keys, as far as they are plain (`RoutesByPrefix.remove_many`); return the other keys."""
        prefixes, others = self.prefixes.remove_many(keys, epoch.routes)
        self._count(IpPrefix, epoch, -len(prefixes))
        self._mark_routed(prefixes)
        return others

    def put_local_claim(self, old: LocalClaim | None, new: LocalClaim | None) -> None:
        """Replace a station by another of the same MAC and VNI; None stands for no station."""
        either = new or old
        assert either is not None
        vni, mac = key = either.station.key
        if new is not None:
            self.local_claims.setdefault(mac, {})[vni] = new
        else:
            here = self.local_claims[mac]
            del here[vni]
            if not here:
                del self.local_claims[mac]
        before, after = (frozenset() if one is None else one.station.hosts for one in (old, new))
        for ip in before ^ after:
            homes = self._homes.setdefault(ip, set())
            (homes.add if ip in after else homes.discard)(key)
            if not homes:
                del self._homes[ip]
        self.mark_local_claim(mac)
        self._mark_prefixes(before | after)

    def lose_local_claim(self, local_claim: LocalClaim) -> None:
        """Note that the projection judged a station as lost. This is a result, so its MAC is not judged again for it.

        Routes to its addresses are, because only from now on they may lead to another VTEP.
        """
        vni, mac = local_claim.station.key
        self.local_claims[mac][vni] = structs.replace(local_claim, lost=True)
        self._mark_prefixes(local_claim.station.hosts)

    def mark_local_claim(self, mac: Mac) -> None:
        """Mark a MAC as changed, because its station may count differently."""
        self._changed.add_macs((mac,))
        self._work += WORK_OF_RIVALS
        for local_claim in self.local_claims.get(mac, {}).values():
            self._mark_prefixes(local_claim.station.hosts)

    def _mark_prefixes(self, hosts: Iterable[Ip]) -> None:
        """Mark the prefixes of these host addresses as changed, if any route leads to them."""
        if self.prefixes:
            found = {prefix for ip in hosts if (prefix := Prefix.of(ip, 8 * len(ip))) in self.prefixes}
            found = found.union(*map(self.prefixes.concerned_by, found))
            self._changed.prefixes |= found
            self._work += WORK_OF_RIVALS * len(found)

    def mark_router_macs(self, macs: frozenset[Mac]) -> None:
        """Mark the prefixes whose routes name one of these Router's MACs, because whether it may be remote has changed."""
        found = self.prefixes.naming(macs)
        self._changed.prefixes |= found
        self._work += WORK_OF_RIVALS * len(found)

    def find_leaving(self, peer: Ip, key: RouteKey) -> Held | None:
        """Return the route of this key that is leaving, if there is one."""
        for epoch in self.leaving.get(peer, ()):
            if (route := epoch.routes.get(key)) is not None:
                return route, epoch
        return None

    def _drain_leaving(self, room: float) -> float:
        """Remove leaving routes until there is no room left for more work; return the room that is left."""
        for epoch in chain.from_iterable(self.leaving.values()):
            for part in epoch.routes.shards:
                while part and room > 0:
                    key, route = part.popitem()
                    self.put(key, (route, epoch), None)
                    room -= 1
        while self._sweeping and room > 0:
            room -= self._sweep(room) if self._swept else self._begin_shard()
        for peer, epochs in list(self.leaving.items()):
            epochs[:] = filter(None, epochs)
            if not epochs:
                del self.leaving[peer]
        return room

    def _begin_shard(self) -> float:
        """Find the MACs of the next shard that have routes of the epochs that are swept; return the work that it was."""
        for epoch, shards in list(self._sweeping.items()):
            if shards > 1 and epoch.counts[MacIp]:
                self._sweeping[epoch] = shards - 1
            else:
                del self._sweeping[epoch]
        if self._sweeping:
            self._shard = (self._shard + 1) % SHARDS
            shard = self.said.macs.shards[self._shard]
            wanted = {id(said) for said in {id(said): said for said in shard.values()}.values() if self._is_swept(said)}
            self._swept = [mac for mac, said in shard.items() if id(said) in wanted] if wanted else []
            return len(shard) // WALKED_AT_ONCE
        return 0

    def _is_swept(self, said: Offers) -> bool:
        return any(epoch in self._sweeping for epoch in said.epochs)

    def _sweep(self, room: float) -> int:
        """Remove or mark the routes of at most so many MACs of the shard, and return how many MACs these were."""
        count = min(len(self._swept), ceil(min(room, len(self._swept))))
        part = self._swept[-count:]
        del self._swept[-count:]
        for known, macs in self.said.grouped(part):
            said = known
            if said is None:
                continue
            epochs = said.epochs
            if any(epoch in self._sweeping and not epoch.leaving for epoch in epochs):
                self._mark(macs, WORK_OF_RIVALS)
            if any(epoch.leaving for epoch in epochs):
                for path in [path for path in said.paths if path.ip is None and path.epoch.now.leaving]:
                    self.replace(macs, said, path, None)
                    said = self.said.macs.get(macs[0])
        return count

    def _mark(self, macs: Collection[Mac], work: int = WORK_OF_RIVALS) -> None:
        """Have these MACs judged, each at this work; a few of which something is said for the first time take more."""
        self._changed.add_macs(macs)
        new, self._made = self.said.made - self._made, self.said.made
        self._work += max(work * len(macs), (work + WORK_OF_NEW) * new)

    def _count(self, type_: type[Route], epoch: Epoch, more: int) -> None:
        epoch.counts[type_] += more
        self.routes[type_] += more

    def _put_host(
        self, key: RouteKey, either: MacIp, before: MacIp | None, after: MacIp | None, epoch: Epoch | None
    ) -> None:
        """Replace a Type-2 route with a host address: it says something of the MAC and of the address."""
        mac, ip = either.mac, cast("Ip", either.ip)
        self.said.change_host(mac, ip, host_path_name(key), before, after, epoch)
        self._mark((mac,))
        if isinstance(_replace(self._hosts, ip, before, after, _host_kinds), Crowd):
            self._crowded_hosts.add(ip)
        elif self._crowded_hosts:
            self._crowded_hosts.discard(ip)
        self._changed.hosts.add(ip)
        self._change_segment((mac,), before, after)

    def _change_segment(self, macs: Iterable[Mac], old: Path | MacIp | None, new: Path | MacIp | None) -> None:
        """Note on which segment these MACs are. Of one on which they stay, the answers are not forgotten."""
        before, after = (NO_SEGMENT if one is None else one.esi for one in (old, new))
        if before != after:
            for segment, count in ((before, -1), (after, 1)):
                if segment != NO_SEGMENT:
                    for mac in macs:
                        self._put_on_segment(segment, mac, count)

    def _put_on_segment(self, segment: Esi, mac: Mac, more: int) -> None:
        """Add to, or subtract from, the number of routes that have a MAC on a segment."""
        members = self._segments.setdefault(segment, {})
        if not members:
            self._work += WORK_OF_SEGMENT
        members[mac] = members.get(mac, 0) + more
        if not members[mac]:
            del members[mac]
        if not members:
            del self._segments[segment]
            # Type-1 routes of a segment without MACs are compared with nothing. A MAC that comes must ask again, even if what
            # is said of it was judged before.
            self.ads_version += segment in self._conclusions or segment in self._forgotten
            self._forget_conclusions(segment)

    def _forget_conclusions(self, segment: Esi) -> None:
        self._conclusions_count -= len(self._conclusions.pop(segment, ()))
        self._forgotten.discard(segment)

    def _put_imet(self, old: Imet | None, new: Imet | None) -> None:
        """Replace a Type-3 route. The endpoint is not part of its key, so the new version may name another one."""
        for endpoint in {_endpoint(imet) for imet in (old, new) if imet is not None}:
            before, after = (imet if imet is not None and _endpoint(imet) == endpoint else None for imet in (old, new))
            _replace(self._endpoints, endpoint, before, after, _imet_kinds)
            self._changed.endpoints.add(endpoint)

    def _put_ad(self, key: RouteKey, either: EthernetAd, old: EthernetAd | None, new: EthernetAd | None) -> None:
        """Put a Type-1 route in the place of another one, and note which segments or VNIs it concerns."""
        self.ads_version += 1
        if self.prefixes.behind(either.esi):
            self._indexes_changed.add(either.esi)
        if either.tag == PER_ES_TAG:
            self._changed.segments.add(either.esi)
        else:
            self._changed.evis.update((ad.esi, ad.tag, ad.label) for ad in (old, new) if ad is not None)
            if 0 in (None if ad is None else ad.label for ad in (old, new)):
                self._changed.segments.add(either.esi)  # without a label it may be for any VNI
        if old is not None:
            groups, group = self._ads[old.esi], _ad_group(old)
            del groups[group][old.peer, key]
            if not groups[group]:
                del groups[group]
            if not groups:
                del self._ads[old.esi]
                self._segment_versions.pop(old.esi, None)
        if new is not None:
            self._ads.setdefault(new.esi, {}).setdefault(_ad_group(new), {})[new.peer, key] = new
        if either.tag == PER_ES_TAG and either.esi in self._ads:
            self._segment_versions[either.esi] = next(_versions)
        if either.esi in self._segments:
            changed = self._ads_changed.setdefault(either.esi, set())
            changed.update(_ad_group(ad) for ad in (old, new) if ad is not None)

    def _compare_segments(self, at_once: float) -> None:
        """Mark the MACs of the segments whose Type-1 routes changed so that an answer about them is another one now.

        When so much was compared, the other segments wait for the next call.
        """
        self.ads_version += bool(self._ads_changed)  # what was judged meanwhile gave answers that were not remembered
        room: float = COMPARED_MAX
        while self._ads_changed and COMPARED_MAX - room < at_once:
            segment = next(iter(self._ads_changed))
            groups = self._ads_changed.pop(segment)
            if segment not in self._segments:
                continue
            answers = self._answers_in_doubt(segment, groups)
            most_ads = max(map(len, self._ads.get(segment, {}).values()), default=0)
            steps = max(1, len(answers or ())) * (STEPS_PER_ANSWER + 2 * most_ads)
            if answers is not None and steps <= room:
                room -= steps
                if all(work_out() == answer for work_out, answer in answers):
                    continue
            else:
                room -= STEPS_PER_ANSWER
            self._forget_conclusions(segment)
            if segment in self._segments_changed:
                self._segments_again.add(segment)
            else:
                self._segments_changed[segment] = list(self._segments[segment])

    def _answers_in_doubt(self, segment: Esi, groups: set[_AdGroup]) -> list[tuple[Callable[[], Any], Any]] | None:
        """Return every answer that may have changed, and how to work it out; None if not all answers are known."""
        known = self._conclusions.get(segment)
        if not known or segment in self._forgotten:
            return None
        all_changed = any(label == 0 for _, label in groups)  # a route per segment, or one without a label
        return [found for (group, _), found in known.items() if all_changed or group in groups]

    def _mark_segment(self, most: float) -> int:
        """Mark at most so many MACs of the segment that has waited longest, and return how much work that is, in MACs."""
        segment, macs = next(iter(self._segments_changed.items()))
        count = min(len(macs), ceil(min(most, len(macs))))
        self._mark(macs[-count:])
        del macs[-count:]
        work = count
        if not macs:
            self._work += WORK_OF_SEGMENT
            work += WORK_OF_SEGMENT // WORK_OF_RIVALS
            del self._segments_changed[segment]
            if segment in self._segments_again and segment in self._segments:
                self._segments_changed[segment] = list(self._segments[segment])
            self._segments_again.discard(segment)
        return work

    def _put_prefix(self, key: RouteKey, old: Held | None, new: Held | None) -> None:
        """Put a Type-5 route in the place of another one. What is kept is a value that prefixes share, without the prefix."""
        prefix = prefix_of_key(key)
        before = None if old is None else cast("IpPrefix", old[0])
        after = None if new is None else self.prefixes.take(prefix, before, cast("IpPrefix", new[0]))
        if old is not None:
            self._count(IpPrefix, old[1], -1)
            old[1].routes.pop(key)
        if new is not None and after is not None:
            self._count(IpPrefix, new[1], 1)
            new[1].routes[key] = after
        if after is not before:
            self._mark_routed(self.prefixes.put(prefix, before, after))
        if before is not None:
            self.prefixes.release(before)

    def _put_routed_host(self, old: MacIp | None, new: MacIp | None) -> None:
        """Put a Type-2 route with an L3VNI in the place of another one; either may lead to no prefix."""
        before, after = host_prefix(old), host_prefix(new)
        self._mark_routed(self.prefixes.put(before or after, old if before else None, new if after else None))

    def _mark_routed(self, prefixes: Collection[Prefix]) -> None:
        self._changed.prefixes.update(prefixes)
        self._work += WORK_OF_RIVALS * len(prefixes)

    def _put_member(self, either: Segment, old: Segment | None, new: Segment | None) -> None:
        _replace(self._members, either.esi, old, new)
        self._changed.segments.add(either.esi)


def _host_kinds(routes: Iterable[MacIp]) -> Kinds[MacIp]:
    return Kinds(
        lambda route: (id(route.attributes), route.label, route.tag, route.mac.is_usable),
        lambda route: (route.mac, route.rd, route.peer.order),
        lambda route: route.mac,
        routes,
    )


def _imet_kinds(routes: Iterable[Imet]) -> Kinds[Imet]:
    return Kinds(
        lambda imet: (id(imet.attributes), imet.tag),
        lambda imet: (imet.rd, imet.originator.order, imet.peer.order),
        None,
        routes,
    )


def _replace(
    table: dict[K, Routes[R]], key: K, old: R | None, new: R | None, make: MakeKinds[R] | None = None
) -> Routes[R]:
    """Replace a route by another in a table of routes by key, and return the routes of that key."""
    after = replaced(table.get(key, ()), old, new, make)
    if after:
        table[key] = after
    else:
        table.pop(key, None)
    return after


CONCLUSIONS_MAX: Final = 16384
"""How many answers about segments are remembered."""

COMPARED_MAX: Final = 1 << 15
"""How much work may go into comparing answers at a time, in Type-1 routes that are read (measured on a busy machine: 0.6 to 2.6 us
each). The MACs of the segments that are left are judged again instead, a part at a time."""
COMPARED_AT_ONCE: Final = 1 << 13
"""When so much was compared, the segments that are left wait for the next judgement."""
STEPS_PER_ANSWER: Final = 8
"""What an answer costs besides, in the same unit."""

REST_S_PER_KIND: Final = 100e-6
"""The rest after judging a MAC or host with very many routes: four times as long as judging takes (measured: 25 us a kind)."""
REST_S_PER_ROUTE: Final = 10e-6
"""The part of it for each route of a host, which are all listed if the address is refused (measured: 1 to 2.5 us), and of a MAC on a
segment."""


def _ad_group(ad: EthernetAd) -> _AdGroup:
    return (ad.tag, 0 if ad.tag == PER_ES_TAG else ad.label)


def _endpoint(imet: Imet) -> Ip:
    """Return the endpoint of its floods, or its next hop if it names no endpoint."""
    pmsi = imet.attributes.pmsi
    return imet.attributes.next_hop if pmsi is None or pmsi.endpoint is None else pmsi.endpoint
