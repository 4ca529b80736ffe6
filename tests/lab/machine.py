"""Whole machines: a Debian of its own, whose process 1 is systemd, in namespaces of its own. No engine of containers is needed.

    this process ──pipe── holder (sh)      a mount namespace; a control group, which it removes at the end
                           └ unshare       ns: pid, net, cgroup, ipc, uts
                              └ systemd    root: an overlay of the Debian below and memory above, which goes with the namespace

NetworkManager is there and does not start at the boot (`systemctl unmask --runtime NetworkManager`). There is no udev, and /sys is
read only, by which systemd-networkd knows that it need not wait for udev. A machine is a node of the lab, so wires, stations and pings are those of any other. Its commands see only what is in it. Takes root,
and a kernel on which the second version of control groups can be mounted. Knows nothing of vtep.
"""

import itertools
import os
import subprocess
from pathlib import Path
from typing import Final

from tests.lab.namespaces import CommandFailed, Missing, Node
from tests.lab.wait import PATIENCE, NeverHappened, wait_until

PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGES: Final = (
    "python3",
    "iproute2",
    "systemd",
    "dbus",
    "ansible-core",
    "python3-apt",
    "ifupdown2",
    "network-manager",
)
"""What such a machine has beside a minimal Debian. Ansible is in it, because it configures the machine from within."""
ROOTFS: Final = Path(__file__).parents[2] / "interop/rootfs"
_NUMBERS: Final = itertools.count(os.getpid() << 8)

_HOLDER: Final = r"""
below=$1 place=$2 name=$3
mount -t tmpfs -o mode=0755 machine "$place" || exit
mkdir "$place/cgroup" "$place/upper" "$place/work" "$place/new" || exit
mount -t cgroup2 cgroup2 "$place/cgroup" && mkdir "$place/cgroup/$name" || exit
mount -t overlay -o "lowerdir=$below,upperdir=$place/upper,workdir=$place/work" overlay "$place/new" || exit
echo $$ >"$place/cgroup/$name/cgroup.procs" || exit
unshare --mount --pid --fork --kill-child --net --cgroup --uts --ipc sh -ec "$4" boot "$place/new" "$name" </dev/null >"$place/boot" 2>&1 &
outer=$!
echo $$ >"$place/cgroup/cgroup.procs"
until first=$(cat /proc/$outer/task/$outer/children 2>/dev/null) && [ -n "$first" ]; do
  case $(cat /proc/$outer/stat 2>/dev/null) in "" | *") Z "*) exec cat "$place/boot" ;; esac
  sleep 0.01
done
echo "booting $first"
read -r _
kill -9 $outer
wait $outer 2>/dev/null
while ! find "$place/cgroup/$name" -depth -type d -exec rmdir {} + 2>/dev/null; do sleep 0.01; done
"""
_BOOT: Final = r"""
cd "$1"
hostname "$2"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=0755 tmpfs dev
for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
mkdir dev/pts dev/shm dev/net old
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=0755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir -p run/systemd/system
ln -s /dev/null run/systemd/system/NetworkManager.service
pivot_root . old
umount -l /old
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=multi-user.target
"""


def debian(place: Path, packages: tuple[str, ...] = PACKAGES) -> Path:
    """Return a folder with the root file system of such a machine, which is made once and then kept as an archive."""
    if os.geteuid() != 0:
        raise Missing("a machine takes root")
    done = subprocess.run([ROOTFS, "bookworm", place, *packages], capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"there is no Debian for a machine: {done.stderr.strip()}")
    return place


class Machine(Node):
    """A machine that was booted from a Debian below. Commands run in it as root; where it writes goes with it."""

    def __init__(self, name: str, below: Path, place: Path) -> None:
        self.name = name
        place.mkdir()
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", _HOLDER, "machine", below, place, f"vtep-lab-{next(_NUMBERS)}", _BOOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._processes = []
        assert self._holder.stdout is not None
        said, _, pid = self._holder.stdout.readline().strip().rpartition(" ")
        if said != "booting":
            self._let_go()
            raise Missing(f"no machine can be booted here ({said} {pid})")
        self.pid = int(pid)
        try:
            wait_until(self._is_up, 120, f"{name} is up")
        except NeverHappened as never:
            self._let_go()
            raise Missing(f"no machine can be booted here ({never})") from never

    def _is_up(self) -> bool:
        """Tell whether the boot is over. `degraded` is usual: there is no console for a login."""
        return self.attempt("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")

    def sh(self, text: str, deadline_s: float = 180.0, *, stdin: str | None = None) -> str:
        """Run lines of shell, of which the first that fails ends them, in the home of root."""
        return self.run("sh", "-ec", f"cd /root\n{text}", stdin=stdin, deadline_s=deadline_s)

    def ip(self, *commands: str) -> None:
        """Run `ip` commands with the numbers of processes that this process sees: a wire names its other end by one."""
        words = ["nsenter", "-t", str(self.pid), "-n", "--", "ip", "-batch", "-"]
        done = subprocess.run(words, input="\n".join(commands) + "\n", capture_output=True, text=True, check=False)
        if done.returncode:
            raise CommandFailed(self.name, commands, done.returncode, done.stderr)

    def _inside(self, argv: tuple[str, ...]) -> list[str]:
        inside = ["nsenter", "-t", str(self.pid), "-m", "-p", "-n", "-u", "-i", "-C", "-r", "-w", "--"]
        return [*inside, "env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", *argv]

    def _wait_gone(self) -> None:
        assert self._holder.stdout is not None
        self._holder.wait(20 * PATIENCE)
        self._holder.stdout.close()
