"""The demo as a person runs it: what it says, how it ends, and what it leaves behind."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.fixtures import skipped_if_missing
from tests.lab.namespaces import Lab
from tests.lab.wait import wait_until

pytestmark = pytest.mark.root_netns

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
DEMO = [sys.executable, "-m", "tests.lab.demo"]


@pytest.fixture(autouse=True)
def namespaces_can_be_made() -> None:
    with skipped_if_missing(), Lab() as lab:
        lab.node("trial")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A demo that stays up, in a pid namespace as `./vtep-dev demo` makes it: its pid out here, and what it says."""
    told = tmp_path / "told"
    fresh = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with (
        told.open("w") as out,
        subprocess.Popen([*fresh, *DEMO, "--keep"], cwd=ROOT, env=ENVIRONMENT, stdout=out) as outer,
    ):
        wait_until(lambda: "tail -f" in told.read_text(), 30, "the demo staying up")
        (pid,) = children(outer.pid)
        yield pid, told
        outer.kill()


def demo(*arguments: str, out: object = subprocess.PIPE) -> "subprocess.Popen[str]":
    return subprocess.Popen([*DEMO, *arguments], cwd=ROOT, env=ENVIRONMENT, stdout=out, stderr=out, text=True)  # type: ignore[call-overload]


def network_namespaces() -> set[str]:
    """Every network namespace that some process is in."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            found.add(os.readlink(link))
        except OSError:
            continue
    return found


def namespace_of(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_story_holds_and_says_so_in_its_last_line():
    process = demo("--macs", "300")

    told, _ = process.communicate(timeout=60)

    assert process.returncode == 0, told
    last = told.splitlines()[-1]
    assert re.fullmatch(
        r"result: ok, ping across VXLAN worked; first MAC \d+\.\d+ s after ExaBGP's start, "
        r"move in \d+\.\d ms, withdraw in \d+\.\d ms",
        last,
    )
    assert "remote1 announces 300 more: all in the kernel after" in told
    assert len(told.splitlines()) <= 26


def doctored(folder: Path, *changes: str, arguments: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    """Run the demo after these statements about its modules."""
    script = folder / "doctored.py"
    head = ["import sys", "from tests.lab import demo, fdb_timing, demo_steps, vtep"]
    script.write_text("\n".join([*head, *changes, f"sys.exit(demo.main({list(arguments)!r}))"]))
    command = [sys.executable, str(script)]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=90, check=False)


def test_a_story_that_does_not_hold_shows_the_logs_and_fails(tmp_path):
    """The product is told another Route Target than the speaker's, so that no row ever comes."""
    other_target = "vtep.VNI_SECTION.replace('65000:', '65001:')"

    done = doctored(
        tmp_path,
        f"demo_steps.leaf_config = lambda **more: vtep.leaf_config(**more, vnis={other_target})",
        "demo_steps.ROW_S = 3.0",
    )

    assert done.returncode == 1
    assert "this should be so: the row of 02:00:00:00:00:01 came, with dst 10.0.0.1" in done.stdout
    assert "the last lines of leaf/vtep.log" in done.stdout
    assert '"exabgp connected"' in done.stdout
    assert done.stdout.splitlines()[-1] == "result: FAILED, see above"


def test_rows_that_the_kernel_told_too_fast_are_counted_in_the_table(tmp_path):
    """The listener's socket holds only a few changes, so that most are never told. Of one change 6.12 tells three times."""
    done = doctored(
        tmp_path,
        "fdb_timing.BUFFER = 6912",
        "demo_steps.CHUNK = 3000",
        arguments=("--macs", "3000"),
    )

    assert done.returncode == 0, done.stdout
    assert "remote1 announces 3000 more: all in the kernel" in done.stdout
    assert "counted once a second" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_kept_lab_ends_with_a_signal_and_leaves_nothing(kept, number):
    pid, told = kept
    own = {namespace_of(child) for child in children(pid)}

    os.kill(pid, number)

    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 20, "the end of the demo")
    assert len(own) == 7
    assert not own & network_namespaces()
    assert told.read_text().splitlines()[-1] == "taking the lab down"


def test_a_kept_lab_shows_its_rows_through_the_command_it_prints(kept):
    pid, told = kept
    command = re.search(r"nsenter .* bridge fdb show dev vxlan100", told.read_text())[0]
    if os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user"):
        # Made for somebody outside, and nobody may enter the user namespace that he is in.
        command = command.replace("-U --preserve-credentials ", "")

    rows = subprocess.run(command.split(), capture_output=True, text=True, timeout=20, check=True).stdout

    assert "02:00:00:00:00:01 dst 10.0.0.2 self extern_learn permanent" in rows


def test_a_demo_that_is_interrupted_on_the_way_leaves_nothing(tmp_path):
    before = network_namespaces()
    told = tmp_path / "told"
    with told.open("w") as out:
        process = demo(out=out)
    wait_until(lambda: "lab up" in told.read_text(), 20, "the lab")
    wait_until(lambda: network_namespaces() - before, 20, "its namespaces")
    own = {namespace_of(child) for child in children(process.pid)} - {namespace_of(process.pid)}

    process.send_signal(signal.SIGINT)

    assert process.wait(20) == 128 + signal.SIGINT
    assert own
    assert not own & network_namespaces()


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    complaints = tmp_path / "complaints"
    with complaints.open("w") as errors:
        process = subprocess.Popen(DEMO, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=errors)
    process.stdout.readline()
    process.stdout.close()

    assert process.wait(60) == 1
    assert complaints.read_text() == ""
