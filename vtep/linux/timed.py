"""A kernel whose writes are timed: how long it takes for a message, as a histogram. Otherwise the kernel that it is given."""

from collections.abc import Callable, Iterable, Sequence

from vtep.linux.target import KernelRows, Lookup
from vtep.linux.wire.link import Links
from vtep.linux.wire.neighbor import Entry, Neighbor, Refusal
from vtep.store.histogram import Histogram


class Timed:
    """Passes everything on."""

    def __init__(self, kernel: KernelRows, clock: Callable[[], float]) -> None:
        self.message_s = Histogram()
        self._kernel = kernel
        self._clock = clock

    def links(self) -> Links:
        return self._kernel.links()

    def neighbors(self, devices: Iterable[int]) -> list[Entry]:
        return self._kernel.neighbors(devices)

    def rows(self, bridges: Sequence[int], ports: Sequence[int] = ()) -> list[Entry]:
        return self._kernel.rows(bridges, ports)

    def get_many(self, keys: Sequence[Lookup]) -> list[Entry | None]:
        return self._kernel.get_many(keys)

    def send(self, messages: Sequence[Neighbor]) -> list[Refusal]:
        began = self._clock()
        refusals = self._kernel.send(messages)
        if count := sum(1 + len(message.also) for message in messages):
            self.message_s.observe((self._clock() - began) / count, count)
        return refusals
