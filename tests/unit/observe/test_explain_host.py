"""Where an IP address is: its MAC, the VTEP, the neighbor row, and who answers for it."""

import pytest
from msgspec.structs import replace

from tests.lab.memory import CONFIG, MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Ip, Mac, Vni
from vtep.evpn.station import Station
from vtep.linux.conditions import Fault
from vtep.linux.underlay import Sender, Underlay

A, B, ONE, TWO = "10.0.0.1", "10.0.0.2", "02:00:00:00:00:01", "02:00:00:00:00:02"
HOST = "172.16.0.1"


@pytest.fixture
def rig():
    with MemoryLeaf() as rig:
        rig.step()
        rig.come_up(A, B)
        suppress(rig, on=True)
        yield rig


def suppress(rig, *, on):
    port = rig.kernel.links().by_name["vxlan100"].bridge_port
    rig.kernel.change("vxlan100", bridge_port=replace(port, neigh_suppress=on))
    rig.survey()


def announce(rig, vtep, mac, ip=HOST, **more):
    rig.receive(rig.lines.announce(vtep, Instance(vtep, **more).mac(mac, ip=ip)))


def explained(rig, ip=HOST, vni=None):
    return rig.wait_for(rig.observer.explain_host(Ip.parse(ip), None if vni is None else Vni(vni)))


def only(rig, ip=HOST, vni=None):
    [explanation] = explained(rig, ip, vni).explanations
    return explanation


def test_a_remote_host_has_its_mac_its_vtep_and_its_row(rig):
    announce(rig, A, ONE)

    told = only(rig)
    assert (str(told.mac), str(told.vtep), told.neighbor.sync.state) == (ONE, A, "installed")
    assert told.summary == (
        f"{HOST} belongs to {ONE} behind {A}: the neighbor row is installed, and the bridge answers for it."
    )
    assert ([str(route.mac) for route in told.routes], told.answers) == ([ONE], "yes")


def test_a_bridge_that_does_not_answer_is_named(rig):
    suppress(rig, on=False)
    announce(rig, A, ONE)

    told = only(rig)
    assert (told.neighbor.sync.state, told.answers) == ("suppressed", "no: neigh-suppress-off")
    assert "the neighbor row is suppressed (neigh-suppress-off: " in told.summary
    assert "neigh_suppress on" in told.advice


def test_a_host_of_this_leaf_is_here(rig):
    rig.leaf.set_advertising(frozenset({Vni(100)}))
    rig.leaf.learn_stations([Station(Vni(100), Mac.parse(ONE), "swp1", hosts=frozenset({Ip.parse(HOST)}))])
    rig.judge()

    told = only(rig)
    assert (told.station.port, told.neighbor, str(told.mac)) == ("swp1", None, ONE)
    assert told.summary.startswith(f"{HOST} is here: the station {ONE} on port swp1 has it.")


@pytest.mark.parametrize(("ip", "reason"), [("224.0.0.1", "bad-host"), ("10.0.0.99", "self-host")])
def test_an_address_that_no_remote_host_can_have_is_refused_with_the_reason(rig, ip, reason):
    announce(rig, A, ONE, ip)

    told = only(rig, ip)
    assert (told.neighbor, [refusal for *_, refusal in told.refusals]) == (None, [reason])
    assert told.summary.startswith(f"{ip} has no neighbor row ({reason}): ")


def test_a_route_that_is_refused_is_the_reason(rig):
    announce(rig, B, TWO, targets=("65000:9",))

    told = only(rig)
    assert told.summary.startswith(f"Peer {B} advertises {HOST} with {TWO}, but the route is refused (rt-mismatch): ")
    assert "import_rt" in told.advice


def test_an_address_that_nobody_has_is_not_known(rig):
    told = only(rig, "172.16.0.77")

    assert told.summary == "172.16.0.77 is not known: no peer advertises it, and no station of this leaf has it."
    assert (told.mac, told.routes) == (None, ())


def test_the_address_of_a_vtep_is_said_to_be_one(rig):
    rig.receive(rig.lines.announce(A, Instance(A).flood()))

    assert explained(rig, A).vtep == f"{A} is the address of a remote VTEP, with floods in VNI 100."
    assert explained(rig, "10.0.0.99").vtep == "10.0.0.99 is a tunnel address of this leaf."
    assert explained(rig).vtep == ""


