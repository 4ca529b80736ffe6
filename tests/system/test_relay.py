"""The real relay as a process, between something in ExaBGP's place (or ExaBGP itself) and the daemon's end of the feed."""

import asyncio
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest

import vtep
from vtep.feed.exabgp.socket import Attached, Detached, Lines, Lost, Oversized, Stream

ROOT = Path(vtep.__file__).parents[1]
RELAY = "import sys; from vtep.feed.exabgp.relay import main; sys.exit(main(sys.argv[1:]))"
WAIT_S = 30
BRIEFLY_S = 5
"""Far more than a write to a pipe takes, far less than a peer's patience."""

NEIGHBOR = '"neighbor": { "address": { "local": "10.0.0.9", "peer": "10.0.0.1" }'
UP = f'{{ "exabgp": "5.0.0", "counter": 1, "type": "state", {NEIGHBOR}, "state": "up" }} }}'.encode()
DOWN = UP.replace(b'"up"', b'"down"')
OPEN = f'{{ "exabgp": "5.0.0", "counter": 1, "type": "open", {NEIGHBOR}, "direction": "receive" }} }}'.encode()


def wait_until(condition):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        select.select([], [], [], 0.005)


class FakeExabgp:
    """Writes to a relay as ExaBGP does, blocking, and remembers the longest write."""

    def __init__(self, path, *options):
        self.process = subprocess.Popen(
            [sys.executable, "-c", RELAY, "--socket", str(path), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=ROOT,
        )
        self.longest_write_s = 0.0

    def write(self, *lines):
        for line in lines:
            octets = memoryview(line + b"\n")
            began = time.monotonic()
            while octets:
                octets = octets[os.write(self.process.stdin.fileno(), octets) :]
            self.longest_write_s = max(self.longest_write_s, time.monotonic() - began)

    def read_command(self):
        line = b""
        while not line.endswith(b"\n"):
            assert select.select([self.process.stdout], [], [], WAIT_S)[0], "no command came"
            line += os.read(self.process.stdout.fileno(), 1)
        return line

    def end(self):
        self.process.stdin.close()
        return self.process.wait(WAIT_S)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "feed.sock"


@pytest.fixture
def exabgp(path):
    started = []

    def start(*options):
        started.append(FakeExabgp(path, *options))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()
        for pipe in (each.process.stdin, each.process.stdout, each.process.stderr):
            pipe.close()


class Daemon:
    """The daemon's end, whose loop runs while something is asked of it, so that a test reads from top to bottom."""

    def __init__(self, path):
        self._runner = asyncio.Runner()
        self.stream = Stream(path)
        self._runner.run(self.stream.start())

    def receive(self):
        return self._runner.run(asyncio.wait_for(self.stream.receive(), WAIT_S))

    def receive_lines(self, number, *, replayed=False):
        lines = []
        while len(lines) < number:
            item = self.receive()
            assert isinstance(item, Lines), item
            assert item.replayed is replayed
            lines += item.lines
        return lines

    def send(self, command):
        async def put():
            return self.stream.send(command)

        return self._runner.run(put())

    def stop(self):
        self._runner.run(self.stream.stop())
        self._runner.close()


@contextmanager
def daemon_at(path):
    daemon = Daemon(path)
    try:
        yield daemon
    finally:
        daemon.stop()


@contextmanager
def stalled_daemon_at(path):
    """A daemon that accepts the relay and then reads nothing unless asked to."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as leaf:
        leaf.bind(str(path))
        leaf.listen()
        leaf.settimeout(WAIT_S)
        caller, _ = leaf.accept()
        with caller:
            caller.settimeout(WAIT_S)
            yield caller


def read_lines_until(caller, last):
    """Read lines up to the last one, the relay's own as objects."""
    octets = b""
    while not octets.endswith(last + b"\n"):
        octets += caller.recv(1 << 20)
    return [json.loads(line) if line.startswith(b'{"relay":') else line for line in octets.split(b"\n")[:-1]]


def test_a_daemon_that_comes_later_than_exabgp_misses_nothing(path, exabgp):
    speaker = exabgp()
    speaker.write(OPEN, UP, b"first")
    wait_until(lambda: b"no daemon" in os.read(speaker.process.stderr.fileno(), 4096))

    with daemon_at(path) as daemon:
        hello = daemon.receive()
        started = int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[19])
        assert hello == Attached(1, os.getpid(), speaker.process.pid, 0, hello.complete, started, guarded=False)
        assert daemon.receive_lines(3) == [OPEN, UP, b"first"]
        speaker.write(b"second")
        assert daemon.receive_lines(1) == [b"second"]


