"""Nodes of a small network: each one a network and a mount namespace of its own, with programs and sockets inside.

A node is addressed by the pid of its holder, a shell that waits for the end of its standard input, which only this
process holds open. At that end, however this process came to it, the holder kills whatever still runs in its network
namespace and leaves; with the last process go the namespace and its interfaces. (A death signal from the parent would
kill the one that has to clean up, and programs that change their user lose theirs.) Nothing is named under /run/netns
and nothing on the host changes: each node has an empty /run of its own, where the programs' files live and die.

    this process ──pipe── holder (sh)      ns: net, mnt; /run is a tmpfs, seen from outside as node.path("/run/...")
                 ──────── nsenter … argv   becomes the program itself, so its pid is the program's
                 ──────── node.socket()    made inside by a short-lived thread, used from anywhere

Knows nothing of bridges, routes or BGP.
"""

import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.lab.wait import PATIENCE

_HOLDER: Final = r"""
read -r shown _ </proc/self/stat
[ "$shown" = $$ ] || { echo "/proc is that of another pid namespace"; exit; }
[ /proc/$$/ns/net -ef /proc/$PPID/ns/net ] && { echo "the network namespace is still the old one"; exit; }
case ${TMPDIR:-} in /run/*) exec 9<"$TMPDIR";; *) TMPDIR=;; esac
mount -t tmpfs -o mode=0755 lab /run && ip link set lo up || exit
# A temporary folder below the old /run stays in its place; the path of the descriptor must not be resolved.
[ -z "$TMPDIR" ] || { mkdir -p "$TMPDIR" && mount -c --bind /proc/self/fd/9 "$TMPDIR" && exec 9<&-; } || exit
# Duplicate address detection would keep new IPv6 addresses unusable for a second.
[ ! -e /proc/sys/net/ipv6 ] || echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
echo ready
read -r _
left=1
while [ -n "$left" ]; do
  left=
  for process in /proc/[0-9]*; do
    pid=${process#/proc/}
    [ $pid != $$ ] && [ $process/ns/net -ef /proc/$$/ns/net ] && kill -9 $pid && left=1
  done
done
"""
_CLONE_NEWNET: Final = 0x40000000


class Missing(Exception):  # noqa: N818 - the reason is the point, and it is no error of the lab
    """This machine has not what is asked for; the message is a sentence for people."""


class CommandFailed(Exception):  # noqa: N818 - an ordinary outcome of a command
    """A command in a node ended with another status than 0."""

    def __init__(self, node: str, argv: tuple[str, ...], status: int, output: str) -> None:
        self.status = status
        self.output = output
        super().__init__(f"{node}: {' '.join(argv)} ended with {status}: {output.strip()}")


class Process:
    """A program that runs in a node; both its outputs go to one log."""

    def __init__(self, popen: "subprocess.Popen[bytes]", log: Path) -> None:
        self.popen = popen
        self.pid = popen.pid
        self._log = log

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def log(self) -> str:
        """What it has written so far; nothing when its node is gone."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def wait(self, deadline_s: float = 10.0) -> int:
        """Return the exit status (a negative signal number when a signal ended it)."""
        return self.popen.wait(deadline_s * PATIENCE)

    def stop(self, deadline_s: float = 10.0) -> int:
        """Ask it to end; if it does not, end it."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(deadline_s)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it without asking, as a crash would."""
        self.signal(signal.SIGKILL)
        return self.wait()


