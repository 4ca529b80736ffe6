"""The errors that this program raises on purpose, arranged by who must act.

    VtepError
    │   the operator, in the configuration
    ├── ConfigError         the file is refused; the error lists every problem with its line and path
    │   the operator, on this host
    ├── HostError           a port, socket, group or directory is in the way; it may go away while the file stays the same
    │   └── OccupiedError     another daemon has it
    ├── KernelError         the kernel refused a request; the error has the operation, errno, message and row
    ├── LedgerError         the claims on disk cannot be trusted; the operator decides what to keep
    ├── StateError          `state_dir` cannot be used at this moment; a later start may succeed
    │   the peer, or ExaBGP
    ├── StreamError         a line cannot be understood; it is counted and kept, and the next line is read
    │   └── RouteError        one NLRI or attribute cannot be represented; the rest of its line is used
    │   the client
    ├── UsageError          a command or a request is not valid as typed
    ├── UnreachableError    the daemon that a command asks does not answer, or refuses
    │   the programmer
    └── Bug                 a promise inside this program is broken; the daemon crashes

This module does not know which part raises an error, or what the caller does about it. `reconcile.retry` decides by errno,
never by text, what follows a KernelError.
"""

from typing import NamedTuple  # dataclasses would take each command three milliseconds to import


class VtepError(Exception):
    """Any error that this program raises on purpose."""


# The operator, in the configuration


class Problem(NamedTuple):
    """One problem in a file: its path, what is wrong, and what to do."""

    path: str
    what: str
    hint: str = ""
    line: int = 0
    """0: no single line of the file is wrong."""

    def __str__(self) -> str:
        text = f"{self.path}: {self.what}" if self.path else self.what
        return f"{text} (hint: {self.hint})" if self.hint else text


class ConfigError(VtepError):
    """A configuration is refused; the error has all its problems, not only the first."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        self.source = source
        self.problems = problems
        super().__init__("\n".join(self.texts))

    @property
    def texts(self) -> list[str]:
        """Return a text for each problem, which begins with `FILE:LINE: `."""
        return [f"{self.source}:{found.line or ''}".rstrip(":") + f": {found}" for found in self.problems]


# The operator, on this host


class HostError(VtepError):
    """Something on this host is in the way: a port that is taken, a group that does not exist, a directory without space.

    The same configuration may work later, so the daemon tries again, or its supervisor starts it again.
    """

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("; ".join(map(str, problems)))


class OccupiedError(HostError):
    """Another daemon has what this one needs."""


class KernelError(VtepError):
    """The kernel refused a request. The errno decides what happens next; the message is for people."""

    def __init__(self, operation: str, errno: int, message: str = "", row: str = "") -> None:
        self.operation = operation
        self.errno = errno
        self.message = message
        self.row = row
        super().__init__(f"{operation} {row}: {message or errno}".replace(" :", ":"))


class LedgerError(VtepError):
    """A ledger cannot be trusted: it is damaged, or of another boot or network namespace."""


class StateError(VtepError):
    """`state_dir` cannot be used at this moment: another daemon holds it, or the file system refuses."""


# The peer, or ExaBGP


class StreamError(VtepError):
    """A line of ExaBGP cannot be understood."""


class RouteError(StreamError):
    """One NLRI or attribute cannot be represented by any value of this program."""


# The client


class UsageError(VtepError):
    """A command or a request is not valid as typed."""


class UnreachableError(VtepError):
    """The daemon does not answer, or refuses the request."""


# The programmer


class Bug(VtepError):  # noqa: N818 - a bug is more than an error
    """A promise inside this program is broken."""
