"""`state_dir` in a running daemon: one daemon at a time, which opens its files, compacts them, and logs what is wrong with them.

A file that cannot be relied on is set aside, with the reason in the log. A file that cannot be written is logged when that
begins, once a minute while it lasts, and when it ends. Does not know what the files say.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol, TypeVar

from vtep import logs
from vtep.errors import LedgerError, StateError
from vtep.observe.model import StateFile
from vtep.store.directory import Directory
from vtep.store.journal import JournalStatus

LOG_S: Final = 60.0
"""A trouble that lasts is logged again so often."""
TEND_S: Final = 0.1
"""The pause between two pieces of a compaction."""

log = logging.getLogger("vtep")


class Kept(Protocol):
    """A file of the directory, as its owner has it."""

    @property
    def torn(self) -> int: ...
    def status(self) -> JournalStatus: ...
    def tend(self) -> None: ...


T = TypeVar("T", bound=Kept)


class StateDirectory:
    """One daemon's `state_dir`."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.path = path
        self._clock = clock
        self._files: dict[str, Kept] = {}
        self._logged: dict[str, float] = {}
        """When the trouble of a file was last logged."""

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other daemons out of the directory; a StateError says why it cannot be used."""
        try:
            directory = Directory(self.path)
        except OSError as error:
            raise StateError(
                f"node.state_dir: {self.path}: {error.strerror}; make it usable, or set another one"
            ) from None
        try:
            directory.lock()
            for danger in directory.dangers():
                logs.event(log, logging.WARNING, "state_dir not safe", why=danger)
            yield
        finally:
            self._files.clear()
            directory.close()

    def open(self, name: str, make: Callable[[Path, bool], T], refused: str) -> T:
        """Open a file. One that cannot be relied on is set aside, or else ignored, and the reason logged as `refused`."""
        path = self.path / name
        try:
            file = make(path, False)
        except LedgerError as error:
            aside = path.with_name(f"{name}.refused")
            try:
                path.replace(aside)
            except OSError:
                aside = path
            logs.event(log, logging.ERROR, refused, why=error, kept=aside)
            file = make(path, True)
        if file.torn:
            logs.event(log, logging.WARNING, "ledger cut short", file=path, octets=file.torn)
        self._files[name] = file
        self._log_trouble(name, file.status())
        return file

    def tend(self) -> None:
        """Compact what is due, and log what cannot be written; call it often."""
        for name, file in self._files.items():
            file.tend()
            self._log_trouble(name, file.status())

    async def run(self) -> None:
        """Tend the files until cancelled."""
        while True:
            await asyncio.sleep(TEND_S)
            self.tend()

    def status(self) -> tuple[StateFile, ...]:
        return tuple(_status(name, file.status()) for name, file in self._files.items())

    def _log_trouble(self, name: str, status: JournalStatus) -> None:
        """Log a file that cannot be written: when that begins, now and then while it lasts, and when it ends."""
        now, logged = self._clock(), self._logged.get(name)
        if not status.trouble:
            if logged is not None:
                del self._logged[name]
                logs.event(log, logging.INFO, "state file written again", file=status.path)
        elif logged is None or now >= logged + LOG_S:
            self._logged[name] = now
            hint = f"make room on that disk, or make it writable: df {self.path}"
            logs.event(log, logging.ERROR, "state file not written", file=status.path, why=status.trouble, hint=hint)


def _status(name: str, status: JournalStatus) -> StateFile:
    return StateFile(name=name, octets=status.octets, records=status.records, trouble=status.trouble)
