"""What makes a leaf not ready, and what is a problem beside it: the kernel's refusal of a row is only a problem."""

import errno
import os

import pytest
from msgspec.structs import replace

from tests.lab.memory import CONFIG, MemoryLeaf
from tests.lab.wire import Instance
from vtep.config.file import parse
from vtep.linux.target import KernelTarget
from vtep.linux.wire.batch import singly
from vtep.linux.wire.neighbor import Refusal, Verb

A, B, ONE, TWO = "10.0.0.1", "10.0.0.2", "02:00:00:00:00:01", "02:00:00:00:00:02"


class Refusing(KernelTarget):
    """A target that refuses to create the rows of one MAC."""

    code = 0

    def send(self, messages):
        alone = list(singly(messages))
        concerned = [self.code and message.verb is Verb.CREATE and str(message.mac) == TWO for message in alone]
        super().send([message for message, refused in zip(alone, concerned, strict=True) if not refused])
        return [Refusal(index, self.code, os.strerror(self.code)) for index, refused in enumerate(concerned) if refused]


@pytest.fixture
def rig():
    with MemoryLeaf(target=Refusing) as rig:
        rig.step()
        rig.come_up(A)
        yield rig


def announce(rig, *macs):
    rig.receive(rig.lines.announce(A, *(Instance(A).mac(mac) for mac in macs)))


@pytest.mark.parametrize(
    ("code", "state"),
    [(errno.EBUSY, "failed"), (errno.ENOSPC, "failed"), (errno.EINVAL, "suppressed"), (errno.EEXIST, "contested")],
)
def test_a_row_that_the_kernel_refuses_is_a_problem_of_a_leaf_that_is_ready(rig, code, state):
    rig.target.code = code
    announce(rig, ONE, TWO)

    status = rig.observer.status()

    assert (status.ready, status.problems) == (True, (f"1 row is {state}",))
    assert not status.dataplane.converged or state == "contested"


def test_a_leaf_whose_vni_has_rows_and_no_fit_device_is_not_ready(rig):
    announce(rig, ONE)
    rig.kernel.set_up("vxlan100", False)
    rig.survey()

    assert not rig.observer.status().ready


def test_a_leaf_that_may_not_write_is_not_ready(rig):
    rig.observer.may_write = False
    rig.target.code = errno.EPERM
    announce(rig, TWO)

    assert not rig.observer.status().ready


def test_a_leaf_that_has_made_no_pass_yet_is_not_ready():
    with MemoryLeaf() as rig:
        rig.leaf.receive(rig.reader.read([rig.lines.opened(A), rig.lines.up(A), rig.lines.end_of_rib(A)]), rig.now)
        rig.judge()

        assert (rig.observer.status().complete, rig.observer.status().ready) == (True, False)


TWO_PEERS = CONFIG.replace('["10.0.0.1"]', '["10.0.0.1", "10.0.0.2"]')


def state(rig):
    status = rig.observer.status()
    return status.state, status.problems


def codes(rig):
    return [(problem.weight, problem.code) for problem in rig.observer.status().all_problems]


def test_a_leaf_whose_only_peer_is_down_is_not_ready(rig):
    announce(rig, ONE)
    assert state(rig) == ("ready", ())

    rig.receive(rig.lines.down(A, "hold timer expired"))

    assert state(rig) == ("not-ready", ("no BGP session is established (1 down): 10.0.0.1: hold timer expired",))


def test_while_its_routes_are_held_a_leaf_whose_only_peer_is_down_is_degraded():
    with MemoryLeaf(CONFIG.replace("[feed]", "[feed]\npeer_down_hold_s = 30")) as rig:
        rig.step()
        rig.come_up(A)
        announce(rig, ONE)
        rig.receive(rig.lines.down(A, "hold timer expired"))
        held = state(rig)
        rig.now += 31
        rig.leaf.tick(rig.now)
        rig.judge()
        rig.step()

        text = "peer 10.0.0.1 is down: hold timer expired; its routes are kept as stale for a while"
        assert held == ("degraded", (text,))
        assert state(rig)[0] == "not-ready"


def test_one_of_two_peers_makes_a_leaf_degraded():
    with MemoryLeaf(TWO_PEERS) as rig:
        rig.step()
        rig.come_up(A, B)
        announce(rig, ONE)
        rig.receive(rig.lines.down(B, "peer reset"))

        assert state(rig) == ("degraded", ("peer 10.0.0.2 is down: peer reset",))
        [_, down] = rig.observer.status().feed.peers
        assert (down.up, down.since) == (False, rig.now)


def test_a_peer_of_the_configuration_that_never_came_is_listed_as_down():
    with MemoryLeaf(TWO_PEERS) as rig:
        rig.step()
        rig.come_up(A)

        assert [(str(peer.address), peer.up, peer.reason) for peer in rig.observer.status().feed.peers] == [
            (A, True, ""),
            (B, False, "it has had no session since the start of the daemon"),
        ]


def test_many_vnis_without_devices_are_one_problem_with_a_count_and_five_names():
    vnis = "".join(f'[[vni]]\nvni = {n}\nbridge = "b{n}"\nvxlan = "x{n}"\n' for n in range(1000, 1200))
    with MemoryLeaf(CONFIG + vnis.replace("vxlan =", 'import_rt = ["65000:1"]\nvxlan =')) as rig:
        for number in range(1000, 1200):
            rig.kernel.set_up(f"x{number}", False)
        rig.survey()
        rig.come_up(A)

        [problem] = [found for found in rig.observer.status().all_problems if found.code == "vni-not-ready"]
        assert problem.text == "200 VNIs are not ready: device-down: VNI 1000, 1001, 1002, 1003, 1004 and 195 more"
        assert problem.count == 200
        assert "vtep vnis" in problem.hint


