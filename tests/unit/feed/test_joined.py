"""ExaBGP and routers that report by BMP at once: whose peer an address is, and that neither's end touches the other's peers."""

import asyncio
import contextlib

import pytest

from tests.lab import bmp
from tests.lab.lines import Lines
from tests.lab.wire import Instance, end_of_rib, updates
from vtep.addr import Ip
from vtep.config.file import parse
from vtep.feed.bmp.feed import BmpFeed
from vtep.feed.contract import Feed
from vtep.feed.exabgp.feed import ExabgpFeed
from vtep.feed.joined import JoinedFeed
from vtep.projection.leaf import Leaf

ONE, TWO = "10.0.0.1", "10.0.0.2"
A, B = (Instance(peer) for peer in (ONE, TWO))
M1, M2, M3 = (f"02:00:00:00:00:0{n}" for n in (1, 2, 3))
HELLO = b'{"relay": "hello", "version": 1, "exabgp_pid": 41, "exabgp_started": 7, "relay_pid": 42, "dropped": 0, "complete": true}\n'
CONFIG = """
[node]
vtep = "10.0.0.99"
[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
import_rt = ["65000:100"]
"""
WAIT_S = 10


class Rig:
    """Both feeds before a leaf. Each step waits until the leaf is as it should be."""

    def __init__(self, path):
        self.path = path / "feed.sock"
        self.leaf = Leaf(parse(CONFIG), 0.0)
        self.now = 0.0
        self.lines = Lines()
        self.routers = []
        self.relays = []

    @contextlib.asynccontextmanager
    async def open(self):
        exabgp = ExabgpFeed(self.path)
        self.bmp = BmpFeed("127.0.0.1:0", arrived=exabgp.arrived)
        self.feed: Feed = JoinedFeed(exabgp, self.bmp)
        await self.feed.start()
        try:
            async with asyncio.timeout(WAIT_S):
                yield self
        finally:
            await self.feed.stop()
            for writer in [writer for _, writer in self.routers] + self.relays:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

    async def exabgp(self, *lines):
        """Connect ExaBGP's relay, if none is, and have it send lines."""
        if not self.relays or self.relay.is_closing():
            self.relays.append((await asyncio.open_unix_connection(self.path))[1])
            self.relay.write(HELLO)
        self.relay.write(b"".join(line + b"\n" for line in lines))

    @property
    def relay(self):
        return self.relays[-1]

    async def router(self, *octets):
        """Connect a router that says all this at once."""
        connected = await asyncio.open_connection("127.0.0.1", self.bmp.port)
        self.routers.append(connected)
        connected[1].write(bmp.initiation("spine1") + b"".join(octets))
        return connected

    async def until(self, condition):
        while not condition():
            self.leaf.receive(await self.feed.events(), self.now)
            self.leaf.judge(self.now)

    def macs(self):
        return {str(mac): str(row.peer) for (_, mac), row in self.leaf.intent.macs.items()}

    def stale(self):
        return {str(peer.address): len(peer.stale) for peer in self.leaf.rib.peers.values() if len(peer)}


def reported(peer, instance, *macs):
    routes = [instance.mac(mac) for mac in macs]
    return bmp.peer_up(peer) + bmp.monitoring(peer, *updates(routes, per_update=1), end_of_rib())


def run(path, story):
    async def body():
        async with Rig(path).open() as rig:
            await story(rig)

    asyncio.run(body())


def session(rig, *macs):
    lines = rig.lines
    before = [lines.opened(ONE, 120), lines.up(ONE)]
    return [*before, *(lines.announce(ONE, A.mac(mac)) for mac in macs), lines.end_of_rib(ONE)]


def test_peers_of_both_are_one_picture(tmp_path):
    async def story(rig):
        await rig.exabgp(*session(rig, M1))
        await rig.router(reported(TWO, B, M2))
        await rig.until(lambda: rig.macs() == {M1: ONE, M2: TWO} and rig.leaf.intent.complete)
        assert (rig.feed.form(Ip.parse(TWO)), rig.feed.waiting) == ("octets", 0)

    run(tmp_path, story)


def test_the_end_of_one_holds_its_own_peers_alone(tmp_path):
    async def story(rig):
        await rig.exabgp(*session(rig, M1))
        await rig.router(reported(TWO, B, M2))
        await rig.until(lambda: rig.macs() == {M1: ONE, M2: TWO} and rig.leaf.intent.complete)
        rig.relay.close()
        await rig.until(lambda: not rig.leaf.intent.complete)
        assert rig.stale() == {ONE: 1, TWO: 0}
        await rig.exabgp(*session(rig, M1))
        await rig.until(lambda: rig.leaf.intent.complete)
        rig.routers[0][1].close()
        await rig.until(lambda: not rig.leaf.intent.complete)
        assert rig.stale() == {ONE: 0, TWO: 1}

    run(tmp_path, story)


