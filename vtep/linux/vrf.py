"""How a VRF is attached to the devices of this host: its table, the SVI of its L3VNI, and the VXLAN device.

    host ── SVI of a VLAN ┐
                          ├─ VRF device: one routing table ─ route ─ nexthop ┐
    SVI of the L3VNI ─────┘                                                  │ neighbor row: VTEP has the router's MAC
      └ bridge ── VXLAN device of the L3VNI ── FDB row: the MAC is at the VTEP ◀┘

This module joins L3VNIs and devices, as `attachment.py` does for other VNIs, and answers the same three questions: which devices
has it (`VrfDevices`), to which VRF does an entry belong (`Routed`), and is it ready, with a reason and a command for each condition
that is broken (`judge`). The bridge and the VXLAN device must be as for any VNI, so `attachment.judge` judges them.

**What the kernel takes away.** A nexthop needs the SVI up and with a carrier. When either is lost, the nexthops go, and with them
all routes that name them, without any event (6.1 to 6.18). So a VRF without a carrier is not ready, and `VrfDevices` has how often
the carrier was lost: when it is ready again, or the number differs, the domain has changed and everything in it is looked at again.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from vtep.addr import Ip, Mac, Vni
from vtep.config.model import VrfConfig
from vtep.linux import attachment
from vtep.linux.attachment import NotReady
from vtep.linux.conditions import Fault
from vtep.linux.devices import Link, Links
from vtep.linux.wire.neighbor import NTF_SELF, Entry, Lookup, Neighbor, Verb
from vtep.linux.wire.nexthop import NexthopEntry
from vtep.linux.wire.route import RouteEntry
from vtep.linux.wire.tlv import AF_BRIDGE, AF_INET, AF_INET6
from vtep.reconcile.contract import Attachments


class RoutedDomain(Struct, frozen=True, order=True):
    """The domain of all rows of a VRF, by its L3VNI."""

    vni: int


class VrfDevices(Struct, frozen=True):
    """The devices of a VRF that is ready. It makes the messages and the lookups that name them."""

    vni: Vni
    table: int
    svi: int
    tunnel: attachment.Ready
    mac: Mac | None = None
    """The router's MAC of this leaf."""
    carrier_losses: int = 0

    def router_mac_message(self, verb: Verb, mac: Mac, flags: int, state: int, vtep: Ip | None = None) -> Neighbor:
        """Return the message that writes or deletes the FDB row of a remote router's MAC."""
        return self.tunnel.fdb_message(verb, mac, flags, state, vtep)

    def lookups(self, mac: Mac) -> tuple[Lookup, Lookup]:
        """Return what to ask for both halves of a router's MAC."""
        return self.tunnel.lookups(mac)

    def neighbor_message(
        self, verb: Verb, vtep: Ip, mac: Mac, flags: int, state: int, protocol: int, *, is_v6: bool
    ) -> Neighbor:
        """Return the message that writes or deletes the neighbor row of a VTEP on the SVI."""
        ip = Ip(vtep.mapped) if is_v6 else vtep
        return Neighbor(
            verb, self.svi, mac, flags, state, family=AF_INET6 if is_v6 else AF_INET, ip=ip, protocol=protocol
        )


