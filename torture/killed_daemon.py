"""Runs the real daemon and kills it from within at a chosen place: `killed_daemon.py PLACE TIMES vtep run ...`.

SIGKILL at the TIMES-th passage: nothing is cleaned up and nothing is flushed, as in any other crash.

    batch    half of a batch of rows is in the kernel, the other half was never sent
    ledger   half of a record, or of many, is in the file
    dump     the kernel has begun to answer
    reload   a changed configuration is taken by one half of the daemon
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

from vtep.__main__ import main
from vtep.linux.kernel import Kernel
from vtep.linux.socket import Connection
from vtep.linux.wire.batch import singly
from vtep.projection.leaf import Leaf


class Fate:
    """The end, at the last of so many passages."""

    def __init__(self, times: int) -> None:
        self._left = times

    def has_come(self) -> bool:
        self._left -= 1
        return self._left <= 0


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _batch(fate: Fate) -> None:
    send = Kernel._send_portion

    def cut(kernel: Kernel, messages: Any, first: int) -> Any:
        if fate.has_come():
            alone = list(singly(messages))
            send(kernel, alone[: (len(alone) + 1) // 2], first)
            _die()
        return send(kernel, messages, first)

    Kernel._send_portion = cut  # type: ignore[method-assign, assignment]


def _ledger(fate: Fate) -> None:
    write = os.pwrite

    def cut(file: int, data: Any, offset: int) -> int:
        is_ledger = os.readlink(f"/proc/self/fd/{file}").endswith("/ledger")
        if is_ledger and offset and fate.has_come():
            write(file, data[: max(1, len(data) * 2 // 3 - 3)], offset)
            _die()
        return write(file, data, offset)

    os.pwrite = cut


def _dump(fate: Fate) -> None:
    dump = Connection.dump

    def cut(connection: Connection, operation: str, request: Any, parse: Any) -> Any:
        if fate.has_come():
            connection.socket.send(request(connection.take_seqs(1)))
            connection.socket.recv(1 << 15)
            _die()
        return dump(connection, operation, request, parse)

    Connection.dump = cut  # type: ignore[method-assign, assignment]


def _reload(fate: Fate) -> None:
    reconfigure = Leaf.reconfigure

    def cut(leaf: Leaf, *arguments: Any) -> None:
        reconfigure(leaf, *arguments)
        if fate.has_come():
            _die()

    Leaf.reconfigure = cut  # type: ignore[method-assign, assignment]


PLACES: Final[dict[str, Callable[[Fate], None]]] = {
    "batch": _batch,
    "ledger": _ledger,
    "dump": _dump,
    "reload": _reload,
}

if __name__ == "__main__":
    PLACES[sys.argv[1]](Fate(int(sys.argv[2])))
    sys.argv[0:4] = ["vtep"]
    sys.exit(main())
