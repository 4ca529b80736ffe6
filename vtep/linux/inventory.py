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
                    yield Attached(vni, bridge.name, link.name, link.vxlan.local, vlan)
        return
    if link.vxlan.vni is None:
        return
    pvid = next((one.first for one in link.vlans if one.pvid), None) if filters else None
    if filters and pvid is None:
        return
    gateway = bridge if pvid is None else links.by_vlan.get((bridge.index, pvid))
    routes = gateway is not None and _is_in_vrf(gateway, links)
    yield Attached(
        link.vxlan.vni, bridge.name, link.name, link.vxlan.local, pvid,
        in_vrf=routes and not filters and len(links.ports_of(bridge.index)) == 1,
    )  # fmt: skip


def _is_in_vrf(link: Link, links: Links) -> bool:
    master = None if link.master is None else links.by_index.get(link.master)
    return master is not None and master.table is not None
