"""Runs the real daemon on a kernel that has bad days: `faulty_kernel.py MISHAP vtep run ...`, for as long as /run/unruly exists.

    answers   the socket of requests has a buffer of 4 KiB, so that the kernel's answers overflow it; to the daemon's end
    events    that of announcements has; to the daemon's end
    ENOMEM    one message in four is refused so, and never reaches the kernel; any other errno by its name
    torn      one dump in two is told to have been interrupted, or its answer was lost
    lacking   one dump in two lacks rows that are there and has others twice, and nothing marks it
    midway    between two halves of a batch `ip` carries out what /run/unruly says, once

Each mishap is an octet in /run/mishaps, so that somebody outside can count them.
"""

import errno
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial, partialmethod
from pathlib import Path
from typing import Any, Final

from vtep.__main__ import main
from vtep.linux import socket as kernel_socket
from vtep.linux.kernel import Kernel
from vtep.linux.socket import Connection, Inbox
from vtep.linux.wire.batch import singly
from vtep.linux.wire.neighbor import Refusal
from vtep.linux.wire.tlv import Answer

LASTS: Final = Path("/run/unruly")
COUNT: Final = Path("/run/mishaps")
SMALL: Final = 4096

_chance = random.Random(4)
_count = os.open(COUNT, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC)


def _befalls(one_in: int) -> bool:
    befalls = LASTS.exists() and not _chance.randrange(one_in)
    if befalls:
        os.write(_count, b".")
    return befalls


def _small(**buffers: int) -> None:
    init, receive, receive_many = Kernel.__init__, kernel_socket.receive, Inbox.receive

    def counted(*arguments: Any) -> Iterator[bytes | None]:
        for datagram in receive(*arguments):
            if datagram is None:
                os.write(_count, b".")
            yield datagram

    def counted_many(*arguments: Any) -> list[int] | None:
        sizes = receive_many(*arguments)
        if sizes is None:
            os.write(_count, b".")
        return sizes

    Kernel.__init__ = partialmethod(init, **buffers)  # type: ignore[method-assign,assignment]
    kernel_socket.receive = counted  # type: ignore[assignment]
    Inbox.receive = counted_many  # type: ignore[method-assign, assignment]


def _refusing(code: int) -> None:
    send = Kernel.send

    def some(kernel: Kernel, together: Any) -> list[Refusal]:
        messages = list(singly(together))
        refused = {index: Refusal(index, code, os.strerror(code)) for index in range(len(messages)) if _befalls(4)}
        passed = [index for index in range(len(messages)) if index not in refused]
        for refusal in send(kernel, [messages[index] for index in passed]):
            index, done = passed[refusal.index], (refusal.bridge_done, refusal.vxlan_done)
            refused[index] = Refusal(index, refusal.errno, refusal.text, *done)
        return [refused[index] for index in sorted(refused)]

    Kernel.send = some  # type: ignore[method-assign, assignment]


def _torn() -> None:
    exchange = Connection.exchange

    def torn(connection: Connection, operation: str, request: bytes, parse: Any) -> Any:
        answers, lost = exchange(connection, operation, request, parse)
        if operation not in ("send", "get") and _befalls(2):
            if _chance.random() < 0.5:
                return answers, True
            answers = [*answers, (0, answers[0][1], Answer(0, interrupted=True))]
        return answers, lost

    Connection.exchange = torn  # type: ignore[method-assign, assignment]


def _lacking() -> None:
    dump = Connection.dump

    def some(connection: Connection, operation: str, request: Any, parse: Any) -> Any:
        rows: list[Any] = dump(connection, operation, request, parse)
        if operation == "rows" and _befalls(2):
            rows = [row for row in rows if _chance.randrange(10)] + _chance.sample(rows, len(rows) // 10)
        return rows

    Connection.dump = some  # type: ignore[method-assign, assignment]


def _midway() -> None:
    send = Kernel._send_portion

    def cut(kernel: Kernel, together: Any, first: int) -> tuple[list[Refusal], int]:
        messages = list(singly(together))
        if len(messages) < 2 or not LASTS.exists():
            return send(kernel, together, first)
        half = len(messages) // 2
        refused, _ = send(kernel, messages[:half], first)
        subprocess.run(["ip", "-batch", "-"], input=LASTS.read_bytes(), check=True)
        os.write(_count, b".")
        LASTS.unlink()
        more, _ = send(kernel, messages[half:], first + half)
        return refused + more, len(messages)

    Kernel._send_portion = cut  # type: ignore[method-assign, assignment]


MISHAPS: Final[dict[str, Callable[[], None]]] = {
    "answers": partial(_small, request_buffer=SMALL),
    "events": partial(_small, event_buffer=SMALL),
    "torn": _torn,
    "lacking": _lacking,
    "midway": _midway,
}

if __name__ == "__main__":
    mishap = sys.argv[1]
    (MISHAPS[mishap] if mishap in MISHAPS else partial(_refusing, getattr(errno, mishap)))()
    sys.argv[0:3] = ["vtep"]
    sys.exit(main())