def test_a_daemon_that_comes_back_is_told_the_states_and_gets_what_was_said_meanwhile(path, exabgp):
    speaker = exabgp()
    with daemon_at(path) as daemon:
        daemon.receive()
        speaker.write(OPEN, DOWN, UP, b"before")
        daemon.receive_lines(4)
    wait_until(lambda: b"gone" in os.read(speaker.process.stderr.fileno(), 4096))
    speaker.write(b"between", DOWN)

    with daemon_at(path) as daemon:
        hello = daemon.receive()
        assert (hello.dropped, hello.complete) == (0, False)
        assert daemon.receive_lines(2, replayed=True) == [OPEN, UP]
        assert daemon.receive_lines(2) == [b"between", DOWN]


def test_a_daemon_that_does_not_read_never_holds_exabgp_up_and_is_told_what_it_missed(path, exabgp):
    speaker = exabgp("--buffer-mib", "1")
    with stalled_daemon_at(path) as caller:
        speaker.write(OPEN, UP)
        for number in range(50_000):
            speaker.write(b'{ "n": %d, "x": "%s" }' % (number, b"x" * 830))
        speaker.write(DOWN, b"last")

        lines = read_lines_until(caller, b"last")

    assert speaker.longest_write_s < BRIEFLY_S
    missed = sum(line["lines"] for line in lines if isinstance(line, dict) and line["relay"] == "dropped")
    heard = [json.loads(line)["n"] for line in lines if isinstance(line, bytes) and line.startswith(b'{ "n"')]
    repeated = [line for line in lines[4:] if line in (OPEN, UP)][2:]
    assert missed > 40_000
    assert len(heard) + missed == 50_000
    assert heard == sorted(heard)
    assert repeated, "the states are told again after lines were dropped"
    assert lines[-2:] == [DOWN, b"last"]


def test_a_daemon_that_dies_in_the_middle_of_a_line_is_followed_by_one_that_gets_whole_lines(path, exabgp):
    speaker = exabgp()
    with stalled_daemon_at(path) as caller:
        speaker.write(UP, b"y" * (3 << 20), b"after")
        while b"yyy" not in caller.recv(4096):
            pass

    with stalled_daemon_at(path) as caller:
        speaker.write(b"last")
        lines = read_lines_until(caller, b"last")

    assert lines[0]["dropped"] == 1
    assert not lines[0]["complete"]
    assert lines[1:] == [{"relay": "states"}, UP, {"relay": "live"}, b"after", b"last"]


def test_commands_reach_exabgp_and_nothing_else_does(path, exabgp):
    speaker = exabgp()
    with daemon_at(path) as daemon:
        daemon.receive()
        assert daemon.send("announce route-refresh l2vpn evpn")
        assert daemon.send("show neighbor")

        assert speaker.read_command() == b"announce route-refresh l2vpn evpn\n"
        assert speaker.read_command() == b"show neighbor\n"
        assert speaker.end() == 0
        assert speaker.process.stdout.read() == b""


def test_commands_that_exabgp_could_not_survive_are_left_out(path, exabgp):
    speaker = exabgp()
    with stalled_daemon_at(path) as caller:
        caller.sendall(b"first\n" + b"x" * (2 << 20) + b"\nna\xc3\xafve\nsecond\n")

        assert speaker.read_command() == b"first\n"
        assert speaker.read_command() == b"second\n"


def test_a_command_that_a_daemon_did_not_finish_is_not_finished_by_the_next_one(path, exabgp):
    speaker = exabgp()
    with stalled_daemon_at(path) as caller:
        caller.sendall(b"first\nwithdraw ev")
        assert speaker.read_command() == b"first\n"
    with stalled_daemon_at(path) as caller:
        caller.sendall(b"second\n")

        assert speaker.read_command() == b"second\n"


def test_commands_that_exabgp_does_not_read_wait_with_the_daemon(path, exabgp):
    exabgp()
    with stalled_daemon_at(path) as caller:
        caller.setblocking(False)
        taken = 0
        while select.select([], [caller], [], 0.3)[1] and taken < 50_000_000:
            taken += caller.send(b"command\n" * 1000)

        assert taken < 5_000_000


def test_an_exabgp_that_does_not_read_commands_still_gets_its_lines_through(path, exabgp):
    speaker = exabgp()
    with daemon_at(path) as daemon:
        daemon.receive()
        commands = [f"command {number} {'x' * 1000}" for number in range(4000)]
        assert all(daemon.send(command) for command in commands)
        for number in range(2000):
            speaker.write(b"line %d" % number)
        assert len(daemon.receive_lines(2000)) == 2000

        reading = threading.Thread(target=lambda: speaker.write(*[b"more"] * 10))
        reading.start()
        assert daemon.receive_lines(10) == [b"more"] * 10
        reading.join()


