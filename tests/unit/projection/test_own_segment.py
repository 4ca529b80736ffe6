"""What our port on an Ethernet segment forwards and what is advertised, by its state and by who else is on the segment."""

import pytest
from msgspec import structs

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, RouteDistinguisher, RouteTarget, Vni
from vtep.config import file as config
from vtep.evpn.advertise import HOST_PROXY
from vtep.evpn.attributes import Attributes
from vtep.evpn.ead import PER_ES_TAG, EthernetAd
from vtep.evpn.event import Announced, EndOfRib, PeerOpened, Received, SessionOpened, Withdrawn
from vtep.evpn.keys import mac_ip_key
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.segment import Segment
from vtep.evpn.station import Station
from vtep.intent import Synced
from vtep.linux.tables.port_backup import PORT_BACKUP
from vtep.linux.tables.port_filter import PORT_FILTER, SEGMENT_MAC
from vtep.projection import own_segment
from vtep.projection.leaf import Leaf
from vtep.projection.policy import DOWN, FORWARDING, STARTING, WAITING, SegmentState

VNI, PORT = Vni(100), "es0"
ESI = Esi.parse("03:02:00:00:00:00:42:00:00:01")
SELF, PEER, OTHER, REFLECTOR = (Ip.parse(f"10.0.0.{number}") for number in (1, 2, 3, 100))
MAC = Mac.parse("02:ce:00:00:00:01")
TARGETS = (RouteTarget.parse("65000:100"),)
RD = RouteDistinguisher.parse("10.0.0.2:100")
CONFIG = f"""
node = {{ vtep = "{SELF}" }}
[[vni]]
vni = {VNI}
import_rt = ["65000:100"]
[[segment]]
esi = "{ESI}"
port = "{PORT}"
"""


def attributes(vtep=PEER, **more):
    return Attributes(vtep, TARGETS, (8,), **more)


def whole(vtep=PEER, **more):
    """Return the Type-1 route for the segment as a whole."""
    found = structs.replace(attributes(vtep), **more)
    return EthernetAd(REFLECTOR, found, RD, ESI, PER_ES_TAG, 0)


def candidate(vtep=PEER):
    return Segment(REFLECTOR, attributes(vtep), RD, ESI, vtep)


def mac(seq=0, vtep=PEER, esi=ESI, rd=RD, ip=None, **more):
    return MacIp(REFLECTOR, attributes(vtep, seq=seq, **more), rd, 0, MAC, VNI, ip, esi)


class Rig:
    def __init__(self, text=CONFIG):
        self.leaf = Leaf(config.parse(text), 0.0)
        self.leaf.set_advertising(frozenset({VNI}))
        self._numbers = {}
        self.take(PeerOpened(REFLECTOR, None, False, True, True), SessionOpened(REFLECTOR))

    def take(self, *events):
        self.leaf.receive([Received(events)], 0.0)

    def announce(self, *routes):
        self.take(Announced(REFLECTOR, {self.key(route): route for route in routes}), EndOfRib(REFLECTOR))

    def withdraw(self, *routes):
        self.take(Withdrawn(REFLECTOR, tuple(map(self.key, routes))))

    def key(self, route):
        if isinstance(route, MacIp):
            return mac_ip_key(route.rd, route.tag, route.mac, route.ip or b"")
        return self._numbers.setdefault(repr(route), b"%d" % len(self._numbers))

    def be(self, state):
        self.leaf.set_segments({ESI: SegmentState(state, PORT, ((VNI, PORT),))})
        return self.judged()

    def judged(self):
        return self.leaf.judge(0.0)

    def filter(self):
        row = self.judged().port_filters[VNI, PORT]
        return row.state, row.biased

    def learn(self, port=PORT, **more):
        self.leaf.learn_stations([Station(VNI, MAC, port, **more)])
        return self.judged().own.get((VNI, MAC, None))


@pytest.fixture
def rig():
    return Rig()


