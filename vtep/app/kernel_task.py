"""The tasks at the kernel's side: open it, follow its events, keep it equal to the intent, say what each pass found.

    intent ──follow──▶ actor ──messages──▶ kernel
                        │ ▲                  │
              outcomes  │ └──────hints───────┘ events
                        ▼
                      report ──▶ log, observer, and the next round of the feed task

Exists only where the configuration has a bound VNI; otherwise no netlink socket is opened and no file of claims either.
Knows devices and routes by what the parts below say of them: the actor decides when to look, the engine what to write.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from vtep import logs
from vtep.addr import Esi, Mac, Prefix, Vni
from vtep.app.drain import drain
from vtep.app.own_prefixes import OwnPrefixes
from vtep.app.pass_log import PassLog
from vtep.app.requests import Requests
from vtep.app.state import StateDirectory
from vtep.app.underlay_task import UnderlayTask
from vtep.config.model import Config, SegmentConfig
from vtep.errors import KernelError
from vtep.intent import HostKey, Intent, PortFilterKey, RowKey
from vtep.linux.events import EVERYTHING, ROWS
from vtep.linux.kernel import Kernel
from vtep.linux.ledger import LedgerFile, this_place
from vtep.linux.nexthop_events import NexthopEvents
from vtep.linux.nftables import FilterEvents
from vtep.linux.routing_events import RoutingEvents
from vtep.linux.tables.all import KINDS, WRITTEN
from vtep.linux.tables.fdb import FDB, names_group
from vtep.linux.tables.fdb_nexthop import FDB_GROUP, FDB_NEXTHOP
from vtep.linux.tables.neighbor import NEIGHBOR
from vtep.linux.tables.observed import compared
from vtep.linux.tables.port_filter import PORT_FILTER
from vtep.linux.tables.synced_mac import SYNCED_MAC
from vtep.linux.target import KernelTarget
from vtep.linux.wire.route import RoutingHints
from vtep.local.exports import LocalRouter
from vtep.local.segment_ports import PortSeen
from vtep.observe.observer import Observer
from vtep.reconcile.actor import Actor, Outcome
from vtep.reconcile.claims import Claim, Claims, Ledger
from vtep.reconcile.contract import readable
from vtep.reconcile.engine import Engine

STALLED_S_MAX: Final = 30.0
"""Longer than any step of a pass takes, the dump of a full table included."""
CAP_NET_ADMIN: Final = 12
MOVED_HOSTS_MAX: Final = 4096
"""Addresses of stations that came here and whose rows are not gone yet. Those beyond are known when their hosts speak."""

NEXTHOPS_SETTLE_S: Final = 0.1
"""How long what happens to nexthops is gathered, because a flush removes many of them."""
SURVEY_AGAIN_S: Final = 1.0
SURVEY_SHARE: Final = 50
"""An observer dumps the tables at most for a fiftieth of the time."""
UNREADABLE: Final = frozenset(kind.name for kind in KINDS if readable(kind) is None)

log = logging.getLogger("vtep")


class KernelTask:
    """The kernel of this leaf, with the claims and the actor that keeps it."""

    def __init__(self, kernel: Kernel, ledger: Ledger, config: Config, clock: Callable[[], float]) -> None:
        self.observes = config.node.mode == "observe"
        self.target = KernelTarget(kernel, config.vnis, clock, config.vrfs, config.segments, observes=self.observes)
        self.look_at_underlay: Callable[[], None] = lambda: None
        """Look soon whether packets reach the remote VTEPs."""
        kinds = compared() if self.observes else WRITTEN
        self.actor = Actor(Engine(kinds, self.target, ledger, random.random, observes=self.observes), clock)
        self._kernel = kernel
        self._clock = clock
        self._ledger = ledger
        self._config = config
        self._applied = True
        """The target knows the latest configuration."""
        self._routing: RoutingEvents | None = None
        self._nexthop_events: NexthopEvents | None = None
        self._touched_nexthops: set[int] = set()
        """Those that another program wrote or removed, until they are looked at together."""
        self._gone_nexthops: set[int] = set()
        self._settling: asyncio.TimerHandle | None = None
        self._losing: asyncio.Task[None] | None = None
        """Goes through the claims for rows that went with their groups."""
        self._own_prefixes = OwnPrefixes(kernel, clock)
        self._filter_events: FilterEvents | None = None
        self._filtered: dict[Esi, tuple[Outcome, tuple[PortFilterKey, ...], bool]] = {}
        """Whether the kernel has the filters of each of our segments, after which outcome, and of which ports."""
        self._nudge: Callable[[], None] = lambda: None
        self.ask_for: Callable[[Iterable[HostKey]], None] = lambda _: None
        """Called with the addresses of a station that came here, when the rows of the leaf before it are gone."""
        self._moved_hosts: dict[HostKey, None] = {}
        """Those whose rows are not gone yet."""
        self._followed: Intent | None = None
        self._unread = False
        """Of an observer: rows that only a dump shows have changed."""

    @property
    def claims(self) -> Mapping[RowKey, Claim]:
        """The rows in the forwarding table that are ours."""
        return self._ledger.claims(KINDS[0].name)

    @property
    def own_macs(self) -> frozenset[Mac]:
        """The MACs of the bridges and devices themselves."""
        return self.target.own_macs

    @property
    def ungrouped(self) -> frozenset[Vni]:
        """The VNIs in which no row may name a group of nexthops."""
        return self.target.ungrouped

    @property
    def own_hosts(self) -> frozenset[HostKey]:
        """The addresses of the bridges, by VNI."""
        return self.target.own_hosts

    @property
    def was_read(self) -> bool:
        """Whether a pass has read the kernel since the start."""
        return self.actor.outcomes.value.report is not None

    @property
    def stalled(self) -> bool:
        """Whether a pass makes no progress, or the kernel could not be read, for so long that a restart may help."""
        return self.actor.stalled_s >= STALLED_S_MAX

    def is_ready(self, vni: Vni) -> bool:
        return self.actor.engine.is_ready(vni)

    def reconfigure(self, config: Config) -> None:
        """Take a changed configuration. The target gets it with an intent that was judged by it (`follow`)."""
        self._config = config
        self._applied = False
        self._filtered.clear()
        self._own_prefixes.suspect()

    def follow(self, intent: Intent, received_at: float | None, *, judged_all: bool) -> None:
        """Take the latest intent. The target takes a new configuration only after everything was judged by it.

        Otherwise a row of an earlier daemon, in a VNI that is new here, would be removed and then written again.
        """
        self.actor.offer(intent, received_at)
        if intent is not self._followed:
            self._followed = intent
            room = MOVED_HOSTS_MAX - len(self._moved_hosts)
            moved = (key for key in intent.touched_hosts if _is_host_of_own(intent, key))
            self._moved_hosts |= dict.fromkeys(islice(moved, room))
        if self.observes and not self._unread:
            self._unread = any(any(True for _ in kind.touched(intent)) for kind in KINDS if kind.name in UNREADABLE)
        if judged_all and not self._applied:
            self._applied = True
            if self.target.reconfigure(self._config.vnis, self._config.vrfs, self._config.segments):
                self.actor.survey()
            else:
                # Rows can be only where they were, and a look at everything takes seconds on a device that many VNIs share.
                self.actor.look_around()
            self.follow_routing()
            self.follow_filters()
            self.look_at_underlay()

    def underlay(self, observer: Observer) -> UnderlayTask:
        """Open what looks at the underlay. The caller closes it."""
        task = UnderlayTask(self.target.underlay, observer.reached, observer.note_underlay, self._clock)
        self.look_at_underlay = task.wake
        return task

    def follow_routing(self) -> None:
        """Receive what others do to the routes and nexthops of our VRFs, if there are any."""
        if self._routing is None and self._config.vrfs:
            self._routing = self._kernel.routing_events(observes=self.observes)
            asyncio.get_running_loop().add_reader(self._routing.fileno(), self._take_routing_hints, self._routing)

    def follow_nexthops(self) -> None:
        """Receive what others do to nexthops, because the rows that name them go without an event."""
        self._nexthop_events = events = self._kernel.nexthop_events()
        asyncio.get_running_loop().add_reader(events.fileno(), self._take_nexthop_hints, events)

    def _take_nexthop_hints(self, events: NexthopEvents) -> None:
        """Note the nexthops that another program wrote or removed, and look at them soon.

        A flush removes them one by one. A group that is made again before its members are gone as well would be refused, and its
        retry comes a second later.
        """
        hints = events.drain()
        if self.observes:
            self._unread = True  # another program's group may have other members
            return
        if hints.overrun:
            self.actor.survey()
            return
        has = self.actor.engine.has
        ours = {number for number in hints.numbers if has(FDB_NEXTHOP.name, number) or has(FDB_GROUP.name, number)}
        self._touched_nexthops |= ours
        self._gone_nexthops |= hints.gone & ours
        if ours and self._settling is None:
            loop = asyncio.get_running_loop()
            self._settling = loop.call_later(NEXTHOPS_SETTLE_S, self._look_at_nexthops)

    def _look_at_nexthops(self) -> None:
        """Look at the nexthops of FDB rows among those that were noted, and have the rows of a lost group made again."""
        numbers, gone = self._touched_nexthops, self._gone_nexthops
        self._touched_nexthops, self._gone_nexthops, self._settling = set(), set(), None
        engine = self.actor.engine
        kinds = (FDB_NEXTHOP.name, FDB_GROUP.name)
        known = {kind: [number for number in numbers if engine.has(kind, number)] for kind in kinds}
        if any(known.values()):
            self.actor.hint(known)
        if lost := frozenset(gone.intersection(known[FDB_GROUP.name])):
            self._losing = asyncio.get_running_loop().create_task(self._lose_rows(lost, self._losing))

    async def _lose_rows(self, groups: frozenset[int], before: asyncio.Task[None] | None) -> None:
        """Have the rows of these groups made again: the kernel removed them with the groups."""
        if before is not None:
            await before
        for part in self._ledger.claims(FDB.name).shards:
            self.actor.lose(FDB.name, [key for key, claim in part.items() if names_group(claim.row, groups)])
            await asyncio.sleep(0)

    def follow_filters(self) -> None:
        """Receive what others do to the filters of our segments, if a segment has a port."""
        if self._filter_events is not None or not any(one.port for one in self._config.segments):
            return
        try:
            self._filter_events = self._kernel.filter_events()
        except KernelError as error:
            logs.event(log, logging.ERROR, "filters cannot be followed", why=error)
            return
        asyncio.get_running_loop().add_reader(self._filter_events.fileno(), self._take_filter_hints)

    def _take_filter_hints(self) -> None:
        """Look at everything, if another program changed our tables: filters cannot be looked up one by one."""
        if self._filter_events is not None and self._filter_events.drain():
            self.actor.survey()

    def port_of(self, segment: SegmentConfig) -> PortSeen:
        """Return how the port of a segment is, and whether its filters are in the kernel."""
        ports = self.target.segment_ports.get(segment.esi, ())
        up = bool(ports) and self._kernel.is_running(segment.port)
        confirmed = segment.filter == "none" or self._are_filtered(segment.esi, ports)
        reaches_fabric = not segment.uplinks or any(map(self._kernel.is_running, segment.uplinks))
        return PortSeen(up, ports, confirmed, reaches_fabric)

    def _are_filtered(self, segment: Esi, ports: tuple[PortFilterKey, ...]) -> bool:
        """Tell whether the kernel has these filters. Only a pass changes that, and a port may be in thousands of VNIs."""
        outcome, known = self.actor.outcomes.value, self._filtered.get(segment)
        if known is None or known[0] is not outcome or known[1] is not ports:
            known = self._filtered[segment] = (outcome, ports, all(map(self._is_filtered, ports)))
        return known[2]

    def _is_filtered(self, key: PortFilterKey) -> bool:
        known = self.actor.engine.known_of(PORT_FILTER.name, key)
        return known.claim is not None and known.claim.confirmed and known.trouble is None

    def close(self) -> None:
        """Receive no more of that."""
        if self._filter_events is not None:
            asyncio.get_running_loop().remove_reader(self._filter_events.fileno())
            self._filter_events.close()
            self._filter_events = None
        if self._nexthop_events is not None:
            asyncio.get_running_loop().remove_reader(self._nexthop_events.fileno())
            self._nexthop_events.close()
            self._nexthop_events = None
        if self._settling is not None:
            self._settling.cancel()
        if self._losing is not None:
            self._losing.cancel()
        if self._routing is not None:
            asyncio.get_running_loop().remove_reader(self._routing.fileno())
            self._routing.close()
            self._routing = None

    def follow_services(self, ready: Callable[[], Mapping[Vni, frozenset[Prefix]]]) -> None:
        """Have the prefixes of anycast services count as reached while they are ready."""
        self._own_prefixes.services = ready

    def routers(self) -> Mapping[Vni, LocalRouter]:
        """Return the VRFs that are ready, with the prefixes of their tables that the configuration has advertised."""
        return self._own_prefixes.latest(self.target.vrfs, {vrf.vni: vrf for vrf in self._config.vrfs})

    def _take_routing_hints(self, events: RoutingEvents) -> None:
        """Look at everything, if something of a VRF went that is known: rows of these kinds cannot be looked up one by one."""
        hints = events.drain()
        if self.observes:
            self._unread |= self._concerns_observed(hints)
            return
        if hints.overrun or any(self._may_be_advertised(table, protocol) for table, _, protocol in hints.routes):
            self._own_prefixes.suspect()
        if self.target.concerns_routing(hints, self.actor.engine.has):
            self.actor.survey()

    def _concerns_observed(self, hints: RoutingHints) -> bool:
        """Tell whether anything changed that an observer may compare; which row it is, the next dump tells."""
        vrfs = self.target.vrfs
        return (
            hints.overrun
            or bool(hints.nexthops)
            or any(vrfs.vni_of_table(table) is not None for table, _, _ in hints.routes)
            or any(vrfs.vni_of_device(device) is not None for device, _ in hints.neighbors)
        )

    def _may_be_advertised(self, table: int, protocol: int) -> bool:
        vni = self.target.vrfs.vni_of_table(table)
        return any(vrf.vni == vni and protocol in vrf.redistribute for vrf in self._config.vrfs)

    async def look_again(self) -> None:
        """Of an observer: dump the tables again after rows that only a dump shows have changed, or while one is not as wanted."""
        rest_s = SURVEY_AGAIN_S
        while True:
            await asyncio.sleep(rest_s)
            troubles = self.actor.engine.troubles
            # There are few such rows among many MACs, and a row of such a kind is looked for until it is as wanted.
            if self._unread or any(kind in UNREADABLE for kind, _ in troubles):
                self._unread = False
                before = self.actor.audited
                self.actor.survey()
                while self.actor.audited == before:  # how long it worked is known at its end
                    await self.actor.outcomes.next()
            rest_s = max(SURVEY_AGAIN_S, SURVEY_SHARE * self.actor.swept_s)

    def drain(self, intent: Intent, clock: Callable[[], float]) -> None:
        if isinstance(self._ledger, LedgerFile):
            drain(self.actor.engine, self._ledger, intent, clock)

    async def report(self, observer: Observer, nudge: Callable[[], None]) -> None:
        """Log what each pass found, and tell the observer, until cancelled."""
        self._own_prefixes.nudge = nudge
        self._nudge = nudge
        last, lines = self.actor.outcomes.value, PassLog(self.actor.engine, self._clock)
        while True:
            try:
                async with asyncio.timeout(None if lines.due is None else max(0.0, lines.due - self._clock())):
                    outcome = await self.actor.outcomes.next()
            except TimeoutError:
                lines.flush()
                continue
            lines.see(last, outcome, self.target.faults)
            observer.note_outcome(outcome)
            last = outcome
            self._ask_for_moved()
            nudge()

    def _ask_for_moved(self) -> None:
        """Have the kernel ask for hosts that came here, once their remote neighbor rows are gone.

        Before that, the row of the other leaf would answer for them. A host that has left again meanwhile is not
        asked for.
        """
        gone = [key for key in self._moved_hosts if not self.actor.engine.has(NEIGHBOR.name, key)]
        for key in gone:
            del self._moved_hosts[key]
        intent = self._followed
        if asked := [key for key in gone if intent is not None and _is_host_of_own(intent, key)]:
            self.ask_for(asked)

    def take_hints(self, observer: Observer) -> None:
        """Read the kernel's events: they say where to look. Flood rows cannot be looked up one by one, only dumped."""
        hints = self._kernel.drain()
        observer.overruns += hints.overrun
        bounced = self.target.holds(hints.bounced)
        if hints.links_changed or hints.addresses_changed or hints.overrun or bounced:
            self._nudge()  # the carrier of a segment's port is read in each round
            self.actor.look_around()  # a pass under way looks as well, before its next batch
            self.look_at_underlay()
        floods = hints.has_floods
        if self.observes:
            routed = any(event.port in self.target.vrfs.devices for event in hints.keys)
            self._unread |= floods or routed or self.target.holds(frozenset(port for port, _ in hints.hosts))
        if hints.overrun or bounced or (floods and not self.observes):
            self.actor.survey()
            return
        if hints.news or hints.gone:
            news, gone = self.target.keys_of(hints.news), self.target.keys_of(hints.gone)
            self.actor.hint({KINDS[0].name: news}, {KINDS[0].name: gone})
            if synced := self._synced_among(news | gone):
                self.actor.hint({SYNCED_MAC.name: synced})

    def _synced_among(self, keys: Iterable[RowKey]) -> list[RowKey]:
        """Return the MACs among these that have a row at a port of a segment of ours, or should have one."""
        intent, claims = self._followed, self._ledger.claims(SYNCED_MAC.name)
        if intent is None or not (intent.synced or len(claims)):
            return []
        return [key for key in keys if key in intent.synced or key in claims]


