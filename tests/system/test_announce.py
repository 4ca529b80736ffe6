"""`vtep exabgp` announces: real ExaBGP of both lines of releases, heard octet by octet, and believed by FRR and GoBGP."""

import random
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import wire
from tests.lab.fixtures import lab, network, skipped_if_missing
from tests.lab.namespaces import Process
from tests.lab.peers import (
    EXABGP,
    EXABGP_4_2,
    ExaBgp,
    Frr,
    GoBgp,
    Recorder,
    exabgp_config,
    frr_config,
    gobgp_config,
)
from tests.lab.speaker import Received, Session, Speaker
from tests.lab.topology import LEAF, VNI, Topology, address, address6
from tests.lab.wait import wait_until
from tests.lab.wire import Instance
from vtep.addr import Esi, Ip, Mac, Prefix, RouteDistinguisher, Vni
from vtep.evpn.advertise import (
    DEFAULT_GATEWAY,
    VXLAN,
    Command,
    Community,
    EadAdvertisement,
    EadRoute,
    MacAdvertisement,
    MacRoute,
    Multicast,
    MulticastRoute,
    Pmsi,
    PrefixAdvertisement,
    PrefixRoute,
    SegmentAdvertisement,
    SegmentRoute,
    Withdrawal,
    election,
    es_import,
    esi_label,
    group_of,
    grouped,
    mobility,
    target,
)
from vtep.feed.exabgp.grammar import QUESTION, spell, spell_group

__all__ = ["lab", "network"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow]

VTEP = Ip.parse(address(LEAF))
RD = RouteDistinguisher.parse("10.0.0.99:100")
MAC = Mac.parse("02:00:00:00:00:99")
HOST = Ip.parse("172.16.0.99")
SEGMENT = Esi.parse("03:02:00:00:00:00:42:00:00:01")
COMMUNITIES = (target("65000:100"), VXLAN)
MAC_ROUTE = MacRoute(RD, MAC)
PLAIN = MacAdvertisement(MAC_ROUTE, VTEP, Vni(VNI), communities=COMMUNITIES)
FLOODS = Multicast(MulticastRoute(RD, VTEP), VTEP, Pmsi(Vni(VNI), VTEP), COMMUNITIES)

SEGMENT_ROUTES = (
    EadAdvertisement(EadRoute(RD, SEGMENT, 0xFFFFFFFF), VTEP, None, (*COMMUNITIES, esi_label())),
    EadAdvertisement(EadRoute(RD, SEGMENT), VTEP, Vni(VNI), COMMUNITIES),
    SegmentAdvertisement(SegmentRoute(RD, SEGMENT, VTEP), VTEP, (es_import(SEGMENT), election(2, 0, 100))),
)
PREFIX = PrefixAdvertisement(PrefixRoute(RD, Prefix.parse("192.0.2.0/24")), VTEP, Vni(50000), COMMUNITIES)


class Announcing:
    """An ExaBGP that `vtep exabgp` started on the leaf, and what it is told to announce."""

    def __init__(
        self, network: Topology, executable: Path, *neighbors: str, config: str = "", announces: bool = True
    ) -> None:
        self.recorder = Recorder(network.leaf)
        config = config or exabgp_config(address(LEAF), neighbors, self.recorder.run)
        self.exabgp = ExaBgp(network.leaf, config, executable=executable, announces=announces)

    def start(self) -> Process:
        return self.exabgp.start()

    def answers(self) -> list[str]:
        return [line for line in self.recorder.text() if not line.startswith("{")]

    def tell(self, *lines: Command | str) -> list[str]:
        """Give commands, and return ExaBGP's answers to them once all are there."""
        before = len(self.answers())
        texts = [line if isinstance(line, str) else spell(line) for line in lines]
        self.recorder.command("\n".join(texts))
        wait_until(lambda: len(self.answers()) == before + len(texts), 30, f"{len(texts)} answers")
        return self.answers()[before:]


