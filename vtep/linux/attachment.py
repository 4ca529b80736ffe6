"""How a VNI is attached to the devices of this host: the only module that joins VNIs and devices.

Everything above this module speaks of VNIs, and everything below it speaks of interface indexes. This module joins the two.
It answers three questions, and the other modules ask them in these words:

1. Which devices has this VNI?                 `Ready`: it makes the messages and the lookups for a row of the VNI
2. To which VNI does this entry belong?        `Attached.owned` for entries, `Attached.keys_of_events` for events
3. Is the VNI ready, and if not, why?          `judge`, with the tables of `conditions.py`

It reads one picture of the links (`Links`) and the configured names. It does not take the picture, it remembers nothing, and
it does not decide what is done about a device that is not ready.

**The devices.** A VNI is attached in one of three ways. The configuration says whether it has a VLAN, and the VXLAN device
itself says whether it is for one VNI or for many (`external`, which the kernel never changes).

    a bridge of its own            bridge             VXLAN device        the bridge does not filter VLANs
    a VLAN, a device of its own    bridge and VLAN    VXLAN device        the VLAN is the port's `pvid untagged`
    a VLAN, a shared device        bridge and VLAN    device and VNI      the VLAN is mapped to the VNI (`tunnel_info`)

A remote MAC is two entries, in two tables, and a host is one in a third. Each way fills the same three keys:

    bridge row   "this MAC is behind the VXLAN port"     key: bridge and VLAN, or bridge and None
    VXLAN row    "this MAC is at that VTEP"              key: VXLAN device and None, or device and source VNI
    host row     "this address has that MAC"             key: the bridge, or the VLAN's own device (the SVI)

So the kind of the entry decides which key leads to the VNI: `owned` looks at the family, then at NTF_SELF. An entry of a VNI
or VLAN that is not ours, on devices that are shared, has no VNI here, and so no kind ever sees it. The same holds for the
copies that a bridge without VLAN filtering keeps of each row for the default VLAN of a port: they have a VLAN, and the VNI of
such a bridge has none. A kind of row only says what is in its own part of the key (a MAC, a VTEP, an address).

Every message and lookup names the VLAN of the bridge half and the source VNI of the VXLAN half, if there are any. A deletion
without the VLAN would take the MAC out of all VLANs of the port (6.1 to 7.2).

An *event* is different from an entry. It names a port and a MAC, and it may concern the VNI although the port is not its
VXLAN port: a station that moves to an access port takes the bridge row with it. So `keys_of_events` knows every port of the
bridge, while `owned` knows the VXLAN port alone. They are two maps and must stay two.

**Domains.** A MAC needs the VXLAN port and its bridge. The neighbor rows of a VNI need more: the port must answer for remote
hosts (`neigh_suppress on`), and a VLAN needs a device of its own. Otherwise the rows would be of no use. So each VNI has two domains, the VNI itself and `Hosts` of
it, and a row is written only if its domain is in `Attached`. A VNI can be ready while its `Hosts` are absent. A VNI that is
not ready is not ready in both.

**Readiness.** Each way to attach a VNI has a table of conditions in `conditions.py`, each with its reason and the command that
mends it. `judge` picks the table.

**Stations.** The watcher of local stations asks for more than readiness: it listens to a bridge whether or not the VXLAN
device is ready, and on every port. `Access` is the answer for it, with maps of its own (`StationEvents`).

"""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from vtep.addr import ZERO_MAC, Ip, Mac, Vni
from vtep.config.model import VniConfig
from vtep.intent import HostKey, RowKey
from vtep.linux.conditions import HOSTS, PLAIN, SHARED, VLAN, VLAN_HOSTS, Fault, Subject, faults
from vtep.linux.devices import Address, Links
from vtep.linux.notes import notes_of, takes_groups
from vtep.linux.wire.neighbor import NTF_MASTER, NTF_SELF, Entry, FdbEvent, Half, Lookup, Neighbor, Verb
from vtep.linux.wire.tlv import AF_BRIDGE, AF_INET, AF_INET6
from vtep.reconcile.contract import Attachments

