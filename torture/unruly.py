"""Runs the real daemon on a kernel that has bad days: `unruly.py MISHAP vtep run ...`, for as long as /run/unruly exists.

    buffers   sockets of 4 KiB, so that the kernel's answers and announcements overflow them; to the daemon's end
    ENOMEM    one message in four is refused so, and never reaches the kernel; any other errno by its name
    dump      one dump in two is told to have been interrupted, or its answer was lost

Each mishap is an octet in /run/mishaps, so that somebody outside can count them.
"""

import errno
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from vtep.__main__ import main
from vtep.kernel.messages import Answer, Refusal
from vtep.kernel.socket import Kernel

LASTS: Final = Path("/run/unruly")
COUNT: Final = Path("/run/mishaps")
SMALL: Final = 4096

_chance = random.Random(4)
_count = os.open(COUNT, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _befalls(one_in: int) -> bool:
    befalls = LASTS.exists() and not _chance.randrange(one_in)
    if befalls:
        os.write(_count, b".")
    return befalls


def _buffers() -> None:
    init, receive = Kernel.__init__, Kernel._receive

    def small(kernel: Kernel) -> None:
        init(kernel, request_buffer=SMALL, event_buffer=SMALL)

    def counted(*arguments: Any) -> Iterator[bytes | None]:
        for datagram in receive(*arguments):
            if datagram is None:
                os.write(_count, b".")
            yield datagram

    Kernel.__init__ = small  # type: ignore[method-assign,assignment]
    Kernel._receive = counted  # type: ignore[method-assign]


def _refusing(code: int) -> None:
    send = Kernel.send

    def some(kernel: Kernel, messages: Any) -> list[Refusal]:
        refused = {index: Refusal(index, code, os.strerror(code)) for index in range(len(messages)) if _befalls(4)}
        passed = [index for index in range(len(messages)) if index not in refused]
        for refusal in send(kernel, [messages[index] for index in passed]):
            index = passed[refusal.index]
            refused[index] = Refusal(index, refusal.errno, refusal.text, *_halves(refusal))
        return [refused[index] for index in sorted(refused)]

    Kernel.send = some  # type: ignore[method-assign]


def _halves(refusal: Refusal) -> tuple[bool, bool]:
    """Return what was done in spite of the refusal: the bridge's half, the device's."""
    _, _, _, bridge, device = (getattr(refusal, name) for name in refusal.__struct_fields__)
    return bridge, device


def _interrupted() -> None:
    exchange = Kernel._exchange

    def torn(kernel: Kernel, operation: str, request: bytes, parse: Any) -> Any:
        answers, lost = exchange(kernel, operation, request, parse)
        if operation not in ("send", "get") and _befalls(2):
            if _chance.random() < 0.5:
                return answers, True
            answers = [*answers, (0, answers[0][1], Answer(0, interrupted=True))]
        return answers, lost

    Kernel._exchange = torn  # type: ignore[method-assign]


if __name__ == "__main__":
    mishap = sys.argv[1]
    if mishap == "buffers":
        _buffers()
    elif mishap == "dump":
        _interrupted()
    else:
        _refusing(getattr(errno, mishap))
    sys.argv[0:3] = ["vtep"]
    sys.exit(main())
