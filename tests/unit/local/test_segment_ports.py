"""The life of a port on an Ethernet segment: what must be true before it is advertised, and before it forwards."""

from msgspec import structs

from vtep.addr import Esi, Vni
from vtep.config import file as config
from vtep.local.segment_ports import PortSeen, SegmentPorts

ESI = Esi.parse("03:02:00:00:00:00:42:00:00:01")
READY = PortSeen(up=True, ports=((Vni(100), "es0"),), confirmed=True)


def segments(more=""):
    return config.parse(f'[node]\nvtep = "10.0.0.1"\n[[segment]]\nesi = "{ESI}"\nport = "es0"\n{more}').segments


class Rig:
    def __init__(self, more=""):
        self.ports = SegmentPorts(segments(more))

    def see(self, now, seen=READY, *, may_advertise=True):
        self.ports.see(lambda _: seen, now, may_advertise=may_advertise)
        return self.ports.states[ESI].state


def test_a_port_forwards_after_its_wait():
    rig = Rig()

    assert [rig.see(0.0), rig.see(0.0), rig.ports.due, rig.see(2.9), rig.see(3.0)] == [
        *("waiting", "waiting", 3.0, "waiting", "forwarding")
    ]
    assert rig.ports.due is None


def test_nothing_is_advertised_before_the_filters_are_confirmed_and_the_picture_is_complete():
    rig = Rig()

    assert rig.see(0.0, structs.replace(READY, confirmed=False)) == "starting"
    assert rig.see(9.0, may_advertise=False) == "starting"
    assert rig.see(10.0) == "waiting"


def test_a_port_that_several_vnis_have_cannot_be_single_active():
    """The filter of such a port is for all its frames, whichever VNI they are of."""
    shared = structs.replace(READY, ports=((Vni(100), "es0"), (Vni(200), "es0")))
    apart = structs.replace(READY, ports=((Vni(100), "es0.100"), (Vni(200), "es0.200")))
    single = 'mode = "single-active"'

    assert [Rig().see(0.0, shared), Rig(single).see(0.0, apart)] == ["waiting", "waiting"]
    rig = Rig(single)
    assert rig.see(0.0, shared) == "down"
    assert [one.why for one in rig.ports.status()] == ["port-shared"]


def test_a_segment_is_advertised_when_its_port_was_up_for_long_enough():
    rig = Rig("startup_delay_s = 5")

    assert [rig.see(1.0), rig.ports.due, rig.see(5.9), rig.see(6.0)] == ["starting", 6.0, "starting", "waiting"]


def test_filters_that_are_lost_withdraw_the_segment_and_begin_the_wait_again():
    rig = Rig()
    rig.see(0.0)
    rig.see(3.0)

    assert rig.see(4.0, structs.replace(READY, confirmed=False)) == "starting"
    assert [rig.see(5.0), rig.see(7.9), rig.see(8.0)] == ["waiting", "waiting", "forwarding"]


def test_a_port_without_a_carrier_is_down_and_keeps_its_vnis():
    rig = Rig()
    rig.see(0.0)
    rig.see(3.0)

    assert rig.see(4.0, PortSeen(up=False)) == "down"
    assert rig.ports.states[ESI].ports == READY.ports
    assert rig.see(5.0) == "waiting"


def test_a_leaf_without_uplinks_leaves_the_segment():
    rig = Rig()
    rig.see(0.0)
    rig.see(3.0)

    assert rig.see(4.0, structs.replace(READY, reaches_fabric=False)) == "down"
    assert [one.why for one in rig.ports.status()] == ["uplinks-down"]
    assert [rig.see(5.0), rig.see(8.0)] == ["waiting", "forwarding"]


def test_what_an_operator_should_mend_is_said():
    rig = Rig()
    rig.see(0.0, PortSeen(up=False))
    assert [one.why for one in rig.ports.status()] == ["segment-down"]
    rig.see(1.0, structs.replace(READY, confirmed=False))
    assert [one.why for one in rig.ports.status()] == ["filter-missing"]
    rig.see(2.0, may_advertise=False)
    assert [one.why for one in rig.ports.status()] == [""]


def test_a_port_that_waits_for_something_else_than_time_is_not_due():
    """Otherwise the round would begin again at once, for ever."""
    rig = Rig("startup_delay_s = 5")
    rig.see(0.0, structs.replace(READY, confirmed=False))
    rig.see(9.0, structs.replace(READY, confirmed=False))

    assert rig.ports.due is None


def test_another_configuration_of_a_segment_does_not_begin_again_unless_the_port_is_another():
    rig = Rig()
    rig.see(0.0)
    rig.see(3.0)
    rig.ports.reconfigure(segments("df_wait_s = 9"))
    assert rig.ports.states[ESI].state == "forwarding"

    rig.ports.reconfigure(config.parse('[node]\nvtep = "10.0.0.1"').segments)
    assert rig.ports.states == {}
