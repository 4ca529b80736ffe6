"""A segment of ours in single-active mode: only the forwarder of a VNI passes frames, and the others reach its MACs behind it."""

import pytest

from tests.unit.projection.test_own_segment import (
    CONFIG,
    ESI,
    HOST,
    MAC,
    OTHER,
    PEER,
    PORT,
    RD_OTHER,
    VNI,
    Rig,
    candidate,
    mac,
    per_evi,
    synced,
    whole,
)
from vtep.evpn.station import Station
from vtep.intent import BACKUP, Group
from vtep.projection.policy import DOWN, FORWARDING, STARTING, WAITING

SINGLE = 'mode = "single-active"\n'
PREFERRED = 'algorithm = "highest-preference"\n'


@pytest.fixture
def rig():
    """A leaf that is the forwarder of VNI 100 among two, because 100 modulo 2 is the first."""
    return Rig(CONFIG + SINGLE)


def there(vtep=PEER, **more):
    return whole(vtep, single_active=True, **more)


def via(rig):
    row = rig.judged().macs.get((VNI, MAC))
    return None if row is None else row.via


def lose_the_election(rig):
    """A third VTEP comes with the lowest address of all, so 100 modulo 3 is this leaf no longer."""
    rig.announce(there(OTHER), candidate(OTHER))


@pytest.mark.parametrize(
    ("state", "filtered", "advertised"),
    [(DOWN, "standby", False), (STARTING, "standby", False), (WAITING, "standby", True), (FORWARDING, "df", True)],
)
def test_a_port_passes_no_frame_until_it_is_that_of_the_forwarder(rig, state, filtered, advertised):
    rig.announce(there(), candidate(), per_evi())
    rig.be(state)

    assert rig.filter() == (filtered, ())
    assert (ESI in rig.judged().own_segments) is advertised


def test_the_forwarder_delivers_what_a_leaf_on_standby_floods_so_it_is_not_biased(rig):
    rig.announce(there(), candidate(), per_evi())
    rig.be(FORWARDING)
    row = rig.judged().port_filters[VNI, PORT]
    assert (row.others, row.biased) == ((PEER,), ())

    lose_the_election(rig)
    assert rig.filter() == ("standby", ())


def test_the_stations_of_a_port_on_standby_count_for_nothing(rig):
    rig.announce(there(), candidate(), per_evi())
    rig.be(FORWARDING)
    assert rig.learn() is not None
    assert rig.judged().segment_macs.get(MAC) == ((VNI, PORT),)

    lose_the_election(rig)
    intent = rig.judged()
    assert (VNI, MAC, None) not in intent.own
    assert rig.leaf.judge(11.0).segment_macs.get(MAC) is None


def test_a_mac_goes_by_the_forwarder_and_comes_to_the_port_with_its_role(rig):
    lose_the_election(rig)
    rig.announce(there(), candidate(), per_evi(), mac(seq=3), mac(seq=3, ip=HOST))
    rig.be(FORWARDING)
    assert (via(rig), synced(rig)) == (Group(ESI, PEER), ("", ()))
    group = rig.judged().groups[VNI, ESI, bytes(PEER)]
    assert (group.members, group.single_active) == ((PEER,), True)
    assert [host.mac for host in rig.judged().hosts[HOST]] == [MAC]

    # The forwarder was the first by number, and is still there: it must know before this leaf passes a frame.
    rig.withdraw(there(OTHER), candidate(OTHER))
    assert (rig.filter(), via(rig)) == (("standby", ()), Group(ESI, PEER))
    assert rig.leaf.judge(2.9).port_filters[VNI, PORT].state == "standby"
    rig.leaf.judge(3.0)
    assert (rig.filter(), via(rig)) == (("df", ()), None)
    # It advertises the MAC at once, so that remote VTEPs need not flood until the machine speaks.
    assert synced(rig) == (PORT, (3, "proxy"))
    assert rig.judged().own[VNI, MAC, HOST].proxy

    lose_the_election(rig)
    assert (rig.filter(), via(rig), synced(rig)) == (("standby", ()), Group(ESI, PEER), ("", ()))


