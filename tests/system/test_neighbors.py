"""What `vtep exabgp-config` writes of a neighbor, with real ExaBGP of both lines of releases and real peers."""

import pytest

from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.namespaces import link
from tests.lab.peers import EXABGP, EXABGP_4_2, ExaBgp, Frr, GoBgp, frr_config, gobgp_config
from tests.lab.wait import wait_until
from vtep.addr import Ip
from vtep.app.templates import FirstLeaf, FirstVni, configuration, other_side
from vtep.config.file import parse
from vtep.feed.exabgp.config import render

__all__ = ["lab"]

pytestmark = pytest.mark.root_netns

BOTH = pytest.mark.parametrize("exabgp", [EXABGP, EXABGP_4_2], ids=["exabgp-5.0", "exabgp-4.2"])
PASSWORD = "secret;{}#1"
"""Of characters that mean something in a configuration."""
HEX = "deadbeef"
"""ExaBGP would take it for base64."""


def config(password, more):
    return f"""
[node]
vtep = "10.0.0.99"
[bgp]
asn = 65000
router_id = "10.0.0.99"
[[bgp.neighbor]]
address = "10.0.0.1"
asn = 65000
password_file = "{password}"
description = "spine 1, rack {{7}}"
{more}
"""


@pytest.fixture
def pair(lab):
    with skipped_if_missing():
        leaf, peer = lab.node("leaf"), lab.node("peer")
    link(leaf, "uplink", peer, "uplink")
    leaf.ip("addr add 10.0.0.99/24 dev uplink")
    peer.ip("addr add 10.0.0.1/24 dev uplink")
    return leaf, peer


def started(leaf, exabgp, password, more):
    return ExaBgp(leaf, render(parse(config(password, more))), executable=exabgp, announces=True).start()


@BOTH
def test_a_leaf_that_listens_is_found_by_gobgp_with_a_password(pair, exabgp, tmp_path):
    leaf, peer = pair
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    theirs = gobgp_config("10.0.0.1", ["10.0.0.99"]).replace("passive-mode = true", "passive-mode = false")
    theirs = theirs.replace("peer-as = 65000", f'peer-as = 65000\n  auth-password = "{PASSWORD}"')
    with skipped_if_missing():
        gobgp = GoBgp(peer, theirs)
    more = 'passive = true\nhold_time = 30\nttl = 64\nsource = "10.0.0.99"\nroute_reflector = true'
    process = started(leaf, exabgp, password, more)
    # GoBGP tries once, and again only after two minutes.
    wait_until(lambda: "10.0.0.99:179" in leaf.run("ss", "-Hltn"), 20, "the listening ExaBGP")

    gobgp.start()

    def is_established():
        assert process.alive, process.log()
        (session,) = gobgp.json("neighbor")
        return session["state"].get("session_state") == 6

    wait_until(is_established, 40, "the session")
    (session,) = gobgp.json("neighbor")
    assert session["timers"]["state"]["negotiated_hold_time"] == 30


@BOTH
def test_a_leaf_that_connects_has_a_session_with_frr_by_its_password(pair, exabgp, tmp_path):
    leaf, peer = pair
    password = tmp_path / "password"
    password.write_text(f"{HEX}\n")
    theirs = frr_config("10.0.0.1", ["10.0.0.99"]).replace(
        "remote-as 65000", f"remote-as 65000\nneighbor 10.0.0.99 password {HEX}\nneighbor 10.0.0.99 passive"
    )
    with skipped_if_missing():
        frr = Frr(peer, theirs)
    frr.start()

    started(leaf, exabgp, password, "hold_time = 9\nttl = 2")

    wait_until(lambda: frr.session("10.0.0.99")["bgpState"] == "Established", 40, "the session")
    assert frr.session("10.0.0.99")["bgpTimerHoldTimeMsecs"] == 9000


def test_the_gobgp_that_init_writes_is_a_reflector_for_the_leaf(pair):
    leaf, peer = pair
    first = FirstLeaf(
        Ip.parse("10.0.0.99"), 65000, (Ip.parse("10.0.0.1"),), "gobgp", (FirstVni(100),), Ip.parse("10.0.0.99"), 1500
    )
    with skipped_if_missing():
        gobgp = GoBgp(peer, other_side(first, Ip.parse("10.0.0.1"))["gobgpd.toml"])
    gobgp.start()

    ExaBgp(leaf, render(parse(configuration(first))), announces=True).start()

    wait_until(lambda: gobgp.json("neighbor")[0]["state"].get("session_state") == 6, 40, "the session")