@pytest.fixture(params=[EXABGP, EXABGP_4_2], ids=["5.0", "4.2"])
def executable(request) -> Path:
    return request.param


@pytest.fixture
def leaf(network: Topology, executable: Path) -> Announcing:
    return Announcing(network, executable, address(1))


def heard_of(speaker: Speaker, session: Session, command: Command) -> Received | None:
    return speaker.heard(session).get(command.route.key)


def wait_heard(speaker: Speaker, session: Session, command: Command) -> Received:
    """Return the route of an announcement, when it is there with its octets."""

    def look() -> Received | None:
        found = heard_of(speaker, session, command)
        return found if found and found.nlri == command.nlri else None

    return wait_until(look, 10, f"the route of {spell(command)}")


EVERYTHING = MacAdvertisement(
    MacRoute(RD, MAC, Ip.parse("2001:db8::99"), 7),
    Ip.parse(address6(LEAF)),
    Vni(16777215),
    Vni(50000),
    SEGMENT,
    (*COMMUNITIES, mobility(7, sticky=True), DEFAULT_GATEWAY, Community(wire.router_mac(MAC))),
)


@pytest.mark.parametrize(
    ("command", "next_hop", "communities"),
    [
        (PLAIN, VTEP, COMMUNITIES),
        (MacAdvertisement(MacRoute(RD, MAC, HOST), VTEP, Vni(VNI)), VTEP, ()),
        (EVERYTHING, Ip.parse(address6(LEAF)), EVERYTHING.communities),
    ],
    ids=["a MAC", "a host without a community", "everything, and an IPv6 next hop"],
)
def test_a_mac_is_announced_octet_by_octet_and_withdrawn(network, leaf, command, next_hop, communities):
    with Speaker(network.remote, address(1)) as speaker:
        leaf.start()
        session = speaker.wait_established()

        announced = leaf.tell(command)
        heard = wait_heard(speaker, session, command)
        withdrawn = leaf.tell(Withdrawal(command.route))
        wait_until(lambda: not speaker.heard(session), what="the withdrawal")

        assert (announced, withdrawn) == (["done"], ["done"])
        assert heard.next_hop == next_hop
        # ExaBGP 5.0 sorts communities.
        assert sorted(re.findall(rb"(?s).{8}", heard.attributes.pop(16, b""))) == sorted(communities)
        assert heard.attributes == {1: b"\0", 2: b"", 5: bytes.fromhex("00000064")}
        assert session.established


def test_a_segment_is_announced_octet_by_octet_and_withdrawn(network, leaf):
    with Speaker(network.remote, address(1)) as speaker:
        leaf.start()
        session = speaker.wait_established()

        assert set(leaf.tell(*SEGMENT_ROUTES)) == {"done"}
        for command in SEGMENT_ROUTES:
            heard = wait_heard(speaker, session, command)
            assert sorted(re.findall(rb"(?s).{8}", heard.attributes[16])) == sorted(command.communities)
        assert set(leaf.tell(*(Withdrawal(command.route) for command in SEGMENT_ROUTES))) == {"done"}
        wait_until(lambda: not speaker.heard(session), what="the withdrawals")
        assert session.established


def test_floods_are_wanted_with_the_raw_label_in_the_tunnel_attribute_and_withdrawn(network, leaf):
    with Speaker(network.remote, address(1)) as speaker:
        leaf.start()
        session = speaker.wait_established()

        leaf.tell(FLOODS)
        heard = wait_heard(speaker, session, FLOODS)
        leaf.tell(Withdrawal(FLOODS.route))
        wait_until(lambda: not speaker.heard(session), what="the withdrawal")

        assert heard.next_hop == VTEP
        assert heard.attributes[22] == bytes.fromhex("0006000064") + VTEP
        assert heard.attributes[16] == b"".join(COMMUNITIES)


