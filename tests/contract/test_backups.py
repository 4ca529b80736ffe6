"""MACs behind a port of ours on a segment, on the kernel in memory and on the real one: the VXLAN row below, and the port's backup."""

import subprocess

import pytest
from msgspec.structs import replace

from tests.contract.grouped import CONFIG, E1, A, B, C, M, grouped_leaf, macs, per_evi, per_segment, type2
from tests.contract.worlds import ip
from tests.lab.wait import wait_until
from vtep.addr import NO_SEGMENT, Vni
from vtep.evpn.station import Station
from vtep.linux.tables.all import KINDS
from vtep.linux.target import KernelTarget
from vtep.linux.wire.neighbor import NTF_EXT_LEARNED, NTF_MASTER, NTF_SELF, NUD_NOARP, NUD_REACHABLE, Neighbor, Verb
from vtep.projection.policy import DOWN, FORWARDING, SegmentState
from vtep.reconcile.claims import Claims
from vtep.reconcile.engine import Engine

SEGMENT = f'[[segment]]\nesi = "{E1}"\nport = "es0"\nmac_hold_s = 0\n'
PORTS = ((Vni(100), "es0"),)
FORWARDS = 3
"""The state of a bridge port (BR_STATE_FORWARDING)."""


class BackedUp:
    """A leaf whose port es0 is on a segment. What filters frames is left to other tests, as the kernels in the bed have none."""

    def __init__(self, leaf, world: str) -> None:
        self.world = world
        if world == "memory":
            leaf.kernel.add_port("es0", "br100")
            leaf.kernel.add_port("h0", "br100")
        else:
            ip("link add es0 type veth peer name ce0", "link set es0 master br100 up", "link set ce0 up")
            ip("link add h0 type veth peer name ce1", "link set h0 master br100 up")
            # The bridge hears of the carrier a moment later, and takes no row on a port that is disabled.
            wait_until(
                lambda: leaf.kernel.links().by_name["es0"].bridge_port.state == FORWARDS, 5, "a port that forwards"
            )
        self.begin(leaf)

    def begin(self, leaf) -> None:
        """Let a daemon, or its next life, take care of the port."""
        self.leaf = leaf
        leaf.target = KernelTarget(leaf.kernel, leaf.config.vnis, segments=leaf.config.segments)
        kinds = tuple(kind for kind in KINDS if kind.name not in ("port-filter", "segment-mac"))
        leaf.engine = Engine(kinds, leaf.target, leaf.ledger)
        leaf.leaf.set_advertising(frozenset({Vni(100)}))
        self.be(FORWARDING)

    def be(self, state: str) -> None:
        self.leaf.leaf.set_segments({E1: SegmentState(state, "es0", PORTS)})

    def station(self) -> None:
        """The machine speaks at the port."""
        if self.world == "memory":
            self.leaf.kernel.station_sends(M, "es0")
        else:
            self._bridge(f"fdb replace {M} dev es0 master dynamic")
        self.leaf.leaf.learn_stations([Station(Vni(100), M, "es0")])

    def station_leaves(self) -> None:
        if self.world == "memory":
            self.leaf.kernel.station_expires(M, "br100")
        else:
            self._bridge(f"fdb del {M} dev es0 master")
        self.leaf.leaf.learn_stations((), [(Vni(100), M)])

    def program_learns(self) -> None:
        """Another program has the MAC at the port, as a switch chip that learns has it."""
        self._write("es0", NTF_EXT_LEARNED, NUD_REACHABLE, "extern_learn")

    def operator_writes(self) -> None:
        """An operator has the bridge send the MAC into the tunnel."""
        self._write("vx100", 0, NUD_NOARP, "static")

    def _write(self, name: str, flags: int, state: int, word: str) -> None:
        if self.world == "memory":
            port = self.leaf.kernel.links().by_name[name].index
            assert not self.leaf.kernel.send([Neighbor(Verb.REPLACE, port, M, flags | NTF_MASTER, state)])
        else:
            self._bridge(f"fdb replace {M} dev {name} master {word}")

    def _bridge(self, command: str) -> None:
        subprocess.run(["bridge", *command.split()], check=True)

    def halves(self) -> tuple[str, list[str]]:
        """Return the port that the bridge has for the MAC, and the VTEPs that the VXLAN device has."""
        links = self.leaf.kernel.links()
        rows = [row for row in self.leaf.kernel.rows([links.by_name["br100"].index]) if row.mac == M]
        ports = [links.by_index[row.port].name for row in rows if not row.flags & NTF_SELF]
        found = {one.id: one for one in self.leaf.kernel.nexthops()}
        vteps = [
            [str(row.dst)] if row.nh_id is None else sorted(str(found[one].vtep) for one in found[row.nh_id].members)
            for row in rows
            if row.flags & NTF_SELF
        ]
        return "".join(ports), [vtep for one in vteps for vtep in one]

    def backup(self) -> str:
        links = self.leaf.kernel.links()
        port = links.by_name["es0"].bridge_port
        return links.by_index[port.backup].name if port is not None and port.backup else ""

    def set_backup(self, name: str) -> None:
        """Another program gives the port a backup, or none."""
        if self.world == "memory":
            link = self.leaf.kernel.links().by_name["es0"]
            index = self.leaf.kernel.links().by_name[name].index if name else None
            self.leaf.kernel.change("es0", bridge_port=replace(link.bridge_port, backup=index))
        else:
            self._bridge(f"link set dev es0 {f'backup_port {name}' if name else 'nobackup_port'}")


