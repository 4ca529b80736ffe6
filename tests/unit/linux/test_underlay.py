"""What is said of the underlay, from a picture of the devices and the routes that the kernel would choose."""

import errno

import pytest

from vtep.addr import Ip, Vni
from vtep.config.model import Targets, VniConfig
from vtep.linux.devices import Address, Link, Links, Vxlan
from vtep.linux.underlay import Picture, Questions, judge
from vtep.linux.wire.route import RTN_LOCAL, FoundPath

HERE, A, B, V6 = (Ip.parse(text) for text in ("10.0.0.99", "10.0.0.1", "10.0.0.2", "fd00::1"))
LO = Link(1, "lo", up=True, carrier=True, mtu=65536)
LOOPBACK = Address(1, HERE)


def vni(number, local=HERE):
    return VniConfig(Vni(number), local, Targets(frozenset()), bridge=f"br{number}", vxlan=f"vxlan{number}")


def vxlan(number, mtu=1500, below=None):
    return Link(number, f"vxlan{number}", "vxlan", up=True, mtu=mtu, vxlan=Vxlan(vni=number, local=HERE, below=below))


def uplink(mtu=1600, *, up=True, carrier=True):
    return Link(2, "eth0", up=up, carrier=carrier, mtu=mtu)


def told(*links, path, vteps=(A,), addresses=(LOOPBACK,), last=(), vnis=(100,)):
    """Return the codes, sentences and commands, and how many VTEPs each concerns."""
    picture = Picture.of(map(vni, vnis), Links.of((LO, *links)), addresses)
    questions = Questions(picture)
    questions.take((Vni(number), vtep) for number in vnis for vtep in vteps)
    before = dict.fromkeys(questions.asked, *last) if last else {}
    found = judge(picture, questions.asked, dict.fromkeys(questions.asked, path), before)
    return [(one.fault.code, one.fault.text, one.fault.mend, len(one.vteps)) for one in found.troubles]


def test_nothing_is_said_of_an_underlay_that_carries_everything():
    assert told(vxlan(100), uplink(1550), path=FoundPath(device=2)) == []


def test_a_vtep_without_a_route_names_both_addresses():
    [(code, text, mend, count)] = told(vxlan(100), uplink(), path=FoundPath(errno.ENETUNREACH), vteps=(A, B))

    assert (code, count) == ("vtep-unreachable", 2)
    assert text == "there is no route to VTEP 10.0.0.1 from 10.0.0.99"
    assert mend.startswith("ip route get 10.0.0.1 from 10.0.0.99")


@pytest.mark.parametrize(("number", "kind"), [(errno.EINVAL, "blackhole"), (errno.EACCES, "prohibit")])
def test_a_route_that_discards_is_no_route(number, kind):
    [(code, text, *_)] = told(vxlan(100), uplink(), path=FoundPath(number))

    assert (code, text.endswith(f"the route is of type {kind}")) == ("vtep-unreachable", True)


def test_a_route_that_went_with_its_device_names_the_device():
    down = uplink(up=False)

    assert told(vxlan(100), down, path=FoundPath(errno.ENETUNREACH), last=("eth0",)) == [
        ("underlay-down", "VTEP 10.0.0.1 was reached by eth0, which is down", "ip link set dev eth0 up", 1)
    ]
    assert told(vxlan(100), uplink(), path=FoundPath(errno.ENETUNREACH), last=("eth0",))[0][0] == "vtep-unreachable"


def test_a_device_without_a_carrier_is_told_although_the_route_is_there():
    [(code, text, _, _)] = told(vxlan(100), uplink(carrier=False), path=FoundPath(device=2))

    assert (code, text) == ("underlay-down", "VTEP 10.0.0.1 is reached by eth0, which has no carrier")


@pytest.mark.parametrize(
    ("mtu", "of_route", "carried"), [(1549, None, 1549), (9000, 1400, 1400), (1549, 1548, 1548), (1500, 9000, 1500)]
)
def test_an_mtu_that_is_too_small_names_what_is_needed_and_what_is_carried(mtu, of_route, carried):
    [(code, text, mend, _)] = told(vxlan(100), uplink(mtu), path=FoundPath(device=2, mtu=of_route))

    assert code == "underlay-mtu"
    assert "takes frames of 1500, which are packets of 1550" in text
    assert text.endswith(f"by eth0 carries {carried}")
    assert f"ip link set dev vxlan100 mtu {carried - 50}" in mend


def test_a_vtep_that_is_an_address_of_this_host_is_told():
    assert told(vxlan(100), uplink(), path=FoundPath(device=1, type=RTN_LOCAL))[0][0] == "vtep-is-local"


def test_a_tunnel_address_that_is_missing_hides_what_follows_from_it():
    assert told(vxlan(100), uplink(), path=FoundPath(errno.EINVAL), addresses=()) == [
        (
            "tunnel-address-missing",
            "no device of this host has the tunnel address 10.0.0.99, so that nothing is sent or received by it",
            "ip addr add 10.0.0.99/32 dev lo",
            0,
        )
    ]


def test_a_tunnel_address_at_a_device_that_is_down_names_the_device():
    [(code, _, mend, _)] = told(
        vxlan(100), uplink(up=False), path=FoundPath(errno.EINVAL), addresses=(Address(2, HERE),)
    )

    assert (code, mend) == ("tunnel-address-missing", "ip link set dev eth0 up")


def test_a_tunnel_address_that_another_host_has_is_told():
    [(code, text, _, _)] = told(
        vxlan(100), uplink(), path=FoundPath(device=2), addresses=(Address(1, HERE, usable=False),)
    )

    assert (code, "another host has it" in text) == ("tunnel-address-missing", True)


def test_vnis_that_send_alike_ask_once_for_each_vtep():
    vnis = [vni(number) for number in (100, 200, 300)]
    picture = Picture.of(vnis, Links.of((LO, vxlan(100), vxlan(200), vxlan(300, mtu=1400))), (Address(1, HERE),))
    questions = Questions(picture)
    questions.take((one.vni, vtep) for one in vnis for vtep in (A, B, V6))

    assert sorted(len(senders) for senders in questions.asked.values()) == [2, 2]  # IPv6 is not for these devices
    found = judge(picture, questions.asked, dict.fromkeys(questions.asked, FoundPath(device=1, mtu=1500)))
    assert [found.fault_of(Vni(number), A) is None for number in (100, 200, 300)] == [False, False, True]
    assert "vxlan100 and 1 more" in found.troubles[0].fault.text


def test_a_vni_whose_device_is_missing_asks_for_nothing():
    picture = Picture.of([vni(100)], Links.of((LO,)), (Address(1, HERE),))
    questions = Questions(picture)
    questions.take([(Vni(100), A), (Vni(7), A)])

    assert questions.asked == {}
    assert judge(picture, {}, {}).fault_of(Vni(100), A) is None


def test_an_answer_that_was_lost_says_nothing():
    picture = Picture.of([vni(100)], Links.of((LO, vxlan(100))), (Address(1, HERE),))
    questions = Questions(picture)
    questions.take([(Vni(100), A)])

    assert judge(picture, questions.asked, {}).troubles == ()