def test_a_route_with_another_label_takes_the_place_of_the_first(network, leaf):
    other = MacAdvertisement(MAC_ROUTE, VTEP, Vni(200), communities=COMMUNITIES)
    with Speaker(network.remote, address(1)) as speaker:
        leaf.start()
        session = speaker.wait_established()
        leaf.tell(PLAIN)
        wait_heard(speaker, session, PLAIN)

        leaf.tell(other)
        wait_heard(speaker, session, other)
        leaf.tell("announce route-refresh l2vpn evpn")  # unrelated, and answered behind what is under way
        speaker.drop()
        again = wait_until(lambda: [s for s in speaker.established() if s is not session], 15, "a new session")[0]

        assert wait_heard(speaker, again, other)
        assert wait_until(lambda: again.end_of_rib_heard, what="the End-of-RIB")
        assert again.updates_heard == 2  # the route, once, and the End-of-RIB


def test_the_last_of_many_commands_about_a_route_is_what_counts(network, leaf):
    """ExaBGP sends by attributes and not in order: a withdraw among equal announcements must not come last."""
    other = MacAdvertisement(MacRoute(RD, Mac.parse("02:00:00:00:00:98")), VTEP, Vni(VNI), communities=COMMUNITIES)
    moved = MacAdvertisement(MAC_ROUTE, VTEP, Vni(VNI), communities=(*COMMUNITIES, mobility(1)))
    gone = Withdrawal(MAC_ROUTE)
    with Speaker(network.remote, address(1)) as speaker:
        leaf.start()
        session = speaker.wait_established()

        answers = leaf.tell(PLAIN, gone, PLAIN, moved, PLAIN, gone, other, gone, PLAIN, moved, Withdrawal(other.route))
        wait_until(lambda: wire.mobility(1) in wait_heard(speaker, session, moved).attributes[16], what="the last")
        wait_until(lambda: not heard_of(speaker, session, other), what="the withdrawal")
        leaf.tell(other)  # what comes behind all of them
        wait_heard(speaker, session, other)

        assert answers == ["done"] * 11
        assert wire.mobility(1) in heard_of(speaker, session, moved).attributes[16]


def test_what_is_withdrawn_while_no_session_is_up_is_not_announced_by_the_next(network, leaf):
    leaf.start()

    leaf.tell(PLAIN, FLOODS, Withdrawal(MAC_ROUTE))
    with Speaker(network.remote, address(1)) as speaker:
        session = speaker.wait_established(deadline_s=30)
        wait_heard(speaker, session, FLOODS)
        wait_until(lambda: session.end_of_rib_heard, what="the End-of-RIB")

        assert set(speaker.heard(session)) == {FLOODS.route.key}


def test_a_new_session_is_told_all_that_still_holds(network, leaf):
    macs = [Mac.parse(f"02:00:00:00:01:{last:02x}") for last in range(100)]
    routes = [MacAdvertisement(MacRoute(RD, mac), VTEP, Vni(VNI), communities=COMMUNITIES) for mac in macs]
    with Speaker(network.remote, address(1)) as speaker:
        leaf.start()
        first = speaker.wait_established()
        leaf.tell(*routes, FLOODS, PREFIX, Withdrawal(routes[0].route), Withdrawal(PREFIX.route))
        expected = {command.route.key for command in (*routes[1:], FLOODS)}
        wait_until(lambda: set(speaker.heard(first)) == expected, what="all routes")

        speaker.drop()
        second = wait_until(lambda: [s for s in speaker.established() if s is not first], 15, "a new session")[0]
        wait_until(lambda: second.end_of_rib_heard, what="the End-of-RIB")

        assert set(speaker.heard(second)) == expected