class Routed(dict[RoutedDomain, VrfDevices]):
    """Every VRF that is ready, and the way back, from a device or a table to the L3VNI."""

    def __init__(self, ready: Mapping[Any, Any] = {}) -> None:
        super().__init__({domain: found for domain, found in ready.items() if isinstance(domain, RoutedDomain)})
        found = self.values()
        self.devices = frozenset(index for vrf in found for index in (vrf.svi, vrf.tunnel.bridge, vrf.tunnel.port))
        """The devices that have rows of ours."""
        self.bridges = sorted({vrf.tunnel.bridge for vrf in found})
        self.svis = sorted({vrf.svi for vrf in found})
        self.tables = sorted({vrf.table for vrf in found})
        self._vni_of_bridge = {(vrf.tunnel.bridge, vrf.tunnel.vlan): vrf.vni for vrf in found}
        self._vni_of_tunnel = {(vrf.tunnel.port, vrf.tunnel.src_vni): vrf.vni for vrf in found}
        self._vni_of_svi = {vrf.svi: vrf.vni for vrf in found}
        self._vni_of_table = {vrf.table: vrf.vni for vrf in found}

    def macs(self, entries: Iterable[Any]) -> Iterator[tuple[Vni, Entry]]:
        """Yield every entry of the FDB of an L3VNI."""
        of_tunnel, of_bridge = self._vni_of_tunnel, self._vni_of_bridge
        for entry in entries:
            if not isinstance(entry, Entry) or entry.family != AF_BRIDGE:
                continue
            if entry.flags & NTF_SELF:
                vni = of_tunnel.get((entry.port, entry.src_vni))
            else:
                vni = of_bridge.get((entry.master or 0, entry.vlan))
            if vni is not None:
                yield vni, entry

    def neighbors(self, entries: Iterable[Any]) -> Iterator[tuple[Vni, Entry]]:
        """Yield every entry of the neighbor table on an SVI of an L3VNI."""
        for entry in entries:
            if isinstance(entry, Entry) and entry.family != AF_BRIDGE:
                vni = self._vni_of_svi.get(entry.port)
                if vni is not None:
                    yield vni, entry

    def routes(self, entries: Iterable[Any]) -> Iterator[tuple[Vni, RouteEntry]]:
        """Yield every route in a table of a VRF."""
        of_table = self._vni_of_table
        for entry in entries.routes if isinstance(entries, Picture) else entries:
            if isinstance(entry, RouteEntry) and (vni := of_table.get(entry.table)) is not None:
                yield vni, entry

    def nexthops(self, entries: Iterable[Any]) -> Iterator[NexthopEntry]:
        """Yield every nexthop. Its device, or for a group that of its members, says whose it is."""
        for entry in entries.nexthops if isinstance(entries, Picture) else entries:
            if isinstance(entry, NexthopEntry):
                yield entry

    def vnis_of_nexthops(self, entries: Iterable[Any]) -> Mapping[int, Vni]:
        """Return the L3VNI of each nexthop, by the device that it leaves by; of a group by that of its first member there."""
        found = list(self.nexthops(entries))
        vnis = {one.id: vni for one in found if (vni := self.vni_of_device(one.device)) is not None}
        for one in found:
            first = next((vnis[member] for member in one.members if member in vnis), None)
            if first is not None:
                vnis[one.id] = first
        return vnis

    def vni_of_table(self, table: int) -> Vni | None:
        """Return the L3VNI of the VRF with this routing table."""
        return self._vni_of_table.get(table)

    def vni_of_device(self, device: int | None) -> Vni | None:
        """Return the L3VNI whose SVI this is."""
        return self._vni_of_svi.get(device or 0)


class Picture(list[Entry]):
    """What a dump returns: entries of the FDB and of the neighbor table, and beside them routes, nexthops, filters and ports."""

    def __init__(
        self,
        entries: Iterable[Entry],
        routes: Iterable[RouteEntry] = (),
        nexthops: Iterable[NexthopEntry] = (),
        filters: Iterable[Any] = (),
        ports: Iterable[Any] = (),
    ) -> None:
        super().__init__(entries)
        self.routes = routes
        self.nexthops = nexthops
        self.filters = filters
        self.ports = ports


def routed(attachments: Attachments) -> Routed:
    """Return the VRFs that are ready, with the way back from their devices."""
    return Routed(attachments.ready)


def table_of(attachments: Attachments, vni: Vni) -> int:
    """Return the routing table of a VRF that is ready."""
    devices: VrfDevices = attachments.ready[RoutedDomain(vni)]
    return devices.table


# Is the VRF ready, and if not, why


