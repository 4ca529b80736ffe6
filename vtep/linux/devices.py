"""The devices of this network namespace as one picture, as values: what EVPN needs to know of bridges, ports and VXLAN devices.

Knows no octet, no socket, and not which device belongs to which VNI (`attachment.py` does). What the kernel did not report is
None; the reader decides what that means.

A picture is taken as a whole, by one dump, because names and indexes change: a device that was deleted and made again has its
old name and a new index. So no index is kept for longer than the picture.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from vtep.addr import Ip, Mac


class Bridge(Struct, frozen=True):
    vlan_filtering: bool | None = None
    """The bridge keeps VLANs apart: it is VLAN-aware."""
    default_pvid: int | None = None
    """A kernel without VLAN filtering does not report it; no port has a VLAN there."""
    mcast_snooping: bool | None = None
    """The bridge sends multicast only where a listener was seen."""


class Vxlan(Struct, frozen=True):
    vni: int | None = None
    local: Ip | None = None
    learning: bool | None = None
    external: bool | None = None
    """One device for many VNIs (collect metadata)."""
    vni_filter: bool | None = None
    """Such a device takes only the VNIs that it was given (`bridge vni`)."""
    udp_port: int | None = None
    remote: Ip | None = None
    """The VTEP of the flood row that was made with the device (`remote` or `group`)."""
    below: int | None = None
    """The device by which it sends, if it was made with one (`dev`): routes are looked up there."""
    ttl: int | None = None
    """Of the packets that it sends; 0: the usual one of the host."""
    proxy: bool | None = None
    """It answers ARP and ND by itself (`proxy`). Rows that name a group may crash a kernel that has it (CVE-2025-39850)."""
    takes_no_checksum: bool | None = None
    """It accepts packets over IPv6 without a UDP checksum (`udp6zerocsumrx`)."""


class BridgePort(Struct, frozen=True):
    learning: bool | None = None
    neigh_suppress: bool | None = None
    isolated: bool | None = None
    vlan_tunnel: bool | None = None
    """Each VLAN of the port has a VNI: the port is a VXLAN device for many VNIs."""
    neigh_vlan_suppress: bool | None = None
    """Each VLAN of the port says by itself whether the port answers for hosts. Kernels before 6.4 do not report it."""
    state: int | None = None
    """The state of the spanning tree: 3 is forwarding."""
    backup: int | None = None
    """The port by which its frames leave while it has no carrier."""


class PortVlan(Struct, frozen=True, gc=False):
    """What a bridge port, or a bridge itself, has for a VLAN, or for a range of alike VLANs."""

    first: int
    last: int
    pvid: bool = False
    """Frames that come without a VLAN belong to this one."""
    untagged: bool = False
    """Frames of this VLAN leave without it."""
    vni: int | None = None
    """The VNI of the first VLAN, if the port is a VXLAN device for many VNIs; each next VLAN has the next VNI."""
    neigh_suppress: bool | None = None

    def vni_of(self, vlan: int) -> int | None:
        """Return the VNI of one VLAN of the range."""
        return None if self.vni is None else self.vni + vlan - self.first


class VniRange(Struct, frozen=True, gc=False):
    """VNIs that a VXLAN device for many takes."""

    first: int
    last: int


class Link(Struct, frozen=True):
    index: int
    name: str
    kind: str = ""
    """The word of `ip link add type`; empty for a physical device."""
    master: int | None = None
    below: int | None = None
    """The device on which a VLAN device is made. For a veth the other end, which may be in another namespace."""
    up: bool = False
    mac: Mac | None = None
    mtu: int | None = None
    bridge: Bridge | None = None
    vxlan: Vxlan | None = None
    table: int | None = None
    """The routing table of a VRF device."""
    carrier: bool | None = None
    """Whether the layer below is up (IFF_LOWER_UP)."""
    carrier_losses: int | None = None
    """How often it went down since the device was made."""
    forwards: bool | None = None
    """Whether IPv4 packets that enter there are forwarded."""
    forwards_v6: bool | None = None
    v6_disabled: bool | None = None
    bridge_port: BridgePort | None = None
    vlan: int | None = None
    """The VLAN of a VLAN device."""
    vlans: tuple[PortVlan, ...] = ()
    """The VLANs of a bridge port, or of a bridge itself, in order; read only where a bridge filters VLANs."""
    vnis: tuple[VniRange, ...] = ()
    """The VNIs of a VXLAN device that filters them, in order."""
    alias: str = ""
    """A text that a program or an operator put on the device; the mark of a managed one (`vtep.linux.managed`)."""
    makes_link_local: bool | None = None
    """The kernel makes an IPv6 link-local address for it (addrgenmode is not none)."""

    def vlan_at(self, vlan: int) -> PortVlan | None:
        """Return what the port has for a VLAN. A search, because a trunk of 4,000 VLANs is asked once for each VNI."""
        at = bisect_right(self.vlans, vlan, key=_first) - 1
        return self.vlans[at] if at >= 0 and vlan <= self.vlans[at].last else None

    def takes_vni(self, vni: int) -> bool:
        """Tell whether the VNI is in the filter of the VXLAN device."""
        at = bisect_right(self.vnis, vni, key=_first) - 1
        return at >= 0 and vni <= self.vnis[at].last


_first: Final = attrgetter("first")


class Links(Struct, frozen=True):
    """All devices at one moment."""

    by_name: Mapping[str, Link]
    by_index: Mapping[int, Link]
    by_master: Mapping[int, Sequence[Link]]
    by_vlan_parent: Mapping[int, Sequence[Link]]
    by_access_master: Mapping[int, Sequence[Link]] = {}
    by_vlan: Mapping[tuple[int, int], Link] = {}
    """VLAN devices, by the device on which they are made and their VLAN."""
    tunnels_by_vlan: Mapping[tuple[int, int], Sequence[Link]] = {}
    """VXLAN devices, by the bridge that filters VLANs and each VLAN that they have there."""
    vlan_by_vni: Mapping[tuple[int, int], int] = {}
    """Where a VXLAN device for many VNIs has a VNI: its VLAN, by device and VNI."""

    def have(self, *indexes: int) -> bool:
        """Return whether all devices of these indexes are there."""
        return self.by_index.keys() >= set(indexes)

    @classmethod
    def of(cls, links: Iterable[Link]) -> "Links":
        """Sort the devices once, because a leaf with many VNIs asks for the ports of every bridge."""
        found = tuple(links)
        by_master: dict[int, list[Link]] = {}
        by_access_master: dict[int, list[Link]] = {}
        by_vlan_parent: dict[int, list[Link]] = {}
        for link in found:
            if link.master is not None:
                by_master.setdefault(link.master, []).append(link)
                if link.kind != "vxlan":
                    by_access_master.setdefault(link.master, []).append(link)
            if link.kind == "vlan" and link.below is not None:
                by_vlan_parent.setdefault(link.below, []).append(link)
        by_name = {link.name: link for link in found}
        by_vlan = {(link.below, link.vlan): link for link in found if link.below is not None and link.vlan is not None}
        tunnels: dict[tuple[int, int], list[Link]] = {}
        vlan_by_vni: dict[tuple[int, int], int] = {}
        for link in found:
            if link.kind != "vxlan" or link.master is None:
                continue
            for range_ in link.vlans:
                for vlan in range(range_.first, range_.last + 1):
                    tunnels.setdefault((link.master, vlan), []).append(link)
                    if (vni := range_.vni_of(vlan)) is not None:
                        vlan_by_vni[link.index, vni] = vlan
        by_index = {link.index: link for link in found}
        return cls(by_name, by_index, by_master, by_vlan_parent, by_access_master, by_vlan, tunnels, vlan_by_vni)

    def with_vlans(self, vlans: Iterable[tuple[int, PortVlan]], vnis: Iterable[tuple[int, VniRange]]) -> "Links":
        """Return the same picture with the VLANs of ports and the VNIs of VXLAN devices, each with its device."""
        vlans_of: dict[int, list[PortVlan]] = {}
        vnis_of: dict[int, list[VniRange]] = {}
        for index, vlan in vlans:
            vlans_of.setdefault(index, []).append(vlan)
        for index, vni in vnis:
            vnis_of.setdefault(index, []).append(vni)
        more = vlans_of.keys() | vnis_of.keys()
        return Links.of(
            replace(
                link,
                vlans=tuple(sorted(vlans_of.get(link.index, ()), key=_first)),
                vnis=tuple(sorted(vnis_of.get(link.index, ()), key=_first)),
            )
            if link.index in more
            else link
            for link in self
        )

    def __iter__(self) -> Iterator[Link]:
        return iter(self.by_index.values())

    def ports_of(self, bridge: int) -> Sequence[Link]:
        """Return the ports of a bridge."""
        return self.by_master.get(bridge, ())

    def access_ports_of(self, bridge: int) -> Sequence[Link]:
        """Return the ports of a bridge that are not VXLAN devices."""
        return self.by_access_master.get(bridge, ())

    def tunnels_in(self, bridge: int, vlan: int) -> Sequence[Link]:
        """Return the VXLAN devices that are ports of a bridge and have a VLAN there."""
        return self.tunnels_by_vlan.get((bridge, vlan), ())

    def vlans_on(self, device: int) -> Sequence[Link]:
        """Return the VLAN devices that are made on a device."""
        return self.by_vlan_parent.get(device, ())


class Address(Struct, frozen=True, gc=False):
    """An address of a device of this host."""

    device: int
    ip: Ip
    usable: bool = True
    """No other host was found to have it (RFC 4862 5.4)."""
    prefix: int | None = None
    """The length of its network's prefix."""

    @property
    def broadcast(self) -> Ip | None:
        """The broadcast address of its network, if that has one: IPv4, and room for more than two addresses."""
        if self.prefix is None or self.ip.is_v6 or self.prefix > 30:
            return None
        return Ip((int.from_bytes(self.ip) | (1 << (32 - self.prefix)) - 1).to_bytes(4))
