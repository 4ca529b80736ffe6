"""What must be true of the devices of a VNI: one table for each way to attach it, with a row for each condition.

`attachment.py` asks these tables whether a VNI is ready. A row has a code, which is public and stays (docs/reasons.md), the
devices that must be there for the question to make sense, the question, a sentence that names what is there and what is needed,
and the command that mends it. `faults` reports every condition that is broken, in the order of the table, so that an operator
mends them all at once. What works but deserves a look is in `notes.py`.

A value that the kernel did not report counts as broken, because a row on a port that learns is not safe.

This module reads one picture of the links (`Links`) and the configuration of one VNI. It makes no message and no key, and it
does not decide what is done about a VNI that is not ready.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from vtep.config.model import VniConfig
from vtep.linux.devices import Bridge, BridgePort, Link, Links, PortVlan, Vxlan


class Fault(Struct, frozen=True):
    """One condition that a VNI's devices do not meet."""

    code: str
    """Public: docs/reasons.md explains it."""
    text: str
    """What is there, and what is needed."""
    mend: str
    """The command that mends it, or what to change in the configuration where no command can."""


class Subject(Struct, frozen=True):
    """What is judged: a VNI as configured, and its devices as the picture has them.

    A device that is missing, or is of another kind, has a value here all the same, in which nothing is reported. So a
    condition can be asked of it without asking first whether it is there.
    """

    vni: VniConfig
    links: Links
    """All devices at the moment of the survey."""
    bridge: Link
    """The device that the configuration names as the bridge, whatever it is; `bridge_data` says whether it is one."""
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
        """Look the devices of a VNI up, each by its name: a few dictionary lookups, so thousands of VNIs are cheap."""
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
    def has_svi(self) -> bool:
        """Whether the VLAN of the VNI has a device of its own on the bridge."""
        return self.svi is not _NO_LINK

    @property
    def is_port_of_bridge(self) -> bool:
        """Whether the VXLAN device is a port of the bridge that is configured."""
        return _it_is_a_port(self)

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
    """Asked only if `needs` holds. So a bridge that is missing is one fault, and not one for each of its settings."""
    says: Callable[[Subject], str]
    """The sentence of the fault: what is there, and what must be."""
    mend: Callable[[Subject], str]
    """The command of the fault, ready to paste, or what to change in the configuration."""


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
    checksum = " udp6zerocsumrx" if it.vni.vtep.is_v6 else ""
    return f"ip link add {it.vni.vxlan} type vxlan {what} local {it.vni.vtep} dstport 4789 nolearning{checksum}"


def make_vxlan_again(it: Subject) -> str:
    return f"ip link del {it.vni.vxlan}; {_make_vxlan(it)}"


def set_vxlan(it: Subject) -> str:
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
"""A bridge that is down forwards nothing, and the kernel removes its neighbor rows."""
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
        make_vxlan_again,  # the kernel refuses to change it
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
        make_vxlan_again,  # the kernel refuses to change it
    ),
)
"""An `external` device has a row for each MAC and source VNI, and our rows for one VNI name no source VNI. The
kernel changes neither this nor the VNI of a device, so the command makes it again."""
_PORT: Final = (
    Condition(
        "local-address-missing",
        _it_is_a_vxlan,
        lambda it: it.vxlan.local is None,
        lambda it: f"{it.device.name} has no local address, and must have {it.vni.vtep}",
        lambda it: f"{set_vxlan(it)} local {it.vni.vtep}",
    ),
    Condition(
        "wrong-local-address",
        _it_is_a_vxlan,
        lambda it: it.vxlan.local not in (None, it.vni.vtep),
        lambda it: f"{it.device.name} has the local address {it.vxlan.local}, and must have {it.vni.vtep}",
        lambda it: f"{set_vxlan(it)} local {it.vni.vtep}",
    ),
    *_must_be_off(
        "learning-on-device",
        "device-learning-unreported",
        _it_is_a_vxlan,
        lambda it: it.vxlan.learning,
        lambda it: f"learning of the VXLAN device {it.device.name}",
        lambda it: f"{set_vxlan(it)} nolearning",
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
"""The local address is the source of our packets, by which other VTEPs of a segment know our floods (local bias, RFC
8365 8.3.1).

Learning must be off twice. A VXLAN device that learns takes the VTEP of a MAC from each packet, against what BGP says.
A bridge port that learns moves a station of this leaf to the tunnel, when a frame of it comes back that way."""
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
"""A bridge that filters VLANs would write a row without a VLAN in every VLAN of the port."""
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
"""Two VXLAN ports in one broadcast domain forward floods to each other. No split horizon stops them, and with a
second leaf that is wired alike they go round in a loop."""
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
"""A VNI with a VLAN needs a bridge that tells VLANs apart."""
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
"""The frames in a tunnel have no VLAN tag (RFC 7348 6.1): `untagged` removes it on the way out, `pvid` adds it on
the way in."""
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
"""The same as `_ALONE`, but only in the VLAN of the VNI: other VLANs of the bridge may have other VXLAN ports."""
_DEVICE_FOR_MANY: Final = (
    Condition(
        "not-external",
        _it_is_a_vxlan,
        lambda it: not it.vxlan.external,
        lambda it: f"{it.device.name} is for one VNI, and must be external, because several VNIs have it",
        make_vxlan_again,  # the kernel refuses to change it
    ),
)
"""Without `external` the device sends every frame with its own VNI, whatever VLAN the frame came from."""
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
"""The port finds the VNI of a frame by the VLAN tag that the frame has when it leaves the bridge. So the VLAN must
be tagged, `vlan_tunnel` on, and the VLAN mapped to the VNI. A VNI filter also decides which VNIs the device
receives."""

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
        lambda it: not it.has_svi,
        lambda it: (
            f"VLAN {it.vni.vlan} of {it.bridge.name} has no device of its own: remote hosts get no neighbor rows"
        ),
        lambda it: (
            f"ip link add link {it.bridge.name} name {it.bridge.name}.{it.vni.vlan} up type vlan id {it.vni.vlan}"
        ),
    ),
    Condition(
        "svi-down",
        lambda it: it.has_svi,
        lambda it: not it.svi.up,
        lambda it: f"{it.svi.name} is down: remote hosts get no neighbor rows",
        lambda it: f"ip link set dev {it.svi.name} up",
    ),
)
"""The same for a VLAN: the bridge answers by the neighbor rows of the VLAN's own device (br_do_proxy_suppress_arp)."""


ROWS_WENT: Final = frozenset(("svi-missing", "svi-down"))
"""With these faults the kernel has none of the rows, whatever was written: they went with the device."""


def faults(conditions: Iterable[Condition], it: Subject) -> Iterator[Fault]:
    """Yield every fault, in the order of the table. A condition whose devices are missing is left out: that is a
    fault of its own."""
    for condition in conditions:
        if condition.needs(it) and condition.broken(it):
            yield Fault(condition.code, condition.says(it), condition.mend(it))


def _names(links: Iterable[Link]) -> str:
    return " and ".join(sorted(link.name for link in links))
