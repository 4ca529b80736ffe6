"""The commands that ask a running daemon: their options, their help, and the functions that do the work.

Knows what may be typed. Imports neither grpc nor the messages, so that --help, completion and typing errors are
immediate; the module of a command is imported when the command runs.
"""

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from io import TextIOWrapper
from time import sleep, strftime
from typing import TYPE_CHECKING, Any, Final

from vtep.errors import UnreachableError, UsageError

if TYPE_CHECKING:  # each is imported where an option needs it, so that `vtep --help` imports none
    from datetime import datetime
    from pathlib import Path

    from vtep.addr import Ip, Mac, Prefix, RouteDistinguisher, Vni

DEFAULT_ADDRESS: Final = "unix:/run/vtep/vtep.sock"
DEADLINE_S: Final = 5.0
DIFF_DEADLINE_S: Final = 60.0
"""Reading all tables of the kernel takes longer the larger they are."""

OUTPUTS: Final = ("table", "wide", "json", "yaml", "jsonl")
WATCH_S: Final = 2.0
STATES: Final = ("pending", "installed", "failed", "contested", "stale", "suppressed")
LEVELS: Final = ("debug", "info", "warning", "error")
ROUTE_TYPES: Final = (1, 2, 3, 4, 5)
SHELLS: Final = ("bash", "zsh", "fish")

