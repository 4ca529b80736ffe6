"""From the intent to a feed and back: who may announce, what an earlier life told, and what the log says."""

import asyncio
import json
import logging

import pytest

from tests.contract.routed import MemoryHands
from vtep.addr import Ip, Mac, RouteDistinguisher, Vni
from vtep.app.advertising import Advertising
from vtep.app.own_prefixes import OwnPrefixes
from vtep.app.state import StateDirectory
from vtep.config.file import parse
from vtep.evpn.advertise import MacAdvertisement, MacRoute, mobility
from vtep.evpn.event import Attached
from vtep.evpn.station import Station
from vtep.feed.exabgp.feed import ExabgpFeed
from vtep.feed.exabgp.grammar import QUESTION
from vtep.linux.target import KernelTarget
from vtep.local.advertised import AdvertisedLedger
from vtep.projection.leaf import Leaf

TEXT = """
[node]
vtep = "10.0.0.99"
[bgp]
asn = 65000
router_id = "10.0.0.99"
[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
"""
VNI = Vni(100)
MAC = Mac.parse("02:00:00:00:00:01")
CAN = [b'{"answer": "evpn commands 1", "message": "vtep"}', b"done"]


class Feed(ExabgpFeed):
    """The feed of an ExaBGP whose socket only takes."""

    def __init__(self, clock):
        super().__init__("/nowhere", clock=clock)
        self.lines = []
        self._dialog._send = self.send

    def send(self, line):
        self.lines.append(line)
        return True

    def take(self):
        lines, self.lines = self.lines, []
        return lines


class Rig:
    def __init__(self, path, text=TEXT):
        self.now = 100.0
        self.feed = Feed(lambda: self.now)
        self.leaf = Leaf(parse(text), self.now)
        self.advertising = Advertising(parse(text), self.leaf, self.feed, lambda: self.now)
        self.reader = self.feed._reader
        self.advertising.open(StateDirectory(path.parent, lambda: self.now))

    def attach(self, pid=41, started=7):
        self.feed._dialog.begin(f"{pid}/{started}")
        self.advertising.attached(Attached(f"{pid}/{started}", f"ExaBGP {pid}", True))
        return self

    def turn(self, *lines, ready=True):
        """Take lines, judge, and return what is sent."""
        self.leaf.receive(self.reader.read(lines), self.now)
        self.advertising.permit(lambda _: ready)
        before = self.leaf.intent
        self.advertising.follow(before, self.leaf.judge(self.now), seen=True)
        self.advertising.send(self.now)
        return self.feed.take()

    def settle(self):
        """Answer everything with yes."""
        lines = self.turn()
        while lines:
            lines = self.turn(*(answer for line in lines for answer in (CAN if line == QUESTION else [b"done"])))
        return self


@pytest.fixture
def path(tmp_path):
    return tmp_path / "announced"


@pytest.fixture
def rig(path):
    return Rig(path)


def kinds(lines):
    return [" ".join(line.split()[:3]) for line in lines]


def test_stations_count_once_exabgp_has_answered_that_it_can_advertise(rig):
    rig.leaf.learn_stations([Station(VNI, MAC, "port")])
    asked = rig.attach().turn()
    before = rig.leaf.intent.announcing
    told = rig.turn(*CAN)

    assert (asked, before) == ([QUESTION], frozenset())
    assert rig.leaf.intent.announcing == {VNI}
    assert kinds(told) == ["announce evpn multicast", "announce evpn mac-advertisement"]


def test_a_vni_that_is_not_ready_is_withdrawn_with_its_stations(rig):
    rig.leaf.learn_stations([Station(VNI, MAC, "port")])
    rig.attach().settle()
    rig.leaf.rib.complete = True

    withdrawn = rig.turn(ready=False)

    assert sorted(kinds(withdrawn)) == ["withdraw evpn mac-advertisement", "withdraw evpn multicast"]


def break_svi(kernel):
    kernel.set_up("br4001", False)


def break_l3vni(kernel):
    kernel.set_up("vx4001", False)


def break_carrier(kernel):
    kernel.set_carrier("br4001", False)


def break_vrf(kernel):
    kernel.set_up("blue", False)


def break_membership(kernel):
    kernel.join_vrf("br4001", None)


