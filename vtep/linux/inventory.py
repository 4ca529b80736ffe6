"""Which VNIs the devices of this host have, where no configuration says so: for `vtep init --observe`. Pure.

Knows the three ways to attach a VNI (`attachment`) from the other side: from the devices to the VNIs. Whether one is fit is not asked.
"""

from collections.abc import Iterator

from msgspec import Struct

from vtep.addr import Ip
from vtep.linux.devices import Link, Links


class Attached(Struct, frozen=True):
    """A VNI as this host has it."""

    vni: int
    bridge: str
    vxlan: str
    vtep: Ip | None
    vlan: int | None = None
    in_vrf: bool = False
    """Its bridge has a device in a VRF and no port besides: it looks like the VNI of that VRF."""
    vrf: str = ""
    """The VRF device that its gateway is in."""
    svi: str = ""
    """The gateway itself, if it is in a VRF."""


def found(links: Links) -> list[Attached]:
    """Return the VNIs of this host whose VXLAN device is in a bridge, in order."""
    vnis = [one for link in links if link.vxlan is not None for one in _of_device(link, links)]
    return sorted({one.vni: one for one in reversed(vnis)}.values(), key=lambda one: one.vni)


def _of_device(link: Link, links: Links) -> Iterator[Attached]:
    bridge = None if link.master is None else links.by_index.get(link.master)
    if link.vxlan is None or bridge is None or bridge.bridge is None:
        return
    filters = bool(bridge.bridge.vlan_filtering)
    if link.vxlan.external:
        for vlans in link.vlans:
            for vlan in range(vlans.first, vlans.last + 1):
                if (vni := vlans.vni_of(vlan)) is not None:
                    gateway = links.by_vlan.get((bridge.index, vlan))
                    vrf, svi = _vrf_of(gateway, links)
                    yield Attached(vni, bridge.name, link.name, link.vxlan.local, vlan, vrf=vrf, svi=svi)
        return
    if link.vxlan.vni is None:
        return
    pvid = next((one.first for one in link.vlans if one.pvid), None) if filters else None
    if filters and pvid is None:
        return
    gateway = bridge if pvid is None else links.by_vlan.get((bridge.index, pvid))
    vrf, svi = _vrf_of(gateway, links)
    yield Attached(
        link.vxlan.vni, bridge.name, link.name, link.vxlan.local, pvid,
        in_vrf=bool(vrf) and not filters and len(links.ports_of(bridge.index)) == 1, vrf=vrf, svi=svi,
    )  # fmt: skip


def _vrf_of(gateway: Link | None, links: Links) -> tuple[str, str]:
    """Return the names of the VRF device and of a gateway in it; nothing if it is in no VRF."""
    master = None if gateway is None or gateway.master is None else links.by_index.get(gateway.master)
    if gateway is None or master is None or master.table is None:
        return "", ""
    return master.name, gateway.name
