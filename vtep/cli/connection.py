"""How a command reaches the daemon: addresses, TLS, deadlines, and one line that says what to do if it fails.

Knows the transport of gRPC and its codes. Does not know what is asked or answered.
"""

import argparse
import ipaddress
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from grp import getgrgid
from pathlib import Path
from pwd import getpwuid
from typing import Any, Final, Self, TypeVar

import grpc
from google.protobuf.message import Message

from vtep.cli.options import DEADLINE_S, DEFAULT_ADDRESS
from vtep.cli.text import plain
from vtep.errors import UnreachableError, UsageError

Answer = TypeVar("Answer", bound=Message)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a daemon listens: a path, or a host with a port."""

    path: str = ""
    """The path of a Unix socket; empty: it is a host and a port."""
    host: str = ""
    """A name, or an address without brackets."""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read unix:/path, /path, host:port, or [IPv6]:port."""
        path = text.removeprefix("unix://").removeprefix("unix:")
        if path != text or path.startswith(("/", "./", "../")):
            return cls(path=_known_path(path, text))
        host, colon, port = text.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not colon or not bare or (":" in bare and bare == host) or not _is_port(port):
            raise UsageError(f"{text!r} is not a valid address (unix:/path, /path, host:port, [IPv6]:port)")
        return cls(host=bare, port=int(port))

    @property
    def is_local(self) -> bool:
        """True for a path, and for a host that is loopback by its name or address."""
        return bool(self.path) or self.host == "localhost" or _is_loopback(self.host)

    @property
    def target(self) -> str:
        """As gRPC wants it."""
        return f"unix:{self.path}" if self.path else f"{self._bracketed}:{self.port}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        return plain(self.target)


def _known_path(path: str, text: str) -> str:
    if not path or "\0" in path:
        raise UsageError(f"{text!r} does not name a socket")
    return path


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 1 << 16


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Tls:
    """The TLS files of a TCP connection; without any of them the connection is plain."""

    ca: str = ""
    """The file of the CA that signed the daemon's certificate; empty: those that gRPC trusts by itself."""
    cert: str = ""
    """The file of our certificate, which an address beyond loopback demands."""
    key: str = ""
    """The file of its private key; given whenever `cert` is."""

    @classmethod
    def of(cls, options: argparse.Namespace) -> "Tls":
        """Return the files that the options name, or else the environment (VTEP_TLS_CA, VTEP_TLS_CERT,
        VTEP_TLS_KEY)."""

        def given(name: str) -> str:
            value: str | None = getattr(options, f"tls_{name}")
            return value if value is not None else os.environ.get(f"VTEP_TLS_{name.upper()}", "")

        return cls(given("ca"), given("cert"), given("key"))

    def credentials(self) -> grpc.ChannelCredentials | None:
        if not (self.ca or self.cert or self.key):
            return None
        if bool(self.cert) != bool(self.key):
            raise UsageError("--tls-cert and --tls-key go together")
        return grpc.ssl_channel_credentials(_read(self.ca), _read(self.key), _read(self.cert))


def _read(path: str) -> bytes | None:
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


