"""The log: events with fields, one line for each event, on stderr.

The lines are JSON, or plain text if stderr is a terminal. If stderr is the journal of systemd, each line starts with the
priority that the journal reads. Every string is escaped, because a peer chooses some of them: none may contain a terminal's
control sequence or start a second line.

This module knows no event by name; each caller names its own. Importing it changes nothing: a program calls `set_up`.
"""

import json
import logging
import os
import sys
import time
from types import TracebackType
from typing import Any, Final

_PRIORITY: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


def set_up(level: str = "info") -> None:
    """Send the log of this process to stderr. Programs call this; no import does."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        TextFormatter() if sys.stderr.isatty() else JsonFormatter(journal="JOURNAL_STREAM" in os.environ)
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    sys.excepthook = _crashed


def event(log: logging.Logger, level: int, name: str, /, **fields: Any) -> None:
    """Log one event with its fields."""
    if log.isEnabledFor(level):
        log.log(level, name, extra={"fields": fields})


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log the exception that ends this process. The interpreter itself would print its text unescaped."""
    logging.getLogger("vtep").critical("crashed", exc_info=(kind, error, trace))


def escaped(text: str) -> str:
    """Return the text with every character escaped that would act on a terminal or start another line."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


class LineLimit:
    """At most so many lines of one kind in a period; the others are counted, so that a later line can say how many."""

    def __init__(self, most: int, period_s: float) -> None:
        self._most = most
        self._period_s = period_s
        self._ends: float | None = None
        self._logged = 0
        self._left_out = 0

    @property
    def due(self) -> float | None:
        """When the period ends in which lines were left out."""
        return self._ends if self._left_out else None

    def allows(self, now: float) -> bool:
        """Tell whether one more line may be logged; if not, count it."""
        if self._ends is None or now >= self._ends:
            self._ends, self._logged = now + self._period_s, 0
        self._logged += 1
        if self._logged <= self._most:
            return True
        self._left_out += 1
        return False

    def take_left_out(self, now: float | None = None) -> int:
        """Return how many lines were left out, once; with a time, only after the period has ended."""
        if now is not None and self._ends is not None and now < self._ends:
            return 0
        left_out, self._left_out = self._left_out, 0
        return left_out


class JsonFormatter(logging.Formatter):
    """One JSON object for each event."""

    def __init__(self, *, journal: bool = False) -> None:
        super().__init__()
        self._to_journal = journal

    def format(self, record: logging.LogRecord) -> str:
        entry = {"ts": _timestamp(record), "level": record.levelname.lower(), "event": record.getMessage()}
        entry |= {name: _plain(value) for name, value in _fields(record).items()}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        prefix = f"<{_PRIORITY.get(record.levelno, 6)}>" if self._to_journal else ""
        return prefix + json.dumps(entry)


class TextFormatter(logging.Formatter):
    """One line of text for each event, such as `12:00:00.000 info  exabgp-connected exabgp_pid=7`."""

    def format(self, record: logging.LogRecord) -> str:
        words = [_timestamp(record)[11:23], f"{record.levelname.lower():<7}", escaped(record.getMessage())]
        words += [f"{name}={_quoted(_plain(value))}" for name, value in _fields(record).items()]
        text = " ".join(words)
        trace = self.formatException(record.exc_info).split("\n") if record.exc_info else ()
        # A traceback is indented, so that no line of an exception's text looks like a line of the log.
        return "\n".join((text, *(f"  {escaped(line)}" for line in trace)))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float | None):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return json.dumps(text) if not text or any(c.isspace() or not c.isprintable() or c in '"=' for c in text) else text


def _timestamp(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
