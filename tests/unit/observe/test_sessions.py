"""Why a session ended, in words, from what ExaBGP printed."""

import json

import pytest

from tests.lab.memory import MemoryLeaf
from vtep.addr import Ip
from vtep.evpn.event import Offer, PeerOpened, SessionClosed
from vtep.feed.exabgp.json import decode
from vtep.observe.sessions import why_it_ended

A = Ip.parse("10.0.0.1")


def line(**neighbor):
    about = {"address": {"local": "10.0.0.99", "peer": "10.0.0.1"}, "asn": {"local": 65000, "peer": 65000}}
    kind = "open" if "open" in neighbor else "state"
    return json.dumps({"exabgp": "5.0.0", "type": kind, "neighbor": about | neighbor}).encode()


def opened(direction="receive", **said):
    [event] = decode(line(direction=direction, open={"capabilities": {}} | said)).events
    return event


def closed(reason):
    [event] = decode(line(state="down", reason=reason)).events
    return event


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("notification sent (2,2)", "bad peer AS: they are 65001, we expect 65000"),
        (
            "peer reset, message (notification sent (2,2)) error(OPEN message error / Bad Peer AS / ...)",
            "bad peer AS: they are 65001, we expect 65000",
        ),
        ("notification sent (2,6)", "unacceptable hold time: they offer 9 s"),
        (
            "notification sent (4,0)",
            "this side ended it: Hold Timer Expired (4/0): nothing came from the peer for the hold time of at most 9 s; look at the underlay",
        ),
        (
            "notification received (6,2)",
            "the peer ended it: Administrative Shutdown (6/2): someone shut the session down there",
        ),
        ("notification received (6,4)", "the peer ended it: Administrative Reset (6/4)"),
        ("notification received (2,2)", "the peer ended it: Bad Peer AS (2/2)"),
        ("notification received (9,9)", "the peer ended it: error 9/9 (9/9)"),
        ("closing connection", "the TCP connection was lost"),
        ("stop, message [shutting down]", "ExaBGP shut down"),
        ("something else", ""),
    ],
)
def test_a_reason_is_told_in_words(reason, words):
    assert why_it_ended(closed(reason), opened(asn=65001, hold_time=9, router_id="10.0.0.1")) == words


def test_without_an_open_the_words_say_less():
    assert why_it_ended(closed("notification sent (2,2)"), None) == "this side ended it: Bad Peer AS (2/2)"
    assert why_it_ended(None, None) == ""


def test_an_as_of_four_octets_is_the_one_of_its_capability():
    told = opened(
        asn=23456, capabilities={"65": {"asn4": 4200000000}, "1": {"families": ["l2vpn/evpn", "ipv4/unicast"]}}
    )

    assert told.offer == Offer(4200000000, 65000, "", 0, ("l2vpn/evpn", "ipv4/unicast"))


@pytest.mark.parametrize("odd", [None, "x", -1, [1], {"asn4": "x"}, 1 << 40])
def test_an_odd_value_in_an_open_costs_nothing_but_itself(odd):
    capabilities = {"65": odd, "1": odd, "2": {}}
    told = opened(asn=odd, hold_time=odd, router_id=odd, capabilities=capabilities)

    assert isinstance(told, PeerOpened)
    assert (told.offer.asn, told.offer.hold_time_s, told.refresh) == (0, 0, True)


def test_a_peer_with_the_wrong_as_says_so_in_the_status():
    with MemoryLeaf() as rig:
        rig.step()
        rig.receive(line(direction="receive", open={"asn": 65001, "router_id": "10.0.0.1", "capabilities": {}}))
        rig.receive(line(state="down", reason="notification sent (2,2)"))

        [peer] = rig.observer.status().feed.peers
        assert (peer.error, peer.router_id, peer.messages) == (
            "bad peer AS: they are 65001, we expect 65000", "10.0.0.1", 2,
        )  # fmt: skip
        assert any(isinstance(one, SessionClosed) for one in [rig.leaf.rib.peers[A].closed])
