"""A kernel in a dictionary: bridges, VXLAN ports and their rows, as far as EVPN meets them.

Knows what Linux 6.18 does with each neighbor message, quirks and all, and is held to it by the contract tests. Does not
know whose a row is. Serves tests, `vtep replay` and dry runs; an operator's and a station's hands are methods, and the
kernel's bad days are switches (`refuse`, `overflow`, `hints_lost`, `crash_after`).

Absent on purpose: VLANs (as in a kernel without VLAN filtering), nexthops, ageing by time, learning from VXLAN frames.

    one message     bridge half (MASTER) → VXLAN half (SELF); the first error stops it and undoes nothing
    bridge row      one per MAC: port, local, static, external, sticky
    VXLAN row       one per port and MAC: state and flags of the write that made it, and its remotes
"""

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn, Self

import msgspec
from msgspec import Struct

from vtep.addr import ZERO_MAC, Ip, Mac
from vtep.errors import KernelError
from vtep.linux.devices import Address, Bridge, BridgePort, Link, Links, Vxlan
from vtep.linux.events import Hints
from vtep.linux.wire.batch import singly
from vtep.linux.wire.neighbor import (
    NTF_EXT_LEARNED,
    NTF_MASTER,
    NTF_SELF,
    NTF_STICKY,
    NUD_NOARP,
    NUD_PERMANENT,
    NUD_REACHABLE,
    Entry,
    Half,
    Neighbor,
    Refusal,
    Verb,
)
from vtep.linux.wire.tlv import AF_BRIDGE


class Crashed(Exception):  # noqa: N818 - what happened, not what went wrong
    """The process would be dead now; what it wrote before is in the kernel."""