@pytest.mark.parametrize(
    ("state", "filtered", "advertised"),
    [(DOWN, "joining", False), (STARTING, "joining", False), (WAITING, "joining", True), (FORWARDING, "df", True)],
)
def test_a_port_is_filtered_from_the_first_moment_and_advertised_later(rig, state, filtered, advertised):
    rig.be(state)

    assert rig.filter() == (filtered, ())
    assert (ESI in rig.judged().own_segments) is advertised


def test_the_election_decides_and_the_others_are_biased(rig):
    rig.announce(whole(), candidate(), whole(OTHER), candidate(OTHER))
    rig.be(FORWARDING)

    assert rig.filter() == ("non-df", (PEER, OTHER))  # 100 modulo 3 is the second
    rig.withdraw(whole(OTHER), candidate(OTHER))
    assert rig.filter() == ("df", (PEER,))


def test_who_only_stands_for_election_is_not_biased(rig):
    """The port of that VTEP may be down: what its hosts send is then delivered by us."""
    rig.announce(candidate())
    rig.be(FORWARDING)

    assert rig.filter() == ("df", ())


def test_a_route_for_another_tenant_or_with_our_own_address_biases_nobody(rig):
    rig.announce(whole(targets=(RouteTarget.parse("65000:999"),)), whole(SELF))
    rig.be(FORWARDING)

    assert rig.filter() == ("df", ())


def test_a_segment_that_is_no_longer_configured_has_no_rows(rig):
    rig.be(FORWARDING)
    rig.leaf.set_segments({})

    intent = rig.judged()
    assert (len(intent.port_filters), len(intent.own_segments)) == (0, 0)
    assert intent.touched_port_filters == ((VNI, PORT),)


def test_a_mac_behind_the_port_is_advertised_with_the_segment_once_that_is(rig):
    rig.be(STARTING)
    assert rig.learn() is None
    assert rig.judged().segment_macs[MAC] == ((VNI, PORT),)

    rig.be(WAITING)
    assert rig.judged().own[VNI, MAC, None].segment == ESI

    rig.be(DOWN)
    assert len(rig.judged().own) == 0


def test_a_mac_that_another_vtep_of_the_segment_advertises_is_behind_our_port(rig):
    rig.announce(whole(), candidate(), mac())
    rig.be(FORWARDING)

    assert rig.judged().segment_macs[MAC] == ((VNI, PORT),)
    assert (VNI, MAC) not in rig.judged().macs

    rig.withdraw(mac())
    intent = rig.leaf.judge(rig.judged().held_due)
    assert MAC not in intent.segment_macs
    assert intent.touched_segment_macs == ((VNI, MAC),)


def test_the_sequence_of_the_same_segment_is_taken_over_and_not_raised(rig):
    rig.announce(whole(), candidate(), mac(seq=5))
    rig.be(FORWARDING)

    assert rig.learn().seq == 5


def test_the_sequence_of_another_place_is_raised(rig):
    rig.be(FORWARDING)
    rig.announce(mac(seq=5, vtep=OTHER, esi=Esi(bytes(10))))

    assert rig.learn().seq == 6


def test_a_port_that_another_program_filters_has_no_filter_of_ours():
    rig = Rig(CONFIG + 'filter = "none"\n')
    rig.be(FORWARDING)
    rig.learn()
    intent = rig.judged()

    assert [(row.state, row.is_written) for _, row in intent.port_filters.unordered()] == [("df", False)]
    assert PORT_FILTER.wanted_at(intent, (VNI, PORT)) is None
    assert SEGMENT_MAC.wanted_at(intent, (VNI, MAC)) is None


def test_the_rows_of_macs_come_and_go_when_another_program_is_to_filter_the_port(rig):
    rig.be(FORWARDING)
    rig.learn()
    rig.judged()
    for text in (CONFIG + 'filter = "none"\n', CONFIG):
        before = rig.leaf.intent
        rig.leaf.reconfigure(config.parse(text), 0.0)
        intent = rig.judged()
        was, now = (SEGMENT_MAC.wanted_at(one, (VNI, MAC)) is not None for one in (before, intent))
        assert (was != now, intent.touched_segment_macs) == (True, ((VNI, MAC),))


# What takes over when the port fails


