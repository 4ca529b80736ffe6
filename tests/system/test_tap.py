"""The tap of `vtep exabgp` beside ExaBGP's own decoding, on real sessions of both lines of releases.

One speaker sends the same octets twice, cut at random: to an ExaBGP whose child asked for octets, and to one whose child did
not. The routes that the lines make must be the same in the end, and so must the NOTIFICATION for what nobody can read.
"""

import random
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from tests.lab import malformed, wire
from tests.lab.fixtures import lab, network
from tests.lab.peers import EXABGP, EXABGP_4_2, ExaBgp, Recorder, exabgp_config
from tests.lab.speaker import Session, Speaker
from tests.lab.topology import LEAF, Topology, address
from tests.lab.wait import wait_until
from vtep.evpn.event import Received
from vtep.evpn.rib import Holds, Rib
from vtep.feed.exabgp.grammar import OCTETS, OCTETS_ANSWER
from vtep.feed.exabgp.lines import LineReader
from vtep.store.sharded import SHARDS

__all__ = ["lab", "network"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow]

BOTH = pytest.mark.parametrize("executable", [EXABGP, EXABGP_4_2], ids=["5.0", "4.2"])
PEER = address(1)
MESSAGES = 300
MARKER = wire.Instance(PEER).mac("02:ff:00:00:00:01")


class Listener:
    """An ExaBGP under `vtep exabgp`, and what its child has read."""

    def __init__(self, network: Topology, executable: Path, speaker: Speaker, *, octets: bool, more: str = "") -> None:
        self.speaker = speaker
        self.recorder = Recorder(network.leaf, f"/run/recorder-{octets}")
        config = exabgp_config(address(LEAF), [PEER], self.recorder.run, more=more)
        self.exabgp = ExaBgp(network.leaf, config, executable=executable, announces=True)
        before = len(speaker.sessions)
        self.exabgp.start()
        if octets:
            self.recorder.command(OCTETS)
            wait_until(lambda: OCTETS_ANSWER in "\n".join(self.recorder.text()), 20, "the answer")
        wait_until(lambda: len(speaker.sessions) > before and speaker.sessions[-1].established, 20, "a session")
        self.session: Session = speaker.sessions[-1]

    def rib(self) -> Rib:
        rib = Rib(Holds(), 0.0)
        for message in LineReader().read(line.encode() for line in self.recorder.text()):
            assert isinstance(message, Received), message
            rib.receive(message, 0.0)
        return rib

    def routes(self) -> dict[bytes, object]:
        """Return the routes of the peer, by key."""
        rib = self.rib()
        return {
            key: found[0]
            for peer in rib.peers
            for part in range(SHARDS)
            for key in rib.keys(peer, part)
            if (found := rib.find(peer, key)) is not None and not found[1]
        }

    def tapped(self) -> int:
        return sum('"type": "updates"' in line for line in self.recorder.text())

    def reasons(self) -> list[str]:
        """Return why established sessions ended, in order."""
        states = [line["neighbor"] for line in self.recorder.lines("state")]
        return [now["reason"] for before, now in pairwise(states) if (before["state"], now["state"]) == ("up", "down")]

    def stop(self) -> None:
        assert self.exabgp.process is not None
        self.exabgp.process.stop()
        wait_until(lambda: self.session.ended_by, 20, "the end of the session")


def messages(chance: random.Random) -> list[bytes]:
    """Return UPDATEs of types 2, 3 and 5, announced, withdrawn and mixed, malformed ones, and other messages between them."""
    instances = [wire.Instance(address(number)) for number in (1, 2, 3)]
    routes = [
        *(one.mac(f"02:00:00:00:00:{number:02x}", seq=number % 3) for one in instances for number in range(40)),
        *(one.mac(f"02:00:00:00:01:{number:02x}", f"192.0.2.{number}") for one in instances for number in range(20)),
        *(one.flood() for one in instances),
        *(one.prefix(f"198.51.{number}.0/24") for one in instances for number in range(5)),
    ]
    bad = [octets for name, octets in malformed.updates(routes[0]).items() if name not in malformed.WITHOUT_ROUTES]
    every: list[bytes] = []
    for _ in range(MESSAGES):
        some = chance.sample(routes, chance.randint(1, 30))
        match chance.randrange(10):
            case 0 | 1 | 2 | 3 | 4:
                every += wire.updates(some, chance.choice((1, 5, 50)))
            case 5 | 6 | 7:
                every += wire.withdrawals([wire.unlabelled(route.nlri) for route in some], chance.choice((1, 50)))
            case 8:
                every.append(chance.choice(bad))
            case 9:
                every.append(chance.choice((wire.message(wire.KEEPALIVE), wire.end_of_rib())))
    return every


