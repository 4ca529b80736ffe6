"""Asks the kernel which routes packets to remote VTEPs take: `ip route get` for many at once.

Has a socket of its own, because passes use the other ones at their own times. One call asks for a few dozen VTEPs and does not
wait; its caller asks again for more. Knows octets and sockets. What an answer means for the leaf is in `underlay.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from vtep.linux.socket import Connection
from vtep.linux.wire.route import FoundPath, PathQuery, parse_paths, request_path

PATHS_PER_SEND: Final = 64
"""An answer takes 1 to 2 KiB of the receive buffer, and 64 of them take the kernel about a quarter of a millisecond."""


class Paths:
    """The socket for these questions."""

    def __init__(self) -> None:
        self._requests = Connection()

    def close(self) -> None:
        self._requests.close()

    def ask(self, queries: Sequence[PathQuery]) -> Mapping[PathQuery, FoundPath]:
        """Return the answers that came; one that was lost is not among them."""
        found: dict[PathQuery, FoundPath] = {}
        for first in range(0, len(queries), PATHS_PER_SEND):
            part = queries[first : first + PATHS_PER_SEND]
            seq = self._requests.take_seqs(len(part))
            wanted = b"".join(request_path(query, seq + place) for place, query in enumerate(part))
            for _, answered, path in self._requests.exchange("paths", wanted, parse_paths)[0]:
                if isinstance(path, FoundPath) and 0 <= answered - seq < len(part):
                    found[part[answered - seq]] = path
        return found
