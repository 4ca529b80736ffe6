"""Feed the BMP listener's decoder with hostile octets: `python -m tests.fuzz.fuzz_bmp COUNT [SEED]`; a finding is raised with its input.

Real messages are joined, changed octet by octet, cut and repeated. It needs nothing but the standard library, so that a million
inputs can run anywhere.
"""

import random
import sys
from typing import Final

from tests.fuzz.invariants import assert_event_inside_types
from tests.lab import bmp
from tests.lab.wire import Instance, end_of_rib, notification, updates, withdrawals
from vtep.addr import Esi, Mac
from vtep.errors import StreamError
from vtep.evpn.before_policy import MACS_MAX
from vtep.evpn.event import Received
from vtep.feed.bmp import wire
from vtep.feed.bmp.feed import decode
from vtep.feed.bmp.router import Router, Updates

_THERE: Final = Instance("10.0.0.1")
_MAC: Final = Mac.parse("02:00:00:00:00:01")
_ROUTES: Final = [
    _THERE.mac("02:00:00:00:00:01"),
    _THERE.mac("02:00:00:00:00:02", ip="172.16.0.2"),
    _THERE.flood(),
    _THERE.segment(Esi.parse("00:01:02:03:04:05:06:07:08:09")),
    _THERE.prefix("192.0.2.0/24"),
]
SEEDS: Final = [
    bmp.initiation(),
    bmp.peer_up("10.0.0.1"),
    bmp.peer_up("fd00::1"),
    bmp.peer_up("0.0.0.0", kind=3),
    bmp.peer_down("10.0.0.1", 1, notification(6, 2)),
    bmp.peer_down("10.0.0.1", 2, b"\0\x12"),
    bmp.peer_down("10.0.0.1", 4),
    bmp.termination(0),
    bmp.frame(1, bmp.peer_header("10.0.0.1") + b"\0\0\0\1\0\7\0\4\0\0\0\5"),
    bmp.frame(6, bmp.peer_header("10.0.0.1") + b"\0\1\0\2\0\0"),
    *(bmp.monitoring("10.0.0.1", update) for update in updates(_ROUTES, per_update=1)),
    *(bmp.monitoring("10.0.0.1", update) for update in withdrawals([route.nlri for route in _ROUTES], per_update=1)),
    bmp.monitoring("10.0.0.1", *updates(_ROUTES * 4)),
    *(bmp.monitoring("10.0.0.1", update, flags=0) for update in updates(_ROUTES, per_update=1)),
    bmp.monitoring("10.0.0.1", *withdrawals([route.nlri for route in _ROUTES], per_update=1), flags=0),
    bmp.monitoring("10.0.0.1", end_of_rib()),
]


def receive(octets: bytes) -> None:
    """Read octets as a daemon does, in one piece and in two."""
    for pieces in ([octets], [octets[: len(octets) // 2], octets[len(octets) // 2 :]]):
        router = Router("post-policy", lambda _: True, lambda _: None)
        try:
            for piece in pieces:
                for item in router.read(piece, 0):
                    for message in decode(item) if isinstance(item, Updates) else [Received(item.events)]:
                        for event in message.events if isinstance(message, Received) else ():
                            assert_event_inside_types(event)
        except StreamError:
            pass
        for _, before in router.befores():
            assert all(route.targets is not None for route in before.of_mac(_MAC).values())
            assert len(before.macs) <= MACS_MAX
        assert len(router._rest) <= wire.MESSAGE_MAX
        router.leave()


def mutated(rng: random.Random) -> bytes:
    octets = bytearray(b"".join([SEEDS[1], *rng.choices(SEEDS, k=rng.randint(1, 5))]))
    for _ in range(rng.randint(0, 6)):
        match rng.randint(0, 3):
            case 0:
                octets[rng.randrange(len(octets))] = rng.randrange(256)
            case 1:
                octets[rng.randrange(len(octets))] ^= 1 << rng.randrange(8)
            case 2:
                at = rng.randrange(len(octets))
                del octets[at : at + rng.randint(1, 8)]
            case 3:
                at = rng.randrange(len(octets))
                octets[at:at] = rng.randbytes(rng.randint(1, 8))
        if not octets:
            return b""
    return bytes(octets)


def main() -> None:
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    rng = random.Random(seed)
    for number in range(count):
        octets = mutated(rng)
        try:
            receive(octets)
        except Exception as error:
            sys.exit(f"input {number} of seed {seed}: {error!r}: {octets.hex()}")
    print(f"{count} inputs, no finding")


if __name__ == "__main__":
    main()
