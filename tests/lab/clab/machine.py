"""One deployed node, whichever backend made it: its commands, its programs, its sockets.

Has what `Node` of the other labs has, as far as `overlay`, `probe` and `witness` ask for it. Does not know how it came
about, nor how it ends.
"""

import contextlib
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lab.clab.file import Wire
from tests.lab.namespaces import CommandFailed, Process, socket_inside


class Machine:
    def __init__(self, name: str, pid: int, inside: tuple[str, ...], scratch: Path) -> None:
        """A process of the node, the words that run a command in it, and a folder outside for logs."""
        self.name = name
        self.pid = pid
        self._inside = inside
        self._scratch = scratch
        self._processes: list[Process] = []

    def run(self, *argv: str, stdin: str | None = None, deadline_s: float = 30.0) -> str:
        """Run a command to its end and return what it printed."""
        done = subprocess.run(
            [*self._inside, *argv], input=stdin or "", capture_output=True, text=True, timeout=deadline_s, check=False
        )
        if done.returncode:
            raise CommandFailed(self.name, argv, done.returncode, done.stderr or done.stdout)
        return done.stdout

    def shell(self, script: str) -> str:
        return self.run("sh", "-e", "-c", script)

    def ip(self, *commands: str) -> None:
        self.shell("\n".join(f"ip {command}" for command in commands))

    def start(self, *argv: str, log: str = "") -> Process:
        """Start a program of this machine's, with our own eyes on the node's network; it sees no files of the node."""
        path = self._scratch / f"{self.name}-{len(self._processes)}-{Path(log or argv[0]).name}"
        with path.open("ab") as output:
            popen = subprocess.Popen(
                ["nsenter", "-t", str(self.pid), "-n", "--", *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        process = Process(popen, path)
        self._processes.append(process)
        return process

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        with ThreadPoolExecutor(1) as visitor:
            return visitor.submit(socket_inside, self.pid, family, kind, protocol).result()

    def read(self, path: str) -> str:
        """Return a file's text; nothing when there is none."""
        with contextlib.suppress(CommandFailed):
            return self.run("cat", path)
        return ""

    def write(self, path: str, text: str) -> None:
        self.run("sh", "-c", f"mkdir -p $(dirname {path}) && cat >{path}", stdin=text)

    # Programs that the node's own scripts started, known by pid files

    def kill(self, pid_file: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to it."""
        self.run("sh", "-c", f"kill -{number.value} $(cat {pid_file})")

    def runs(self, pid_file: str) -> bool:
        """Tell whether it is there and no zombie."""
        with contextlib.suppress(CommandFailed):
            self.run("sh", "-c", rf"grep -q '^State:[[:space:]]*[^Z[:space:]]' /proc/$(cat {pid_file})/status")
            return True
        return False

    def close(self) -> None:
        """End what was started from here."""
        for process in self._processes:
            if process.alive:
                process.kill()


def wire(machines: dict[str, Machine], joined: Wire) -> None:
    """Join two nodes, both ends up, with this machine's own `ip`: a container need not have one."""
    (one, one_name), (other, other_name) = joined.ends
    pid, other_pid, mtu = machines[one].pid, machines[other].pid, joined.mtu
    _ip(pid, f"link add name {one_name} mtu {mtu} type veth peer name {other_name} mtu {mtu} netns {other_pid}")
    _ip(pid, f"link set dev {one_name} up")
    _ip(other_pid, f"link set dev {other_name} up")


def _ip(pid: int, words: str) -> None:
    subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", *words.split()], check=True)


@contextlib.contextmanager
def halted(machine: Machine, pid_file: str) -> Iterator[None]:
    """Have a program stand still for a while."""
    machine.kill(pid_file, signal.SIGSTOP)
    try:
        yield
    finally:
        machine.kill(pid_file, signal.SIGCONT)