class Subject(Struct, frozen=True):
    """What is judged: a VRF as configured, and its devices as the picture has them."""

    vrf: VrfConfig
    links: Links
    device: Link | None
    """The VRF device."""
    svi: Link | None

    @property
    def table(self) -> int:
        return self.vrf.table or (self.device.table or 0 if self.device is not None else 0)


class Condition(Struct, frozen=True):
    """One thing that must be so, and what to say and to do if it is not."""

    code: str
    broken: Callable[[Subject], bool]
    says: Callable[[Subject], str]
    mend: Callable[[Subject], str]


def _svi(it: Subject) -> Link:
    assert it.svi is not None
    return it.svi


CONDITIONS: Final[tuple[Condition, ...]] = (
    Condition(
        "vrf-missing",
        lambda it: not it.vrf.table and it.device is None,
        lambda it: f"there is no device {it.vrf.name}, and it must be a VRF device",
        lambda it: f"ip link add {it.vrf.name} type vrf table {it.vrf.vni}; ip link set dev {it.vrf.name} up",
    ),
    Condition(
        "not-a-vrf",
        lambda it: not it.vrf.table and it.device is not None and it.device.table is None,
        lambda it: f"{it.vrf.name} is not a VRF device",
        lambda it: f"set `name` of the VRF with VNI {it.vrf.vni} to the name of a VRF device",
    ),
    Condition(
        "vrf-down",
        lambda it: not it.vrf.table and it.device is not None and it.device.table is not None and not it.device.up,
        lambda it: f"{it.vrf.name} is down, and must be up",
        lambda it: f"ip link set dev {it.vrf.name} up",
    ),
    Condition(
        "svi-missing",
        lambda it: it.svi is None,
        lambda it: f"there is no device {it.vrf.svi}, and VRF {it.vrf.name} needs it as the SVI of VNI {it.vrf.vni}",
        lambda it: f"ip link add {it.vrf.svi} type bridge",
    ),
    Condition(
        "svi-not-in-vrf",
        lambda it: (
            it.svi is not None and not it.vrf.table and it.device is not None and it.svi.master != it.device.index
        ),
        lambda it: f"{it.vrf.svi} is not in the VRF {it.vrf.name}, and must be",
        lambda it: f"ip link set dev {it.vrf.svi} master {it.vrf.name}",
    ),
    Condition(
        "svi-down",
        lambda it: it.svi is not None and not it.svi.up,
        lambda it: f"{it.vrf.svi} is down, and must be up",
        lambda it: f"ip link set dev {it.vrf.svi} up",
    ),
    Condition(
        "svi-no-carrier",
        lambda it: it.svi is not None and it.svi.up and it.svi.carrier is False,
        lambda it: f"{it.vrf.svi} has no carrier: no port of its bridge is up, and the kernel removes its nexthops",
        lambda it: f"ip link set dev {it.vrf.vxlan} up",
    ),
    Condition(
        "router-mac-differs",
        lambda it: it.svi is not None and it.vrf.router_mac is not None and it.svi.mac != it.vrf.router_mac,
        lambda it: f"{it.vrf.svi} has the MAC {_svi(it).mac}, and must have {it.vrf.router_mac}, which peers are sent",
        lambda it: f"ip link set dev {it.vrf.svi} address {it.vrf.router_mac}",
    ),
)
"""What must be so for a VRF, beyond its bridge and its VXLAN device."""


def judge(vrf: VrfConfig, links: Links) -> VrfDevices | NotReady:
    """Say whether rows of the VRF can be written, and if not, every reason why."""
    it = Subject(vrf, links, links.by_name.get(vrf.name), links.by_name.get(vrf.svi))
    faults = [Fault(found.code, found.says(it), found.mend(it)) for found in CONDITIONS if found.broken(it)]
    tunnel = attachment.judge(vrf.tunnel, links)
    if isinstance(tunnel, NotReady):
        return NotReady(vrf.vni, (*faults, *tunnel.faults))
    if faults or it.svi is None:
        return NotReady(vrf.vni, tuple(faults))
    return VrfDevices(vrf.vni, it.table, it.svi.index, tunnel, it.svi.mac, it.svi.carrier_losses or 0)