@pytest.mark.parametrize(
    ("executable", "markers"),
    [(EXABGP, [wire.REFRESH_BEGINS, wire.REFRESH_ENDS]), (EXABGP_4_2, [])],
    ids=["5.0", "4.2"],
)
def test_a_peer_that_asks_again_hears_the_same_again(network, executable, markers):
    """As released 4.2 would end the session of a peer that knows the markers."""
    leaf = Announcing(network, executable, address(1))
    with Speaker(network.remote, address(1)) as speaker:
        leaf.start()
        session = speaker.wait_established()
        leaf.tell(PLAIN, FLOODS)
        wait_heard(speaker, session, FLOODS)
        before = session.updates_heard

        speaker.send(wire.route_refresh(wire.REFRESH_ASKED))
        wait_until(lambda: session.updates_heard == before + 2, what="both routes again")
        wait_until(lambda: session.refreshes_heard == markers, what="the markers")

        assert set(speaker.heard(session)) == {MAC_ROUTE.key, FLOODS.route.key}
        assert speaker.established() == [session]


def history(seed: int) -> Iterator[list[Command]]:
    """Yield what is told in each turn: MACs and hosts that come with several labels and sequence numbers, and go."""
    chance = random.Random(seed)
    macs = [Mac(bytes((2, 0, 0, 0, 3, last))) for last in range(60)]
    routes = [MacRoute(RD, mac, ip) for mac in macs for ip in (None, HOST)]
    for _ in range(12):
        many = chance.sample(routes, chance.randint(1, len(routes)))
        if chance.random() < 0.3:
            yield [Withdrawal(route) for route in many]
            continue
        label, seqs = Vni(chance.choice([VNI, 200])), chance.choice([(1,), (1, 2)])
        yield [
            MacAdvertisement(route, VTEP, label, communities=(*COMMUNITIES, mobility(chance.choice(seqs))))
            for route in many
        ]


@pytest.mark.parametrize("seed", [1, 2])
def test_commands_for_many_macs_give_the_routes_that_commands_for_each_would(lab, executable, seed):
    """To two peers; to a session that begins later; and to a peer that asks again."""
    network = Topology(lab, remotes=2)
    leaf = Announcing(network, executable, address(1), address(2))
    expected: dict[bytes, Command] = {}
    with Speaker(network.remotes[0], address(1)) as one, Speaker(network.remotes[1], address(2)) as other:
        leaf.start()
        sessions = [(speaker, speaker.wait_established(deadline_s=30)) for speaker in (one, other)]

        for turn in [*history(seed), [FLOODS]]:
            groups = grouped(turn, 100)
            leaf.tell(*(spell(group[0]) if group[1:] == () else spell_group(group_of(group)) for group in groups))
            for command in turn:
                expected.pop(command.route.key, None)
                if not isinstance(command, Withdrawal):
                    expected[command.route.key] = command

        for speaker, session in sessions:
            wait_heard(speaker, session, FLOODS)
            assert_heard(speaker, session, expected)
        one.drop()
        again = wait_until(lambda: [s for s in one.established() if s is not sessions[0][1]], 30, "a new session")[0]
        wait_until(lambda: again.end_of_rib_heard, what="the End-of-RIB")
        assert_heard(one, again, expected)
        assert again.updates_heard < len(expected) / 4, "routes with equal attributes share an UPDATE"
        before = sessions[1][1].updates_heard
        other.send(wire.route_refresh(wire.REFRESH_ASKED))
        wait_until(lambda: sessions[1][1].updates_heard > before, what="the routes again")
        leaf.tell(Withdrawal(FLOODS.route))
        wait_until(lambda: not heard_of(other, sessions[1][1], FLOODS), what="what comes behind the routes")
        assert_heard(other, sessions[1][1], {key: one for key, one in expected.items() if one != FLOODS})
        assert [speaker.established() for speaker, _ in sessions] == [[again], [sessions[1][1]]]


def assert_heard(speaker: Speaker, session: Session, expected: dict[bytes, Command]) -> None:
    heard = speaker.heard(session)
    assert {key: route.nlri for key, route in heard.items()} == {key: one.nlri for key, one in expected.items()}
    for key, one in expected.items():
        assert heard[key].next_hop == VTEP
        assert sorted(re.findall(rb"(?s).{8}", heard[key].attributes[16])) == sorted(one.communities)


