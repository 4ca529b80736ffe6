"""A kernel in memory, device by device: the same calls as `vtep.linux.kernel.Kernel`, and below them the hands of others.

Knows what Linux 6.18 does with each message, quirks included, and the contract tests hold it to that: they run the same cases
here and on a real kernel. Does not know whose a row is. It serves the tests, `vtep replay` and dry runs. What an operator, a
station or another program does is a method. What goes wrong with a kernel is a switch: `refuse`, `overflow`, `hints_lost`,
`crash_after`.

    bridge.py      the table of one bridge: behind which port is a MAC
    vxlan.py       the table of one VXLAN device: at which VTEP is a MAC
    neighbor.py    the neighbor table: which MAC has an address
    route.py       the routing tables, and the nexthops that routes name
    nftables.py    the filters of Ethernet segments
    events.py      what was announced, and what was counted

This module has the devices, and passes a message on: first the bridge half (MASTER), then the VXLAN half (SELF). The first
error stops it and undoes nothing.
"""

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Self

import msgspec

from vtep.addr import Ip, Mac
from vtep.config.model import VniConfig, VrfConfig
from vtep.errors import KernelError
from vtep.linux.devices import Address, Bridge, BridgePort, Link, Links, PortVlan, VniRange, Vxlan
from vtep.linux.events import Hints
from vtep.linux.filters import FilterMessage, FilterTable, blocked_ports
from vtep.linux.memory.bridge import BridgeTable
from vtep.linux.memory.events import Announcements, Counts, Refused
from vtep.linux.memory.neighbor import NeighborTable
from vtep.linux.memory.nftables import MemoryNftables
from vtep.linux.memory.route import RoutingTables
from vtep.linux.memory.vxlan import VxlanTable
from vtep.linux.settings import MARK, SETTINGS, adopted_alias, alias_before, is_adopted, refuse_unfit
from vtep.linux.wire.batch import singly
from vtep.linux.wire.device import DeviceMessage
from vtep.linux.wire.neighbor import (
    NTF_MASTER,
    NTF_SELF,
    NUD_PERMANENT,
    RTPROT_VTEP,
    Alike,
    Entry,
    Half,
    Lookup,
    Neighbor,
    Refusal,
    Verb,
)
from vtep.linux.wire.nexthop import NexthopEntry, NexthopMessage
from vtep.linux.wire.port import PortMessage
from vtep.linux.wire.route import RouteEntry, RouteMessage
from vtep.linux.wire.tlv import AF_BRIDGE

_OF_BRIDGE: Final = {
    "vlan_filtering": "vlan_filtering",
    "vlan_default_pvid": "default_pvid",
    "mcast_snooping": "mcast_snooping",
}
"""The settings of a bridge, and the fields of `Bridge` in which the picture has them."""
_OF_PORT: Final = {"port_learning": "learning", "neigh_suppress": "neigh_suppress", "vlan_tunnel": "vlan_tunnel"}
"""The flags of a port, and the fields of `BridgePort` in which the picture has them."""


class Crashed(Exception):  # noqa: N818 - what happened, not what went wrong
    """The process would be dead now; what it wrote before is in the kernel."""


