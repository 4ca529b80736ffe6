"""What the socket makes of torn, lost and foreign answers, with the kernel's side played by a script."""

import errno
import socket
import struct
import threading
from collections.abc import Callable

import pytest

from vtep.addr import Mac
from vtep.errors import KernelError
from vtep.linux import events
from vtep.linux import socket as edge
from vtep.linux.kernel import DUMPS_MAX, Kernel
from vtep.linux.socket import DUMP_TRIES, Inbox
from vtep.linux.wire.neighbor import Half, Lookup, Neighbor, Verb

MAC = Mac.parse("02:00:00:00:00:01")
MESSAGE = Neighbor(Verb.DELETE, 3, MAC, 2, 0)


class Script:
    """Stands for the sockets for requests and dumps: each request gets its list of datagrams, an OSError being raised."""

    def __init__(self, answer: Callable[[int, int], list]) -> None:
        self.answer, self.queue, self.asked = answer, [], 0

    def send(self, request: bytes) -> None:
        self.asked += 1
        self.queue = self.answer(self.asked, struct.unpack_from("=I", request, 8)[0])

    def recv_into(self, buffer: memoryview, size: int, flags: int) -> int:
        assert (size, flags) == (0, socket.MSG_DONTWAIT)
        if not self.queue:
            raise BlockingIOError
        first = self.queue.pop(0)
        if isinstance(first, OSError):
            raise first
        buffer[: len(first)] = first
        return len(first)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def scripted():
    """A kernel whose requests go to a script."""
    with Kernel() as kernel:

        def make(answer: Callable[[int, int], list]) -> Kernel:
            script = Script(answer)
            for connection in (kernel._requests, kernel._dumps):
                connection.socket.close()
                connection.socket = script
            return kernel

        yield make


def row(seq: int, flags: int = 0) -> bytes:
    body = struct.pack("=BxxxiHBB", 7, 3, 0xC0, 0x12, 0)
    body += struct.pack("=HH6s2x", 10, 2, MAC) + struct.pack("=HH4s", 8, 1, b"\x0a\0\0\2")
    return struct.pack("=IHHII", 16 + len(body), 28, flags, seq, 0) + body


def done(seq: int, code: int = 0) -> bytes:
    return struct.pack("=IHHIIi", 20, 3, 2, seq, 0, -code)


def acknowledged(seq: int) -> bytes:
    return struct.pack("=IHHIIi", 36, 2, 0, seq, 0, 0) + bytes(16)


LOST = OSError(errno.ENOBUFS, "lost")
INTERRUPTED = 0x10
TORN = {
    "interrupted": lambda seq: [row(seq, INTERRUPTED), done(seq)],
    "overflown": lambda seq: [row(seq), LOST, done(seq)],
    "without an end": lambda seq: [row(seq)],
}


@pytest.mark.parametrize("how", TORN)
def test_a_torn_dump_is_taken_again(how: str, scripted) -> None:
    kernel = scripted(lambda asked, seq: TORN[how](seq) if asked < 3 else [row(seq), row(seq), done(seq)])

    rows = kernel.rows([2])

    assert [found.mac for found in rows] == [MAC, MAC]


@pytest.mark.parametrize("how", TORN)
def test_a_dump_that_is_always_torn_is_an_error_and_no_picture(how: str, scripted) -> None:
    kernel = scripted(lambda _, seq: TORN[how](seq))

    with pytest.raises(KernelError) as caught:
        kernel.rows([2])

    assert (caught.value.errno, kernel._requests.socket.asked) == (errno.EINTR, DUMP_TRIES)


