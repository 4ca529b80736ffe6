"""A machine on two or more leaves of one Ethernet segment, and two remote VTEPs without BGP. As drawn, with two leaves:

                              ┌─ leaf1 10.0.0.1 ── host h1
        machine ce ── es0 ────┤       ║ iBGP to the reflector 10.0.0.100
                       es0 ───┴─ leaf2 10.0.0.2 ── host h2         remote3 10.0.0.3 ── h3, remote4 10.0.0.4 ── h4

Each host is a node with one interface. All VTEPs flood to all: the leaves to each other by BGP, the rest by rows put by hand.
Every frame that is sent is followed to where copies of it arrive.
"""

import contextlib
import itertools
import json
import re
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from tests.lab import overlay
from tests.lab.leaves import REFLECTOR, FrrReflector, OurLeaf
from tests.lab.namespaces import Lab, Missing, Node
from tests.lab.probe import loopback_frame
from tests.lab.topology import BRIDGE, VNI, VXLAN, address, join, switch
from tests.lab.wait import wait_until

ESI: Final = "03:02:00:00:00:00:42:00:00:01"
SEGMENT: Final = f"""
[[segment]]
esi = "{ESI}"
port = "es0"
df_wait_s = 0.5
"""
BROADCAST, MULTICAST, UNKNOWN = "ff:ff:ff:ff:ff:ff", "01:00:5e:01:02:03", "02:00:00:00:99:99"
CE_MAC: Final = "02:ce:00:00:00:01"
ARRIVAL_S: Final = 0.03
"""How long copies of one frame are waited for. They pass through a few queues of one machine."""
REMOTES: Final = 2
ON_THE_LINK: Final = 1
"""Frames of a stream that may be on the link while that fails: they are lost with it, wherever the next ones go."""
_ETH_P: Final = 0x88B5
_ETH_P_IP: Final = 0x0800
_NO_SUCH_PROGRAM: Final = 127
"""The status of nsenter then."""
_NUMBERS = itertools.count(1)


