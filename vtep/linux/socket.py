"""A netlink socket: it carries requests to the kernel and brings the answers back.

Knows sockets and errnos. Does not know what a message is about. It tries nothing twice, except a dump that came out torn,
because a refusal is an answer, and its reader decides what to do.

Netlink carries a request out before `send` returns. So the answers are queued by then, or they are lost, and nothing here
waits. The options of a socket for requests: NETLINK_EXT_ACK on (a refusal has words), NETLINK_CAP_ACK off (a refusal echoes
its request), NETLINK_GET_STRICT_CHK on (a filter that the kernel does not know is refused and not ignored).

What comes unasked, as events do, can be very much. `Inbox` reads many datagrams with one system call.
"""

import ctypes
import errno
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias, TypeVar

from vtep.errors import KernelError
from vtep.linux.wire.tlv import Answer

SOL_NETLINK: Final = 270
NETLINK_ADD_MEMBERSHIP: Final = 1
NETLINK_CAP_ACK: Final = 10
NETLINK_EXT_ACK: Final = 11
NETLINK_GET_STRICT_CHK: Final = 12
SO_RCVBUFFORCE: Final = 33

REQUEST_BUFFER: Final = 1 << 20
RECEIVE_SIZE: Final = 1 << 18
DUMP_TRIES: Final = 5

T = TypeVar("T")
Parse: TypeAlias = Callable[[bytes], Iterable[tuple[int, int, T | Answer]]]
"""Reads a datagram as (type, sequence number, value or answer)."""


class Connection:
    """One socket for requests, one of them at a time: a thread waits until the one of another has its answers."""

    def __init__(self, buffer: int = REQUEST_BUFFER, protocol: int = socket.NETLINK_ROUTE) -> None:
        self.socket = open_netlink(protocol)
        self._turn = threading.RLock()
        self._seq = 1
        self._buffer = memoryview(bytearray(RECEIVE_SIZE))
        try:
            self._prepare(buffer)
        except OSError as error:
            self.close()
            raise failure("open", error) from error

    def close(self) -> None:
        self.socket.close()

    @property
    def port(self) -> int:
        """The port of the socket, which the kernel writes into answers, and into the events that a request causes."""
        port: int = self.socket.getsockname()[0]
        return port

    def _prepare(self, buffer: int) -> None:
        self.socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 0)
        self.socket.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
        size_receive_buffer(self.socket, buffer)
        self.socket.bind((0, 0))

    def dump(self, operation: str, request: Callable[[int], bytes], parse: "Parse[T]") -> list[T]:
        for _ in range(DUMP_TRIES):
            seq = self.take_seqs(1)
            answers, lost = self.exchange(operation, request(seq), parse)
            found: list[T] = []
            end: Answer | None = None
            torn = lost
            for _, answered_seq, answer in answers:
                if answered_seq != seq:
                    continue
                if not isinstance(answer, Answer):
                    found.append(answer)
                else:
                    torn |= answer.interrupted
                    end = answer
            if end and end.errno:
                raise KernelError(operation, end.errno, end.text)
            if end and not torn:
                return found
        raise KernelError(operation, errno.EINTR, f"the dump was torn {DUMP_TRIES} times: too much changes meanwhile")

    def ask(self, operation: str, request: bytes, inbox: "Inbox") -> int:
        """Write requests, for which there is one answer each, and return how many answers are in the inbox."""
        with self._turn:
            self._send(operation, request)
            return len(inbox.receive(operation, self.socket) or ())

    def answers(self, operation: str, request: bytes) -> Iterator[bytes | None]:
        """Write requests and yield what comes back, and None where answers were lost.

        A caller that knows which answer is the last may stop there. If any was lost, that is said before the ones that are left.
        """
        with self._turn:
            self._send(operation, request)
            yield from receive(operation, self.socket, self._buffer)

    def _send(self, operation: str, request: bytes) -> None:
        try:
            self.socket.send(request)
        except OSError as error:
            raise failure(operation, error) from error

    def take_seqs(self, count: int) -> int:
        """Reserve so many sequence numbers and return the first. They start again at 1 before they reach 32 bits."""
        with self._turn:
            first = self._seq if self._seq + count < 1 << 32 else 1
            self._seq = first + count
        return first

    def exchange(
        self, operation: str, request: bytes, parse: "Parse[T]"
    ) -> "tuple[list[tuple[int, int, T | Answer]], bool]":
        """Write a request and return what came back, and whether some of it was lost."""
        answers: list[tuple[int, int, T | Answer]] = []
        lost = False
        for datagram in self.answers(operation, request):
            if datagram is None:
                lost = True
            else:
                answers += parse(datagram)
        return answers, lost


