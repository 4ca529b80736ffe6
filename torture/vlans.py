"""What becomes of the devices of a VLAN-aware bridge while routes change and one VLAN carries traffic, on a real kernel.

The bridge has two VLANs with a VNI each, once with a VXLAN device for each and once with one for both. A fault hits the VNI of VLAN
10, or the whole bridge, and is undone by commands as an operator would type them; MACs of both VNIs come and go meanwhile.

    station 12  VLAN 20 ── leaf (ExaBGP, relay, daemon) ══ remote 10.0.0.2 ── station 22  VLAN 20
                               └── BGP ── speaker in the remote's node: routes of both VNIs

A fault is recovered when the kernel holds exactly the rows that BGP says, in the bridge and in the tunnel. Unless a fault stops VLAN
20 as well, no packet of it may be lost and no row of an operator may change. A kernel without VLAN filtering has nothing to torture.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final

from msgspec import Struct

from tests.lab import overlay
from tests.lab.namespaces import CommandFailed, Lab, Missing
from tests.lab.speaker import Speaker
from tests.lab.topology import address, join, switch
from tests.lab.vlans import (
    VLANS,
    OurVlanLeaf,
    VlanStation,
    Way,
    add_devices,
    add_shared_vxlan,
    add_vxlan,
    bridge,
    map_vni,
    vxlan_of,
)
from tests.lab.wait import wait_until
from tests.lab.wire import Instance
from torture.tally import Tally
from torture.traffic import Traffic

WAYS: Final[tuple[Way, ...]] = ("alone", "shared")
MACS: Final = 200
"""So many MACs of each VNI come and go."""
AT_ONCE: Final = 60
RECOVERED_S_MAX: Final = 30.0
PAUSE_S_MAX: Final = 0.3
OPERATORS: Final = tuple(f"02:30:00:00:00:{number:02x}" for number in range(10))

Row = tuple[str, str, int, str]
"""Device, MAC, VLAN or VNI (0: neither), and the VTEP; none in the bridge's half."""


class Fault(Struct, frozen=True):
    name: str
    strike: Callable[["_Leaf"], None]
    undo: Callable[["_Leaf"], None]
    stops: tuple[Way, ...] = ()
    """How the leaf must be attached for the fault to stop VLAN 20 too."""
    ways: tuple[Way, ...] = WAYS


def torture(times: int, seed: int) -> Iterator[Tally]:
    """Inject each fault so often for each way to attach the VNIs, in random order."""
    chance = random.Random(seed)
    for way in WAYS:
        with Lab() as lab:
            try:
                leaf = _Leaf(lab, way, chance)
            except Missing as missing:
                print(f"      vlans: not run: {missing}", file=sys.stderr, flush=True)
                return
            with leaf:
                yield from leaf.torture(times)