def test_long_lines_are_named_by_the_daemon_and_very_long_ones_counted_by_the_relay(path, exabgp):
    speaker = exabgp()
    with daemon_at(path) as daemon:
        daemon.receive()
        writing = threading.Thread(
            target=lambda: speaker.write(b"a" * (10 << 20), b"b" * (17 << 20), b"last"), daemon=True
        )
        writing.start()

        assert daemon.receive() == Oversized(b"a" * 200, 10 << 20)
        assert daemon.receive() == Lost(1)
        assert daemon.receive_lines(1) == [b"last"]
        writing.join()


def test_the_end_of_input_ends_the_relay_after_the_last_line_is_delivered(path, exabgp):
    speaker = exabgp()
    with daemon_at(path) as daemon:
        daemon.receive()
        speaker.write(*[b"x" * 1000] * 1000)
        speaker.process.stdin.close()

        assert len(daemon.receive_lines(1000)) == 1000
        assert speaker.process.wait(WAIT_S) == 0
        assert daemon.receive() == Detached()


@pytest.mark.parametrize("daemon", ["absent", "stalled"])
def test_the_end_of_input_ends_the_relay_even_if_nobody_takes_its_lines(path, exabgp, daemon):
    speaker = exabgp()
    speaker.write(*[b"x" * 1000] * 1000)
    if daemon == "absent":
        assert speaker.end() == 0
        return
    with stalled_daemon_at(path):
        assert speaker.end() == 0


def test_sigterm_delivers_what_exabgp_wrote_before_it(path, exabgp):
    speaker = exabgp()
    with daemon_at(path) as daemon:
        daemon.receive()
        speaker.process.send_signal(signal.SIGSTOP)
        speaker.write(*[b"x" * 300_000] * 3, b"shutdown")
        speaker.process.send_signal(signal.SIGTERM)
        speaker.process.send_signal(signal.SIGCONT)

        assert daemon.receive_lines(4)[-1] == b"shutdown"
        assert daemon.receive() == Detached()
        assert speaker.process.wait(WAIT_S) == 0


def test_a_hangup_and_a_closed_standard_output_do_not_end_the_relay(path, exabgp):
    speaker = exabgp()
    with daemon_at(path) as daemon:
        daemon.receive()
        speaker.process.stdout.close()
        speaker.process.send_signal(signal.SIGHUP)
        assert daemon.send("nobody reads this")
        speaker.write(b"still here")

        assert daemon.receive_lines(1) == [b"still here"]


def test_the_relay_takes_its_socket_from_the_option_or_else_the_environment():
    option = subprocess.run(
        [sys.executable, "-c", RELAY, "--socket", "/nonexistent/feed.sock"],
        input=b"",
        capture_output=True,
        cwd=ROOT,
        timeout=WAIT_S,
    )
    variable = subprocess.run(
        [sys.executable, "-c", RELAY],
        input=b"",
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "VTEP_FEED": "/nonexistent/other.sock"},
        timeout=WAIT_S,
    )

    assert (option.returncode, variable.returncode) == (0, 0)
    assert b"/nonexistent/feed.sock" in option.stderr
    assert b"/nonexistent/other.sock" in variable.stderr


def test_the_relay_loads_the_standard_library_and_nothing_slow():
    program = "import sys; import vtep.feed.exabgp.relay; print(*{name.split('.')[0] for name in sys.modules})"

    loaded = subprocess.run(
        [sys.executable, "-S", "-c", program], capture_output=True, text=True, cwd=ROOT, check=True, timeout=WAIT_S
    ).stdout.split()

    assert set(loaded) - sys.stdlib_module_names - {"vtep", "__main__"} == set()
    assert "asyncio" not in loaded


