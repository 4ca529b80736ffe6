"""ExaBGP 5.0 with the patches that are offered upstream: it says what it said before, and advertises EVPN without vtep."""

import re

import pytest

from tests.lab import wire
from tests.lab.fixtures import lab, network
from tests.lab.peers import ExaBgp, Recorder, exabgp_config
from tests.lab.speaker import Speaker
from tests.lab.topology import LEAF, address, address6
from tests.lab.upstream import PATCHES, apply, copied, release_of
from tests.lab.wait import wait_until
from vtep.addr import Esi, Ip, Mac, RouteDistinguisher, Vni
from vtep.evpn.advertise import (
    VXLAN,
    MacAdvertisement,
    MacRoute,
    Multicast,
    MulticastRoute,
    Pmsi,
    Withdrawal,
    mobility,
    target,
)
from vtep.feed.exabgp.grammar import spell

__all__ = ["lab", "network"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow]

VTEP, VTEP6 = Ip.parse(address(LEAF)), Ip.parse(address6(LEAF))
RD = RouteDistinguisher.parse("10.0.0.99:100")
MAC, OTHER = Mac.parse("02:00:00:00:00:99"), Mac.parse("02:00:00:00:00:98")
COMMUNITIES = (target("65000:100"), VXLAN, mobility(3))
SEGMENT = Esi.parse("03:02:00:00:00:00:42:00:00:01")
FLOODS = Multicast(MulticastRoute(RD, VTEP), VTEP, Pmsi(Vni(100), VTEP), COMMUNITIES[:2])
FIRST = MacAdvertisement(MacRoute(RD, MAC), VTEP, Vni(100), communities=COMMUNITIES)
ROUTES = [
    FLOODS,
    MacAdvertisement(MacRoute(RD, MAC), VTEP, Vni(16777215), communities=COMMUNITIES),
    MacAdvertisement(MacRoute(RD, OTHER, VTEP6, 7), VTEP6, Vni(100), None, SEGMENT, COMMUNITIES),
]


@pytest.fixture
def patched(tmp_path):
    """Return the folder of a patched package, for PYTHONPATH."""
    folder = copied("5.0", tmp_path)
    for patch in PATCHES:
        if release_of(patch) == "5.0":
            apply(patch, folder)
    return folder


def plain(command):
    """Spell communities as octets: those that ExaBGP knows by name have other names there."""
    line = spell(command)
    for community in COMMUNITIES[1:]:
        line = line.replace(f" {community} ", f" 0x{community.hex()} ")
    return line


def answers(recorder: Recorder) -> list[str]:
    return [line for line in recorder.text() if line in ("done", "error")]


def test_a_patched_exabgp_advertises_evpn_in_the_words_of_vtep(network, patched):
    recorder = Recorder(network.leaf)
    config = exabgp_config(address(LEAF), [address(1)], recorder.run)
    exabgp = ExaBgp(network.leaf, config, env={"PYTHONPATH": str(patched)})
    remote = wire.Instance(address(1)).mac("02:00:00:00:00:01")
    with Speaker(network.remote, address(1)) as speaker:
        process = exabgp.start()
        session = speaker.wait_established()
        speaker.announce(remote)
        commands = [FIRST, *ROUTES]
        recorder.command("\n".join([*map(plain, commands), "announce evpn mac-advertisement rd 1:1 mac what"]))
        wait_until(lambda: len(speaker.heard(session)) == len(ROUTES), 20, "all routes")
        wait_until(lambda: speaker.heard(session)[FIRST.route.key].nlri == ROUTES[1].nlri, 20, "the newer label")
        heard = speaker.heard(session)
        recorder.command("\n".join(spell(Withdrawal(route.route)) for route in ROUTES))
        wait_until(lambda: not speaker.heard(session), 20, "the withdrawals")
        wait_until(lambda: remote.nlri.hex().upper() in "\n".join(recorder.text()), 20, "the received route")

        for route in ROUTES:
            received = heard[route.route.key]
            assert (received.nlri, received.next_hop) == (route.nlri, route.next_hop)
            assert sorted(re.findall(rb"(?s).{8}", received.attributes[16])) == sorted(route.communities)
        assert heard[FLOODS.route.key].attributes[22] == FLOODS.pmsi.octets
        wait_until(lambda: len(answers(recorder)) == 2 * len(ROUTES) + 2, 20, "an answer to each command")
        assert answers(recorder) == ["done"] * 4 + ["error"] + ["done"] * 3
        assert session.established
        assert "statistics for receive-update" not in process.log()
