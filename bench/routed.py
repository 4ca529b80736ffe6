"""The prefixes of a VRF end to end, and the same octets to FRR: how long it takes until the kernel has the last of them.

    speaker ── the same UPDATEs ──┬── ExaBGP, relay, daemon ──> kernel      `vtep`
                                  └── bgpd ──────── zebra ────> kernel      `frr`

The prefixes are of 64 VTEPs, and each UPDATE has 50 of one VTEP. Their VRF is the main table of a namespace, because many kernels have no
VRF devices; FRR has an L3VNI for it as well. Five things happen, and each of them is over when the kernel is as it should be, which is
asked of the kernel and of no daemon:

    add                        all prefixes are advertised
    one VTEP, another MAC      the prefixes of a VTEP come again, with another Router's MAC
    one VTEP, to another       they come again, by another VTEP
    one VTEP leaves            they are withdrawn
    withdraw                   all others are withdrawn

CPU is that of all processes of a side until then.
"""

import contextlib
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from bench import machine
from bench.figures import Figure, Limit, transposed
from bench.lines import ZEBRA_BUFFER
from bench.routes import PER_LINE, SPEAKER
from tests.lab import wire
from tests.lab.fabric import children
from tests.lab.namespaces import Lab, Node, link
from tests.lab.peers import Frr
from tests.lab.speaker import Speaker
from tests.lab.topology import LEAF, address
from tests.lab.vtep import Vtep, exabgp_with_relay
from tests.lab.wait import NeverHappened, wait_until
from vtep.addr import Ip

VTEPS: Final = 64
L3VNI: Final = 4001
MAIN_TABLE: Final = 254
SVI: Final = f"br{L3VNI}"
SAMPLE: Final = 200
DEADLINE_S: Final = 240.0
REST_S: Final = 0.3
"""Without any work, before the next thing happens."""
CONFIG: Final = f"""
[node]
vtep = "{address(LEAF)}"
[feed]
peers = ["{SPEAKER}"]
[[vrf]]
name = "main"
table = {MAIN_TABLE}
vni = {L3VNI}
vxlan = "vx{L3VNI}"
svi = "{SVI}"
import_rt = ["65000:{L3VNI}"]
"""
FRR_CONFIG: Final = f"""router bgp 65000
bgp router-id {address(LEAF)}
no bgp default ipv4-unicast
neighbor {SPEAKER} remote-as 65000
neighbor {SPEAKER} timers connect 1
address-family ipv4 unicast
exit-address-family
address-family l2vpn evpn
neighbor {SPEAKER} activate
advertise-all-vni
exit-address-family
"""


def measure(prefixes: int, runs: int, *, frr: bool) -> list[Figure]:
    """Take the sides by turns."""
    found: dict[str, list[dict[str, float]]] = {"vtep": [], "frr": []}
    for _ in range(runs):
        found["vtep"].append(with_vtep(prefixes))
        if frr:
            with contextlib.suppress(NeverHappened):
                found["frr"].append(with_frr(prefixes))
    sides = {side: transposed(one) for side, one in found.items() if one}
    table = f"The same prefixes to ExaBGP with vtep and to FRR, {prefixes:,}"
    figures = []
    for word in STEPS:
        fails_at = 8.0 if word == "add" else None
        for what, limit in (("wall", Limit("vtep", "frr", 1.0, fails_at)), ("CPU, all processes", None)):
            values = {side: one.get(f"{word}, {what}", []) for side, one in sides.items()}
            figures.append(Figure(table, f"{word}, {what}", "ms", values, limit))
    memory = {side: one["memory"] for side, one in sides.items()}
    return [*figures, Figure(table, "memory of all processes", "B/prefix", memory)]


def with_vtep(prefixes: int) -> dict[str, float]:
    with _nodes() as (leaf, node), Speaker(node, SPEAKER, sends_end_of_rib=False) as speaker:
        daemon = Vtep(leaf, CONFIG).start()
        exabgp = exabgp_with_relay(leaf, [SPEAKER], announces=True)
        pid = exabgp.start().pid
        speaker.wait_established(deadline_s=30)
        ready = ("exabgp connected", "rows written", "exabgp sends octets")
        wait_until(lambda: all(event in daemon.log() for event in ready), 20, "an attached feed")
        (relay,) = children(pid)
        found = _timed(leaf, speaker, prefixes, (pid, relay, daemon.pid))
        daemon.stop()
        return found


def with_frr(prefixes: int) -> dict[str, float]:
    with _nodes() as (leaf, node), Speaker(node, SPEAKER, sends_end_of_rib=False) as speaker:
        frr = Frr(leaf, FRR_CONFIG, f"vni {L3VNI}\n", zebra_buffer=ZEBRA_BUFFER)
        frr.start()
        assert frr.bgpd is not None
        assert frr.zebra is not None
        try:
            speaker.wait_established(deadline_s=30)
            wait_until(lambda: "State: Up" in frr.vtysh(f"show evpn vni {L3VNI}"), 20, "the L3VNI in zebra")
            return _timed(leaf, speaker, prefixes, (frr.bgpd.pid, frr.zebra.pid))
        finally:
            frr.kill()


