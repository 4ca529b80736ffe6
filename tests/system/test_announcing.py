"""The daemon announces through real ExaBGP of both lines of releases, and a speaker hears it octet by octet."""

import re
import signal
from pathlib import Path

import pytest

from tests.lab.fixtures import lab, network
from tests.lab.peers import EXABGP, EXABGP_4_2
from tests.lab.speaker import Speaker
from tests.lab.topology import BRIDGE, LEAF, VNI, VXLAN, Topology, address
from tests.lab.vtep import VNI_SECTION, Vtep, exabgp_with_relay, leaf_config
from tests.lab.wait import stays, wait_until
from vtep.addr import Ip, RouteDistinguisher
from vtep.evpn.advertise import VXLAN as ENCAPSULATION
from vtep.evpn.advertise import MulticastRoute, target

__all__ = ["lab", "network"]

pytestmark = pytest.mark.root_netns

VTEP = Ip.parse(address(LEAF))
RD = RouteDistinguisher.parse(f"{address(LEAF)}:{VNI}")
FLOODS = MulticastRoute(RD, VTEP).key
BGP = f'[bgp]\nasn = 65000\nrouter_id = "{address(LEAF)}"'
COMMUNITIES = target(f"65000:{VNI}") + ENCAPSULATION


@pytest.fixture(params=[EXABGP, EXABGP_4_2], ids=["5.0", "4.2"])
def executable(request) -> Path:
    return request.param


@pytest.fixture
def speaker(network):
    network.leaf_station.unplug()  # sooner or later it would speak, by IPv6, and be announced
    with Speaker(network.remote, address(1)) as speaker:
        yield speaker


def leaf(network: Topology, **options: str) -> Vtep:
    return Vtep(network.leaf, leaf_config(more=BGP, **options))


def exabgp_of(network, executable=EXABGP, *, announces=True):
    return exabgp_with_relay(network.leaf, [address(1)], executable=executable, announces=announces)


def told(speaker: Speaker, *keys: bytes) -> None:
    """Wait until the newest session has been told exactly these."""
    wait_until(
        lambda: set(speaker.heard(speaker.established()[-1])) == set(keys), 15, f"{len(keys)} routes and no other"
    )


def test_floods_of_a_ready_vni_are_wanted_and_no_longer_when_it_is_not(network, speaker, executable):
    vtep = leaf(network)
    vtep.start()
    exabgp_of(network, executable).start()
    told(speaker, FLOODS)
    route = speaker.heard(speaker.established()[-1])[FLOODS]

    network.leaf.ip(f"link set dev {VXLAN} nomaster")
    told(speaker)
    network.leaf.ip(f"link set dev {VXLAN} master {BRIDGE}", f"link set dev {VXLAN} type bridge_slave learning off")
    told(speaker, FLOODS)

    assert route.next_hop == VTEP
    assert route.attributes[16] == COMMUNITIES
    assert route.attributes[22] == bytes.fromhex("0006000064") + VTEP
    assert vtep.process.alive


def test_a_station_is_listed_and_explained_with_what_exabgp_confirmed(network, speaker):
    here = network.leaf_station
    vtep = leaf(network)
    vtep.start()
    exabgp_of(network).start()
    told(speaker, FLOODS)
    here.plug(network.leaf)
    here.speak()

    def confirmed():
        stations = vtep.told("macs", "--local")["stations"]
        return next((one for one in stations if one["mac"] == here.mac and one["state"] == "confirmed"), None)

    station = wait_until(confirmed, 20, "a station that ExaBGP has confirmed")
    routes = vtep.told("routes", "--advertised")["routes"]
    [explanation] = vtep.told("explain", here.mac)["explanations"]

    assert station["since"]
    assert {(route["type"], route["state"]) for route in routes} == {(2, "confirmed"), (3, "confirmed")}
    assert f"to {address(1)}; ExaBGP confirmed it" in explanation["summary"]