class MemoryKernel:
    """The same calls as `socket.Kernel`, and below them the hands of everybody else."""

    def __init__(self) -> None:
        self.writes = 0
        """Rows created by messages; a MAC's two halves are one row here, counted by the VXLAN half."""
        self.replaces = 0
        """Rows changed in place."""
        self.deletes = 0
        """Rows removed."""
        self.hints_lost = False
        """While true, what changes is not announced."""
        self.crash_after: int | None = None
        """So many messages are still carried out; the next raises Crashed, and so does every one after it."""
        self._links: dict[int, Link] = {1: Link(1, "lo", up=True, mtu=65536)}
        self._last_index = 1
        self._room: dict[int, int] = {}
        self._stations: dict[int, dict[Mac, _BridgeRow]] = {}
        self._tunnels: dict[int, dict[Mac, _VxlanRow]] = {}
        self._hosts: dict[tuple[int, Ip], Entry] = {}
        self._refusals: list[tuple[int, Callable[[Neighbor], bool]]] = []
        self._addresses: list[Address] = []
        self._keys: set[tuple[int, Mac]] = set()
        self._host_keys: set[tuple[int, Ip]] = set()
        self._gone: set[tuple[int, Mac]] = set()
        self._bounced: set[int] = set()
        self._links_changed = False
        self._addresses_changed = False
        self._overrun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held: the rows stay, as they do in the kernel."""

    def send(self, messages: Sequence[Neighbor]) -> list[Refusal]:
        refusals = []
        for index, message in enumerate(singly(messages)):
            self._count_down()
            try:
                self._carry_out(message)
            except _Refused as refused:
                done = refused.done
                text = os.strerror(refused.errno)
                refusals.append(Refusal(index, refused.errno, text, bool(done & NTF_MASTER), bool(done & NTF_SELF)))
        return refusals

    def rows(self, bridges: Iterable[int], ports: Iterable[int] = ()) -> list[Entry]:
        """Return the rows, also in a thread while others write: of what is written meanwhile nothing is promised."""
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
        wanted = set(devices)
        return [entry for entry in list(self._hosts.values()) if entry.port in wanted]

    def get(self, port: int, mac: Mac, half: Half) -> Entry | None:
        if half is Half.VXLAN:
            row = self._tunnels.get(port, {}).get(mac)
            return row.entries(port, mac)[0] if row else None
        link = self._links.get(port)
        if link is None:
            return None
        if link.master is None:
            raise KernelError("get", errno.EINVAL, "Device is not a bridge port")
        station = self._stations[link.master].get(mac)
        return station.entry(link.master, mac) if station else None

    def get_many(self, keys: Sequence[tuple[int, Mac, Half]]) -> list[Entry | None]:
        return [self.get(*key) for key in keys]

    def get_hosts(self, keys: Sequence[tuple[int, Ip]]) -> list[Entry | None]:
        return [self._hosts.get(key) for key in keys]

    def links(self) -> Links:
        return Links.of(self._links.values())

    def addresses(self) -> list[Address]:
        return list(self._addresses)

    def events_fileno(self) -> int:
        """Nothing to wait for: ask `drain`."""
        return -1

    def drain(self, most: int = 0) -> Hints:  # noqa: ARG002 - there is no more than what is told at once
        hints = Hints(
            frozenset(self._keys | self._gone),
            frozenset(self._gone - self._keys),
            frozenset(self._host_keys),
            links_changed=self._links_changed,
            bounced=frozenset(self._bounced),
            addresses_changed=self._addresses_changed,
            overrun=self._overrun,
        )
        self._keys, self._gone, self._host_keys, self._bounced = set(), set(), set(), set()
        self._links_changed = self._addresses_changed = self._overrun = False
        return hints

    # Switches

    def refuse(self, code: int, when: Callable[[Neighbor], bool] = lambda _: True) -> None:
        """From now on refuse such messages whole, with this errno; errno 0 takes all refusals back."""
        self._refusals = [*self._refusals, (code, when)] if code else []

    def overflow(self) -> None:
        """Lose what is announced so far and say so."""
        self._keys, self._gone, self._host_keys, self._overrun = set(), set(), set(), True

    # The operator's hand

    def add_bridge(self, name: str, mac: Mac | None = None) -> int:
        index = self._add(Link(0, name, "bridge", mac=mac, bridge=Bridge(vlan_filtering=False)))
        own = self._links[index].mac
        assert own
        self._stations[index] = {}
        self._put_local(index, index, own)
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
        vxlan = Vxlan(vni, local, learning=False, external=False, udp_port=4789)
        index = self._add(Link(index, name, "vxlan", mac=mac, vxlan=vxlan))
        self._tunnels[index] = {}
        self._room[index] = max_addresses
        self.set_master(name, master)
        if master:
            self.change(name, bridge_port=BridgePort(learning=False, neigh_suppress=False, isolated=False, state=3))
        return index

    def add_vlan(self, name: str, below: str) -> int:
        """A VLAN device has its parent's MAC, until it is given its own."""
        parent = self._named(below)
        return self._add(Link(0, name, "vlan", below=parent.index, mac=parent.mac))

    def add_address(self, name: str, ip: Ip, prefix: int | None = None) -> None:
        self._addresses.append(Address(self._named(name).index, ip, prefix=prefix))
        self._addresses_changed = True

    def add_port(self, name: str, master: str | None = None, mac: Mac | None = None) -> int:
        index = self._add(Link(0, name, "veth", mac=mac))
        self.set_master(name, master)
        return index

    def change(self, name: str, **fields: Any) -> None:
        """Change what is seen of a device and moves no row: MTU, learning, a VXLAN's addresses."""
        link = self._named(name)
        self._links[link.index] = msgspec.structs.replace(link, **fields)
        self._links_changed = True

    def set_up(self, name: str, up: bool) -> None:
        """Taken down, a device loses what ages: learned rows, and VXLAN rows that are neither PERMANENT nor NOARP."""
        link = self._named(name)
        if link.up != up:
            self._bounced.add(link.index)
        self.change(name, up=up)
        if up:
            return
        for port in [link, *self.links().ports_of(link.index)]:
            self._drop_learned(port)
        for mac, row in list(self._tunnels.get(link.index, {}).items()):
            if not row.state & (NUD_PERMANENT | NUD_NOARP) and mac != ZERO_MAC:
                self._drop_tunnel(link.index, mac)
        self._drop_hosts(link.index)

    def set_master(self, name: str, master: str | None) -> None:
        """Enslave a device or free it; a port that leaves takes its bridge rows along, VXLAN rows stay."""
        link = self._named(name)
        if link.master is not None:
            self._leave(link)
            self._bounced.add(link.index)
        if master is None:
            self.change(name, master=None, bridge_port=None)
            return
        bridge = self._named(master)
        port = BridgePort(learning=True, neigh_suppress=False, isolated=False, state=3)
        self.change(name, master=bridge.index, bridge_port=port)
        if link.mac:
            self._put_local(bridge.index, link.index, link.mac)

    def delete_link(self, name: str) -> None:
        link = self._named(name)
        for mac in list(self._tunnels.get(link.index, {})):
            self._drop_tunnel(link.index, mac)
        if link.master is not None:
            self._leave(link)
        for port in self.links().ports_of(link.index):
            self.set_master(port.name, None)
        self._drop_hosts(link.index)
        self._addresses = [address for address in self._addresses if address.device != link.index]
        for table in (self._links, self._stations, self._tunnels, self._room):
            table.pop(link.index, None)
        self._bounced.add(link.index)
        self._links_changed = True

    # The stations' hand

    def station_sends(self, mac: Mac, port: str) -> None:
        """A frame from this MAC enters the bridge: rows move to the port, but for local and sticky ones."""
        link = self._named(port)
        bridge = self._links.get(link.master or 0)
        if bridge is None or not (link.up and bridge.up and link.bridge_port and link.bridge_port.learning):
            return
        rows = self._stations[bridge.index]
        row = rows.get(mac)
        if row is None:
            rows[mac] = row = _BridgeRow(link.index)
        elif row.local or row.sticky or row.port == link.index:
            return
        else:
            row.port, row.external = link.index, False
        self._announce(link.index, mac)

    def station_expires(self, mac: Mac, bridge: str) -> None:
        """The bridge has not heard of the station for its ageing time; other rows do not age."""
        rows = self._stations[self._named(bridge).index]
        row = rows.get(mac)
        if row and not row.static and not row.external:
            self._announce_gone(row.port, mac)
            del rows[mac]

    # What the kernel does with a message

    def _count_down(self) -> None:
        if self.crash_after is None:
            return
        if self.crash_after == 0:
            raise Crashed
        self.crash_after -= 1

    def _carry_out(self, message: Neighbor) -> None:
        for code, when in self._refusals:
            if when(message):
                raise _Refused(code)
        link = self._links.get(message.port)
        if link is None:
            raise _Refused(errno.ENODEV)
        if message.family != AF_BRIDGE:
            self._write_host(message)
            return
        done = 0
        try:
            if link.master is not None and (message.flags & NTF_MASTER or not message.flags):
                self._bridge_half(message, link.master)
                done = NTF_MASTER
            if message.flags & NTF_SELF:
                self._vxlan_half(message, message.flags & ~done)
            elif not done:
                self._neither_half()
        except _Refused as refused:
            refused.done = done & message.flags
            raise

    def _neither_half(self) -> NoReturn:
        raise _Refused(errno.EOPNOTSUPP)

    def _bridge_half(self, message: Neighbor, bridge: int) -> None:
        rows = self._stations[bridge]
        row = rows.get(message.mac)
        if message.verb is Verb.DELETE:
            if row is None or row.port != message.port:
                raise _Refused(errno.ENOENT)
            self._announce_gone(row.port, message.mac)
            del rows[message.mac]
            return
        if not message.state & (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE) or message.mac == ZERO_MAC:
            raise _Refused(errno.EINVAL)
        if message.flags & NTF_EXT_LEARNED:
            # Always creates or takes over: the state, CREATE, EXCL and STICKY are not looked at (6.1 to 6.18).
            row = rows.setdefault(message.mac, _BridgeRow(message.port))
            row.port, row.external = message.port, True
        else:
            self._write_station(message, rows, row)

    def _write_station(self, message: Neighbor, rows: "dict[Mac, _BridgeRow]", row: "_BridgeRow | None") -> None:
        state, sticky = message.state, bool(message.flags & NTF_STICKY)
        if not state & (NUD_PERMANENT | NUD_NOARP) and not self._forwards(message.port):
            raise _Refused(errno.EPERM)
        if sticky and state & NUD_PERMANENT:
            raise _Refused(errno.EINVAL)
        if row is not None and message.verb is Verb.CREATE:
            raise _Refused(errno.EEXIST)
        before = row and (row.port, row.sticky, row.state)
        if row is None:
            row = rows[message.mac] = _BridgeRow(message.port)
        row.port, row.sticky = message.port, sticky
        row.local = bool(state & NUD_PERMANENT)
        row.static = bool(state & (NUD_PERMANENT | NUD_NOARP))
        # The kernel compares with the state as asked: a combination such as 0xC0 is a change every time.
        if before != (row.port, row.sticky, state) and not row.external:
            self._announce(row.port, message.mac)

    def _vxlan_half(self, message: Neighbor, flags: int) -> None:
        rows = self._tunnels.get(message.port)
        if rows is None:
            raise _Refused(errno.EOPNOTSUPP)
        row = rows.get(message.mac)
        if message.verb is Verb.DELETE:
            self._delete_tunnel(message, row)
            return
        self._check_remote(message)
        remote = self._remote(message)
        if row is None:
            self._create_tunnel(message, flags, remote)
        elif message.verb is Verb.CREATE:
            raise _Refused(errno.EEXIST)
        else:
            self._change_tunnel(message, flags, remote, row)

    def _check_remote(self, message: Neighbor) -> None:
        if not message.state & (NUD_PERMANENT | NUD_REACHABLE) or message.dst is None:
            raise _Refused(errno.EINVAL)
        vxlan = self._links[message.port].vxlan
        assert vxlan
        if message.dst.is_v6 != bool(vxlan.local and vxlan.local.is_v6):
            raise _Refused(errno.EAFNOSUPPORT)

    def _create_tunnel(self, message: Neighbor, flags: int, remote: "_Remote") -> None:
        rows, room = self._tunnels[message.port], self._room[message.port]
        if message.verb is Verb.REPLACE and not _is_unicast(message.mac):
            raise _Refused(errno.EOPNOTSUPP)
        if room and len(rows) >= room:
            raise _Refused(errno.ENOSPC)
        rows[message.mac] = row = _VxlanRow(message.state, flags, [remote])
        self.writes += 1
        self._announce_tunnel(message, row)

    def _change_tunnel(self, message: Neighbor, flags: int, remote: "_Remote", row: "_VxlanRow") -> None:
        """An external write leaves state and flags as they are; any other write sets them, even where it then fails."""
        before = row.entries(message.port, message.mac)
        if not flags & NTF_EXT_LEARNED:
            row.state, row.flags = message.state, flags
        if message.verb is Verb.REPLACE:
            if not _is_unicast(message.mac):
                raise _Refused(errno.EOPNOTSUPP)
            if remote not in row.remotes:
                row.remotes[0] = remote
        elif remote not in row.remotes and not _is_unicast(message.mac):
            row.remotes.append(remote)
            self.writes += 1
            self._announce_tunnel(message, row)
            return
        if before != row.entries(message.port, message.mac):
            self.replaces += 1
            self._announce_tunnel(message, row)

    def _delete_tunnel(self, message: Neighbor, row: "_VxlanRow | None") -> None:
        """Without an address the row goes whole; an address that is not there is a success that deletes nothing."""
        if row is None:
            raise _Refused(errno.ENOENT)
        remote = self._remote(message)
        if message.dst is not None and remote not in row.remotes:
            return
        self._announce_gone(message.port, message.mac)
        if message.dst is not None and len(row.remotes) > 1:
            row.remotes.remove(remote)
            self.deletes += 1
        else:
            self.deletes += len(row.remotes)
            del self._tunnels[message.port][message.mac]

    def _remote(self, message: Neighbor) -> "_Remote":
        vxlan = self._links[message.port].vxlan
        own = vxlan.vni if vxlan else None
        return message.dst or Ip(4), None if message.vni == own else message.vni

    def _write_host(self, message: Neighbor) -> None:
        if message.ip is None:
            raise _Refused(errno.EINVAL)
        key = (message.port, message.ip)
        held = self._hosts.get(key)
        if message.verb is Verb.DELETE:
            if held is None:
                raise _Refused(errno.ENOENT)
            self._announce_host(key)
            del self._hosts[key]
            self.deletes += 1
            return
        if held and message.verb is Verb.CREATE:
            raise _Refused(errno.EEXIST)
        protocol = message.protocol if message.protocol is not None else (held.protocol if held else None)
        row = Entry(
            message.port,
            None,
            message.mac,
            message.flags,
            message.state,
            protocol=protocol,
            family=message.family,
            ip=message.ip,
        )
        self.writes += held is None
        self.replaces += held not in (None, row)
        self._hosts[key] = row
        if row != held:
            self._announce_host(key)

    # Rows that come and go with devices

    def _put_local(self, bridge: int, port: int, mac: Mac) -> None:
        """A device's own MAC; of two devices with one MAC the first has the row, and any other row makes way."""
        rows = self._stations[bridge]
        held = rows.get(mac)
        if held is None or not held.local:
            rows[mac] = _BridgeRow(port, local=True, static=True)
            self._announce(port, mac)

    def _leave(self, link: Link) -> None:
        assert link.master
        rows = self._stations[link.master]
        for mac, row in list(rows.items()):
            if row.port != link.index:
                continue
            heir = self._other_device(link, mac) if row.local else None
            if heir is None:
                self._announce_gone(row.port, mac)
                del rows[mac]
            else:
                self._announce(row.port, mac)
                row.port = heir

    def _other_device(self, link: Link, mac: Mac) -> int | None:
        assert link.master
        others = (*self.links().ports_of(link.master), self._links[link.master])
        return next((other.index for other in others if other.mac == mac and other.index != link.index), None)

    def _drop_learned(self, port: Link) -> None:
        rows = self._stations.get(port.master or 0, {})
        for mac, row in list(rows.items()):
            if row.port == port.index and not row.static and not row.external:
                self._announce_gone(row.port, mac)
                del rows[mac]

    def _drop_hosts(self, device: int) -> None:
        for key in [key for key in self._hosts if key[0] == device]:
            self._announce_host(key)
            del self._hosts[key]

    def _drop_tunnel(self, port: int, mac: Mac) -> None:
        del self._tunnels[port][mac]
        self._announce_gone(port, mac)

    def _announce_tunnel(self, message: Neighbor, row: "_VxlanRow") -> None:
        if not row.flags & NTF_EXT_LEARNED:
            self._announce(message.port, message.mac)

    def _announce(self, port: int, mac: Mac) -> None:
        if not self.hints_lost:
            self._keys.add((port, mac))

    def _announce_gone(self, port: int, mac: Mac) -> None:
        if not self.hints_lost:
            self._gone.add((port, mac))

    def _announce_host(self, key: tuple[int, Ip]) -> None:
        if not self.hints_lost and not self._hosts[key].flags & NTF_EXT_LEARNED:
            self._host_keys.add(key)

    # Looking up

    def _add(self, link: Link) -> int:
        """An index is never used twice, unless a device asks for it, as `ip link add NAME index N` does."""
        self._last_index += not link.index
        index = link.index or self._last_index
        mac = link.mac or Mac(b"\x02\xfe" + index.to_bytes(4))
        self._links[index] = msgspec.structs.replace(link, index=index, up=True, mac=mac, mtu=1500)
        self._bounced.add(index)
        self._links_changed = True
        return index

    def _named(self, name: str) -> Link:
        return self.links().by_name[name]

    def _forwards(self, port: int) -> bool:
        link = self._links[port]
        return link.up and self._links[link.master or port].up

    def _bridge_entries(self, bridge: int) -> Iterator[Entry]:
        if bridge not in self._links:
            raise KernelError("rows", errno.ENODEV, os.strerror(errno.ENODEV))
        return (row.entry(bridge, mac) for mac, row in list(self._stations.get(bridge, {}).items()))

    def _vxlan_entries(self, port: int) -> Iterator[Entry]:
        rows = list(self._tunnels.get(port, {}).items())
        return (entry for mac, row in rows for entry in row.entries(port, mac))


_Remote = tuple[Ip, int | None]


class _Refused(Exception):  # noqa: N818 - an outcome, not an error of ours
    def __init__(self, code: int) -> None:
        self.errno = code
        self.done = 0
        super().__init__(code)


class _BridgeRow(Struct):
    port: int
    local: bool = False
    static: bool = False
    external: bool = False
    sticky: bool = False

    @property
    def state(self) -> int:
        return NUD_PERMANENT if self.local else NUD_NOARP if self.static else NUD_REACHABLE

    def entry(self, bridge: int, mac: Mac) -> Entry:
        flags = self.external * NTF_EXT_LEARNED | self.sticky * NTF_STICKY
        return Entry(self.port, bridge, mac, flags, self.state)


class _VxlanRow(Struct):
    state: int
    flags: int
    remotes: list[_Remote]

    def entries(self, port: int, mac: Mac) -> list[Entry]:
        flags = self.flags | NTF_SELF
        return [Entry(port, None, mac, flags, self.state, dst, vni) for dst, vni in self.remotes]


def _is_unicast(mac: Mac) -> bool:
    return mac.is_usable
