#!/usr/bin/env python3
"""Runs a command as root under a Debian kernel that is one process of this machine: `tools/kernel.py 6.1 COMMAND ...`.

The kernel is user-mode Linux as Debian packages it: no virtual machine, no root, no disk image, a boot in about three seconds.
It brings what a host's kernel may lack: VLAN filtering, VRF, dummy devices, netem, and nftables but for its family inet.

    6.1      Debian 12 (bookworm)
    6.12     Debian 13 (trixie)
    newest   what Debian has under test (forky)

    host /  ── hostfs, read only ──┐
    tmpfs   ─────────── upper ─────┴─ overlay: the guest's /, whose changes end with it
    host's --writable DIR ── hostfs ─ the one thing that is kept

On this machine, a process of the guest has a mapping for each few pages that it uses (measured: 34,000 for 300 MB), and the kernel
here allows 65,530 for each process (`vm.max_map_count`). A guest's process that needs more is killed, and what waits for it waits
on. So this tool raises the limit until the next boot, and says so; a plain user may not, and is told the command.

A kernel is fetched once, by the name of its package, with the mirror and keys of this machine's own apt, and kept in
$VTEP_CI_CACHE or ~/.cache/vtep. The exit status is the command's; 124 if it took longer than --seconds; 125 if there is no kernel
to run, or it did not boot. Standard library only. Knows nothing of the product; vtep-dev calls it.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

SUITES = {"6.1": "bookworm", "6.12": "trixie", "newest": "forky"}
PACKAGES = ("user-mode-linux", "libc6")
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MACHINE = "x86_64-linux-gnu"
LOADER = "ld-linux-x86-64.so.2"
MAPPINGS = Path("/proc/sys/vm/max_map_count")
MAPPINGS_NEEDED = 1_048_576
NO_KERNEL = 125
TOO_LATE = 124

# Process 1 of the guest. It may use nothing but what is in the host's /, which is mounted read only at that time.
INIT = r"""#!/bin/sh
. "${0%/*}/settings"
off() { echo o >/proc/sysrq-trigger; sleep 60; }
mount -t proc proc /proc || off
insmod "$MODULES/$(uname -r)/kernel/fs/overlayfs/overlay.ko" || off
mount -t tmpfs -o size=100% changes /mnt && mkdir /mnt/upper /mnt/work /mnt/root || off
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work root /mnt/root && cd /mnt/root || off
mount -t sysfs sys sys
mount -t devtmpfs dev dev && mkdir -p dev/pts dev/shm && ln -sf /proc/self/fd dev/fd
mount -t devpts -o ptmxmode=0666 pts dev/pts
mount -t tmpfs shm dev/shm
mount -t tmpfs run run && mkdir -p run/lock run/netns
mkdir -p lib/modules && mount -t hostfs -o "$MODULES" modules lib/modules
for directory in $WRITABLE; do
    mkdir -p ".$directory" && mount -t hostfs -o "$directory" kept ".$directory" || off
done
mount -n --move /proc proc
# A command may enter other mount namespaces, and must find the same root there: chroot alone would not do.
mkdir -p .host && pivot_root . .host && exec chroot . /bin/sh -c '
    umount -l /.host && rmdir /.host
    . "$0/settings"
    export PATH HOME TERM=dumb VTEP_LAB_PATIENCE
    ip link set dev lo up
    modprobe -a bridge vxlan veth dummy vrf
    cd "$DIRECTORY" && "$0/command" </dev/null >/dev/tty0 2>&1
    echo $? >"$0/status"
    sync
    echo o >/proc/sysrq-trigger
    sleep 60' "$SCRATCH"
