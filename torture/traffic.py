"""Echo requests from one station to another at a steady rate, each counted: which of them were never answered.

Each packet crosses the leaf's VXLAN device twice, as a question by a row under test and as its answer. The sockets belong
to the station's node. Knows nothing of tunnels.
"""

import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from tests.lab.namespaces import Node
from tests.lab.probe import _checksum
from tests.lab.wait import NeverHappened, wait_until

PACE_S: Final = 0.005
LATE_S: Final = 2.0
"""An answer that takes longer is lost."""
BUFFER: Final = 8 << 20
_SO_RCVBUFFORCE: Final = 33
_HEADER: Final = struct.Struct("!BBHHHQ")
"""Type, code, checksum, identifier, sequence, and a counter that does not wrap."""
_IDENTIFIER: Final = 0x7E57


class Traffic:
    """One flow, for as long as the context lasts; afterwards `sent` and `lost` say what became of it."""

    def __init__(self, node: Node, to: str) -> None:
        self.sent = 0
        self.answered: set[int] = set()
        self._to = to
        self._socket = node.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        # In a user namespace only what net.core.rmem_max allows, which is room for seconds of answers as well.
        with suppress(PermissionError):
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER)
        self._socket.settimeout(0.1)
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._receive)]

    @property
    def lost(self) -> int:
        return self.sent - len(self.answered)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.answered, what="the first answer")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        self._threads[0].join()
        try:
            wait_until(lambda: self.lost == 0, LATE_S, "an answer to every question")
        except NeverHappened:
            pass
        finally:
            self._to = ""
            self._threads[1].join()
            self._socket.close()

    def _send(self) -> None:
        while not self._end.wait(PACE_S):
            self._socket.sendto(_question(self.sent), (self._to, 0))
            self.sent += 1

    def _receive(self) -> None:
        while self._to:
            try:
                packet = self._socket.recv(2048)
            except TimeoutError:
                continue
            kind, _, _, identifier, _, number = _HEADER.unpack_from(packet, 4 * (packet[0] & 15))
            if (kind, identifier) == (0, _IDENTIFIER):
                self.answered.add(number)


def _question(number: int) -> bytes:
    unsummed = _HEADER.pack(8, 0, 0, _IDENTIFIER, number & 0xFFFF, number)
    return _HEADER.pack(8, 0, _checksum(unsummed), _IDENTIFIER, number & 0xFFFF, number)
