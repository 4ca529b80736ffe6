"""The devices of this network namespace as one picture, as values: what EVPN needs to know of bridges, ports and VXLAN devices.

Knows no octet, no socket, and not which device belongs to which VNI (`attachment.py` does). What the kernel did not report is
None; the reader decides what that means.

A picture is taken as a whole, by one dump, because names and indexes change: a device that was deleted and made again has its
old name and a new index. So no index is kept for longer than the picture.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from vtep.addr import Ip, Mac


class Bridge(Struct, frozen=True):
    vlan_filtering: bool | None = None
    default_pvid: int | None = None
    """A kernel without VLAN filtering does not report it; no port has a VLAN there."""


class Vxlan(Struct, frozen=True):
    vni: int | None = None
    local: Ip | None = None
    learning: bool | None = None
    external: bool | None = None
    """One device for many VNIs (collect metadata)."""
    udp_port: int | None = None
    remote: Ip | None = None
    """The VTEP of the flood row that was made with the device (`remote` or `group`)."""


class BridgePort(Struct, frozen=True):
    learning: bool | None = None
    neigh_suppress: bool | None = None
    isolated: bool | None = None
    state: int | None = None
    """The state of the spanning tree: 3 is forwarding."""


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
    bridge_port: BridgePort | None = None


class Links(Struct, frozen=True):
    """All devices at one moment."""

    by_name: Mapping[str, Link]
    by_index: Mapping[int, Link]
    by_master: Mapping[int, Sequence[Link]]
    by_vlan_parent: Mapping[int, Sequence[Link]]

    @classmethod
    def of(cls, links: Iterable[Link]) -> "Links":
        """Sort the devices once, because a leaf with many VNIs asks for the ports of every bridge."""
        found = tuple(links)
        by_master: dict[int, list[Link]] = {}
        by_vlan_parent: dict[int, list[Link]] = {}
        for link in found:
            if link.master is not None:
                by_master.setdefault(link.master, []).append(link)
            if link.kind == "vlan" and link.below is not None:
                by_vlan_parent.setdefault(link.below, []).append(link)
        by_name = {link.name: link for link in found}
        return cls(by_name, {link.index: link for link in found}, by_master, by_vlan_parent)

    def __iter__(self) -> Iterator[Link]:
        return iter(self.by_index.values())

    def ports_of(self, bridge: int) -> Sequence[Link]:
        """Return the ports of a bridge."""
        return self.by_master.get(bridge, ())

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
