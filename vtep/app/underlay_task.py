"""The task that looks at the underlay: whether packets of this leaf can reach the remote VTEPs.

    devices, addresses ──┐
    VTEPs of the intent ─┼─▶ questions ──slices──▶ kernel ──▶ judge ──▶ observer
                         └── again every few seconds, or soon after an event of a device or an address

It looks and does not listen to the events of routes: an underlay may have a full table that changes all the time, and a look at a
thousand VTEPs takes ten milliseconds of a core (docs/decisions/0030). The rest after a look keeps it at a hundredth of a core.
Decides nothing about rows: what the underlay does not carry stays in the tables, because only BGP says where a MAC is.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from vtep import logs
from vtep.addr import Ip, Vni
from vtep.errors import KernelError
from vtep.linux.paths import PATHS_PER_SEND, Paths
from vtep.linux.underlay import Picture, Questions, Sender, Underlay, judge
from vtep.linux.wire.route import FoundPath, PathQuery
from vtep.logs import LineLimit

PERIOD_S: Final = 2.0
"""From one look to the next. A route that goes has no event here, so it is missed for so long at most."""
SOON_S: Final = 0.2
"""After an event: by then the picture of the devices is taken again, and more events have come."""
REST: Final = 99
"""A look is followed by a rest of so many times its work, as an audit is (decision 0021)."""
VTEPS_A_TURN: Final = 2000
"""Two milliseconds of going through VTEPs of VNIs."""
UNREADABLE_S: Final = 60.0

log = logging.getLogger("vtep")


class UnderlayTask:
    """Looks at the underlay, and tells what it found."""

    def __init__(
        self,
        picture: Callable[[], Picture],
        reached: Callable[[], Iterator[tuple[Vni, Ip]]],
        tell: Callable[[Underlay], None],
        clock: Callable[[], float],
    ) -> None:
        self._picture = picture
        self._reached = reached
        self._tell = tell
        self._clock = clock
        self._paths = Paths()
        self._woken = asyncio.Event()
        self._last = Underlay()
        self._unreadable = LineLimit(1, UNREADABLE_S)
        self.work_s = 0.0
        """What the last look took, without the turns of others."""

    def close(self) -> None:
        self._paths.close()

    def wake(self) -> None:
        """Look soon: a device or an address changed."""
        self._woken.set()

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except KernelError as error:
                if self._unreadable.allows(self._clock()):
                    logs.event(log, logging.WARNING, "underlay not read", why=error)
            least = max(SOON_S, REST * self.work_s)
            await asyncio.sleep(least)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, PERIOD_S - least)):
                    await self._woken.wait()
                    await asyncio.sleep(SOON_S)
            self._woken.clear()

    async def look(self) -> None:
        """Ask for each VTEP, a few at a time, and judge all answers together."""
        self.work_s = 0.0
        picture = self._picture()
        asked = await self._questions(picture)
        paths: dict[PathQuery, FoundPath] = {}
        todo = iter(asked)
        while part := list(islice(todo, PATHS_PER_SEND)):
            with self._measured():
                paths.update(self._paths.ask(part))
            await asyncio.sleep(0)
        with self._measured():
            found = judge(picture, asked, paths, self._last.last_devices)
        self._log(found)
        self._last = found
        self._tell(found)

    async def _questions(self, picture: Picture) -> Mapping[PathQuery, Sequence[Sender]]:
        """Return what to ask the kernel about the way to each remote VTEP; other tasks run after each VTEPS_A_TURN."""
        with self._measured():
            questions = Questions(picture)
            reached = self._reached()
        more = True
        while more:
            with self._measured():
                part = list(islice(reached, VTEPS_A_TURN))
                questions.take(part)
                more = len(part) == VTEPS_A_TURN
            await asyncio.sleep(0)
        return questions.asked

    @contextlib.contextmanager
    def _measured(self) -> Iterator[None]:
        began = self._clock()
        yield
        self.work_s += self._clock() - began

    def _log(self, found: Underlay) -> None:
        """Log what is new and what is mended, by code: VTEPs that come and go are not a line each."""
        before, now = ({one.fault.code: one for one in of.troubles} for of in (self._last, found))
        for code, one in now.items():
            if code not in before:
                fault = one.fault
                logs.event(
                    log, logging.WARNING, "underlay", reason=code, why=fault.text, run=fault.mend, vteps=len(one.vteps)
                )
        for code in before.keys() - now.keys():
            logs.event(log, logging.INFO, "underlay mended", reason=code)
