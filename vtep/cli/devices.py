"""`vtep explain DEVICE`: what is wanted of a device, what is there, whose it is, and what to do.

Knows in which order a person wants to read it. Every sentence comes from the daemon; empty parts are left out.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Final

from vtep.cli import values
from vtep.cli.connection import client
from vtep.cli.output import is_document, print_value
from vtep.cli.text import age, number_and_name, plain, until, width, wrapped
from vtep.errors import UsageError
from vtep.v1 import vtep_pb2 as pb

LABEL: Final = 12
OWNERS: Final = {
    "made": "vtep made it",
    "adopted": "adopted: an operator handed it over to vtep",
    "claimed": "vtep was making it",
    "foreign": "foreign: another program made it",
    "unmanaged": "not ours: `manage` is off",
    "unknown": "not ours: not configured",
    "absent": "it is not there",
}


def explain(options: argparse.Namespace) -> int:
    if options.vrf or options.vni:
        raise UsageError(f"{options.subject} is a device, for which there is neither --vrf nor --vni")
    with client(options) as daemon:
        answer = daemon.ask(pb.ExplainDeviceRequest(device=options.subject), pb.ExplainDeviceResponse)
    if is_document(options):
        print_value(options, values.value(answer))
        return 0
    print("\n".join(_page(answer, width(sys.stdout), time.time())))
    return 0


def _page(answer: pb.ExplainDeviceResponse, columns: int, now: float) -> Iterator[str]:
    def labelled(label: str, text: str) -> str:
        return wrapped(plain(text), columns, f"{label:<{LABEL}}", " " * LABEL)

    yield wrapped(plain(answer.summary), columns)
    if answer.advice:
        yield wrapped(plain(answer.advice), columns)
    yield ""
    yield labelled("device", answer.device)
    since = f", since {age(answer.since, now)}" if answer.HasField("since") else ""
    yield labelled("owner", f"{OWNERS.get(answer.owner, answer.owner)}{since}")
    if answer.alias:
        yield labelled("alias", answer.alias)
    if answer.vnis:
        more = f" and {answer.vnis_left_out} more" if answer.vnis_left_out else ""
        yield labelled("VNIs", f"{', '.join(map(str, answer.vnis))}{more}")
    yield labelled("wanted", answer.wanted or "nothing")
    yield labelled("kernel", answer.there or "absent")
    if answer.right:
        yield labelled("as wanted", ", ".join(answer.right))
    for one in answer.differences:
        state = f" ({one.state}: {one.why})" if one.state else ""
        soon = f", again {until(one.next_try, now)}" if one.HasField("next_try") else ""
        yield labelled("differs", f"{one.what}{state}{soon}")
        if one.command:
            yield labelled("", one.command)
    for label, write in (("last write", answer.written), ("refused", answer.refused)):
        if write.command:
            yield labelled(label, f"{age(write.time, now)}: {write.command}")
        if write.errno:
            yield labelled("", f"{number_and_name(write.errno)}: {write.error}")
    for fault in answer.faults:
        yield labelled("not ready", fault)