_EXIT: Final = "exit codes: 0 fine, 2 usage, 3 the daemon cannot be reached or refuses"
_SINCE: Final = "10m, 2h, 1d (so long ago), 14:30 (today), or a time such as 2026-11-21T14:30:00Z"


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add every command that asks a daemon."""
    for add in (_add_reads, _add_explain, _add_watch, _add_report, _add_orders, _add_health):
        add(commands)


def _add_reads(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    _command(
        commands, "status", "listing:status", "the daemon on one screen",
        "Whether the kernel has every row that is wanted, what prevents that, and the counts.", "vtep status",
    )  # fmt: skip
    _command(
        commands, "vnis", "listing:vnis", "every configured VNI, and why it is not ready",
        "Every configured VNI with its devices, its state and its rows.", "vtep vnis -o json | jq '.vnis[].state'",
        is_list=True,
    )  # fmt: skip
    macs = _command(
        commands, "macs", "stations:macs", "the remote MAC table, or the stations of this leaf",
        "Every remote MAC that is wanted, where it is, what is done about it, and why; or, with --local, every station of this leaf.",
        "vtep macs 02:00:5e --vni 100 --state failed", is_list=True,
    )  # fmt: skip
    _add_vni(macs)
    _add_prefix(macs)
    macs.add_argument("--vtep", metavar="IP", type=_ip, help="only those behind this VTEP")
    macs.add_argument(
        "--state", metavar="STATE", choices=STATES, type=str.lower, action="append", default=[],
        help=f"only those in this state ({', '.join(STATES)}); may be given more than once",
    )  # fmt: skip
    which = macs.add_mutually_exclusive_group()
    which.add_argument("--remote", action="store_true", help="the remote MACs (default)")
    which.add_argument(
        "--local",
        action="store_true",
        help="the stations of this leaf, and how far each is advertised or why it is not",
    )
    which.add_argument("--all", action="store_true", help="both, one after the other")
    _add_peer(macs)
    _add_limit(macs, "at most so many rows (default: all)")
    vteps = _command(
        commands, "vteps", "listing:vteps", "every remote VTEP of every VNI",
        "Every remote VTEP, how many MACs are behind it, and its flood row.", "vtep vteps --vni 100",
        is_list=True,
    )  # fmt: skip
    _add_vni(vteps)
    neighbors = _command(
        commands, "neighbors", "listing:neighbors", "host addresses behind remote VTEPs",
        "The host addresses for which the bridge answers ARP and ND.", "vtep neighbors --vni 100",
        is_list=True,
    )  # fmt: skip
    _add_prefix(neighbors)
    _add_vni(neighbors)
    _add_peer(neighbors)
    _add_limit(neighbors, "at most so many rows (default: all)")
    _command(
        commands, "peers", "listing:peers", "every BGP peer of ExaBGP",
        "Every BGP peer: up or why it is down, whether it has sent End-of-RIB, and its routes.", "vtep peers",
        is_list=True,
    )  # fmt: skip
    _add_routes(commands)
    _add_vrfs(commands)
    events = _command(
        commands, "events", "listing:events", "recent events",
        "Recent moves, duplicates, contested rows, repairs and sessions, as the daemon remembers them.",
        "vtep events --since 1h --kind move --vni 100", is_list=True,
    )  # fmt: skip
    events.add_argument("--since", metavar="WHEN", type=_since, help=_SINCE)
    _add_prefix(events, "--mac")
    events.add_argument(
        "--key", metavar="KEY", default="", help="only of this prefix or address, as the events have it"
    )
    _add_vni(events)
    _add_peer(events, "only events of this peer, and moves by its routes")
    events.add_argument(
        "--kind", metavar="KIND", action="append", default=[],
        help="only events of this kind, such as move or peer-down (docs/json.md); may be given more than once",
    )  # fmt: skip
    _add_limit(events, "only the last so many (default: all)")
    diff = _command(
        commands, "diff", "listing:diff", "what is wanted compared with the kernel now",
        "Reads the kernel and compares it with what is wanted. Writes nothing.", "vtep diff --vni 100",
        is_list=True, deadline_s=DIFF_DEADLINE_S, exits="exit codes: 0 equal, 1 different, 2 usage, 3 unreachable or refused",
    )  # fmt: skip
    _add_vni(diff)
    diff.add_argument(
        "--older-than", metavar="SECONDS", type=_seconds, default=0.0,
        help="only what has differed for so long, so that changes under way do not count (such as 5s)",
    )  # fmt: skip


def _add_routes(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    routes = _command(
        commands, "routes", "routes:routes", "every route that was received or is advertised",
        "Every route that peers have sent, with what became of it and why; or, with --advertised, every route of this leaf and how far ExaBGP knows it.",
        "vtep routes --refused --summary", is_list=True,
    )  # fmt: skip
    routes.add_argument(
        "--type", metavar="N", choices=ROUTE_TYPES, default=0, type=_count,
        help="only routes of this type: 1 Ethernet A-D, 2 MAC/IP, 3 inclusive multicast, 4 segment, 5 prefix",
    )  # fmt: skip
    _add_peer(routes)
    routes.add_argument("--rd", metavar="RD", type=_rd, help="only with this Route Distinguisher")
    routes.add_argument(
        "--vni", metavar="N", type=_vni, default=0, help="only those that concern this VNI, or have it as their label"
    )
    routes.add_argument("--mac", metavar="MAC", type=_mac, help="only with this MAC")
    routes.add_argument("--ip", metavar="IP", type=_ip, help="only with this host address")
    routes.add_argument(
        "--refused",
        action="store_true",
        help="only routes that may not win; with --advertised, those that ExaBGP refused",
    )
    routes.add_argument("--reason", metavar="CODE", default="", help="only with this reason code (docs/reasons.md)")
    routes.add_argument("--advertised", action="store_true", help="the routes of this leaf instead of those received")
    routes.add_argument(
        "--summary", action="store_true", help="count the routes that may not win, by peer, VNI and reason"
    )
    _add_limit(routes, "at most so many rows (default: all)")


def _add_vrfs(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    _command(
        commands, "vrfs", "routed:vrfs", "every VRF with its devices and counts",
        "Every configured VRF: its L3VNI, devices and table, whether it is ready, and how much is routed.", "vtep vrfs",
        is_list=True,
    )  # fmt: skip
    prefixes = _command(
        commands, "prefixes", "routed:prefixes", "prefixes that remote VTEPs reach",
        "The prefixes of the VRFs that remote VTEPs reach, and whether the kernel has the route.",
        "vtep prefixes --vrf blue", is_list=True,
    )  # fmt: skip
    _add_vrf(prefixes)
    prefixes.add_argument("--vtep", metavar="IP", type=_ip, help="only those that this VTEP reaches")
    _add_limit(prefixes, "at most so many rows (default: all)")
    nexthops = _command(
        commands, "nexthops", "routed:nexthops", "nexthops and groups of nexthops",
        "The nexthop objects of the VRFs: each to a VTEP, or a group of them for several paths.",
        "vtep nexthops --vrf blue", is_list=True,
    )  # fmt: skip
    _add_vrf(nexthops)
    segments = _command(
        commands, "segments", "segments:segments", "Ethernet segments: ours with their filters, remote ones with their VTEPs",
        "The segments of this leaf: how their port is, who is the designated forwarder of each VNI, and whether the kernel has the filter. "
        "Then the groups of VTEPs that share the frames of MACs on remote segments, and why a VTEP is not used. With -o jsonl only these.",
        "vtep segments --vni 100", is_list=True,
    )  # fmt: skip
    _add_vni(segments)
    segments.add_argument("--esi", metavar="ESI", default="", help="only this segment")


def _add_vrf(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vrf", metavar="NAME", default="", help="only this VRF")


def _add_explain(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    explain = _command(
        commands, "explain", "explain:explain", "where a MAC or an IP address is, or where it stopped and why; or how a device is",
        "First a summary and what to do; then the candidates with verdict and reason, the row that is wanted, its claim, what the kernel has, pending work with "
        "the last error, and recent events. Of an IP address: which MAC has it, where that is, its neighbor row, and whether the bridge answers for it. "
        "Of a device: what is wanted, what is there, whose it is, what was written last or refused, and what to do.",
        "vtep explain 02:00:00:00:00:01 --vni 100",
    )  # fmt: skip
    explain.add_argument("subject", metavar="MAC|IP|PREFIX|DEVICE", type=_subject, help="in any usual notation")
    explain.add_argument(
        "--vrf", metavar="NAME", default="", help="the VRF of a prefix, or of an address that is routed"
    )
    _add_vni(explain)


def _add_watch(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    watch = _command(
        commands, "watch", "watch:watch", "changes as they happen",
        "On a terminal it redraws in place; otherwise one line for each change. -o json is "
        'JSON lines, each with a "type". Continues when the daemon comes back; Ctrl-C ends it.',
        "vtep watch --since 10m", deadline_s=None,
    )  # fmt: skip
    watch.add_argument("--since", metavar="WHEN", type=_since, help=f"begin with the events since that time: {_SINCE}")
    watch.add_argument("--table", action="store_true", help="begin with every row")

    _command(
        commands, "top", "top:top", "a live screen: rates, progress, the worst VNIs, the last changes",
        "Fills the terminal and redraws twice a second. q or Ctrl-C ends it.", "vtep top", has_output=False,
    )  # fmt: skip


def _add_report(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    report = _command(
        commands, "report", "report:report", "an archive for a supporter",
        "Status, what is not as wanted with its explanation, recent events, the kernel's tables, versions, configurations and logs. "
        "Passwords and keys are left out; MACs, addresses and peers are in it. In place of a part that cannot be read is the reason.",
        "vtep report /tmp/leaf7.tar.gz", has_output=False, deadline_s=DIFF_DEADLINE_S,
        exits="exit codes: 0 the archive is written (also where the daemon does not answer), 2 usage, or the file cannot be written",
    )  # fmt: skip
    report.add_argument(
        "file",
        metavar="FILE",
        type=file_path,
        nargs="?",
        help="where to write it (default: vtep-report-HOST-TIME.tar.gz)",
    )
    report.add_argument(
        "--config", metavar="FILE", type=file_path, default="/etc/vtep/vtep.toml",
        help="the configuration of the daemon; exabgp.conf is looked for beside it (default: /etc/vtep/vtep.toml)",
    )  # fmt: skip


def _add_orders(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    admin = "Uses the admin service at --address, or at $VTEP_ADMIN_ADDRESS, or where the daemon says it is.\n" + _EXIT
    adopt = _command(
        commands, "adopt", "requests:adopt", "claim rows that bear our signature and are not claimed",
        "Claims orphans: rows of an earlier life of the daemon that are neither wanted nor claimed. Those that are still not wanted are then removed.",
        "vtep adopt --dry-run", exits=admin,
    )  # fmt: skip
    _add_vni(adopt)
    adopt.add_argument("--dry-run", action="store_true", help="list the rows, and claim none")
    adopt.add_argument(
        "--foreign", action="store_true", help="claim the rows of another daemon, such as FRR, that are as wanted"
    )
    adopt.add_argument(
        "--remove-unwanted",
        action="store_true",
        help="as --foreign, and also claim those that are not as wanted: they are corrected or removed",
    )
    resync = _command(
        commands, "resync", "requests:resync", "read the whole kernel again",
        "Reads every table again, and retries what was refused permanently.", "vtep resync --peers", exits=admin,
    )  # fmt: skip
    resync.add_argument("--peers", action="store_true", help="also request all routes from the peers again")
    clear = _command(
        commands, "clear-duplicate", "requests:clear_duplicate", "free a MAC that is frozen or that counts as moving",
        "Resets the count of moves of the MAC, and frees it if it is frozen.",
        "vtep clear-duplicate 02:00:00:00:00:01", exits=admin,
    )  # fmt: skip
    clear.add_argument("mac", metavar="MAC", type=_mac, help="in any usual notation")
    _add_vni(clear)
    level = _command(
        commands, "log-level", "requests:log_level", "change how much the log has",
        "The level is kept until the daemon ends.", "vtep log-level debug", exits=admin,
    )  # fmt: skip
    level.add_argument("level", metavar="LEVEL", choices=LEVELS, type=str.lower, help=", ".join(LEVELS))


def _add_health(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    health = _command(
        commands, "health", "health:health", "ready or not, for scripts and containers",
        "Ready means that every expected peer has sent all its routes, that a BGP session is established or within its hold, and that the kernel has every row that "
        "it does not refuse. Degraded means ready, with something that a person should mend. Says why it is not ready, or what is to be mended.",
        "vtep health --wait 30",
        exits="exit codes: 0 ready or degraded, 1 not ready, 2 usage, 3 unreachable or refused, 4 degraded with --strict",
    )  # fmt: skip
    health.add_argument(
        "--wait", metavar="SECONDS", type=_seconds, default=0.0, help="wait up to so many seconds for it to be ready"
    )
    health.add_argument("--strict", action="store_true", help="exit with 4 if it is degraded")


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


class Formatter(argparse.HelpFormatter):
    """As wide as the terminal. `argparse` itself would import the compressors of `shutil` to find out how wide that is."""

    def __init__(self, prog: str) -> None:
        columns = os.environ.get("COLUMNS", "")
        if columns.isascii() and columns.isdigit() and int(columns):
            width = int(columns)
        else:
            try:
                width = os.get_terminal_size(1).columns or 80
            except OSError:
                width = 80
        super().__init__(prog, width=width - 2)


class Parser(argparse.ArgumentParser):
    """A parser, and one of each command, that formats its help as `Formatter` does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", Formatter)
        super().__init__(*args, **kwargs)


