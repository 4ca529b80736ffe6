"""CPU for a route that arrives by BMP, beside one that ExaBGP hands on as octets: `python -m bench.bmp [ROUTES]`.

A router may report the table before policy as well, alike or changed.
One route in each UPDATE, as routers report them. Both ways end in the same events; the RIB and what follows are not measured.
"""

import sys
import time
import tracemalloc
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator

from tests.lab import bmp
from tests.lab.wire import Instance, updates
from vtep.addr import Ip, Mac
from vtep.evpn.before_policy import BEFORE, MACS_MAX, BeforePolicy
from vtep.evpn.event import Announced, Received
from vtep.feed.bmp.feed import decode
from vtep.feed.bmp.router import PIECE, Router, Updates
from vtep.feed.exabgp.lines import LineReader

READ = 64 << 10
PEER = "10.0.0.1"
LINE = (
    b'{ "exabgp": "5.0.15", "time": 1.0, "host": "leaf", "pid": 7, "ppid": 1, "counter": %d, "type": "updates", "neighbor": '
    b'{ "address": { "local": "10.0.0.99", "peer": "10.0.0.1" }, "asn": { "local": 65000, "peer": 65000 }, '
    b'"direction": "receive", "octets": "%s" } }'
)


def messages(count: int, targets: tuple[str, ...] = ("65000:100",)) -> list[bytes]:
    there = Instance(PEER, targets=targets)
    return list(
        updates(
            (there.mac(f"02:00:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}") for n in range(count)), per_update=1
        )
    )


def by_bmp(found: list[bytes], before: Iterable[bytes] = ()) -> Callable[[], Iterator[Received]]:
    """Read what a router reports after policy; with `before`, each UPDATE behind the one of the table before policy."""
    twins = [bmp.monitoring(PEER, one, flags=0) for one in before] or [b""] * len(found)
    octets = b"".join(twin + bmp.monitoring(PEER, one) for twin, one in zip(twins, found, strict=True))
    pieces = [octets[at : at + READ] for at in range(0, len(octets), READ)]

    def read() -> Iterator[Received]:
        router = Router("post-policy", lambda _: True, lambda _: None)
        router.read(bmp.initiation() + bmp.peer_up(PEER), 0.0)
        for piece in pieces:
            for item in router.read(piece, 0.0):
                if isinstance(item, Updates):
                    yield from (one for one in decode(item) if isinstance(one, Received))

    return read


def by_tap(found: list[bytes]) -> Callable[[], Iterator[Received]]:
    lines: list[bytes] = []
    piece = b""
    for one in (*found, b""):
        if len(piece) + len(one) > PIECE or not one:
            lines.append(LINE % (len(lines) + 1, b64encode(piece)))
            piece = b""
        piece += one

    def read() -> Iterator[Received]:
        yield from (one for one in LineReader().read(lines) if isinstance(one, Received))

    return read


def measured(read: Callable[[], Iterable[Received]], count: int) -> float:
    began = time.process_time()
    routes = sum(len(event.routes) for one in read() for event in one.events if isinstance(event, Announced))
    assert routes == count, f"{routes} routes of {count}"
    return (time.process_time() - began) / count * 1e6


def octets_a_mac() -> float:
    """Measure what is kept of a MAC whose route the policy changes."""
    table = BeforePolicy(Ip.parse(PEER), MACS_MAX)
    found = messages(MACS_MAX)
    tracemalloc.start()
    for one in found:
        table.take(bytes(bytearray(one)), BEFORE)
    table.of_mac(Mac(bytes(6)))
    octets, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return octets / len(table.macs)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    found = messages(count)
    ways = {
        "BMP": by_bmp(found),
        "BMP, both tables alike": by_bmp(found, found),
        "BMP, both tables, each route changed by policy": by_bmp(found, messages(count, ("65000:7",))),
        "ExaBGP's octets": by_tap(found),
    }
    print(f"what differs before policy: {octets_a_mac():.0f} octets a MAC")
    for name, read in ways.items():
        print(
            f"{name}: {min(measured(read, count) for _ in range(3)):.2f} us of CPU a route, {count} routes, one an UPDATE"
        )


if __name__ == "__main__":
    main()
