"""What works in the devices of a VNI but deserves a look: the notes beside its readiness.

A note never holds a VNI back; what does is in `conditions.py`. Each is one sentence that begins with a code, names the device and
what it has, and ends with the command that changes it, for example `mtu: vxlan10 carries 1450, br10 1500`. `attachment.py` asks for
them when a VNI is ready. `takes_groups` is here too, because the same devices decide it and a note says so.

This module reads one picture of the links (`Subject`). It makes no message, and knows neither rows nor routes.
"""

from collections.abc import Iterator
from typing import Final

from vtep.linux.conditions import Subject, make_vxlan_again, set_vxlan

_UDP_PORT: Final = 4789
"""Of VXLAN (RFC 7348 8). The default of iproute2 and of the kernel is 8472, from before there was one."""
_TTL_MIN: Final = 16
"""A fabric has a handful of hops; a detour around a failure has some more."""

SILENT: Final = ("dstport", "ttl", "checksum", "svi-mtu")
"""Notes about what loses packets while everything else looks right: the overview has them."""


def takes_groups(it: Subject) -> bool:
    """Tell whether rows of the VXLAN device may name a group of nexthops.

    With `proxy` or `learning` a kernel without the fix reads the VTEP of such a row, which has none, and crashes
    (CVE-2025-39850, CVE-2025-39851). The version of a kernel does not tell whether it has the fix, so the device
    decides.
    """
    return not (it.vxlan.proxy or it.vxlan.learning)


def notes_of(it: Subject) -> Iterator[str]:
    """Yield what works but deserves a look."""
    bridge, device = it.bridge, it.device
    if bridge.mtu is not None and device.mtu is not None and device.mtu < bridge.mtu:
        yield f"mtu: {device.name} carries {device.mtu}, {bridge.name} {bridge.mtu}"
    if it.vxlan.udp_port not in (None, _UDP_PORT):
        yield (
            f"dstport: {device.name} sends to UDP port {it.vxlan.udp_port}, and the peers listen on {_UDP_PORT} unless all are set up "
            f"otherwise; the kernel refuses to change it, so make the device again ({make_vxlan_again(it)})"
        )
    if it.vxlan.ttl and it.vxlan.ttl < _TTL_MIN:
        yield (
            f"ttl: packets of {device.name} have TTL {it.vxlan.ttl}, so that {it.vxlan.ttl - 1} routers forward them, and the usual TTL is "
            f"64 ({set_vxlan(it)} ttl 64)"
        )
    if it.vni.vtep.is_v6 and it.vxlan.takes_no_checksum is False:
        yield (
            f"checksum: {device.name} drops packets over IPv6 without a UDP checksum, which many switches send (RFC 6935); the kernel "
            f"refuses to change it, so make the device again if a peer sends such packets ({make_vxlan_again(it)})"
        )
    if it.vxlan.proxy:  # `learning` is a fault, and a fault comes before the notes
        yield (
            f"nexthops-unsafe: {device.name} has proxy on, with which some kernels crash on rows for several VTEPs; a MAC on an Ethernet "
            f"segment goes to one VTEP; the kernel refuses to change it, so make the device again ({make_vxlan_again(it)})"
        )
    gateway = bridge if it.vni.vlan is None else it.svi
    if it.vni.vrf and gateway.makes_link_local is False and gateway.v6_disabled is False:
        yield (
            f"no-link-local: {gateway.name} makes no IPv6 link-local address, and the kernel asks for no IPv6 host without one "
            f"(ip link set dev {gateway.name} addrgenmode eui64, unless it was given one)"
        )
    if it.vni.vlan is not None:
        yield from _notes_of_vlan(it)
    elif it.bridge_data.default_pvid:
        yield (
            f"default-pvid: {bridge.name} gives its ports VLAN {it.bridge_data.default_pvid}, "
            "which doubles every bridge row (set vlan_default_pvid 0)"
        )


def _notes_of_vlan(it: Subject) -> Iterator[str]:
    """Yield the notes that only a VNI with a VLAN has: more VLANs on its port, or a VLAN that the bridge itself
    lacks."""
    others = [] if it.is_shared else [found for found in it.device.vlans if found is not it.port_vlan]
    if others:
        named = ", ".join(
            str(found.first) if found.first == found.last else f"{found.first}-{found.last}" for found in others
        )
        yield (
            f"other-vlans: {it.device.name} has also VLAN {named}, whose broadcasts leave with VNI {it.vni.vni} "
            f"(bridge vlan del dev {it.device.name} vid {others[0].first})"
        )
    if it.has_svi and it.vni.vlan is not None and it.bridge.vlan_at(it.vni.vlan) is None:
        yield (
            f"svi-vlan: {it.bridge.name} itself does not have VLAN {it.vni.vlan}, so {it.svi.name} receives nothing "
            f"(bridge vlan add dev {it.bridge.name} vid {it.vni.vlan} self)"
        )
