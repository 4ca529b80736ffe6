"""A daemon whose `state_dir` is full, read-only, taken or tampered with: a real one, on a real tmpfs of 64 KiB."""

import contextlib

import pytest

from tests.lab import overlay
from tests.lab.fixtures import lab, network
from tests.lab.speaker import Speaker
from tests.lab.topology import VXLAN, address
from tests.lab.vtep import VTEP, Vtep, exabgp_with_relay, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance

__all__ = ["lab", "network"]

pytestmark = [pytest.mark.root_netns, pytest.mark.timeout(200)]

STATE = "/run/state"
AT = {number: Instance(address(number)) for number in (1, 2)}
MOVING, GOING, STAYING, LATE = (f"02:00:00:00:01:{number:02x}" for number in range(4))
FILLERS = [f"02:00:00:00:02:{number:02x}" for number in range(64)]


@pytest.fixture
def leaf(network):
    """A leaf whose state_dir is a disk of its own, and three MACs behind remote 1."""
    network.leaf.run("mkdir", "-p", STATE)
    network.leaf.run("mount", "-t", "tmpfs", "-o", "size=64k,mode=0755", "state", STATE)
    vtep = Vtep(network.leaf, leaf_config(peers=[address(1)], node=f'state_dir = "{STATE}"'))
    vtep.start()
    with Speaker(network.remote, address(1)) as speaker:
        vtep.speaker = speaker
        speaker.announce(*(AT[1].mac(mac) for mac in (MOVING, GOING, STAYING)))
        exabgp_with_relay(network.leaf, [address(1)]).start()
        wait_rows(vtep, {(mac, address(1)) for mac in (MOVING, GOING, STAYING)})
        yield vtep
    vtep.process.kill()


def rows(leaf):
    return {row for row in overlay.tunnels(leaf.node, VXLAN) if row[0] not in FILLERS}


def wait_rows(leaf, wanted):
    wait_until(lambda: rows(leaf) == wanted, 30, f"the rows {wanted}")


def problems(leaf):
    return " ".join(leaf.told("status")["problems"])


def fill(leaf):
    """Leave no free page on the disk, and no room for a record in the page of the ledger."""
    leaf.speaker.announce(*(AT[1].mac(mac) for mac in FILLERS))
    wait_until(lambda: len(overlay.tunnels(leaf.node, VXLAN)) == 3 + len(FILLERS), 30, "the rows that will move")
    with contextlib.suppress(OSError), leaf.node.path(f"{STATE}/fill").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    # Each move is a record of its own, and those of one write are written whole or not at all.
    for turn, count in enumerate((64, 64, *[16] * 4, *[4] * 4, *[1] * 4)):
        there, before = AT[2 - turn % 2], AT[1 + turn % 2]
        moves = FILLERS[:count]
        leaf.speaker.announce(*(there.mac(mac, seq=100 * turn + n) for n, mac in enumerate(moves, 1)))
        leaf.speaker.withdraw(*(before.mac(mac) for mac in moves))
        wanted = {(mac, there.vtep) for mac in moves}
        wait_until(lambda wanted=wanted: wanted <= overlay.tunnels(leaf.node, VXLAN), 30, f"{count} moves")


def test_on_a_full_disk_moves_and_removals_reach_the_kernel_and_new_rows_wait_for_it(leaf):
    fill(leaf)
    leaf.speaker.announce(AT[2].mac(MOVING, seq=1), AT[1].mac(LATE))
    leaf.speaker.withdraw(AT[1].mac(MOVING), AT[1].mac(GOING))
    wait_rows(leaf, {(MOVING, address(2)), (STAYING, address(1))})

    sync = {mac["mac"]: mac["sync"] for mac in leaf.told("macs")["macs"]}[LATE]
    assert (sync["state"], sync["reason"]) == ("FAILED", "state-dir")
    assert f"{STATE}/ledger" in sync["error"]
    assert f"{STATE}/ledger cannot be" in problems(leaf)
    assert "No space left on device" in problems(leaf)
    assert "kernel" not in problems(leaf)
    assert "state file not written" in leaf.process.log()

    leaf.node.path(f"{STATE}/fill").unlink()
    wait_rows(leaf, {(MOVING, address(2)), (STAYING, address(1)), (LATE, address(1))})
    moved = "16 MACs are duplicates: VNI 100"  # fill moved them so often
    wait_until(lambda: problems(leaf) in ("", moved), 20, "a status that says no more of the disk")
    assert "state file written again" in leaf.process.log()