def test_an_address_of_two_vnis_is_explained_in_both_and_in_one_if_that_is_asked_for():
    second = CONFIG[CONFIG.index("[[vni]]") :].replace("100", "200")
    with MemoryLeaf(CONFIG + second) as rig:
        rig.step()
        rig.come_up(A)
        announce(rig, A, ONE)
        announce(rig, A, TWO, vni=200, targets=("65000:200",))

        assert [(told.vni, str(told.mac)) for told in explained(rig).explanations] == [(100, ONE), (200, TWO)]
        assert [route.mac for route in only(rig, vni=200).routes] == [Mac.parse(TWO)]


def test_routes_without_a_row_say_that_the_vni_has_none():
    with MemoryLeaf(CONFIG.replace("vni = 100\n", "vni = 100\nneighbors = false\n")) as rig:
        rig.step()
        rig.come_up(A)
        announce(rig, A, ONE)

        told = only(rig)
        assert (told.answers, told.neighbor) == ("no: neighbors = false", None)
        assert told.summary.endswith("VNI 100 has no neighbor rows (neighbors = false).")


def test_an_answer_has_at_most_200_routes_and_counts_the_others(rig):
    many = [Instance(A, rd=f"10.0.0.1:{number}").mac(ONE, ip=HOST) for number in range(1, 251)]
    rig.receive(rig.lines.announce(A, *many))

    told = explained(rig)
    assert (len(told.explanations[0].routes), told.routes_left_out) == (200, 50)


NO_ROUTE = Fault("vtep-unreachable", f"there is no route to VTEP {A} from 10.0.0.99", f"ip route get {A}")
GONE = Fault("tunnel-address-missing", "no device has 10.0.0.99", "ip addr add 10.0.0.99/32 dev lo")


def break_underlay(rig, *, here=False):
    sender = Sender(Ip.parse("10.0.0.99"))
    faults = {"of_sender": {sender: GONE}} if here else {"of_vtep": {(sender, Ip.parse(A)): NO_ROUTE}}
    rig.observer.note_underlay(Underlay(senders={Vni(100): sender}, **faults))


def test_a_fault_of_the_underlay_to_the_vtep_of_the_host_is_named_with_the_command(rig):
    announce(rig, A, ONE)
    announce(rig, B, TWO, ip="172.16.0.2")
    break_underlay(rig)

    told = only(rig)
    assert told.summary.endswith(f"The underlay is at fault (vtep-unreachable): {NO_ROUTE.text}.")
    assert told.advice == f"Run: {NO_ROUTE.mend}."
    assert "underlay" not in only(rig, "172.16.0.2").summary


def test_a_fault_of_the_underlay_is_named_for_the_address_of_a_vtep(rig):
    rig.receive(rig.lines.announce(A, Instance(A).flood()))
    assert only(rig, A).summary.startswith("No host of VNI 100 has 10.0.0.1")
    break_underlay(rig)
    assert explained(rig, A).vtep.endswith(f"(vtep-unreachable): {NO_ROUTE.text}. Run: {NO_ROUTE.mend}.")

    break_underlay(rig, here=True)
    assert explained(rig, "10.0.0.99").vtep == (
        f"10.0.0.99 is a tunnel address of this leaf. The underlay is at fault (tunnel-address-missing): {GONE.text}."
        f" Run: {GONE.mend}."
    )


def test_a_host_at_a_port_here_is_told_of_a_tunnel_address_that_is_gone(rig):
    station = Station(Vni(100), Mac.parse(ONE), "port99", hosts=frozenset({Ip.parse(HOST)}))
    rig.leaf.set_advertising(frozenset({Vni(100)}))
    rig.leaf.learn_stations([station])
    rig.judge()
    break_underlay(rig, here=True)

    told = only(rig)
    assert "is here" in told.summary
    assert GONE.text in told.summary
    assert told.advice.startswith(f"Run: {GONE.mend}.")


def test_a_vtep_without_floods_is_known_by_the_macs_behind_it(rig):
    announce(rig, A, ONE)
    announce(rig, A, TWO, ip="172.16.0.2")
    told = explained(rig, A)
    assert told.vtep == f"{A} is the address of a remote VTEP, without floods. MACs behind it: 2."
    assert only(rig, A).summary.startswith("No host of VNI 100 has 10.0.0.1")