class Inbox:
    """Reads many queued datagrams with one system call (recvmmsg), each into a slot of its own.

    Python has no function for it, so ctypes calls the one of the C library. It keeps the interpreter's lock meanwhile, because
    the call does not wait, and to get the lock back from another thread can take five milliseconds.
    """

    SLOT: Final = 1 << 15
    """Room for one datagram. The longest event is one of a bridge port with 2,000 ranges of VLANs: 16 KiB."""
    STRIDE: Final = SLOT + 192
    """From one slot to the next. With a power of two the heads of all slots would share one set of the processor's cache."""
    SLOTS: Final = 64

    def __init__(self) -> None:
        self.octets = bytearray(self.SLOTS * self.STRIDE)
        """The slots. Memory is used only as far as datagrams were received."""
        first = ctypes.addressof(ctypes.c_char.from_buffer(self.octets))
        slots = (_IoVec(first + place * self.STRIDE, self.SLOT) for place in range(self.SLOTS))
        self._slots = (_IoVec * self.SLOTS)(*slots)
        self._headers = (_ManyMessages * self.SLOTS)()
        for header, slot in zip(self._headers, self._slots, strict=True):
            header.message.slots, header.message.slot_count = ctypes.pointer(slot), 1
        words = memoryview(self._headers).cast("B").cast("I")
        self._sizes = words[_ManyMessages.size.offset // 4 :: ctypes.sizeof(_ManyMessages) // 4]

    def receive(self, operation: str, queue: socket.socket, most: int = SLOTS) -> list[int] | None:
        """Return the sizes of the datagrams that are now in the first slots, without waiting; none if the queue is empty.

        None says that some were lost: the queue had overflowed, or a datagram did not fit into its slot.
        """
        count = _recvmmsg(queue.fileno(), self._headers, min(most, self.SLOTS), socket.MSG_DONTWAIT, None)
        if count < 0:
            error = OSError(ctypes.get_errno(), "")
            if error.errno in (errno.EAGAIN, errno.EINTR):
                return []
            if error.errno == errno.ENOBUFS:
                return None
            raise failure(operation, error)
        sizes: list[int] = self._sizes[:count].tolist()
        return None if self.SLOT in sizes else sizes


class _IoVec(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("start", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint32),
        ("slots", ctypes.POINTER(_IoVec)),
        ("slot_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _ManyMessages(ctypes.Structure):
    """struct mmsghdr: one of the many, with the size of what was received."""

    _fields_ = (("message", _Message), ("size", ctypes.c_uint32))


_recvmmsg: Final = ctypes.PyDLL(None, use_errno=True).recvmmsg


def open_netlink(protocol: int = socket.NETLINK_ROUTE) -> socket.socket:
    """Open a socket for rtnetlink, or another protocol, in the network namespace of this thread."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)


def receive(operation: str, queue: socket.socket, buffer: memoryview) -> Iterator[bytes | None]:
    """Yield the queued datagrams, and None where the queue had overflowed."""
    while True:
        try:
            size = queue.recv_into(buffer, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise failure(operation, error) from error
            yield None
        else:
            yield bytes(buffer[:size])


def size_receive_buffer(queue: socket.socket, size: int) -> None:
    """Ask for more than net.core.rmem_max allows; if that is refused, take what an ordinary user gets."""
    try:
        queue.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
    except PermissionError:
        queue.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def failure(operation: str, error: OSError) -> KernelError:
    """Return the error of an operation whose socket failed."""
    return KernelError(operation, error.errno or 0, os.strerror(error.errno or 0))