off
"""
# What the kernel itself writes where the command's output goes.
CHATTER = re.compile(
    rb"^(sysrq: Power Off|reboot: Power down|mmapper_init - .*|Failed to initialize ubd .*|SELinux: .*)\r?\n$"
)


class Unavailable(Exception):  # noqa: N818 - the reason is the point
    """There is no such kernel to be had here; the text says what to do."""


def main() -> int:
    options = _parser().parse_args()
    try:
        tree = fetched(options.kernel)
        return run(tree, options) if options.command else 0
    except Unavailable as reason:
        print(f"kernel: {reason}", file=sys.stderr)
        return NO_KERNEL


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/kernel.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kernel", choices=SUITES)
    parser.add_argument(
        "--memory", default="2G", help="of the guest, its changes to files included (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=int, default=6 * 3600, help="until a command that hangs is ended (default: %(default)s)"
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=patience(),
        help="by which the labs' deadlines are multiplied (default: %(default)s, 4 and more on a machine that is busy now)",
    )
    parser.add_argument(
        "--writable", type=Path, action="append", default=[], metavar="DIR", help="keep what is written below it"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help="none: only fetch the kernel")
    return parser


def patience() -> float:
    """Return the factor of a kernel that is a process: 4 on an idle machine, up to 12 where many others want the CPUs."""
    if given := os.environ.get("VTEP_LAB_PATIENCE"):
        return float(given)
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    return round(4 * min(max(busy, 1), 3), 1)


# ---- fetching


def fetched(kernel: str) -> Path:
    """Return the directory of the kernel, its modules and its libc; fetch them if that was never done."""
    cache = Path(
        os.environ.get("VTEP_CI_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "vtep")
    )
    tree = cache / f"kernel-{SUITES[kernel]}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / f"{tree.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not tree.exists():
                with tempfile.TemporaryDirectory(dir=cache, prefix=".kernel-") as scratch:
                    _fetch(SUITES[kernel], Path(scratch), tree)
    except OSError as refused:
        raise Unavailable(f"cannot write {cache}: {refused}. Set VTEP_CI_CACHE to a directory of yours") from refused
    return tree


def _fetch(suite: str, scratch: Path, tree: Path) -> None:
    for program, package in (("apt-get", "apt"), ("dpkg-deb", "dpkg"), ("patchelf", "patchelf"), ("modprobe", "kmod")):
        if shutil.which(program) is None:
            raise Unavailable(
                f"{program} is missing: run apt-get install {package} (this needs a Debian or Ubuntu host)"
            )
    _download(suite, scratch)
    unpacked = scratch / "unpacked"
    for package in scratch.glob("*.deb"):
        _tool("dpkg-deb", "-x", str(package), str(unpacked))
    kept = scratch / "kept"
    library = kept / "lib"
    library.mkdir(parents=True)
    for name in (LOADER, "libc.so.6"):
        (source,) = (path for path in unpacked.glob(f"**/lib/{MACHINE}/{name}"))
        shutil.copy(source.resolve(), library / name)
    linux = kept / "linux"
    shutil.move(unpacked / "usr/bin/linux.uml", linux)
    shutil.move(unpacked / "usr/lib/uml/modules", kept / "modules")
    if "not found" in subprocess.run(["ldd", linux], capture_output=True, text=True, check=False).stdout:
        # A newer Debian's kernel needs that Debian's libc. Starting the loader by hand would not do: the kernel's heap has to
        # lie behind the program.
        loader, path = tree / "lib" / LOADER, tree / "lib"
        _tool("patchelf", "--set-interpreter", str(loader), "--set-rpath", str(path), str(linux))
    kept.rename(tree)


def _download(suite: str, scratch: Path) -> None:
    """Download the packages of a suite, with lists and settings apart from those of this machine."""
    for folder in ("lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d"):
        (scratch / folder).mkdir(parents=True)
    (scratch / "etc/sources.list").write_text(f"deb [signed-by={KEYS}] {_mirror()} {suite} main\n")
    (scratch / "status").touch()
    settings = {
        "Dir::State": scratch,
        "Dir::State::status": scratch / "status",
        "Dir::Cache": scratch / "cache",
        "Dir::Etc": scratch / "etc",
        "APT::Sandbox::User": "",
        "Acquire::Check-Valid-Until": "false",
        "Acquire::Languages": "none",
    }
    (scratch / "settings").write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
    environment = os.environ | {"APT_CONFIG": str(scratch / "settings")}
    _tool("apt-get", "-qq", "update", env=environment)
    _tool("apt-get", "-qq", "download", *PACKAGES, cwd=scratch, env=environment)


def _mirror() -> str:
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(CODENAME)", "Created-By: Packages"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for line in told.splitlines():
        origin, address, suite = [*line.split(), "", "", ""][:3]
        if origin == "Debian" and "security" not in suite:
            return address
    raise Unavailable("this machine's apt names no mirror of Debian; run apt-get update, or use a Debian host")


def _tool(*command: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(
            f"{' '.join(command[:3])} ended with {done.returncode}: {(done.stderr or done.stdout).strip()}"
        )


# ---- running


def run(tree: Path, options: argparse.Namespace) -> int:
    if told := allow_mappings():
        print(f"kernel: {told}", file=sys.stderr, flush=True)
    with _scratch(tree, options) as scratch:
        boot = [
            str(tree / "linux"), f"mem={options.memory}", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
            f"init={scratch}/init", "seccomp=auto", "quiet", "con=null", "con0=null,fd:1",
        ]  # fmt: skip
        with (scratch / "messages").open("wb") as messages:
            kernel = subprocess.Popen(
                # However we end, the kernel ends as well: timeout(1) passes the signal on.
                ["setpriv", "--pdeathsig", "TERM", "timeout", "--kill-after=2", str(options.seconds), *boot],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=messages,
                env=os.environ | preloaded(options.kernel, tree),
            )
            assert kernel.stdout is not None
            for line in kernel.stdout:
                if not CHATTER.match(line):
                    sys.stdout.buffer.write(line.replace(b"\r\n", b"\n"))
                    sys.stdout.buffer.flush()
            ended = kernel.wait()
        if ended == TOO_LATE:
            print(f"kernel: the command took longer than {options.seconds} s", file=sys.stderr)
            return TOO_LATE
        status = scratch / "status"
        if not status.exists():
            print(f"kernel: it did not boot:\n{(scratch / 'messages').read_text(errors='replace')}", file=sys.stderr)
            return NO_KERNEL
        return int(status.read_text())


def allow_mappings(limit: Path = MAPPINGS) -> str:
    """Raise this machine's limit of mappings to what a guest needs; return what the user must know about it."""
    allowed = int(limit.read_text())
    if allowed >= MAPPINGS_NEEDED:
        return ""
    try:
        limit.write_text(str(MAPPINGS_NEEDED))
    except OSError:
        return (
            f"this machine allows {allowed:,} mappings for each process, and a large process of the guest is killed when it "
            f"needs more. Run as root: sysctl -w vm.max_map_count={MAPPINGS_NEEDED}"
        )
    return f"set vm.max_map_count of this machine from {allowed} to {MAPPINGS_NEEDED} until its next boot"


