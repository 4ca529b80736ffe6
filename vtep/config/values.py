"""Parsers: the text of one key becomes a value, or a sentence that says what is wrong with it.

A parser takes a text and raises ValueError; it does not know which key it serves. `Problems` collects what the parsers
refuse, each with the path of its key, so that one wrong value never hides another one.
"""

import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Final, TypeVar

from msgspec import UNSET

from vtep.addr import MAX_ESI, NO_SEGMENT, Esi, Ip, Prefix, RouteTarget
from vtep.errors import Problem

T = TypeVar("T")

SOCKET_PATH_MAX: Final = 107
"""Octets: unix(7)."""
DEVICE_NAME_MAX: Final = 15
"""IFNAMSIZ of linux/if.h, without the octet that ends the name."""


class Problems:
    """What is wrong with a file, in the order in which it was found."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def note(self, path: str, what: str, hint: str = "") -> None:
        self.found.append(Problem(path, what, hint))

    def has(self, path: str) -> bool:
        """Tell whether this key, or one of the items of its list, has a problem."""
        return any(problem.path == path or problem.path.startswith(f"{path}[") for problem in self.found)

    def parsed(self, text: Any, path: str, parser: Callable[[Any], T]) -> T | None:
        """Return the value of the text, or None after the problem was noted."""
        try:
            return parser(text)
        except ValueError as error:
            self.note(path, str(error))
            return None

    def required(self, value: Any, path: str, parser: Callable[[Any], T]) -> T | None:
        """Return the value of a key that must be there; a key whose value was refused already is not missing."""
        if value is not UNSET:
            return self.parsed(value, path, parser)
        if not self.has(path):
            self.note(path, "missing")
        return None

    def each(self, texts: list[str], path: str, parser: Callable[[str], T]) -> Iterator[T]:
        """Yield the values of the texts of a list, without the wrong ones."""
        for item, text in numbered(path, texts):
            value = self.parsed(text, item, parser)
            if value is not None:
                yield value


def numbered(path: str, texts: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the texts of a list, each with its path; a list of one is written as if it were no list."""
    return ((f"{path}[{index}]" if len(texts) > 1 else path, text) for index, text in enumerate(texts))


# Addresses and identifiers


def tunnel_address(text: str) -> Ip:
    """Return an address that can be the source of VXLAN packets: unicast, of either family."""
    address = Ip.parse(text)
    if not address.is_unicast:
        raise ValueError(f"{text} cannot be a tunnel address")
    return address


def prefix(text: str) -> IPv4Network | IPv6Network:
    """Return a prefix. One with bits of a host set is refused, as it is mostly a typing error."""
    try:
        return ip_network(text.strip())
    except ValueError as error:
        raise ValueError(f"{text!r} is not an IP prefix (such as 10.0.0.0/24): {error}") from None


def router_id(text: str) -> Ip:
    """Return a BGP identifier, which is written as an IPv4 address (RFC 4271 4.2)."""
    address = Ip.parse(text)
    if address.is_v6:
        raise ValueError(f"{text} is not a router ID (an IPv4 address)")
    return address


def segment_identifier(text: str) -> Esi:
    """Return an ESI; all zeros (no segment) and all ones (MAX-ET) name none (RFC 7432 5)."""
    esi = Esi.parse(text)
    if esi in (NO_SEGMENT, MAX_ESI):
        raise ValueError(f"{esi} is reserved and does not name an Ethernet segment (RFC 7432 5)")
    return esi


def site_of_origin(text: str) -> bytes:
    """Return the Site-of-Origin community: a Route Target but for its sub-type (RFC 4360 4 and 5)."""
    target = RouteTarget.parse(text)
    return target[:1] + b"\x03" + target[2:]


def assigned_number(text: str) -> int:
    """Return the number of a wildcard, of which the text is what follows `*:`."""
    if not text.isascii() or not text.isdigit() or int(text) > 0xFFFF_FFFF:
        raise ValueError(f"'*:{text}' is not of the form *:number")
    return int(text)


