"""The words of the commands that ask a running daemon: their options, their help, and which function does the work.

Knows what may be typed. Imports neither grpc nor the messages, so that --help, completion and a typing error answer at
once; each command's module is imported when the command runs.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from importlib import import_module
from io import TextIOWrapper
from textwrap import fill
from typing import Any, Final

from vtep.addr import Ip, Mac, Vni
from vtep.errors import UsageError

DEFAULT_ADDRESS: Final = "unix:/run/vtep/vtep.sock"
DEADLINE_S: Final = 5.0
DIFF_DEADLINE_S: Final = 60.0
"""A look at the whole kernel takes as long as its table is large."""

STATES: Final = ("pending", "installed", "failed", "contested", "stale", "suppressed")
LEVELS: Final = ("debug", "info", "warning", "error")
SHELLS: Final = ("bash", "zsh", "fish")

_EXIT: Final = "exit codes: 0 fine, 2 usage, 3 the daemon cannot be reached or refuses"
_SINCE: Final = "10m, 2h, 1d (so long ago), 14:30 (today), or a time such as 2026-11-21T14:30:00Z"


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add every command that asks a daemon."""
    for add in (_add_reads, _add_explain, _add_watch, _add_orders, _add_health):
        add(commands)


def _add_reads(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    _command(
        commands, "status", "listing:status", "the daemon on one screen",
        "Whether everything heard is in the kernel, what keeps it from that, and the figures.", "vtep status",
    )  # fmt: skip
    _command(
        commands, "vnis", "listing:vnis", "every configured VNI, and why it is not ready",
        "Every configured VNI with its devices, its state and its rows.", "vtep vnis -o json | jq '.vnis[].state'",
    )  # fmt: skip
    macs = _command(
        commands, "macs", "listing:macs", "the remote MAC table",
        "Every remote MAC that is wanted, where it is, what is done about it, and why.",
        "vtep macs --vni 100 --state failed",
    )  # fmt: skip
    _add_vni(macs)
    macs.add_argument("--vtep", metavar="IP", type=_ip, help="only those behind this VTEP")
    macs.add_argument(
        "--state", metavar="STATE", choices=STATES, type=str.lower, action="append", default=[],
        help=f"only those in this state ({', '.join(STATES)}); may be given more than once",
    )  # fmt: skip
    macs.add_argument("--limit", metavar="N", type=_count, help="at most so many rows (default: all)")
    vteps = _command(
        commands, "vteps", "listing:vteps", "every remote VTEP of every VNI",
        "Every remote VTEP, how many MACs are behind it, and its flood row.", "vtep vteps --vni 100",
    )  # fmt: skip
    _add_vni(vteps)
    neighbors = _command(
        commands, "neighbors", "listing:neighbors", "host addresses behind remote VTEPs",
        "The host addresses for which the bridge answers ARP and ND.", "vtep neighbors --vni 100",
    )  # fmt: skip
    _add_vni(neighbors)
    _command(
        commands, "peers", "listing:peers", "every BGP peer that ExaBGP told of",
        "Every BGP peer: up or why not, whether it has told all it has, and its routes.", "vtep peers",
    )  # fmt: skip
    events = _command(
        commands, "events", "listing:events", "what happened lately",
        "Moves, duplicates, rows that others hold, repairs, peers: what the daemon remembers of them.",
        "vtep events --since 1h",
    )  # fmt: skip
    events.add_argument("--since", metavar="WHEN", type=_since, help=_SINCE)
    diff = _command(
        commands, "diff", "listing:diff", "what is wanted against the kernel now",
        "Looks at the kernel, compares, and writes nothing.", "vtep diff --vni 100",
        deadline_s=DIFF_DEADLINE_S, exits="exit codes: 0 equal, 1 different, 2 usage, 3 unreachable or refused",
    )  # fmt: skip
    _add_vni(diff)


def _add_explain(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    explain = _command(
        commands, "explain", "explain:explain", "where a MAC is, or where it stopped and why",
        "The summary and what to do first; then every candidate with its verdict and reason, what is wanted, whose the row is, what the kernel has, pending work with "
        "the last error, and what happened of late.",
        "vtep explain 02:00:00:00:00:01 --vni 100",
    )  # fmt: skip
    explain.add_argument("mac", metavar="MAC", type=_mac, help="in any usual notation")
    _add_vni(explain)


def _add_watch(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    watch = _command(
        commands, "watch", "watch:watch", "changes as they happen",
        "On a terminal it redraws in place; otherwise one line for each change. -o json is "
        'JSON lines, each with a "type". Goes on where it was when the daemon comes back; Ctrl-C ends it.',
        "vtep watch --since 10m", deadline_s=None,
    )  # fmt: skip
    watch.add_argument("--since", metavar="WHEN", type=_since, help=f"begin with the events since then: {_SINCE}")
    watch.add_argument("--table", action="store_true", help="begin with every row that is there")


def _add_orders(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    admin = (
        "Asks the admin service: at --address, else at $VTEP_ADMIN_ADDRESS, else where the daemon says it is.\n" + _EXIT
    )
    adopt = _command(
        commands, "adopt", "requests:adopt", "take rows that bear our mark and that nobody claims",
        "Rows of an earlier life that nobody wants or claims. Those still unwanted are then removed.",
        "vtep adopt --dry-run", exits=admin,
    )  # fmt: skip
    _add_vni(adopt)
    adopt.add_argument("--dry-run", action="store_true", help="say which, and take none")
    resync = _command(
        commands, "resync", "requests:resync", "look at the whole kernel anew",
        "Looks at everything anew, and tries again what was refused for good.", "vtep resync --peers", exits=admin,
    )  # fmt: skip
    resync.add_argument("--peers", action="store_true", help="ask the peers as well to tell all their routes again")
    clear = _command(
        commands, "clear-duplicate", "requests:clear_duplicate", "free a MAC that is frozen or counted as moving",
        "Forgets how often the MAC moved, and frees it where it is frozen.",
        "vtep clear-duplicate 02:00:00:00:00:01", exits=admin,
    )  # fmt: skip
    clear.add_argument("mac", metavar="MAC", type=_mac, help="in any usual notation")
    _add_vni(clear)
    level = _command(
        commands, "log-level", "requests:log_level", "tell more or less in the log",
        "Until the daemon ends.", "vtep log-level debug", exits=admin,
    )  # fmt: skip
    level.add_argument("level", metavar="LEVEL", choices=LEVELS, type=str.lower, help=", ".join(LEVELS))


def _add_health(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    health = _command(
        commands, "health", "health:health", "ready or not, for scripts and containers",
        "Ready is: every peer has told all it has, and the kernel has every row that it does not refuse. Says why when it is not.",
        "vtep health --wait 30",
        exits="exit codes: 0 ready, 1 not ready, 2 usage, 3 unreachable or refused",
    )  # fmt: skip
    health.add_argument("--wait", metavar="SECONDS", type=_seconds, default=0.0, help="wait so long for it")


def add_completion(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", whole: argparse.ArgumentParser
) -> None:
    """Add the command that prints a completion script for everything that the whole parser knows."""
    parser = commands.add_parser(
        "completion", help="a script that completes vtep's words in a shell", formatter_class=_Formatter,
        description="Prints commands, options and choices in the language of the shell.",
        epilog="examples:\n  source <(vtep completion bash)\n  vtep completion zsh > ~/.zfunc/_vtep\n"
        "  vtep completion fish > ~/.config/fish/completions/vtep.fish",
    )  # fmt: skip
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    parser.set_defaults(command=_later("completion:completion"), whole=whole)


class _Formatter(argparse.HelpFormatter):
    """Wraps sentences, and keeps indented lines as they are: they are examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = text.splitlines()
        return "\n".join(line if line.startswith(" ") else fill(line, width, initial_indent=indent) for line in lines)


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    work: str,
    summary: str,
    description: str,
    example: str,
    *,
    deadline_s: float | None = DEADLINE_S,
    exits: str = _EXIT,
) -> argparse.ArgumentParser:
    """Add a command with what all of them take; `work` names its module and function."""
    parser = commands.add_parser(
        name, help=summary, description=description, epilog=f"example:\n  {example}\n\n{exits}",
        formatter_class=_Formatter,
    )  # fmt: skip
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="table (default) or json")
    parser.add_argument(
        "--address", metavar="ADDRESS",
        help=f"unix:/path, /path, or host:port (default: $VTEP_ADDRESS, else {DEFAULT_ADDRESS})",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds_some, default=deadline_s,
        help=f"how long one answer may take (default: {deadline_s:g})" if deadline_s else
        f"how long the first answer may take (default: {DEADLINE_S:g})",
    )  # fmt: skip
    tls = parser.add_argument_group("TLS, for host:port")
    tls.add_argument("--tls-ca", metavar="FILE", help="whose certificates to trust (default: $VTEP_TLS_CA)")
    tls.add_argument("--tls-cert", metavar="FILE", help="our certificate (default: $VTEP_TLS_CERT)")
    tls.add_argument("--tls-key", metavar="FILE", help="its private key (default: $VTEP_TLS_KEY)")
    parser.set_defaults(command=_later(work))
    return parser


def _later(work: str) -> Callable[[argparse.Namespace], int]:
    """Return what imports the command's module when it runs."""
    module, function = work.split(":")

    def run(options: argparse.Namespace) -> int:
        # The C core would write lines of its own on standard error. It reads this when it is imported.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        command: Callable[[argparse.Namespace], int] = getattr(import_module(f"vtep.cli.{module}"), function)
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a locale without a character is no reason to stop
        try:
            code = command(options)
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UsageError(f"the output cannot be written: {error.strerror}") from None
        return code

    return run


def _add_vni(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vni", metavar="N", type=_vni, default=0, help="only this VNI")


# What is typed, turned into values


def _parsed(parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _mac(text: str) -> Mac:
    mac: Mac = _parsed(Mac.parse, text)
    return mac


def _ip(text: str) -> Ip:
    ip: Ip = _parsed(Ip.parse, text)
    return ip


def _vni(text: str) -> Vni:
    vni: Vni = _parsed(lambda digits: Vni(_number(digits)), text)
    if not vni:
        raise argparse.ArgumentTypeError("0 is no VNI to ask for (1 to 16777215)")
    return vni


def _count(text: str) -> int:
    count: int = _parsed(_number, text)
    return count


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is no number")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text.removesuffix("s"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= _SECONDS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value


_SECONDS_MAX: Final = 1e6
"""More than eleven days is a typing error, and beyond some years a deadline cannot be told to gRPC."""


def _seconds_some(text: str) -> float:
    value = _seconds(text)
    if not value:
        raise argparse.ArgumentTypeError("0 seconds is no time to answer in")
    return value


_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _since(text: str, now: datetime | None = None) -> datetime:
    """Read a time, or how long ago one was; a time without a zone is local."""
    now = now or datetime.now(UTC).astimezone()
    if ago := re.fullmatch(r"(\d{1,6})([smhd])", text.strip(), re.ASCII):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return datetime.combine(now.date(), time.fromisoformat(text)).astimezone()
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time ({_SINCE})") from None
