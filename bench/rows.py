"""When rows are in the kernel, seen from outside: reads single rows back, and believes no daemon.

Asks for few, so that it disturbs neither side: the last of a thousand rows, taken by chance, stands for the last of all,
and afterwards every row is read.
"""

import json
import random
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Final, Self

from tests.lab.fdb_timing import NDA_LLADDR, NTF_SELF, SO_RCVBUFFORCE, _tunnel_rows
from tests.lab.namespaces import Node
from tests.lab.topology import VXLAN
from tests.lab.wait import NeverHappened

RTM_GETNEIGH: Final = 30
NLM_F_REQUEST: Final = 1
NDA_VNI: Final = 7
AT_ONCE: Final = 64
SAMPLE: Final = 1000
PAUSE_S: Final = 0.002


class Rows:
    """The tunnel rows of one node's VXLAN device, or those of one VNI on a device for many."""

    def __init__(self, node: Node, device: str = VXLAN, vni: int | None = None) -> None:
        (link,) = json.loads(node.run("ip", "-j", "link", "show", "dev", device))
        self._device: int = link["ifindex"]
        self._of_vni = b"" if vni is None else struct.pack("=HHI", 8, NDA_VNI, vni)
        self._socket = node.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def look(self, macs: Sequence[str]) -> dict[str, str]:
        """Return the VTEP of each of these MACs that has one."""
        found: dict[str, str] = {}
        for first in range(0, len(macs), AT_ONCE):
            some = macs[first : first + AT_ONCE]
            self._socket.send(b"".join(self._question(mac) for mac in some))
            for _ in some:
                found |= {mac: vtep for _, mac, vtep in _tunnel_rows(self._socket.recv(1 << 16))}
        return found

    def await_all(self, macs: Sequence[str], vtep: str, deadline_s: float) -> float:
        """Return when, by the monotonic clock, the last of these rows pointed there (an empty VTEP: was gone)."""
        end = time.monotonic() + deadline_s
        for mac in random.Random(1).sample(macs, min(SAMPLE, len(macs))):
            while self.look([mac]).get(mac, "") != vtep:
                if time.monotonic() > end:
                    raise NeverHappened(
                        f"after {deadline_s} s {len(list(self.wrong(macs, vtep)))} rows are not at {vtep!r}"
                    )
                time.sleep(PAUSE_S)
        there = time.monotonic()
        while any(True for _ in self.wrong(macs, vtep)):
            if time.monotonic() > end:
                raise NeverHappened(
                    f"after {deadline_s} s {len(list(self.wrong(macs, vtep)))} rows are not at {vtep!r}"
                )
            there = time.monotonic()
        return there

    def wrong(self, macs: Iterable[str], vtep: str) -> Iterator[str]:
        """Yield the MACs that point elsewhere."""
        some = list(macs)
        for first in range(0, len(some), 1 << 12):
            part = some[first : first + (1 << 12)]
            found = self.look(part)
            yield from (mac for mac in part if found.get(mac, "") != vtep)

    def _question(self, mac: str) -> bytes:
        attribute = struct.pack("=HH6s2x", 10, NDA_LLADDR, bytes.fromhex(mac.replace(":", "")))
        neighbor = struct.pack("=BxxxiHBx", socket.AF_BRIDGE, self._device, 0, NTF_SELF)
        header = struct.pack("=IHHII", 40 + len(self._of_vni), RTM_GETNEIGH, NLM_F_REQUEST, 0, 0)
        return header + neighbor + attribute + self._of_vni
