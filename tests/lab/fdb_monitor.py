"""What happens to a node's forwarding rows while nobody looks: every change the kernel tells, kept from start to end.

Reads `bridge monitor fdb`, so that the product is not its own witness. Knows rows, not who wrote them.
"""

import itertools
import re
from collections.abc import Iterable
from typing import Final

from tests.lab.namespaces import Node
from tests.lab.wait import wait_until

_ROW: Final = re.compile(r"(?P<deleted>Deleted )?(?P<mac>[0-9a-f:]{17}) dev (?P<device>\S+)(?P<rest>.*)")
_DESTINATION: Final = re.compile(r" dst (\S+)")


class FdbMonitor:
    """One listener. What it is asked about has happened between its making and the question."""

    def __init__(self, node: Node, device: str, *, beside: str) -> None:
        """Watch one device; `beside` is another one, whose rows nobody minds."""
        self._node = node
        self._device = device
        self._beside = beside
        self._marks = (f"06:00:00:00:00:{number:02x}" for number in itertools.count())
        self._process = node.start("bridge", "monitor", "fdb", log=f"/run/log/fdb-{device}.log")
        self._begin = len(self._lines())

    def harm(self, rows: Iterable[tuple[str, str]]) -> list[str]:
        """Return each change that took one of these (MAC, VTEP) away, wholly or by half, or pointed it elsewhere."""
        wanted = dict(rows)
        return [line for line in self._lines()[self._begin :] if self._harms(line, wanted)]

    def changes(self, mac: str) -> list[str]:
        """Return every change of a MAC's row at the device."""
        rows = (_ROW.match(line) for line in self._lines()[self._begin :])
        return [row[0] for row in rows if row and (row["mac"], row["device"]) == (mac, self._device)]

    def arrivals(self, mac: str) -> list[str]:
        """Return each VTEP that a MAC was pointed to, in order."""
        rows = (_ROW.match(line) for line in self._lines()[self._begin :])
        mine = (
            row for row in rows if row and (row["mac"], row["device"]) == (mac, self._device) and not row["deleted"]
        )
        return [destination[1] for row in mine if (destination := _DESTINATION.search(row["rest"]))]

    def _harms(self, line: str, wanted: dict[str, str]) -> bool:
        row = _ROW.match(line)
        if row is None or row["mac"] not in wanted:
            return False
        destination = _DESTINATION.search(row["rest"])
        moved = destination is not None and destination[1] != wanted[row["mac"]]
        return row["device"] != self._device or bool(row["deleted"]) or moved

    def _lines(self) -> list[str]:
        """Return all lines so far; a row of our own, seen among them, proves that none is still under way."""
        mark = next(self._marks)

        def up_to_the_mark() -> list[str]:
            self._node.run("bridge", "fdb", "replace", mark, "dev", self._beside, "self", "permanent")
            self._node.run("bridge", "fdb", "del", mark, "dev", self._beside, "self")
            lines = self._process.log().splitlines()
            return lines if any(mark in line for line in lines) else []

        lines = wait_until(up_to_the_mark, what="the sight of a row of our own")
        lost = [line for line in lines if "receive error" in line]
        assert not lost, lost
        return lines