@pytest.mark.parametrize("broken", [break_svi, break_l3vni, break_carrier, break_vrf, break_membership])
def test_a_host_has_the_l3vni_only_while_its_vrf_is_ready(path, broken):
    """RFC 9135 5.1: both labels, both Route Targets and the Router's MAC; a leaf that cannot route withdraws what would draw packets."""
    text = (
        TEXT.replace("10.0.0.99", "10.0.0.1")
        + 'vrf = "blue"\n[[vrf]]\nname = "blue"\nvni = 4001\nvxlan = "vx4001"\nsvi = "br4001"\n'
    )
    config = parse(text)
    hands = MemoryHands()
    hands.kernel.add_devices_of(config.vnis[0])
    target = KernelTarget(hands.kernel, config.vnis, vrfs=config.vrfs)
    rig = Rig(path, text)
    rig.leaf.learn_stations([Station(VNI, MAC, "port", hosts=frozenset({Ip.parse("10.1.0.7")}))])

    async def hosts() -> list[str]:
        """Look at the devices, as the daemon does, and return what is sent of the host's address."""
        target.attachments()
        for _ in range(200):
            routers = own.latest(target.vrfs, {vrf.vni: vrf for vrf in config.vrfs})
            if own._reading is None:
                break
            await asyncio.sleep(0.01)
        rig.advertising.learn_routers(routers)
        sent, lines = [], rig.turn()
        while lines:
            sent += lines
            lines = rig.turn(*(b"done" for _ in lines))
        return [line for line in sent if "10.1.0.7" in line]

    async def run() -> list[list[str]]:
        whole = [await hosts()]
        broken(hands.kernel)
        whole.append(await hosts())
        hands.set_up("br4001", True)
        hands.set_up("vx4001", True)
        hands.set_up("blue", True)
        hands.kernel.set_carrier("br4001", True)
        hands.kernel.join_vrf("br4001", "blue")
        return [*whole, await hosts()]

    own = OwnPrefixes(hands.kernel, lambda: rig.now)
    rig.attach().turn()
    lines = rig.turn(b'{"answer": "evpn commands 1", "versions": [1, 2, 3, 4], "message": "vtep"}', b"done")
    while lines:
        lines = rig.turn(*(b"done" for _ in lines))
    [first], [meanwhile], [last] = asyncio.run(run())
    assert first == last
    assert "label [ 100 4001 ]" in first
    assert "65000:4001" in first
    assert "0x0603" in first  # the Router's MAC
    assert "label 100 " in meanwhile
    assert "65000:4001" not in meanwhile
    assert "0x0603" not in meanwhile
    assert (
        first.split(" label ")[0] == meanwhile.split(" label ")[0]
    )  # the same route: it takes the place of the other one


@pytest.mark.parametrize(
    ("pid", "started", "again"), [(41, 7, 0), (41, 8, 1), (43, 7, 1)], ids=["the same", "the same pid", "another pid"]
)
def test_an_exabgp_is_recognized_by_its_pid_and_its_start(rig, pid, started, again):
    rig.attach().settle()

    rig.feed._dialog.end()
    rig.advertising.detached()
    rig.attach(pid, started)
    told = [*rig.turn(), *rig.turn(*CAN)]

    assert kinds(told).count("announce evpn multicast") == again


def test_the_next_daemon_knows_what_was_advertised_and_with_which_sequence_number(rig, path):
    ledger = AdvertisedLedger(path)
    route = MacRoute(RouteDistinguisher.parse("10.0.0.99:100"), MAC)
    ledger.ask([MacAdvertisement(route, Ip.parse("10.0.0.99"), VNI, communities=(mobility(5),))])

    later = Rig(path).attach()
    later.leaf.learn_stations([Station(VNI, MAC, "port")])
    later.settle()

    assert later.leaf.intent.own[VNI, MAC, None].seq == 5


def test_a_file_that_cannot_be_trusted_is_set_aside_and_logged(path, caplog):
    path.write_text("what\n")

    rig = Rig(path).attach()

    assert path.with_name("announced.refused").read_text() == "what\n"
    assert json.loads(path.read_text())["exabgp"].endswith("/41/7")
    assert "advertised routes unknown" in caplog.text
    assert rig.turn() == [QUESTION]


def test_the_log_says_once_why_this_leaf_does_not_advertise(rig, caplog):
    caplog.set_level(logging.INFO)
    rig.attach().turn()
    for _ in range(3):
        rig.turn(b"error")

    told = [record.fields["why"] for record in caplog.records if record.message == "not advertising"]
    assert told == ["this ExaBGP was not started by vtep exabgp"]
    assert rig.advertising.status().why == "this ExaBGP was not started by vtep exabgp"


def test_the_log_says_which_command_was_refused_and_why(rig, caplog):
    rig.attach().turn()
    rig.turn(*CAN)

    rig.turn(b'{"answer": "refused", "message": "no neighbor matches"}', b"error")

    [record] = [record for record in caplog.records if record.message == "advertisement refused"]
    assert record.fields["why"] == "no neighbor matches"
    assert record.fields["command"].startswith("announce evpn multicast rd 10.0.0.99:100")


def test_a_vni_with_a_missing_setting_is_named_in_the_log_and_in_the_status(path, caplog):
    caplog.set_level(logging.INFO)

    rig = Rig(path, TEXT.replace("vni = 100", "vni = 70000")).attach()

    assert "vni advertises nothing" in caplog.text
    assert rig.advertising.status().left_out == ("VNI 70000 announces nothing without one (rd)",)
    assert rig.turn() == []
