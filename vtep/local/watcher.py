"""Follows what the bridges of this leaf learn, and tells it: stations that come, move, speak again, change or go.

    events ──▶ keys ──▶ read back ──▶ Stations ──▶ news, a portion at a time
    ports, bridges or addresses that changed ──▶ dump ──▶ what differs
    once a minute ──▶ every station known is read back; seldom, a dump

Events only wake and name keys; what is told is what is read back. Has a kernel of its own, so that it never waits for
who writes rows, and has none while no VNI is to be announced. Knows no route and no row of ours.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import inf
from typing import Final, Protocol, TypeVar

from vtep import logs
from vtep.addr import Ip, Vni
from vtep.config.model import VniConfig
from vtep.errors import KernelError
from vtep.intent import RowKey
from vtep.linux.attachment import Events
from vtep.linux.devices import Address, Links
from vtep.linux.events import Hints
from vtep.linux.wire.neighbor import Entry, Lookup
from vtep.local.stations import Access, HostRow, News, Stations, accesses, host_mac, is_learnt, location_of
from vtep.reconcile.actor import elsewhere

AT_ONCE: Final = 256
"""Events, rows or stations between two yields: some 2 ms of work."""
AUDIT_S: Final = 60.0
SURVEY_EVERY: Final = 10
"""Audits, one of which is a dump: what a dump missed while others deleted is in no event."""
RETRY_S: Final = 1.0
DUMPS_MAX: Final = 5

_NO_HINTS: Final = Hints()

T = TypeVar("T")

log = logging.getLogger("vtep")


class KernelReader(Protocol):
    """What `kernel.socket.Kernel` and `kernel.memory.MemoryKernel` have in common for one who only reads."""

    def links(self) -> Links: ...
    def addresses(self) -> list[Address]: ...
    def rows(self, bridges: Iterable[int], ports: Iterable[int] = ()) -> list[Entry]: ...
    def neighbors(self, devices: Iterable[int]) -> list[Entry]: ...
    def get_many(self, keys: Sequence[Lookup]) -> list[Entry | None]: ...
    def get_hosts(self, keys: Sequence[tuple[int, Ip]]) -> list[Entry | None]: ...
    def drain(self, most: int) -> Hints: ...
    def events_fileno(self) -> int: ...
    def close(self) -> None: ...


class LocalStationWatcher:
    """One leaf's ear."""

    def __init__(
        self,
        vnis: Iterable[VniConfig],
        listen: Callable[[], KernelReader],
        tell: Callable[[News], None],
        clock: Callable[[], float],
        *,
        retry_s: float = RETRY_S,
    ) -> None:
        self.overruns = 0
        self._listen = listen
        self._tell = tell
        self._clock = clock
        self._retry_s = retry_s
        self._bridge_watcher: KernelReader | None = None
        self._stations = Stations()
        self._vnis = tuple(vnis)
        self._accesses: Mapping[Vni, Access] = {}
        self._events = Events()
        self._suspect = True
        """Devices or their addresses may have changed."""
        self._to_survey: set[Vni] = set()
        self._says_again = False
        """Events were lost: who was heard is heard once more."""
        self._rows: dict[RowKey, bool] = {}
        """To be read back, and whether something happened there."""
        self._hosts: dict[HostRow, None] = {}
        """To be read back as well."""
        self._audit_due = clock() + AUDIT_S
        self._audits = 0
        self._drained = True
        """Of events."""
        self._woken = asyncio.Event()

    def __len__(self) -> int:
        """How many stations are known."""
        return len(self._stations)

    def reconfigure(self, vnis: Iterable[VniConfig]) -> None:
        """Follow other VNIs."""
        self._vnis = tuple(vnis)
        self._suspect = True
        self._woken.set()

    def look_again(self, keys: Iterable[RowKey]) -> None:
        """Somebody has to know: tell of each of these whether it is heard here or gone."""
        for key in keys:
            self._stations.expect(key)
            self._rows[key] = True
            self._woken.set()

    def close(self) -> None:
        if self._bridge_watcher is not None:
            self._bridge_watcher.close()
            self._bridge_watcher = None

    async def run(self) -> None:
        """Follow until cancelled."""
        told = ""
        while True:
            try:
                await self.settle()
                told = ""
            except KernelError as error:
                if str(error) != told:
                    logs.event(log, logging.ERROR, "stations not readable", why=error)
                told = str(error)
                self._mark_suspect()
                await asyncio.sleep(self._retry_s)
            else:
                await self._wait()

    async def settle(self, most_s: float = inf) -> None:
        """Go on until all that there is was told, or until the time is over: events may never end."""
        end = self._clock() + most_s
        await self._step()
        while self.is_behind and self._clock() < end:
            await self._step()

    @property
    def is_behind(self) -> bool:
        waiting = self._suspect or self._to_survey or self._rows or self._hosts or self._stations.has_news
        return bool(waiting or not self._drained)

    async def _step(self) -> None:
        """Take a portion of the events, look at what they say, and tell a portion of what is new."""
        self._woken.clear()
        ear = self._open()
        if ear is not None:
            self._take(ear.drain(AT_ONCE))
            await self._look_at_devices(ear)
            self._audit()
            await self._survey(ear)
            self._read_rows(ear)
            self._read_hosts(ear)
        if news := self._stations.take_news(AT_ONCE):
            self._tell(news)
        await asyncio.sleep(0)

    def _open(self) -> KernelReader | None:
        """Listen while there is something to hear."""
        if any(is_learnt(vni) for vni in self._vnis):
            if self._bridge_watcher is None:
                self._bridge_watcher = self._listen()
                self._mark_suspect()
        else:
            self._take_accesses({})
            self._suspect = False
            self.close()
        return self._bridge_watcher

    def _mark_suspect(self) -> None:
        """Nothing that is known need be so."""
        self._suspect = True
        self._to_survey.update(self._accesses)

    def _take(self, hints: Hints) -> None:
        self._drained = hints == _NO_HINTS
        self._suspect |= hints.links_changed or hints.addresses_changed
        if hints.overrun:
            self.overruns += 1
            self._says_again = True
            self._mark_suspect()
            logs.event(log, logging.WARNING, "events of stations lost", hint="everything is looked at")
        for port, mac in hints.keys:
            if (vni := self._events.vni_of_port(port)) is not None and mac.is_usable:
                self._rows[vni, mac] = True
        for device, ip in hints.hosts:
            if (vni := self._events.vni_of_host_device(device)) is not None:
                self._hosts[vni, device, ip] = None

    # Devices

    async def _look_at_devices(self, ear: KernelReader) -> None:
        if self._suspect:
            self._suspect = False
            self._take_accesses(await elsewhere(lambda: accesses(self._vnis, ear.links(), ear.addresses())))

    def _take_accesses(self, found: Mapping[Vni, Access]) -> None:
        """What was heard where nobody listens any more is gone; where a bridge or its ports changed, look anew."""
        before, self._accesses = self._accesses, found
        for vni in before.keys() - found.keys():
            self._stations.forget(vni)
        self._to_survey &= found.keys()
        self._to_survey |= {vni for vni, access in found.items() if not access.is_like(before.get(vni))}
        for vni, access in found.items():
            self._stations.see_gateway(vni, access.gateway)
        self._events = Events(found.values())

    # Everything

    def _audit(self) -> None:
        """Events tell nothing of a station whose row somebody took over, nor of one that a dump missed."""
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

    async def _survey(self, ear: KernelReader) -> None:
        """Dump what is to be surveyed; what a dump lacks is read back (kernel 6.18: it can miss rows that are there)."""
        vnis = [vni for vni in self._to_survey if vni in self._accesses]
        if not vnis:
            return
        self._to_survey = set()
        surveyed = [self._accesses[vni] for vni in vnis]
        rows, hosts = await elsewhere(lambda: _dump(ear, surveyed))
        take = self._stations.learn if self._says_again else self._stations.see
        self._says_again = False
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

    def _read_rows(self, ear: KernelReader) -> None:
        taken = [(key, self._rows.pop(key)) for key in list(islice(self._rows, AT_ONCE))]
        lookups = {key: lookup for key, _ in taken if (lookup := self._lookup(key)) is not None}
        found = dict(zip(lookups, ear.get_many(list(lookups.values())), strict=True))
        for key, happened in taken:
            row = found.get(key)
            location = None if row is None else location_of(row, self._accesses[key[0]])
            if happened:
                self._stations.learn(key, location)
            else:
                self._stations.see(key, location)

    def _lookup(self, key: RowKey) -> Lookup | None:
        access = self._accesses.get(key[0])
        return None if access is None else access.lookup(key[1])

    def _read_hosts(self, ear: KernelReader) -> None:
        keys = list(islice(self._hosts, AT_ONCE))
        for key in keys:
            del self._hosts[key]
        rows = ear.get_hosts([(device, ip) for _, device, ip in keys])
        for key, row in zip(keys, rows, strict=True):
            self._stations.see_host(key, host_mac(row))

    async def _wait(self) -> None:
        """Return when there is something to do."""
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            if self._bridge_watcher is not None:
                loop.add_reader(self._bridge_watcher.events_fileno(), self._woken.set)
                stack.callback(loop.remove_reader, self._bridge_watcher.events_fileno())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._audit_due - self._clock())):
                    await self._woken.wait()


def _dump(ear: KernelReader, surveyed: Sequence[Access]) -> tuple[list[tuple[Vni, Entry]], list[HostRow]]:
    """Return the rows at access ports, and whose addresses there are.

    Ports are asked one by one: a dump of a whole bridge is slow where it has many remote MACs (kernel 6.18: quadratic).
    While others delete, a dump can miss rows that are there; so it is taken until it shows nothing new.
    """
    rows: dict[RowKey, tuple[Vni, Entry]] = {}
    for _ in range(DUMPS_MAX):
        before = len(rows)
        for access in surveyed:
            found = (row for row in ear.rows((), access.ports) if access.port_of(row) is not None)
            rows.update(((access.vni, row.mac), (access.vni, row)) for row in found)
        if len(rows) == before:
            break
    hosts = [
        (access.vni, row.port, row.ip)
        for access in surveyed
        for row in ear.neighbors(access.devices)
        if row.ip is not None and host_mac(row) is not None
    ]
    return list(rows.values()), hosts


def _parts(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(rows), AT_ONCE):
        yield rows[first : first + AT_ONCE]
