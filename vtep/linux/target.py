"""The kernel as the engine's target: where rows can be written, what is there, and how messages get there.

Joins a kernel (real, or in memory) with the configured VNIs. `attachment.py` says what the devices mean. Knows no row of ours
and no verdict.
"""

import errno
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Protocol

from msgspec.structs import replace

from vtep.addr import ZERO_MAC, Esi, Mac, Vni
from vtep.config.model import SegmentConfig, VniConfig, VrfConfig
from vtep.errors import KernelError
from vtep.intent import HostKey, RowKey
from vtep.linux.attachment import (
    NEXTHOPS,
    Attached,
    Hosts,
    Survey,
    attached,
    domains,
    gateway_macs,
    indexes_of,
    own_hosts,
    ports_of_segment,
    survey,
)
from vtep.linux.conditions import Fault
from vtep.linux.devices import Address, Links
from vtep.linux.filtering import FilterDomain, FilterPlace
from vtep.linux.filtering import survey as survey_filters
from vtep.linux.filters import FilterTable
from vtep.linux.ports import PortDomain, port_backups, port_places
from vtep.linux.underlay import Picture as UnderlayPicture
from vtep.linux.vrf import Picture, Routed, RoutedDomain, VrfDevices, routed
from vtep.linux.vrf import survey as survey_vrfs
from vtep.linux.wire.neighbor import RTPROT_VTEP, Alike, Entry, FdbEvent, Lookup, Neighbor, Refusal
from vtep.linux.wire.nexthop import NexthopEntry, NexthopLookup
from vtep.linux.wire.port import PortLookup
from vtep.linux.wire.route import RouteEntry, RoutingHints
from vtep.reconcile.contract import Attachments
from vtep.store.histogram import Histogram

GATEWAYS_MAX: Final = 256
"""So many bridges and VLANs are asked for the MAC of a gateway in one look, which takes a few milliseconds; the others are not."""


class KernelRows(Protocol):
    """What `vtep.linux.kernel.Kernel` and `vtep.linux.memory.kernel.MemoryKernel` have in common."""

    def links(self) -> Links: ...
    def addresses(self) -> list[Address]: ...
    def neighbors(self, devices: Iterable[int]) -> list[Entry]: ...
    def rows(self, bridges: Sequence[int], ports: Sequence[int] = ()) -> list[Entry]: ...
    def get_many(self, keys: Sequence[Lookup]) -> list[Entry | None]: ...
    def unlike(self, expected: Alike) -> list[int]: ...
    def routes(self, tables: Iterable[int], protocol: int = ...) -> list[RouteEntry]: ...
    @property
    def has_fdb_nexthops(self) -> bool: ...
    def nexthops(self) -> list[NexthopEntry]: ...
    def get_nexthops(self, numbers: Sequence[int]) -> list[NexthopEntry | None]: ...
    def send(self, messages: Sequence[Any]) -> list[Refusal]: ...

    @property
    def filters(self) -> FilterTable: ...