def device_name(text: str) -> str:
    """Return the name of a network device, which the kernel limits (IFNAMSIZ)."""
    if len(text.encode()) > DEVICE_NAME_MAX:
        raise ValueError(f"{text!r} is too long for a device: a name has {DEVICE_NAME_MAX} characters at most")
    if text in (".", "..") or any(character.isspace() or character in "/:" for character in text):
        raise ValueError(f"{text!r} cannot be the name of a device: no blank, slash or colon, and not . or ..")
    return text


# Files and listeners


def file_mode(text: str) -> int:
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise ValueError(f"{text!r} is not a file mode (such as 0660)")
    return int(text, 8)


def socket_path(text: str, more: str = "") -> Path:
    """Return the path of a unix socket, which the kernel limits in length (unix(7)); `more` is what is appended to
    it."""
    path, most = absolute_path(text), SOCKET_PATH_MAX - len(more)
    if len(text.encode()) > most:
        raise ValueError(f"a socket's path has {most} octets at most; choose a shorter one")
    return path


def absolute_path(text: str) -> Path:
    if not text.startswith("/"):
        raise ValueError(f"{text!r} is not an absolute path")
    return Path(text)


def listener(text: str) -> str:
    """Return the host of a TCP listener; of a unix socket, nothing."""
    if text.startswith("unix:"):
        if not text.startswith("unix:/"):
            raise ValueError(f"{text!r} needs an absolute path (unix:/run/vtep/vtep.sock)")
        socket_path(text.removeprefix("unix:"))
        return ""
    return host_of(text)


def host_of(text: str) -> str:
    """Return the host of `host:port`."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= 0xFFFF:
        raise ValueError(f"{text!r} is not of the form host:port or unix:/path")
    return host.strip("[]")


def host_and_port(text: str) -> tuple[str, int]:
    """Return both parts of `host:port`."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine alone. A name other than `localhost` may lead anywhere, so it is not."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def route_source(text: str) -> int:
    """Return the protocol number of the routes that a word names (rtnetlink.h: RTPROT_KERNEL, RTPROT_BOOT, RTPROT_STATIC)."""
    if text in _ROUTE_SOURCES:
        return _ROUTE_SOURCES[text]
    if text.isascii() and text.isdigit() and 0 < int(text) < 256:
        if int(text) == OWN_PROTOCOL:
            raise ValueError(
                f"{text} is the protocol of the routes that vtep itself receives and writes: they would come back"
            )
        return int(text)
    raise ValueError(
        f"{text!r} is not a source of routes ({', '.join(_ROUTE_SOURCES)}, or a protocol number from 1 to 255)"
    )


def prefix_range(text: str) -> tuple[Prefix, int, int]:
    """Read a prefix as a prefix list of FRR has it: alone it is meant exactly, `ge` and `le` name other lengths within it."""
    network, *words = text.split()
    whole = Prefix.parse(network)
    lengths = dict(zip(words[::2], words[1::2], strict=False))
    bits = 8 * len(whole.network)
    if len(words) % 2 or 2 * len(lengths) != len(words) or not lengths.keys() <= {"ge", "le"}:
        raise ValueError(f"{text!r} is not PREFIX, or PREFIX with `ge LENGTH`, `le LENGTH` or both")
    for length in lengths.values():
        if not (length.isascii() and length.isdigit() and whole.length <= int(length) <= bits):
            raise ValueError(f"{text!r}: {length} is not a length from {whole.length} to {bits}")
    shortest = int(lengths.get("ge", whole.length))
    longest = int(lengths["le"]) if "le" in lengths else bits if "ge" in lengths else whole.length
    if shortest > longest:
        raise ValueError(f"{text!r}: no length is at least {shortest} and at most {longest}")
    return whole, shortest, longest


OWN_PROTOCOL: Final = 229
"""What our own routes have in the kernel (`RTPROT_VTEP`)."""
_ROUTE_SOURCES: Final = {"connected": 2, "kernel": 3, "static": 4}


def host_address(text: str) -> tuple[Ip, int]:
    """Read an address of a device with the length of its network's prefix, such as 172.16.0.1/24."""
    address, slash, length = text.partition("/")
    ip = Ip.parse(address)
    if not (slash and length.isascii() and length.isdigit() and int(length) <= 8 * len(ip)):
        raise ValueError(f"{text!r} is not an address with a prefix length, such as 172.16.0.1/24")
    return ip, int(length)