def test_one_dump_reads_the_rows_of_very_many_bridges(scripted) -> None:
    """The kernel walks over all devices for each dump, so a dump for each of 4,000 bridges would take it many seconds."""
    asked = []
    for count in (DUMPS_MAX, DUMPS_MAX + 1, 4000):
        kernel = scripted(lambda _, seq: [row(seq), done(seq)])
        rows = kernel.rows(range(1, count + 1))
        asked.append((kernel._dumps.socket.asked, len(rows)))
        kernel._dumps.socket.asked = 0
        assert [found.port for found in kernel.neighbors(range(3, count + 3))] == [3] * kernel._dumps.socket.asked

    assert asked == [(DUMPS_MAX, DUMPS_MAX), (1, 1), (1, 1)]


def test_links_are_taken_again_when_interrupted(scripted) -> None:
    link = struct.pack("=IHHII", 32, 16, INTERRUPTED, 0, 0)[:8]
    kernel = scripted(
        lambda asked, seq: [link + struct.pack("=II", seq, 0) + bytes(16), done(seq)] if asked == 1 else [done(seq)]
    )

    assert kernel.links().by_name == {}
    assert kernel._requests.socket.asked == 2


def test_a_refused_dump_is_an_error_with_its_errno(scripted) -> None:
    kernel = scripted(lambda _, seq: [done(seq, errno.EINVAL)])

    with pytest.raises(KernelError) as caught:
        kernel.rows([2])

    assert (caught.value.errno, kernel._requests.socket.asked) == (errno.EINVAL, 1)


def test_answers_to_older_requests_are_not_taken_for_this_ones(scripted) -> None:
    kernel = scripted(lambda _, seq: [row(seq - 1), done(seq - 1, errno.EINVAL), row(seq), done(seq)])

    assert len(kernel.rows([2])) == 1


def test_a_send_without_its_acknowledgement_is_unknown(scripted) -> None:
    kernel = scripted(lambda _asked, _seq: [])

    assert [refusal.errno for refusal in kernel.send([MESSAGE])] == [errno.ENOBUFS]


def test_a_refused_read_is_an_error_that_names_the_row(scripted) -> None:
    error = struct.pack("=i", -errno.EPERM) + bytes(16)
    kernel = scripted(lambda _, seq: [struct.pack("=IHHII", 36, 2, 0x100, seq, 0) + error])

    with pytest.raises(KernelError, match=f"get {MAC} on device 3, vxlan half"):
        kernel.get(3, MAC, Half.VXLAN)


def test_a_read_that_is_never_answered_is_an_error(scripted) -> None:
    kernel = scripted(lambda _asked, _seq: [LOST])

    with pytest.raises(KernelError) as caught:
        kernel.get_many([Lookup(3, MAC, Half.VXLAN)] * 64)

    assert caught.value.errno == errno.ENOBUFS


def test_sequence_numbers_begin_anew_before_they_overflow(scripted) -> None:
    kernel = scripted(lambda _, seq: [row(seq), done(seq)])
    kernel._requests._seq = (1 << 32) - 1

    assert len(kernel.rows([2])) == 1
    assert len(kernel.rows([2])) == 1


def test_a_failing_socket_is_an_error_with_its_errno(scripted) -> None:
    kernel = scripted(lambda _asked, _seq: [OSError(errno.EBADF, "closed")])

    with pytest.raises(KernelError) as caught:
        kernel.send([MESSAGE])

    assert caught.value.errno == errno.EBADF


def test_sending_nothing_asks_nothing(scripted) -> None:
    kernel = scripted(lambda _asked, _seq: [])

    assert kernel.send([]) == []
    assert kernel._requests.socket.asked == 0


def test_the_kernels_numbers_are_these() -> None:
    """The group is 3; the legacy bit mask 4 would subscribe to something else and lose everything in silence."""
    assert (events.RTNLGRP_LINK, events.RTNLGRP_NEIGH) == (1, 3)
    assert (edge.SOL_NETLINK, edge.NETLINK_ADD_MEMBERSHIP) == (270, 1)
    assert (edge.NETLINK_CAP_ACK, edge.NETLINK_EXT_ACK, edge.NETLINK_GET_STRICT_CHK) == (10, 11, 12)
    assert (events.SO_ATTACH_FILTER, edge.SO_RCVBUFFORCE) == (26, 33)


