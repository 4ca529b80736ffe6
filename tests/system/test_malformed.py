"""Malformed messages of a peer over a real session, to both lines of ExaBGP under `vtep exabgp`.

Each case says what becomes of the session and of the route that the message is about. The route was there before, so that a
withdraw can be told from a message that had no effect.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import malformed, wire
from tests.lab.fixtures import lab, network
from tests.lab.namespaces import Process
from tests.lab.peers import EXABGP, EXABGP_4_2, ExaBgp, Recorder, exabgp_config
from tests.lab.speaker import Speaker
from tests.lab.topology import LEAF, Topology, address
from tests.lab.wait import wait_until
from vtep.addr import Ip
from vtep.evpn.event import Received
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.rib import Holds, Rib
from vtep.feed.exabgp.lines import LineReader
from vtep.store.sharded import SHARDS

__all__ = ["lab", "network"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow]

PEER = address(1)
HEADER = 19
SMALLEST = 4
OPTIONAL, TRANSITIVE = 0x80, 0x40
BOTH = OPTIONAL | TRANSITIVE
INSTANCE = wire.Instance(PEER)
ROUTE = INSTANCE.mac("02:00:00:00:00:01")
FLOOD = INSTANCE.flood()
IPV6_VTEP = Ip.parse("2001:db8::1")

STAYS, GOES, BAD_NLRI = "stays", "goes", "bad NLRI"


def update(
    *attributes: bytes, nlris: tuple[bytes, ...] = (ROUTE.nlri,), origin: bool = True, path: bool = True
) -> bytes:
    """An UPDATE about our route with these attributes besides the usual ones."""
    usual = [wire.attribute(TRANSITIVE, 1, b"\0")] if origin else []
    usual += [wire.attribute(TRANSITIVE, 2, b"")] if path else []
    usual.append(wire.attribute(TRANSITIVE, 5, (100).to_bytes(4)))
    codes = {attribute[1] for attribute in attributes}
    kept = [attribute for attribute in usual if attribute[1] not in codes]
    return wire.update(wire.reach(ROUTE.next_hop, nlris) + b"".join([*kept, *attributes]))


def with_octet(nlri: bytes, at: int, value: int) -> bytes:
    return nlri[:at] + bytes((value,)) + nlri[at + 1 :]


def attribute(flags: int, code: int, value: str) -> bytes:
    return wire.attribute(flags, code, bytes.fromhex(value))


KEPT = {
    "origin-too-long": (update(attribute(0x40, 1, "0000")), GOES),
    "origin-empty": (update(attribute(0x40, 1, "")), GOES),
    "origin-unknown": (update(attribute(0x40, 1, "07")), GOES),
    "origin-optional": (update(attribute(0xC0, 1, "00")), GOES),
    "origin-missing": (update(origin=False), GOES),
    "as-path-missing": (update(path=False), GOES),
    "as-path-segment-too-short": (update(attribute(0x40, 2, "0202000000")), GOES),
    "as-path-segment-empty": (update(attribute(0x40, 2, "0200")), GOES),
    "as-path-segment-unknown": (update(attribute(0x40, 2, "09010000fde8")), GOES),
    "next-hop-too-short": (update(attribute(0x40, 3, "0a0000")), GOES),
    "med-too-short": (update(attribute(0x80, 4, "00")), GOES),
    "local-pref-too-short": (update(attribute(0x40, 5, "000064")), GOES),
    "atomic-aggregate-with-a-value": (update(attribute(0x40, 6, "00")), STAYS),
    "aggregator-too-short": (update(attribute(0xC0, 7, "fde80a000001")), STAYS),
    "communities-too-short": (update(attribute(0xC0, 8, "fde8")), GOES),
    "originator-id-too-short": (update(attribute(0x80, 9, "0a0000")), GOES),
    "originator-id-empty": (update(attribute(0x80, 9, "")), GOES),
    "originator-id-transitive": (update(attribute(0xC0, 9, "0a000001")), GOES),
    "cluster-list-too-short": (update(attribute(0x80, 10, "0a0000")), GOES),
    "cluster-list-empty": (update(attribute(0x80, 10, "")), GOES),
    "cluster-list-cut": (update(attribute(0x80, 10, "0a0000010a00")), GOES),
    "extended-communities-too-short": (update(attribute(0xC0, 16, "0002fde8")), GOES),
    "extended-communities-empty": (update(attribute(0xC0, 16, "")), GOES),
    "as4-path-cut": (update(attribute(0xC0, 17, "0202000000")), STAYS),
    "as4-aggregator-too-short": (update(attribute(0xC0, 18, "0000")), STAYS),
    "pmsi-empty": (update(attribute(0xC0, 22, "")), GOES),
    "pmsi-too-short": (update(attribute(0xC0, 22, "0006")), GOES),
    "pmsi-endpoint-missing": (update(attribute(0xC0, 22, "0006000064")), GOES),
    "pmsi-endpoint-of-3-octets": (update(attribute(0xC0, 22, "00060000640a0000")), GOES),
    "pmsi-endpoint-ipv6": (update(attribute(0xC0, 22, "0006000064" + IPV6_VTEP.hex())), STAYS),
    "pmsi-of-another-tunnel": (update(attribute(0xC0, 22, "00030000640a000001")), STAYS),
    "ipv6-extended-communities-too-short": (update(attribute(0xC0, 25, "00")), GOES),
    "large-community-too-short": (update(attribute(0xC0, 32, "00")), GOES),
    "unknown-attribute-empty": (update(attribute(0xC0, 200, "")), STAYS),
    "origin-twice": (
        wire.update(wire.reach(ROUTE.next_hop, [ROUTE.nlri]) + ROUTE.attributes + attribute(0x40, 1, "02")),
        STAYS,
    ),
    "attributes-cut": (update(b"\xc0\x08\x08\0\0"), GOES),
    "mac-length-24": (update(nlris=(with_octet(ROUTE.nlri, 24, 24),)), BAD_NLRI),
    "ip-length-24": (update(nlris=(with_octet(ROUTE.nlri, 31, 24),)), BAD_NLRI),
    "ip-length-128-without-an-address": (update(nlris=(with_octet(ROUTE.nlri, 31, 128),)), BAD_NLRI),
    "nlri-of-one-octet": (update(nlris=(b"\x02\x01\x00",)), BAD_NLRI),
    "nlri-empty": (update(nlris=(b"\x02\x00",)), BAD_NLRI),
    "multicast-ip-length-7": (update(nlris=(with_octet(FLOOD.nlri, 14, 7),)), BAD_NLRI),
    "segment-too-short": (update(nlris=(b"\x04\x04\0\0\0\0",)), BAD_NLRI),
    "prefix-too-short": (update(nlris=(b"\x05\x04\0\0\0\0",)), BAD_NLRI),
    "ethernet-ad-too-short": (update(nlris=(b"\x01\x04\0\0\0\0",)), BAD_NLRI),
    "unknown-route-type": (update(nlris=(b"\x63\x04\0\0\0\0",)), STAYS),
    "withdraw-of-an-unknown-route-type": (wire.update(wire.unreach([b"\x63\x04\0\0\0\0"])), STAYS),
    "withdraw-of-mac-length-24": (wire.update(wire.unreach([with_octet(ROUTE.nlri, 24, 24)])), BAD_NLRI),
}
"""What RFC 7606 answers without the end of the session: the message, and what becomes of the route."""

RESET = {
    "nlri-longer-than-the-attribute": update(nlris=(b"\x02\xff" + ROUTE.nlri[2:],)),
    "next-hop-of-5-octets": wire.update(
        wire.attribute(OPTIONAL, 14, bytes.fromhex("0019460a") + bytes(10) + b"\0" + ROUTE.nlri) + ROUTE.attributes
    ),
    "reach-twice": wire.update(wire.reach(ROUTE.next_hop, [ROUTE.nlri]) * 2 + ROUTE.attributes),
    "attributes-longer-than-the-message": wire.message(wire.UPDATE, b"\0\0\xff\xff" + ROUTE.attributes),
    "header-of-a-bad-length": b"\xff" * 16 + b"\0\x05\x02",
    "header-of-a-bad-marker": b"\0" * 16 + b"\0\x17\x02\0\0\0\0",
}
"""What RFC 7606 (sections 3, 5.3, 7.11) and RFC 4271 6.1 answer with a NOTIFICATION."""


@dataclass
class Session:
    speaker: Speaker
    recorder: Recorder
    exabgp: Process

    def table(self) -> tuple[Rib, list[str]]:
        """Return the RIB that the lines so far make, and the bad NLRIs among them."""
        rib, bad = Rib(Holds(), 0.0), []
        for message in LineReader().read(line.encode() for line in self.recorder.text()):
            assert isinstance(message, Received)
            rib.receive(message, 0.0)
            bad += message.bad_nlris
        return rib, bad

    def macs(self) -> set[str]:
        rib, _ = self.table()
        found = (rib.find(peer, key) for peer in rib.peers for part in range(SHARDS) for key in rib.keys(peer, part))
        return {str(held[0].mac) for held in found if held is not None and isinstance(held[0], MacIp)}

    def wait_macs(self, *macs: str) -> None:
        wait_until(lambda: self.macs() == set(macs), 15, f"{macs}")


@pytest.fixture(scope="module", params=[EXABGP, EXABGP_4_2], ids=["5.0", "4.2"])
def executable(request) -> Path:
    return request.param


@pytest.fixture
def session(network: Topology, executable: Path) -> Iterator[Session]:
    recorder = Recorder(network.leaf)
    with Speaker(network.remote, PEER) as speaker:
        config = exabgp_config(address(LEAF), [PEER], recorder.run)
        exabgp = ExaBgp(network.leaf, config, executable=executable, announces=True).start()
        speaker.wait_established()
        yield Session(speaker, recorder, exabgp)


def test_what_rfc_7606_does_not_answer_with_a_reset_keeps_the_session(session):
    """One session for all cases: each begins with the route and ends with a marker that comes after it."""
    found = {}
    for number, (name, (message, _)) in enumerate(KEPT.items(), 2):
        marker = INSTANCE.mac(f"02:00:00:00:01:{number:02x}")
        session.speaker.announce(ROUTE)
        before = len(session.table()[1])
        session.speaker.send(message)
        session.speaker.announce(marker)
        wait_until(lambda marker=marker: marker.key in keys(session), 15, f"the marker after {name}")
        _, bad = session.table()
        there = ROUTE.key in keys(session)
        found[name] = BAD_NLRI if bad[before:] and there else STAYS if there else GOES

    assert found == {name: outcome for name, (_, outcome) in KEPT.items()}
    assert len(session.speaker.sessions) == 1


@pytest.mark.parametrize("name", sorted(malformed.updates(ROUTE).keys() & malformed.WITHOUT_ROUTES))
def test_of_the_labs_malformed_updates_only_these_end_the_session(session, name):
    session.speaker.announce(ROUTE)
    session.wait_macs("02:00:00:00:00:01")

    session.speaker.send(malformed.updates(ROUTE)[name])

    first = session.speaker.sessions[0]
    wait_until(lambda: first.notification_heard, 15, "a notification")
    octets = malformed.updates(ROUTE)[name][HEADER:]
    line = f"unreadable UPDATE from {PEER}, the session ends: 0x{octets.hex()}"
    if len(octets) >= SMALLEST:  # a shorter one is an error of the header (RFC 4271 6.1)
        wait_until(lambda: line in session.exabgp.log(), 5, "the message in ExaBGP's log")


def test_all_other_malformed_updates_of_the_lab_keep_the_session(session):
    kept = {name: message for name, message in malformed.updates(ROUTE).items() if name not in malformed.WITHOUT_ROUTES}
    marker = INSTANCE.mac("02:00:00:00:01:01")

    session.speaker.send(*kept.values())
    session.speaker.announce(marker)

    wait_until(lambda: marker.key in keys(session), 30, "the marker after all of them")
    assert [one.ended_by for one in session.speaker.sessions] == [""]
    assert len(kept) > 60


def keys(session: Session) -> set[bytes]:
    rib, _ = session.table()
    return {key for peer in rib.peers for part in range(SHARDS) for key in rib.keys(peer, part)}


@pytest.mark.parametrize("name", RESET)
def test_what_hides_its_routes_ends_the_session_with_a_notification(session, name):
    session.speaker.announce(ROUTE)
    session.wait_macs("02:00:00:00:00:01")
    session.speaker.forget()

    session.speaker.send(RESET[name])

    first = session.speaker.sessions[0]
    wait_until(lambda: first.ended_by, 15, "the end of the session")
    assert first.notification_heard is not None
    assert first.notification_heard[0] in (1, 3)
    session.wait_macs()
