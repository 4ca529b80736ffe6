"""Where the API listens: addresses to sockets, or a `HostError` that says what is in the way.

Knows sockets, files and certificates. Does not know what is served.
"""

import os
import socket
import ssl
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import grpc
from msgspec import Struct

from vtep.config.model import TlsConfig
from vtep.config.values import is_loopback
from vtep.errors import HostError, Problem

SOCKET_UMASK: Final = 0o117
"""Makes a socket 0660: for the daemon's user and group."""


class Address(Struct, frozen=True):
    """One address as it is configured."""

    text: str
    """`unix:/path` or `host:port`."""
    place: str
    """Its key in the configuration."""

    @property
    def path(self) -> Path | None:
        return Path(self.text.removeprefix("unix:")) if self.text.startswith("unix:") else None

    @property
    def is_local(self) -> bool:
        return self.path is not None or is_loopback(self.text.rpartition(":")[0].strip("[]"))


class Listener(Struct, frozen=True):
    """An address at which the daemon listens."""

    address: Address
    """Where it listens."""
    identity: tuple[int, int] | None
    """Of its socket file."""

    def remove(self) -> None:
        """Remove the socket file, unless another program has replaced it."""
        path = self.address.path
        if path is not None and _identity(path) == self.identity:
            with suppress(OSError):
                path.unlink()


def listen(server: grpc.aio.Server, address: Address, tls: TlsConfig) -> Listener:
    """Open an address: in plain if only this machine reaches it, otherwise with client certificates."""
    path = address.path
    if path is not None:
        _make_room(path, address)
    elif not address.is_local and not tls.cert:
        raise refusal(address, "it can be reached from outside", "set api.tls, or use unix:")
    secure = None if address.is_local else credentials(tls)
    before = os.umask(SOCKET_UMASK)  # gRPC makes the socket within the call, with the rights that the umask leaves
    try:
        if secure is None:
            server.add_insecure_port(address.text)
        else:
            server.add_secure_port(address.text, secure)
    except RuntimeError:  # gRPC does not say why
        hint = "is it another program's, or not an address of this machine? See `ss -ltnp` and `ip address`"
        raise refusal(address, "cannot listen there", hint) from None
    finally:
        os.umask(before)
    return Listener(address, _identity(path) if path else None)


def credentials(tls: TlsConfig) -> grpc.ServerCredentials:
    """Read the three files, without which the configuration has no such address. Clients need a certificate of `client_ca`."""
    # For the whole life of the server, and not `grpc.dynamic_ssl_server_credentials`: when that takes a new certificate, gRPC
    # frees what a handshake in another thread may be using (its issue 36693, and seen with 1.85.1). A client that
    # connects often enough meanwhile, even without a certificate, ends the daemon.
    problems = [
        Problem(f"api.tls.{name}", f"{path}: {trouble}", "it is read as the daemon's user, at the start")
        for name, path in (("cert", tls.cert), ("key", tls.key), ("client_ca", tls.client_ca))
        if (trouble := _unreadable(path))
    ]
    if problems:
        raise HostError(*problems)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.cert, tls.key, password=lambda: "")
    except ssl.SSLError as error:
        hint = "give a PEM certificate and its own key, without a passphrase"
        raise _bad_tls("cert", f"{tls.cert} and {tls.key} do not go together: {_said(error)}", hint) from None
    try:
        context.load_verify_locations(tls.client_ca)
    except ssl.SSLError as error:
        raise _bad_tls(
            "client_ca", f"{tls.client_ca} is not a CA file: {_said(error)}", "give certificates in PEM"
        ) from None
    pair = (Path(tls.key).read_bytes(), Path(tls.cert).read_bytes())
    return grpc.ssl_server_credentials([pair], Path(tls.client_ca).read_bytes(), require_client_auth=True)


def addresses(texts: Sequence[str], place: str) -> list[Address]:
    """Return the addresses with their keys in the configuration: `api.listen`, or `api.listen[1]` of several."""
    return [Address(text, f"{place}[{index}]" if len(texts) > 1 else place) for index, text in enumerate(texts)]


def refusal(address: Address, what: str, hint: str = "") -> HostError:
    return HostError(Problem(address.place, f"{address.text}: {what}", hint))


def _make_room(path: Path, address: Address) -> None:
    """Remove the socket of a daemon that ended. gRPC alone would remove that of a running one as well."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        status = path.lstat()
        if not stat.S_ISSOCK(status.st_mode):
            raise refusal(address, "there is a file that is not a socket", "name another path, or remove it")
        if _is_answered(path):
            raise refusal(address, "another daemon listens there", "stop it, or give each daemon its own addresses")
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise refusal(address, error.strerror or str(error), "the daemon's user makes the socket there") from None


def _is_answered(path: Path) -> bool:
    """Tell whether a program listens on a socket file. One that refuses was left by a daemon that ended."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.setblocking(False)
        try:
            caller.connect(str(path))
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            pass  # the queue of callers is full, so a program listens
        return True


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file, by which it is known again; None if there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _unreadable(path: str) -> str:
    """Return why a file cannot be read; empty if it can."""
    try:
        Path(path).read_bytes()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _bad_tls(name: str, what: str, hint: str) -> HostError:
    return HostError(Problem(f"api.tls.{name}", what, hint))


def _said(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")