def test_events_read_while_another_thread_reads_a_dump_do_not_get_into_it(scripted) -> None:
    kernel = scripted(lambda _, seq: [row(seq) + done(seq)])
    dumps = kernel._dumps.socket
    kernel._events.close()
    kernel._events.socket, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    fill = dumps.recv_into

    def fill_and_be_overtaken(buffer: memoryview, size: int, flags: int) -> int:
        length = fill(buffer, size, flags)
        sender.send(bytes(300))
        kernel.drain()
        return length

    dumps.recv_into = fill_and_be_overtaken

    assert [entry.mac for entry in kernel.rows([2])] == [MAC]
    sender.close()


@pytest.fixture
def inbox():
    """An inbox, the queue that it reads, and the other end of it."""
    queue, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with queue, sender:
        yield Inbox(), queue, sender


def test_an_inbox_reads_what_is_queued_in_order(inbox) -> None:
    inbox, queue, sender = inbox
    sent = [bytes((place,)) * (place + 1) for place in range(5)]
    for datagram in sent:
        sender.send(datagram)

    sizes = inbox.receive("events", queue, most=3), inbox.receive("events", queue), inbox.receive("events", queue)

    assert sizes == ([1, 2, 3], [4, 5], [])
    starts = (0, inbox.STRIDE)
    assert [bytes(inbox.octets[at : at + size]) for at, size in zip(starts, sizes[1], strict=True)] == sent[3:]


def test_a_datagram_that_does_not_fit_into_its_slot_is_lost_and_that_is_said(inbox) -> None:
    inbox, queue, sender = inbox
    for size in (1, Inbox.SLOT + 1):
        sender.send(bytes(size))

    assert inbox.receive("events", queue) is None
    assert inbox.receive("events", queue) == []


def test_an_inbox_of_a_closed_queue_is_an_error_with_its_errno(inbox) -> None:
    inbox, queue, _ = inbox
    queue.close()

    with pytest.raises(KernelError) as caught:
        inbox.receive("events", queue)

    assert caught.value.errno == errno.EBADF


def test_rows_are_written_and_read_while_another_thread_reads_a_dump() -> None:
    with Kernel() as kernel:
        for connection in (kernel._requests, kernel._dumps):
            connection.socket.close()
        dumps = Script(lambda _, seq: [row(seq), row(seq) + done(seq)])
        requests = Script(lambda _, seq: [acknowledged(seq)])
        kernel._dumps.socket, kernel._requests.socket = dumps, requests
        fill, refusals = dumps.recv_into, []

        def fill_and_be_overtaken(buffer: memoryview, size: int, flags: int) -> int:
            length = fill(buffer, size, flags)
            refusals.append(kernel.send([MESSAGE]))
            return length

        dumps.recv_into = fill_and_be_overtaken

        assert [entry.mac for entry in kernel.rows([2])] == [MAC, MAC]
        assert refusals == [[], []]


def test_routes_of_other_programs_are_read_by_a_socket_that_no_other_thread_uses(scripted):
    kernel = scripted(lambda *_: pytest.fail("this socket is in use in another thread"))
    assert isinstance(kernel.routes_of(254, 2), list)


def test_a_request_of_another_thread_waits_until_the_answers_are_read(scripted):
    """The answers to an explanation on the loop must not go to the look of a pass in its thread, nor the other way."""
    connection = scripted(lambda *_: [bytes(16)])._requests
    other = threading.Thread(target=connection.exchange, args=("get", bytes(16), lambda _: ()))

    for _ in connection.answers("get", bytes(16)):
        other.start()
        other.join(0.1)
        assert (other.is_alive(), connection.socket.asked) == (True, 1)
    other.join(10)
    assert (other.is_alive(), connection.socket.asked) == (False, 2)