def test_routes_with_a_wrong_route_target_are_a_problem_that_names_the_peer_and_goes_with_them(rig):
    rig.come_up(B)
    wrong = Instance(B, targets=("65000:999",))
    rig.receive(rig.lines.announce(B, wrong.mac(ONE), wrong.mac(TWO), wrong.flood()))
    told = state(rig)
    rig.receive(rig.lines.withdraw(B, wrong.mac(ONE).nlri, wrong.mac(TWO).nlri, wrong.flood().nlri))

    assert told == ("degraded", ("3 routes are refused (rt-mismatch) from peer 10.0.0.2, in VNI 100",))
    assert state(rig) == ("ready", ())


def test_routes_of_vnis_that_are_not_here_are_counted_together_and_are_no_problem(rig):
    for vni in (500, 501, 502):
        rig.receive(rig.lines.announce(A, Instance(A, vni=vni, targets=("65000:500",)).mac(ONE)))

    [refused] = rig.observer.status().refusals
    assert (refused.peer, refused.vni, refused.reason, refused.routes) == (A, 0, "unknown-vni", 3)
    assert state(rig) == ("ready", ())


def test_refused_routes_are_counted_for_a_vni_that_a_reload_adds(rig):
    rig.receive(rig.lines.announce(A, Instance(A, vni=200, targets=("65000:999",)).mac(ONE)))
    added = CONFIG + CONFIG[CONFIG.index("[[vni]]") :].replace("100", "200")
    config = parse(added)
    rig.leaf.reconfigure(config, rig.now)
    rig.observer.reconfigure(config)
    rig.judge()

    [refused] = rig.observer.status().refusals
    assert (refused.vni, refused.reason, refused.routes) == (200, "rt-mismatch", 1)


def test_a_duplicate_and_a_refused_reload_are_problems_and_the_worst_comes_first(rig):
    rig.come_up(B)
    for seq in range(1, 9):
        rig.receive(rig.lines.announce((A, B)[seq % 2], Instance((A, B)[seq % 2]).mac(ONE, seq=seq)))
    rig.observer.reload_error = "leaf.toml:3: vni: 0 is not a valid VNI"
    assert codes(rig) == [("degraded", "duplicate"), ("degraded", "reload-refused")]

    rig.observer.attached = False
    rig.kernel.set_up("vxlan100", False)
    rig.survey()

    assert codes(rig)[:3] == [
        ("not-ready", "exabgp-away"),
        ("not-ready", "vni-not-ready"),
        ("not-ready", "rows-pending"),
    ]
    assert all(problem.hint for problem in rig.observer.status().all_problems)


def test_a_vni_near_a_limit_is_a_notice_and_one_at_it_is_degraded():
    with MemoryLeaf(f"{CONFIG}[limits]\nvteps_per_vni = 5\n") as rig:
        rig.step()
        rig.come_up(A)
        states = []
        for number in range(1, 8):
            rig.receive(rig.lines.announce(A, Instance(f"10.0.0.{number}").flood()))
            states.append((state(rig)[0], [code for _, code in codes(rig)]))

        assert states[2:4] == [("ready", []), ("ready", ["near-vtep-limit"])]
        assert states[-1] == ("degraded", ["vtep-limit"])


def test_managed_devices_that_are_not_as_wanted_are_one_problem_with_their_names(rig):
    before = codes(rig)
    rig.observer.devices = lambda: {"vxlan100": "permanent-error", "br100": "device-not-ours"}

    (new,) = [problem for problem in rig.observer.status().all_problems if problem.code == "devices"]

    assert (new.weight, new.count, new.hint) == ("degraded", 2, "vtep devices plan")
    assert new.text == "2 managed devices are not as wanted: br100 (device-not-ours), vxlan100 (permanent-error)"
    assert ("degraded", "devices") not in before


def test_a_vni_that_is_not_ready_is_told_with_what_is_wrong_and_the_command_that_mends_it(rig):
    port = rig.kernel.links().by_name["vxlan100"].bridge_port
    rig.kernel.change("vxlan100", bridge_port=replace(port, learning=True))
    rig.survey()

    [problem] = [found for found in rig.observer.status().all_problems if found.code == "vni-not-ready"]
    assert problem.text == (
        "VNI 100 is not ready: learning-on-port (learning of the bridge port vxlan100 is on, and must be off; "
        "run: bridge link set dev vxlan100 learning off)"
    )


def test_the_vni_of_a_vrf_that_is_not_ready_is_told_with_the_command_that_shows_it():
    vrf = '[[vrf]]\nname = "red"\nvni = 4001\nvxlan = "vxlan4001"\nsvi = "br4001"\nimport_rt = ["65000:4001"]\n'
    with MemoryLeaf(CONFIG + vrf) as rig:
        rig.target.reconfigure(rig.config.vnis, rig.config.vrfs)
        rig.survey()

        [problem] = [found for found in rig.observer.status().all_problems if found.code == "vni-not-ready"]
    assert problem.text.startswith("VNI 4001 is not ready: vrf-missing")
    assert problem.hint == 'vtep vrfs, and docs/reasons.md: "Why a VRF is not ready"'
