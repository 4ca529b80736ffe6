"""What somebody saw who looked all the time: packets that were never answered, and changes of rows that had to stay.

Injects one fault after the other into leaves under churn. Knows what harm is. Does not know what the faults are.
"""

import contextlib
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from tests.lab.fdb_monitor import FdbMonitor
from tests.lab.namespaces import CommandFailed
from tests.lab.topology import VXLAN
from torture.leaf import OPERATORS, Leaf, leaf
from torture.tally import Tally
from torture.traffic import Traffic

PER_LEAF: Final = 50
"""A new leaf after so many faults, so that what the listener heard stays small."""


class Watch:
    """What was seen during one fault."""

    def __init__(self) -> None:
        self.harm: list[str] = []
        self.sent = 0
        self.lost = 0
        self.took_s: float | None = None
        """Until everything was right again, if it ever was."""


def each(
    chance: random.Random, faults: Iterable[str], inject: Callable[[Leaf, str], float]
) -> Iterator[tuple[str, Watch]]:
    """Inject the faults in order; `inject` returns the seconds until everything was right again.

    A leaf that did not recover proves nothing more, and another takes its place.
    """
    left = list(reversed(list(faults)))
    while left:
        with leaf(chance) as one:
            for _ in range(min(PER_LEAF, len(left))):
                fault = left.pop()
                watch = watched(one, fault, lambda: inject(one, fault))  # noqa: B023 - called before the next turn
                yield fault, watch
                if watch.took_s is None:
                    break
        print(f"      {len(left)} to come", file=sys.stderr, flush=True)


def watched(one: Leaf, fault: str, inject: Callable[[], float]) -> Watch:
    """Inject one fault, and say at once what harm it did."""
    watch = Watch()
    with _looking(one, watch):
        try:
            watch.took_s = inject()
        except (AssertionError, CommandFailed) as never:
            print(f"      not recovered: {fault}: {never}", file=sys.stderr, flush=True)
    for line in watch.harm[:3]:
        print(f"      row: {fault}: {line}", file=sys.stderr, flush=True)
    if watch.lost:
        print(f"      {watch.lost} of {watch.sent} packets unanswered: {fault}", file=sys.stderr, flush=True)
    return watch


def told(piece: str, fault: str, found: list[Watch], note: str = "", *, stops_it: bool = False) -> Tally:
    """Sum up what one kind of fault did; one that stops the device by itself takes rows and packets that are not counted."""
    took = [watch.took_s for watch in found if watch.took_s is not None]
    sent, lost = (sum(getattr(watch, name) for watch in found) for name in ("sent", "lost"))
    packets = f"the fault itself stops the device; {lost:,} of {sent:,} packets came meanwhile"
    return Tally(
        piece,
        fault,
        len(found),
        len(took),
        None if stops_it else sum(len(watch.harm) for watch in found),
        None if stops_it else lost,
        max(took, default=None),
        "; ".join(filter(None, (note, packets if stops_it else f"{sent:,} packets sent"))),
    )


@contextlib.contextmanager
def _looking(one: Leaf, watch: Watch) -> Iterator[None]:
    """Send packets and keep every change of a row, while within."""
    monitor = FdbMonitor(one.node, VXLAN, beside="underlay")
    with Traffic(one.network.leaf_station.node, one.network.remote_station.ip) as traffic:
        yield
    staying = dict.fromkeys(one.foreign, OPERATORS) | one.staying
    watch.harm = monitor.harm(staying.items())
    if one.foreign_now() != one.foreign_before:
        watch.harm.append("rows of an operator are not as they were")
    watch.sent, watch.lost = traffic.sent, traffic.lost
