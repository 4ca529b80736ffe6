"""Leaves that route between segments, in every mix of ours and FRR, and hosts that can be moved: symmetric and asymmetric IRB.

        host 1 ── br11 ┐                 underlay                 ┌ br11 ── host 3
                       ├ VRF blue ─ leaf1 ══════════ leaf2 ─ VRF blue ┤
        host 2 ── br22 ┘    (br4001)      iBGP        (br4001)    └ br22 ── host 4

In symmetric IRB a leaf has an L3VNI, and need not have the segment of the other host. In asymmetric IRB it has no L3VNI and every
segment. The anycast gateway has the same addresses and the same MAC on each leaf. Judges nothing.
"""

import contextlib
import json
import socket
import struct
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any, Final

from tests.lab import probe
from tests.lab.namespaces import Lab, Node
from tests.lab.peers import ExaBgp, Frr, frr_config
from tests.lab.routed import L3VNI, TABLE, add_segment, add_vrf
from tests.lab.topology import address, join, switch
from tests.lab.vtep import Vtep
from tests.lab.wait import PATIENCE
from vtep.config.file import parse
from vtep.feed.exabgp.config import render

OURS: Final = "ours"
FRR: Final = "frr"
PORT: Final = 5001


class Host:
    """A machine in a segment, with an address of each family, that may be moved to another leaf."""

    def __init__(self, lab: Lab, number: int, segment: int) -> None:
        self.node = lab.node(f"host{number}")
        self.number, self.segment = number, segment
        self.ip, self.ip6 = f"10.1.{segment}.{10 + number}", f"2001:db8:{segment}::{10 + number}"
        self.mac = f"02:00:00:00:{segment:02}:{number:02}"
        self.leaf: Node | None = None

    def plug(self, leaf: Node) -> None:
        """Join the bridge of the segment at a leaf, and leave the one before it. The machine itself notices nothing."""
        name = f"port{self.number}"
        if self.leaf is not None:
            self.leaf.ip(f"link set dev {name} nomaster down", f"link del dev {name}")
        leaf.ip(
            f"link add name {name} type veth peer name eth0 netns {self.node.pid}",
            f"link set dev {name} master br{self.segment} up",
        )
        self.node.ip(
            f"link set dev eth0 address {self.mac} mtu 1430",
            f"addr add {self.ip}/24 dev eth0",
            f"addr add {self.ip6}/64 dev eth0 nodad",
            "link set dev eth0 up",
            f"route add default via 10.1.{self.segment}.1",
            f"route add default via 2001:db8:{self.segment}::1",
        )
        self.leaf = leaf

    def reaches(self, address: str, deadline_s: float = 1.0) -> bool:
        return probe.ping(self.node, address, deadline_s * PATIENCE) is not None

    def speak(self) -> None:
        """Let the gateway know the host, as any traffic does."""
        self.reaches(f"10.1.{self.segment}.1")
        self.reaches(f"2001:db8:{self.segment}::1")

    def connects(self, other: "Host", address: str) -> bool:
        """Open a TCP connection to another host, and send it more than a packet can hold."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with (
            contextlib.suppress(OSError),
            other.node.socket(family, socket.SOCK_STREAM) as listening,
            self.node.socket(family, socket.SOCK_STREAM) as client,
        ):
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address, PORT))
            listening.listen()
            for one in (listening, client):
                one.settimeout(5)
            client.connect((address, PORT))
            accepted, _ = listening.accept()
            with accepted:
                accepted.settimeout(5)
                client.sendall(bytes(20_000))
                client.shutdown(socket.SHUT_WR)
                left = 20_000
                while left and (got := len(accepted.recv(65536))):
                    left -= got
                return left == 0
        return False

    def announce(self) -> None:
        """Send a gratuitous ARP and an unsolicited neighbor advertisement, as a hypervisor does for a machine that moved."""
        mac, ip, ip6 = (bytes.fromhex(self.mac.replace(":", "")), socket.inet_aton(self.ip), self._ip6)
        arp = b"\xff" * 6 + mac + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + ip + bytes(6) + ip
        all_nodes = socket.inet_pton(socket.AF_INET6, "ff02::1")
        body = struct.pack("!BBHI", 136, 0, 0, 0x20000000) + ip6 + b"\x02\x01" + mac
        sums = ip6 + all_nodes + struct.pack("!II", len(body), 58) + body
        total = sum(struct.unpack(f"!{len(sums) // 2}H", sums))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        body = body[:2] + struct.pack("!H", ~total & 0xFFFF) + body[4:]
        na = (
            b"\x33\x33\0\0\0\x01"
            + mac
            + b"\x86\xdd"
            + struct.pack("!IHBB", 0x60000000, len(body), 58, 255)
            + ip6
            + all_nodes
            + body
        )
        with self.node.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind(("eth0", 0))
            raw.send(arp)
            raw.send(na)

    @property
    def _ip6(self) -> bytes:
        return socket.inet_pton(socket.AF_INET6, self.ip6)


class Leaf:
    """One leaf: ours, or FRR of this machine or of a root file system."""

    def __init__(
        self,
        node: Node,
        number: int,
        maker: str,
        text: str,
        frr: tuple[str, str],
        tree: Path | None,
        *,
        bmp: bool = False,
    ) -> None:
        self.node, self.number, self.maker = node, number, maker
        self.is_ours = maker == OURS
        if self.is_ours:
            self.vtep = Vtep(node, text)
            self.exabgp = ExaBgp(node, render(parse(text)), announces=True)
        else:
            self.frr = Frr(node, *frr, tree=tree, bmp=bmp)

    def start(self) -> None:
        if self.is_ours:
            self.vtep.start()
            self.exabgp.start()
        else:
            self.frr.start()

    def routes(self) -> set[str]:
        """Return the prefixes in the table of the VRF that came by BGP."""
        found: set[str] = set()
        for family in ("-4", "-6"):
            protocol = "229" if self.is_ours else "bgp"
            shown = self.node.run("ip", "-j", family, "route", "show", "table", str(TABLE), "proto", protocol)
            rows: list[dict[str, Any]] = json.loads(shown or "[]")
            found |= {row["dst"] for row in rows}
        return found

    def neighbors(self, device: str) -> dict[str, str]:
        """Return the MAC of each address that came by BGP on a device."""
        shown = self.node.run("ip", "-j", "neigh", "show", "dev", device)
        rows: list[dict[str, Any]] = json.loads(shown or "[]")
        return {row["dst"]: row["lladdr"] for row in rows if "lladdr" in row and "extern_learn" in row}


class Irb:
    """The network as drawn, not yet started: one leaf for each maker, with the segments that are given for it."""

    def __init__(
        self,
        lab: Lab,
        makers: Sequence[str],
        segments: Sequence[Sequence[int]],
        *,
        symmetric: bool = True,
        tree: Path | None = None,
        bmp: bool = False,
    ) -> None:
        """With `bmp`, the bgpd of each FRR leaf can report by BMP."""
        self.lab, self.symmetric = lab, symmetric
        underlay = switch(lab)
        numbers = range(1, len(makers) + 1)
        nodes = [join(lab, underlay, f"leaf{number}", number) for number in numbers]
        self.leaves: list[Leaf] = []
        ours = [number for number, maker in zip(numbers, makers, strict=True) if maker == OURS]
        for number, node, maker, has in zip(numbers, nodes, makers, segments, strict=True):
            add_vrf(node, number, l3vni=symmetric)
            for segment in has:
                add_segment(node, segment, address(number))
            peers = [other for other in numbers if other != number]
            frr = (_bgpd(number, peers, symmetric=symmetric), f"vrf blue\nvni {L3VNI}\nexit-vrf\n" if symmetric else "")
            self.leaves.append(
                Leaf(node, number, maker, _ours(number, peers, ours, has, symmetric=symmetric), frr, tree, bmp=bmp)
            )
        self.hosts: list[Host] = []

    def host(self, segment: int, leaf: int) -> Host:
        """Add a host of a segment at a leaf, by its number."""
        host = Host(self.lab, len(self.hosts) + 1, segment)
        host.plug(self.leaves[leaf - 1].node)
        self.hosts.append(host)
        return host

    def start(self) -> None:
        for leaf in self.leaves:
            leaf.start()


def _ours(number: int, peers: Sequence[int], ours: Container[int], segments: Sequence[int], *, symmetric: bool) -> str:
    text = f'[node]\nvtep = "{address(number)}"\n[bgp]\nasn = 65000\nrouter_id = "{address(number)}"\n'
    for peer in peers:
        # Of two speakers that only call, the one with the lower address is called.
        passive = "passive = true\n" if number < peer and peer in ours else ""
        text += f'[[bgp.neighbor]]\naddress = "{address(peer)}"\nasn = 65000\n{passive}'
    text += f"[feed]\npeers = {json.dumps([address(peer) for peer in peers])}\n"
    if symmetric:
        text += f'[[vrf]]\nname = "blue"\nvni = {L3VNI}\nvxlan = "vx{L3VNI}"\nsvi = "br{L3VNI}"\n'
        text += 'redistribute = ["connected", "kernel", "static"]\n'
    for segment in segments:
        text += f'[[vni]]\nvni = {segment}\nbridge = "br{segment}"\nvxlan = "vx{segment}"\n'
        text += 'vrf = "blue"\n' if symmetric else ""
    return text


def _bgpd(number: int, peers: Sequence[int], *, symmetric: bool) -> str:
    lines = [frr_config(address(number), [address(peer) for peer in peers]), "exit", "router bgp 65000"]
    for peer in peers:
        lines += [f"neighbor {address(peer)} advertisement-interval 0", f"neighbor {address(peer)} timers connect 1"]
    if symmetric:
        lines += ["exit", "router bgp 65000 vrf blue", f"bgp router-id {address(number)}"]
        for family in ("ipv4", "ipv6"):
            lines += [f"address-family {family} unicast", "redistribute connected", "redistribute kernel"]
            lines += ["exit-address-family"]
        lines += ["address-family l2vpn evpn", "advertise ipv4 unicast", "advertise ipv6 unicast"]
        lines += ["exit-address-family"]
    return "\n".join([*lines, ""])
