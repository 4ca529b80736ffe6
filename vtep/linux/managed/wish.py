"""Which devices there should be, as rows: from the configuration and the MTU of the underlay. Pure.

The rows follow the conditions that a VNI needs (`vtep/linux/conditions.py`), so a leaf that is made from this is ready. A bridge or
a VXLAN device is managed if any VNI that uses it is. Access ports are not managed: which stations are where is an operator's.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from vtep.addr import Ip, Mac
from vtep.config.model import Config, VniConfig, VrfConfig
from vtep.intent import Intent
from vtep.linux.settings import MARK, SETTINGS
from vtep.linux.underlay import OUTER_OCTETS
from vtep.linux.wire.device import AddressValue, VlanValue

VXLAN_PORT: Final = 4789
"""RFC 7348 5."""


class DeviceRow(Struct, frozen=True):
    """A device is there, of this type, with what cannot be changed once it is made."""

    type: str
    """The word of `ip link add type`: bridge, vxlan, vlan or vrf."""
    fixed: tuple[tuple[str, Any], ...] = ()
    """Pairs of name and value, in the order of `fixed_of`, because rows are compared whole; empty for a bridge."""


class SettingRow(Struct, frozen=True):
    """A setting of a device has this value."""

    value: Any
    """A flag, a number, an address, or the name of a device (`master`; empty is none)."""


class VlanRow(Struct, frozen=True):
    """A port, or a bridge itself, has the VLAN of the key."""

    pvid: bool = False
    untagged: bool = False
    vni: int | None = None
    """The VNI to which a VXLAN device for many maps the VLAN; None for any other port."""
    itself: bool = False
    """The VLAN is one of the bridge itself, which an SVI needs in order to receive anything."""


class MemberRow(Struct, frozen=True):
    """The VNI, the address or the MAC of the key is there."""


Rows = Mapping[Any, Any]


class Wish(Intent, frozen=True):
    """The rows that are wanted, by the name of their kind: what an intent is for routes."""

    rows: Mapping[str, Rows] = {}
    """By the name of a kind, then by key."""
    devices: frozenset[str] = frozenset()
    """The devices that rows are about, also one that is not made by us."""
    left_alone: frozenset[str] = frozenset()
    """Devices that the configuration has and does not want managed: they stay as they are, even with our mark."""

    def settings_of(self, device: str) -> dict[str, Any]:
        """Return the settings of a device, by their names. It looks them up, because a host may have thousands of devices."""
        settings = self.rows.get("setting", {})
        return {name: settings[device, name].value for name in SETTINGS if (device, name) in settings}


def is_managed(config: Config) -> bool:
    """Tell whether there is any device to manage."""
    return any(vni.manage for vni in config.vnis) or any(vrf.manage for vrf in config.vrfs)


def wish(config: Config, underlay_mtu: int, generation: int = 1) -> Wish:
    """Return the rows that the configuration wants.

    A VXLAN device is made for many VNIs if more than one VNI or VRF names it. A VNI without a bridge (not bound) wants
    nothing. A VRF with a `table` of its own is an operator's device: its L3VNI is managed, and the VRF device is not.
    """
    rows = _Rows()
    uses = Counter([vni.vxlan for vni in config.vnis] + [vrf.vxlan for vrf in config.vrfs])
    managed_vrfs = {vrf.name for vrf in config.vrfs if vrf.manage and not vrf.table}
    for vrf in config.vrfs:
        if vrf.manage:
            _add_vrf(rows, vrf, underlay_mtu, is_shared=vrf.vlan is not None and uses[vrf.vxlan] > 1)
    for vni in config.vnis:
        if vni.manage and vni.is_bound:
            _add_tunnel(rows, vni, underlay_mtu, is_shared=vni.vlan is not None and uses[vni.vxlan] > 1)
            _add_gateway(rows, vni, vni.vrf if vni.vrf in managed_vrfs else "")
    left_alone = frozenset(_unmanaged(config)) - names(rows.found["device"])
    devices = frozenset(names(key for found in rows.found.values() for key in found))
    return Wish(generation=generation, complete=True, why="", rows=rows.found, devices=devices, left_alone=left_alone)


def _unmanaged(config: Config) -> Iterator[str]:
    """Yield the devices of VNIs and VRFs that are not managed, or no longer."""
    for vni in config.vnis:
        if vni.is_bound and not vni.manage:
            yield from (vni.bridge, vni.vxlan, f"{vni.bridge}.{vni.vlan}")
    for vrf in config.vrfs:
        if not vrf.manage:
            yield from (vrf.name, vrf.bridge, vrf.vxlan, vrf.svi)


class _Rows:
    """Rows as they come together."""

    def __init__(self) -> None:
        self.found: dict[str, dict[Any, Any]] = {
            kind: {} for kind in ("device", "setting", "port", "vlan", "vni", "address", "sysctl", "state", "gateway")
        }

    def device(self, name: str, type_: str, fixed: Mapping[str, Any] = {}, **settings: Any) -> None:
        """Want a device. Of two VNIs that want it, the first says what the settings are, and flags add up."""
        self.found["device"].setdefault((name,), DeviceRow(type_, tuple(fixed.items())))
        for setting, value in {"alias": MARK, **settings, "up": True}.items():
            self.found[SETTINGS[setting].kind].setdefault((name, setting), SettingRow(value))

    def vlan(self, device: str, value: VlanValue) -> None:
        self.found["vlan"][device, value.vlan] = VlanRow(value.pvid, value.untagged, value.vni, value.itself)

    def vni(self, device: str, vni: int) -> None:
        self.found["vni"][device, vni] = MemberRow()

    def gateway(self, bridge: str, vlan: int, mac: Mac) -> None:
        self.found["gateway"][bridge, vlan, mac] = MemberRow()

    def address(self, device: str, address: AddressValue) -> None:
        self.found["address"][device, address.ip, address.prefix] = MemberRow()


def _add_tunnel(rows: _Rows, vni: VniConfig, underlay_mtu: int, *, is_shared: bool, suppresses: bool = True) -> None:
    """Add the bridge and the VXLAN device of a VNI, and its VLAN.

    Both get the MTU of the underlay less the octets that VXLAN adds (`OUTER_OCTETS`). So a frame of full size fits one
    packet of the underlay, and a gateway on the bridge sends no larger ones. `suppresses` is off for an L3VNI, which
    has no hosts.
    """
    mtu = underlay_mtu - OUTER_OCTETS[vni.vtep.is_v6]
    has_vlan = vni.vlan is not None
    rows.device(vni.bridge, "bridge", vlan_filtering=has_vlan, vlan_default_pvid=0, mcast_snooping=False, mtu=mtu)
    rows.device(
        vni.vxlan,
        "vxlan",
        {"id": 0 if is_shared else int(vni.vni), "dstport": VXLAN_PORT, "external": is_shared, "vnifilter": is_shared},
        local=vni.vtep,
        learning=False,
        link_local=False,
        mtu=mtu,
        master=vni.bridge,
        port_learning=False,
        neigh_suppress=vni.neighbors and suppresses,
        **({"vlan_tunnel": True} if is_shared else {}),
    )
    if vni.vlan is not None:
        mapped = int(vni.vni) if is_shared else None
        rows.vlan(vni.vxlan, VlanValue(vni.vlan, pvid=not is_shared, untagged=not is_shared, vni=mapped))
        if is_shared:
            rows.vni(vni.vxlan, int(vni.vni))


def _add_svi(rows: _Rows, bridge: str, name: str, vlan: int | None, **settings: Any) -> None:
    """Add the layer-3 device of a VNI: its bridge itself, or a VLAN device on it.

    A bridge knows its own MAC in each of its VLANs. It floods frames to any other MAC of a VLAN device, also into the tunnel, and
    another leaf with the same gateway routes them as well (br_handle_frame_finish, 6.1 to 7.2). So such a MAC gets a row.
    """
    if vlan is None:
        rows.device(name, "bridge", **settings)
    else:
        # One that was made on a bridge of a lower MTU would keep that: the kernel lowers it with the bridge's, and never raises it.
        mtu = rows.found["setting"][bridge, "mtu"].value
        rows.device(name, "vlan", {"below": bridge, "vlan": vlan}, mtu=mtu, **settings)
        rows.vlan(bridge, VlanValue(vlan, itself=True))
        if "mac" in settings:
            rows.gateway(bridge, vlan, settings["mac"])


def _add_vrf(rows: _Rows, vrf: VrfConfig, underlay_mtu: int, *, is_shared: bool) -> None:
    """Add a VRF device, the bridge and the VXLAN device of its L3VNI, and the SVI.

    Nothing is resolved on an L3VNI, so its port answers for no host, and its SVI needs no address.
    """
    if not vrf.table:
        rows.device(vrf.name, "vrf", {"table": int(vrf.vni)})
    _add_tunnel(rows, vrf.tunnel, underlay_mtu, is_shared=is_shared, suppresses=False)
    settings: dict[str, Any] = {"link_local": False, "forwards": True, "forwards_v6": True}
    if vrf.router_mac is not None:
        settings["mac"] = vrf.router_mac
    if not vrf.table:
        settings["master"] = vrf.name
    _add_svi(rows, vrf.bridge, vrf.svi, vrf.vlan if vrf.svi != vrf.bridge else None, **settings)


def _add_gateway(rows: _Rows, vni: VniConfig, vrf: str) -> None:
    """Add the device by which the hosts of a VNI are routed, with the addresses and the MAC that all leaves share.

    It keeps its link-local address: without one the kernel solicits no IPv6 neighbor.
    """
    if not (vrf or vni.addresses):
        return
    name = vni.bridge if vni.vlan is None else f"{vni.bridge}.{vni.vlan}"
    settings: dict[str, Any] = {"forwards": True, "forwards_v6": True}
    if vni.gateway_mac is not None:
        settings["mac"] = vni.gateway_mac
    if vrf:
        settings["master"] = vrf
    _add_svi(rows, vni.bridge, name, vni.vlan, **settings)
    for ip, prefix in vni.addresses:
        rows.address(name, AddressValue(ip, prefix))


def tunnel_addresses(config: Config) -> Iterator[Ip]:
    """Yield our tunnel addresses for which devices are managed."""
    managed: list[VniConfig | VrfConfig] = [*config.vnis, *config.vrfs]
    yield from dict.fromkeys(one.vtep for one in managed if one.manage)


def names(wanted: Iterable[tuple[Any, ...]]) -> set[str]:
    """Return the devices that keys are about."""
    return {key[0] for key in wanted}