def test_a_session_of_exabgp_takes_the_peer_that_a_router_reports_and_its_rows_stay(tmp_path):
    async def story(rig):
        reader, _ = await rig.router(reported(ONE, A, M1, M2), reported(TWO, B, M3))
        await rig.until(lambda: len(rig.macs()) == 3 and rig.leaf.intent.complete)
        await rig.exabgp(rig.lines.opened(ONE, 120), rig.lines.up(ONE))
        await rig.until(lambda: rig.stale() == {ONE: 2, TWO: 0})
        assert len(rig.macs()) == 3
        assert rig.leaf.rib.peers[Ip.parse(ONE)].can_refresh, "the OPEN that ExaBGP received counts"
        await rig.exabgp(rig.lines.announce(ONE, A.mac(M1)), rig.lines.end_of_rib(ONE))
        await rig.until(lambda: rig.macs() == {M1: ONE, M3: TWO})
        assert [one.peers for one in rig.bmp.routers] == [1]
        rig.relay.close()
        await rig.until(lambda: reader.at_eof() or not rig.bmp.routers)
        assert rig.macs() == {M1: ONE, M3: TWO}, "held as stale until the router has connected again"
        await rig.router(reported(ONE, A, M1, M2), reported(TWO, B, M3))
        await rig.until(lambda: len(rig.macs()) == 3 and rig.leaf.intent.complete)
        assert rig.leaf.rib.peers[Ip.parse(ONE)].feed == "bmp"

    run(tmp_path, story)


def test_a_session_that_exabgp_only_tries_takes_nothing(tmp_path):
    async def story(rig):
        await rig.router(reported(ONE, A, M1))
        await rig.until(lambda: rig.macs() == {M1: ONE})
        await rig.exabgp(rig.lines.opened(ONE, 120), rig.lines.down(ONE, "no route to host"))
        lines = rig.leaf.rib.counters.lines
        await rig.until(lambda: rig.leaf.rib.counters.lines == lines + 2)
        peer = rig.leaf.rib.peers[Ip.parse(ONE)]
        assert (peer.up, peer.feed, peer.reason, rig.macs()) == (True, "bmp", "", {M1: ONE})

    run(tmp_path, story)


def test_routes_of_a_peer_that_waited_when_exabgp_took_it_do_not_count(tmp_path):
    async def story(rig):
        _, router = await rig.router(reported(ONE, A, M1))
        await rig.until(lambda: rig.macs() == {M1: ONE})
        router.write(bmp.monitoring(ONE, *updates([A.mac(M2)], per_update=1)))
        rig.feed.arrived.clear()
        await rig.feed.arrived.wait()
        rig.bmp.cede(Ip.parse(ONE))
        assert rig.bmp.events_at_once() == []
        router.write(bmp.monitoring(ONE, *updates([A.mac(M3)], per_update=1)) + reported(TWO, B, M3))
        await rig.until(lambda: rig.macs() == {M1: ONE, M3: TWO})
        assert rig.bmp.ignored_by_all()["reported-by-another"] == 1

    run(tmp_path, story)


def test_lines_that_exabgp_lost_are_no_gap_of_what_routers_report(tmp_path):
    async def story(rig):
        await rig.exabgp(*session(rig, M1))
        await rig.router(reported(TWO, B, M2))
        await rig.until(lambda: len(rig.macs()) == 2)
        rig.relay.write(b'{"relay": "dropped", "lines": 5}\n')
        await rig.until(lambda: rig.leaf.rib.counters.gaps > 0)
        assert rig.leaf.rib.counters.gaps == 1
        assert [str(peer) for peer in rig.leaf.rib.take_refreshes(rig.now)] == ["None"]

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("feed", "both"),
    [
        ("", (True, "")),
        ('bmp = "127.0.0.1:11019"', (False, "127.0.0.1:11019")),
        ('bmp = "127.0.0.1:11019"\nsocket = "/run/x.sock"', (True, "127.0.0.1:11019")),
    ],
)
def test_exabgp_attaches_beside_routers_where_its_socket_is_named(feed, both):
    config = parse(f"[feed]\n{feed}\n{CONFIG}").feed

    assert (config.exabgp, config.bmp) == both


def test_a_peer_that_a_router_reports_may_be_awaited_without_a_session_of_exabgp():
    feed = 'bmp = "127.0.0.1:11019"\nsocket = "/run/x.sock"\npeers = ["10.0.0.1", "10.0.0.2"]'
    bgp = '[bgp]\nasn = 65000\nrouter_id = "10.0.0.99"\n[[bgp.neighbor]]\naddress = "10.0.0.1"\nasn = 65000'

    assert len(parse(f"[feed]\n{feed}\n{bgp}\n{CONFIG}").feed.peers) == 2
