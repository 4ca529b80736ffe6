"""What readers wait for, and whom they delay: a table listed over the API, the move of a row meanwhile, a command's start.

A list is fetched page by page as `vtep macs` does, the first time (the daemon puts the keys in order then) and again.
Whoever starts a command waits for Python first, so an interpreter that does nothing stands beside.
"""

import subprocess
import sys
import time
from typing import Final

import grpc

from bench import machine
from bench.figures import Figure, transposed
from bench.leaf import Ours, ours
from bench.routes import OLD, mac
from tests.lab.vtep import VTEP
from vtep.v1 import vtep_pb2 as pb
from vtep.v1.vtep_pb2_grpc import VtepServiceStub

DEADLINE_S: Final = 300.0
PAGE: Final = 5000
COMMANDS: Final = {"vtep --help": ["--help"], "vtep completion bash": ["completion", "bash"]}


def measure(macs: int, runs: int) -> list[Figure]:
    lists = transposed([listed(macs) for _ in range(runs)])
    starts = transposed([started() for _ in range(max(runs, 5))])
    table = f"A list of {macs:,} MACs over the API, {PAGE:,} a page"
    found = [Figure(table, what, unit, {"vtep": lists[what]}) for what, unit in LISTED.items()]
    for name in COMMANDS:
        sides = {"vtep": starts[name], "python alone": starts["python"]}
        found.append(Figure("Starting a command", name, "ms", sides))
    return found


LISTED: Final = {
    "the first time": "s",
    "again": "s",
    "CPU of the daemon": "us/MAC",
    "largest page": "KiB",
}


def listed(macs: int) -> dict[str, float]:
    """Feed a table and list it twice."""
    with ours() as daemon:
        told = daemon.told
        daemon.say([b"\n".join([*told.announce(range(macs)), told.end_of_rib()])])
        daemon.rows.await_all([mac(number) for number in range(macs)], OLD, DEADLINE_S)
        first_s, largest = fetch(daemon, macs)
        before = machine.cpu_s(daemon.pid)
        again_s, _ = fetch(daemon, macs)
        cpu_s = machine.cpu_s(daemon.pid) - before
    return {
        "the first time": first_s,
        "again": again_s,
        "CPU of the daemon": cpu_s * 1e6 / macs,
        "largest page": largest / 1024,
    }


def fetch(daemon: Ours, macs: int) -> tuple[float, int]:
    """Fetch every page; return the seconds and the octets of the largest page. No limit is raised for it."""
    rows = largest = 0
    token = ""
    start = time.monotonic()
    with grpc.insecure_channel(f"unix:{daemon.leaf.path('/run/vtep/vtep.sock')}") as channel:
        api = VtepServiceStub(channel)  # type: ignore[no-untyped-call]
        while True:
            page = api.ListMacs(pb.ListMacsRequest(page_size=PAGE, page_token=token), timeout=60)
            rows += len(page.macs)
            largest = max(largest, page.ByteSize())
            token = page.next_page_token
            if not token:
                break
    assert rows == macs, f"{rows} of {macs} rows were listed"
    return time.monotonic() - start, largest


def started() -> dict[str, float]:
    """Start each command once."""
    found = {"python": _start_ms([sys.executable, "-c", "pass"])}
    for name, words in COMMANDS.items():
        found[name] = _start_ms([str(VTEP), *words])
    return found


def _start_ms(command: list[str]) -> float:
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.monotonic() - start) * 1e3
