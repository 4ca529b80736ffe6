"""Whether the underlay carries what this leaf sends: its tunnel addresses, and the routes to the remote VTEPs.

BGP and the tables of the leaf can be in order while no packet arrives: the tunnel address was removed from the host, a remote
VTEP has no route, the link below has no carrier, or the underlay drops what is larger than its MTU. The kernel says nothing
about that, because a VXLAN device drops such packets silently. So `judge` compares one picture of the devices and addresses
with the routes that the kernel would choose (`paths.py`), and reports faults, each with both values and the command that mends it.

A *sender* is what decides how packets leave: the local address, the device below a VXLAN device that was made with `dev`, and
the MTU. Most leaves have one sender for all VNIs, so a VTEP is asked about once, and not once for each VNI.

One route is judged for each VTEP, although ECMP may have several, and only this leaf's side of the underlay: an MTU that is
smaller further on is seen as soon as a router reports it (RFC 1191), and not before. Reads no clock and makes no message.
"""

import errno
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from vtep.addr import Ip, Vni
from vtep.config.model import VniConfig, VrfConfig
from vtep.linux.conditions import Fault
from vtep.linux.devices import Address, Link, Links
from vtep.linux.wire.route import RTN_LOCAL, FoundPath, PathQuery

OUTER_OCTETS: Final = {False: 50, True: 70}
"""Inner Ethernet 14, VXLAN 8, UDP 8, and the outer header: IPv4 20, IPv6 40 (RFC 7348 5)."""

ADDRESS, DOWN, NO_ROUTE, HERE, MTU = (
    "tunnel-address-missing",
    "underlay-down",
    "vtep-unreachable",
    "vtep-is-local",
    "underlay-mtu",
)
"""Public (docs/reasons.md). The worst first: a VTEP with several faults has the first of them."""
CODES: Final = (ADDRESS, DOWN, NO_ROUTE, HERE, MTU)


class Sender(Struct, frozen=True):
    """How packets of some VNIs leave this host."""

    local: Ip
    below: int = 0
    """The device that the VXLAN device was made with (`dev`), or 0."""
    mtu: int = 0
    """Of the VXLAN device; 0 if it is not known."""

    def query(self, vtep: Ip) -> PathQuery:
        return PathQuery(self.local, self.below, vtep)


class Trouble(Struct, frozen=True):
    """One fault, and the VTEPs that it concerns: none for a fault of this leaf's own address."""

    fault: Fault
    vteps: tuple[Ip, ...] = ()


class Underlay(Struct, frozen=True):
    """What is known of the underlay at one moment."""

    troubles: tuple[Trouble, ...] = ()
    """The worst first; VTEPs that are alike are one trouble."""
    vteps: int = 0
    """How many were asked about."""
    senders: Mapping[Vni, Sender] = {}
    of_sender: Mapping[Sender, Fault] = {}
    of_vtep: Mapping[tuple[Sender, Ip], Fault] = {}
    last_devices: Mapping[PathQuery, str] = {}
    """By which device a VTEP was reached last: when its route is gone, this device may say why."""

    def fault_of(self, vni: Vni, vtep: Ip) -> Fault | None:
        """Return what keeps packets of a VNI from a VTEP."""
        sender = self.senders.get(vni)
        if sender is None:
            return None
        return self.of_sender.get(sender) or self.of_vtep.get((sender, vtep))

    def fault_here(self, vni: Vni) -> Fault | None:
        """Return what is wrong with the tunnel address of a VNI."""
        sender = self.senders.get(vni)
        return None if sender is None else self.of_sender.get(sender)


def senders(vnis: Iterable[VniConfig | VrfConfig], links: Links) -> dict[Vni, Sender]:
    """Return how packets leave, for each VNI that has its VXLAN device."""
    found: dict[Vni, Sender] = {}
    alike: dict[Sender, Sender] = {}
    for vni in vnis:
        device = links.by_name.get(vni.vxlan)
        if device is not None and device.vxlan is not None:
            sender = Sender(vni.vtep, device.vxlan.below or 0, device.mtu or 0)
            found[vni.vni] = alike.setdefault(sender, sender)
    return found


class Picture(Struct, frozen=True):
    """What there is: devices, addresses, and which sender each VNI has."""

    links: Links
    addresses: tuple[Address, ...]
    senders: Mapping[Vni, Sender]
    names: Mapping[Sender, tuple[str, ...]]
    """The VXLAN devices of a sender."""

    @classmethod
    def of(cls, vnis: Iterable[VniConfig | VrfConfig], links: Links, addresses: Iterable[Address]) -> "Picture":
        vnis = tuple(vnis)
        found = senders(vnis, links)
        names: dict[Sender, dict[str, None]] = defaultdict(dict)
        for vni in vnis:
            if vni.vni in found:
                names[found[vni.vni]][vni.vxlan] = None
        return cls(links, tuple(addresses), found, {sender: tuple(devices) for sender, devices in names.items()})


class Questions:
    """What must be asked: each route once, with the senders that use it."""

    def __init__(self, picture: Picture) -> None:
        self.asked: dict[PathQuery, list[Sender]] = {}
        known: dict[Sender, set[Ip]] = {sender: set() for sender in picture.names}
        self._of_vni = {vni: (sender, known[sender]) for vni, sender in picture.senders.items()}

    def take(self, reached: Iterable[tuple[Vni, Ip]]) -> None:
        """Take VTEPs of VNIs: a VTEP is usually that of very many."""
        of_vni = self._of_vni
        for vni, vtep in reached:
            if (found := of_vni.get(vni)) is not None and vtep not in found[1]:
                sender, known = found
                known.add(vtep)
                if sender.local.is_v6 == vtep.is_v6:
                    self.asked.setdefault(sender.query(vtep), []).append(sender)


