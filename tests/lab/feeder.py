"""Stands in for the relay at a daemon's feed socket, where a test brings lines that no ExaBGP would print."""

import json
import os
import socket
from types import TracebackType
from typing import Self

from tests.lab.namespaces import Node
from tests.lab.vtep import FEED
from tests.lab.wait import wait_until


class Feeder:
    """One attachment, complete from the first line."""

    def __init__(self, node: Node) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = node.path(FEED)
        wait_until(path.exists, what="the feed socket")
        self._socket.connect(str(path))
        hello = {"version": 1, "exabgp_pid": os.getpid(), "relay_pid": os.getpid(), "dropped": 0, "complete": True}
        self.say(json.dumps({"relay": "hello"} | hello).encode())

    def say(self, *lines: bytes) -> None:
        self._socket.sendall(b"".join(line + b"\n" for line in lines))

    def asked(self, word: str) -> str:
        """Return what the daemon has asked of ExaBGP since the last time, if this word is in it."""
        self._socket.settimeout(0.1)
        try:
            said = self._socket.recv(1 << 16).decode()
        except TimeoutError:
            return ""
        finally:
            self._socket.settimeout(None)
        return said if word in said else ""

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
