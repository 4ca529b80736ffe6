"""`vtep doctor`: everything that is unusual on this host for a VTEP, each with the command that mends it.

Reads the configuration, this host, and the daemon if it runs; changes nothing. It asks those who know: `linux/conditions.py` and
`linux/vrf.py` about devices, `app/check.py` about what the file names, the daemon about its problems. What only a doctor looks at is
here: other programs that may write or remove the same rows, and what a bridge does with the MAC of a gateway.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

import msgspec

from vtep.app import check
from vtep.cli.connection import client
from vtep.config import file as config
from vtep.config.model import Config
from vtep.errors import KernelError, Problem, UnreachableError, UsageError
from vtep.linux.attachment import gateways_that_flood
from vtep.linux.findings import Finding, bridges_of, of_devices, of_others
from vtep.linux.kernel import Kernel
from vtep.logs import escaped
from vtep.v1 import vtep_pb2 as pb


def doctor(options: argparse.Namespace) -> int:
    """Print what is unusual; return 1 if anything is."""
    found = config.read(options.config)
    findings = list(dict.fromkeys(_findings(found, options)))
    if options.output == "json":
        print(json.dumps({"findings": [msgspec.to_builtins(one) for one in findings]}))
        return int(bool(findings))
    for one in findings:
        print(escaped(f"{one.code}: {one.text}"))
        if one.mend:
            print(escaped(f"    {one.mend}"))
    print("vtep: nothing unusual" if not findings else f"vtep: {len(findings)} findings", file=sys.stderr)
    return int(bool(findings))


def _findings(found: Config, options: argparse.Namespace) -> Iterator[Finding]:
    try:
        with Kernel() as kernel:
            links, addresses = kernel.links(), kernel.addresses()
            rows = kernel.rows(bridges_of(found, links))
    except KernelError as error:
        raise UsageError(f"the devices of this host cannot be read: {error}") from None
    yield from of_devices(found, links)
    yield from (Finding("gateway-floods", text, mend) for text, mend in gateways_that_flood(found.vnis, links, rows))
    yield from of_others(found, links)
    here = {address.ip for address in addresses}
    yield from _of_check("tunnel-address-missing", check.tunnel_addresses(found, here))
    yield from _of_check("file-missing", check.files(found))
    yield from _of_check("state-dir", check.state_dir(found))
    yield from _of_check("exabgp-missing", check.exabgp())
    yield from _of_check("sysctl", check.sysctls(Path("/proc/sys")))
    yield from of_programs(programs(Path("/proc")), found, Path("/"))
    yield from _of_daemon(options)


def programs(proc: Path) -> frozenset[str]:
    """Return the names of the programs that run in this network namespace."""
    here = (proc / "self/ns/net").stat()
    found = set()
    for process in proc.glob("[0-9]*"):
        with suppress(OSError):
            if (process / "ns/net").stat().st_ino == here.st_ino:
                found.add((process / "comm").read_text(encoding="utf-8", errors="replace").strip())
    return frozenset(found)


def of_programs(running: frozenset[str], found: Config, root: Path) -> Iterator[Finding]:
    """Yield other programs that write or remove what vtep writes."""
    if "zebra" in running:
        text = "FRR's zebra runs here: it writes EVPN rows of its own, and both would change one row back and forth"
        yield Finding(
            "other-daemon", text, "leave EVPN to one of the two; docs/frr.md takes over from FRR without loss"
        )
    names = [vni.bridge for vni in found.vnis if vni.bridge]
    if "systemd-network" in running and found.vrfs:
        for key, what in (("ManageForeignRoutes", "routes"), ("ManageForeignNextHops", "nexthops")):
            if networkd_setting(root, key) not in ("no", "false", "0", "off"):
                text = f"systemd-networkd removes {what} that it did not make, as those of vtep are, when it restarts"
                file = "/etc/systemd/networkd.conf.d/vtep.conf"
                mend = (
                    f"mkdir -p {file.rpartition('/')[0]}; printf '[Network]\\n{key}=no\\n' >> {file}; then restart it"
                )
                yield Finding("networkd-removes", text, mend)
    if "NetworkManager" in running and names and not _is_named(root / "etc/NetworkManager", names[0]):
        text = f"NetworkManager runs here, and nothing tells it to leave {names[0]} alone"
        yield Finding("networkmanager", text, f"nmcli device set {names[0]} managed no")


def networkd_setting(root: Path, key: str) -> str:
    """Return what the files of systemd-networkd say of a key, the last one last; nothing if none has it."""
    said = ""
    for directory in ("usr/lib", "run", "etc"):
        base = root / directory / "systemd"
        for path in (base / "networkd.conf", *sorted((base / "networkd.conf.d").glob("*.conf"))):
            for line in _lines(path):
                name, _, value = line.partition("=")
                if name.strip() == key:
                    said = value.strip().lower()
    return said


def _is_named(directory: Path, name: str) -> bool:
    """Tell whether a file of NetworkManager names a device, or all devices of its sort, as unmanaged."""
    lines = (line for path in directory.rglob("*.conf") for line in _lines(path))
    specs = (spec.strip() for line in lines if "unmanaged-devices" in line for spec in re.split("[=;,]", line))
    return any(spec == "type:bridge" or fnmatch(name, spec.removeprefix("interface-name:")) for spec in specs)


def _lines(path: Path) -> Sequence[str]:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    return ()


def _of_check(code: str, problems: Iterable[Problem]) -> Iterator[Finding]:
    for problem in problems:
        text, hint = problem.what, problem.hint
        if not hint and " (hint: " in text:
            text, _, hint = text.partition(" (hint: ")
            hint = hint.removesuffix(")")
        yield Finding(code, text, hint)


def _of_daemon(options: argparse.Namespace) -> Iterator[Finding]:
    """Yield the problems of the daemon that runs, or that none does."""
    try:
        with client(options) as daemon:
            status = daemon.ask(pb.GetStatusRequest(), pb.GetStatusResponse)
    except UnreachableError as error:
        yield Finding("daemon-unreachable", str(error), "systemctl status vtep")
        return
    for problem in status.problem_list:
        yield Finding(problem.code, problem.text, problem.hint)