class KernelTarget:
    """The target for the rows of these VNIs. What it knows of devices is as of the last call of `attachments`."""

    def __init__(
        self,
        kernel: KernelRows,
        vnis: Sequence[VniConfig],
        clock: Callable[[], float] | None = None,
        vrfs: Sequence[VrfConfig] = (),
        segments: Sequence[SegmentConfig] = (),
        *,
        observes: bool = False,
    ) -> None:
        """With `observes`, the routes of all programs are dumped, and not only our own."""
        self.kernel = kernel
        self._protocol = 0 if observes else RTPROT_VTEP
        self.message_s = Histogram()
        """The time that the kernel took for each message; nothing is measured without a clock."""
        self._clock = clock
        self._vnis = tuple(vni for vni in vnis if vni.is_bound)
        self._vrfs = tuple(vrfs)
        self._vrfs_given_up: frozenset[Vni] = frozenset()
        self._routed = Routed()
        self._segments = tuple(segments)
        self._filters = "unknown"
        """Whether filters are read and written: unknown, `used`, `refused` by the kernel, or not at all (empty)."""
        self.segment_ports: Mapping[Esi, tuple[tuple[Vni, str], ...]] = {}
        """The bridge ports of our Ethernet segments: the port itself or VLAN devices on it, each with its VNI."""
        self._with_ports: set[int] = set()
        """VNIs of which a port had a backup, or should have had one: it may have left its bridge."""
        self._given_up: frozenset[Vni] = frozenset()
        self._places: dict[Hashable, Any] = {}
        """The devices that each domain had when it was last ready."""
        self._moved: dict[Hashable, Any] = {}
        """The same for what the configuration has elsewhere now: our rows leave it when the new place is ready."""
        self.own_macs: frozenset[Mac] = frozenset()
        """The MACs of all devices."""
        self.own_hosts: frozenset[HostKey] = frozenset()
        """Addresses that no remote host of a VNI can have, because its bridge has them."""
        self.faults: Mapping[Vni, tuple[Fault, ...]] = {}
        """What the VNIs that are not ready lack, in sentences."""
        self.unserved: Mapping[Hashable, Fault] = {}
        """Why a VNI that is ready has no neighbor rows, by their domain."""
        self._links = Links.of(())
        self._addresses: tuple[Address, ...] = ()
        self.ungrouped: frozenset[Vni] = frozenset()
        """VNIs in which no row may name a group of nexthops."""
        self._unsafe_ports: set[int] = set()
        """Their VXLAN devices."""
        self._names: dict[int, str] = {}
        self._attached = Attached()

    def reconfigure(
        self,
        vnis: Sequence[VniConfig],
        vrfs: Sequence[VrfConfig] = (),
        segments: Sequence[SegmentConfig] = (),
    ) -> bool:
        """Take other VNIs and VRFs. One that left, or lost its bridge, stays attached, so that its rows can be removed.

        VRFs that left come first: where one of them and a new one have the same table or SVI, an entry belongs to the new one,
        because `Routed` keeps the later of two. Return whether rows may be where none were before, because a VNI or VRF
        came, left or moved, or segments changed.
        """
        known = _places(self._vnis, self._vrfs), self._segments
        self._note_moves((*vnis, *vrfs))
        self._segments = tuple(segments)
        routing = {vrf.vni for vrf in vrfs}
        gone = tuple(vrf for vrf in self._vrfs if vrf.vni not in routing)
        self._vrfs, self._vrfs_given_up = (*gone, *vrfs), frozenset(vrf.vni for vrf in gone)
        bound = tuple(vni for vni in vnis if vni.is_bound)
        staying = {vni.vni for vni in bound}
        left = tuple(vni for vni in self._vnis if vni.vni not in staying)
        self._vnis = bound + left
        self._given_up = frozenset(vni.vni for vni in left)
        return bool(gone or left) or known != (_places(bound, vrfs), self._segments)

    def _note_moves(self, configured: Sequence[VniConfig | VrfConfig]) -> None:
        """Remember where rows were of what has other devices, another VLAN or another table now."""
        before = _places(self._vnis, self._vrfs)
        for one in configured:
            if before.get(one.vni, _place(one)) != _place(one):
                for domain in (*domains(one.vni), RoutedDomain(one.vni), FilterDomain(one.vni)):
                    if domain in self._places:
                        self._moved.setdefault(domain, self._places[domain])

    def _left_behind(self, ready: Mapping[Any, Any], links: Links) -> dict[Hashable, Any]:
        """Return the former devices of what is ready in its new place, as far as they are there.

        Until then the rows stay, because the devices before may still forward. `entries` ends it: when these were read.
        """
        found = {}
        for domain, devices in list(self._moved.items()):
            now = ready.get(domain)
            if not _is_there(devices, links) or (now and _where(now) == _where(devices)):
                del self._moved[domain]
            elif (domain.vni if isinstance(domain, Hosts) else domain) in ready:
                found[domain] = devices
        configured = {vni.vni for vni in self._vnis} | {vrf.vni for vrf in self._vrfs}
        self._places = {
            domain: there for domain, there in (self._places | dict(ready)).items() if there.vni in configured
        }
        return found

    def attachments(self) -> Attachments:
        """Take a picture of the devices, and say where rows can be written.

            VNIs        `attachment.survey`: a VNI, and `Hosts` of it
            VRFs        `vrf.survey`: `RoutedDomain`
            filters     where a segment has a port, or where an earlier life left some
            ports       `PortDomain`: where a segment has a port, or a port has a backup
            nexthops    one domain for all FDB groups, from 5.8 on

        What is no longer configured is judged like the rest, so that its rows can still be removed, but its faults are
        not reported. It costs a dump of all devices and one of all addresses, and at most GATEWAYS_MAX lookups. All
        other answers of the target are as of this picture until it is called again.
        """
        links = self.kernel.links()
        self._names = {link.index: link.name for link in links}
        self.own_macs = frozenset(link.mac for link in links if link.mac is not None and any(link.mac))
        self._links, self._addresses = links, tuple(self.kernel.addresses())
        self.own_hosts = frozenset(own_hosts(self._vnis, links, self._addresses))
        found = survey(self._vnis, links)
        self._attached = found.ready
        not_ready = {vni: why for vni, why in found.not_ready.items() if vni not in self._given_up}
        self.unserved = found.unserved
        faults = {vni: why.faults for vni, why in not_ready.items()}
        unready: dict[Any, tuple[str, ...]] = {
            domain: why.reasons for vni, why in not_ready.items() for domain in domains(vni)
        }
        unconfigured = {domain for vni in self._given_up for domain in domains(vni)}
        notes = dict(found.notes)
        for vni, note in self._unknown_gateways(links):
            notes[vni] = (*notes.get(vni, ()), note)
        if self._vrfs:
            vrfs = survey_vrfs(self._vrfs, links)
            domains_ready: dict[Any, Any] = found.ready
            domains_ready.update(vrfs.ready)
            self._routed = Routed(vrfs.ready)
            unfit_vrfs = {vni: why for vni, why in vrfs.not_ready.items() if vni not in self._vrfs_given_up}
            faults |= {vni: why.faults for vni, why in unfit_vrfs.items()}
            unready |= {RoutedDomain(vni): why.reasons for vni, why in unfit_vrfs.items()}
            unconfigured |= {RoutedDomain(vni) for vni in self._vrfs_given_up}
            not_ready |= unfit_vrfs
            notes |= vrfs.notes
        if self._uses_filters():
            place: dict[Any, Any] = found.ready
            filters, without = survey_filters(self._vnis, available=self._filters == "used")
            place.update(filters)
            unready |= without
        self.segment_ports = {
            one.esi: ports_of_segment(one.port, self._vnis, links) for one in self._segments if one.port
        }
        found.ready.segment_ports = indexes_of(self.segment_ports.values(), links)
        places: dict[Any, Any] = found.ready
        ports = port_places(found.ready, self.segment_ports.values(), links, self._with_ports)
        self._with_ports |= {place.vni for place in ports.values()}
        places.update(ports)
        self.faults = faults
        moved = self._left_behind(found.ready, links)
        if self._filters == "used":
            left = {there.vxlan for there in self._moved.values() if isinstance(there, FilterPlace)}
            self.kernel.filters.vxlans = frozenset({vni.vxlan for vni in self._vnis} | left)
        self._take_ungrouped(found, notes)
        return Attachments(
            ready=found.ready,
            not_ready=unready,
            unfit={vni: why.reasons for vni, why in not_ready.items()},
            unconfigured=frozenset(unconfigured),
            notes=notes,
            replaced=Attached({**found.replaced, **moved}) if moved else found.replaced,
        )

    def filter_drops(self) -> Mapping[str, int]:
        """Return how many frames each filter has dropped; nothing where there are no filters, or they cannot be read."""
        if self._filters != "used":
            return {}
        try:
            return self.kernel.filters.nft.dropped()
        except KernelError:
            return {}

    def _uses_filters(self) -> bool:
        """Tell whether there are filters: where a segment has a port, and where an earlier life has left some."""
        wanted = any(segment.port and segment.filter == "nftables" for segment in self._segments)
        if self._filters == "used" or (self._filters == "" and not wanted):
            return self._filters == "used"
        try:
            self._filters = "used" if self.kernel.filters.is_there() or wanted else ""
        except KernelError:
            self._filters = "refused" if wanted else ""
        return bool(self._filters)

    def underlay(self) -> UnderlayPicture:
        """Return what the latest picture of the devices and addresses says about the underlay."""
        gone = self._given_up | self._vrfs_given_up
        known: list[VniConfig | VrfConfig] = [*self._vnis, *self._vrfs]
        configured = (one for one in known if one.vni not in gone)
        return UnderlayPicture.of(configured, self._links, self._addresses)

    def _unknown_gateways(self, links: Links) -> list[tuple[Vni, str]]:
        """Return the VNIs whose bridge does not have the MAC of the VLAN's own device as a MAC of its own, with the note."""
        if not (macs := list(islice(gateway_macs(self._vnis, links), GATEWAYS_MAX))):
            return []
        try:
            found = self.kernel.get_many([mac.lookup for mac in macs])
        except KernelError:
            return []  # a port left meanwhile, and there will be another look
        return [
            (mac.vni, mac.note) for mac, row in zip(macs, found, strict=True) if row is None or row.port != mac.bridge
        ]

    def _take_ungrouped(self, found: Survey, notes: dict[Vni, tuple[str, ...]]) -> None:
        """Note where no row may name a group of nexthops, and offer the domain of the groups where any may."""
        if self.kernel.has_fdb_nexthops:
            self.ungrouped = found.ungrouped
            places: dict[Any, Any] = found.ready
            places[NEXTHOPS] = NEXTHOPS
        else:
            self.ungrouped = frozenset(vni.vni for vni in self._vnis)
            text = "nexthops-unsafe: this kernel is older than 5.8; a MAC on an Ethernet segment goes to one VTEP"
            notes |= {vni: (*notes.get(vni, ()), text) for vni in self.ungrouped}
        self._unsafe_ports = {found.ready[vni].port for vni in self.ungrouped if vni in found.ready}

    def name_of(self, index: int) -> str:
        """Return the name of a device."""
        return self._names.get(index, f"device {index}")

    def holds(self, devices: Iterable[int]) -> bool:
        """Tell whether any of these devices has rows of ours."""
        found = set(devices)
        return not (self._attached.devices.isdisjoint(found) and self._routed.devices.isdisjoint(found))

    @property
    def vrfs(self) -> Routed:
        """The VRFs that are ready, without those that are no longer configured."""
        return Routed({domain: vrf for domain, vrf in self._routed.items() if vrf.vni not in self._vrfs_given_up})

    def vrf(self, vni: Vni) -> VrfDevices | None:
        """Return the devices of a VRF that is ready, by its L3VNI."""
        return self._routed.get(RoutedDomain(vni))

    def concerns_routing(self, hints: RoutingHints, knows: Callable[[str, Any], bool]) -> bool:
        """Tell whether others removed something of a VRF that is known: ours, or a route in the place of one of ours."""
        vrfs = self._routed
        if hints.overrun:
            return True
        for table, prefix, _ in hints.routes:
            if (vni := vrfs.vni_of_table(table)) is not None and knows("route", (vni, prefix)):
                return True
        for device, ip in hints.neighbors:
            if (vni := vrfs.vni_of_device(device)) is not None and any(
                knows("router-neighbor", (vni, ip, is_v6)) for is_v6 in (False, True)
            ):
                return True
        return any(
            knows(kind, (domain.vni, number))
            for number in hints.nexthops
            for domain in vrfs
            for kind in ("nexthop", "nexthop-group")
        )

    def keys_of(self, events: Iterable[FdbEvent]) -> set[RowKey]:
        """Return the rows of MACs that these events may concern.

        An event of a device that has no VNI of ours gives none, so a host with other bridges costs a few lookups for
        each event.
        """
        return self._attached.keys_of_events(events)

    def entries(self, attachments: Attachments) -> list[Entry]:
        """Dump all tables in which rows of ours can be.

        100,000 MACs are 200,000 entries, so a survey calls this in a thread. When the former devices of a domain that
        moved were read, they are forgotten: what was left there is now among the entries, and gets its verdict.
        """
        found = self._entries(attached(attachments), routed(attachments))
        for domain, devices in attachments.ready.items():
            if self._moved.get(domain) is devices:
                del self._moved[domain]
        return found

    def _entries(self, ready: Attached, vrfs: Routed) -> list[Entry]:
        filters = self.kernel.filters.entries() if self._filters == "used" else []
        if self._filters == "used":
            self.kernel.filters.drop_others()
        bridges = sorted({*ready.bridges, *vrfs.bridges})
        rows = self.kernel.rows(bridges, ready.alone)
        rows += self.kernel.neighbors(sorted({*ready.host_devices, *vrfs.svis}))
        nexthops = self.kernel.nexthops() if vrfs or NEXTHOPS in ready else []
        # The devices are not read again: their socket is in use on the loop meanwhile, and a domain of ports has what they have.
        ports = port_backups(self._links)
        routes = self.kernel.routes(vrfs.tables, self._protocol) if vrfs else []
        return Picture(rows, routes, nexthops, filters, ports)

    def unreadable_entries(
        self, domains: Collection[Hashable], before: Attachments, attachments: Attachments
    ) -> list[Entry] | None:
        """Return the flood rows and neighbor rows of VNIs on shared VXLAN devices; None if only a dump of the devices shows them.

        A lookup of the zero MAC returns one VTEP of many, so it only proves that a VNI has no flood row. Neighbor rows have
        tables of their own, whose dump is cheap.
        """
        domains = [domain for domain in domains if not isinstance(domain, PortDomain)]  # all of them can be looked up
        vnis, ready = {_vni_of(domain) for domain in domains}, attached(attachments)
        if None in vnis or not all(_is_shared(there, vnis) for there in (attached(before), ready)):
            return None
        found = [ready[vni] for vni in vnis if vni in ready]
        if any(row is not None for row in self.kernel.get_many([devices.lookups(ZERO_MAC)[1] for devices in found])):
            return None
        return self.kernel.neighbors(
            sorted({ready[one].svi for one in domains if isinstance(one, Hosts) and one in ready})
        )

    def look(self, lookups: Sequence[Any]) -> list[Any]:
        """Read single rows back, or single nexthops; all lookups of a call are of one type."""
        if lookups and isinstance(lookups[0], NexthopLookup):
            return self.kernel.get_nexthops([lookup.id for lookup in lookups])
        if lookups and isinstance(lookups[0], PortLookup):
            there = {one.name: one for one in port_backups(self.kernel.links())}
            return [there.get(lookup.name) for lookup in lookups]
        return self.kernel.get_many(lookups)

    def unlike(self, check: Alike) -> list[int]:
        """Return which of many rows are not as expected, by place: far cheaper than `look`, and for audits alone."""
        return self.kernel.unlike(check)

    def _is_unsafe(self, message: Any) -> bool:
        """Tell whether a message has a row name a group on a VXLAN device where that may crash the kernel."""
        return isinstance(message, Neighbor) and message.nh_id is not None and message.port in self._unsafe_ports

    def _send_safe(self, messages: Sequence[Any]) -> list[Refusal]:
        """Send all but rows that must not name a group: the projection learns of such a device later than the first pass does."""
        refusals: list[Refusal] = []
        first = 0
        for message in messages:
            if self._is_unsafe(message):
                text = "nexthops-unsafe: the device takes no row that names a group"
                refusals += (Refusal(first + place, errno.EOPNOTSUPP, text) for place in range(_count(message)))
            else:
                refusals += (replace(one, index=first + one.index) for one in self.kernel.send([message]))
            first += _count(message)
        return refusals

    def send(self, messages: Sequence[Any]) -> list[Refusal]:
        """Send messages, and measure the time for each. Nothing is tried again: a refusal is an answer, and the
        engine decides."""
        if self._unsafe_ports and any(self._is_unsafe(message) for message in messages):
            return self._send_safe(messages)
        if self._clock is None:
            return self.kernel.send(messages)
        began = self._clock()
        refusals = self.kernel.send(messages)
        if count := sum(1 + len(message.also) for message in messages):
            self.message_s.observe((self._clock() - began) / count, count)
        return refusals


