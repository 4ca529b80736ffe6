"""`vtep health`: ready or not, as an exit code: 0 ready or degraded, 1 not ready, 3 unreachable, 4 degraded with --strict.

Knows how to wait. The daemon decides what ready means.
"""

import argparse
import time
from typing import Final

from vtep.cli.connection import Client, client
from vtep.cli.output import is_document, print_value
from vtep.cli.text import plain, say
from vtep.errors import UnreachableError
from vtep.v1 import vtep_pb2 as pb

PAUSE_S: Final = 0.2
DEGRADED: Final = 4
"""The exit code of a leaf that is ready and has a problem, with --strict."""


def health(options: argparse.Namespace) -> int:
    with client(options) as daemon:
        status = _waited(daemon, options.wait)
    if is_document(options):
        told = {"ready": status.ready, "state": state(status), "problems": list(status.problems)}
        print_value(options, told)
        return _exit_code(status, strict=options.strict)
    print(state(status).replace("-", " "))
    if state(status) == "ready":
        return 0
    for problem in status.problems or ["the daemon does not say why"]:
        say(plain(problem))
    return _exit_code(status, strict=options.strict)


def state(status: pb.GetStatusResponse) -> str:
    """Return ready, degraded or not-ready. An older daemon has no word for degraded."""
    return status.state or ("ready" if status.ready else "not-ready")


def _exit_code(status: pb.GetStatusResponse, *, strict: bool) -> int:
    if not status.ready:
        return 1
    return DEGRADED if strict and state(status) == "degraded" else 0


def _waited(daemon: Client, wait_s: float) -> pb.GetStatusResponse:
    """Ask until the daemon is ready or the time is over; a daemon that is not there yet may still start."""
    end = time.monotonic() + wait_s
    while True:
        try:
            status = daemon.ask(pb.GetStatusRequest(), pb.GetStatusResponse)
            if status.ready or time.monotonic() >= end:
                return status
        except UnreachableError:
            if time.monotonic() >= end:
                raise
        time.sleep(min(PAUSE_S, max(0.0, end - time.monotonic())))
