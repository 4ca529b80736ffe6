"""`vtep check`: whether a configuration is right, and with --host whether this host is ready for it.

Knows what a file needs of the host that it is for: a group, certificates, and with --host devices, addresses, sysctls and
ExaBGP. Reads only. Every problem has the line of its key; a problem makes the exit code 2, a warning or a note does not.
"""

import grp
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from vtep.addr import Ip, Vni
from vtep.config import file as config
from vtep.config.exposure import exposures
from vtep.config.lines import line_of, lines_of
from vtep.config.model import Config
from vtep.errors import ConfigError, KernelError, Problem, UsageError
from vtep.linux.attachment import NotReady, survey
from vtep.linux.kernel import Kernel
from vtep.linux.vrf import survey as survey_vrfs
from vtep.local.exports import Exports
from vtep.logs import escaped

SYSCTLS: Final = {
    "net/bridge/bridge-nf-call-iptables": "frames between ports of a bridge pass through iptables, which may drop them",
    "net/bridge/bridge-nf-call-ip6tables": "frames between ports of a bridge pass through ip6tables, which may drop them",
    "net/bridge/bridge-nf-call-arptables": "ARP between ports of a bridge passes through arptables, which may drop it",
}
"""Which should be 0 on a VTEP, and what follows if they are not. Container engines switch them on."""
STRICT_REVERSE_PATH: Final = "1"


def check(path: Path, *, host: bool = False, file_only: bool = False) -> int:
    """Print what is wrong and what deserves a look, and return the exit code."""
    if path.suffix == ".conf":
        return _check_exabgp(path)
    found = config.read(path)
    lines = lines_of(path.read_text(encoding="utf-8"))
    problems = [] if file_only else list(files(found))
    warnings = list(map(_parted, exposures(found)))
    if host:
        problems += _host(found)
        warnings += sysctls(Path("/proc/sys"))
    _print(path, "warning", _with_lines(warnings, lines))
    _print(path, "note", _with_lines(Exports(found).left_out, lines))
    if problems:
        raise ConfigError(str(path), tuple(_with_lines(problems, lines)))
    bound = sum(vni.is_bound for vni in found.vnis)
    ready = ", and this host is ready for it" if host else ""
    _print(path, "", [Problem("", f"ok, {len(found.vnis)} VNIs ({bound} bound to a bridge){ready}")])
    return 0


def _print(path: Path, word: str, problems: Iterable[Problem]) -> None:
    for problem in problems:
        where = f"{path}:{problem.line}" if problem.line else str(path)
        print(escaped(": ".join(filter(None, (where, word, str(problem))))), file=sys.stderr)


def _with_lines(problems: Iterable[Problem], lines: dict[str, int]) -> Iterator[Problem]:
    return (problem._replace(line=line_of(problem.path, lines)) for problem in problems)


def _parted(sentence: str) -> Problem:
    """Take the path from the front of a sentence of `exposures`."""
    path, _, what = sentence.partition(": ")
    return Problem(path, what)


def _check_exabgp(path: Path) -> int:
    from vtep.feed.exabgp.check import check as check_exabgp

    try:
        problems = check_exabgp(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    for problem in problems or ["ok, it has what vtep needs"]:
        print(f"{escaped(str(path))}: {escaped(problem)}", file=sys.stderr)
    return 2 if problems else 0


# What the file names on this host


def files(found: Config) -> Iterator[Problem]:
    """Yield the group and the files that are not there, without which the daemon cannot start or listen."""
    elsewhere = "for another host, use --file-only"
    if found.feed.socket_group:
        try:
            grp.getgrnam(found.feed.socket_group)
        except KeyError:
            hint = f"groupadd --system {found.feed.socket_group}; {elsewhere}"
            yield Problem("feed.socket_group", f"there is no group {found.feed.socket_group!r}", hint)
    for name in ("cert", "key", "client_ca"):
        text = getattr(found.api.tls, name)
        if text and (why := _why_unreadable(Path(text))):
            yield Problem(f"api.tls.{name}", f"{text}: {why}", f"put it there, or correct the path; {elsewhere}")


def _why_unreadable(path: Path) -> str:
    try:
        with path.open("rb"):
            return ""
    except OSError as error:
        return error.strerror or str(error)


# What the host must have


def _host(found: Config) -> Iterator[Problem]:
    try:
        with Kernel() as kernel:
            links = kernel.links()
            judged = survey([vni for vni in found.vnis if vni.is_bound], links)
            judged_vrfs = survey_vrfs(found.vrfs, links)
            here = {address.ip for address in kernel.addresses()}
    except KernelError as error:
        raise UsageError(f"the devices of this host cannot be read: {error}") from None
    yield from _devices("vni", [vni.vni for vni in found.vnis], judged.not_ready)
    yield from _devices("vrf", [vrf.vni for vrf in found.vrfs], judged_vrfs.not_ready)
    yield from tunnel_addresses(found, here)
    yield from state_dir(found)
    yield from exabgp()


def _devices(table: str, numbers: Sequence[Vni], not_ready: Mapping[Vni, NotReady]) -> Iterator[Problem]:
    for index, number in enumerate(numbers):
        if number in not_ready:
            for fault in not_ready[number].faults:
                yield Problem(f"{table}[{index}]", f"{fault.code}: {fault.text}", fault.mend)


def tunnel_addresses(found: Config, here: set[Ip]) -> Iterator[Problem]:
    own = [(f"vni[{index}].vtep", vni.vtep) for index, vni in enumerate(found.vnis)]
    own += [(f"vrf[{index}].vtep", vrf.vtep) for index, vrf in enumerate(found.vrfs)]
    wanted = {"node.vtep": found.node.vteps} | {path: (vtep,) for path, vtep in own if vtep not in found.node.vteps}
    for path, vteps in wanted.items():
        for vtep in vteps:
            if vtep not in here:
                mend = f"ip address add {vtep}/{128 if vtep.is_v6 else 32} dev lo"
                yield Problem(path, f"no device of this host has the address {vtep}", mend)


def state_dir(found: Config) -> Iterator[Problem]:
    """Yield a directory that is missing: the units of systemd make it, a start by hand does not."""
    directories = [("node.state_dir", found.node.state_dir)]
    if found.feed.exabgp:
        directories.append(("feed.socket", found.feed.socket.parent))
    for path, directory in directories:
        nearest = next(above for above in (directory, *directory.parents) if above.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK):
            yield Problem(path, f"{directory} cannot be made: {nearest} is not a directory that this user may write")


def exabgp() -> Iterator[Problem]:
    if find_spec("exabgp") is None and shutil.which("exabgp") is None:
        yield Problem("", "there is no ExaBGP on this host", f"install exabgp 4.2 or 5.0 beside {sys.executable}")


def sysctls(root: Path) -> Iterator[Problem]:
    for name, what in SYSCTLS.items():
        if _setting(root / name) not in ("", "0"):
            yield Problem("", f"{what} (hint: sysctl -w {name.replace('/', '.')}=0)")
    if _setting(root / "net/ipv4/conf/all/rp_filter") == STRICT_REVERSE_PATH:
        yield Problem(
            "",
            "net.ipv4.conf.all.rp_filter is strict: with more than one uplink, packets of other VTEPs may be dropped "
            "(hint: sysctl -w net.ipv4.conf.all.rp_filter=2)",
        )


def _setting(path: Path) -> str:
    """Return the setting, or nothing if the kernel does not have it."""
    with suppress(OSError):
        return path.read_text().strip()
    return ""
