"""Which devices there should be, as rows: from the configuration and the MTU of the underlay. Pure.

The rows follow the conditions that a VNI needs (`vtep/linux/conditions.py`), so a leaf that is made from this is ready. A bridge or
a VXLAN device is managed if any VNI that uses it is. Access ports are not managed: which stations are where is an operator's.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from vtep.addr import Ip
from vtep.config.model import Config, VniConfig
from vtep.intent import Intent
from vtep.linux.settings import MARK, SETTINGS
from vtep.linux.wire.device import AddressValue, VlanValue

VXLAN_PORT: Final = 4789
"""RFC 7348 5."""
OUTER_OCTETS: Final = {False: 50, True: 70}
"""What VXLAN adds to a frame, by whether the underlay is IPv6: Ethernet, IP, UDP and VXLAN headers."""


class DeviceRow(Struct, frozen=True):
    """A device is there, of this type, with what cannot be changed once it is made."""

    type: str
    fixed: tuple[tuple[str, Any], ...] = ()


class SettingRow(Struct, frozen=True):
    """A setting of a device has this value."""

    value: Any


class VlanRow(Struct, frozen=True):
    """A port, or a bridge itself, has the VLAN of the key."""

    pvid: bool = False
    untagged: bool = False
    vni: int | None = None
    itself: bool = False


class MemberRow(Struct, frozen=True):
    """The VNI or the address of the key is there."""


Rows = Mapping[Any, Any]


class Wish(Intent, frozen=True):
    """The rows that are wanted, by the name of their kind: what an intent is for routes."""

    rows: Mapping[str, Rows] = {}

    def settings_of(self, device: str) -> dict[str, Any]:
        """Return the settings of a device, by their names."""
        return {key[1]: row.value for key, row in self.rows.get("setting", {}).items() if key[0] == device}


def is_managed(config: Config) -> bool:
    """Tell whether there is any device to manage."""
    return any(vni.manage for vni in config.vnis)


def wish(config: Config, underlay_mtu: int, generation: int = 1) -> Wish:
    """Return the rows that the configuration wants."""
    rows = _Rows()
    for vni in config.vnis:
        if vni.manage and vni.is_bound:
            _add_vni(rows, vni, underlay_mtu)
    return Wish(generation=generation, complete=True, why="", rows=rows.found)


class _Rows:
    """Rows as they come together."""

    def __init__(self) -> None:
        self.found: dict[str, dict[Any, Any]] = {
            kind: {} for kind in ("device", "setting", "port", "vlan", "vni", "address", "state")
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

    def address(self, device: str, address: AddressValue) -> None:
        self.found["address"][device, address.ip, address.prefix] = MemberRow()


def _add_vni(rows: _Rows, vni: VniConfig, underlay_mtu: int) -> None:
    """Add the bridge and the VXLAN device of a VNI, and its VLAN."""
    mtu = underlay_mtu - OUTER_OCTETS[vni.vtep.is_v6]
    rows.device(
        vni.bridge,
        "bridge",
        vlan_filtering=vni.vlan is not None,
        vlan_default_pvid=0,
        mcast_snooping=False,
        mtu=mtu,
    )
    is_shared = vni.vlan is not None and vni.shares_vxlan
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
        neigh_suppress=vni.neighbors,
        **({"vlan_tunnel": True} if is_shared else {}),
    )
    if vni.vlan is not None:
        rows.vlan(
            vni.vxlan,
            VlanValue(vni.vlan, pvid=not is_shared, untagged=not is_shared, vni=int(vni.vni) if is_shared else None),
        )
        if is_shared:
            rows.vni(vni.vxlan, int(vni.vni))


def tunnel_addresses(config: Config) -> Iterator[Ip]:
    """Yield our tunnel addresses for which devices are managed."""
    yield from dict.fromkeys(vni.vtep for vni in config.vnis if vni.manage)


def names(wanted: Iterable[tuple[Any, ...]]) -> set[str]:
    """Return the devices that keys are about."""
    return {key[0] for key in wanted}