@contextlib.contextmanager
def _nodes() -> Iterator[tuple[Node, Node]]:
    """Make the leaf's node, which has the devices of the L3VNI, and the speaker's."""
    with Lab() as lab:
        leaf, speaker = lab.node("leaf"), lab.node("speaker")
        link(leaf, "underlay", speaker, "underlay")
        speaker.ip(f"addr add {SPEAKER}/24 dev underlay")
        leaf.ip(
            f"addr add {address(LEAF)}/24 dev underlay",
            f"link add {SVI} type bridge",
            f"link set {SVI} address 02:00:00:00:ff:63",
            f"link add vx{L3VNI} type vxlan id {L3VNI} local {address(LEAF)} dstport 4789 nolearning",
            f"link set vx{L3VNI} master {SVI}",
            f"link set vx{L3VNI} type bridge_slave learning off",
            f"link set {SVI} addrgenmode none",
            f"link set vx{L3VNI} addrgenmode none",
            f"link set vx{L3VNI} up",
            f"link set {SVI} up",
        )
        yield leaf, speaker


# What is said


def _vtep(number: int) -> str:
    return address(2 + number)


def _instance(number: int, router_mac: str = "") -> wire.Instance:
    mac = router_mac or f"02:00:00:01:00:{number:02x}"
    return wire.Instance(_vtep(number), L3VNI, targets=(f"65000:{L3VNI}",), router_mac=mac)


def _prefix(number: int) -> str:
    return f"{Ip((0x0B000000 + number).to_bytes(4))}/32"


def _of(vtep: int, prefixes: int) -> range:
    return range(vtep, prefixes, VTEPS)


def _routes(vtep: int, prefixes: int, instance: wire.Instance | None = None) -> list[wire.Route]:
    instance = instance or _instance(vtep)
    return [instance.prefix(_prefix(number)) for number in _of(vtep, prefixes)]


OTHER_MAC: Final = "02:00:00:02:00:01"
CHANGED, MOVED, LEFT = 1, 2, 3
"""The VTEPs that something happens to."""
_STAYS: Final = 5


def _add(prefixes: int) -> bytes:
    told = (update for vtep in range(VTEPS) for update in wire.updates(_routes(vtep, prefixes), PER_LINE))
    return b"".join(told) + wire.end_of_rib()


def _change(prefixes: int) -> bytes:
    return b"".join(wire.updates(_routes(CHANGED, prefixes, _instance(CHANGED, OTHER_MAC)), PER_LINE))


def _move(prefixes: int) -> bytes:
    """The prefixes come again by another VTEP, as a route reflector would say that which has one route of each left."""
    moved = [
        route.__class__(route.nlri, Ip.parse(_vtep(_STAYS)), there.attributes)
        for route, there in zip(_routes(MOVED, prefixes), _routes(MOVED, prefixes, _instance(_STAYS)), strict=True)
    ]
    return b"".join(wire.updates(moved, PER_LINE))


def _withdraw(vteps: range, prefixes: int) -> bytes:
    return b"".join(wire.withdrawals([route.nlri for vtep in vteps for route in _routes(vtep, prefixes)], PER_LINE))


STEPS: Final[dict[str, Callable[[int], bytes]]] = {
    "add": _add,
    "one VTEP, another MAC": _change,
    "one VTEP, to another": _move,
    "one VTEP leaves": lambda prefixes: _withdraw(range(LEFT, LEFT + 1), prefixes),
    "withdraw": lambda prefixes: _withdraw(range(VTEPS), prefixes),
}


# What is there