class MultiHomed:
    """The network as drawn, not yet started."""

    def __init__(self, lab: Lab, *, segment: str = SEGMENT, leaves: int = 2) -> None:
        self.lab = lab
        underlay = switch(lab)
        self._numbers = tuple(range(1, leaves + 1))
        self._vteps = tuple(range(1, leaves + 1 + REMOTES))
        self.nodes = [join(lab, underlay, f"leaf{number}", number) for number in self._numbers]
        remotes = [join(lab, underlay, f"remote{number}", number) for number in self._vteps[leaves:]]
        need_filters(self.nodes[0])
        self.remotes = remotes
        vteps = [*self.nodes, *remotes]
        for number, node in enumerate(vteps, 1):
            overlay.bridge_vxlan(node, VNI, BRIDGE, VXLAN, address(number))
            _quiet(node)
        self.ce = lab.node("ce")
        _quiet(self.ce)
        self.ends: dict[str, tuple[Node, str]] = {}
        for number, node in enumerate(self.nodes, 1):
            self.ce.ip(
                f"link add name c{number} type veth peer name es0 netns {node.pid}", f"link set dev c{number} up"
            )
            node.ip(f"link set dev es0 master {BRIDGE} up")
            self.ends[f"c{number}"] = (self.ce, f"c{number}")
        for number, node in enumerate(vteps, 1):
            host = lab.node(f"host{number}")
            _quiet(host)
            node.ip(
                f"link add name h0 type veth peer name eth0 netns {host.pid}", f"link set dev h0 master {BRIDGE} up"
            )
            host.ip("link set dev eth0 up")
            self.ends[f"h{number}"] = (host, "eth0")
        for here, there in itertools.permutations(self._vteps, 2):
            if here > leaves or there > leaves:
                row = ("dev", VXLAN, "dst", address(there), "self")
                vteps[here - 1].run("bridge", "fdb", "append", overlay.FLOOD_MAC, *row)
        self._segment = segment
        self._last = 0
        """The number of the latest single frame."""
        self.leaves = [OurLeaf(node, number, more=segment) for number, node in enumerate(self.nodes, 1)]
        node = join(lab, underlay, "reflector", REFLECTOR)
        self.reflector = FrrReflector(node, list(map(address, self._numbers)))
        self._sockets = {name: _listen(*end) for name, end in self.ends.items()}

    def start(self) -> None:
        self.reflector.start()
        for leaf in self.leaves:
            leaf.start()

    def prefer(self, wanted: int | None) -> None:
        """Have all leaves elect by preference, and this one have the higher one; with none, by the default again."""
        for number, leaf in enumerate(self.leaves, 1):
            asked = f'algorithm = "highest-preference"\npreference = {100 if number == wanted else 50}\n'
            more = self._segment + (asked if wanted else "")
            leaf.vtep.configure(OurLeaf(leaf.node, number, more=more).config())
            assert leaf.vtep.process is not None
            leaf.vtep.process.signal(signal.SIGHUP)

    def close(self) -> None:
        for one in self._sockets.values():
            one.close()

    # What the kernels have

    def filters(self, number: int) -> tuple[str, list[str]] | None:
        """Return what `nft` says of the segment's port at a leaf: its state, and how many peers are biased."""
        shown = self.rules(number)
        if "chain forward" not in shown or '"es0"' not in _set(shown, "ports"):
            return None
        if '"es0"' in _set(shown, "joining"):
            state = "joining"
        elif '"es0"' in _set(shown, "standby"):
            state = "standby"
        else:
            state = "non-df" if '"es0"' in _set(shown, "blocked") else "df"
        peers = self.nodes[number - 1].attempt("nft", "list", "map", "inet", "vtep", "peers4").stdout
        return state, [address(peer) for peer in self._vteps if f"{address(peer)} :" in peers]

    def rules(self, number: int) -> str:
        """Return the filters of a leaf as `nft` shows them."""
        return self.nodes[number - 1].attempt("nft", "list", "table", "bridge", "vtep").stdout

    def macs(self, number: int) -> str:
        """Return the MACs of the segment that a leaf has behind its port."""
        return _set(self.rules(number), "macs")

    def drops(self, number: int) -> dict[str, int]:
        """Return how many frames the filters of a leaf have dropped, as the daemon reads it."""
        program = (
            "from vtep.linux.nftables import KernelNftables as Rules; import json; print(json.dumps(Rules().dropped()))"
        )
        found: dict[str, int] = json.loads(self.nodes[number - 1].run(sys.executable, "-c", program))
        return found

    def wait_forwarding(self, *, df: int | None, leaves: tuple[int, ...] = ()) -> None:
        """Wait until the filters of these leaves, or all, say that this one of them is the forwarder, and know each other."""
        leaves = leaves or self._numbers
        wanted = {
            number: ("df" if number == df else "non-df", [address(other) for other in leaves if other != number])
            for number in leaves
        }
        wait_until(lambda: {number: self.filters(number) for number in leaves} == wanted, 30, f"filters {wanted}")

    def wait_active(self, active: int | None, *, standby: tuple[int, ...] = ()) -> None:
        """Wait until this leaf alone passes frames, by the filters of a single-active segment, and these leaves flood to each other."""
        wanted = {number: ("standby", []) for number in standby} | ({active: ("df", [])} if active else {})
        wait_until(lambda: {number: self.filters(number) for number in wanted} == wanted, 30, f"filters {wanted}")
        for number in wanted:
            others = {address(other) for other in wanted if other != number}
            wait_until(lambda: others <= overlay.floods(self.nodes[number - 1], VXLAN), 30, f"floods to {others}")  # noqa: B023

    def row(self, number: int, mac: str) -> str:
        """Return what a leaf's bridge and VXLAN device have for a MAC."""
        shown = self.nodes[number - 1].run("bridge", "fdb", "show", "br", BRIDGE)
        return "\n".join(line for line in shown.splitlines() if line.startswith(mac))

    def backup(self, number: int) -> str:
        """Return the backup of the segment's port at a leaf, if the machine's MAC has its row below as well."""
        node = self.nodes[number - 1]
        found = re.search(r"backup_port (\S+)", node.run("ip", "-d", "link", "show", "dev", "es0"))
        row = re.search(rf"{CE_MAC} .*nhid", node.run("bridge", "fdb", "show", "dev", VXLAN))
        return found[1] if found and row else ""

    # Frames

    def speak(self, source: str, mac: str = CE_MAC) -> None:
        """Have the machine speak at one of its ports."""
        speak(*self.ends[source], mac)

    def tunneled(self, source: str, to: str) -> Counter[int]:
        """Send one frame and return how many copies of it each leaf received by the underlay."""
        with contextlib.ExitStack() as stack:
            listening = {
                number: stack.enter_context(node.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_IP)))
                for number, node in enumerate(self.nodes, 1)
            }
            for one in listening.values():
                one.bind(("underlay", _ETH_P_IP))
                one.setblocking(False)
            self.send(source, to)
            sent = struct.pack("!HQ", _ETH_P, self._last)
            return Counter(
                {number: sum(sent in frame for frame in _received(one)) for number, one in listening.items()}
            )

    def send(self, source: str, to: str) -> Counter[str]:
        """Send one frame and return how many copies arrived, and where."""
        self._last = number = next(_NUMBERS)
        mac = CE_MAC if source.startswith("c") else f"02:11:00:00:00:{int(source[1:]):02}"
        frame = _octets(to) + _octets(mac) + struct.pack("!HQ", _ETH_P, number) + bytes(46)
        with self.ends[source][0].socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((self.ends[source][1], 0))
            raw.send(frame)
        return self._arrived(number)

    def _arrived(self, number: int) -> Counter[str]:
        found: Counter[str] = Counter()
        names = {one: name for name, one in self._sockets.items()}
        end = time.monotonic() + ARRIVAL_S
        while (left := end - time.monotonic()) > 0:
            for one in select.select(list(names), (), (), left)[0]:
                with contextlib.suppress(OSError):  # nothing more, or the link went down
                    frame, sender = one.recvfrom(2048)
                    if sender[2] != socket.PACKET_OUTGOING and struct.unpack_from("!Q", frame, 14)[0] == number:
                        found[names[one]] += 1
        return found

    def stream(self, source: str, to: str, act: Callable[[], None], *, seconds: float = 1.5) -> "Stream":
        """Send a frame each millisecond, act after a third of the time, and return where the copies arrived."""
        sent = Stream()
        names = {one: name for name, one in self._sockets.items()}
        mac = CE_MAC if source.startswith("c") else f"02:11:00:00:00:{int(source[1:]):02}"
        acting = threading.Timer(seconds / 3, act)
        acting.start()
        with self.ends[source][0].socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((self.ends[source][1], 0))
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > -0.1:
                if left > 0:
                    number = next(_NUMBERS)
                    sent.copies[number] = Counter()
                    raw.send(_octets(to) + _octets(mac) + struct.pack("!HQ", _ETH_P, number) + bytes(46))
                for one in select.select(list(names), (), (), 0.001)[0]:
                    for number in _numbers(one):
                        if number in sent.copies:
                            sent.copies[number][names[one]] += 1
        acting.join()
        return sent

    def verdict(self, source: str, to: str) -> str:
        """Say what is wrong with how a flooded frame arrived: each host and the machine must have one copy, its sender none."""
        found = self.send(source, to)
        machine = sum(count for name, count in found.items() if name.startswith("c"))
        hosts = [name for name in self.ends if name.startswith("h")]
        wrong = [f"{host} has {found[host]}" for host in hosts if found[host] != (host != source)]
        if machine != (not source.startswith("c")):
            wrong.append(f"the machine has {machine}")
        return ", ".join(wrong)

    def matrix(self, sources: tuple[str, ...] = ()) -> dict[tuple[str, str], str]:
        """Return what is wrong, of each of these sources, or all, and every kind of flooded frame."""
        kinds = {"broadcast": BROADCAST, "multicast": MULTICAST, "unknown unicast": UNKNOWN}
        found = {
            (source, kind): self.verdict(source, to) for source in sources or self.ends for kind, to in kinds.items()
        }
        return {case: wrong for case, wrong in found.items() if wrong}


