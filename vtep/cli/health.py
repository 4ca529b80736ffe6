"""`vtep health`: ready or not, as an exit code: 0 ready, 1 not ready, 3 unreachable.

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


def health(options: argparse.Namespace) -> int:
    with client(options) as daemon:
        status = _waited(daemon, options.wait)
    if is_document(options):
        print_value(options, {"ready": status.ready, "problems": list(status.problems)})
        return 0 if status.ready else 1
    print("ready" if status.ready else "not ready")
    if status.ready:
        return 0
    for problem in status.problems or ["the daemon does not say why"]:
        say(plain(problem))
    return 1


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
