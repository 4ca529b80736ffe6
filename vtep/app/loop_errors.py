"""The log of what goes wrong in the event loop itself, where no task waits for the result.

asyncio hands such errors to a handler; its own one logs each with a traceback. When the process has no file descriptor
left, that was 100 tracebacks a second for each listening socket, because asyncio tries to accept again and again. Here
each kind of error has a limit, and what was left out is counted. Knows nothing about what the loop runs.
"""

import asyncio
import errno
import logging
import os
from collections.abc import Callable
from typing import Any, Final

from vtep import logs
from vtep.logs import LineLimit

PERIOD_S: Final = 60.0
BUGS_LOGGED: Final = 10
"""In a period, with their tracebacks."""

_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

log = logging.getLogger("vtep")


class LoopErrors:
    """The exception handler of an event loop: `loop.set_exception_handler(LoopErrors(clock))`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._exhausted = LineLimit(1, PERIOD_S)
        self._bugs = LineLimit(BUGS_LOGGED, PERIOD_S)

    def __call__(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _EXHAUSTED:
            self._log_exhausted(os.strerror(error.errno or 0))
        elif self._bugs.allows(self._clock()):
            fields = {"what": context.get("message", ""), "left_out": self._bugs.take_left_out()}
            log.error("event loop error", exc_info=error, extra={"fields": fields})

    def _log_exhausted(self, why: str) -> None:
        if self._exhausted.allows(self._clock()):
            hint = f"see who holds connections: ls -l /proc/{os.getpid()}/fd; raise LimitNOFILE if that is expected"
            left_out = self._exhausted.take_left_out()
            logs.event(log, logging.ERROR, "connection not accepted", why=why, hint=hint, left_out=left_out)