def per_evi(vtep=PEER):
    return EthernetAd(REFLECTOR, attributes(vtep), RD, ESI, 0, int(VNI))


def backup(rig):
    """Return the VTEPs that the frames of the MAC go to while our port has no carrier."""
    intent = rig.judged()
    key = intent.backups.get((VNI, MAC))
    group = None if key is None else intent.groups.get(key)
    return () if group is None else group.members


def test_a_mac_of_ours_has_the_other_vteps_as_its_backup(rig):
    rig.be(FORWARDING)
    rig.learn()
    assert backup(rig) == ()

    rig.announce(whole(), per_evi())
    assert backup(rig) == (PEER,)
    assert rig.leaf.intent.touched_backups == ((VNI, MAC),)

    rig.announce(whole(OTHER), per_evi(OTHER))
    assert backup(rig) == (PEER, OTHER)
    assert rig.leaf.intent.touched_backups == ()

    rig.withdraw(whole(), whole(OTHER))
    assert backup(rig) == ()
    assert rig.leaf.intent.touched_backups == ((VNI, MAC),)
    assert len(rig.leaf.intent.groups) == 0


def test_a_mac_of_a_segment_whose_port_is_down_goes_by_a_group(rig):
    rig.announce(whole(), per_evi(), whole(OTHER), per_evi(OTHER), mac())
    rig.be(FORWARDING)
    assert backup(rig) == (PEER, OTHER)
    assert (VNI, MAC) not in rig.leaf.intent.macs

    intent = rig.be(DOWN)
    row = intent.macs[VNI, MAC]
    assert intent.groups[row.group].members == (PEER, OTHER)
    assert backup(rig) == ()

    rig.be(FORWARDING)
    assert backup(rig) == (PEER, OTHER)
    assert (VNI, MAC) not in rig.leaf.intent.macs


def test_a_mac_that_nothing_names_any_more_is_held_behind_its_port(rig):
    rig.announce(whole(), per_evi())
    rig.be(FORWARDING)
    rig.learn()
    rig.leaf.learn_stations((), [(VNI, MAC)])
    rig.be(DOWN)

    assert dict(rig.judged().segment_macs) == {MAC: ((VNI, PORT),)}
    assert (backup(rig), rig.leaf.intent.due) == ((PEER,), 10.0)
    rig.leaf.judge(9.9)
    assert backup(rig) == (PEER,)
    intent = rig.leaf.judge(10.0)
    assert (dict(intent.segment_macs), dict(intent.backups), dict(intent.held_macs)) == ({}, {}, {})
    assert (len(intent.groups), intent.due) == (0, None)


def test_without_a_time_to_hold_it_a_mac_leaves_at_once_and_nothing_is_due():
    rig = Rig(CONFIG + "mac_hold_s = 0\n")
    rig.announce(whole(), per_evi())
    rig.be(FORWARDING)
    rig.learn()
    rig.leaf.learn_stations((), [(VNI, MAC)])

    intent = rig.judged()
    assert (dict(intent.segment_macs), dict(intent.backups)) == ({}, {})
    assert (dict(intent.held_macs), intent.due) == ({}, None)


def test_a_vtep_without_the_vni_is_named_beside_the_backup(rig):
    rig.announce(whole(), per_evi(), whole(OTHER))
    rig.be(FORWARDING)
    rig.learn()

    assert backup(rig) == (PEER,)
    [(_, group)] = rig.leaf.intent.groups.unordered()
    assert [(one.vtep, one.reason) for one in group.outside] == [(OTHER, "pending-evi")]


def test_a_mac_that_is_elsewhere_is_not_held(rig):
    rig.announce(whole(), per_evi())
    rig.be(FORWARDING)
    rig.learn()
    rig.announce(mac(seq=5, vtep=OTHER, esi=NO_SEGMENT))

    assert rig.judged().macs[VNI, MAC].vtep == OTHER
    rig.leaf.learn_stations((), [(VNI, MAC)])
    assert (dict(rig.judged().segment_macs), backup(rig)) == ({}, ())