@BOTH
def test_octets_make_the_same_routes_as_exabgps_own_lines(network: Topology, executable: Path) -> None:
    chance = random.Random(7)
    every = b"".join(messages(chance))
    found = []
    with Speaker(network.remote, PEER, sends_end_of_rib=False) as speaker:
        for octets in (True, False):
            one = Listener(network, executable, speaker, octets=octets)
            at = 0
            cuts = random.Random(11)
            while at < len(every):
                end = at + cuts.choice((1, 7, 100, 3000, 70_000))
                speaker.send(every[at:end])
                at = end
            speaker.send(*wire.updates([MARKER]))
            wait_until(lambda one=one: MARKER.key in one.routes(), 60, "the marker")
            assert one.session.established
            found.append(one.routes())
            tapped = one.tapped()
            assert (tapped > 0) == octets
            one.stop()

    assert found[0] == found[1]
    assert len(found[0]) > 100


@BOTH
def test_what_nobody_can_read_ends_the_session_for_the_same_reason(network: Topology, executable: Path) -> None:
    """The reason in the `down` line is compared, since a NOTIFICATION can be lost when the connection is reset behind it."""
    bad = malformed.updates(wire.Instance(PEER).mac("02:00:00:00:00:01"))
    broken = malformed.messages()
    every = [bad["an NLRI cut off"], broken["a marker of zeros"], broken["a message of type 9"]]
    found: list[list[str]] = []
    with Speaker(network.remote, PEER, sends_end_of_rib=False) as speaker:
        for octets in (True, False):
            one = Listener(network, executable, speaker, octets=octets)
            for count, message in enumerate(every, 1):
                session = speaker.wait_established(deadline_s=60)
                speaker.send(*wire.updates([MARKER]), message)
                wait_until(lambda one=one, count=count: len(one.reasons()) >= count, 20, "the end of the session")
                # The next message must not go into the connection that has ended.
                wait_until(lambda session=session: session.ended_by, 20, "the end of the session at the speaker")
            found.append(one.reasons())
            assert one.exabgp.process is not None
            one.exabgp.process.stop()

    assert found[0] == found[1]
    assert len(set(found[0])) == len(every)


@BOTH
@pytest.mark.parametrize("more", ["rate-limit 1000;", "adj-rib-in true;"])
def test_a_neighbor_that_is_more_than_a_feed_is_decoded_by_exabgp(
    network: Topology, executable: Path, more: str
) -> None:
    with Speaker(network.remote, PEER, sends_end_of_rib=False) as speaker:
        one = Listener(network, executable, speaker, octets=True, more=more)
        speaker.send(*wire.updates([MARKER]))
        wait_until(lambda: MARKER.key in one.routes(), 20, "the marker")
        assert not one.tapped()


@BOTH
def test_a_reload_of_exabgp_leaves_one_count_of_lines(network: Topology, executable: Path) -> None:
    """A reload gives the peer a new neighbor, with a count of its own, while the session lasts."""
    begins, ends = wire.route_refresh(wire.REFRESH_BEGINS), wire.route_refresh(wire.REFRESH_ENDS)
    with Speaker(network.remote, PEER, sends_end_of_rib=False) as speaker:
        listener = Listener(network, executable, speaker, octets=True)
        process = listener.exabgp.process
        assert process is not None
        speaker.send(begins, *wire.updates([MARKER]), ends)
        wait_until(lambda: MARKER.key in listener.routes(), 20, "the first route")
        process.signal(signal.SIGUSR1)
        wait_until(lambda: process.log().count("loaded new configuration") == 2, 20, "the reload")
        other = wire.Instance(PEER).mac("02:ff:00:00:00:02")
        speaker.send(begins, *wire.updates([MARKER, other], 1), ends, *wire.updates([other]))
        wait_until(lambda: other.key in listener.routes(), 20, "the second route")

        assert listener.session.established
        assert listener.tapped() > 1
        assert listener.rib().counters.gaps == 0