def test_a_command_for_many_macs_is_refused_as_a_whole_with_what_is_wrong_with_each(network, leaf):
    macs = [Mac(bytes((2, 0, 0, 0, 3, last))) for last in range(3)]
    routes = [MacAdvertisement(MacRoute(RD, mac), VTEP, Vni(VNI), communities=COMMUNITIES) for mac in macs]
    line = spell_group(group_of(routes))
    with Speaker(network.remote, address(1)) as speaker:
        leaf.start()
        session = speaker.wait_established()

        answers = leaf.tell(line.replace(str(macs[0]), "what").replace(str(macs[2]), "01:00:5e:00:00:01"), PLAIN)
        wait_heard(speaker, session, PLAIN)

        assert answers == ["error", "done"]
        assert set(speaker.heard(session)) == {PLAIN.route.key}
        assert "macs: 'what' is not a valid MAC address" in "\n".join(leaf.recorder.text())
        assert "macs: 01:00:5e:00:00:01 is not a MAC that a station can have" in "\n".join(leaf.recorder.text())


def test_a_bad_command_is_an_error_that_says_why_and_harms_nothing(network, leaf):
    bad = (
        "announce evpn",
        "announce evpn json",
        f"{spell(PLAIN)} json",
        spell(PLAIN).replace("label 100", "label 16777216"),
        spell(PLAIN).replace("[", ""),
        spell(FLOODS).replace(address(LEAF), "nowhere"),
        f"neighbor 10.9.9.9 {spell(PLAIN)}",
        f"neighbor {address(1)}",
    )
    with Speaker(network.remote, address(1)) as speaker:
        process = leaf.start()
        session = speaker.wait_established()

        answers = leaf.tell(*bad, QUESTION, PLAIN)
        wait_heard(speaker, session, PLAIN)

        assert answers == ["error"] * len(bad) + ["done", "done"]
        assert set(speaker.heard(session)) == {MAC_ROUTE.key}
        assert process.alive
        assert session.established
        reasons = re.findall(r'"answer": "refused", "message": "([^"]*)', "\n".join(leaf.recorder.text()))
        assert len(reasons) == len(bad) - 1  # the last is none of ours
        assert reasons[3] == "label: 16777216 is not a valid VNI (0 to 16777215)"
        assert reasons[6] == "no neighbor matches"
        assert f"command refused: {reasons[3]}" in process.log()


def test_a_command_for_one_neighbor_is_told_to_no_other(lab, executable):
    network = Topology(lab, remotes=2)
    leaf = Announcing(network, executable, address(1), address(2))
    with Speaker(network.remotes[0], address(1)) as one, Speaker(network.remotes[1], address(2)) as other:
        leaf.start()
        sessions = one.wait_established(), other.wait_established()

        leaf.tell(f"neighbor {address(1)} {spell(PLAIN)}", FLOODS)
        wait_heard(one, sessions[0], FLOODS)
        wait_heard(other, sessions[1], FLOODS)

        assert set(one.heard(sessions[0])) == {MAC_ROUTE.key, FLOODS.route.key}
        assert set(other.heard(sessions[1])) == {FLOODS.route.key}


def test_a_neighbor_without_the_family_refuses_the_command_for_all(lab, executable):
    network = Topology(lab, remotes=2)
    leaf = Announcing(network, executable, address(1))
    unicast = exabgp_config(address(LEAF), [address(2)], "true", families=("ipv4 unicast",))
    leaf.exabgp.configure(
        exabgp_config(address(LEAF), [address(1)], leaf.recorder.run)
        + unicast.partition("\n")[2].replace("feed0", "feed1")
    )
    with Speaker(network.remotes[0], address(1)) as speaker:
        leaf.start()
        session = speaker.wait_established()

        answers = leaf.tell(PLAIN, f"neighbor {address(1)} {spell(FLOODS)}")
        wait_heard(speaker, session, FLOODS)

        assert answers == ["error", "done"]
        assert set(speaker.heard(session)) == {FLOODS.route.key}
        assert "no family l2vpn evpn: neighbor 10.0.0.2" in "\n".join(leaf.recorder.text())