def _as_sysctl(it: Subject) -> str:
    """Return the SVI as sysctl names it: a dot would begin another part of the name."""
    return it.vrf.svi.replace(".", "/")


def _tunnel_mtu(it: Subject) -> int:
    """Return the MTU of the VXLAN device; 0 if it is not known."""
    device = it.links.by_name.get(it.vrf.vxlan)
    return 0 if device is None else device.mtu or 0


NOTES: Final[tuple[Condition, ...]] = (
    Condition(
        "forwarding-off",
        lambda it: _svi(it).forwards is False,
        lambda it: f"{it.vrf.svi} does not forward IPv4: packets from other VTEPs are dropped",
        lambda it: f"sysctl -w net.ipv4.conf.{_as_sysctl(it)}.forwarding=1",
    ),
    Condition(
        "ipv6-disabled",
        lambda it: _svi(it).v6_disabled is True,
        lambda it: f"IPv6 is disabled on {it.vrf.svi}: the kernel refuses the nexthops of IPv6 prefixes",
        lambda it: f"sysctl -w net.ipv6.conf.{_as_sysctl(it)}.disable_ipv6=0",
    ),
    Condition(
        "ipv6-forwarding-off",
        lambda it: _svi(it).v6_disabled is False and _svi(it).forwards_v6 is False,
        lambda it: f"{it.vrf.svi} does not forward IPv6: packets from other VTEPs are dropped",
        lambda it: f"sysctl -w net.ipv6.conf.{_as_sysctl(it)}.forwarding=1",
    ),
    Condition(
        "svi-mtu",
        lambda it: 0 < _tunnel_mtu(it) < (_svi(it).mtu or 0),
        lambda it: (
            f"{it.vrf.svi} takes packets of {_svi(it).mtu}, and {it.vrf.vxlan} carries {_tunnel_mtu(it)}: its bridge drops larger ones, and "
            "no sender is told"
        ),
        lambda it: f"ip link set dev {it.vrf.svi} mtu {_tunnel_mtu(it)}",
    ),
    Condition(
        "svi-addrgenmode",
        lambda it: _svi(it).makes_link_local is True and _svi(it).v6_disabled is False,
        lambda it: (
            f"{it.vrf.svi} makes an IPv6 link-local address, which routing between VTEPs does not need: it sends router solicitations and "
            "multicast reports into the tunnel"
        ),
        lambda it: f"ip link set dev {it.vrf.svi} addrgenmode none",
    ),
)
"""What does not stop anything, and costs traffic: rows are written all the same."""


def notes(vrf: VrfConfig, links: Links) -> tuple[str, ...]:
    """Return what works and should be checked, each with the command that mends it."""
    it = Subject(vrf, links, links.by_name.get(vrf.name), links.by_name.get(vrf.svi))
    if it.svi is None:
        return ()
    return tuple(f"{one.code}: {one.says(it)}; run: {one.mend(it)}" for one in NOTES if one.broken(it))


class Survey(Struct, frozen=True):
    """The answers for all VRFs, from one picture of the links."""

    ready: Mapping[RoutedDomain, VrfDevices]
    not_ready: Mapping[Vni, NotReady]
    notes: Mapping[Vni, tuple[str, ...]]


def survey(vrfs: Collection[VrfConfig], links: Links) -> Survey:
    """Judge every VRF."""
    ready: dict[RoutedDomain, VrfDevices] = {}
    not_ready: dict[Vni, NotReady] = {}
    for vrf in vrfs:
        found = judge(vrf, links)
        if isinstance(found, NotReady):
            not_ready[vrf.vni] = found
        else:
            ready[RoutedDomain(vrf.vni)] = found
    return Survey(ready, not_ready, {vrf.vni: told for vrf in vrfs if (told := notes(vrf, links))})
