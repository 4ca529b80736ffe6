"""One VXLAN device for very many VNIs, on a VLAN-aware bridge: what a start costs, what rest costs, and one change of one VNI.

Each VNI has one remote MAC and one VTEP that wants its broadcasts. The devices are there before a clock starts.

    start     from the start of the process, with all routes said as soon as it listens, to the last row
    at rest   share of one CPU in the time after it
    move      the MAC of one VNI moves to another VTEP: from the line to the row, and the CPU time of the daemon
    mapping   the VLAN of one VNI lost its mapping, and its row went meanwhile: from the mapping's return to the row. The kernel
              tells the VLANs of a port all at once, so this grows with their number

It needs a kernel with VLAN filtering: `./vtep-dev lab --kernel newest .venv/bin/python -m bench --only vnis`.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Final

from bench import machine
from bench.figures import Figure, Limit
from bench.routes import SPEAKER
from bench.rows import Rows
from bench.segments import let_rest
from tests.lab import wire
from tests.lab.feeder import Feeder
from tests.lab.lines import Lines
from tests.lab.namespaces import CommandFailed, Lab, Missing, Node
from tests.lab.topology import LEAF, address
from tests.lab.vlans import add_shared_vxlan, bridge
from tests.lab.vtep import FEED, Vtep
from tests.lab.wait import wait_until

DEVICE: Final = "vxlan0"
VLAN_FIRST: Final = 2
VNI_OF_VLAN: Final = 10_000
"""The VNI of a VLAN is so much more."""
MOVES: Final = 20
MAPPINGS: Final = 5
REST_S: Final = 30.0
A, B = address(11), address(12)
TABLE: Final = "VNIs on one VXLAN device"

_UNITS: Final = {
    "start, wall": "s",
    "start, CPU": "s",
    "at rest": "% of a CPU",
    "memory of the daemon": "MiB",
    "move of one MAC, wall": "ms",
    "move of one MAC, CPU": "ms",
    "mapping comes back, wall": "ms",
    "mapping goes and comes back, CPU": "ms",
}


def measure(sizes: tuple[int, ...], runs: int) -> Iterator[Figure]:
    """Take the sizes by turns."""
    found: dict[str, dict[str, list[float]]] = {what: {} for what in _UNITS}
    for _ in range(runs):
        for vnis in sizes:
            for what, value in zip(_UNITS, _run(vnis), strict=True):
                found[what].setdefault(f"{vnis:,} VNIs", []).append(value)
    small, large = (f"{size:,} VNIs" for size in (min(sizes), max(sizes)))
    times = max(sizes) / min(sizes)
    for what, sides in found.items():
        grows = times if what.startswith(("start", "at rest", "memory", "mapping")) else 2.0
        yield Figure(TABLE, what, _UNITS[what], sides, Limit(large, small, grows))


def _run(vnis: int) -> Sequence[float]:
    vlans = range(VLAN_FIRST, VLAN_FIRST + vnis)
    with Lab() as lab:
        leaf = lab.node("leaf")
        _add_devices(leaf, vlans)
        lines = Lines()
        said = [lines.up(SPEAKER), *_routes(lines, vlans), lines.end_of_rib(SPEAKER)]
        vtep = Vtep(leaf, _config(vlans))
        began = time.monotonic()
        process = vtep.start()
        wait_until(leaf.path(FEED).exists, 30, "the feed socket")
        with Feeder(leaf) as feeder:
            feeder.say(*said)
            wait_until(lambda: _rows(leaf) == 2 * vnis, 300, "all rows")
            start = time.monotonic() - began
            let_rest((process.pid,))
            cpu = machine.cpu_s(process.pid)
            time.sleep(REST_S)
            rest = (machine.cpu_s(process.pid) - cpu) / REST_S * 100
            memory = machine.resident_kib(process.pid) / 1024
            moves = _moves(feeder, lines, leaf, process.pid)
            mappings = _mappings(leaf, process.pid)
        process.stop()
    return start, cpu, rest, memory, *moves, *mappings


def _add_devices(node: Node, vlans: range) -> None:
    try:
        node.ip("link add name br0 type bridge vlan_filtering 1 vlan_default_pvid 0")
    except CommandFailed:
        raise Missing("this kernel has no VLAN filtering: run it by ./vtep-dev lab --kernel newest") from None
    node.ip(f"addr add {address(LEAF)}/32 dev lo", "link set dev br0 addrgenmode none up")
    add_shared_vxlan(node, address(LEAF))
    first, last = vlans[0], vlans[-1]
    bridge(
        node,
        f"vlan add dev {DEVICE} vid {first}-{last}",
        f"vlan add dev {DEVICE} vid {first}-{last} tunnel_info id {_vni(first)}-{_vni(last)}",
        f"vni add dev {DEVICE} vni {_vni(first)}-{_vni(last)}",
    )


def _config(vlans: range) -> str:
    head = f'[node]\nvtep = "{address(LEAF)}"\n[feed]\npeers = ["{SPEAKER}"]\n'
    return head + "".join(
        f'[[vni]]\nvni = {_vni(vlan)}\nbridge = "br0"\nvxlan = "{DEVICE}"\nvlan = {vlan}\n'
        f'import_rt = ["65000:{_vni(vlan)}"]\nneighbors = false\n'
        for vlan in vlans
    )


def _routes(lines: Lines, vlans: range) -> Iterator[bytes]:
    for vlan in vlans:
        instance = _instance(A, vlan)
        yield lines.announce(SPEAKER, instance.flood())
        yield lines.announce(SPEAKER, instance.mac(_mac(vlan)))


def _moves(feeder: Feeder, lines: Lines, leaf: Node, pid: int) -> tuple[float, float]:
    """Move one MAC between two VTEPs; return the milliseconds to its row, and of CPU, for one move."""
    vlan, walls = VLAN_FIRST + 1, []
    before = machine.cpu_s(pid)
    with Rows(leaf, DEVICE, _vni(vlan)) as rows:
        for number in range(MOVES):
            vtep = (B, A)[number % 2]
            line = lines.announce(SPEAKER, _instance(vtep, vlan).mac(_mac(vlan), seq=number + 1))
            began = time.monotonic()
            feeder.say(line)
            walls.append((rows.await_all([_mac(vlan)], vtep, 60) - began) * 1e3)
    let_rest((pid,))
    return statistics.median(walls), (machine.cpu_s(pid) - before) * 1e3 / MOVES


def _mappings(leaf: Node, pid: int) -> tuple[float, float]:
    """Take the mapping of one VLAN away, and its row; return the milliseconds from the mapping's return to the row, and of CPU."""
    vlan, walls = VLAN_FIRST + 3, []
    mapping = f"dev {DEVICE} vid {vlan} tunnel_info id {_vni(vlan)}"
    before = machine.cpu_s(pid)
    with Rows(leaf, DEVICE, _vni(vlan)) as rows:
        for _ in range(MAPPINGS):
            bridge(leaf, f"vlan del {mapping}")
            let_rest((pid,))
            bridge(leaf, f"fdb del {_mac(vlan)} dev {DEVICE} src_vni {_vni(vlan)} dst {A} self")
            let_rest((pid,))
            assert not rows.look([_mac(vlan)]), "the row is there, although its VLAN has no mapping"
            began = time.monotonic()
            bridge(leaf, f"vlan add {mapping}")
            walls.append((rows.await_all([_mac(vlan)], A, 60) - began) * 1e3)
    let_rest((pid,))
    return statistics.median(walls), (machine.cpu_s(pid) - before) * 1e3 / MAPPINGS


def _rows(leaf: Node) -> int:
    """Count the rows of the VXLAN device that have a VTEP."""
    return leaf.run("bridge", "fdb", "show", "dev", DEVICE).count(" dst ")


def _instance(vtep: str, vlan: int) -> wire.Instance:
    return wire.Instance(vtep, _vni(vlan), targets=(f"65000:{_vni(vlan)}",))


def _vni(vlan: int) -> int:
    return VNI_OF_VLAN + vlan


def _mac(vlan: int) -> str:
    return f"02:00:00:01:{vlan >> 8:02x}:{vlan & 255:02x}"