class Speaker:
    """One BGP peer on the loopback: OPEN, KEEPALIVE and prepared UPDATEs (RFC 4271 4)."""

    EVPN = struct.pack("!HBB", 25, 0, 70)

    def __init__(self):
        self.leaf = socket.create_server(("127.0.0.2", 0))
        self.leaf.settimeout(WAIT_S)
        self.port = self.leaf.getsockname()[1]
        self.heard = []
        self.received_at = []

    @staticmethod
    def message(kind, body=b""):
        return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body

    def establish(self):
        self.session, _ = self.leaf.accept()
        self.session.settimeout(WAIT_S)
        self.octets = self.session.makefile("rb")
        assert self.read() == 1
        capabilities = b"".join(
            bytes([2, 2 + len(value), code, len(value)]) + value
            for code, value in [(1, self.EVPN), (65, struct.pack("!I", 65000)), (2, b""), (70, b"")]
        )
        body = struct.pack("!BHH4sB", 4, 65000, 9, socket.inet_aton("127.0.0.2"), len(capabilities)) + capabilities
        self.session.sendall(self.message(1, body) + self.message(4))
        assert self.read() == 4
        threading.Thread(target=self.listen, daemon=True).start()

    def read(self):
        header = self.octets.read(19)
        if len(header) < 19:
            return None
        self.octets.read(int.from_bytes(header[16:18]) - 19)
        return header[18]

    def listen(self):
        while (kind := self.read_quietly()) is not None:
            self.heard.append(kind)
            self.received_at.append(time.monotonic())

    def read_quietly(self):
        try:
            return self.read()
        except (OSError, ValueError):
            return None

    def update(self, first, number):
        """As many Type-2 routes (RFC 7432 7.2), in one UPDATE."""
        routes = b""
        for mac in range(first, first + number):
            value = struct.pack("!HIH", 0, 65000, 100) + bytes(14) + b"\x30\x02" + mac.to_bytes(5) + b"\x00\x00\x00\x64"
            routes += bytes([2, len(value)]) + value
        reach = self.EVPN[:2] + b"\x46\x04" + socket.inet_aton("127.0.0.2") + b"\x00" + routes
        attributes = b"\x40\x01\x01\x00" + b"\x40\x02\x00" + b"\x40\x05\x04\x00\x00\x00\x64"
        attributes += b"\x90\x0e" + struct.pack("!H", len(reach)) + reach
        return self.message(2, b"\x00\x00" + struct.pack("!H", len(attributes)) + attributes)

    def close(self):
        self.leaf.close()
        if hasattr(self, "session"):
            with suppress(OSError):
                self.session.shutdown(socket.SHUT_RDWR)
            self.session.close()


CONFIGURATION = """
process feed {{ run {run}; encoder json; }}
neighbor 127.0.0.2 {{
  router-id 127.0.0.1; local-address 127.0.0.1; local-as 65000; peer-as 65000; hold-time 9; connect {port};
  adj-rib-in false;
  capability {{ graceful-restart 120; route-refresh; }}
  family {{ l2vpn evpn; }}
  api feed {{ processes [ feed ]; neighbor-changes; receive {{ parsed; open; update; notification; refresh; }} }}
}}
"""


@pytest.fixture
def speaker():
    each = Speaker()
    yield each
    each.close()


@pytest.fixture
def real_exabgp(tmp_path, path, speaker):
    program = Path(sys.executable).with_name("exabgp")
    if not program.exists():
        pytest.skip("exabgp is not installed beside this Python")
    run = tmp_path / "relay"
    run.write_text(
        f"#!/bin/sh\nPYTHONPATH='{ROOT}' exec '{sys.executable}' -c '{RELAY}' --socket '{path}' --buffer-mib 1\n"
    )
    run.chmod(0o755)
    configuration = tmp_path / "exabgp.conf"
    configuration.write_text(CONFIGURATION.format(run=run, port=speaker.port))
    settings = {
        "daemon_user": "root",
        "daemon_drop": "false",
        "api_cli": "false",
        "api_terminate": "true",
        "log_level": "WARNING",
        "tcp_bind": "",
    }
    with (tmp_path / "exabgp.log").open("wb") as log:
        process = subprocess.Popen(
            [str(program), "server", str(configuration)],
            env={**os.environ, **{f"exabgp_{key}": value for key, value in settings.items()}},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    yield process
    process.terminate()
    try:
        process.wait(10)
    finally:
        process.kill()
        process.wait()


def test_exabgp_keeps_its_session_while_the_daemon_stalls_under_churn(path, speaker, real_exabgp):
    with stalled_daemon_at(path):
        speaker.establish()
        flooding = threading.Thread(
            target=lambda: [speaker.session.sendall(speaker.update(50 * n, 50)) for n in range(500)]
        )
        flooding.start()
        flooding.join()
        speaker.heard.clear()
        speaker.received_at.clear()
        wait_until(lambda: speaker.heard.count(4) >= 3)

    with daemon_at(path) as daemon:
        hello = daemon.receive()
        assert hello.exabgp_pid == real_exabgp.pid
        assert hello.dropped > 0
        opened, state = daemon.receive_lines(2, replayed=True)
        assert json.loads(opened)["type"] == "open"
        assert json.loads(state)["neighbor"]["state"] == "up"
        assert daemon.send("announce route-refresh l2vpn evpn")
        wait_until(lambda: 5 in speaker.heard)

    assert 3 not in speaker.heard, "ExaBGP sent a NOTIFICATION"
    assert max(after - before for before, after in pairwise(speaker.received_at)) < 9
    assert real_exabgp.poll() is None
