"""The command line: the name of each command, its options, and the module that carries it out.

Each command imports its own module only when it runs, so that `vtep --help` starts quickly. The commands that ask a
running daemon are added by `cli.options`.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from vtep.cli.options import Parser, add_commands, add_completion, add_connection, file_path
from vtep.errors import UsageError

if TYPE_CHECKING:  # each is imported where a command needs it, so that `vtep --help` imports none
    from pathlib import Path

    from vtep.addr import Ip


def main(argv: list[str]) -> int:
    options = parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = options.command
    return command(options)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands, for parsing and for completion."""
    parser: argparse.ArgumentParser = Parser(
        prog="vtep",
        description="The EVPN VTEP dataplane that sits next to ExaBGP on a Linux leaf.",
        epilog="Data goes to standard output, all else to standard error. Exit code 2: a usage or configuration error.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="run the daemon in the foreground", description=_RUN)
    run.add_argument("--config", metavar="FILE", type=file_path, default="/etc/vtep/vtep.toml", help=_CONFIG_HELP)
    run.set_defaults(command=_run)

    # Both are handled before this parser is made: the relay imports nothing, and ExaBGP has options of its own.
    commands.add_parser("relay", help="carry ExaBGP's lines to the daemon, and its commands back; ExaBGP starts it")
    commands.add_parser(
        "exabgp", help="run the installed ExaBGP, with commands that advertise EVPN routes", add_help=False
    )

    config = commands.add_parser(
        "exabgp-config", help="print an ExaBGP configuration for this leaf", description=_EXABGP
    )
    config.add_argument("--config", metavar="FILE", type=file_path, default="/etc/vtep/vtep.toml", help=_CONFIG_HELP)
    config.add_argument(
        "--output", metavar="FILE", type=file_path, help="write this file, which only its owner and group can read"
    )
    config.set_defaults(command=_exabgp_config)

    replay = commands.add_parser("replay", help="run recorded lines onto a kernel in memory", description=_REPLAY)
    what = replay.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", metavar="FILE", type=file_path, help="the leaf's configuration")
    what.add_argument("--decode", action="store_true", help="only print what the lines say, as text")
    replay.add_argument(
        "--until", metavar="SECONDS", type=_seconds, default=0.0, help="let time pass after the last line"
    )
    replay.add_argument("-o", "--output", choices=["json"], default="json", help="the only format (default)")
    replay.add_argument("captures", metavar="CAPTURE", nargs="+", help="a file of ExaBGP's lines; - is standard input")
    replay.set_defaults(command=_replay)

    _add_apply(commands)

    check = commands.add_parser("check", help="validate a configuration file", description=_CHECK)
    check.add_argument("file", metavar="FILE", type=file_path)
    check.add_argument(
        "--host", action="store_true", help="also compare it with this host: devices, addresses, sysctls, ExaBGP"
    )
    check.add_argument(
        "--file-only", action="store_true", help="the file is for another host: look for no group and no certificate"
    )
    check.set_defaults(command=_check)

    _add_init(commands)
    _add_devices(commands)
    _add_doctor(commands)
    add_commands(commands)
    add_completion(commands, parser)
    return parser


def _add_apply(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    apply = commands.add_parser(
        "apply", help="recorded routes onto this host's kernel in one pass, without a daemon", description=_APPLY,
        epilog="Exit codes: 0 every row is as wanted; 1 a row failed or is pending, a VNI is not ready, or this host is in the way "
        "(a daemon runs); 2 usage or configuration.",
    )  # fmt: skip
    apply.add_argument(
        "--once", action="store_true", required=True, help="one pass; to follow the routes, use vtep run"
    )
    apply.add_argument("--config", metavar="FILE", type=file_path, default="/etc/vtep/vtep.toml", help=_CONFIG_HELP)
    apply.add_argument("--report", choices=["text", "json"], default="text", help="text (default) or json")
    apply.add_argument(
        "--until", metavar="SECONDS", type=_seconds, default=0.0, help="let time pass after the last line"
    )
    apply.add_argument(
        "captures", metavar="CAPTURE", nargs="*", default=["-"],
        help="a file of ExaBGP's lines (default: -, standard input)",
    )  # fmt: skip
    apply.set_defaults(command=_apply)


def _add_init(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    init = commands.add_parser("init", help="write the first files of a leaf", description=_INIT)
    init.add_argument(
        "--peer", metavar="IP", action="append", default=[], help="a BGP peer; may be given more than once"
    )
    init.add_argument("--vtep", metavar="IP", type=_ip, help="our tunnel address (default: the one towards the peer)")
    init.add_argument("--asn", metavar="N", help="our AS number, and the peers'")
    init.add_argument("--router-id", metavar="IP", type=_ip, help="an IPv4 address (default: the tunnel address)")
    init.add_argument(
        "--vni", metavar="N[=PORT,PORT]", action="append", default=[],
        help="a VNI, with the ports of this host that are in it; may be given more than once",
    )  # fmt: skip
    init.add_argument(
        "--peer-kind", choices=("vtep", "frr", "frr-reflector", "gobgp"), default="vtep",
        help="what runs at the peer: a leaf like this one (default), a leaf of FRR, or a route reflector of FRR or GoBGP",
    )  # fmt: skip
    init.add_argument(
        "--devices", choices=("ip", "networkd", "ifupdown2", "vtep"), default="ip",
        help="what makes the devices: a script of ip commands (default), systemd-networkd, ifupdown2, or vtep itself",
    )  # fmt: skip
    init.add_argument(
        "--directory", metavar="PATH", type=file_path, default="/etc/vtep", help="where to write (default: /etc/vtep)"
    )
    init.add_argument(
        "--observe", action="store_true",
        help="for a leaf of FRR: read its devices and what vtysh says, and write a configuration that only observes",
    )  # fmt: skip
    init.add_argument("--force", action="store_true", help="replace files that are there")
    init.set_defaults(command=_init)


def _add_devices(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    devices = commands.add_parser(
        "devices", help="what vtep would do to the devices of this host", description=_DEVICES
    )
    what = devices.add_subparsers(title="commands", metavar="COMMAND", required=True)
    plan = what.add_parser("plan", help="print what would be made or changed, and change nothing", description=_PLAN)
    plan.add_argument("-o", "--output", choices=["table", "json"], default="table", help="table (default) or json")
    adopt = what.add_parser("adopt", help="hand devices that are there over to vtep", description=_ADOPT)
    adopt.add_argument("names", metavar="DEVICE", nargs="*", help="these devices (default: all that are configured)")
    adopt.add_argument(
        "--replace",
        action="store_true",
        help="also remove those that must be made again; their traffic stops meanwhile",
    )
    adopt.add_argument("--dry-run", action="store_true", help="print what would be done, and do nothing")
    for command, run in ((plan, _plan), (adopt, _adopt)):
        command.add_argument(
            "--config", metavar="FILE", type=file_path, default="/etc/vtep/vtep.toml", help=_CONFIG_HELP
        )
        command.set_defaults(command=run)


def _add_doctor(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    doctor = commands.add_parser(
        "doctor", help="what is unusual on this host for a VTEP, and what mends it", description=_DOCTOR
    )
    doctor.add_argument("--config", metavar="FILE", type=file_path, default="/etc/vtep/vtep.toml", help=_CONFIG_HELP)
    doctor.add_argument("-o", "--output", choices=["table", "json"], default="table", help="table (default) or json")
    add_connection(doctor)
    doctor.set_defaults(command=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    from vtep.app.doctor import doctor

    return doctor(options)


def _plan(options: argparse.Namespace) -> int:
    from vtep.app.devices import plan

    return plan(options.config, as_json=options.output == "json")


def _adopt(options: argparse.Namespace) -> int:
    from vtep.app.devices import adopt

    return adopt(options.config, options.names, replace=options.replace, dry_run=options.dry_run)


def _init(options: argparse.Namespace) -> int:
    from vtep.app.init import init

    return init(options)


def _ip(text: str) -> "Ip":
    from vtep.addr import Ip

    try:
        return Ip.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class _Version(argparse.Action):
    """Look up the version only when it is printed, because that takes longer than the rest of the start."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from vtep import __version__

        print(f"vtep {__version__}")
        parser.exit()


_CONFIG_HELP = "the configuration (default: /etc/vtep/vtep.toml)"
_RUN = """Keeps the forwarding tables of this leaf equal to what EVPN says. SIGTERM leaves the rows in place or removes
them, as on_stop says; a second SIGTERM ends the daemon at once. SIGHUP reads the configuration again. Exits with 2 if the
configuration is wrong, and with 1 if something on this host is in the way."""
_REPLAY = """The time in each line is the clock, and a pass follows every line, so that holds and windows are exact.
Prints one JSON object: the rows, what was refused and why, alerts, and how many messages a kernel would have received.
With --decode, no kernel is needed: prints each route and each session event of the recording as one line of text."""
_APPLY = """Makes the kernel of this host equal to what the configuration and recorded routes say, in one pass, and prints what was
applied, what failed and what is pending. The rules are those of the daemon: rows of other programs stay, what is written is
claimed in state_dir, and nothing is removed unless the recording has the End-of-RIB of every peer. So a second run applies nothing,
and a daemon that starts later takes the rows over. While a daemon runs, it refuses: see vtep diff. It needs CAP_NET_ADMIN."""
_CHECK = """Prints every problem with its line and path, and exits with 2 if there is any. A warning names a setting that
lets more people reach the daemon than is usually wanted; a note says what a VNI needs to advertise what is local. With
--host, the devices, tunnel addresses, sysctls and ExaBGP of this host are compared with it as well. Changes nothing. A file whose name ends in .conf is read as a configuration of ExaBGP, and compared with what vtep needs there."""
_INIT = """Writes vtep.toml, what makes the devices, and a directory for each peer with the files of the other side. What no
option says is taken from the host, or asked for on a terminal. With --observe it writes vtep.toml of an observer and frr-bmp.conf,
which FRR must be given; --peer, --vtep and --asn then come before what FRR and the devices say. Makes no device and starts nothing; prints the files that it wrote, and what to do next."""
_DEVICES = """Devices that the configuration has vtep make and keep (`manage = true`). Both commands look at this host and at the
file, and need no daemon."""
_PLAN = """Prints each device that is not as the configuration wants it, with a command that does the same by hand. Exits with 0 if
nothing would be changed, and with 1 otherwise. Changes nothing."""
_ADOPT = """Puts the mark of vtep (the alias `vtep: adopted`) on devices that another program made and that the configuration
manages. A daemon then keeps them as it keeps its own, and never removes them. It needs CAP_NET_ADMIN. A device that cannot be
changed in place is left, unless --replace removes it, and the daemon makes it again."""
_DOCTOR = """Compares the configuration, this host and the daemon, if it runs, with what a VTEP needs: devices, addresses, sysctls, other
programs that write the same rows, and the problems of the daemon. Each finding has the command that mends it. Changes nothing;
exits with 0 if nothing is unusual, and with 1 otherwise."""
_EXABGP = "Prints a configuration for ExaBGP: its sessions with [[bgp.neighbor]], and the relay that feeds this daemon."


def _run(options: argparse.Namespace) -> int:
    from vtep.app import process

    return process.run(options.config)


def _replay(options: argparse.Namespace) -> int:
    if options.decode:
        from vtep.app.decode import decoded
        from vtep.logs import escaped

        for text in decoded(_lines(options.captures)):
            print(escaped(text))
        return 0
    from vtep.app.replay import replay
    from vtep.config import file as config

    result = replay(config.read(options.config), _lines(options.captures), options.until)
    _print_json(result)
    return 0


def _apply(options: argparse.Namespace) -> int:
    from vtep.app.apply import apply

    return apply(options.config, _lines(options.captures), until_s=options.until, as_json=options.report == "json")


def _check(options: argparse.Namespace) -> int:
    from vtep.app.check import check

    return check(options.file, host=options.host, file_only=options.file_only)


def _exabgp_config(options: argparse.Namespace) -> int:
    from vtep.config import file as config
    from vtep.feed.exabgp import config as exabgp_config

    found = config.read(options.config)
    text = exabgp_config.render(found)
    if options.output is not None:
        _write_for_owner_and_group(options.output, text)
        return 0
    print(text, end="")
    if found.bgp is not None and any(neighbor.password_file for neighbor in found.bgp.neighbors):
        print("vtep: the output has passwords; --output FILE writes a file that others cannot read", file=sys.stderr)
    return 0


def _write_for_owner_and_group(path: "Path", text: str) -> None:
    """Replace a file as a whole; it may have passwords."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def _lines(paths: list[str]) -> Iterator[bytes]:
    """Yield the lines of captures, one file after the other."""
    for path in paths:
        try:
            with sys.stdin.buffer if path == "-" else file_path(path).open("rb") as file:
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
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def _print_json(value: Any) -> None:
    import json

    print(json.dumps(value))