@contextlib.asynccontextmanager
async def opened(
    config: Config, state: StateDirectory, observer: Observer, requests: Requests, clock: Callable[[], float]
) -> AsyncIterator[KernelTask | None]:
    """Open the kernel and the claims; None if no VNI is bound and there is no VRF."""
    if not is_bound(config):
        yield None
        return
    events = EVERYTHING if config.node.mode == "observe" else ROWS
    with Kernel(events) as kernel, claims_of(config, state) as ledger:
        task = KernelTask(kernel, ledger, config, clock)
        observer.attach(task.actor, task.target, task.target.message_s)
        observer.may_write = task.observes or may_administer()
        observer.observes = task.observes
        requests.attach(task.actor)
        loop = asyncio.get_running_loop()
        loop.add_reader(kernel.events_fileno(), task.take_hints, observer)
        try:
            task.follow_routing()
            task.follow_nexthops()
            task.follow_filters()
            yield task
        finally:
            task.close()
            loop.remove_reader(kernel.events_fileno())


def _is_host_of_own(intent: Intent, key: HostKey) -> bool:
    """Return whether an address has no row because its MAC is a station of ours."""
    refused = intent.refused_hosts.get(key[1], ())
    return any(one.vni == key[0] and one.reason == "local-mac" for one in refused)


@contextlib.contextmanager
def claims_of(config: Config, state: StateDirectory) -> Iterator[Ledger]:
    """Open the claims: of an observer, which owns nothing, they are only what it has seen as wanted."""
    if config.node.mode == "observe":
        yield Claims(KINDS)
        return
    with contextlib.closing(open_ledger(state)) as ledger:
        yield ledger


def is_bound(config: Config) -> bool:
    """Whether there is anything to write to the kernel."""
    return bool(config.vrfs) or any(vni.is_bound for vni in config.vnis)


def open_ledger(state: StateDirectory) -> LedgerFile:
    """Read the claims of an earlier daemon."""
    here = this_place()
    return state.open("ledger", lambda path, afresh: LedgerFile(path, KINDS, here, afresh=afresh), "ledger refused")


def may_administer() -> bool:
    """Tell whether this process may write to the kernel's tables."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as lines:  # noqa: PTH123
        held = next((line.split()[1] for line in lines if line.startswith("CapEff:")), "0")
    return bool(int(held, 16) >> CAP_NET_ADMIN & 1)