class MemoryKernel:
    """One network namespace."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.has_fdb_nexthops = True
        self.crash_after: int | None = None
        """So many messages are still carried out; the next raises Crashed, and so does every one after it."""
        self._announce = Announcements()
        self._links: dict[int, Link] = {1: Link(1, "lo", up=True, mtu=65536)}
        self._picture: Links | None = None
        """The same, sorted, until a device changes."""
        self._last_index = 1
        self._bridges: dict[int, BridgeTable] = {}
        self._vxlans: dict[int, VxlanTable] = {}
        self._neighbors = NeighborTable(self._announce, self.counts)
        self.routing = RoutingTables(self.counts, self._is_usable, self._drop_group)
        self.nft = MemoryNftables(self.counts)
        self.filters = FilterTable(self.nft)
        self._addresses: list[Address] = []
        self._refusals: list[tuple[int, Callable[[Neighbor], bool]]] = []
        self.device_messages: list[DeviceMessage] = []
        """What was sent about devices."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The rows stay, as they do in the kernel."""

    @property
    def writes(self) -> int:
        """How many rows messages created."""
        return self.counts.writes

    @property
    def replaces(self) -> int:
        """How many rows messages changed in place."""
        return self.counts.replaces

    @property
    def deletes(self) -> int:
        """How many rows messages removed."""
        return self.counts.deletes

    # The same calls as of the real kernel

    def send(self, messages: Sequence[Any]) -> list[Refusal]:
        """Carry messages out one by one, as the kernel does. A refused one keeps no other from being carried out."""
        if messages and isinstance(messages[0], FilterMessage):
            self._count_down()
            refusals = self.filters.send(messages)
            for port in blocked_ports(messages) if not refusals else ():
                link = self.links().by_name.get(port)
                if link is not None and link.master in self._bridges:
                    self._bridges[link.master].drop_learned(link.index)
            return refusals
        refusals = []
        for index, message in enumerate(singly(messages)):
            self._count_down()
            try:
                self._carry_out(message)
            except Refused as refused:
                done = refused.done
                text = os.strerror(refused.errno)
                refusals.append(Refusal(index, refused.errno, text, bool(done & NTF_MASTER), bool(done & NTF_SELF)))
        return refusals

    def rows(self, bridges: Iterable[int], ports: Iterable[int] = ()) -> list[Entry]:
        """Return the rows, also in a thread while others write: what is written meanwhile may or may not be there."""
        found: list[Entry] = []
        for bridge in bridges:
            found += self._bridge_entries(bridge)
            for enslaved in self.links().ports_of(bridge):
                found += self._vxlan_entries(enslaved.index)
        for port in ports:
            device = self._links.get(port)
            if device and device.master:
                found += (entry for entry in self._bridge_entries(device.master) if entry.port == port)
            found += self._vxlan_entries(port)
        return found

    def neighbors(self, devices: Iterable[int]) -> list[Entry]:
        return self._neighbors.entries(devices)

    def get(self, port: int, mac: Mac, half: Half, vlan: int | None = None, src_vni: int | None = None) -> Entry | None:
        """Look one half of a row up, with the errors that the kernel gives."""
        if half is Half.VXLAN:
            table = self._vxlans.get(port)
            return None if table is None else table.get(mac, src_vni)
        link = self._links.get(port)
        if link is None:
            return None
        if link.master is None:
            raise KernelError("get", errno.EINVAL, "Device is not a bridge port")
        return self._bridges[link.master].get(mac, vlan)

    def get_many(self, keys: Sequence[Lookup]) -> list[Entry | None]:
        return [self.get(*key) for key in keys]

    def unlike(self, expected: Alike) -> list[int]:
        """Compare each row by itself: the same answers as the kernel's fast path, without its speed."""
        entry, half = expected.entry, Half.VXLAN if expected.entry.flags & NTF_SELF else Half.BRIDGE
        return [
            place
            for place, mac in enumerate(expected.macs)
            if self.get(entry.port, mac, half, entry.vlan, entry.src_vni) != msgspec.structs.replace(entry, mac=mac)
        ]

    def get_hosts(self, keys: Sequence[tuple[int, Ip]]) -> list[Entry | None]:
        return [self._neighbors.get(*key) for key in keys]

    def routes(self, tables: Iterable[int], protocol: int = RTPROT_VTEP) -> list[RouteEntry]:
        return self.routing.routes(set(tables), protocol)

    def nexthops(self) -> list[NexthopEntry]:
        return self.routing.nexthops()

    def get_nexthops(self, numbers: Sequence[int]) -> list[NexthopEntry | None]:
        return [self.routing.nexthop(number) for number in numbers]

    def links(self) -> Links:
        if self._picture is None:
            self._picture = Links.of(self._links.values())
        return self._picture

    def addresses(self) -> list[Address]:
        return list(self._addresses)

    def pictured(self) -> tuple[Links, list[Address], list[Entry]]:
        own_macs = [entry for bridge in self._bridges for entry in self._bridge_entries(bridge) if entry.port == bridge]
        return self.links(), self.addresses(), own_macs

    def send_devices(self, messages: Sequence[DeviceMessage]) -> list[Refusal]:
        """Carry out changes of devices, with the guards of the real kernel's side (`managed.kernel`)."""
        refusals = []
        for place, message in enumerate(messages):
            self._count_down()
            self.device_messages.append(message)
            try:
                self._change_device(message)
            except KernelError as error:
                refusals.append(Refusal(place, error.errno, error.message))
        return refusals

    def adopt(self, name: str) -> None:
        """Put a mark on a device, at an operator's wish."""
        self.change(name, alias=adopted_alias(self._named(name).alias))

    def events_fileno(self) -> int:
        """No descriptor to wait for: ask `drain`."""
        return -1

    def drain(self, most: int = 0) -> Hints:  # noqa: ARG002 - all is taken at once
        return self._announce.take()

    # Switches

    def refuse(self, code: int, when: Callable[[Neighbor], bool] = lambda _: True) -> None:
        """From now on refuse such messages whole, with this errno; errno 0 takes all refusals back."""
        self._refusals = [*self._refusals, (code, when)] if code else []

    def overflow(self) -> None:
        """Lose what is announced so far and say so."""
        self._announce.overflow()

    @property
    def hints_lost(self) -> bool:
        """While true, what changes is not announced."""
        return self._announce.lost

    @hints_lost.setter
    def hints_lost(self, lost: bool) -> None:
        self._announce.lost = lost

    # What an operator does

    def add_devices_of(self, vni: VniConfig) -> None:
        """Add the devices that a VNI needs, and has not together with an earlier one."""
        there = self.links().by_name
        if vni.bridge not in there:
            self.add_bridge(vni.bridge, filters=vni.vlan is not None)
        if vni.vxlan not in there:
            self.add_vxlan(vni.vxlan, 0 if vni.shares_vxlan else vni.vni, vni.vtep, vni.bridge)
        if vni.vlan is not None:
            alone = not vni.shares_vxlan
            self.set_vlan(vni.vxlan, vni.vlan, pvid=alone, untagged=alone, vni=None if alone else vni.vni)
            self.add_vlan(f"{vni.bridge}.{vni.vlan}", vni.bridge, vni.vlan)

    def add_devices_of_vrf(self, vrf: VrfConfig) -> None:
        """Add the devices that a VRF needs; the SVI is the bridge or a VLAN device on it."""
        self.add_devices_of(vrf.tunnel)
        if vrf.svi != vrf.bridge:
            self.add_vlan(vrf.svi, vrf.bridge, vrf.vlan)
        if vrf.router_mac is not None:
            self.set_mac(vrf.svi, vrf.router_mac)
        if not vrf.table:
            self.add_vrf(vrf.name, int(vrf.vni))
            self.join_vrf(vrf.svi, vrf.name)

    def add_bridge(self, name: str, mac: Mac | None = None, *, filters: bool = False) -> int:
        """Add a bridge that is up, with its own MAC as a row. One that filters VLANs has no default VLAN."""
        index = self._add(Link(0, name, "bridge", mac=mac, bridge=Bridge(filters, 0 if filters else None)))
        own = self._links[index].mac
        assert own
        self._bridges[index] = BridgeTable(index, self._announce)
        self._bridges[index].put_local(index, own)
        return index

    def add_vxlan(
        self,
        name: str,
        vni: int,
        local: Ip | None,
        master: str | None = None,
        mac: Mac | None = None,
        *,
        max_addresses: int = 0,
        index: int = 0,
    ) -> int:
        """Add a VXLAN device; the VNI 0 is one for many VNIs."""
        vxlan = Vxlan(vni, local, learning=False, external=not vni, udp_port=4789, vni_filter=not vni)
        index = self._add(Link(index, name, "vxlan", mac=mac, vxlan=vxlan))
        self._vxlans[index] = VxlanTable(index, max_addresses, self._announce, self.counts, self.routing.is_v6_group)
        self.set_master(name, master)
        if master:
            port = BridgePort(learning=False, neigh_suppress=False, isolated=False, vlan_tunnel=not vni, state=3)
            self.change(name, bridge_port=port)
        return index

    def add_vlan(self, name: str, below: str, vlan: int | None = None) -> int:
        """A VLAN device has its parent's MAC, until it is given its own."""
        parent = self._named(below)
        return self._add(Link(0, name, "vlan", below=parent.index, mac=parent.mac, vlan=vlan))

    def set_vlan(
        self, name: str, vlan: int, *, pvid: bool = False, untagged: bool = False, vni: int | None = None
    ) -> None:
        """Give a port, or a bridge itself, a VLAN, mapped to a VNI on a VXLAN device for many; that also takes the VNI."""
        link = self._named(name)
        others = [
            msgspec.structs.replace(found, pvid=found.pvid and not pvid) for found in link.vlans if found.first != vlan
        ]
        mapped = PortVlan(vlan, vlan, pvid, untagged, vni)
        self.change(name, vlans=tuple(sorted((*others, mapped), key=lambda found: found.first)))
        if vni is not None:
            self.set_vni(name, vni)
        if link.mac:
            self._bridges[link.master or link.index].put_local(link.index, link.mac, vlan)

    def delete_vlan(self, name: str, vlan: int) -> None:
        link = self._named(name)
        self.change(name, vlans=tuple(found for found in link.vlans if found.first != vlan))
        self._bridges[link.master or link.index].drop_vlan(link.index, vlan)

    def set_vni(self, name: str, vni: int) -> None:
        """Put a VNI into the filter of a VXLAN device for many."""
        vnis = {found.first for found in self._named(name).vnis} | {vni}
        self.change(name, vnis=tuple(VniRange(one, one) for one in sorted(vnis)))

    def delete_vni(self, name: str, vni: int) -> None:
        self.change(name, vnis=tuple(found for found in self._named(name).vnis if found.first != vni))

    def add_address(self, name: str, ip: Ip, prefix: int | None = None) -> None:
        self._addresses.append(Address(self._named(name).index, ip, prefix=prefix))
        self._announce.addresses_changed = True

    def delete_address(self, name: str, ip: Ip) -> None:
        """Remove an address. With the last IPv4 address of a device go its IPv4 neighbor rows."""
        device = self._named(name).index
        self._addresses = [address for address in self._addresses if (address.device, address.ip) != (device, ip)]
        if not ip.is_v6 and not any(a.device == device and not a.ip.is_v6 for a in self._addresses):
            self._neighbors.drop_ipv4(device)
        self._announce.address_gone(device)

    def add_port(self, name: str, master: str | None = None, mac: Mac | None = None) -> int:
        """Add an access port: one end of a veth, whose other end is of no interest here."""
        index = self._add(Link(0, name, "veth", mac=mac))
        self.set_master(name, master)
        return index

    def change(self, name: str, **fields: Any) -> None:
        """Change what is seen of a device and moves no row: MTU, learning, a VXLAN's addresses."""
        link = self._named(name)
        self._put(msgspec.structs.replace(link, **fields))
        self._announce.links_changed = True

    def set_up(self, name: str, up: bool) -> None:
        """Taken down, a device loses what ages: learned rows, and VXLAN rows that are neither PERMANENT nor NOARP."""
        link = self._named(name)
        if link.up != up:
            self._announce.bounced(link.index)
        self.change(name, up=up)
        if up:
            return
        for port in [link, *self.links().ports_of(link.index)]:
            if port.master in self._bridges:
                self._bridges[port.master].drop_learned(port.index)
        if link.index in self._vxlans:
            self._vxlans[link.index].drop_ageing()
        self._neighbors.drop_device(link.index)
        self.routing.drop_device(link.index)

    def set_carrier(self, name: str, carrier: bool) -> None:
        """A device loses its carrier, with its nexthops and the neighbor rows that are not PERMANENT; or gets it back."""
        link = self._named(name)
        losses = (link.carrier_losses or 0) + (not carrier)
        self.change(name, carrier=carrier, carrier_losses=losses)
        if not carrier:
            self._neighbors.drop_device(link.index, keeps_permanent=True)
            self.routing.drop_device(link.index)

    def set_mac(self, name: str, mac: Mac) -> None:
        """A device gets a MAC, even the same one: all its neighbor rows go, PERMANENT ones too."""
        self.change(name, mac=mac)
        self._neighbors.drop_device(self._named(name).index)

    def add_vrf(self, name: str, table: int) -> int:
        return self._add(Link(0, name, "vrf", table=table))

    def join_vrf(self, name: str, vrf: str | None) -> None:
        """Put a device into a VRF, or take it out: its nexthops and neighbor rows go."""
        link = self._named(name)
        self.change(name, master=None if vrf is None else self._named(vrf).index)
        self._neighbors.drop_device(link.index)
        self.routing.drop_device(link.index)

    def set_master(self, name: str, master: str | None) -> None:
        """Enslave a device or free it; a port that leaves takes its bridge rows along, VXLAN rows stay."""
        link = self._named(name)
        if link.master is not None:
            self._leave(link)
            self._announce.bounced(link.index)
        if master is None:
            self.change(name, master=None, bridge_port=None, vlans=())
            return
        bridge = self._named(master)
        port = BridgePort(learning=True, neigh_suppress=False, isolated=False, vlan_tunnel=False, state=3)
        self.change(name, master=bridge.index, bridge_port=port)
        if link.mac:
            self._bridges[bridge.index].put_local(link.index, link.mac)

    def delete_link(self, name: str) -> None:
        """Delete a device with everything that goes with it in a kernel: entries, neighbors, routes and addresses."""
        link = self._named(name)
        if link.index in self._vxlans:
            self._vxlans[link.index].drop_all()
        if link.master is not None:
            self._leave(link)
        for port in self.links().ports_of(link.index):
            self.set_master(port.name, None)
        self._neighbors.drop_device(link.index)
        self.routing.drop_device(link.index)
        self._addresses = [address for address in self._addresses if address.device != link.index]
        del self._links[link.index]
        self._picture = None
        self._bridges.pop(link.index, None)
        self._vxlans.pop(link.index, None)
        self._announce.bounced(link.index)

    # What stations do

    def station_sends(self, mac: Mac, port: str, vlan: int | None = None) -> None:
        """A frame from this MAC enters the bridge by a port, with a VLAN or without."""
        link = self._named(port)
        bridge = self._links.get(link.master or 0)
        if bridge is None or not (link.up and bridge.up and link.bridge_port and link.bridge_port.learning):
            return
        if bridge.bridge is not None and bridge.bridge.vlan_filtering:
            wanted = (found.first for found in link.vlans if (found.pvid if vlan is None else found.first == vlan))
            vlan = next(wanted, None)
            if vlan is None:
                return
        self._bridges[bridge.index].learn(mac, link.index, vlan)

    def station_expires(self, mac: Mac, bridge: str, vlan: int | None = None) -> None:
        """No frame came from the station for the ageing time of the bridge."""
        self._bridges[self._named(bridge).index].expire(mac, vlan)

    # What the kernel does with a message

    def _count_down(self) -> None:
        """Raise `Crashed` when as many messages were carried out as `crash_after` says."""
        if self.crash_after is None:
            return
        if self.crash_after == 0:
            raise Crashed
        self.crash_after -= 1

    def _drop_group(self, number: int) -> None:
        for table in self._vxlans.values():
            table.drop_group(number)

    def _is_usable(self, device: int) -> bool:
        link = self._links.get(device)
        return link is not None and link.up and link.carrier is not False

    def _carry_out(self, message: Any) -> None:
        """Carry one message out, unless a test has asked for its refusal."""
        for code, when in self._refusals:
            if when(message):
                raise Refused(code)
        if isinstance(message, RouteMessage):
            self.routing.write_route(message)
            return
        if isinstance(message, NexthopMessage):
            self.routing.write_nexthop(message)
            return
        if isinstance(message, PortMessage):
            self._set_backup(message)
            return
        link = self._links.get(message.port)
        if link is None:
            raise Refused(errno.ENODEV)
        if message.family == AF_BRIDGE:
            self._write_halves(message, link)
        else:
            self._neighbors.write(message)

    def _set_backup(self, message: PortMessage) -> None:
        """Give a port a backup, which must be another port of the same bridge (br_switchdev, nbp_backup_change)."""
        link = self.links().by_name.get(message.port)
        if link is None:
            raise Refused(errno.ENODEV)
        if link.bridge_port is None:
            raise Refused(errno.EOPNOTSUPP)
        backup = self._links.get(message.backup)
        if message.backup and (backup is None or backup.master is None):
            raise Refused(errno.ENOENT)
        if backup is not None and backup.master != link.master:
            raise Refused(errno.EINVAL)
        port = msgspec.structs.replace(link.bridge_port, backup=message.backup or None)
        self.change(message.port, bridge_port=port)

    def _write_halves(self, message: Neighbor, link: Link) -> None:
        """Write the bridge's half, then the VXLAN device's. If the second is refused, the first stays, as in a kernel."""
        done = 0
        try:
            if link.master is not None and (message.flags & NTF_MASTER or not message.flags):
                vlans = [found.first for found in link.vlans]
                forwards = link.up and self._links[link.master].up
                self._bridges[link.master].write(message, forwards=forwards, vlans=vlans)
                done = NTF_MASTER
            if message.flags & NTF_SELF or not done:
                self._write_vxlan_half(message, message.flags & ~done, link)
        except Refused as refused:
            refused.done = done & message.flags
            raise

    def _write_vxlan_half(self, message: Neighbor, flags: int, link: Link) -> None:
        """Write the VXLAN half. A device that is not a VXLAN device refuses it with EOPNOTSUPP."""
        table = self._vxlans.get(link.index)
        if not flags & NTF_SELF or table is None or link.vxlan is None:
            raise Refused(errno.EOPNOTSUPP)
        table.write(message, flags, link.vxlan)

    # Devices

    def _change_device(self, message: DeviceMessage) -> None:
        """Carry out what vtep does to a device that it manages."""
        name = message.device
        link = self.links().by_name.get(name)
        refuse_unfit(message, link)
        if link is None:
            self._make(message)
        elif message.act == "remove" and is_adopted(link):
            self.change(name, alias=alias_before(link.alias))
        elif message.act == "remove":
            self.delete_link(name)
        elif message.act == "set":
            if SETTINGS[message.what].read(link, self.links()) not in (None, message.value):
                self._set(link, message.what, message.value)
        else:
            self._put_member(name, message)

    def _make(self, message: DeviceMessage) -> None:
        """Make a device as `managed.kernel` does: with what can be given at once, with our mark, and down."""
        name, fixed, settings = message.device, message.value, message.settings
        if message.what == "bridge":
            self.add_bridge(name, settings.get("mac"), filters=settings["vlan_filtering"])
        elif message.what == "vxlan":
            self.add_vxlan(name, fixed["id"], settings["local"])
        elif message.what == "vlan":
            self.add_vlan(name, fixed["below"], fixed["vlan"])
        else:
            self.add_vrf(name, fixed["table"])
        self.change(name, alias=MARK, up=False, mtu=settings.get("mtu", 1500))

    def _set(self, link: Link, what: str, value: Any) -> None:
        """Set one setting of a device; flags of a port need a port."""
        if what == "master" and value and self._named(value).table is not None:
            self.join_vrf(link.name, value)
        elif what == "master":
            self.set_master(link.name, value or None)
        elif what in ("forwards", "forwards_v6"):
            self.change(link.name, **{what: value})
        elif what == "up":
            self.set_up(link.name, value)
        elif what == "mac":
            self.set_mac(link.name, value)
        elif what in ("mtu", "alias"):
            self.change(link.name, **{what: value})
        elif what == "link_local":
            self.change(link.name, makes_link_local=value)
        elif what in ("local", "learning") and link.vxlan is not None:
            self.change(link.name, vxlan=msgspec.structs.replace(link.vxlan, **{what: value}))
        elif link.bridge is not None and what in _OF_BRIDGE:
            self.change(link.name, bridge=msgspec.structs.replace(link.bridge, **{_OF_BRIDGE[what]: value}))
        elif link.bridge_port is None:
            raise KernelError("set", errno.EOPNOTSUPP, "not a port", link.name)
        else:
            self.change(link.name, bridge_port=msgspec.structs.replace(link.bridge_port, **{_OF_PORT[what]: value}))

    def _put_member(self, name: str, message: DeviceMessage) -> None:
        """Put or drop a VLAN, a VNI of a filter, a MAC of a bridge itself, or an address."""
        puts, value = message.act == "put", message.value
        if message.what == "vlan" and puts:
            self.set_vlan(name, value.vlan, pvid=value.pvid, untagged=value.untagged, vni=value.vni)
        elif message.what == "vlan":
            self.delete_vlan(name, value.vlan)
        elif message.what == "vni":
            (self.set_vni if puts else self.delete_vni)(name, value)
        elif message.what == "mac":
            link = self._named(name)
            local = Neighbor(
                Verb.REPLACE if puts else Verb.DELETE, link.index, value.mac, NTF_SELF, NUD_PERMANENT, vlan=value.vlan
            )
            vlans = [vlan for found in link.vlans for vlan in range(found.first, found.last + 1)]
            try:
                self._bridges[link.index].write(local, forwards=True, vlans=vlans)
            except Refused as refused:
                raise KernelError("mac", refused.errno, os.strerror(refused.errno), name) from None
        elif puts:
            self.add_address(name, value.ip, value.prefix)
        else:
            self.delete_address(name, value.ip)

    def _add(self, link: Link) -> int:
        """An index is never used twice, unless a device asks for it, as `ip link add NAME index N` does."""
        self._last_index += not link.index
        index = link.index or self._last_index
        mac = link.mac or Mac(b"\x02\xfe" + index.to_bytes(4))
        self._put(msgspec.structs.replace(link, index=index, up=True, mac=mac, mtu=1500))
        self._announce.bounced(index)
        return index

    def _put(self, link: Link) -> None:
        self._links[link.index] = link
        self._picture = None

    def _named(self, name: str) -> Link:
        return self.links().by_name[name]

    def _leave(self, link: Link) -> None:
        """Take a port out of its bridge, with its rows."""
        assert link.master
        others = (*self.links().ports_of(link.master), self._links[link.master])

        def heir(mac: Mac) -> int | None:
            return next((other.index for other in others if other.mac == mac and other.index != link.index), None)

        self._bridges[link.master].drop_port(link.index, heir)

    def _bridge_entries(self, bridge: int) -> Iterator[Entry]:
        if bridge not in self._links:
            raise KernelError("rows", errno.ENODEV, os.strerror(errno.ENODEV))
        return self._bridges[bridge].entries() if bridge in self._bridges else iter(())

    def _vxlan_entries(self, port: int) -> Iterator[Entry]:
        return self._vxlans[port].entries() if port in self._vxlans else iter(())