def preloaded(kernel: str, tree: Path) -> dict[str, str]:
    """Return what the environment needs for the older kernels on a processor with more registers than they have room for."""
    if kernel == "newest" or "amx_tile" not in Path("/proc/cpuinfo").read_text():
        return {}
    library = tree / "xstate.so"
    if not library.exists():
        if shutil.which("gcc") is None:
            raise Unavailable(f"kernel {kernel} needs a library on this processor: run apt-get install gcc libc6-dev")
        source = Path(__file__).with_name("xstate.c")
        made = library.with_suffix(f".{os.getpid()}")
        _tool("gcc", "-O2", "-shared", "-fPIC", "-o", str(made), str(source))
        made.rename(library)
    return {"LD_PRELOAD": str(library)}


@contextlib.contextmanager
def _scratch(tree: Path, options: argparse.Namespace) -> Iterator[Path]:
    """Make the directory that host and guest share: how the guest begins, what it runs, and its status."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        settings = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": os.environ.get("HOME", "/"),
            "VTEP_LAB_PATIENCE": str(options.patience),
            "DIRECTORY": str(Path.cwd()),
            "MODULES": str(tree / "modules"),
            "SCRATCH": name,
            "WRITABLE": " ".join([name, *(str(path.resolve()) for path in options.writable)]),
        }
        (scratch / "settings").write_text("".join(f"{key}={shlex.quote(value)}\n" for key, value in settings.items()))
        for file, text in (("init", INIT), ("command", f"#!/bin/sh\nexec {shlex.join(options.command)}\n")):
            (scratch / file).write_text(text)
            (scratch / file).chmod(0o755)
        yield scratch


if __name__ == "__main__":
    sys.exit(main())