def test_plain_exabgp_is_told_nothing_and_that_is_said(network, speaker, executable):
    vtep = leaf(network)
    vtep.start()
    exabgp_of(network, executable, announces=False).start()
    speaker.wait_established()

    wait_until(lambda: "this ExaBGP was not started by vtep exabgp" in vtep.process.log(), 10, "the log")
    status = vtep.told("status")["announcing"]
    assert (status["state"], status["reason"]) == ("unable", "this ExaBGP was not started by vtep exabgp")
    assert "this ExaBGP was not started by vtep exabgp" in vtep.ask("status").stdout
    assert vtep.told("status")["ready"]
    assert not speaker.heard(speaker.established()[-1])


def test_a_vni_without_a_route_distinguisher_is_left_out_and_that_is_said(network, speaker):
    vtep = Vtep(network.leaf, leaf_config())
    vtep.start()
    exabgp_of(network).start()
    speaker.wait_established()

    wait_until(lambda: vtep.told("status")["ready"], 10, "readiness")

    [left_out] = vtep.told("status")["announcing"]["left_out"]
    assert left_out == "VNI 100 announces nothing without one (rd)"
    assert "vni advertises nothing" in vtep.process.log()
    assert vtep.told("status")["announcing"]["state"] == "idle"


def test_what_is_announced_outlives_a_killed_daemon_and_is_not_said_again(network, speaker):
    vtep = leaf(network)
    vtep.start()
    exabgp = exabgp_of(network).start()
    told(speaker, FLOODS)
    wait_until(lambda: vtep.told("status")["announcing"]["told"] == 1, 5, "ExaBGP's answer")

    vtep.process.kill()
    vtep.start()
    wait_until(lambda: vtep.told("status")["announcing"]["state"] == "able", 10, "the answer to the question")
    wait_until(lambda: vtep.told("status")["ready"], 10, "readiness")

    assert vtep.told("status")["announcing"]["told"] == 1
    assert re.findall(r"(announce|withdraw) evpn", exabgp.log()) == ["announce"]
    assert set(speaker.heard(speaker.established()[-1])) == {FLOODS}


def test_what_nobody_wants_after_a_restart_is_withdrawn(network, speaker):
    vtep = leaf(network)
    vtep.start()
    exabgp_of(network).start()
    told(speaker, FLOODS)

    vtep.process.signal(signal.SIGKILL)
    vtep.process.wait()
    vtep.configure(leaf_config(more=BGP, vnis=f"{VNI_SECTION}announce = false\n"))
    vtep.start()

    told(speaker)


def test_a_reload_changes_what_is_announced(network, speaker):
    vtep = leaf(network)
    vtep.start()
    exabgp_of(network).start()
    told(speaker, FLOODS)

    vtep.configure(leaf_config(more=BGP, vnis=f'{VNI_SECTION}rd = "65000:7"\nexport_rt = ["65000:8"]\n'))
    vtep.process.signal(signal.SIGHUP)

    other = MulticastRoute(RouteDistinguisher.parse("65000:7"), VTEP).key
    told(speaker, other)
    heard = speaker.heard(speaker.established()[-1])[other]
    assert heard.attributes[16] == target("65000:8") + ENCAPSULATION


def test_an_exabgp_that_is_started_anew_is_told_everything_anew(network, speaker):
    vtep = leaf(network)
    vtep.start()
    exabgp = exabgp_of(network)
    exabgp.start()
    told(speaker, FLOODS)
    first = speaker.established()[-1]

    exabgp.process.kill()
    wait_until(lambda: not first.established, 10, "the end of the session")
    exabgp.start()

    wait_until(speaker.established, 15, "a new session")
    told(speaker, FLOODS)


@pytest.mark.parametrize(("on_stop", "left"), [("keep", {FLOODS}), ("drain", set())])
def test_the_end_of_the_daemon_withdraws_only_where_it_drains(network, speaker, on_stop, left):
    vtep = leaf(network, on_stop=on_stop)
    vtep.start()
    exabgp_of(network).start()
    told(speaker, FLOODS)
    wait_until(lambda: vtep.told("status")["announcing"]["told"] == 1, 5, "ExaBGP's answer")

    assert vtep.process.stop() == 0

    told(speaker, *left)
    stays(lambda: set(speaker.heard(speaker.established()[-1])) == left, 0.3, "what is left")