# Which devices has this VNI


class Ready(Struct, frozen=True):
    """The devices of a VNI that is ready. It makes the messages and the lookups that name them."""

    vni: int
    bridge: int
    """The index of the bridge; 0 for a VXLAN device that is in none, which only `Survey.replaced` has."""
    port: int
    """The index of the VXLAN device."""
    notes: tuple[str, ...] = ()
    """What works but deserves a look."""
    remote: Ip | None = None
    """The VTEP that the VXLAN device floods to by its own configuration."""
    vlan: int | None = None
    """The VLAN of the VNI on a bridge that filters VLANs."""
    src_vni: int | None = None
    """The VNI itself, if the VXLAN device is for many."""
    svi: int = 0
    """The VLAN's own device on the bridge, if it has one."""

    @property
    def host_device(self) -> int:
        """The device that has the neighbor rows: the bridge, or the VLAN's own device."""
        return self.bridge if self.vlan is None else self.svi

    def fdb_message(
        self,
        verb: Verb,
        mac: Mac,
        flags: int,
        state: int,
        dst: Ip | None = None,
        vni: int | None = None,
        also: tuple[Mac, ...] = (),
        group: int | None = None,
    ) -> Neighbor:
        """Return the message that writes or deletes the row of a MAC: both halves, or those that the flags name."""
        vlan = self.vlan if flags & NTF_MASTER else None
        src_vni = self.src_vni if flags & NTF_SELF else None
        return Neighbor(
            verb, self.port, mac, flags, state, dst, vni, vlan=vlan, src_vni=src_vni, nh_id=group, also=also
        )

    def host_message(self, verb: Verb, ip: Ip, mac: Mac, flags: int, state: int, protocol: int) -> Neighbor:
        """Return the message that writes or deletes the neighbor row of a host address."""
        family = AF_INET6 if ip.is_v6 else AF_INET
        return Neighbor(verb, self.host_device, mac, flags, state, family=family, ip=ip, protocol=protocol)

    def lookups(self, mac: Mac) -> tuple[Lookup, Lookup]:
        """Return what to ask for both halves of a MAC's row."""
        return Lookup(self.port, mac, Half.BRIDGE, self.vlan), Lookup(self.port, mac, Half.VXLAN, None, self.src_vni)

    def fdb_entries(
        self, bridge_row: tuple[int, int], vxlan_row: tuple[int, int], dst: Ip | None, group: int | None = None
    ) -> tuple[Entry, Entry]:
        """Return both halves of a MAC's row, each with these flags and this state."""
        return (
            Entry(self.port, self.bridge, ZERO_MAC, *bridge_row, vlan=self.vlan),
            Entry(self.port, None, ZERO_MAC, *vxlan_row, dst, src_vni=self.src_vni, nh_id=group),
        )

    def is_into_tunnel(self, bridge_row: Entry) -> bool:
        """Tell whether the bridge forwards by this row to the VTEPs of the VNI, and not to a port of this host."""
        return bridge_row.port == self.port


class Hosts(Struct, frozen=True, order=True):
    """The domain of a VNI's neighbor rows, which need more than its MACs do."""

    vni: int


def ports_of_segment(port: str, vnis: Iterable[VniConfig], links: Links) -> tuple[tuple[Vni, str], ...]:
    """Return the bridge port of a segment in each VNI: the port itself, or a VLAN device on it. VNIs need not be ready."""
    device = links.by_name.get(port)
    if device is None:
        return ()
    mine = {device.index, *(link.index for link in links.vlans_on(device.index))}
    found: list[tuple[Vni, str]] = []
    for vni in vnis:
        bridge = links.by_name.get(vni.bridge)
        ports = () if bridge is None else links.access_ports_of(bridge.index)
        there = (link for link in ports if link.index in mine)
        found += ((vni.vni, link.name) for link in there if vni.vlan is None or link.vlan_at(vni.vlan) is not None)
    return tuple(found)


