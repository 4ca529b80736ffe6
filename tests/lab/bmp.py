"""What a router says by BMP, as octets (RFC 7854 4). Written apart from `vtep.feed.bmp`, so that a mistake there shows."""

import struct

from tests.lab.wire import Offer
from vtep.addr import Ip

POST, ADJ_RIB_OUT = 0x40, 0x10


def frame(kind: int, body: bytes = b"", *, version: int = 3) -> bytes:
    return struct.pack("!BIB", version, 6 + len(body), kind) + body


def peer_header(
    address: str, *, kind: int = 0, flags: int = 0, rd: bytes = bytes(8), bgp_id: str = "10.0.0.1"
) -> bytes:
    ip = Ip.parse(address)
    flags |= 0x80 if ip.is_v6 and kind != 3 else 0
    head = bytes((kind, flags)) + rd + ip.rjust(16, b"\0")
    return head + struct.pack("!I4sII", 65000, bytes(Ip.parse(bgp_id)), 1_700_000_000, 5)


def initiation(name: str = "leaf1", description: str = "FRRouting 8.4.4") -> bytes:
    texts = ((1, description.encode()), (2, name.encode()))
    return frame(4, b"".join(struct.pack("!HH", kind, len(text)) + text for kind, text in texts))


def termination(reason: int) -> bytes:
    return frame(5, struct.pack("!HHH", 1, 2, reason))


def open_message(offer: Offer, router_id: str) -> bytes:
    return offer.pack(bytes(Ip.parse(router_id)))


def peer_up(address: str, offer: Offer | None = None, **head: object) -> bytes:
    ours, theirs = open_message(Offer(), "10.0.0.99"), open_message(offer or Offer(), "10.0.0.1")
    return frame(3, peer_header(address, **head) + bytes(16) + struct.pack("!HH", 179, 40000) + ours + theirs)  # type: ignore[arg-type]


def peer_down(address: str, reason: int, more: bytes = b"", **head: object) -> bytes:
    return frame(2, peer_header(address, **head) + bytes((reason,)) + more)  # type: ignore[arg-type]


def monitoring(address: str, *updates: bytes, flags: int = POST, **head: object) -> bytes:
    return b"".join(frame(0, peer_header(address, flags=flags, **head) + update) for update in updates)  # type: ignore[arg-type]
