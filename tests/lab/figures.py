"""A daemon's status without a daemon: figures that a test writes, behind the protocols that readers and operators use.

Knows what a `Source` and `Controls` promise, and keeps it with lists. Does not know who reads. The table is small and has
a row in every state; `macs` adds as many installed ones. `put`, `remove` and `record` change it and tell who watches.
"""

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, RouteDistinguisher, RouteTarget, Vni
from vtep.errors import UsageError
from vtep.intent import HostKey, RowKey
from vtep.observe.history import History, HistoryEntry, RowsPoint
from vtep.observe.model import (
    CONTESTED,
    FAILED,
    INSTALLED,
    PENDING,
    STALE,
    SUPPRESSED,
    AdvertisingStatus,
    CandidateStatus,
    Comparison,
    Counts,
    DataplaneStatus,
    DeviceDifference,
    DeviceExplanation,
    DeviceWrite,
    Difference,
    Explanation,
    Explanations,
    FeedStatus,
    HostExplanation,
    HostExplanations,
    KernelRow,
    MacStatus,
    NeighborStatus,
    PeerStatus,
    Reporter,
    RouteStatus,
    RouteVerdict,
    StateFile,
    StationStatus,
    Status,
    Sync,
    VniStatus,
    VrfStatus,
    VtepStatus,
)
from vtep.observe.problems import Refusals
from vtep.observe.source import Batch, MacQuery, Page, RouteCursor, RouteQuery

BORN_AT: Final = 1_790_000_000.0
"""What time of day it was when the clock was 0."""
NOW: Final = 3600.0
BATCHES_KEPT: Final = 64

VNI_READY, VNI_NOT_READY, VNI_UNBOUND = Vni(100), Vni(200), Vni(300)
ONE, TWO = Ip.parse("10.0.0.1"), Ip.parse("10.0.0.2")
RD: Final = RouteDistinguisher.parse("10.0.0.1:100")
REFUSED_MAC: Final = Mac.parse("02:00:00:00:00:f1")


def row(number: int, state: str = INSTALLED, *, vni: Vni = VNI_READY, **fields: Any) -> MacStatus:
    """A row of the table: the MAC is the number; any field can be given, those of `Sync` as `sync=`."""
    since = NOW - 60 if state in {INSTALLED, STALE} else None
    plain = MacStatus(
        vni=vni,
        mac=Mac((0x02_00_00_00_00_00 + number).to_bytes(6)),
        vtep=ONE,
        vtep_vni=None,
        reason="only-path",
        seq=0,
        sticky=False,
        stale=state == STALE,
        peer=ONE,
        rd=RD,
        segment=None,
        notes=(),
        alerts=(),
        sync=Sync(state, since=since, generation=7 if since else 0),
    )
    return replace(plain, **fields)


TROUBLED: Final = (
    row(2, vtep=TWO, reason="higher-seq", seq=3, alerts=("dup-warn",)),
    row(3, FAILED, sync=Sync(FAILED, "retrying", "No buffer space available", 105, NOW + 4)),
    row(4, CONTESTED, sync=Sync(CONTESTED, "local-static", "a static entry of port veth3")),
    row(5, STALE, notes=("stale",)),
    row(6, SUPPRESSED, sync=Sync(SUPPRESSED, "permanent-error", "Operation not permitted", 1)),
    row(7, PENDING, sync=Sync(PENDING, "held")),
    row(8, sticky=True, reason="sticky", segment=Esi(b"\x00" * 9 + b"\x07"), vtep_vni=Vni(5000)),
    row(0x201, PENDING, vni=VNI_NOT_READY, sync=Sync(PENDING, "not-ready", "device-down")),
)