def indexes_of(ports: Iterable[Iterable[tuple[Vni, str]]], links: Links) -> frozenset[int]:
    """Return the indexes of the ports of segments, as `ports_of_segment` found them in the same picture."""
    return frozenset(links.by_name[name].index for of_segment in ports for _, name in of_segment)


class Nexthops(Struct, frozen=True, order=True):
    """The domain of nexthops for the FDB, which belong to no VNI and need no device."""


NEXTHOPS: Final = Nexthops()


def domains(vni: Vni) -> tuple[Hashable, ...]:
    """Return every domain of a VNI."""
    return (vni, Hosts(vni))


# To which VNI does this entry belong


class Attached(dict[Hashable, Ready]):
    """Every domain that is ready, with its devices; and the way back, from a device to the VNI."""

    def __init__(self, ready: Mapping[Hashable, Ready] = {}, links: Links | None = None) -> None:
        super().__init__(ready)
        self.segment_ports: frozenset[int] = frozenset()
        """The bridge ports that are on Ethernet segments of ours."""
        by_vni = {vni: devices for vni, devices in ready.items() if isinstance(vni, Vni)}
        answering = {Vni(hosts.vni): devices for hosts, devices in ready.items() if isinstance(hosts, Hosts)}
        self.devices = frozenset(
            index for found in by_vni.values() for index in (found.bridge, found.port, found.host_device) if index
        )
        """The devices that have rows of ours."""
        self.bridges = sorted({found.bridge for found in by_vni.values() if found.bridge})
        """A dump of these shows every bridge row and every VXLAN row."""
        self.alone = sorted({found.port for found in by_vni.values() if not found.bridge})
        """VXLAN devices in no bridge, which only `replaced` has: a dump of one shows its VXLAN rows."""
        self.host_devices = sorted({found.host_device for found in answering.values()})
        """A dump of these shows every neighbor row."""
        self._vni_of_bridge = {(found.bridge, found.vlan): vni for vni, found in by_vni.items() if found.bridge}
        self._vni_of_tunnel = {(found.port, found.src_vni): vni for vni, found in by_vni.items()}
        self._vni_of_host_device = {found.host_device: vni for vni, found in answering.items()}
        self._bridge_of_port = {
            port.index: bridge for bridge in self.bridges for port in (() if links is None else links.ports_of(bridge))
        }
        self.port_names = {} if links is None else {port: links.by_index[port].name for port in self._bridge_of_port}
        self._port_named = {name: port for port, name in self.port_names.items()}

    def port_named(self, name: str) -> int:
        """Return the index of a port of our bridges; 0, which is no device, if it is not there."""
        return self._port_named.get(name, 0)

    def owned(self, entries: Iterable[Entry]) -> Iterator[tuple[Vni, Entry]]:
        """Yield every entry of the FDB and of the neighbor table that belongs to a VNI that is ready, with that VNI.

        Takes many at once, because a dump has two entries for each MAC, and a call for each would cost more than the lookup.
        """
        of_host_device, of_tunnel, of_bridge = self._vni_of_host_device, self._vni_of_tunnel, self._vni_of_bridge
        for entry in entries:
            if entry.family != AF_BRIDGE:
                vni = of_host_device.get(entry.port)
            elif entry.flags & NTF_SELF:
                vni = of_tunnel.get((entry.port, entry.src_vni))
            else:
                vni = of_bridge.get((entry.master or 0, entry.vlan))
            if vni is not None:
                yield vni, entry

    def keys_of_events(self, events: Iterable[FdbEvent]) -> set[RowKey]:
        """Return the VNI and the MAC that each event may concern: its port may be any port of the bridge."""
        of_tunnel, of_bridge, bridge_of_port = self._vni_of_tunnel, self._vni_of_bridge, self._bridge_of_port
        keys: set[RowKey] = set()
        for port, mac, vlan, src_vni in events:
            vni = None if vlan is not None else of_tunnel.get((port, src_vni))
            if vni is None:
                vni = of_bridge.get((bridge_of_port.get(port, 0), vlan))
            if vni is not None:
                keys.add((vni, mac))
        return keys


