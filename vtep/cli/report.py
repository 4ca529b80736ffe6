"""`vtep report`: one archive for a supporter, with what the daemon, the kernel and the log say. No secret is in it.

Knows which questions a supporter asks first. A part that cannot be read is a text that says why, so that a report is made of a
host on which little works. Bounded: each part in size and time, so that a leaf with a million MACs gives a small file.
"""

import argparse
import io
import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import Message

from vtep import __version__
from vtep.cli import values
from vtep.cli.connection import Client, client
from vtep.cli.output import pages
from vtep.cli.text import say
from vtep.errors import UsageError, VtepError
from vtep.v1 import vtep_pb2 as pb

PART_MAX: Final = 4 << 20
"""Octets of one file in the archive."""
COMMAND_S: Final = 10.0
TROUBLED_MAX: Final = 1000
EXPLAINED_MAX: Final = 20
LOG_LINES: Final = 5000
TROUBLED: Final = (
    pb.SYNC_STATE_FAILED, pb.SYNC_STATE_CONTESTED, pb.SYNC_STATE_SUPPRESSED, pb.SYNC_STATE_PENDING,
)  # fmt: skip

COMMANDS: Final = {
    "kernel/links.json": "ip -d -s -j link",
    "kernel/addresses.json": "ip -j address",
    "kernel/routes.txt": "ip route show table all",
    "kernel/fdb.json": "bridge -d -j fdb",
    "kernel/vlans.json": "bridge -j vlan",
    "kernel/neighbors.json": "ip -j neighbor",
    "kernel/nexthops.txt": "ip nexthop",
    "kernel/sockets.txt": "ss -Htnp state established",
    "log/vtep.txt": f"journalctl --no-pager --lines {LOG_LINES} --unit vtep --output short-iso",
    "log/exabgp.txt": f"journalctl --no-pager --lines {LOG_LINES} --unit exabgp --unit vtep-exabgp --output short-iso",
}


def report(options: argparse.Namespace) -> int:
    path: Path = options.file or Path(f"vtep-report-{_host()}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz")
    try:
        # The archive names MACs, addresses and peers: it is for whom the operator gives it to.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    failed = []
    with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, make in _parts(options):
            text, problem = _made(make)
            failed += [name] if problem else []
            _add(archive, f"{path.name.removesuffix('.gz').removesuffix('.tar')}/{name}", text)
    print(path)
    if failed:
        say(f"could not be read (the archive says why): {', '.join(failed)}")
    return 0


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname()) or "host"


def _made(make: Callable[[], str]) -> tuple[str, bool]:
    try:
        text, problem = make(), False
    except (VtepError, OSError, subprocess.SubprocessError, UnicodeError) as error:
        text, problem = f"could not be read: {error}\n", True
    text = redacted(text)
    if len(text) > PART_MAX:
        text = f"{text[:PART_MAX]}\n… cut; it has more than {PART_MAX} characters\n"
    return text, problem


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    octets = text.encode("utf-8", "backslashreplace")
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = len(octets), int(time.time()), 0o600
    archive.addfile(entry, io.BytesIO(octets))


# It begins with the words themselves: with what may stand before them, a long line would cost its square.
_SECRET: Final = re.compile(
    r"""(?isx)
    ( password | passwd | passphrase | secret | token | key-string | psk | auth(?:entication)?-key | api[_-]?key )
    (?!_file) (["']? \s* [=:]? \s*)
    (\"{3} .*? (?: \"{3} | \Z) | \'{3} .*? (?: \'{3} | \Z)
    | " (?: [^"\\\n] | \\. )* (?: " | $) | ' (?: [^'\\\n] | \\. )* (?: ' | $) | [^\s;,]+)
    """,
    re.MULTILINE,
)
_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_USER_OF_URL: Final = re.compile(r"(://[^\s/:@\"']+:)[^\s/@\"']+(?=@)")


