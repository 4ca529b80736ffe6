"""The demo's program: makes the lab, has the story told, says how it ended, and takes everything down again.

    python -m tests.lab.demo [--keep] [--macs N]

Exit status 0 only if everything that was told held. Ctrl-C and SIGTERM end it at any moment, and leave nothing behind.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final

from tests.lab.demo_output import DemoOutput
from tests.lab.demo_steps import DRAWING, StepFailed, Verdicts, prepare
from tests.lab.fdb_timing import FdbTimer
from tests.lab.namespaces import CommandFailed, Lab, Missing, Node, logs
from tests.lab.speaker import Speaker
from tests.lab.topology import VXLAN, Topology, address
from tests.lab.vtep import VTEP
from tests.lab.wait import NeverHappened

TAIL: Final = 15
MACS_MAX: Final = 1 << 24


class Stopped(BaseException):
    """A signal that asks to end."""


def main(argv: list[str]) -> int:
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    try:
        return _run(DemoOutput(sys.stdout), options.macs, keep=options.keep)
    except Missing as missing:
        print(f"demo: {missing}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Nobody reads any more; Python would complain again while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Stopped as stopped:
        print("demo: stopped", file=sys.stderr)
        return 128 + int(stopped.args[0])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./vtep-dev demo", description="The product on an embedded lab, told as a story."
    )
    parser.add_argument("--keep", action="store_true", help="leave the lab up until Ctrl-C, and say how to look inside")
    parser.add_argument("--macs", metavar="N", type=_count, default=0, help="announce N more MACs, and time them")
    return parser


def _run(output: DemoOutput, macs: int, *, keep: bool) -> int:
    with Lab() as lab:
        try:
            return _told(lab, output, macs, keep=keep)
        finally:
            # What follows is the clean-up, which takes no time and must not be cut short.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _told(lab: Lab, output: DemoOutput, macs: int, *, keep: bool) -> int:
    for line in DRAWING.splitlines():
        output.plain(line)
    network = Topology(lab, remotes=2)
    prepare(network)
    first, second = network.remotes
    with Speaker(first, address(1)) as one, Speaker(second, address(2)) as other, FdbTimer(network.leaf) as timer:
        story = Verdicts(network, (one, other), timer, output)
        status = _judged(story, lab, output, macs, restore=keep)
        if keep:
            _stay(network.leaf, output)
    return status


def _judged(story: Verdicts, lab: Lab, output: DemoOutput, macs: int, *, restore: bool) -> int:
    try:
        result = story.tell(macs)
        if restore:
            story.restore()
    except (StepFailed, NeverHappened, CommandFailed, subprocess.TimeoutExpired) as failure:
        output.step(str(failure))
        for name, text in logs(lab):
            output.below([f"---- the last lines of {name}", *text.splitlines()[-TAIL:]])
        output.plain("result: FAILED, see above")
        return 1
    output.plain(f"result: ok, {result}")
    return 0


def _stay(leaf: Node, output: DemoOutput) -> None:
    """Say how to look inside, and wait for the end."""
    enter, pid = _way_in(leaf)
    output.plain("the lab stays up until Ctrl-C; from another terminal:")
    output.below(
        [
            f"{enter} bridge fdb show dev {VXLAN}",
            f"{enter} bridge monitor fdb",
            f"{enter} {VTEP} check /run/vtep.toml",
            f"{enter} {VTEP} exabgp-config --config /run/vtep.toml",
            f"{enter} sh                       a shell on the leaf",
            f"tail -f /proc/{pid}/root/run/log/vtep.log /proc/{pid}/root/run/log/exabgp.log",
        ]
    )
    try:
        while True:
            signal.pause()
    except Stopped:
        output.plain("taking the lab down")


def _way_in(leaf: Node) -> tuple[str, int]:
    """Return the command that enters the leaf, and the leaf's pid, as both are outside of our own namespaces."""
    pid = _pid_outside(leaf)
    if Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]:
        return f"sudo nsenter -t {pid} -n -m", pid
    return f"nsenter -t {pid} -U --preserve-credentials -n -m", pid


def _pid_outside(node: Node) -> int:
    """Look through the /proc below ours, which shows the same processes by the pids of whoever started us."""
    looking = "umount /proc && cd /proc && grep NSpid: [0-9]*/status"
    found = subprocess.run(["unshare", "--mount", "sh", "-c", looking], capture_output=True, text=True, check=False)
    return next((pids[0] for pids in _pids(found.stdout) if len(pids) > 1 and pids[-1] == node.pid), node.pid)


def _pids(grepped: str) -> Iterator[list[int]]:
    for line in grepped.splitlines():
        yield [int(word) for word in line.partition("NSpid:")[2].split()]


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= MACS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {MACS_MAX}")
    return int(text)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