class Stream:
    """Frames that were sent one after the other, with where copies of each arrived."""

    def __init__(self) -> None:
        self.copies: dict[int, Counter[str]] = {}

    def wrong(self) -> dict[str, int]:
        """Return how many frames did not reach the machine, and how many reached it more than once."""
        at_machine = [sum(count for name, count in found.items() if name[0] == "c") for found in self.copies.values()]
        return {
            "sent": len(at_machine),
            "lost": sum(count == 0 for count in at_machine),
            "more than once": sum(count > 1 for count in at_machine),
        }


def _listen(node: Node, interface: str) -> socket.socket:
    found = node.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P))
    found.bind((interface, _ETH_P))
    found.setblocking(False)
    return found


def speak(node: Node, interface: str, mac: str = CE_MAC) -> None:
    """Send a frame from this MAC that reaches nobody, so that a bridge learns it."""
    with node.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((interface, 0))
        raw.send(loopback_frame(mac))


def need_filters(node: Node) -> None:
    """Say what is missing where the filters cannot be had or shown, as on Debian's user-mode Linux."""
    tried = node.attempt("nft", "add table inet trial")
    if tried.returncode == _NO_SUCH_PROGRAM:
        raise Missing("nft is not installed (Debian package nftables)")
    if "not supported" in tried.stderr:
        raise Missing("this kernel has no nftables of family inet")
    node.run("nft", "delete table inet trial")


def _numbers(one: socket.socket) -> Iterator[int]:
    """Yield the numbers of the frames that have arrived at a socket."""
    for frame in _received(one):
        yield struct.unpack_from("!Q", frame, 14)[0]


def _received(one: socket.socket) -> Iterator[bytes]:
    """Yield the frames that have arrived at a socket."""
    with contextlib.suppress(OSError):  # nothing more, or the link went down
        while True:
            frame, sender = one.recvfrom(2048)
            if sender[2] != socket.PACKET_OUTGOING:
                yield frame


def _quiet(node: Node) -> None:
    node.run(
        "sh",
        "-c",
        "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6",
    )


def _set(shown: str, name: str) -> str:
    return shown.partition(f"set {name} {{")[2].partition("}\n\n")[0]


def _octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
