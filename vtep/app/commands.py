"""The command line: what each command is called, what it takes, and whom it asks to do it.

Knows words and options. Each command's work is elsewhere and imported when it is wanted.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vtep.cli.options import add_commands, add_completion
from vtep.errors import UsageError


def main(argv: list[str]) -> int:
    options = parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = options.command
    return command(options)


def parser() -> argparse.ArgumentParser:
    """Return every word there is, for parsing and for completion."""
    parser = argparse.ArgumentParser(
        prog="vtep",
        description="The EVPN VTEP dataplane that sits next to ExaBGP on a Linux leaf.",
        epilog="Data goes to standard output, talk to standard error. Exit code 2 is a usage or configuration error.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="say which version this is")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="run the daemon in the foreground", description=_RUN)
    run.add_argument("--config", metavar="FILE", type=Path, default=Path("/etc/vtep/vtep.toml"), help=_CONFIG_HELP)
    run.set_defaults(command=_run)

    # Both are handled before this parser is made: the relay imports nothing, and ExaBGP has options of its own.
    commands.add_parser("relay", help="what ExaBGP starts: its lines to the daemon, the daemon's commands back")
    commands.add_parser("exabgp", help="ExaBGP as installed, with commands that announce EVPN routes", add_help=False)

    config = commands.add_parser(
        "exabgp-config", help="print an ExaBGP configuration for this leaf", description=_EXABGP
    )
    config.add_argument("--config", metavar="FILE", type=Path, default=Path("/etc/vtep/vtep.toml"), help=_CONFIG_HELP)
    config.set_defaults(command=_exabgp_config)

    replay = commands.add_parser("replay", help="run recorded lines onto a kernel in memory", description=_REPLAY)
    replay.add_argument("--config", metavar="FILE", type=Path, required=True, help="the leaf's configuration")
    replay.add_argument(
        "--until", metavar="SECONDS", type=_seconds, default=0.0, help="let time pass after the last line"
    )
    replay.add_argument("-o", "--output", choices=["json"], default="json", help="the only form there is (default)")
    replay.add_argument("captures", metavar="CAPTURE", nargs="+", help="a file of ExaBGP's lines; - is standard input")
    replay.set_defaults(command=_replay)

    check = commands.add_parser("check", help="validate a configuration file", description=_CHECK)
    check.add_argument("file", metavar="FILE", type=Path)
    check.set_defaults(command=_check)

    add_commands(commands)
    add_completion(commands, parser)
    return parser


class _Version(argparse.Action):
    """Look the version up when it is asked for: that takes longer than all the rest of a start."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from vtep import __version__

        print(f"vtep {__version__}")
        parser.exit()


_CONFIG_HELP = "the configuration (default: /etc/vtep/vtep.toml)"
_RUN = """Keep this leaf's forwarding table equal to what EVPN says. SIGTERM leaves the rows or drains them, as configured;
a second one ends at once. SIGHUP reads the configuration again."""
_REPLAY = """Each line's own time is the clock, and every line is followed by a pass, so that holds and windows are exact.
Prints one JSON object: the rows, what was refused and why, alerts, and what a kernel would have been told."""
_CHECK = """Prints every problem with its place, and exits with 2 if there is any. A note is no problem: it says what a VNI needs
to announce what is local. Touches nothing."""
_EXABGP = "Prints a configuration with which ExaBGP peers with [[bgp.neighbor]] and feeds this leaf's daemon."


def _run(options: argparse.Namespace) -> int:
    from vtep.app import process

    return process.run(options.config)


def _replay(options: argparse.Namespace) -> int:
    from vtep.app.replay import replay
    from vtep.config import file as config

    result = replay(config.read(options.config), _lines(options.captures), options.until)
    _print_json(result)
    return 0


def _check(options: argparse.Namespace) -> int:
    from vtep.config import file as config
    from vtep.config.exposure import exposures
    from vtep.local.exports import Exports
    from vtep.logs import escaped

    found = config.read(options.file)
    for sentence in exposures(found):
        print(f"{escaped(str(options.file))}: warning: {escaped(sentence)}", file=sys.stderr)
    for problem in Exports(found).left_out:
        print(f"{escaped(str(options.file))}: note: {problem}", file=sys.stderr)
    bound = sum(vni.is_bound for vni in found.vnis)
    print(f"{escaped(str(options.file))}: ok, {len(found.vnis)} VNIs ({bound} bound to a bridge)", file=sys.stderr)
    return 0


def _exabgp_config(options: argparse.Namespace) -> int:
    from vtep.config import file as config
    from vtep.feed.exabgp import config as exabgp_config

    print(exabgp_config.render(config.read(options.config)), end="")
    return 0


def _lines(paths: list[str]) -> Iterator[bytes]:
    """Yield the lines of captures, one file after the other."""
    for path in paths:
        try:
            with sys.stdin.buffer if path == "-" else Path(path).open("rb") as file:
                for line in file:
                    if line.strip():
                        yield line.rstrip(b"\n")
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value


def _print_json(value: Any) -> None:
    print(json.dumps(value))