def _vni_of(domain: Hashable) -> Vni | None:
    """Return the VNI of a domain of MACs or of hosts."""
    return Vni(domain.vni) if isinstance(domain, Hosts) else domain if isinstance(domain, Vni) else None


def _is_shared(ready: Attached, vnis: Iterable[Vni | None]) -> bool:
    """Tell whether those of these VNIs that are ready have a VXLAN device that is for many."""
    return all(ready[vni].src_vni is not None for vni in vnis if vni in ready)


def _count(message: Any) -> int:
    """Return how many messages one stands for."""
    return 1 + len(message.also)


def _place(one: VniConfig | VrfConfig) -> tuple[Any, ...]:
    """Return what says where rows are: devices, VLAN, and the table of a VRF."""
    routing = (one.name, one.svi, one.table) if isinstance(one, VrfConfig) else ()
    return (one.bridge, one.vxlan, one.vlan, *routing)


def _places(vnis: Sequence[VniConfig], vrfs: Sequence[VrfConfig]) -> dict[Vni, tuple[Any, ...]]:
    known: list[VniConfig | VrfConfig] = [*vnis, *vrfs]
    return {one.vni: _place(one) for one in known}


def _is_there(devices: Any, links: Links) -> bool:
    """Tell whether the devices are there that rows of ours are on. Filters name a device, and need none."""
    tunnel = devices.tunnel if isinstance(devices, VrfDevices) else devices
    return isinstance(devices, FilterPlace) or links.have(tunnel.bridge, tunnel.port)


def _where(devices: Any) -> tuple[int | str | None, ...]:
    """Return the devices and what else is in the keys of their rows."""
    if isinstance(devices, FilterPlace):
        return (devices.vxlan,)
    if isinstance(devices, VrfDevices):
        return (devices.table, devices.svi, *_where(devices.tunnel))
    return (devices.bridge, devices.port, devices.vlan, devices.src_vni, devices.svi)