@pytest.fixture(params=["memory", "namespace"])
def rig(request):
    with grouped_leaf(request.param, CONFIG + SEGMENT) as leaf:
        yield BackedUp(leaf, request.param)


def up(*vteps):
    return [route for vtep in vteps for route in (per_segment(vtep), per_evi(vtep))]


def ready(rig, *vteps):
    rig.leaf.advertise(*up(*vteps))
    rig.leaf.end()
    rig.station()
    rig.leaf.pass_(survey=True)


def test_a_mac_of_ours_has_a_row_below_its_station_and_its_port_a_backup(rig):
    ready(rig, A, B)
    assert (rig.halves(), rig.backup()) == (("es0", [A, B]), "vx100")

    rig.leaf.withdraw(per_segment(A))
    rig.leaf.pass_()
    assert (rig.halves(), rig.backup()) == (("es0", [B]), "vx100")

    rig.leaf.withdraw(per_segment(B))
    rig.leaf.pass_()
    assert (rig.halves(), rig.backup(), rig.leaf.groups()) == (("es0", []), "", [])
    assert rig.leaf.troubles() == []


def test_nothing_is_written_again_by_surveys(rig):
    ready(rig, A)
    for _ in range(2):
        report = rig.leaf.pass_(survey=True)
    assert (report.created, report.replaced, report.deleted, rig.leaf.troubles()) == (0, 0, 0, [])


def test_the_port_fails_and_comes_back(rig):
    rig.leaf.advertise(type2(A))
    ready(rig, A)
    rig.be(DOWN)
    rig.station_leaves()
    rig.leaf.pass_()
    assert rig.halves() == ("vx100", [A])

    rig.be(FORWARDING)
    rig.leaf.pass_()
    assert rig.halves() == ("es0", [A])  # before the machine has sent a frame
    rig.station()
    rig.leaf.pass_()
    assert (rig.halves(), rig.backup(), rig.leaf.troubles()) == (("es0", [A]), "vx100", [])


def test_the_mac_moves_off_the_segment_and_back(rig):
    ready(rig, A)
    rig.leaf.advertise(type2(C, NO_SEGMENT, seq=7))
    rig.leaf.pass_()
    assert (rig.halves(), rig.leaf.troubles()) == (("vx100", [C]), [])

    rig.leaf.withdraw(type2(C, NO_SEGMENT, seq=7))
    rig.station()
    rig.leaf.pass_()
    assert (rig.halves(), rig.leaf.troubles()) == (("es0", [A]), [])


def test_a_backup_that_another_program_removes_is_set_again(rig):
    ready(rig, A)
    rig.leaf.pass_()
    rig.set_backup("")
    report = rig.leaf.pass_()
    assert (rig.backup(), report.repaired) == ("vx100", 1)


def test_a_backup_that_another_program_has_chosen_stays(rig):
    rig.set_backup("h0")
    ready(rig, A)
    assert rig.backup() == "h0"
    assert rig.leaf.troubles() == [("port-backup", "contested foreign")]

    rig.leaf.withdraw(per_segment(A))
    rig.leaf.pass_()
    assert rig.backup() == "h0"


def test_the_next_daemon_removes_what_this_one_left(rig):
    ready(rig, A)
    before = rig.leaf
    rig.leaf = before.restarted()
    rig.leaf.end()
    rig.leaf.target = KernelTarget(rig.leaf.kernel, rig.leaf.config.vnis)
    kinds = tuple(kind for kind in KINDS if kind.name not in ("port-filter", "segment-mac"))
    rig.leaf.engine = Engine(kinds, rig.leaf.target, rig.leaf.ledger)
    rig.leaf.pass_(survey=True)
    assert (rig.halves(), rig.backup()) == (("es0", []), "")


def test_the_row_below_an_entry_of_another_program_leaves_as_well(rig):
    ready(rig, A)
    rig.leaf.advertise(type2(A, mac=macs(1)[0]))  # so that the group stays
    rig.leaf.pass_()
    rig.program_learns()
    rig.leaf.leaf.learn_stations((), [(Vni(100), M)])
    rig.leaf.pass_(survey=True)
    assert (rig.halves(), rig.backup(), rig.leaf.troubles()) == (("es0", []), "vx100", [])


def test_a_bridge_row_of_an_operator_stays_above_the_row_of_a_backup(rig):
    ready(rig, A)
    rig.operator_writes()
    for _ in range(2):
        report = rig.leaf.pass_(survey=True)
    assert (rig.halves(), rig.leaf.troubles()) == (("vx100", [A]), [])
    assert (report.replaced, report.repaired) == (0, 0)


def test_a_bridge_row_of_an_operator_stays_when_the_mac_comes_to_our_port(rig):
    ready(rig, A)
    rig.leaf.advertise(type2(C, NO_SEGMENT, seq=7))
    rig.leaf.pass_()
    rig.operator_writes()
    rig.leaf.withdraw(type2(C, NO_SEGMENT, seq=7))
    rig.leaf.pass_(survey=True)
    assert rig.halves()[0] == "vx100"


def test_an_observer_says_nothing_of_a_backup_that_an_operator_has_set(rig):
    rig.set_backup("vx100")
    rig.leaf.engine = Engine(rig.leaf.engine.kinds, rig.leaf.target, Claims(KINDS), observes=True)
    rig.leaf.end()
    rig.leaf.pass_(survey=True)
    assert (rig.leaf.engine.surveyed, rig.leaf.troubles()) == (True, [])
