"""How an address of a device of ours is read."""

import struct

import pytest

from vtep.addr import Ip
from vtep.linux.devices import Address
from vtep.linux.wire.address import parse_address, request_addresses

IP1, IP2 = Ip.parse("172.16.0.1"), Ip.parse("172.16.0.2")
IP6 = Ip.parse("2001:db8::1")
ADDRESS, LOCAL, FLAGS = 1, 2, 8
TENTATIVE, OPTIMISTIC, FAILED, PERMANENT = 0x40, 0x04, 0x08, 0x80


def parsed(*attributes: tuple[int, bytes], flags: int = 0) -> Address | None:
    body = struct.pack("=BBBBi", 2, 24, flags, 0, 7)
    body += b"".join(struct.pack("=HH", 4 + len(value), kind) + value for kind, value in attributes)
    return parse_address(body, 0, len(body))


CASES = {
    "an IPv4 address": (parsed((ADDRESS, IP1), (LOCAL, IP1)), Address(7, IP1, prefix=24)),
    "our end of a point-to-point device": (parsed((ADDRESS, IP2), (LOCAL, IP1)), Address(7, IP1, prefix=24)),
    "an IPv6 address": (parsed((ADDRESS, IP6), (FLAGS, struct.pack("=I", PERMANENT))), Address(7, IP6, prefix=24)),
    "being tried": (parsed((ADDRESS, IP6), flags=TENTATIVE), Address(7, IP6, usable=False, prefix=24)),
    "tried and used meanwhile": (parsed((ADDRESS, IP6), flags=TENTATIVE | OPTIMISTIC), Address(7, IP6, prefix=24)),
    "another host's": (
        parsed((ADDRESS, IP6), (FLAGS, struct.pack("=I", FAILED))),
        Address(7, IP6, usable=False, prefix=24),
    ),
    "nothing": (parsed(), None),
    "of another length": (parsed((ADDRESS, bytes(6))), None),
}


@pytest.mark.parametrize("what", CASES)
def test_read_as(what: str) -> None:
    found, expected = CASES[what]

    assert found == expected


@pytest.mark.parametrize(
    ("prefix", "broadcast"), [(24, "172.16.0.255"), (30, "172.16.0.3"), (31, None), (32, None), (8, "172.255.255.255")]
)
def test_the_broadcast_address_of_a_network(prefix: int, broadcast: str | None) -> None:
    assert Address(7, IP1, prefix=prefix).broadcast == (Ip.parse(broadcast) if broadcast else None)
    assert Address(7, IP6, prefix=prefix).broadcast is None


def test_all_devices_are_asked_for() -> None:
    assert request_addresses(9) == struct.pack("=IHHII", 24, 22, 0x301, 9, 0) + bytes(8)