def attached(attachments: Attachments) -> Attached:
    """Return what is ready, with the way back from its devices."""
    ready = attachments.ready
    return ready if isinstance(ready, Attached) else Attached(ready)


# Is the VNI ready, and if not, why


class NotReady(Struct, frozen=True):
    vni: int
    faults: tuple[Fault, ...]
    """Every condition that is broken, never empty."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """The codes of the faults."""
        return tuple(fault.code for fault in self.faults)


Readiness: TypeAlias = Ready | NotReady


def judge(vni: VniConfig, links: Links) -> Readiness:
    """Say whether rows of the VNI can be written, and if not, every reason why."""
    return _judge(Subject.of(vni, links))


def _judge(it: Subject) -> Readiness:
    """Pick the table by how the VNI is attached. The notes are read only if nothing is broken: a fault comes first."""
    wanted = PLAIN if it.vni.vlan is None else SHARED if it.is_shared else VLAN
    if broken := tuple(faults(wanted, it)):
        return NotReady(it.vni.vni, broken)
    return Ready(
        it.vni.vni,
        it.bridge.index,
        it.device.index,
        tuple(notes_of(it)),
        it.vxlan.remote,
        vlan=it.vni.vlan,
        src_vni=it.vni.vni if it.is_shared else None,
        svi=it.svi.index,
    )


class Survey(Struct, frozen=True):
    """The answers for all VNIs, from one picture of the links."""

    ready: Attached
    """VNIs whose devices are as they must be, and their `Hosts` where neighbor rows are of use."""
    not_ready: Mapping[Vni, NotReady]
    """The other VNIs, each with every reason."""
    notes: Mapping[Vni, tuple[str, ...]]
    """By VNI: what works but deserves a look. Absent for a VNI without any."""
    replaced: Attached
    """VNIs whose VXLAN device has the right name and is another device, with that device."""
    unserved: Mapping[Hashable, Fault]
    """Why a VNI that is ready has no neighbor rows."""
    ungrouped: frozenset[Vni]
    """VNIs whose VXLAN device must have no row that names a group."""


def survey(vnis: Iterable[VniConfig], links: Links) -> Survey:
    """Judge every VNI, and its hosts.

    A VNI gets up to two domains, the VNI and `Hosts` of it. One that is not ready gets neither. The cost is that of a
    few lookups for each VNI, because `Links` has the devices sorted by what is asked.
    """
    ready: dict[Hashable, Ready] = {}
    not_ready: dict[Vni, NotReady] = {}
    notes: dict[Vni, tuple[str, ...]] = {}
    replaced: dict[Hashable, Ready] = {}
    unserved: dict[Hashable, Fault] = {}
    ungrouped: set[Vni] = set()
    for vni in vnis:
        it = Subject.of(vni, links)
        found = _judge(it)
        if not takes_groups(it):
            ungrouped.add(vni.vni)
        if isinstance(found, NotReady):
            not_ready[vni.vni] = found
            # The VNI of a device never changes (vxlan_changelink refuses it), so this one was made in its place.
            if it.vxlan.vni not in (None, vni.vni) and not it.is_shared:
                replaced[vni.vni] = Ready(vni.vni, it.device.master or 0, it.device.index, vlan=vni.vlan)
            continue
        ready[vni.vni] = found
        broken = tuple(faults(HOSTS if vni.vlan is None else VLAN_HOSTS, it))
        if not broken:
            ready[Hosts(vni.vni)] = found
        elif vni.neighbors:
            unserved[Hosts(vni.vni)] = broken[0]
        if told := (*found.notes, *(fault.text for fault in broken if vni.neighbors)):
            notes[vni.vni] = told
    return Survey(Attached(ready, links), not_ready, notes, Attached(replaced), unserved, frozenset(ungrouped))


class GatewayMac(Struct, frozen=True):
    """The MAC of a VLAN's own device, which the bridge may not know."""

    vni: Vni
    bridge: int
    lookup: Lookup
    """What to ask: the answer should be a row that points to the bridge itself."""
    note: str
    """What to say if it is not."""