def test_a_role_is_taken_at_once_from_a_vtep_that_has_left(rig):
    rig.announce(there(), candidate(), per_evi())
    lose_the_election(rig)
    rig.be(FORWARDING)
    assert rig.filter() == ("standby", ())
    rig.withdraw(there(), candidate(), there(OTHER), candidate(OTHER))
    assert rig.filter() == ("df", ())


def test_a_role_is_taken_at_once_when_its_vtep_leaves_while_this_leaf_waits_for_it(rig):
    rig.announce(there(), candidate(), per_evi())
    lose_the_election(rig)
    rig.be(FORWARDING)
    rig.judged()
    rig.withdraw(there(OTHER), candidate(OTHER))
    assert rig.leaf.judge(1.0).port_filters[VNI, PORT].state == "standby"
    rig.withdraw(there(), candidate())
    assert rig.leaf.judge(1.1).port_filters[VNI, PORT].state == "df"


def test_one_projection_has_the_filter_and_the_macs(rig):
    """A reader sees no intent in which the port is on standby and the MAC behind it, nor the other way."""
    rig.announce(there(), candidate(), per_evi(), mac())
    rig.be(FORWARDING)
    rig.take()
    lose_the_election(rig)
    before = rig.leaf.intent
    intent = rig.leaf.judge(0.0)
    assert intent.generation == before.generation + 1
    assert (intent.port_filters[VNI, PORT].state, (VNI, MAC) in intent.macs) == ("standby", True)
    assert (VNI, MAC) in intent.touched


def test_the_backup_of_a_port_is_the_only_other_vtep(rig):
    rig.announce(there(), candidate(), per_evi())
    rig.be(FORWARDING)
    rig.learn()
    assert rig.judged().groups[VNI, ESI, BACKUP].members == (PEER,)

    third = Rig(CONFIG + SINGLE + PREFERRED + "preference = 40000\n")
    third.announce(there(), candidate(), per_evi(), there(OTHER), candidate(OTHER), per_evi(OTHER))
    third.be(FORWARDING)
    third.learn()
    third.announce(there(OTHER), candidate(OTHER))
    assert (VNI, ESI, BACKUP) not in third.judged().groups


def test_a_port_without_a_carrier_keeps_the_way_of_its_macs_for_a_while(rig):
    rig.announce(there(), candidate(), per_evi())
    rig.be(FORWARDING)
    rig.learn()
    rig.judged()
    rig.leaf.learn_stations((), [(VNI, MAC)])
    rig.be(DOWN)
    assert rig.judged().backups.get((VNI, MAC)) == (VNI, ESI, BACKUP)

    rig.announce(mac())
    assert (via(rig), rig.judged().backups.get((VNI, MAC))) == (Group(ESI, PEER), None)


def test_a_station_at_another_port_of_ours_is_not_on_standby(rig):
    lose_the_election(rig)
    rig.announce(there(), candidate(), per_evi())
    rig.be(FORWARDING)
    rig.leaf.learn_stations([Station(VNI, MAC, "other0")])
    assert (VNI, MAC, None) in rig.judged().own


def test_a_mac_that_another_vtep_has_elsewhere_is_there(rig):
    rig.announce(there(), candidate(), per_evi(), mac())
    rig.be(FORWARDING)
    rig.judged()
    lose_the_election(rig)
    rig.announce(mac(seq=9, vtep=OTHER, rd=RD_OTHER))
    assert via(rig) == Group(ESI, OTHER)


def test_the_routes_of_the_segment_say_that_it_is_single_active(rig):
    from vtep.config import file as config
    from vtep.evpn.advertise import EadAdvertisement, esi_label
    from vtep.local.exports import Exports

    text = CONFIG.replace(f"vni = {VNI}", f'vni = {VNI}\nbridge = "br0"\nvxlan = "vx0"\nrd = "10.0.0.1:100"')
    rig.be(FORWARDING)
    own = rig.judged().own_segments[ESI]
    for more, single in (("", False), (SINGLE, True)):
        exports = Exports(config.parse(text + more))
        [route] = [
            one for one in exports.segment(own).values() if isinstance(one, EadAdvertisement) and one.label is None
        ]
        assert esi_label(single_active=single) in route.communities
