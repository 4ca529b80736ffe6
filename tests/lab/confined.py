"""Runs a program as a unit of packaging/ confines it: `python confined.py UNIT COMMAND...`.

Read from the unit itself: its capabilities, its system calls (by the names of systemd-analyze(1) and the numbers of this
machine's headers), its address families, no namespaces, no new privileges, no memory both writable and executable. What
systemd does with mounts and users is not part of it; tests/docker has the real thing.

    setpriv ── one capability, no new privileges ──> python ── seccomp filter ──> COMMAND

The filter's answers are those of systemd 252: EPERM for a call that is not on the list and for a namespace by clone(2),
EAFNOSUPPORT for a socket of another family, ENOSYS for clone3(2), whose flags no filter can see.
"""

import ctypes
import errno
import os
import platform
import re
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

WANTED: Final = "VTEP_LAB_CONFINED"
"""Set in the environment, it confines every daemon that `tests.lab.vtep` starts."""
UNITS: Final = Path(__file__).parents[2] / "packaging" / "systemd"
DAEMON: Final = "vtep.service"
NOBODY: Final = 65534

MACHINE: Final = platform.machine()
_HEADERS: Final = {
    "x86_64": (0xC000003E, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": (0xC00000B7, "/usr/include/asm-generic/unistd.h"),
}
_FAMILIES: Final = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
_NAMESPACES: Final = 0x7E020000
"""CLONE_NEW* of clone(2)."""
_REFUSED_ELSEWHERE: Final = {"unshare", "setns", "personality"}
"""By RestrictNamespaces and LockPersonality."""
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, _PR_SET_MDWE, _PR_MDWE_REFUSE_EXEC_GAIN = 22, 2, 65, 1
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000
_LOAD, _IF_EQUAL, _IF_ANY, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16
"""Where they are in struct seccomp_data; the low half of an argument, on a little-endian machine."""

_Step = tuple[int, int, int, int]


def is_wanted() -> bool:
    return bool(os.environ.get(WANTED))


@cache
def prefix() -> tuple[str, ...]:
    """Return what to put before the daemon's command; Missing says why its unit cannot be followed here."""
    capabilities = "".join(f",+{name.removeprefix('CAP_').lower()}" for name in _words(DAEMON, "CapabilityBoundingSet"))
    rights = ("setpriv", f"--bounding-set=-all{capabilities}", "--inh-caps=-all", "--no-new-privs")
    return (*rights, *_filtered(DAEMON))


@cache
def exabgp_prefix() -> tuple[str, ...]:
    """Return the same for ExaBGP: as a user that is not root, by the names of a user namespace, with no capability."""
    user = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}")
    return (*user, "setpriv", "--inh-caps=-all", "--no-new-privs", *_filtered("exabgp.service"))


def _filtered(unit: str) -> tuple[str, ...]:
    from tests.lab.namespaces import Missing

    try:
        program(unit)
    except (OSError, KeyError, subprocess.SubprocessError) as error:
        raise Missing(f"the unit's system calls cannot be worked out here: {error!r}") from None
    return sys.executable, str(Path(__file__).resolve()), unit


def program(unit: str) -> bytes:
    """Return the filter as classic BPF."""
    machine, header = _HEADERS[MACHINE]
    numbers = {name: int(text) for name, text in re.findall(r"#define __NR_(\w+)\s+(\d+)", Path(header).read_text())}
    steps: list[_Step] = [
        (_LOAD, 0, 0, _MACHINE),
        (_IF_EQUAL, 1, 0, machine),
        (_RETURN, 0, 0, _REFUSE | errno.EPERM),
        (_LOAD, 0, 0, _NUMBER),
        *_when(numbers["socket"], _families(unit)),
        *_when(numbers["clone"], _no_namespace()),
        *_when(numbers["clone3"], [(_RETURN, 0, 0, _REFUSE | errno.ENOSYS)]),
    ]
    for name in sorted(allowed(unit) & numbers.keys()):
        steps += _when(numbers[name], [(_RETURN, 0, 0, _ALLOW)])
    steps.append((_RETURN, 0, 0, _REFUSE | errno.EPERM))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def allowed(unit: str) -> set[str]:
    """Return the names of the system calls that the unit leaves, its later lines taking from or adding to the earlier."""
    names = set(_sets()["@default"])  # systemd.exec(5): always on a list of what is allowed
    for line in _lines(unit, "SystemCallFilter"):
        some = {call for word in line.lstrip("~").split() for call in _expanded(word)}
        names = names - some if line.startswith("~") else names | some
    return names - _REFUSED_ELSEWHERE


def _families(unit: str) -> list[_Step]:
    steps: list[_Step] = [(_LOAD, 0, 0, _FIRST_ARGUMENT)]
    for family in _words(unit, "RestrictAddressFamilies"):
        steps += [(_IF_EQUAL, 0, 1, _FAMILIES[family]), (_RETURN, 0, 0, _ALLOW)]
    return [*steps, (_RETURN, 0, 0, _REFUSE | errno.EAFNOSUPPORT)]


def _no_namespace() -> list[_Step]:
    refuse, allow = (_RETURN, 0, 0, _REFUSE | errno.EPERM), (_RETURN, 0, 0, _ALLOW)
    return [(_LOAD, 0, 0, _FIRST_ARGUMENT), (_IF_ANY, 0, 1, _NAMESPACES), refuse, allow]


def _when(number: int, steps: list[_Step]) -> list[_Step]:
    """Take these steps, which end the filter, for one system call."""
    return [(_IF_EQUAL, 0, len(steps), number), *steps]


def _expanded(word: str) -> set[str]:
    return {call for member in _sets()[word] for call in _expanded(member)} if word.startswith("@") else {word}


@cache
def _sets() -> dict[str, list[str]]:
    """Return systemd's sets of system calls, each with its members, which may be sets."""
    told = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True).stdout
    sets: dict[str, list[str]] = {}
    name = ""
    for line in told.splitlines():
        word = line.partition("#")[0].strip()
        if word and not line.startswith(" "):
            name = word
            sets[name] = []
        elif word:
            sets[name].append(word)
    return sets


def _words(unit: str, key: str) -> list[str]:
    return [word for line in _lines(unit, key) for word in line.split()]


def _lines(unit: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", (UNITS / unit).read_text(), re.MULTILINE)


def _confine(unit: str) -> None:
    """Confine this process for good, whatever it becomes."""
    libc = ctypes.CDLL(None, use_errno=True)
    octets = program(unit)
    code = ctypes.create_string_buffer(octets, len(octets))
    described = ctypes.create_string_buffer(struct.pack("@HP", len(octets) // 8, ctypes.addressof(code)))
    libc.prctl(_PR_SET_MDWE, _PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)  # Linux 6.3 and later; older ones go without
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, described, 0, 0):
        raise OSError(ctypes.get_errno(), "no seccomp filter")


if __name__ == "__main__":
    _confine(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])
