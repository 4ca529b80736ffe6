#!/usr/bin/env python3
"""Runs the tests that depend on the kernel under one of Debian's, in as many beds as this machine has CPUs: `tools/beds.py 6.1 OPTION ...`.

A bed is what tools/kernel.py makes: a kernel that is one process and has one CPU. The beds share a directory, and each takes the
next test file that no other bed took (`--bed` of tests/conftest.py), so that they end at about the same time.

    tests/contract ──┐                ┌── bed 1 ── its output is shown while it runs
    tests/interop    ├── next file ───┤
    tests/promises   │   is whose?    └── bed 2 ── its output is shown after that
    tests/system   ──┘

A test depends on the kernel if it opens a namespace (marker `root_netns`) and is not one that shows the same everywhere (`slow`,
unless it is `every_kernel` as well). The others are left out, and counted. The exit status is 0 if that of every bed is, and otherwise the first other one. Standard library only.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("tests/contract", "tests/interop", "tests/promises", "tests/system")
BEDS_MAX = 4
COUNTED = re.compile(r"(\d+) (failed|passed|skipped|deselected|xfailed|xpassed|error)")


def main(arguments: list[str]) -> int:
    kernel, *options = arguments
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vtep-beds.") as scratch:
        shared = Path(scratch, "taken")
        shared.mkdir()
        beds = [_Bed(kernel, options, shared, Path(scratch, str(number))) for number in range(_count())]
        for bed in beds:
            bed.show()
        statuses = [bed.process.wait() for bed in beds]
    _summarize(kernel, beds, time.monotonic() - start)
    return next((status for status in statuses if status), 0)


def _count() -> int:
    return max(1, min(len(os.sched_getaffinity(0)), BEDS_MAX))


class _Bed:
    """One kernel with a run of pytest in it; its output is in a file until it is shown."""

    def __init__(self, kernel: str, options: list[str], shared: Path, output: Path) -> None:
        command = [
            sys.executable, str(ROOT / "tools" / "kernel.py"), f"--writable={shared}", kernel, str(ROOT / "vtep-dev"), "test",
            f"--bed={shared}", *options, *FOLDERS,
        ]  # fmt: skip
        self._output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )
        self.counts: dict[str, int] = {}

    def show(self) -> None:
        """Copy what the bed prints to our own output until it ends."""
        last = b""
        with self._output.open("rb") as file:
            while True:
                ended = self.process.poll() is not None
                while line := file.readline():
                    sys.stdout.buffer.write(line)
                    last = line if b" in " in line else last
                sys.stdout.buffer.flush()
                if ended:
                    break
                time.sleep(0.2)
        self.counts = {what: int(count) for count, what in COUNTED.findall(last.decode(errors="replace"))}


def _summarize(kernel: str, beds: list[_Bed], seconds: float) -> None:
    total: dict[str, int] = {}
    for bed in beds:
        for what, count in bed.counts.items():
            total[what] = total.get(what, 0) + count
    # Each bed leaves out the same tests.
    left_out = max((bed.counts.get("deselected", 0) for bed in beds), default=0)
    ran = ", ".join(f"{count} {what}" for what, count in total.items() if what != "deselected") or "no test ran"
    print(
        f"vtep-dev: kernel {kernel}: {ran} in {seconds:.0f} s, in {len(beds)} beds; left out because no kernel changes them: "
        f"{left_out} tests of {', '.join(FOLDERS)}, and all other folders of tests/",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
