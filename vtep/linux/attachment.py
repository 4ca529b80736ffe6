"""How a VNI is attached to the devices of this host: the only module that knows bridges and ports.

Everything above this module speaks of VNIs, and everything below it speaks of interface indexes. This module joins the two.
It answers three questions, and the other modules ask them in these words:

1. Which devices has this VNI?                 `Ready`: it makes the messages and the lookups for a row of the VNI
2. To which VNI does this entry belong?        `Attached.owned` for entries, `Attached.keys_of_events` for events
3. Is the VNI ready, and if not, why?          `judge`, with a table of conditions

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

**Readiness.** Each way to attach a VNI has a table of conditions (`PLAIN`, `VLAN`, `SHARED`). Each row has a code, which is public and stays (docs/reasons.md), the devices that must
be there for the question to make sense, the question, a sentence that names what is there and what is needed, and the command
that mends it. `judge` reports every condition that is broken, in the order of the table, so that an operator mends them all
at once. A value that the kernel did not report counts as broken, because a row on a port that learns is not safe.

**Stations.** The watcher of local stations asks for more than readiness: it listens to a bridge whether or not the VXLAN
device is ready, and on every port. `Access` is the answer for it, with maps of its own (`StationEvents`).

"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from vtep.addr import ZERO_MAC, Ip, Mac, Vni
from vtep.config.model import VniConfig
from vtep.intent import HostKey, RowKey
from vtep.linux.devices import Address, Bridge, BridgePort, Link, Links, PortVlan, Vxlan
from vtep.linux.wire.neighbor import NTF_MASTER, NTF_SELF, Entry, FdbEvent, Half, Lookup, Neighbor, Verb
from vtep.linux.wire.tlv import AF_BRIDGE, AF_INET, AF_INET6
from vtep.reconcile.contract import Attachments

# Which devices has this VNI


class Ready(Struct, frozen=True):
    """The devices of a VNI that is ready. It makes the messages and the lookups that name them."""

    vni: int
    bridge: int
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
    ) -> Neighbor:
        """Return the message that writes or deletes the row of a MAC: both halves, or those that the flags name."""
        vlan = self.vlan if flags & NTF_MASTER else None
        src_vni = self.src_vni if flags & NTF_SELF else None
        return Neighbor(verb, self.port, mac, flags, state, dst, vni, vlan=vlan, src_vni=src_vni, also=also)

    def host_message(self, verb: Verb, ip: Ip, mac: Mac, flags: int, state: int, protocol: int) -> Neighbor:
        """Return the message that writes or deletes the neighbor row of a host address."""
        family = AF_INET6 if ip.is_v6 else AF_INET
        return Neighbor(verb, self.host_device, mac, flags, state, family=family, ip=ip, protocol=protocol)

    def lookups(self, mac: Mac) -> tuple[Lookup, Lookup]:
        """Return what to ask for both halves of a MAC's row."""
        return Lookup(self.port, mac, Half.BRIDGE, self.vlan), Lookup(self.port, mac, Half.VXLAN, None, self.src_vni)

    def fdb_entries(self, bridge_row: tuple[int, int], vxlan_row: tuple[int, int], dst: Ip) -> tuple[Entry, Entry]:
        """Return both halves of a MAC's row, each with these flags and this state."""
        return (
            Entry(self.port, self.bridge, ZERO_MAC, *bridge_row, vlan=self.vlan),
            Entry(self.port, None, ZERO_MAC, *vxlan_row, dst, src_vni=self.src_vni),
        )

    def is_into_tunnel(self, bridge_row: Entry) -> bool:
        """Tell whether the bridge forwards by this row to the VTEPs of the VNI, and not to a port of this host."""
        return bridge_row.port == self.port


class Hosts(Struct, frozen=True, order=True):
    """The domain of a VNI's neighbor rows, which need more than its MACs do."""

    vni: int


def domains(vni: Vni) -> tuple[Hashable, ...]:
    """Return every domain of a VNI."""
    return (vni, Hosts(vni))