class _Leaf:
    """The network as drawn, with everything running, and what BGP said last."""

    def __init__(self, lab: Lab, way: Way, chance: random.Random) -> None:
        self.way, self.chance = way, chance
        self.device = vxlan_of(way, 10)
        """The VXLAN device of VLAN 10."""
        underlay = switch(lab)
        self.node, remote = (join(lab, underlay, name, number) for number, name in ((1, "leaf"), (2, "remote")))
        add_devices(self.node, address(1), way)
        add_devices(remote, address(2), "alone")
        self._station, self._remote_station = (
            VlanStation(lab, number, node, 20) for number, node in ((12, self.node), (22, remote))
        )
        for here, there in ((self._station, self._remote_station), (self._remote_station, self._station)):
            here.node.ip(f"neigh replace {there.ip} lladdr {there.mac} dev eth0 nud permanent")
        overlay.put_flood_row(remote, "vx20", address(1))
        self._put_operators_rows()
        self._speaker = Speaker(remote, address(2))
        self._ours = OurVlanLeaf(self.node, 1, address(2), way)
        self._instances = {
            (vlan, vtep): Instance(address(vtep), vni, targets=(f"65000:{vni}",))
            for vlan, vni in VLANS.items()
            for vtep in (2, 3)
        }
        self._where: dict[tuple[int, str], int] = {
            (vlan, f"02:20:00:00:{vlan:02x}:{number:02x}"): 0 for vlan in VLANS for number in range(MACS)
        }
        """The VTEP that has each MAC of each VLAN; 0 for none."""
        self._sequence = 0

    def __enter__(self) -> None:
        stays = self._instances[20, 2]
        self._speaker.announce(stays.flood(), self._instances[10, 2].flood(), stays.mac(self._remote_station.mac))
        self._ours.start()
        self._settle()

    def __exit__(self, *_: object) -> None:
        self._speaker.close()

    # What the kernel holds, and what it must hold

    def _rows(self) -> set[Row]:
        return {
            (device, row["mac"], row.get("vlan") or row.get("src_vni") or 0, row.get("dst", ""))
            for device in {vxlan_of(self.way, vlan) for vlan in VLANS}
            for row in overlay.fdb(self.node, device)
            if "extern_learn" in row.get("flags", ())
        }

    def _wanted(self) -> set[Row]:
        rows: set[Row] = set()
        macs = {(vlan, mac, address(vtep)) for (vlan, mac), vtep in self._where.items() if vtep}
        for vlan, mac, vtep in {*macs, (20, self._remote_station.mac, address(2))}:
            rows |= {(vxlan_of(self.way, vlan), mac, vlan, ""), self._tunnel(vlan, mac, vtep)}
        return rows | {self._tunnel(vlan, overlay.FLOOD_MAC, address(2)) for vlan in VLANS}

    def _tunnel(self, vlan: int, mac: str, vtep: str) -> Row:
        return (vxlan_of(self.way, vlan), mac, VLANS[vlan] if self.way == "shared" else 0, vtep)

    def _settle(self) -> float:
        """Return the seconds until the kernel held exactly what BGP says."""
        began = time.monotonic()

        def is_right() -> bool:
            wrong = self._rows() ^ self._wanted()
            assert not wrong, f"{len(wrong)} rows are wrong, such as {sorted(wrong)[:4]}"
            return True

        wait_until(is_right, RECOVERED_S_MAX, "the rows that BGP says")
        return time.monotonic() - began

    def _put_operators_rows(self) -> None:
        for mac in OPERATORS:
            words = ["dev", vxlan_of(self.way, 20), "dst", "10.0.0.77", "self", "static"]
            words += ["src_vni", str(VLANS[20])] if self.way == "shared" else []
            self.node.run("bridge", "fdb", "replace", mac, *words)

    def _operators_rows(self) -> str:
        rows = [row for row in overlay.fdb(self.node, vxlan_of(self.way, 20)) if row["mac"] in OPERATORS]
        return json.dumps(rows, sort_keys=True)

    # Faults

    def churn(self) -> None:
        """Have some MACs of both VNIs come, move or go, without waiting for it."""
        self._sequence += 1
        for key in self.chance.sample(sorted(self._where), AT_ONCE):
            (vlan, mac), before, now = key, self._where[key], self.chance.choice((0, 2, 3))
            self._where[key] = now
            if now:
                self._speaker.announce(self._instances[vlan, now].mac(mac, seq=self._sequence))
            if before and before != now:
                self._speaker.withdraw(self._instances[vlan, before].mac(mac))

    def torture(self, times: int) -> Iterator[Tally]:
        faults = [fault for fault in FAULTS if self.way in fault.ways for _ in range(times)]
        self.chance.shuffle(faults)
        found: dict[str, list[tuple[float | None, int, int]]] = {fault.name: [] for fault in faults}
        for fault in faults:
            found[fault.name].append(self._befall(fault))
            if found[fault.name][-1][0] is None:
                break  # a leaf that did not recover proves nothing more
        for fault in FAULTS:
            if fault.name in found:
                yield self._told(fault, times, found[fault.name])

    def _told(self, fault: Fault, times: int, found: list[tuple[float | None, int, int]]) -> Tally:
        took = [took_s for took_s, _, _ in found if took_s is not None]
        stopped = self.way in fault.stops
        what = "one device for both VNIs" if self.way == "shared" else "a device for each VNI"
        return Tally(
            "vlans",
            f"{fault.name} ({what})",
            times,
            len(took),
            None if stopped else sum(changed for _, changed, _ in found),
            None if stopped else sum(lost for _, _, lost in found),
            max(took, default=None),
            "the fault stops VLAN 20 as well" if stopped else "",
        )

    def _befall(self, fault: Fault) -> tuple[float | None, int, int]:
        """Return the seconds until all was right, how many operator's rows changed, and the packets of VLAN 20 that were lost."""
        before = self._operators_rows()
        took_s: float | None = None
        with Traffic(self._station.node, self._remote_station.ip) as traffic:
            try:
                self.churn()
                fault.strike(self)
                self.churn()
                time.sleep(self.chance.uniform(0, PAUSE_S_MAX))
                fault.undo(self)
                self.churn()
                took_s = self._settle()
            except (AssertionError, CommandFailed) as never:
                print(f"      not recovered: {fault.name}, {self.way}: {never}", file=sys.stderr, flush=True)
        changed = int(self._operators_rows() != before)
        if self.way in fault.stops:
            self._put_operators_rows()
        return took_s, changed, traffic.lost

    def send_away(self) -> None:
        """Have the VXLAN device go to another namespace, which then goes away with it."""
        with ExitStack() as stack:
            elsewhere = stack.enter_context(Lab()).node("elsewhere")
            self.node.ip(f"link set dev {self.device} netns {elsewhere.pid}")

    def make_device(self) -> None:
        """Make the VXLAN device of VLAN 10 again; the kernel takes a namespace down after it is gone, and its devices with it."""

        def made() -> bool:
            self.node.attempt("ip", "link", "del", "dev", self.device)
            if self.way == "shared":
                add_shared_vxlan(self.node, address(1))
            else:
                add_vxlan(self.node, self.device, f"id {VLANS[10]} local {address(1)}")
            return True

        wait_until(made, 20, "a device of this VNI")
        self.add_vlan()
        if self.way == "shared":
            map_vni(self.node, 20, VLANS[20])

    def add_vlan(self) -> None:
        if self.way == "shared":
            map_vni(self.node, 10, VLANS[10])
        else:
            bridge(self.node, f"vlan add dev {self.device} vid 10 pvid untagged")

    def make_bridge(self) -> None:
        """Make everything again: the station's port stayed, without its bridge."""
        for device in sorted({vxlan_of(self.way, vlan) for vlan in VLANS}):
            self.node.ip(f"link del dev {device}")
        add_devices(self.node, address(1), self.way)
        port = self._station.port
        self.node.ip(f"link set dev {port} master br0 up")
        bridge(self.node, f"vlan del dev {port} vid 1", f"vlan add dev {port} vid 20 pvid untagged")