def test_routes_with_an_ipv6_next_hop_are_received(network, leaf):
    """Plain ExaBGP of both lines ends the session."""
    route = Instance(address6(1), rd="10.0.0.1:100").mac("02:00:00:00:00:01")
    with Speaker(network.remote, address(1)) as speaker:
        leaf.start()
        session = speaker.wait_established()

        speaker.announce(route)
        wait_until(lambda: any(route.nlri.hex().upper() in line for line in leaf.recorder.text()), what="the route")

        assert f'"{address6(1)}": [' in next(line for line in leaf.recorder.text() if route.nlri.hex().upper() in line)
        assert session.established


def test_exabgp_says_that_it_has_the_commands(leaf):
    leaf.start()

    assert leaf.tell(QUESTION) == ["done"]
    text = leaf.recorder.text()
    assert '"answer": "evpn commands 1"' in text[text.index("done") - 1]


def test_plain_exabgp_says_that_it_has_not(network, executable):
    """This is how a daemon finds out that it can only receive."""
    leaf = Announcing(network, executable, address(1), announces=False)
    leaf.start()

    assert leaf.tell(QUESTION, PLAIN) == ["error", "error"]


def test_a_process_that_wants_no_answers_gets_none(network):
    leaf = Announcing(network, EXABGP, address(1))
    with Speaker(network.remote, address(1)) as speaker:
        leaf.start()
        session = speaker.wait_established()
        leaf.tell("disable-ack")
        before = leaf.recorder.text()

        leaf.recorder.command(f"announce evpn\n{spell(PLAIN)}")
        wait_heard(speaker, session, PLAIN)
        leaf.recorder.command("enable-ack")
        wait_until(lambda: len(leaf.recorder.text()) > len(before), what="answers again")

        assert leaf.recorder.text() == [*before, "done"]


def test_exabgp_ends_as_it_does_without_us(network, leaf):
    with Speaker(network.remote, address(1)) as speaker:
        process = leaf.start()
        session = speaker.wait_established()

        process.signal(signal.SIGTERM)

        assert process.wait() == 0
        wait_until(lambda: session.ended_by, what="the end of the session")


def test_the_configuration_that_vtep_prints_announces(network, executable):
    network.leaf.write(
        "/run/vtep.toml",
        f'[node]\nvtep = "{address(LEAF)}"\n[bgp]\nasn = 65000\nrouter_id = "{address(LEAF)}"\n'
        f'[[bgp.neighbor]]\naddress = "{address(1)}"\nasn = 65000\n',
    )
    printed = network.leaf.run(sys.executable, "-m", "vtep", "exabgp-config", "--config", "/run/vtep.toml")
    recorder = Recorder(network.leaf)
    config = re.sub(r"run .*;", f"run {recorder.run};", printed)
    leaf = Announcing(network, executable, config=config)
    with Speaker(network.remote, address(1)) as speaker:
        leaf.start()
        session = speaker.wait_established()

        assert leaf.tell(PLAIN) == ["done"]
        assert wait_heard(speaker, session, PLAIN)


# The receive side while we announce

MANY = 10_000