def redacted(text: str) -> str:
    """Replace what follows the name of a secret, the password in a URL, and private keys."""
    for pattern, instead in (
        (_PRIVATE_KEY, "(left out)"),
        (_SECRET, r"\1\2(left out)"),
        (_USER_OF_URL, r"\1(left out)"),
    ):
        text = pattern.sub(instead, text)
    return text


# The parts


def _parts(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "versions.txt", _versions
    for name, request, answer in _QUESTIONS:
        yield f"daemon/{name}.json", partial(_answer, options, request, answer)
    yield "daemon/troubled-macs.jsonl", partial(_with, options, _troubled)
    yield "daemon/explained.jsonl", partial(_with, options, _explained)
    for name, path in (("vtep.toml", options.config), ("exabgp.conf", options.config.with_name("exabgp.conf"))):
        yield f"config/{name}", path.read_text
    for name, command in COMMANDS.items():
        yield name, partial(_output, command)


_QUESTIONS: Final[tuple[tuple[str, Message, Any], ...]] = (
    ("status", pb.GetStatusRequest(), pb.GetStatusResponse),
    ("vnis", pb.ListVnisRequest(), pb.ListVnisResponse),
    ("vteps", pb.ListVtepsRequest(), pb.ListVtepsResponse),
    ("vrfs", pb.ListVrfsRequest(), pb.ListVrfsResponse),
    ("segments", pb.ListSegmentsRequest(), pb.ListSegmentsResponse),
    ("peers", pb.ListPeersRequest(), pb.ListPeersResponse),
    ("events", pb.ListEventsRequest(), pb.ListEventsResponse),
    ("diff", pb.DiffRequest(), pb.DiffResponse),
)


def _with(options: argparse.Namespace, ask: Callable[[Client], Iterator[str]]) -> str:
    with client(options) as daemon:
        return "".join(f"{line}\n" for line in ask(daemon))


def _answer(options: argparse.Namespace, request: Message, answer: Any) -> str:
    with client(options) as daemon:
        return json.dumps(values.value(daemon.ask(request, answer)), indent=2) + "\n"


def _troubled_macs(daemon: Client) -> Iterator[pb.Mac]:
    request = pb.ListMacsRequest(states=TROUBLED)
    return (mac for page in pages(daemon, request, pb.ListMacsResponse) for mac in page.macs)


def _troubled(daemon: Client) -> Iterator[str]:
    for mac in islice(_troubled_macs(daemon), TROUBLED_MAX):
        yield values.line(values.value(mac))


def _explained(daemon: Client) -> Iterator[str]:
    for mac in islice(_troubled_macs(daemon), EXPLAINED_MAX):
        answer = daemon.ask(pb.ExplainMacRequest(mac=mac.mac, vni=mac.vni), pb.ExplainMacResponse)
        yield values.line(values.value(answer))


def _versions() -> str:
    known = {"vtep": __version__, "python": sys.version.split()[0], "kernel": " ".join(platform.uname())}
    for package in ("exabgp", "pyroute2", "grpcio", "protobuf", "msgspec"):
        with suppress(metadata.PackageNotFoundError):
            known[package] = metadata.version(package)
    with suppress(OSError):
        known["system"] = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    with suppress(OSError, subprocess.SubprocessError):
        known["iproute2"] = _output("ip -V").strip()
    return "".join(f"{name}: {text}\n" for name, text in known.items())


def _output(command: str) -> str:
    """Return what a command prints, or its beginning: a large table is never read whole."""
    with subprocess.Popen(
        command.split(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        late = threading.Timer(COMMAND_S, process.kill)
        late.start()
        try:
            octets = process.stdout.read(PART_MAX + 1)
            if len(octets) > PART_MAX:
                process.kill()
                return octets.decode(errors="replace")
            code = process.wait()
        finally:
            late.cancel()
    text = octets.decode(errors="replace")
    if code:
        why = f"took longer than {COMMAND_S:g} s" if code == -signal.SIGKILL else f"ended with {code}"
        text += f"\n{command} {why}\n"
    return text
