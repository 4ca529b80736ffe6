"""Lists this leaf's own stations, and says of each whether it is advertised, how far ExaBGP knows it, or why it is not.

    the bridge learned it ─> its VNI may advertise ─> it won its MAC ─> wanted ─> sent ─> confirmed, and to which peers

The first step that is missing is the reason. A MAC that only another VTEP of our segment has seen is listed as well, as this leaf advertises
it for that VTEP. Reads the stations of the RIB, the intent, and what the advertiser says of the routes of a
station. Decides nothing, and keeps nothing from one question to the next.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from vtep.addr import Ip, Mac, Vni
from vtep.config.model import VniConfig
from vtep.evpn.station import LocalClaim, Station
from vtep.intent import OwnKey, RowKey
from vtep.local.advertiser import Advertised
from vtep.observe.in_order import in_order
from vtep.observe.model import AdvertisingStatus, StationStatus
from vtep.observe.rows import Rows
from vtep.observe.source import Page
from vtep.observe.turns import ROWS_A_TURN, Turns

LOOKED_AT_MAX: Final = 5000
"""How many stations one page looks at."""

PROXY: Final = "as a proxy: another VTEP of the segment has seen it"

_FARTHEST_BEHIND: Final = ("refused", "waiting", "sent", "leaving", "confirmed")
"""The states of a route, the one first that says most about a station with several routes."""


class AdvertisedStations(Protocol):
    """What is advertised for a station."""

    def of_station(self, key: OwnKey) -> Advertised | None: ...


class _Nothing:
    def of_station(self, _: OwnKey) -> Advertised | None:
        return None


class StationList:
    """The stations of one leaf."""

    def __init__(self, rows: Rows, advertising: Callable[[], AdvertisingStatus]) -> None:
        self.advertised: AdvertisedStations = _Nothing()
        self._rows = rows
        self._advertising = advertising
        self._turns = Turns()

    async def page(self, vni: Vni | None, after: RowKey | None, most: int) -> Page[StationStatus, RowKey]:
        """Return the stations after a key in the order of VNI and MAC, at most so many."""
        keys = [key for key in self._keys() if vni is None or key[0] == vni]
        rows: list[StationStatus] = []
        waiting: list[RowKey] = []
        async for key in in_order(keys, after, self._turns):
            waiting.append(key)
            is_full = len(rows) + len(waiting) >= min(most, LOOKED_AT_MAX)
            if is_full or len(waiting) == ROWS_A_TURN:
                rows += await self._turns.take(self._worded, waiting)
                waiting = []
            if is_full:
                return Page(rows, key, len(keys), self._rows.intent.generation)
        rows += await self._turns.take(self._worded, waiting)
        return Page(rows, None, len(keys), self._rows.intent.generation)

    def station(self, vni: Vni, mac: Mac) -> StationStatus | None:
        """Return what is known of one station, or nothing if no bridge has learned it."""
        return next(iter(self._worded([(vni, mac)])), None)

    def _worded(self, keys: Iterable[RowKey]) -> list[StationStatus]:
        claims = (self._rows.leaf.rib.local_claim(*key) or self._synced(key) for key in keys)
        return [
            self._station(claim, self._rows.configured.get(claim.station.vni)) for claim in claims if claim is not None
        ]

    def _synced(self, key: RowKey) -> LocalClaim | None:
        """Return a MAC that another VTEP of our segment has seen, as it would be as a station."""
        row = self._rows.intent.synced.get(key)
        if row is None:
            return None
        return LocalClaim(Station(*key, row.port, row.sticky, hosts=frozenset(row.hosts)), row.seq)

    def _station(self, claim: LocalClaim, configured: VniConfig | None) -> StationStatus:
        state, why, since, vtep = self._state(claim, configured)
        return StationStatus(
            vni=claim.station.vni,
            mac=claim.station.mac,
            port=claim.station.port,
            vlan=None if configured is None else configured.vlan,
            hosts=tuple(sorted(claim.station.hosts, key=lambda ip: ip.order)),
            seq=claim.seq,
            sticky=claim.station.static,
            gateway=claim.station.gateway,
            state=state,
            reason=why,
            since=since,
            vtep=vtep,
        )

    def _keys(self) -> Iterator[RowKey]:
        for mac, found in self._rows.leaf.rib.index.local_claims.items():
            for vni in found:
                yield vni, mac
        for key, _ in self._rows.intent.synced.unordered():
            if self._rows.leaf.rib.local_claim(*key) is None:
                yield key

    def _state(self, claim: LocalClaim, configured: VniConfig | None) -> tuple[str, str, float | None, Ip | None]:
        """Return the state, why it is no further, since when, and behind which VTEP the MAC is instead."""
        vni, mac = key = claim.station.key
        row = self._rows.intent.macs.get(key)
        if row is not None:
            return "lost", row.reason, None, row.vtep
        if configured is None:
            return "not-advertised", "its VNI is not configured", None, None
        if vni not in self._rows.intent.announcing:
            return "not-advertised", self._why_not(configured), None, None
        keys: list[OwnKey] = [(vni, mac, None), *((vni, mac, ip) for ip in claim.station.hosts)]
        held = [one for own in keys if (one := self.advertised.of_station(own)) is not None]
        if not held:
            return "waiting", self._advertising().why, None, None
        first = min(held, key=lambda one: _FARTHEST_BEHIND.index(one.state))
        why = first.error or ("" if first.state == "confirmed" else self._advertising().why)
        if not why and self._rows.leaf.rib.local_claim(*key) is None:
            why = PROXY
        times = [one.since for one in held if one.since is not None]
        return first.state, why, max(times) if first.state == "confirmed" and times else None, None

    def _why_not(self, vni: VniConfig) -> str:
        """Say why a VNI advertises nothing."""
        if not vni.is_bound:
            return "its VNI has no bridge"
        if not vni.announce:
            return "announce = false"
        if reasons := self._rows.reasons(vni.vni):
            return f"VNI {vni.vni} is not ready: {', '.join(reasons)}"
        advertising = self._advertising()
        missing = [text for text in advertising.left_out if text.startswith(f"VNI {vni.vni} ")]
        return missing[0] if missing else advertising.why or "ExaBGP was not asked yet whether it can advertise"
