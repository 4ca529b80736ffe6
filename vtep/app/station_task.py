"""The task that follows what the bridges learn, and gives it to the leaf.

The bridges are read once before any route is: only then is it known whether a station or a route is newer. A station
that took a row of ours while no daemon ran is the exception. It would count as learned now, after its routes, which may
be wrong; it is therefore learned again when all routes are known. Has a netlink socket of its own. Knows nothing about
what a station means for the routes.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Final

from vtep.app.kernel_task import KernelTask
from vtep.config.model import Config
from vtep.errors import KernelError
from vtep.intent import HostKey, RowKey
from vtep.linux.events import STATIONS
from vtep.linux.kernel import Kernel
from vtep.local.stations import News
from vtep.local.watcher import LocalStationWatcher
from vtep.projection.leaf import Leaf
from vtep.reconcile.claims import Claim

LEARN_S_MAX: Final = 5.0
"""For the first look at the bridges, before the first line of the feed is read."""


class StationTask:
    """The stations of this leaf, from its bridges to the leaf."""

    def __init__(
        self,
        config: Config,
        leaf: Leaf,
        claims: Mapping[RowKey, Claim],
        nudge: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._watcher = LocalStationWatcher(config.vnis, lambda: Kernel(STATIONS), self._learn, clock)
        self._leaf = leaf
        self._claims = claims
        self._nudge = nudge
        self._started = False
        self._overtaken: list[RowKey] = []
        """Stations that took a row of ours while no daemon ran."""

    async def start(self) -> None:
        """Read the bridges once. What cannot be read now is read, and logged, by the task."""
        with contextlib.suppress(KernelError):
            await self._watcher.settle(LEARN_S_MAX)
        self._started = True

    async def run(self) -> None:
        await self._watcher.run()

    async def settle(self) -> None:
        """Report what waits, for a caller that does not run the task."""
        await self._watcher.settle(LEARN_S_MAX)

    def close(self) -> None:
        self._watcher.close()

    def reconfigure(self, config: Config) -> None:
        self._watcher.reconfigure(config.vnis)

    def look_again(self, keys: Iterable[RowKey], *, complete: bool) -> None:
        """Read these MACs back from the bridges, and once all routes are known, those that took a row of ours."""
        self._watcher.look_again(keys)
        if complete and self._overtaken:
            self._watcher.look_again(self._overtaken)
            self._overtaken = []

    def ask_for(self, hosts: Iterable[HostKey]) -> None:
        """Have the kernel ask for addresses of stations that have come here."""
        self._watcher.ask_for(hosts)

    def _learn(self, news: News) -> None:
        """Hand news of stations to the leaf.

        In the first look after a start, a station at whose MAC we claim a remote row is kept back: it is not known
        yet which of both is newer. It is looked at again when all routes are known.
        """
        learned = news.learned
        if not self._started:
            self._overtaken += [station.key for station in learned if station.key in self._claims]
            learned = [station for station in learned if station.key not in self._claims]
        self._leaf.learn_stations(learned, news.gone, changed=news.changed)
        self._nudge()


@contextlib.asynccontextmanager
async def opened(
    config: Config, leaf: Leaf, kernel: KernelTask | None, nudge: Callable[[], None], clock: Callable[[], float]
) -> AsyncIterator[StationTask | None]:
    """Read the bridges for the first time; None if there is no kernel to read."""
    if kernel is None:
        yield None
        return
    task = StationTask(config, leaf, kernel.claims, nudge, clock)
    kernel.ask_for = task.ask_for
    with contextlib.closing(task):
        await task.start()
        yield task