def gateway_macs(vnis: Iterable[VniConfig], links: Links) -> Iterator[GatewayMac]:
    """Yield the MACs of VLANs' own devices that their bridge may not know.

    The bridge knows its own MAC in each of its VLANs, and no other. Frames to another MAC of the device, such as that of an
    anycast gateway, are flooded, also into the tunnel (br_handle_frame_finish, 6.1 to 7.2).
    """
    for vni in vnis:
        it = Subject.of(vni, links)
        mac = it.svi.mac
        if vni.vlan is None or mac is None or not mac.is_usable or mac == it.bridge.mac or not it.is_port_of_bridge:
            continue
        yield GatewayMac(
            vni.vni,
            it.bridge.index,
            Lookup(it.device.index, mac, Half.BRIDGE, vni.vlan),
            f"svi-mac: {it.bridge.name} does not know {mac} of {it.svi.name} in VLAN {vni.vlan}, so frames to the gateway are "
            f"flooded (bridge fdb add {mac} dev {it.bridge.name} vlan {vni.vlan} self local)",
        )


# Where are the stations of this VNI


class Access(Struct, frozen=True):
    """Where the bridge learns the stations of one VNI, whether or not its VXLAN device is ready."""

    vni: Vni
    bridge: int
    """The index of the bridge."""
    ports: Mapping[int, str]
    """The names of the access ports."""
    others: frozenset[int]
    """The VXLAN devices on the bridge and the bridge itself: an event there may concern a station, a row there never is one."""
    devices: frozenset[int]
    """The devices whose neighbor rows say which host has which MAC: the bridge, and the VLAN devices on it, or that of the VLAN."""
    vlan: int | None = None
    """The VLAN of the VNI on a bridge that filters VLANs."""

    @property
    def reader(self) -> int | None:
        """A port by which the bridge can be asked for its row of a MAC: the VXLAN port if there is one, as it seldom leaves."""
        tunnels = self.others - {self.bridge}
        return min(tunnels or self.ports, default=None)

    def lookup(self, mac: Mac) -> Lookup | None:
        """Return what to ask for the bridge row of a MAC; None if the bridge has no port."""
        return None if (reader := self.reader) is None else Lookup(reader, mac, Half.BRIDGE, self.vlan)

    def port_of(self, row: Entry) -> str | None:
        """Return the access port of a bridge row of this VNI, or None for every other entry."""
        if row.family != AF_BRIDGE or row.flags & NTF_SELF or row.master != self.bridge or row.vlan != self.vlan:
            return None
        return self.ports.get(row.port)


def access(vni: VniConfig, links: Links) -> Access | None:
    """Return where the stations of a VNI are learned; nowhere if it has no bridge that can be followed."""
    bridge = links.by_name.get(vni.bridge)
    if bridge is None or bridge.bridge is None or bool(bridge.bridge.vlan_filtering) != (vni.vlan is not None):
        return None
    vlan = vni.vlan
    if vlan is None:
        ports = links.ports_of(bridge.index)
        tunnels = frozenset(port.index for port in ports if port.kind == "vxlan")
        devices = [bridge.index, *(link.index for link in links.vlans_on(bridge.index))]
    else:
        ports = [port for port in links.access_ports_of(bridge.index) if port.vlan_at(vlan) is not None]
        tunnels = frozenset(port.index for port in links.tunnels_in(bridge.index, vlan))
        devices = [svi.index] if (svi := links.by_vlan.get((bridge.index, vlan))) is not None else []
    return Access(
        vni=vni.vni,
        bridge=bridge.index,
        ports={port.index: port.name for port in ports if port.index not in tunnels},
        others=tunnels | {bridge.index},
        devices=frozenset(devices),
        vlan=vlan,
    )


class Gateway(Struct, frozen=True):
    """What this host has itself on the bridge of a VNI, by which it routes for the stations."""

    mac: Mac
    """The MAC of the bridge or of the SVI, which the hosts of the VNI use as that of their gateway."""
    device: str
    """The name of the device that has the MAC."""
    hosts: frozenset[Ip]
    """The addresses of all devices with this MAC on the bridge or in the VLAN; never empty."""