def test_ten_thousand_announcements_do_not_starve_what_is_received(network, leaf):
    """Both ways at once: neither waits for the other's end."""
    macs = [Mac(bytes((2, 0, 0, 1)) + number.to_bytes(2)) for number in range(MANY)]
    lines = [
        spell(MacAdvertisement(MacRoute(RD, mac), VTEP, Vni(VNI), communities=(*COMMUNITIES, mobility(1))))
        for mac in macs
    ]
    remote = Instance(address(1))
    theirs = [remote.mac(f"02:00:00:02:{number >> 8:02x}:{number & 255:02x}") for number in range(MANY)]
    with Speaker(network.remote, address(1), routes_per_update=1) as speaker:
        leaf.start()
        session = speaker.wait_established()
        wait_until(lambda: session.end_of_rib_heard, what="the End-of-RIB")

        speaker.announce(*theirs)
        leaf.recorder.command("\n".join(lines))
        wait_until(lambda: len(leaf.answers()) == MANY, 100, "all answers")
        wait_until(lambda: len(speaker.heard(session)) == MANY, 100, "all announcements")
        wait_until(lambda: sum('"raw"' in line for line in leaf.recorder.text()) == MANY, 100, "all routes")

        assert set(leaf.answers()) == {"done"}
        came = [line == "done" for line in leaf.recorder.text() if '"raw"' in line or line == "done"]
        half = [at for at, done in enumerate(came) if done][MANY // 2]
        share = (half - MANY // 2) / MANY
        print(f"{share:.0%} of the routes were received when half of the announcements were done")
        assert share > 0.1
        assert session.established


# FRR and GoBGP


def test_frr_and_gobgp_list_what_is_announced_until_it_is_withdrawn(lab, executable):
    network = Topology(lab, remotes=2)
    with skipped_if_missing():
        frr = Frr(network.remotes[0], frr_config(address(1), [address(LEAF)]))
        gobgp = GoBgp(network.remotes[1], gobgp_config(address(2), [address(LEAF)]))
        frr.start()
        gobgp.start()
    leaf = Announcing(network, executable, address(1), address(2))
    leaf.start()
    sticky = MacAdvertisement(MAC_ROUTE, VTEP, Vni(VNI), communities=(*COMMUNITIES, mobility(3, sticky=True)))
    gateway = MacAdvertisement(
        MacRoute(RD, Mac.parse("02:00:00:00:00:01"), HOST), VTEP, Vni(VNI), communities=(*COMMUNITIES, DEFAULT_GATEWAY)
    )
    wait_until(lambda: frr.session(address(LEAF))["bgpState"] == "Established", 20, "the session with FRR")
    wait_until(lambda: "Establ" in gobgp.command("neighbor"), 20, "the session with GoBGP")

    leaf.tell(sticky, gateway, FLOODS)
    wait_until(lambda: len(rib(gobgp)) == 3, 15, "three routes in GoBGP")
    wait_until(lambda: "[3]:[0]:[32]:[10.0.0.99]" in frr.vtysh("show bgp l2vpn evpn"), 15, "the floods in FRR")

    table = frr.vtysh("show bgp l2vpn evpn")
    detail = frr.vtysh(f"show bgp l2vpn evpn route rd {RD}")
    floods = frr.vtysh(f"show bgp l2vpn evpn route rd {RD} type multicast")
    assert "*>i[2]:[0]:[48]:[02:00:00:00:00:99]" in table
    assert "*>i[2]:[0]:[48]:[02:00:00:00:00:01]:[32]:[172.16.0.99]" in table
    assert "MM:3, sticky MAC" in detail
    assert "Default Gateway" in detail
    assert "RT:65000:100" in detail
    assert "ET:8" in detail
    assert "VNI 100" in detail
    assert "PMSI Tunnel Type: Ingress Replication, label: 100" in floods
    wait_until(lambda: address(LEAF) in frr.vteps(VNI), 15, "a VTEP to flood to")

    listed = "\n".join(rib(gobgp))
    assert f"[type:macadv][rd:{RD}][etag:0][mac:{MAC}][ip:<nil>]" in listed
    assert f"[type:macadv][rd:{RD}][etag:0][mac:02:00:00:00:00:01][ip:{HOST}]" in listed
    assert f"[type:multicast][rd:{RD}][etag:0][ip:{VTEP}]" in listed
    assert "mac-mobility: 3, sticky" in listed
    assert "VXLAN" in listed

    leaf.tell(*(Withdrawal(command.route) for command in (sticky, gateway, FLOODS)))
    wait_until(lambda: not rib(gobgp), 15, "nothing in GoBGP")
    wait_until(lambda: "[10.0.0.99]" not in frr.vtysh("show bgp l2vpn evpn"), 15, "no floods in FRR")
    assert "02:00:00:00:00:99" not in frr.vtysh("show bgp l2vpn evpn")


def rib(gobgp: GoBgp) -> list[str]:
    return [line for line in gobgp.command("global", "rib", "-a", "evpn").splitlines() if "[type:" in line]


def config_of(leaf, *numbers):
    return exabgp_config(address(LEAF), [address(number) for number in numbers], leaf.recorder.run)


def test_a_neighbor_that_a_reload_adds_receives_everything_at_once(lab, executable):
    network = Topology(lab, remotes=2)
    leaf = Announcing(network, executable, address(1))
    with Speaker(network.remotes[0], address(1)) as one, Speaker(network.remotes[1], address(2)) as added:
        process = leaf.start()
        session = one.wait_established()
        assert leaf.tell(PLAIN, FLOODS, EVERYTHING, Withdrawal(EVERYTHING.route)) == ["done"] * 4
        wait_heard(one, session, FLOODS)

        leaf.exabgp.configure(config_of(leaf, 1, 2))
        process.signal(signal.SIGUSR1)
        other = added.wait_established(deadline_s=30)
        wait_heard(added, other, PLAIN)
        wait_heard(added, other, FLOODS)
        assert set(added.heard(other)) == {PLAIN.route.key, FLOODS.route.key}

        leaf.tell(Withdrawal(PLAIN.route), EVERYTHING)
        for speaker, at in ((one, session), (added, other)):
            wait_heard(speaker, at, EVERYTHING)
            assert set(speaker.heard(at)) == {FLOODS.route.key, EVERYTHING.route.key}


def test_a_neighbor_that_is_removed_and_added_again_receives_what_holds_then(lab, executable):
    network = Topology(lab, remotes=2)
    leaf = Announcing(network, executable, address(1), address(2))
    with Speaker(network.remotes[0], address(1)) as one, Speaker(network.remotes[1], address(2)) as added:
        process = leaf.start()
        stays = one.wait_established()
        first = added.wait_established()
        leaf.tell(PLAIN, FLOODS)
        wait_heard(added, first, FLOODS)

        leaf.exabgp.configure(config_of(leaf, 1))
        process.signal(signal.SIGUSR1)
        wait_until(lambda: first.ended_by, 30, "the end of the session")
        leaf.tell(Withdrawal(PLAIN.route), EVERYTHING)
        wait_heard(one, stays, EVERYTHING)  # 5.0 loses a signal to reload while a route waits to be sent
        leaf.exabgp.configure(config_of(leaf, 1, 2))
        process.signal(signal.SIGUSR1)
        again = added.wait_established(deadline_s=30)
        wait_heard(added, again, EVERYTHING)
        wait_heard(added, again, FLOODS)

        assert set(added.heard(again)) == {FLOODS.route.key, EVERYTHING.route.key}


def test_a_new_neighbor_receives_no_route_that_was_for_another_one(lab, executable):
    network = Topology(lab, remotes=2)
    leaf = Announcing(network, executable, address(1))
    with Speaker(network.remotes[0], address(1)) as one, Speaker(network.remotes[1], address(2)) as added:
        process = leaf.start()
        one.wait_established()
        assert leaf.tell(f"neighbor {address(1)} {spell(PLAIN)}", FLOODS) == ["done"] * 2

        leaf.exabgp.configure(config_of(leaf, 1, 2))
        process.signal(signal.SIGUSR1)
        other = added.wait_established(deadline_s=30)
        wait_heard(added, other, FLOODS)

        assert set(added.heard(other)) == {FLOODS.route.key}
