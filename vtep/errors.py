"""Everything this program raises on purpose, by who must act.

    VtepError
    ├── ConfigError       the operator, before the start: every problem with its line and path
    ├── StreamError       the peer or ExaBGP: count it, keep the line, go on
    │   └── RouteError      one NLRI or attribute cannot be represented; the rest of its line is fine
    ├── KernelError       the kernel refused: operation, errno, message and row
    ├── LedgerError       the claims on disk cannot be trusted: the operator decides
    ├── UsageError        the words of a command or of a client's request
    ├── UnreachableError  the daemon that a command asks is not there, or refuses
    └── Bug               us: crash

Knows nothing about who raises what when. An errno becomes a class of behaviour in `reconcile.retry`, never by text.
"""

from dataclasses import dataclass


class VtepError(Exception):
    """Any error that this program raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file, where it is, and what to do about it."""

    path: str
    what: str
    hint: str = ""
    line: int = 0
    """0: no single line of the file is wrong."""

    def __str__(self) -> str:
        text = f"{self.path}: {self.what}" if self.path else self.what
        return f"{text} (hint: {self.hint})" if self.hint else text


class ConfigError(VtepError):
    """A configuration that is refused, with all its problems and not just the first."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        self.source = source
        self.problems = problems
        super().__init__("\n".join(self.texts))

    @property
    def texts(self) -> list[str]:
        """Return a text for each problem, which begins with `FILE:LINE: `."""
        return [f"{self.source}:{found.line or ''}".rstrip(":") + f": {found}" for found in self.problems]


class StreamError(VtepError):
    """Something from ExaBGP that cannot be understood."""


class RouteError(StreamError):
    """One NLRI or attribute that no value of ours can represent."""


class KernelError(VtepError):
    """What the kernel said no to. The errno decides what happens next; the message is for people."""

    def __init__(self, operation: str, errno: int, message: str = "", row: str = "") -> None:
        self.operation = operation
        self.errno = errno
        self.message = message
        self.row = row
        super().__init__(f"{operation} {row}: {message or errno}".replace(" :", ":"))


class LedgerError(VtepError):
    """A ledger that must not be believed: damaged, of another boot, or of another namespace."""


class UsageError(VtepError):
    """A request that makes no sense as typed."""


class UnreachableError(VtepError):
    """A daemon that does not answer, or does not want to."""


class Bug(VtepError):  # noqa: N818 - the house's word for it
    """A broken promise inside this program."""