class Node:
    """One machine of the lab. Its programs start in the folder /."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._holder = _start_holder()
        self.pid = self._holder.pid
        self._processes: list[Process] = []

    def run(self, *argv: str, stdin: str | None = None, deadline_s: float = 20.0) -> str:
        """Run a command to its end and return what it printed."""
        done = self.attempt(*argv, stdin=stdin, deadline_s=deadline_s)
        if done.returncode:
            raise CommandFailed(self.name, argv, done.returncode, done.stderr or done.stdout)
        return done.stdout

    def attempt(
        self, *argv: str, stdin: str | None = None, deadline_s: float = 20.0
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end, for those whose status is an answer."""
        return subprocess.run(
            self._inside(argv), input=stdin, capture_output=True, text=True, timeout=deadline_s * PATIENCE, check=False
        )

    def ip(self, *commands: str) -> None:
        """Run `ip` commands (each without the word ip) in one process; the first that fails ends them."""
        self.run("ip", "-batch", "-", stdin="\n".join(commands) + "\n")

    def start(self, *argv: str, env: Mapping[str, str] | None = None, log: str = "") -> Process:
        """Start a program that runs until it is stopped, or until the lab is closed."""
        path = self.path(log or f"/run/log/{len(self._processes)}-{Path(argv[0]).name}.log")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as output:
            popen = subprocess.Popen(
                self._inside(argv),
                env=os.environ | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A Ctrl-C is for the one who closes the lab.
                start_new_session=True,
            )
        process = Process(popen, path)
        self._processes.append(process)
        return process

    def path(self, inside: str) -> Path:
        """Return the way from outside to a file of the node, sockets included."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def write(self, inside: str, text: str) -> None:
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Make a socket that belongs to this node for good. It keeps the namespace alive until it is closed."""
        # Only the thread that makes it enters the namespace, and the thread ends with that.
        with ThreadPoolExecutor(1) as visitor:
            return visitor.submit(socket_inside, self.pid, family, kind, protocol).result()

    def has_link(self, name: str) -> bool:
        try:
            self.run("ip", "link", "show", "dev", name)
        except CommandFailed:
            return False
        return True

    def _inside(self, argv: tuple[str, ...]) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "--", *argv]

    def _let_go(self) -> None:
        assert self._holder.stdin is not None
        self._holder.stdin.close()

    def _wait_gone(self) -> None:
        assert self._holder.stdout is not None
        self._holder.wait(10 * PATIENCE)
        self._holder.stdout.close()
        for process in self._processes:
            process.wait()


class Lab:
    """The nodes of one network. Closing it ends every program in them, and the namespaces."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def node(self, name: str) -> Node:
        node = Node(name)
        self.nodes.append(node)
        return node

    def close(self) -> None:
        nodes, self.nodes = self.nodes, []
        for node in nodes:
            node._let_go()
        for node in nodes:
            node._wait_gone()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def link(one: Node, one_name: str, other: Node, other_name: str) -> None:
    """Join two nodes by a wire whose ends are up. An interface may not be called `h`: `ip` takes that for help."""
    one.ip(
        f"link add name {one_name} type veth peer name {other_name} netns {other.pid}",
        f"link set dev {one_name} up",
    )
    other.ip(f"link set dev {other_name} up")


def logs(lab: Lab) -> Iterator[tuple[str, str]]:
    """What every program of the lab has said, by `node/file`: worth printing when a test fails."""
    for node in lab.nodes:
        for path in sorted(filter(Path.is_file, node.path("/run/log").glob("*"))):
            yield f"{node.name}/{path.name}", path.read_text(errors="replace")


def _start_holder() -> "subprocess.Popen[str]":
    try:
        holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--", "sh", "-c", _HOLDER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise Missing("network namespaces need `unshare` and `nsenter` (package util-linux)") from None
    assert holder.stdin is not None
    assert holder.stdout is not None
    heard = holder.stdout.readline().strip()
    if heard == "ready":
        return holder
    with holder:
        holder.stdin.close()
        heard += holder.stdout.read().strip()
    raise Missing(
        f"no network namespace can be made here ({heard}); "
        "it takes root, or `unshare -Urnm -pf --kill-child --mount-proc`, and the package iproute2"
    )


def socket_inside(pid: int, family: int, kind: int, protocol: int) -> socket.socket:
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns came with Python 3.12
    with Path(f"/proc/{pid}/ns/net").open("rb") as namespace:
        if libc.setns(namespace.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns", f"network namespace of {pid}")
    return socket.socket(family, kind, protocol)