def test_a_mac_that_is_said_again_is_no_longer_held(rig):
    rig.announce(whole(), per_evi())
    rig.be(FORWARDING)
    rig.learn()
    rig.leaf.learn_stations((), [(VNI, MAC)])
    rig.judged()
    rig.learn()

    intent = rig.leaf.judge(20.0)
    assert (dict(intent.held_macs), dict(intent.segment_macs)) == ({}, {MAC: ((VNI, PORT),)})


@pytest.mark.parametrize(("vlan", "wanted"), [("", True), ("vlan = 10", False)])
def test_a_port_on_a_bridge_that_filters_vlans_wants_no_backup(vlan, wanted):
    devices = f'import_rt = ["65000:100"]\nbridge = "br0"\nvxlan = "vx0"\n{vlan}'
    rig = Rig(CONFIG.replace('import_rt = ["65000:100"]', devices))
    rig.announce(whole(), per_evi())
    rig.be(FORWARDING)
    rig.learn()
    assert backup(rig) == (PEER,)
    assert (PORT_BACKUP.wanted_at(rig.judged(), (VNI, PORT)) is not None) is wanted


# MACs that the others have seen

RD_OTHER = RouteDistinguisher.parse("10.0.0.3:100")
HOST = Ip.parse("192.0.2.7")


def synced(rig, now=0.0):
    """Return the port of the MAC's row, and how it is advertised: with its sequence, as a proxy or as a station; empty: not at all."""
    intent = rig.leaf.judge(now)
    row, own = intent.synced.get((VNI, MAC)), intent.own.get((VNI, MAC, None))
    return ("" if row is None else row.port, () if own is None else (own.seq, "proxy" if own.proxy else "station"))


def test_a_mac_that_another_vtep_has_seen_is_advertised_as_a_proxy_until_it_speaks_here(rig):
    rig.announce(whole(), per_evi(), mac(seq=5))
    rig.be(FORWARDING)
    assert synced(rig) == (PORT, (5, "proxy"))
    assert rig.leaf.intent.own[VNI, MAC, None].segment == ESI

    rig.learn()
    assert synced(rig) == (PORT, (5, "station"))
    rig.leaf.learn_stations((), [(VNI, MAC)])
    assert synced(rig) == (PORT, (5, "proxy"))


def test_the_hosts_of_such_a_mac_have_rows_and_are_advertised_as_well(rig):
    rig.announce(whole(), per_evi(), mac(), mac(ip=HOST))
    rig.be(FORWARDING)
    intent = rig.judged()
    assert [host.mac for host in intent.hosts[HOST]] == [MAC]
    assert intent.own[VNI, MAC, HOST].proxy

    rig.learn()
    assert (HOST in rig.judged().hosts, (VNI, MAC, HOST) in rig.judged().own) == (False, False)
    rig.leaf.learn_stations((), [(VNI, MAC)])
    assert rig.judged().own[VNI, MAC, HOST].proxy

    rig.withdraw(mac(ip=HOST))
    assert (VNI, MAC, HOST) not in rig.judged().own
    assert synced(rig) == (PORT, (0, "proxy"))


def test_what_is_said_of_the_hosts_of_a_mac_is_put_together_once(rig, monkeypatch):
    made = []
    monkeypatch.setattr(own_segment, "Synced", lambda *said: made.append(said) or Synced(*said))
    hosts = tuple(Ip.parse(f"10.1.1.{number}") for number in range(1, 50))
    rig.announce(whole(), per_evi(), mac(seq=4), *(mac(seq=number, ip=ip) for number, ip in enumerate(hosts)))
    rig.be(FORWARDING)
    rig.judged()
    assert rig.leaf.intent.synced[VNI, MAC] == Synced(PORT, 48, hosts=hosts)
    assert len(made) == 1


def test_a_route_of_a_proxy_says_nothing_so_two_leaves_keep_no_mac_alive_for_each_other(rig):
    rig.announce(whole(), per_evi(), mac(host_flags=HOST_PROXY))
    rig.be(FORWARDING)
    assert synced(rig) == (PORT, ())

    rig.announce(mac(vtep=OTHER, rd=RD_OTHER))
    assert synced(rig) == (PORT, (0, "proxy"))