class _Table:
    """The main table of a node, and the neighbors of its SVI, read from outside."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._summary = Path(f"/proc/{node.pid}/net/fib_triestat")
        self._socket = node.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        (svi,) = json.loads(node.run("ip", "-j", "link", "show", "dev", SVI))
        self._svi: int = svi["ifindex"]
        self._others = self._prefixes()

    def close(self) -> None:
        self._socket.close()

    def await_prefixes(self, count: int, deadline_s: float) -> None:
        """Wait for so many prefixes. The kernel walks through the table for each look, so looks take a fifth of the time at most."""
        end = time.monotonic() + deadline_s
        while True:
            began = time.monotonic()
            found = self.count()
            now = time.monotonic()
            if found == count:
                return
            if now > end:
                raise NeverHappened(f"after {deadline_s} s there are {found} prefixes and not {count}")
            time.sleep(max(0.001, 4 * (now - began)))

    def count(self) -> int:
        """Return how many prefixes of this measurement are in the table."""
        return self._prefixes() - self._others

    def _prefixes(self) -> int:
        words = self._summary.read_text().partition("Main:")[2].split()
        return int(words[words.index("Prefixes:") + 1]) if "Prefixes:" in words else 0

    def await_vtep(self, numbers: range, vtep: str, deadline_s: float) -> None:
        """Wait until a sample of these prefixes, with the last of them, leads to a VTEP; nowhere if it is empty."""
        end = time.monotonic() + deadline_s
        for number in (*numbers[:: max(1, len(numbers) // SAMPLE)], numbers[-1]):
            while (found := self._vtep_of(number)) != vtep:
                if time.monotonic() > end:
                    raise NeverHappened(f"after {deadline_s} s {_prefix(number)} is at {found!r} and not at {vtep!r}")
                time.sleep(0.0005)

    def await_mac(self, vtep: str, mac: str, deadline_s: float) -> None:
        """Wait until the neighbor row of a VTEP has this MAC."""
        end = time.monotonic() + deadline_s
        wanted = bytes.fromhex(mac.replace(":", ""))
        while (found := self._mac_of(vtep)) != wanted:
            if time.monotonic() > end:
                raise NeverHappened(f"after {deadline_s} s {vtep} has {found.hex(':')} and not {mac}")
            time.sleep(0.0005)

    def _vtep_of(self, number: int) -> str:
        """Return the gateway of the route that a packet would take, or nothing."""
        body = struct.pack("=BBxxxxxxI", socket.AF_INET, 32, 0) + struct.pack(
            "=HH4s", 8, 1, (0x0B000000 + number).to_bytes(4)
        )
        kind, attributes = self._ask(26, body, 12)
        gateway = attributes.get(5, b"") or attributes.get(18, b"")[2:]
        return "" if kind != 24 else str(Ip(gateway))

    def _mac_of(self, vtep: str) -> bytes:
        body = struct.pack("=BxxxiHBx", socket.AF_INET, self._svi, 0, 0) + struct.pack(
            "=HH4s", 8, 1, bytes(Ip.parse(vtep))
        )
        _, attributes = self._ask(30, body, 12)
        return attributes.get(2, b"")

    def _ask(self, kind: int, body: bytes, head: int) -> tuple[int, dict[int, bytes]]:
        self._socket.send(struct.pack("=IHHII", 16 + len(body), kind, 1, 0, 0) + body)
        answer = self._socket.recv(1 << 16)
        (answered,) = struct.unpack_from("=H", answer, 4)
        found, at = {}, 16 + head
        while answered != 2 and at + 4 <= len(answer):
            length, name = struct.unpack_from("=HH", answer, at)
            found[name] = answer[at + 4 : at + length]
            at += (length + 3) & -4
        return answered, found


def _timed(leaf: Node, speaker: Speaker, prefixes: int, pids: tuple[int, ...]) -> dict[str, float]:
    of_one = {vtep: len(_of(vtep, prefixes)) for vtep in (LEFT,)}
    found: dict[str, float] = {}
    with contextlib.closing(_Table(leaf)) as table:
        over: dict[str, Callable[[], None]] = {
            "add": lambda: table.await_prefixes(prefixes, DEADLINE_S),
            "one VTEP, another MAC": lambda: table.await_mac(_vtep(CHANGED), OTHER_MAC, 20),
            "one VTEP, to another": lambda: table.await_vtep(_of(MOVED, prefixes), _vtep(_STAYS), 60),
            "one VTEP leaves": lambda: table.await_vtep(_of(LEFT, prefixes), "", 60),
            "withdraw": lambda: table.await_prefixes(0, DEADLINE_S),
        }
        before_all = sum(map(machine.resident_kib, pids))
        for word, told_of in STEPS.items():
            told = told_of(prefixes)
            _let_rest(pids)
            before, start = machine.cpu_s(*pids), time.monotonic()
            speaker.send(told)
            try:
                over[word]()
            except NeverHappened as error:
                if word in ("add", "withdraw"):
                    raise
                print(f"not measured: {word}: {error}")
                continue
            wall_s = time.monotonic() - start
            found[f"{word}, wall"] = wall_s * 1e3
            if word in ("add", "withdraw"):
                found[f"{word}, CPU, all processes"] = (machine.cpu_s(*pids) - before) * 1e3
            _let_rest(pids)
            found.setdefault(f"{word}, CPU, all processes", (machine.cpu_s(*pids) - before) * 1e3)
            if word == "add":
                found["memory"] = (sum(map(machine.resident_kib, pids)) - before_all) * 1024 / prefixes
            if word == "one VTEP leaves":
                table.await_prefixes(prefixes - of_one[LEFT], 60)
    return found


def _let_rest(pids: tuple[int, ...]) -> None:
    """Wait until the processes have nothing to do."""
    before = -1.0
    while (now := machine.cpu_s(*pids)) > before + 0.02:
        before = now
        time.sleep(REST_S)
