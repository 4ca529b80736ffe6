"""What this leaf reaches by itself in each VRF that is ready: the routes of its tables that the configuration has advertised.

    the VRFs that are ready ─┐
    a route of another       ├──▶ read the tables, in a thread ──▶ LocalRouter for each VRF ──▶ the next round of the feed task
    program came or went   ──┘         and then rest

A table may have a million routes, so it is read in a thread, one reading at a time. While another program changes routes all the
time, a reading is followed by a rest that is four times as long. A VRF that is no longer ready is left out at once.

This module does not know what is advertised (`app.advertising`), or how the kernel is asked for routes.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, Protocol

from vtep import logs
from vtep.addr import Prefix, Vni
from vtep.config.model import VrfConfig
from vtep.errors import KernelError
from vtep.linux.vrf import Routed, VrfDevices
from vtep.linux.wire.route import RTN_UNICAST, RouteEntry
from vtep.local.exports import LocalRouter
from vtep.projection.prefix import refused_prefix
from vtep.store.parted import PartedSet

DEFAULT_ROUTES: Final = (Prefix.parse("0.0.0.0/0"), Prefix.parse("::/0"))
REST: Final = 4.0
"""How long the rest is, in times of a reading."""
LEAVE_S: Final = 1.0
"""After which what was known before is freed: the next round of the feed task no longer refers to it by then."""
RETRY_S: Final = 1.0
"""When a table that could not be read is read again."""

log = logging.getLogger("vtep")


class Routes(Protocol):
    """The kernel, as far as this module asks it."""

    def routes_of(self, table: int, protocol: int) -> list[RouteEntry]: ...


class OwnPrefixes:
    """The latest reading, and when there will be another one."""

    def __init__(self, kernel: Routes, clock: Callable[[], float]) -> None:
        self.nudge: Callable[[], None] = lambda: None
        """Called when there is news."""
        self._kernel = kernel
        self._clock = clock
        self.services: Callable[[], Mapping[Vni, frozenset[Prefix]]] = dict
        """Returns the prefixes of the anycast services that are ready."""
        self._told: tuple[object, Mapping[Vni, frozenset[Prefix]], Mapping[Vni, LocalRouter]] = (None, {}, {})
        """What was returned last, and from what it was made."""
        self._found: Mapping[Vni, LocalRouter] = {}
        self._of = Routed()
        """The VRFs that were ready at the latest reading."""
        self._suspect = True
        self._unread = False
        """They could not be read the last time, which was logged."""
        self._rest_until = 0.0
        self._reading: asyncio.Future[Mapping[Vni, LocalRouter]] | None = None

    def suspect(self) -> None:
        """Note that a table may have changed, so it must be read again."""
        self._suspect = True
        self.nudge()

    def latest(self, vrfs: Routed, configured: Mapping[Vni, VrfConfig]) -> Mapping[Vni, LocalRouter]:
        """Return what is known, and begin a reading if that may be out of date. The same object says that nothing changed."""
        if vrfs != self._of:
            self._found = {
                vni: router
                for vni, router in self._found.items()
                if any(one.vni == vni and one.mac == router.mac for one in vrfs.values()) and vni in configured
            }
            self._of, self._suspect = vrfs, True
        if self._suspect and self._reading is None and self._clock() >= self._rest_until:
            self._suspect = False
            asked = [(one, configured[one.vni]) for one in vrfs.values() if one.vni in configured]
            began = self._clock()
            self._reading = asyncio.get_running_loop().run_in_executor(None, _read, self._kernel, asked, self._found)
            self._reading.add_done_callback(lambda done: self._take(done, vrfs, began))
        return self._with_services()

    def _with_services(self) -> Mapping[Vni, LocalRouter]:
        """Return what was read, and the anycast services that are ready."""
        services = self.services()
        found, known, told = self._told
        if found is not self._found or services != known:
            told = {
                vni: LocalRouter(router.mac, _joined(router.prefixes, services[vni])) if vni in services else router
                for vni, router in self._found.items()
            }
            self._told = (self._found, services, told)
        return told

    def _leave(self, parts: list[set[Prefix]]) -> None:
        """Free what was known before, part by part, so that the loop is not held for long."""
        if parts:
            parts.pop()
            asyncio.get_running_loop().call_soon(self._leave, parts)

    def _take(self, done: "asyncio.Future[Mapping[Vni, LocalRouter]]", vrfs: Routed, began: float) -> None:
        """Take a reading that ended, and rest before the next one in proportion to how long it took.

        A reading for VRFs that are no longer the latest is dropped; another one is due already. What was known
        stays while a table cannot be read.
        """
        self._reading = None
        if done.cancelled():
            return
        rest_s = REST * (self._clock() - began)
        error = done.exception()
        if isinstance(error, KernelError):
            # Another program that changes many routes tears every dump.
            if not self._unread:
                logs.event(log, logging.WARNING, "routes not read", why=error)
            self._suspect, rest_s = True, max(rest_s, RETRY_S)
        elif error is not None:
            raise error
        elif vrfs == self._of:
            before, self._found = self._found, done.result()  # the same object if nothing changed
            if self._found is not before:
                parts = [part for router in before.values() for part in _parts(router.prefixes)]
                asyncio.get_running_loop().call_later(LEAVE_S, self._leave, parts)
        self._unread = error is not None
        self._rest_until = self._clock() + rest_s
        self.nudge()
        asyncio.get_running_loop().call_later(rest_s, self.nudge)


def _joined(prefixes: AbstractSet[Prefix], services: frozenset[Prefix]) -> AbstractSet[Prefix]:
    return prefixes.with_items(services) if isinstance(prefixes, PartedSet) else prefixes | services


def _parts(prefixes: AbstractSet[Prefix]) -> list[set[Prefix]]:
    return prefixes.parts if isinstance(prefixes, PartedSet) else []


def _read(
    kernel: Routes, asked: list[tuple[VrfDevices, VrfConfig]], before: Mapping[Vni, LocalRouter]
) -> Mapping[Vni, LocalRouter]:
    """Read the tables, and return what is known already if they have the same: to compare a million prefixes takes long as well."""
    found = {
        one.vni: LocalRouter(one.mac, PartedSet(_prefixes(kernel, vrf, one.table)))
        for one, vrf in asked
        if one.mac is not None
    }
    return before if found == before else found


def _prefixes(kernel: Routes, vrf: VrfConfig, table: int) -> Iterator[Prefix]:
    """Yield the default routes if the VRF originates them, and the unicast routes that it redistributes."""
    if vrf.default_originate:
        yield from DEFAULT_ROUTES
    for protocol in vrf.redistribute:
        for route in kernel.routes_of(table, protocol):
            if route.type == RTN_UNICAST and not refused_prefix(route.prefix) and vrf.may_redistribute(route.prefix):
                yield route.prefix