class _Formatter(Formatter):
    """Wraps sentences, and keeps indented lines as they are: they are examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        from textwrap import fill

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
    is_list: bool = False,
    has_output: bool = True,
    deadline_s: float | None = DEADLINE_S,
    exits: str = _EXIT,
) -> argparse.ArgumentParser:
    """Add a command with the options that all commands have; `work` names its module and function."""
    parser = commands.add_parser(
        name, help=summary, description=description, epilog=f"example:\n  {example}\n\n{exits}",
        formatter_class=_Formatter,
    )  # fmt: skip
    if has_output:
        parser.add_argument(
            "-o", "--output", choices=OUTPUTS, default="table",
            help="table (default), wide (more columns, nothing cut), json (one object), yaml, or jsonl (a row a line)",
        )  # fmt: skip
        parser.add_argument("-p", "--pretty", action=_Pretty, nargs=0, default=False, help="indented JSON")
    if is_list:
        parser.add_argument("--sort", metavar="COLUMN", default="", help="sort by this column, for example: since")
        parser.add_argument("--reverse", action="store_true", help="with --sort: the largest first")
        parser.add_argument(
            "--watch", metavar="SECONDS", type=_seconds_some, nargs="?", const=WATCH_S,
            help=f"show it again every so many seconds ({WATCH_S:g})",
        )  # fmt: skip
    add_connection(parser, deadline_s)
    parser.set_defaults(command=_later(work))
    return parser


def add_connection(parser: argparse.ArgumentParser, deadline_s: float | None = DEADLINE_S) -> None:
    """Add the options that say how the daemon is reached."""
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
    tls.add_argument("--tls-ca", metavar="FILE", help="the CA whose certificates to trust (default: $VTEP_TLS_CA)")
    tls.add_argument("--tls-cert", metavar="FILE", help="our certificate (default: $VTEP_TLS_CERT)")
    tls.add_argument("--tls-key", metavar="FILE", help="its private key (default: $VTEP_TLS_KEY)")


class _Pretty(argparse.Action):
    """Indent JSON; without another format, -p is enough to ask for it."""

    def __call__(self, _: argparse.ArgumentParser, options: argparse.Namespace, *__: object) -> None:
        options.pretty = True
        options.output = "json" if options.output == "table" else options.output


def _later(work: str) -> Callable[[argparse.Namespace], int]:
    """Return a function that imports the module of the command when the command runs."""
    module, function = work.split(":")

    def run(options: argparse.Namespace) -> int:
        # The C core would write lines of its own to standard error. It reads this variable when it is imported.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        command: Callable[[argparse.Namespace], int] = getattr(import_module(f"vtep.cli.{module}"), function)
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # for locales that lack a character
        try:
            again: float | None = getattr(options, "watch", None)
            code = _again_and_again(command, options, again) if again else command(options)
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UsageError(f"the output cannot be written: {error.strerror}") from None
        return code

    return run


def _again_and_again(command: Callable[[argparse.Namespace], int], options: argparse.Namespace, pause_s: float) -> int:
    """Run the command until Ctrl-C. A daemon that has answered once is waited for."""
    is_screen = sys.stdout.isatty() and options.output in ("table", "wide")
    has_answered = False
    while True:
        if is_screen:
            print(f"\x1b[H\x1b[2Jevery {pause_s:g} s, {strftime('%H:%M:%S')}; Ctrl-C ends it\n")
        try:
            command(options)
            has_answered = True
        except UnreachableError as error:
            if not has_answered:
                raise
            print(f"vtep: {error}", file=sys.stderr)
        if not is_screen and options.output not in ("json", "jsonl"):
            print("---" if options.output == "yaml" else "")
        sys.stdout.flush()
        sleep(pause_s)


def _add_prefix(parser: argparse.ArgumentParser, name: str = "prefix") -> None:
    more: dict[str, Any] = {"nargs": "?"} if name == "prefix" else {"dest": "prefix"}
    parser.add_argument(
        name, metavar="MAC", type=_mac_prefix, default="", help="only MACs that begin so, for example: 02:00:5e", **more
    )


def _add_peer(parser: argparse.ArgumentParser, meaning: str = "only what this peer has sent") -> None:
    parser.add_argument("--peer", metavar="IP", type=_ip, help=meaning)


def _add_limit(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--limit", metavar="N", type=_count, help=text)


def _add_vni(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vni", metavar="N", type=_vni, default=0, help="only this VNI")


# From text to values


def _parsed(parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def file_path(text: str) -> "Path":
    from pathlib import Path

    return Path(text)


def _mac(text: str) -> "Mac":
    from vtep.addr import Mac

    mac: Mac = _parsed(Mac.parse, text)
    return mac


def _mac_prefix(text: str) -> str:
    """Return the first octets of a MAC as they are printed; the last one may be half."""
    digits = re.sub(r"[:.-]", "", text.lower())
    if not text:
        return ""
    if not re.fullmatch(r"[0-9a-f]{1,12}", digits) or _short_octet(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the beginning of a MAC, for example 02:00:5e")
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def _short_octet(text: str) -> bool:
    """Return whether an octet has one digit and others follow: 2:0:5 would be read as 20:5."""
    return any(len(octet) < 2 for octet in re.split(r"[:-]", text)[:-1])


def _subject(text: str) -> "Mac | Ip | Prefix | str":
    from vtep.addr import Ip, Mac, Prefix
    from vtep.config.values import device_name

    for parse in (Mac.parse, Ip.parse, Prefix.parse, device_name):
        with contextlib.suppress(ValueError):
            return parse(text)
    raise argparse.ArgumentTypeError(f"{text!r} is neither a MAC nor an IP address or prefix, nor the name of a device")


def _ip(text: str) -> "Ip":
    from vtep.addr import Ip

    ip: Ip = _parsed(Ip.parse, text)
    return ip


def _rd(text: str) -> "RouteDistinguisher":
    from vtep.addr import RouteDistinguisher

    rd: RouteDistinguisher = _parsed(RouteDistinguisher.parse, text)
    return rd


def _vni(text: str) -> "Vni":
    from vtep.addr import Vni

    vni: Vni = _parsed(lambda digits: Vni(_number(digits)), text)
    if not vni:
        raise argparse.ArgumentTypeError("0 is not a valid VNI (1 to 16777215)")
    return vni


def _count(text: str) -> int:
    count: int = _parsed(_number, text)
    return count


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not a number")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text.removesuffix("s"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= _SECONDS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


_SECONDS_MAX: Final = 1e6
"""More than eleven days is a typing error, and beyond some years a deadline cannot be told to gRPC."""


def _seconds_some(text: str) -> float:
    value = _seconds(text)
    if not value:
        raise argparse.ArgumentTypeError("0 seconds is not enough for an answer")
    return value


_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _since(text: str, now: "datetime | None" = None) -> "datetime":
    """Read a time, or how long ago one was; a time without a zone is local."""
    from datetime import UTC, datetime, time, timedelta

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
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid time ({_SINCE})") from None