def test_a_start_on_a_full_disk_goes_on_with_the_file_as_it_is_and_owns_what_moved_meanwhile(leaf):
    fill(leaf)
    leaf.speaker.announce(AT[2].mac(MOVING, seq=1))
    wait_rows(leaf, {(MOVING, address(2)), (STAYING, address(1)), (GOING, address(1))})
    leaf.process.kill()

    leaf.speaker.withdraw(AT[2].mac(MOVING), AT[1].mac(MOVING))
    leaf.speaker.announce(AT[2].mac(STAYING, seq=500))
    leaf.start()

    wait_rows(leaf, {(STAYING, address(2)), (GOING, address(1))})
    assert "cannot be" in problems(leaf)
    assert leaf.process.alive


def test_a_start_on_a_read_only_disk_follows_moves_and_removals_and_names_the_disk(leaf):
    leaf.process.kill()
    leaf.node.run("mount", "-o", "remount,bind,ro", STATE)
    leaf.start()
    wait_until(lambda: leaf.process.log().count("routes complete") == 2, 30, "the whole picture")
    leaf.speaker.announce(AT[2].mac(MOVING, seq=1), AT[1].mac(LATE))
    leaf.speaker.withdraw(AT[1].mac(MOVING), AT[1].mac(GOING))
    wait_rows(leaf, {(MOVING, address(2)), (STAYING, address(1))})

    assert f"{STATE}/ledger cannot be" in problems(leaf)
    assert "Read-only file system" in problems(leaf)

    leaf.node.run("mount", "-o", "remount,bind,rw", STATE)
    wait_rows(leaf, {(MOVING, address(2)), (STAYING, address(1)), (LATE, address(1))})
    wait_until(lambda: problems(leaf) == "", 20, "a status without problems")


def test_a_second_daemon_with_the_same_state_dir_is_refused_and_told_the_pid_of_the_first(leaf):
    second = leaf_config(peers=[address(1)], node=f'state_dir = "{STATE}"', more='socket = "/run/second/feed.sock"')
    leaf.node.write("/run/second.toml", second + '[api]\nlisten = ["unix:/run/second/vtep.sock"]\nadmin = []\n')

    refused = leaf.node.attempt(str(VTEP), "run", "--config", "/run/second.toml")

    assert refused.returncode == 1, "a supervisor may try again when the first one has ended"
    assert f"{STATE}: the daemon with pid {leaf.process.pid} uses this directory" in refused.stderr
    assert overlay.tunnels(leaf.node, VXLAN) == {(mac, address(1)) for mac in (MOVING, GOING, STAYING)}
    leaf.process.kill()
    leaf.start()
    wait_until(
        lambda: leaf.process.log().count("routes complete") == 2, 30, "a start after a crash, which left no lock"
    )


def test_a_ledger_that_a_local_user_planted_is_set_aside_and_a_link_in_its_place_is_not_followed(leaf):
    leaf.process.kill()
    ledger = leaf.node.path(f"{STATE}/ledger")
    victim = leaf.node.path("/run/victim")
    victim.write_text("precious")
    leaf.node.path(f"{STATE}/ledger.new").symlink_to("/run/victim")
    ledger.rename(ledger.with_name("true"))
    ledger.symlink_to(f"{STATE}/true")
    leaf.node.path(STATE).chmod(0o777)
    leaf.start()
    wait_until(lambda: leaf.process.log().count("routes complete") == 2, 30, "the whole picture")

    assert victim.read_text() == "precious"
    assert "not trusted: it is a symbolic link" in leaf.process.log()
    assert f"chmod go-w {STATE}" in leaf.process.log()
    assert not ledger.is_symlink()
    wait_rows(leaf, {(mac, address(1)) for mac in (MOVING, GOING, STAYING)})