_OPTIONS: Final = (
    # A proxy in the environment is for the web, not for a daemon.
    ("grpc.enable_http_proxy", 0),
    # All events come in one answer; everything else comes in pages far below this.
    ("grpc.max_receive_message_length", 64 << 20),
    # For commands that wait for a daemon that restarts.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5000),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class Client:
    """A connection to one daemon, which is made with the first call."""

    def __init__(self, address: Address, tls: Tls, deadline_s: float | None = DEADLINE_S) -> None:
        self.address = address
        self._deadline_s = deadline_s or DEADLINE_S
        credentials = None if address.path else tls.credentials()
        if credentials:
            self._channel = grpc.secure_channel(address.target, credentials, _OPTIONS)
        else:
            self._channel = grpc.insecure_channel(address.target, _OPTIONS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def ask(self, request: Message, answer: type[Answer]) -> Answer:
        """Make the call that the request is named after; if it fails, raise an error with a text for people."""
        try:
            return self.ask_plainly(request, answer)
        except grpc.RpcError as error:
            raise refusal(self.address, error) from None

    def ask_plainly(self, request: Message, answer: type[Answer]) -> Answer:
        """Make the call, and let errors of gRPC pass."""
        call: Any = self._channel.unary_unary(
            _path(request), request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )
        answered: Answer = call(request, timeout=self._deadline_s)
        return answered

    def stream(self, request: Message, answer: type[Answer], *, wait: bool = False) -> "Stream[Answer]":
        """Begin a stream; with `wait`, it begins when the daemon is there."""
        call: Any = self._channel.unary_stream(
            _path(request), request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )
        return Stream(call(request, wait_for_ready=wait))


class Stream(Iterator[Answer]):
    """Answers as they come, until the stream is cancelled."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __next__(self) -> Answer:
        answered: Answer = next(self._call)
        return answered

    def cancel(self) -> None:
        self._call.cancel()


def _path(request: Message) -> str:
    """Return the method that takes this request: each method has a request of its own, named after it."""
    name = request.DESCRIPTOR.name.removesuffix("Request")
    for service in request.DESCRIPTOR.file.services_by_name.values():
        if name in service.methods_by_name:
            return f"/{service.full_name}/{name}"
    raise AssertionError(f"no method takes {name}Request")


def client(options: argparse.Namespace) -> Client:
    """Return the connection that these options ask for."""
    text = options.address or os.environ.get("VTEP_ADDRESS") or DEFAULT_ADDRESS
    return Client(Address.parse(text), Tls.of(options), options.timeout)


def refusal(address: Address, error: grpc.RpcError) -> UsageError | UnreachableError:
    """Say in one line what a failed call means and what to do about it."""
    code, details = said(error)
    if code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND):
        return UsageError(details or "the daemon does not understand the request")
    if code is grpc.StatusCode.UNAVAILABLE:
        return UnreachableError(f"{address}: {_why_not_there(address, details)}")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return UnreachableError(f"{address}: no answer in time; give it more time with --timeout, or look at its log")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return UnreachableError(
            f"{address}: the service there does not do this; is it the read-only address, or an older daemon?"
        )
    return UnreachableError(
        f"{address}: refused, {code.name.lower().replace('_', ' ')}: {details or 'no reason given'}"
    )


def said(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    # The error of a call has these members; its documented type does not.
    call: Any = error
    return call.code(), plain(call.details() or "")


def _why_not_there(address: Address, details: str) -> str:
    if address.path:
        return _why_no_socket(address.path) or details
    return (
        f"cannot be reached ({details}). Is `vtep run` listening there (api.listen), and with TLS? Then give "
        "--tls-ca, --tls-cert and --tls-key"
    )


def _why_no_socket(path: str) -> str:
    """Connect to the socket without gRPC, which does not say which errno it was."""
    knock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with knock:
        knock.settimeout(1.0)
        try:
            knock.connect(path)
        except FileNotFoundError:
            return "no such socket. Is `vtep run` running, and is this its address (api.listen, api.admin)?"
        except ConnectionRefusedError:
            return "the socket is there, but no daemon listens on it. Is `vtep run` running?"
        except PermissionError:
            return f"permission denied{_owner(path)}. Run this as root, or as a member of that group"
        except OSError as error:
            return error.strerror or str(error)
    return "a program listens there, but it does not answer as vtep does"


def _owner(path: str) -> str:
    with suppress(OSError, KeyError):
        about = Path(path).stat()
        user, group = getpwuid(about.st_uid).pw_name, getgrgid(about.st_gid).gr_name
        return f" (the socket is {user}:{group}, mode {stat.S_IMODE(about.st_mode):04o})"
    return " (on the socket's directory)"
