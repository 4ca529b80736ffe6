"""Follows what the bridges of this leaf learn, and reports it: stations that come, move, are learned again, change or go.

    events of the kernel ──▶ keys ──▶ rows read back ──┐
    devices or addresses that changed ──▶ a dump ──────┼──▶ Stations ──▶ news, a portion at a time ──▶ leaf
    once a minute: every station that is known ────────┘

**Events only name keys.** The kernel reports a row of the bridge's table whenever it learns, moves or forgets a MAC, but an
event can be lost, and it can be older than what is there now. So an event only says where to look, and what is reported is
the row that is read back. An event still means something that the row does not show: the bridge saw a frame of this station
just now. Only a station with an event, or a new one, counts as learned (`Stations.learn`); a row that is merely read, and
that is as it was, is no news (`Stations.see`).

**VLANs.** A port may have several VLANs, each of another VNI. So a dump of a port is made once, and each of its rows leads to
a VNI by the bridge and the VLAN.

**Dumps.** Access ports are dumped when the watcher starts, when a bridge, its ports or addresses change, when events were
lost, and with every tenth audit. Ports are dumped one by one, because a dump of a whole bridge is slow when it has many
remote MACs (kernel 6.18: quadratic). A dump during which rows are deleted can miss rows that exist, so it is repeated until
it shows nothing new, and stations that it lacks are read back one by one before they count as gone.

**Audits.** Once a minute every known station is read back: no event says that another program replaced its row.

**After lost events** (an overrun of the socket) it is not known which stations were learned meanwhile. Every station that
the next dump shows then counts as learned, because a leaf that advertises a station once too often does no harm, and one
that misses a move black-holes it.

**Portions.** Events, rows, stations and news are handled at most AT_ONCE at a time, and the event loop gets its turn in
between. A dump runs in a thread.

**Addresses that came along.** A machine that moves here brings its addresses, and says so at most once, while this leaf still has the
rows of the leaf before; the kernel ignores what it says then. So once those rows are gone, `ask_for` has the kernel ask for each
address. Only an answer makes it an address of a station here.

The watcher has a netlink socket of its own, so that it never waits for the task that writes rows, and has none while no VNI is
to be advertised. It knows neither routes nor the rows that this leaf writes.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import inf
from typing import Any, Final, Protocol, TypeVar

from vtep import logs
from vtep.addr import ZERO_MAC, Ip, Vni
from vtep.config.model import VniConfig
from vtep.errors import KernelError
from vtep.intent import HostKey, RowKey
from vtep.linux.attachment import StationEvents, station_rows
from vtep.linux.devices import Address, Links
from vtep.linux.events import Hints
from vtep.linux.wire.neighbor import NTF_USE, Entry, Lookup, Neighbor, Refusal, Verb
from vtep.linux.wire.tlv import AF_INET, AF_INET6
from vtep.local.stations import Access, HostRow, News, Stations, accesses, host_mac, is_watched, location_of
from vtep.reconcile.actor import elsewhere

AT_ONCE: Final = 256
"""Events, rows or stations that are handled between two turns of the event loop: about 2 ms of work."""
AUDIT_S: Final = 60.0
"""So often each known station is read back, because the end of a row may have had no event that we saw."""
SURVEY_EVERY: Final = 10
"""One audit in so many is a dump: no event names a station that an earlier dump missed."""
RETRY_S: Final = 1.0
"""The pause after the kernel could not be read."""
DUMPS_MAX: Final = 5
"""A dump that shows new rows is repeated, so often at most, because a single dump can miss rows that exist."""

_NO_HINTS: Final = Hints()

T = TypeVar("T")

log = logging.getLogger("vtep")


class KernelReader(Protocol):
    """What the watcher needs of a kernel: `linux.socket.Kernel`, or `linux.memory.MemoryKernel` in tests."""

    def links(self) -> Links: ...
    def addresses(self) -> list[Address]: ...
    def rows(self, bridges: Iterable[int], ports: Iterable[int] = ()) -> list[Entry]: ...
    def neighbors(self, devices: Iterable[int]) -> list[Entry]: ...
    def get_many(self, keys: Sequence[Lookup]) -> list[Entry | None]: ...
    def get_hosts(self, keys: Sequence[tuple[int, Ip]]) -> list[Entry | None]: ...
    def send(self, messages: Sequence[Any]) -> list[Refusal]: ...
    def drain(self, most: int) -> Hints: ...
    def events_fileno(self) -> int: ...
    def close(self) -> None: ...


class LocalStationWatcher:
    """The stations of one leaf, as they change."""

    def __init__(
        self,
        vnis: Iterable[VniConfig],
        open_kernel: Callable[[], KernelReader],
        report: Callable[[News], None],
        clock: Callable[[], float],
        *,
        retry_s: float = RETRY_S,
    ) -> None:
        self.overruns = 0
        self._open_kernel = open_kernel
        self._report = report
        self._clock = clock
        self._retry_s = retry_s
        self._kernel: KernelReader | None = None
        self._stations = Stations()
        self._vnis = tuple(vnis)
        self._accesses: Mapping[Vni, Access] = {}
        self._events = StationEvents()
        self._suspect = True
        """Devices or their addresses may have changed."""
        self._to_survey: set[Vni] = set()
        self._all_learned = False
        """Events were lost, so every station that the next dump shows counts as learned."""
        self._rows: dict[RowKey, bool] = {}
        """Rows to read back, and whether an event named them."""
        self._hosts: dict[HostRow, None] = {}
        """Neighbor rows to read back."""
        self._asked: dict[HostKey, None] = {}
        """Addresses for which the kernel must ask."""
        self._audit_due = clock() + AUDIT_S
        self._audits = 0
        self._drained = True
        """Of events."""
        self._woken = asyncio.Event()

    def __len__(self) -> int:
        """Return how many stations are known."""
        return len(self._stations)

    def reconfigure(self, vnis: Iterable[VniConfig]) -> None:
        """Follow the VNIs of a changed configuration."""
        self._vnis = tuple(vnis)
        self._suspect = True
        self._woken.set()

    def look_again(self, keys: Iterable[RowKey]) -> None:
        """Report of each of these whether it is here or gone, because the leaf must know."""
        for key in keys:
            self._stations.expect(key)
            self._rows[key] = True
            self._woken.set()

    def ask_for(self, hosts: Iterable[HostKey]) -> None:
        """Ask whether these addresses are at a station here."""
        self._asked.update(dict.fromkeys(hosts))
        self._woken.set()

    def close(self) -> None:
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None

    async def run(self) -> None:
        """Follow until cancelled."""
        logged = ""
        while True:
            try:
                await self.settle()
                logged = ""
            except KernelError as error:
                if str(error) != logged:
                    logs.event(log, logging.ERROR, "stations not readable", why=error)
                logged = str(error)
                self._mark_suspect()
                await asyncio.sleep(self._retry_s)
            else:
                await self._wait()

    async def settle(self, most_s: float = inf) -> None:
        """Go on until everything is reported, or until the time is over: events may never end."""
        end = self._clock() + most_s
        await self._step()
        while self.is_behind and self._clock() < end:
            await self._step()

    @property
    def is_behind(self) -> bool:
        """Whether something waits to be looked at or reported: what is known may be old."""
        waiting = (
            self._suspect or self._to_survey or self._rows or self._hosts or self._asked or self._stations.has_news
        )
        return bool(waiting or not self._drained)

    async def _step(self) -> None:
        """Take a portion of the events, look where they point, and report a portion of the news."""
        self._woken.clear()
        kernel = self._open()
        if kernel is not None:
            self._take(kernel.drain(AT_ONCE))
            await self._look_at_devices(kernel)
            self._audit()
            await self._survey(kernel)
            self._read_rows(kernel)
            self._read_hosts(kernel)
            self._ask(kernel)
        if news := self._stations.take_news(AT_ONCE):
            self._report(news)
        await asyncio.sleep(0)

    def _open(self) -> KernelReader | None:
        """Have a kernel while there is a VNI to follow."""
        if any(is_watched(vni) for vni in self._vnis):
            if self._kernel is None:
                self._kernel = self._open_kernel()
                self._mark_suspect()
        else:
            self._take_accesses({})
            self._drop_what_waits()
            self.close()
        return self._kernel

    def _drop_what_waits(self) -> None:
        """Wait for nothing, because nothing is looked at any more: what a caller wants to know of is gone."""
        self._suspect, self._drained = False, True
        for key in self._rows:
            self._stations.learn(key, None)
        for waiting in (self._rows, self._hosts, self._asked):
            waiting.clear()

    def _mark_suspect(self) -> None:
        """Look at everything again: anything may have changed."""
        self._suspect = True
        self._to_survey.update(self._accesses)

    def _take(self, hints: Hints) -> None:
        """Note where events point; nothing is concluded from what an event says, because it may be old by now.

        If the kernel dropped events, any row may have changed: everything is dumped, and what the dump shows counts
        as learned.
        """
        self._drained = hints == _NO_HINTS
        self._suspect |= hints.links_changed or hints.addresses_changed
        if hints.overrun:
            self.overruns += 1
            self._all_learned = True
            self._mark_suspect()
            logs.event(log, logging.WARNING, "events of stations lost", hint="everything is looked at")
        for event in hints.keys:
            if (vni := self._events.vni_of_event(event)) is not None and event.mac.is_usable:
                self._rows[vni, event.mac] = True
        for device, ip in hints.hosts:
            if (vni := self._events.vni_of_host_device(device)) is not None:
                self._hosts[vni, device, ip] = None

    # Devices

    async def _look_at_devices(self, kernel: KernelReader) -> None:
        if self._suspect:
            self._suspect = False
            self._take_accesses(await elsewhere(lambda: accesses(self._vnis, kernel.links(), kernel.addresses())))

    def _take_accesses(self, found: Mapping[Vni, Access]) -> None:
        """Forget the stations of VNIs that are no longer followed, and dump where a bridge or its ports changed."""
        before, self._accesses = self._accesses, found
        for vni in before.keys() - found.keys():
            self._stations.forget(vni)
        self._to_survey &= found.keys()
        self._to_survey |= {vni for vni, access in found.items() if not access.is_like(before.get(vni))}
        for vni, access in found.items():
            self._stations.see_gateway(vni, access.gateway)
        self._events = StationEvents(found.values())

    # Everything

    def _audit(self) -> None:
        """Read every known station back once a minute, and dump now and then."""
        now = self._clock()
        if now < self._audit_due:
            return
        self._audit_due = now + AUDIT_S
        self._audits += 1
        if self._audits % SURVEY_EVERY == 0:
            self._to_survey.update(self._accesses)
        for key in self._stations.known(self._accesses):
            self._rows.setdefault(key, False)
        self._hosts.update(dict.fromkeys(self._stations.known_hosts(self._accesses)))

    async def _survey(self, kernel: KernelReader) -> None:
        """Dump what is to be surveyed, and read back what the dump lacks (kernel 6.18: a dump can miss rows that exist)."""
        vnis = [vni for vni in self._to_survey if vni in self._accesses]
        if not vnis:
            return
        self._to_survey = set()
        surveyed = [self._accesses[vni] for vni in vnis]
        rows, hosts = await elsewhere(lambda: _dump(kernel, surveyed))
        take = self._stations.learn if self._all_learned else self._stations.see
        self._all_learned = False
        found = set()
        for part in _parts(rows):
            for vni, row in part:
                if (location := location_of(row, self._accesses[vni])) is not None:
                    found.add((vni, row.mac))
                    take((vni, row.mac), location)
            await asyncio.sleep(0)
        for key in self._stations.known(vnis):
            if key not in found:
                self._rows.setdefault(key, False)
        self._hosts.update(dict.fromkeys([*hosts, *self._stations.known_hosts(vnis)]))

    # Single rows

    def _read_rows(self, kernel: KernelReader) -> None:
        """Read single rows back, at most AT_ONCE, in one call of the kernel.

        A row that an event named counts as learned even where the station was before, because the event may have
        been a move there and back. A row that an audit names is news only if it differs.
        """
        taken = [(key, self._rows.pop(key)) for key in list(islice(self._rows, AT_ONCE))]
        lookups = {key: lookup for key, _ in taken if (lookup := self._lookup(key)) is not None}
        found = dict(zip(lookups, kernel.get_many(list(lookups.values())), strict=True))
        for key, named in taken:
            row = found.get(key)
            location = None if row is None else location_of(row, self._accesses[key[0]])
            if named:
                self._stations.learn(key, location)
            else:
                self._stations.see(key, location)

    def _lookup(self, key: RowKey) -> Lookup | None:
        access = self._accesses.get(key[0])
        return None if access is None else access.lookup(key[1])

    def _read_hosts(self, kernel: KernelReader) -> None:
        keys = list(islice(self._hosts, AT_ONCE))
        for key in keys:
            del self._hosts[key]
        rows = kernel.get_hosts([(device, ip) for _, device, ip in keys])
        for key, row in zip(keys, rows, strict=True):
            self._stations.see_host(key, host_mac(row))

    def _ask(self, kernel: KernelReader) -> None:
        """Have the kernel resolve these addresses, on each device of the VNI on which hosts are resolved.

        NTF_USE makes the kernel send an ARP request or a Neighbor Solicitation. The answer comes as an event like
        any other.
        """
        keys = list(islice(self._asked, AT_ONCE))
        for key in keys:
            del self._asked[key]
        messages = [
            Neighbor(Verb.REPLACE, device, ZERO_MAC, NTF_USE, 0, family=AF_INET6 if ip.is_v6 else AF_INET, ip=ip)
            for vni, ip in keys
            if (access := self._accesses.get(vni)) is not None
            for device in access.devices
        ]
        if messages:
            kernel.send(messages)  # one that is refused costs nothing: the next frame of the host tells as much

    async def _wait(self) -> None:
        """Return when there is something to do."""
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            if self._kernel is not None:
                loop.add_reader(self._kernel.events_fileno(), self._woken.set)
                stack.callback(loop.remove_reader, self._kernel.events_fileno())
            with contextlib.suppress(TimeoutError):
                # Without a kernel no audit is made, so one that is due would wake it without end.
                rest_s = None if self._kernel is None else max(0.0, self._audit_due - self._clock())
                async with asyncio.timeout(rest_s):
                    await self._woken.wait()


def _dump(kernel: KernelReader, surveyed: Sequence[Access]) -> tuple[list[tuple[Vni, Entry]], list[HostRow]]:
    """Return the rows at access ports, and which neighbor rows have a MAC. The page at the head says why by port."""
    rows: dict[RowKey, tuple[Vni, Entry]] = {}
    ports = sorted({port for access in surveyed for port in access.ports})
    for _ in range(DUMPS_MAX):
        before = len(rows)
        rows.update(((vni, row.mac), (vni, row)) for vni, row in station_rows(surveyed, kernel.rows((), ports)))
        if len(rows) == before:
            break
    hosts = [
        (access.vni, row.port, row.ip)
        for access in surveyed
        for row in kernel.neighbors(access.devices)
        if row.ip is not None and host_mac(row) is not None
    ]
    return list(rows.values()), hosts


def _parts(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(rows), AT_ONCE):
        yield rows[first : first + AT_ONCE]