def _ip(*commands: str) -> Callable[[_Leaf], None]:
    return lambda leaf: leaf.node.ip(*(command.format(device=leaf.device) for command in commands))


def _bridge(*commands: str) -> Callable[[_Leaf], None]:
    return lambda leaf: bridge(leaf.node, *(command.format(device=leaf.device) for command in commands))


FAULTS: Final = (
    Fault(
        "the VXLAN device of VLAN 10 is renamed, and back",
        _ip("link set dev {device} name other0"),
        _ip("link set dev other0 name {device}"),
    ),
    Fault("the bridge is renamed, and back", _ip("link set dev br0 name other0"), _ip("link set dev other0 name br0")),
    Fault(
        "the VXLAN device of VLAN 10 leaves with a namespace, and is made again",
        _Leaf.send_away,
        _Leaf.make_device,
        stops=("shared",),
    ),
    Fault(
        "VLAN 10 is removed from the VXLAN device, and added again",
        _bridge("vlan del dev {device} vid 10"),
        _Leaf.add_vlan,
    ),
    Fault(
        "the VNI of VLAN 10 leaves the filter of the VXLAN device, and comes back",
        _bridge(f"vni delete dev {{device}} vni {VLANS[10]}"),
        _bridge(f"vni add dev {{device}} vni {VLANS[10]}"),
        ways=("shared",),
    ),
    Fault(
        "the tunnel mapping of VLAN 10 is removed, and added again",
        _bridge(f"vlan del dev {{device}} vid 10 tunnel_info id {VLANS[10]}"),
        _bridge(f"vlan add dev {{device}} vid 10 tunnel_info id {VLANS[10]}"),
        ways=("shared",),
    ),
    Fault(
        "the bridge is deleted, and everything is made again",
        _ip("link del dev br0"),
        _Leaf.make_bridge,
        stops=WAYS,
    ),
)