def judge(
    picture: Picture,
    asked: Mapping[PathQuery, Iterable[Sender]],
    paths: Mapping[PathQuery, FoundPath],
    last_devices: Mapping[PathQuery, str] = {},
) -> Underlay:
    """Say what is wrong. A question without an answer says nothing."""
    of_sender = {sender: fault for sender in picture.names if (fault := _fault_of_address(picture, sender.local))}
    of_vtep: dict[tuple[Sender, Ip], Fault] = {}
    devices: dict[PathQuery, str] = {}
    alike: dict[tuple[str, ...], list[tuple[Sender, Ip]]] = defaultdict(list)
    for query, path in paths.items():
        device = picture.links.by_index.get(path.device)
        last = device.name if device is not None else last_devices.get(query, "")
        if last:
            devices[query] = last
        for sender in asked.get(query, ()):
            if sender in of_sender:
                continue
            if (found := _fault_of_path(picture, sender, query.vtep, path, last)) is not None:
                of_vtep[sender, query.vtep] = found
                alike[_alike(found, path, last, sender)].append((sender, query.vtep))
    local = {sender.local: fault for sender, fault in of_sender.items()}
    troubles = [Trouble(fault) for fault in local.values()]
    for group in alike.values():
        vteps = tuple(sorted({vtep for _, vtep in group}, key=lambda vtep: vtep.order))
        first = next(fault for one, fault in ((one, of_vtep[one]) for one in group) if one[1] == vteps[0])
        troubles.append(Trouble(first, vteps))
    troubles.sort(key=lambda one: CODES.index(one.fault.code))
    return Underlay(tuple(troubles), len(asked), picture.senders, of_sender, of_vtep, devices)


def _alike(fault: Fault, path: FoundPath, last: str, sender: Sender) -> tuple[str, ...]:
    """Return what the faults of several VTEPs have in common, so that they are told as one."""
    if fault.code == MTU:
        return (fault.code, str(sender.mtu), str(path.mtu or 0), last)
    return (fault.code, last if fault.code == DOWN else str(path.errno))


def _fault_of_address(picture: Picture, local: Ip) -> Fault | None:
    """Say why packets to a tunnel address of this leaf do not come in."""
    bits = 128 if local.is_v6 else 32
    found = [address for address in picture.addresses if address.ip == local]
    if not found:
        return Fault(
            ADDRESS,
            f"no device of this host has the tunnel address {local}, so that nothing is sent or received by it",
            f"ip addr add {local}/{bits} dev lo",
        )
    links = [link for one in found if (link := picture.links.by_index.get(one.device)) is not None]
    if links and not any(link.up for link in links):
        return Fault(
            ADDRESS,
            f"{links[0].name}, which has the tunnel address {local}, is down, and must be up",
            f"ip link set dev {links[0].name} up",
        )
    if not any(one.usable for one in found):
        return Fault(
            ADDRESS,
            f"the tunnel address {local} is not usable: another host has it, or the test for that is not over (RFC 4862 5.4)",
            f"ip -6 addr show to {local}",
        )
    return None


def _fault_of_path(picture: Picture, sender: Sender, vtep: Ip, path: FoundPath, last: str) -> Fault | None:
    links = picture.links
    if path.errno:
        device = links.by_name.get(last)
        if device is not None and not _carries(device):
            return _down(device, f"was reached by {device.name}", vtep)
        return Fault(
            NO_ROUTE,
            f"there is no route to VTEP {vtep} from {sender.local}{_why(path.errno)}",
            f"ip route get {vtep} from {sender.local}; then mend the routing of the underlay",
        )
    if path.type == RTN_LOCAL:
        return Fault(HERE, f"VTEP {vtep} is an address of this host itself", f"ip addr show to {vtep}")
    device = links.by_index.get(path.device)
    if device is None:
        return None
    if not _carries(device):
        return _down(device, f"is reached by {device.name}", vtep)
    return _fault_of_mtu(picture, sender, vtep, path, device)


def _why(number: int) -> str:
    """Say why a route is not usable, if it is not just absent."""
    return f": {_NO_ROUTES[number]}" if number in _NO_ROUTES else ""


_NO_ROUTES: Final = {
    errno.EHOSTUNREACH: "the route is of type unreachable",
    errno.EACCES: "the route is of type prohibit",
    errno.EINVAL: "the route is of type blackhole",
}


def _carries(device: Link) -> bool:
    return device.up and device.carrier is not False


def _down(device: Link, how: str, vtep: Ip) -> Fault:
    if not device.up:
        return Fault(DOWN, f"VTEP {vtep} {how}, which is down", f"ip link set dev {device.name} up")
    return Fault(
        DOWN, f"VTEP {vtep} {how}, which has no carrier", f"ip -s link show dev {device.name}; look at its cable"
    )


def _fault_of_mtu(picture: Picture, sender: Sender, vtep: Ip, path: FoundPath, device: Link) -> Fault | None:
    carried = min(mtu for mtu in (path.mtu, device.mtu, 1 << 16) if mtu)
    needed = sender.mtu + OUTER_OCTETS[vtep.is_v6]
    if not sender.mtu or needed <= carried:
        return None
    names = picture.names.get(sender, ("",))
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    fits = carried - OUTER_OCTETS[vtep.is_v6]
    return Fault(
        MTU,
        f"{names[0]}{others} takes frames of {sender.mtu}, which are packets of {needed}, and the route to VTEP {vtep} "
        f"by {device.name} carries {carried}",
        f"ip link set dev {names[0]} mtu {fits}, or raise the MTU of the underlay to {needed}",
    )