def gateway(at: Access, links: Links, addresses: Mapping[int, set[Ip]]) -> Gateway | None:
    """Return the MAC of the bridge, or of the VLAN's own device, and the addresses that the devices with that MAC have."""
    device = at.bridge if at.vlan is None else min(at.devices, default=None)
    mac = None if device is None else links.by_index[device].mac
    if device is None or mac is None or not mac.is_usable:
        return None
    same = [index for index in at.devices if links.by_index[index].mac == mac]
    hosts = frozenset(ip for index in same for ip in addresses.get(index, ()))
    return Gateway(mac, links.by_index[device].name, hosts) if hosts else None


def gateways_that_flood(vnis: Iterable[VniConfig], links: Links, rows: Iterable[Entry]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong, with a command, of each VLAN whose device has a MAC that its bridge does not know as its own.

    The bridge floods every frame to such a gateway, also into the tunnel, and another leaf with the same gateway routes a copy of
    it (kernels 6.12 and 7.2). One row for each VLAN ends that.
    """
    own = {(row.port, row.vlan, row.mac) for row in rows if row.family == AF_BRIDGE}
    for vni in vnis:
        bridge = links.by_name.get(vni.bridge)
        svi = None if bridge is None or vni.vlan is None else links.by_vlan.get((bridge.index, vni.vlan))
        if bridge is None or svi is None or svi.mac in (None, bridge.mac):
            continue
        if (bridge.index, vni.vlan, svi.mac) not in own:
            text = f"{bridge.name} floods every frame to {svi.mac}, the MAC of {svi.name}, because it does not know it as its own"
            yield text, f"bridge fdb add {svi.mac} dev {bridge.name} vlan {vni.vlan} self local"


def own_hosts(vnis: Iterable[VniConfig], links: Links, addresses: Iterable[Address]) -> Iterator[HostKey]:
    """Yield the addresses of each VNI's bridge and of the devices on it, and the broadcast addresses of their networks."""
    vni_of_bridge: dict[tuple[int, int | None], Vni] = {}
    for vni in vnis:
        if (bridge := links.by_name.get(vni.bridge)) is not None:
            vni_of_bridge[bridge.index, vni.vlan] = vni.vni
    for address in addresses:
        link = links.by_index.get(address.device)
        if link is None:
            continue
        below = link.below or 0
        keys = ((link.index, None), (below, None), (below, link.vlan))
        if (found := next((vni_of_bridge[key] for key in keys if key in vni_of_bridge), None)) is not None:
            yield from ((found, ip) for ip in (address.ip, address.broadcast) if ip is not None)


def station_rows(accesses: Iterable[Access], rows: Iterable[Entry]) -> Iterator[tuple[Vni, Entry]]:
    """Yield the bridge rows at access ports, with their VNIs: a port may have VLANs of several."""
    access_of = {(at.bridge, at.vlan): at for at in accesses}
    for row in rows:
        at = access_of.get((row.master or 0, row.vlan))
        if at is not None and at.port_of(row) is not None:
            yield at.vni, row


class StationEvents:
    """To which VNI an event of a bridge belongs, for one who follows stations."""

    def __init__(self, accesses: Iterable[Access] = ()) -> None:
        self._vni_of_bridge: dict[tuple[int, int | None], Vni] = {}
        self._bridge_of_port: dict[int, int] = {}
        self._vni_of_host_device: dict[int, Vni] = {}
        for at in accesses:
            self._vni_of_bridge[at.bridge, at.vlan] = at.vni
            self._bridge_of_port |= dict.fromkeys((*at.ports, *at.others), at.bridge)
            self._vni_of_host_device |= dict.fromkeys(at.devices, at.vni)

    def vni_of_event(self, event: FdbEvent) -> Vni | None:
        """Return the VNI of an event in the table of a bridge."""
        return self._vni_of_bridge.get((self._bridge_of_port.get(event.port, 0), event.vlan))

    def vni_of_host_device(self, device: int) -> Vni | None:
        """Return the VNI of an event in the neighbor table."""
        return self._vni_of_host_device.get(device)