class Figures:
    """Source and Controls at once. `asked` has what an operator ordered."""

    def __init__(self, rows: Sequence[MacStatus], epoch: str = "b1e55ed0") -> None:
        self.epoch = epoch
        self.now = NOW
        self.asked: list[tuple[Any, ...]] = []
        self.comparison = Comparison((), 0, len(rows), 7)
        self.revision = 0
        self.is_prepared = False
        self._rows = {(row.vni, row.mac): row for row in rows}
        self._order = sorted(self._rows)
        self._hosts = {(host.vni, host.ip): host for host in _hosts(rows)}
        self._history = History()
        self._batches: deque[Batch] = deque(maxlen=BATCHES_KEPT)
        self._news = asyncio.Event()
        self._given: dict[str, Any] = {}
        self._log_level = "info"

    # What a test does

    def become(self, **fields: Any) -> None:
        """Say something else from now on in these fields of `Status`."""
        self._given |= fields

    def put(self, *rows: MacStatus) -> None:
        for row in rows:
            key = (row.vni, row.mac)
            if key not in self._rows:
                insort(self._order, key)
            self._rows[key] = row
        self._tell(macs=rows)

    def remove(self, *keys: RowKey) -> None:
        for key in keys:
            del self._rows[key]
            del self._order[bisect_left(self._order, key)]
        self._tell(gone=keys)

    def record(self, *entries: HistoryEntry) -> None:
        self._tell(entries=[self._history.add(entry, self.now, 7) for entry in entries])

    def forget(self) -> None:
        """Lose what was told, so that whoever did not read it yet has lagged."""
        self._batches.clear()

    def _tell(self, **news: Any) -> None:
        self.revision += 1
        self._batches.append(Batch(self.revision, **news))
        news_before, self._news = self._news, asyncio.Event()
        news_before.set()

    # Source

    def wall(self, time: float) -> float:
        return BORN_AT + time

    def clock(self, wall: float) -> float:
        return wall - BORN_AT

    def status(self) -> Status:
        counts = _counts(self._rows.values())
        troubles = {
            state: count for state in (PENDING, FAILED, CONTESTED, SUPPRESSED) if (count := getattr(counts, state))
        }
        plain = Status(
            version="0.1.0",
            generation=7,
            complete=True,
            why="every peer has sent all its routes",
            macs=len(self._rows),
            feed=FeedStatus(
                reporters=(Reporter("r1", "10.0.0.1", "", 2, {}),),
                ignored={"pre-policy": 3},
                attached=True,
                lines=1234,
                bad_lines=1,
                last_line=self.now - 1,
                peers=PEERS if troubles else tuple(replace(peer, up=True, reason="", stale=0) for peer in PEERS),
                awaited=2,
            ),
            announcing=AdvertisingStatus(
                "able",
                wanted=7,
                told=4,
                waiting=2,
                refused=1 if troubles else 0,
                error="no neighbor matches" if troubles else "",
                since=self.now - 60,
                left_out=("VNI 300 announces nothing without one (rd)",),
            ),
            dataplane=DataplaneStatus(
                "on",
                "",
                {VNI_NOT_READY: ("device-down",)} if troubles else {},
                generation=7,
                passes=3,
                troubles=troubles,
                converged=not troubles,
                settled=not troubles.get(PENDING),
                audited=self.now - 10,
                repaired=2,
                orphans=1,
                differences={("mac", "observed-half"): 1} if troubles else {},
            ),
            state_files=(StateFile("ledger", 4096, 50), StateFile("announced", 300, 2)),
            kinds={"mac": counts, "flood": Counts(2, 2), "neighbor": Counts(len(self._hosts), len(self._hosts))},
            admin=("unix:/run/vtep/admin.sock",),
            events=self._history.number,
            refusals=(Refusals("10.0.0.1", 0, "unknown-vni", 4), Refusals("10.0.0.2", 100, "rt-mismatch", 2))
            if troubles
            else (),
        )
        return replace(plain, **self._given)

    async def prepare(self) -> None:
        self.is_prepared = True

    def vnis(self) -> Sequence[VniStatus]:
        return [
            self._vni(VNI_READY, "ready", ()),
            self._vni(VNI_NOT_READY, "not-ready", ("device-down",)),
            self._vni(VNI_UNBOUND, "unbound", ()),
        ]

    def _vni(self, vni: Vni, state: str, reasons: tuple[str, ...]) -> VniStatus:
        rows = [row for row in self._rows.values() if row.vni == vni]
        device = state != "unbound"
        return VniStatus(
            vni=vni,
            bridge=f"br{vni}" if device else "",
            vxlan=f"vxlan{vni}" if device else "",
            vtep=Ip.parse("10.0.0.99"),
            state=state,
            reasons=reasons,
            notes=(),
            import_rt=(f"65000:{vni}",),
            export_rt=(f"65000:{vni}",),
            macs=_counts(rows),
            macs_stale=sum(row.stale for row in rows),
            vteps=len({row.vtep for row in rows}),
            neighbors=sum(host.vni == vni for host in self._hosts.values()),
            duplicates=sum("dup-warn" in row.alerts for row in rows),
        )

    def macs(self, query: MacQuery, after: RowKey | None, most: int) -> Page[MacStatus, RowKey]:
        """Look at as many rows as may be told, so that a filter makes short pages, and empty ones."""
        assert self.is_prepared, "prepare() comes before pages"
        start = bisect_right(self._order, after) if after is not None else 0
        keys = self._order[start : start + most]
        rows = [row for row in map(self._rows.__getitem__, keys) if _is_asked_for(row, query)]
        last = keys[-1] if start + most < len(self._order) else None
        return Page(rows, last, len(self._order), 7)

    routed: tuple[VrfStatus, ...] = ()

    def vrfs(self) -> Sequence[VrfStatus]:
        return self.routed

    def vteps(self, vni: Vni | None) -> Sequence[VtepStatus]:
        found = Counter((row.vni, row.vtep) for row in self._rows.values())
        return [
            VtepStatus(*key, macs, flood=key[1] == ONE, sync=Sync(INSTALLED, since=NOW - 60) if key[1] == ONE else None)
            for key, macs in sorted(found.items())
            if vni in {None, key[0]}
        ]

    def neighbors(self, query: MacQuery, after: HostKey | None, most: int) -> Page[NeighborStatus, HostKey]:
        keys = [key for key in sorted(self._hosts) if after is None or key > after]
        rows = [self._hosts[key] for key in keys[:most] if query.vni in {None, key[0]}]
        return Page(rows, keys[most - 1] if len(keys) > most else None, len(self._hosts), 7)

    async def routes(self, query: RouteQuery, after: RouteCursor | None, most: int) -> Page[RouteStatus, RouteCursor]:
        start = 0 if after is None else int.from_bytes(after.key) + 1
        rows = ADVERTISED if query.advertised else ROUTES
        last = start + most - 1
        cursor = RouteCursor(ONE, 0, last.to_bytes(4)) if last + 1 < len(rows) else None
        meant = [
            row
            for row in rows[start : start + most]
            if not query.refused or row.state == "refused" or any(one.verdict == "refused" for one in row.verdicts)
        ]
        return Page(meant, cursor, len(rows), 7)

    async def stations(self, vni: Vni | None, after: RowKey | None, most: int) -> Page[StationStatus, RowKey]:
        keyed = [
            ((one.vni, one.mac), one)
            for one in STATIONS
            if vni in (None, one.vni) and (after is None or (one.vni, one.mac) > after)
        ]
        last = keyed[most - 1][0] if len(keyed) > most else None
        return Page([one for _, one in keyed[:most]], last, len(STATIONS), 7)

    async def explain(self, mac: Mac, vni: Vni | None) -> Explanations:
        rows = [row for row in self._rows.values() if row.mac == mac and vni in {None, row.vni}]
        if rows:
            return Explanations(tuple(_explained(row) for row in rows))
        is_refused = mac == REFUSED_MAC and vni in {None, VNI_READY}
        return Explanations((_REFUSED if is_refused else _unheard(mac, vni),))

    async def explain_host(self, ip: Ip, vni: Vni | None) -> HostExplanations:
        host = next((host for key, host in self._hosts.items() if key[1] == ip and vni in (None, key[0])), None)
        return HostExplanations(
            (
                HostExplanation(
                    vni or VNI_READY, ip, "In a sentence.", "", host and host.mac, host and ONE, host, None, ROUTES[:1], (), "yes",
                    "ready",
                ),
            )
        )  # fmt: skip

    async def explain_device(self, name: str) -> DeviceExplanation:
        if name != "vxlan100":
            raise UsageError(f"device: {name} is neither a MAC nor an IP address")
        return DeviceExplanation(
            name, f"{name} is not as wanted: mtu 1500", "see: vtep devices plan", "made", self.now - 61, "vxlan id 100 dstport 4789",
            "vxlan id 100 dstport 4789", "",
            (DeviceDifference("mtu 1500 -> 1450", f"ip link set dev {name} mtu 1450", "failed", "EBUSY", self.now + 3),),
            ("learning off",), (VNI_READY,), 3, ("VNI 100: it is down",),
            DeviceWrite(self.now - 5, f"ip link set dev {name} up"), DeviceWrite(self.now - 2, f"ip link set dev {name} mtu 1450", 16, "busy"),
        )  # fmt: skip

    def points(self) -> Sequence[RowsPoint]:
        return [RowsPoint(self.now - 600 + 10 * number, 20, number // 3) for number in range(60)]

    def entries(
        self, *, after: int = 0, since: float | None = None, latest: int | None = None
    ) -> tuple[Sequence[HistoryEntry], int]:
        return self._history.entries(after=after, since=since, latest=latest)

    def entries_of(self, mac: Mac) -> Sequence[HistoryEntry]:
        return self._history.entries_of(mac)

    async def diff(self, vni: Vni | None, older_than_s: float = 0.0) -> Comparison:
        differences = tuple(found for found in self.comparison.differences if vni in {None, found.vni})
        return replace(self.comparison, differences=differences)

    async def batches(self, after: int) -> AsyncIterator[Batch | None]:
        while True:
            oldest = self._batches[0].revision if self._batches else self.revision + 1
            if not oldest - 1 <= after <= self.revision:
                after = self.revision
                yield None
            elif after < self.revision:
                batch = self._batches[after + 1 - oldest]
                after = batch.revision
                yield batch
            else:
                await self._news.wait()

    # Controls

    def resync(self, *, peers: bool = False) -> None:
        self.asked.append(("resync", peers))

    async def adopt(
        self, vni: Vni | None, *, dry_run: bool = False, foreign: bool = False, remove_unwanted: bool = False
    ) -> Sequence[tuple[Vni, Mac, Ip | None]]:
        self.asked.append(("adopt", vni, dry_run, foreign, remove_unwanted))
        return [(VNI_READY, Mac.parse("02:00:00:00:00:aa"), TWO)] if vni in {None, VNI_READY} else []

    def clear_duplicate(self, mac: Mac, vni: Vni | None) -> int:
        self.asked.append(("clear_duplicate", mac, vni))
        return sum("dup-warn" in row.alerts and row.mac == mac for row in self._rows.values())

    def set_log_level(self, level: str) -> str:
        if level not in {"debug", "info", "warning", "error"}:
            raise ValueError(f"{level!r} is no log level (debug, info, warning or error)")
        self.asked.append(("set_log_level", level))
        before, self._log_level = self._log_level, level
        return before


PEERS: Final = (
    PeerStatus(ONE, up=True, ended=True, routes=9, stale=0, limited=0, refresh="", reason="", opened=NOW - 600),
    PeerStatus(TWO, up=False, ended=False, routes=0, stale=1, limited=0, refresh="", reason="hold timer expired"),
)


_RD: Final = RouteDistinguisher.parse("10.0.0.1:100")
ROUTES: Final = (
    *(
        RouteStatus(
            type=2, rd=_RD, peer=ONE, mac=Mac(b"\x02\0\0\0\0" + bytes((number,))), vtep=ONE, label=100, state="current",
            targets=(RouteTarget.parse("65000:100"),), verdicts=(RouteVerdict(VNI_READY, "won", "only-path"),),
        )
        for number in range(1, 5)
    ),
    RouteStatus(
        type=2, rd=_RD, peer=TWO, mac=Mac(b"\x02\0\0\0\0\x99"), vtep=TWO, label=100, state="stale",
        targets=(RouteTarget.parse("65000:999"),),
        verdicts=(RouteVerdict(VNI_READY, "refused", "rt-mismatch", "Its label is a VNI of ours."),),
    ),
    RouteStatus(type=3, rd=_RD, peer=ONE, originator=ONE, vtep=ONE, label=100, state="current"),
)  # fmt: skip
ADVERTISED: Final = (
    RouteStatus(
        type=3, rd=_RD, advertised=True, originator=ONE, vtep=ONE, label=100, state="confirmed", since=NOW - 30
    ),
    RouteStatus(
        type=2, rd=_RD, advertised=True, mac=Mac(b"\x02\0\0\0\0\x77"), label=100, state="refused", error="no neighbor"
    ),
)


STATIONS: Final = tuple(
    StationStatus(
        VNI_READY, Mac(b"\x02\0\0\0\1" + bytes((number,))), f"swp{number}", None, (), 0, False, False, state, why
    )
    for number, (state, why) in enumerate([("confirmed", ""), ("refused", "no neighbor"), ("lost", "higher-seq")], 1)
)


def figures(macs: int = 0, *, troubled: bool = True) -> Figures:
    """Make a table with one installed row and that many more; a `troubled` one has a row in every other state."""
    more = (row(0x1_0000 + number) for number in range(macs))
    filled = Figures([row(1), *(TROUBLED if troubled else ()), *more])
    if troubled:
        filled.comparison = Comparison(DIFFERENCES, 0, len(TROUBLED) + macs + 1, 7)
    happened = (
        HistoryEntry("peer-up", peer=ONE),
        HistoryEntry(
            "move", VNI_READY, TROUBLED[0].mac, TWO, ONE, TWO, "higher-seq", "moved from 10.0.0.1 to 10.0.0.2"
        ),
        HistoryEntry("contested", VNI_READY, TROUBLED[2].mac, reason="local-static"),
    )
    for entry in happened:
        filled._history.add(entry, NOW - 30, 6)
    return filled


DIFFERENCES: Final = (
    Difference("mac", VNI_READY, str(TROUBLED[1].mac), "missing", "10.0.0.1", "", "retrying"),
    Difference("mac", VNI_READY, str(TROUBLED[2].mac), "contested", "10.0.0.1", "port veth3", "local-static"),
)


def _counts(rows: Iterable[MacStatus]) -> Counts:
    states = Counter(row.sync.state for row in rows)
    installed = states[INSTALLED] + states[STALE]
    return Counts(states.total(), installed, states[FAILED], states[CONTESTED], states[SUPPRESSED])


def _is_asked_for(row: MacStatus, query: MacQuery) -> bool:
    return (
        query.vni in {None, row.vni}
        and query.vtep in {None, row.vtep}
        and (not query.states or row.sync.state in query.states)
    )


def _hosts(rows: Sequence[MacStatus]) -> list[NeighborStatus]:
    return [
        NeighborStatus(row.vni, Ip(b"\xac\x10" + row.mac[4:]), row.mac, False, row.peer, row.rd, (), row.sync)
        for row in rows
        if row.mac[3] == 0
    ]


def _explained(row: MacStatus) -> Explanation:
    is_there = row.sync.state in {INSTALLED, STALE}
    holder = row.sync.reason if row.sync.state == CONTESTED else ""
    won = _candidate(row.vni, row.vtep, "won", row.reason, "the only path", row.seq)
    return Explanation(
        vni=row.vni,
        mac=row.mac,
        summary=f"{row.sync.state} behind {row.vtep}" + (f": {row.sync.text}" if row.sync.text else ""),
        advice="" if is_there else "see docs/reasons.md",
        candidates=(won, _candidate(row.vni, TWO, "lost", "lower-vtep", "10.0.0.1 is lower", 0)),
        desired=row,
        ownership="owned" if is_there else "none",
        owned_since=row.sync.since,
        kernel=KernelRow(
            "ours" if is_there else "foreign" if holder else "absent", row.vtep if is_there else None, holder, NOW - 5
        ),
        alerts=row.alerts,
        vni_state="ready" if row.vni == VNI_READY else "not-ready",
        vni_reasons=() if row.vni == VNI_READY else ("device-down",),
    )


def _unheard(mac: Mac, vni: Vni | None) -> Explanation:
    summary = "no peer advertises it"
    return Explanation(vni or Vni(0), mac, summary, "look at the peers", (), None, "none", None, KernelRow("absent"))


def _candidate(vni: Vni, vtep: Ip, verdict: str, reason: str, text: str, seq: int) -> CandidateStatus:
    targets = (RouteTarget.parse("65000:100"),)
    return CandidateStatus(
        vni, vtep, verdict, reason, text, seq, False, False, vtep, RD, None, NO_SEGMENT, int(vni), targets
    )


_REFUSED: Final = Explanation(
    vni=VNI_READY,
    mac=REFUSED_MAC,
    summary="refused: its Route Targets are not VNI 100's",
    advice="compare import_rt with the peer's export",
    candidates=(_candidate(VNI_READY, TWO, "refused", "rt-mismatch", "its Route Targets are not VNI 100's", 0),),
    desired=None,
    ownership="none",
    owned_since=None,
    kernel=KernelRow("absent", seen=NOW - 5),
    vni_state="ready",
)
