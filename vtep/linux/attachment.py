"""Whether a VNI's devices are fit to hold rows, with every reason why not.

Judges one picture of the links. Does not take it, remembers nothing, and does not know what is done about a reason.
An attribute that the kernel did not report counts against the device: rows on a port that learns are not ours to keep.
"""

from collections.abc import Iterator
from typing import TypeAlias

from msgspec import Struct

from vtep.addr import Ip
from vtep.linux.wire.link import Link, Links


class Ready(Struct, frozen=True):
    vni: int
    bridge: int
    port: int
    """The VXLAN device's index."""
    notes: tuple[str, ...] = ()
    """What works but deserves a look."""
    remote: Ip | None = None
    """The VTEP that the VXLAN device floods to by its own configuration."""


class Hosts(Struct, frozen=True, order=True):
    """The place of a VNI's neighbor rows, which its bridge has and which need more than its VXLAN port."""

    vni: int


class NotReady(Struct, frozen=True):
    vni: int
    reasons: tuple[str, ...]


Readiness: TypeAlias = Ready | NotReady


def judge(vni: int, bridge_name: str, vxlan_name: str, local: Ip | None, links: Links) -> Readiness:
    """Say whether rows of the VNI can be written; without a local address to expect, any will do."""
    bridge, port = links.by_name.get(bridge_name), links.by_name.get(vxlan_name)
    reasons = (*_against_bridge(bridge), *_against_vxlan(port, vni, local), *_against_pair(bridge, port, links))
    if reasons or bridge is None or port is None:
        return NotReady(vni, reasons)
    remote = port.vxlan.remote if port.vxlan else None
    return Ready(vni, bridge.index, port.index, tuple(_notes(bridge, port)), remote)


def answers_for_hosts(vxlan_name: str, links: Links) -> bool:
    """Tell whether the bridge answers for remote hosts: only then do neighbor rows save a flood."""
    port = links.by_name.get(vxlan_name)
    return port is not None and port.bridge_port is not None and port.bridge_port.neigh_suppress is True


def _against_bridge(link: Link | None) -> Iterator[str]:
    if link is None:
        yield "bridge-missing"
    elif link.bridge is None:
        yield "not-a-bridge"
    else:
        if not link.up:
            yield "bridge-down"
        yield from _against_flag(link.bridge.vlan_filtering, "vlan-aware", "vlan-filtering-unreported")


def _against_vxlan(link: Link | None, vni: int, local: Ip | None) -> Iterator[str]:
    if link is None:
        yield "vxlan-missing"
    elif link.vxlan is None:
        yield "not-a-vxlan"
    else:
        vxlan = link.vxlan
        if not link.up:
            yield "device-down"
        yield from _against_flag(vxlan.external, "external", "external-unreported")
        if vxlan.vni != vni:
            yield "vni-unreported" if vxlan.vni is None else "wrong-vni"
        if vxlan.local is None:
            yield "local-address-missing"
        elif local is not None and vxlan.local != local:
            yield "wrong-local-address"
        yield from _against_flag(vxlan.learning, "learning-on-device", "device-learning-unreported")


def _against_pair(bridge: Link | None, port: Link | None, links: Links) -> Iterator[str]:
    if port is None or port.vxlan is None:
        return
    if port.master is None or bridge is None or port.master != bridge.index:
        yield "not-enslaved"
        return
    learning = port.bridge_port.learning if port.bridge_port else None
    yield from _against_flag(learning, "learning-on-port", "port-learning-unreported")
    if sum(other.kind == "vxlan" for other in links.ports_of(bridge.index)) > 1:
        yield "second-vxlan-port"


def _against_flag(value: bool | None, reason: str, unreported: str) -> Iterator[str]:
    if value is None:
        yield unreported
    elif value:
        yield reason


def _notes(bridge: Link, port: Link) -> Iterator[str]:
    if bridge.mtu is not None and port.mtu is not None and port.mtu < bridge.mtu:
        yield f"mtu: {port.name} carries {port.mtu}, {bridge.name} {bridge.mtu}"
    if bridge.bridge and bridge.bridge.default_pvid:
        yield (
            f"default-pvid: {bridge.name} gives its ports VLAN {bridge.bridge.default_pvid}, "
            "which doubles every bridge row (set vlan_default_pvid 0)"
        )