def test_a_mac_that_no_vtep_sees_any_more_is_held_for_a_while(rig):
    rig.announce(whole(), per_evi(), mac())
    rig.be(FORWARDING)
    rig.judged()
    rig.announce(mac(host_flags=HOST_PROXY))
    assert synced(rig) == (PORT, (0, "proxy"))
    assert rig.leaf.intent.due == 10.0
    assert synced(rig, 10.0) == (PORT, ())  # the other leaf may hold it a little longer
    assert (dict(rig.leaf.intent.own_hosts), rig.leaf.intent.due) == ({}, None)
    rig.withdraw(mac())
    assert synced(rig, 10.0) == (PORT, ())
    assert synced(rig, 20.0) == ("", ())


def test_a_held_mac_is_not_advertised_while_the_port_is_down(rig):
    rig.announce(whole(), per_evi(), mac())
    rig.be(FORWARDING)
    rig.judged()
    rig.withdraw(mac())
    assert synced(rig) == (PORT, (0, "proxy"))
    rig.be(DOWN)
    assert synced(rig) == (PORT, ())


def test_a_mac_of_a_port_that_is_down_is_not_synced(rig):
    rig.announce(whole(), per_evi(), mac())
    rig.be(FORWARDING)
    rig.judged()
    rig.be(DOWN)
    assert synced(rig) == ("", ())
    assert rig.leaf.intent.touched_synced == ((VNI, MAC),)
    rig.be(WAITING)
    assert synced(rig) == (PORT, (0, "proxy"))


def test_a_station_of_ours_keeps_the_row_of_a_mac_that_was_synced(rig):
    rig.announce(whole(), per_evi(), mac())
    rig.be(FORWARDING)
    rig.learn()
    rig.withdraw(mac())
    assert synced(rig, 20.0) == (PORT, (0, "station"))
    rig.leaf.learn_stations((), [(VNI, MAC)])
    assert synced(rig, 20.0) == (PORT, (0, "proxy"))  # held
    assert synced(rig, 30.0) == ("", ())


def test_after_a_restart_a_station_of_ours_keeps_its_row_though_the_others_see_it_no_more(rig):
    rig.be(STARTING)
    rig.learn(synced=True)
    assert synced(rig) == (PORT, ())

    rig.be(FORWARDING)
    assert synced(rig) == (PORT, (0, "station"))
    rig.learn()  # another program replaced the row, which is made again
    assert synced(rig) == (PORT, (0, "station"))
    rig.leaf.learn_stations((), [(VNI, MAC)])
    assert synced(rig, 20.0) == (PORT, (0, "proxy"))  # held
    assert synced(rig, 30.0) == ("", ())


@pytest.mark.parametrize("more", [{"port": "other0", "synced": True}, {"synced": False}])
def test_no_other_station_has_a_row_of_its_own(rig, more):
    rig.be(FORWARDING)
    rig.learn(**more)
    assert synced(rig) == ("", (0, "station"))


def test_a_mac_at_another_port_of_ours_is_not_synced(rig):
    rig.announce(whole(), per_evi(), mac())
    rig.be(FORWARDING)
    rig.judged()
    rig.learn("other0")
    assert synced(rig) == ("", (1, "station"))


def test_a_mac_that_leaves_the_segment_is_not_synced(rig):
    rig.announce(whole(), per_evi(), mac())
    rig.be(FORWARDING)
    rig.judged()
    rig.announce(mac(seq=5, vtep=OTHER, esi=NO_SEGMENT, rd=RD_OTHER))
    assert synced(rig) == ("", ())
    assert rig.leaf.intent.macs[VNI, MAC].vtep == OTHER


def test_a_held_mac_goes_when_its_segment_is_no_longer_configured(rig):
    rig.announce(whole(), per_evi())
    rig.be(FORWARDING)
    rig.learn()
    rig.leaf.learn_stations((), [(VNI, MAC)])
    assert dict(rig.judged().segment_macs) == {MAC: ((VNI, PORT),)}

    rig.leaf.set_segments({})
    intent = rig.judged()
    assert (dict(intent.held_macs), dict(intent.segment_macs)) == ({}, {})