# To which VNI does this entry belong


class Attached(dict[Hashable, Ready]):
    """Every domain that is ready, with its devices; and the way back, from a device to the VNI."""

    def __init__(self, ready: Mapping[Hashable, Ready] = {}, links: Links | None = None) -> None:
        super().__init__(ready)
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


class Fault(Struct, frozen=True):
    """One condition that a VNI's devices do not meet."""

    code: str
    """Public: docs/reasons.md explains it."""
    text: str
    """What is there, and what is needed."""
    mend: str
    """The command that mends it, or what to change in the configuration where no command can."""


class NotReady(Struct, frozen=True):
    vni: int
    faults: tuple[Fault, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """The codes of the faults."""
        return tuple(fault.code for fault in self.faults)


Readiness: TypeAlias = Ready | NotReady


class Subject(Struct, frozen=True):
    """What is judged: a VNI as configured, and its devices as the picture has them.

    A device that is missing, or is of another kind, has a value here all the same, in which nothing is reported. So a
    condition can be asked of it without asking first whether it is there.
    """

    vni: VniConfig
    links: Links
    bridge: Link
    bridge_data: Bridge
    device: Link
    """The VXLAN device."""
    vxlan: Vxlan
    port: BridgePort
    """The VXLAN device as a port of its bridge."""
    svi: Link
    """The device of the VNI's VLAN on the bridge."""

    @classmethod
    def of(cls, vni: VniConfig, links: Links) -> "Subject":
        bridge = links.by_name.get(vni.bridge, _NO_LINK)
        device = links.by_name.get(vni.vxlan, _NO_LINK)
        return cls(
            vni,
            links,
            bridge,
            bridge.bridge or _NO_BRIDGE,
            device,
            device.vxlan or _NO_VXLAN,
            device.bridge_port or _NO_PORT,
            _NO_LINK if vni.vlan is None else links.by_vlan.get((bridge.index, vni.vlan), _NO_LINK),
        )

    @property
    def is_shared(self) -> bool:
        """Whether the VXLAN device is for many VNIs: it says so itself, or several VNIs are configured with it."""
        return self.vni.vlan is not None and (self.vxlan.external is True or self.vni.shares_vxlan)

    @property
    def port_vlan(self) -> PortVlan | None:
        """What the VXLAN port has for the VLAN of the VNI."""
        return None if self.vni.vlan is None else self.device.vlan_at(self.vni.vlan)

    @property
    def mapped_vni(self) -> int | None:
        """The VNI to which the VXLAN port maps the VLAN."""
        vlan, found = self.vni.vlan, self.port_vlan
        return None if vlan is None or found is None else found.vni_of(vlan)

    @property
    def suppresses_by_vlan(self) -> bool:
        """Whether each VLAN of the port says by itself whether the bridge answers for hosts."""
        return self.vni.vlan is not None and self.port.neigh_vlan_suppress is True

    @property
    def vxlan_ports_in_vlan(self) -> Sequence[Link]:
        """The VXLAN devices that are ports of the bridge in the VLAN of the VNI, and that forward: one that is down does not.

        So the device that will take over can be prepared while it is down.
        """
        ports = () if self.vni.vlan is None else self.links.tunnels_in(self.bridge.index, self.vni.vlan)
        return [port for port in ports if port.up or port.index == self.device.index]

    @property
    def vlan_of_vni(self) -> int | None:
        """The VLAN that the VXLAN port maps to the VNI."""
        return self.links.vlan_by_vni.get((self.device.index, self.vni.vni))

    @property
    def vxlan_ports(self) -> list[Link]:
        """The VXLAN devices that are ports of the bridge."""
        return [port for port in self.links.ports_of(self.bridge.index) if port.kind == "vxlan"]


_NO_LINK: Final = Link(0, "")
_NO_BRIDGE: Final = Bridge()
_NO_VXLAN: Final = Vxlan()
_NO_PORT: Final = BridgePort()


def _always(_: Subject) -> bool:
    return True


def _the_bridge_is_there(it: Subject) -> bool:
    return it.bridge is not _NO_LINK


def _it_is_a_bridge(it: Subject) -> bool:
    return it.bridge_data is not _NO_BRIDGE


def _the_device_is_there(it: Subject) -> bool:
    return it.device is not _NO_LINK


def _it_is_a_vxlan(it: Subject) -> bool:
    return it.vxlan is not _NO_VXLAN


def _it_is_a_port(it: Subject) -> bool:
    """The VXLAN device is a port of the bridge that is configured."""
    return _it_is_a_vxlan(it) and _the_bridge_is_there(it) and it.device.master == it.bridge.index


def _it_filters(it: Subject) -> bool:
    """The VXLAN device is a port of the bridge, which filters VLANs: only then does it have any."""
    return _it_is_a_port(it) and it.bridge_data.vlan_filtering is True


def _it_has_the_vlan(it: Subject) -> bool:
    return _it_filters(it) and it.port_vlan is not None


class Condition(Struct, frozen=True):
    """One thing that must be so, and what to say and to do if it is not."""

    code: str
    needs: Callable[[Subject], bool]
    """Whether the devices that the question is about are there."""
    broken: Callable[[Subject], bool]
    says: Callable[[Subject], str]
    mend: Callable[[Subject], str]


def _must_be_off(
    code: str,
    unreported: str,
    needs: Callable[[Subject], bool],
    value: Callable[[Subject], bool | None],
    what: Callable[[Subject], str],
    mend: Callable[[Subject], str],
) -> tuple[Condition, Condition]:
    """Return the two conditions of a flag: that it is off, and that the kernel says so."""
    return (
        Condition(code, needs, lambda it: value(it) is True, lambda it: f"{what(it)} is on, and must be off", mend),
        Condition(
            unreported,
            needs,
            lambda it: value(it) is None,
            lambda it: f"the kernel did not report whether {what(it)} is on, and it must be off",
            lambda _: "report this with the output of: uname -r",
        ),
    )


def _make_vxlan(it: Subject) -> str:
    what = "external vnifilter" if it.is_shared else f"id {it.vni.vni}"
    return f"ip link add {it.vni.vxlan} type vxlan {what} local {it.vni.vtep} dstport 4789 nolearning"


def _make_vxlan_again(it: Subject) -> str:
    return f"ip link del {it.vni.vxlan}; {_make_vxlan(it)}"


def _set_vxlan(it: Subject) -> str:
    """Return the beginning of a command that changes the VXLAN device; one for many VNIs has the VNI 0."""
    return f"ip link set dev {it.device.name} type vxlan id {0 if it.vxlan.external else it.vni.vni}"


def _flags_of(it: Subject) -> str:
    """Return what the VXLAN port has for the VLAN, in the words of `bridge vlan`."""
    found = it.port_vlan
    return _FLAGS[(found.pvid, found.untagged)] if found is not None else ""


_FLAGS: Final = {
    (True, True): "pvid untagged",
    (True, False): "pvid and not untagged",
    (False, True): "untagged and not pvid",
    (False, False): "neither pvid nor untagged",
}


def _mapped_elsewhere(it: Subject) -> str:
    other = it.vlan_of_vni
    return "" if other is None else f"; VLAN {other} is mapped to that VNI"


def _unmap_elsewhere(it: Subject) -> str:
    """Return the command that frees the VNI: the kernel maps it to one VLAN only."""
    other = it.vlan_of_vni
    return "" if other is None else f"bridge vlan del dev {it.device.name} vid {other} tunnel_info id {it.vni.vni}; "


def _type_of(link: Link) -> str:
    return f"a device of type {link.kind}" if link.kind else "a physical device"


def _name_of_master(it: Subject) -> str:
    if it.device.master is None:
        return "no bridge"
    master = it.links.by_index.get(it.device.master)
    return f"device {it.device.master}" if master is None else master.name


_BRIDGE: Final = (
    Condition(
        "bridge-missing",
        _always,
        lambda it: it.bridge is _NO_LINK,
        lambda it: f"there is no device {it.vni.bridge}, and VNI {it.vni.vni} needs it as its bridge",
        lambda it: f"ip link add {it.vni.bridge} type bridge",
    ),
    Condition(
        "not-a-bridge",
        _the_bridge_is_there,
        lambda it: it.bridge_data is _NO_BRIDGE,
        lambda it: f"{it.bridge.name} is {_type_of(it.bridge)}, and must be a bridge",
        lambda it: f"set `bridge` of VNI {it.vni.vni} to the name of a bridge",
    ),
    Condition(
        "bridge-down",
        _it_is_a_bridge,
        lambda it: not it.bridge.up,
        lambda it: f"{it.bridge.name} is down, and must be up",
        lambda it: f"ip link set dev {it.bridge.name} up",
    ),
)
_DEVICE: Final = (
    Condition(
        "vxlan-missing",
        _always,
        lambda it: it.device is _NO_LINK,
        lambda it: f"there is no device {it.vni.vxlan}, and VNI {it.vni.vni} needs it as its VXLAN device",
        _make_vxlan,
    ),
    Condition(
        "not-a-vxlan",
        _the_device_is_there,
        lambda it: it.vxlan is _NO_VXLAN,
        lambda it: f"{it.device.name} is {_type_of(it.device)}, and must be a VXLAN device",
        lambda it: f"set `vxlan` of VNI {it.vni.vni} to the name of a VXLAN device",
    ),
    Condition(
        "device-down",
        _it_is_a_vxlan,
        lambda it: not it.device.up,
        lambda it: f"{it.device.name} is down, and must be up",
        lambda it: f"ip link set dev {it.device.name} up",
    ),
)
_DEVICE_FOR_ONE: Final = (
    *_must_be_off(
        "external",
        "external-unreported",
        _it_is_a_vxlan,
        lambda it: it.vxlan.external,
        lambda it: f"external of {it.device.name}",
        _make_vxlan_again,  # the kernel refuses to change it
    ),
    Condition(
        "vni-unreported",
        _it_is_a_vxlan,
        lambda it: it.vxlan.vni is None,
        lambda it: f"the kernel did not report the VNI of {it.device.name}, and it must be {it.vni.vni}",
        lambda _: "report this with the output of: uname -r",
    ),
    Condition(
        "wrong-vni",
        _it_is_a_vxlan,
        lambda it: it.vxlan.vni not in (None, it.vni.vni),
        lambda it: f"{it.device.name} has VNI {it.vxlan.vni}, and must have VNI {it.vni.vni}",
        _make_vxlan_again,  # the kernel refuses to change it
    ),
)
_PORT: Final = (
    Condition(
        "local-address-missing",
        _it_is_a_vxlan,
        lambda it: it.vxlan.local is None,
        lambda it: f"{it.device.name} has no local address, and must have {it.vni.vtep}",
        lambda it: f"{_set_vxlan(it)} local {it.vni.vtep}",
    ),
    Condition(
        "wrong-local-address",
        _it_is_a_vxlan,
        lambda it: it.vxlan.local not in (None, it.vni.vtep),
        lambda it: f"{it.device.name} has the local address {it.vxlan.local}, and must have {it.vni.vtep}",
        lambda it: f"{_set_vxlan(it)} local {it.vni.vtep}",
    ),
    *_must_be_off(
        "learning-on-device",
        "device-learning-unreported",
        _it_is_a_vxlan,
        lambda it: it.vxlan.learning,
        lambda it: f"learning of the VXLAN device {it.device.name}",
        lambda it: f"{_set_vxlan(it)} nolearning",
    ),
    Condition(
        "not-enslaved",
        _it_is_a_vxlan,
        lambda it: not _it_is_a_port(it),
        lambda it: f"{it.device.name} is a port of {_name_of_master(it)}, and must be a port of {it.vni.bridge}",
        lambda it: f"ip link set dev {it.device.name} master {it.vni.bridge}",
    ),
    *_must_be_off(
        "learning-on-port",
        "port-learning-unreported",
        _it_is_a_port,
        lambda it: it.port.learning,
        lambda it: f"learning of the bridge port {it.device.name}",
        lambda it: f"bridge link set dev {it.device.name} learning off",
    ),
)
_NO_VLANS: Final = (
    *_must_be_off(
        "vlan-aware",
        "vlan-filtering-unreported",
        _it_is_a_bridge,
        lambda it: it.bridge_data.vlan_filtering,
        lambda it: f"vlan_filtering of {it.bridge.name}",
        lambda it: f"ip link set dev {it.bridge.name} type bridge vlan_filtering 0",
    ),
)
_ALONE: Final = (
    Condition(
        "second-vxlan-port",
        _it_is_a_port,
        lambda it: len(it.vxlan_ports) > 1,
        lambda it: f"{it.bridge.name} has the VXLAN ports {_names(it.vxlan_ports)}, and must have {it.vni.vxlan} alone",
        lambda it: "; ".join(
            f"ip link set dev {port.name} nomaster" for port in it.vxlan_ports if port.index != it.device.index
        ),
    ),
)
_VLANS: Final = (
    Condition(
        "vlan-filtering-off",
        _it_is_a_bridge,
        lambda it: it.bridge_data.vlan_filtering is False,
        lambda it: f"vlan_filtering of {it.bridge.name} is off, and must be on, because VNI {it.vni.vni} has `vlan`",
        lambda it: f"ip link set dev {it.bridge.name} type bridge vlan_filtering 1",
    ),
    Condition(
        "vlan-filtering-unreported",
        _it_is_a_bridge,
        lambda it: it.bridge_data.vlan_filtering is None,
        lambda it: (
            f"the kernel did not report whether vlan_filtering of {it.bridge.name} is on: it has no VLAN filtering"
        ),
        lambda _: "use a kernel with CONFIG_BRIDGE_VLAN_FILTERING, or a bridge for each VNI",
    ),
)
_VLAN_OF_ONE: Final = (
    Condition(
        "vlan-missing",
        _it_filters,
        lambda it: it.port_vlan is None,
        lambda it: f"{it.device.name} does not have VLAN {it.vni.vlan}, and must have it as pvid untagged",
        lambda it: f"bridge vlan add dev {it.device.name} vid {it.vni.vlan} pvid untagged",
    ),
    Condition(
        "wrong-pvid",
        _it_has_the_vlan,
        lambda it: it.port_vlan is not None and not (it.port_vlan.pvid and it.port_vlan.untagged),
        lambda it: f"VLAN {it.vni.vlan} of {it.device.name} is {_flags_of(it)}, and must be pvid untagged",
        lambda it: f"bridge vlan add dev {it.device.name} vid {it.vni.vlan} pvid untagged",
    ),
)
_ALONE_IN_VLAN: Final = Condition(
    "second-vxlan-port",
    _it_has_the_vlan,
    lambda it: len(it.vxlan_ports_in_vlan) > 1,
    lambda it: (
        f"VLAN {it.vni.vlan} of {it.bridge.name} has the VXLAN ports {_names(it.vxlan_ports_in_vlan)}, "
        f"and must have {it.vni.vxlan} alone"
    ),
    lambda it: "; ".join(
        f"bridge vlan del dev {port.name} vid {it.vni.vlan}"
        for port in it.vxlan_ports_in_vlan
        if port.index != it.device.index
    ),
)
_DEVICE_FOR_MANY: Final = (
    Condition(
        "not-external",
        _it_is_a_vxlan,
        lambda it: not it.vxlan.external,
        lambda it: f"{it.device.name} is for one VNI, and must be external, because several VNIs have it",
        _make_vxlan_again,  # the kernel refuses to change it
    ),
)
_VLAN_OF_MANY: Final = (
    Condition(
        "vlan-missing",
        _it_filters,
        lambda it: it.port_vlan is None,
        lambda it: f"{it.device.name} does not have VLAN {it.vni.vlan}, and must have it",
        lambda it: f"bridge vlan add dev {it.device.name} vid {it.vni.vlan}",
    ),
    Condition(
        "vlan-untagged",
        _it_has_the_vlan,
        lambda it: it.port_vlan is not None and (it.port_vlan.pvid or it.port_vlan.untagged),
        lambda it: f"VLAN {it.vni.vlan} of {it.device.name} is {_flags_of(it)}, and must be tagged",
        lambda it: f"bridge vlan add dev {it.device.name} vid {it.vni.vlan}",
    ),
    Condition(
        "vlan-tunnel-off",
        _it_is_a_port,
        lambda it: it.port.vlan_tunnel is not True,
        lambda it: f"vlan_tunnel of {it.device.name} is off, and must be on; what was mapped is lost",
        lambda it: f"bridge link set dev {it.device.name} vlan_tunnel on",
    ),
    Condition(
        "tunnel-mapping-missing",
        _it_has_the_vlan,
        lambda it: it.mapped_vni is None,
        lambda it: (
            f"VLAN {it.vni.vlan} of {it.device.name} is mapped to no VNI, and must be mapped to {it.vni.vni}"
            f"{_mapped_elsewhere(it)}"
        ),
        lambda it: (
            f"{_unmap_elsewhere(it)}bridge vlan add dev {it.device.name} vid {it.vni.vlan} tunnel_info id {it.vni.vni}"
        ),
    ),
    Condition(
        "wrong-tunnel-mapping",
        _it_has_the_vlan,
        lambda it: it.mapped_vni not in (None, it.vni.vni),
        lambda it: (
            f"VLAN {it.vni.vlan} of {it.device.name} is mapped to VNI {it.mapped_vni}, "
            f"and must be mapped to {it.vni.vni}{_mapped_elsewhere(it)}"
        ),
        lambda it: (
            f"bridge vlan del dev {it.device.name} vid {it.vni.vlan} tunnel_info id {it.mapped_vni}; "
            f"{_unmap_elsewhere(it)}bridge vlan add dev {it.device.name} vid {it.vni.vlan} tunnel_info id {it.vni.vni}"
        ),
    ),
    Condition(
        "vni-not-in-filter",
        _it_is_a_vxlan,
        lambda it: it.vxlan.vni_filter is True and not it.device.takes_vni(it.vni.vni),
        lambda it: f"VNI {it.vni.vni} is not in the filter of {it.device.name}",
        lambda it: f"bridge vni add dev {it.device.name} vni {it.vni.vni}",
    ),
)

PLAIN: Final[tuple[Condition, ...]] = (*_BRIDGE, *_NO_VLANS, *_DEVICE, *_DEVICE_FOR_ONE, *_PORT, *_ALONE)
"""What must be so for a VNI with a bridge and a VXLAN device of its own."""
VLAN: Final[tuple[Condition, ...]] = (
    *_BRIDGE,
    *_VLANS,
    *_DEVICE,
    *_DEVICE_FOR_ONE,
    *_PORT,
    *_VLAN_OF_ONE,
    _ALONE_IN_VLAN,
)
"""What must be so for a VNI with a VLAN of a bridge, and a VXLAN device of its own."""
SHARED: Final[tuple[Condition, ...]] = (
    *_BRIDGE,
    *_VLANS,
    *_DEVICE,
    *_DEVICE_FOR_MANY,
    *_PORT,
    *_VLAN_OF_MANY,
    _ALONE_IN_VLAN,
)
"""What must be so for a VNI with a VLAN of a bridge, and a VXLAN device that it shares with other VNIs."""


_ANSWERS: Final = Condition(
    "neigh-suppress-off",
    _it_is_a_port,
    lambda it: it.port.neigh_suppress is not True and not it.suppresses_by_vlan,
    lambda it: f"neigh_suppress is off on {it.device.name}: remote hosts get no neighbor rows",
    lambda it: f"bridge link set dev {it.device.name} neigh_suppress on",
)
HOSTS: Final[tuple[Condition, ...]] = (_ANSWERS,)
"""What must be so, beyond that, for its neighbor rows: only a port that answers for remote hosts saves a flood by them."""
VLAN_HOSTS: Final[tuple[Condition, ...]] = (
    _ANSWERS,
    Condition(
        "neigh-suppress-off-in-vlan",
        _it_has_the_vlan,
        lambda it: it.suppresses_by_vlan and not (it.port_vlan and it.port_vlan.neigh_suppress),
        lambda it: (
            f"neigh_suppress is off in VLAN {it.vni.vlan} of {it.device.name}: remote hosts get no neighbor rows"
        ),
        lambda it: f"bridge vlan set dev {it.device.name} vid {it.vni.vlan} neigh_suppress on",
    ),
    Condition(
        "svi-missing",
        _it_is_a_bridge,
        lambda it: it.svi is _NO_LINK,
        lambda it: (
            f"VLAN {it.vni.vlan} of {it.bridge.name} has no device of its own: remote hosts get no neighbor rows"
        ),
        lambda it: (
            f"ip link add link {it.bridge.name} name {it.bridge.name}.{it.vni.vlan} up type vlan id {it.vni.vlan}"
        ),
    ),
    Condition(
        "svi-down",
        lambda it: it.svi is not _NO_LINK,
        lambda it: not it.svi.up,
        lambda it: f"{it.svi.name} is down: remote hosts get no neighbor rows",
        lambda it: f"ip link set dev {it.svi.name} up",
    ),
)
"""The same for a VLAN: the bridge answers by the neighbor rows of the VLAN's own device (br_do_proxy_suppress_arp)."""


ROWS_WENT: Final = frozenset(("svi-missing", "svi-down"))
"""With these faults the kernel has none of the rows, whatever was written: they went with the device."""


def judge(vni: VniConfig, links: Links) -> Readiness:
    """Say whether rows of the VNI can be written, and if not, every reason why."""
    return _judge(Subject.of(vni, links))


def _judge(it: Subject) -> Readiness:
    conditions = PLAIN if it.vni.vlan is None else SHARED if it.is_shared else VLAN
    if faults := tuple(_broken(conditions, it)):
        return NotReady(it.vni.vni, faults)
    return Ready(
        it.vni.vni,
        it.bridge.index,
        it.device.index,
        tuple(_notes(it)),
        it.vxlan.remote,
        vlan=it.vni.vlan,
        src_vni=it.vni.vni if it.is_shared else None,
        svi=it.svi.index,
    )


def _broken(conditions: Iterable[Condition], it: Subject) -> Iterator[Fault]:
    for condition in conditions:
        if condition.needs(it) and condition.broken(it):
            yield Fault(condition.code, condition.says(it), condition.mend(it))


_UDP_PORT: Final = 4789
"""Of VXLAN (RFC 7348 8). The default of iproute2 and of the kernel is 8472, from before there was one."""


def _notes(it: Subject) -> Iterator[str]:
    """Yield what works but deserves a look."""
    bridge, device = it.bridge, it.device
    if bridge.mtu is not None and device.mtu is not None and device.mtu < bridge.mtu:
        yield f"mtu: {device.name} carries {device.mtu}, {bridge.name} {bridge.mtu}"
    if it.vxlan.udp_port not in (None, _UDP_PORT):
        yield (
            f"dstport: {device.name} sends to UDP port {it.vxlan.udp_port}, and the peers listen on {_UDP_PORT} unless all are set up "
            "otherwise; the kernel refuses to change it, so make the device again"
        )
    if it.vni.vlan is not None:
        yield from _notes_of_vlan(it)
    elif it.bridge_data.default_pvid:
        yield (
            f"default-pvid: {bridge.name} gives its ports VLAN {it.bridge_data.default_pvid}, "
            "which doubles every bridge row (set vlan_default_pvid 0)"
        )


def _notes_of_vlan(it: Subject) -> Iterator[str]:
    others = [] if it.is_shared else [found for found in it.device.vlans if found is not it.port_vlan]
    if others:
        named = ", ".join(
            str(found.first) if found.first == found.last else f"{found.first}-{found.last}" for found in others
        )
        yield (
            f"other-vlans: {it.device.name} has also VLAN {named}, whose broadcasts leave with VNI {it.vni.vni} "
            f"(bridge vlan del dev {it.device.name} vid {others[0].first})"
        )
    if it.svi is not _NO_LINK and it.vni.vlan is not None and it.bridge.vlan_at(it.vni.vlan) is None:
        yield (
            f"svi-vlan: {it.bridge.name} itself does not have VLAN {it.vni.vlan}, so {it.svi.name} receives nothing "
            f"(bridge vlan add dev {it.bridge.name} vid {it.vni.vlan} self)"
        )


def _names(links: Iterable[Link]) -> str:
    return " and ".join(sorted(link.name for link in links))


class Survey(Struct, frozen=True):
    """The answers for all VNIs, from one picture of the links."""

    ready: Attached
    not_ready: Mapping[Vni, NotReady]
    notes: Mapping[Vni, tuple[str, ...]]
    replaced: Attached
    """VNIs whose VXLAN device has the right name and is another device, with that device."""
    unserved: Mapping[Hashable, Fault]
    """Why a VNI that is ready has no neighbor rows."""


def survey(vnis: Iterable[VniConfig], links: Links) -> Survey:
    """Judge every VNI, and its hosts."""
    ready: dict[Hashable, Ready] = {}
    not_ready: dict[Vni, NotReady] = {}
    notes: dict[Vni, tuple[str, ...]] = {}
    replaced: dict[Hashable, Ready] = {}
    unserved: dict[Hashable, Fault] = {}
    for vni in vnis:
        it = Subject.of(vni, links)
        found = _judge(it)
        if isinstance(found, NotReady):
            not_ready[vni.vni] = found
            # The VNI of a device never changes (vxlan_changelink refuses it), so this one was made in its place.
            if it.vxlan.vni not in (None, vni.vni) and not it.is_shared:
                replaced[vni.vni] = Ready(vni.vni, it.device.master or 0, it.device.index, vlan=vni.vlan)
            continue
        ready[vni.vni] = found
        faults = tuple(_broken(HOSTS if vni.vlan is None else VLAN_HOSTS, it))
        if not faults:
            ready[Hosts(vni.vni)] = found
        elif vni.neighbors:
            unserved[Hosts(vni.vni)] = faults[0]
        if told := (*found.notes, *(fault.text for fault in faults if vni.neighbors)):
            notes[vni.vni] = told
    return Survey(Attached(ready, links), not_ready, notes, Attached(replaced), unserved)


# Where are the stations of this VNI


class Access(Struct, frozen=True):
    """Where the bridge learns the stations of one VNI, whether or not its VXLAN device is ready."""

    vni: Vni
    bridge: int
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
    device: str
    hosts: frozenset[Ip]


def gateway(at: Access, links: Links, addresses: Mapping[int, set[Ip]]) -> Gateway | None:
    """Return the MAC of the bridge, or of the VLAN's own device, and the addresses that the devices with that MAC have."""
    device = at.bridge if at.vlan is None else min(at.devices, default=None)
    mac = None if device is None else links.by_index[device].mac
    if device is None or mac is None or not mac.is_usable:
        return None
    same = [index for index in at.devices if links.by_index[index].mac == mac]
    hosts = frozenset(ip for index in same for ip in addresses.get(index, ()))
    return Gateway(mac, links.by_index[device].name, hosts) if hosts else None


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
