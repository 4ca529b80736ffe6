"""MACs behind Ethernet segments, on the kernel in memory and on the real one: groups of nexthops, and rows that name them."""

import errno
import socket
from collections import Counter
from contextlib import closing

import pytest

from tests.contract.grouped import CONFIG, E1, E2, A, B, C, D, M, grouped_leaf, macs, per_evi, per_segment, type2
from tests.contract.worlds import PACKET_QDISC_BYPASS, SOL_PACKET, ip
from tests.lab.wait import wait_until
from vtep.addr import NO_SEGMENT, RouteTarget
from vtep.linux.tables.fdb import names_group
from vtep.linux.wire.nexthop import NexthopMessage
from vtep.reconcile.engine import Scope
from vtep.reconcile.steps import run_to_end

FOREIGN = RouteTarget.parse("65000:999")
OURS = "10.0.0.1"


@pytest.fixture(params=["memory", "namespace"])
def leaf(request):
    with grouped_leaf(request.param) as leaf:
        yield leaf


def up(*vteps, esi=E1):
    """Return both Type-1 routes of VTEPs."""
    return [route for vtep in vteps for route in (per_segment(vtep, esi), per_evi(vtep, esi))]


def all_active(leaf, *vteps):
    """Have a MAC behind these VTEPs; the first one advertises it."""
    leaf.advertise(*up(*vteps), type2(vteps[0]))
    leaf.end()
    leaf.pass_()


def test_a_mac_on_a_segment_goes_by_a_group_of_all_its_vteps(leaf):
    all_active(leaf, A, B)

    assert (leaf.where(), leaf.groups(), leaf.singles()) == (["group", A, B], [[A, B]], [A, B])
    assert leaf.troubles() == []


def test_a_vtep_that_joins_or_leaves_changes_the_group_and_no_row(leaf):
    all_active(leaf, A, B)

    for change, vteps in ((lambda: leaf.advertise(*up(C)), [A, B, C]), (lambda: leaf.withdraw(per_segment(A)), [B, C])):
        change()
        report = leaf.pass_()
        assert leaf.where() == ["group", *vteps]
        assert leaf.intent.touched == ()
        assert report.replaced == 1
    assert leaf.singles() == [B, C]


def test_the_last_vtep_that_leaves_takes_the_row_the_group_and_the_nexthops_along(leaf):
    all_active(leaf, A, B)

    leaf.withdraw(per_segment(A), per_segment(B))
    leaf.pass_()

    assert (leaf.where(), leaf.groups(), leaf.singles()) == ([], [], [])
    assert len(leaf.ledger.claims("fdb")) == len(leaf.ledger.claims("fdb-group")) == 0


def test_a_mac_leaves_its_segment_and_comes_back(leaf):
    all_active(leaf, A, B)

    leaf.advertise(type2(C, NO_SEGMENT, seq=1))
    leaf.pass_()
    assert (leaf.where(), leaf.groups()) == ([C], [])

    leaf.withdraw(type2(C, NO_SEGMENT, seq=1))
    leaf.pass_()
    assert (leaf.where(), leaf.groups()) == (["group", A, B], [[A, B]])

    leaf.advertise(*up(C, esi=E2), type2(C, E2, seq=2))
    leaf.pass_()
    assert (leaf.where(), leaf.groups()) == (["group", C], [[C]])
    assert leaf.troubles() == []


def test_rows_that_are_as_wanted_are_kept_by_a_survey(leaf):
    all_active(leaf, A, B)

    report = leaf.pass_(survey=True)

    assert (report.created, report.replaced, report.deleted) == (0, 0, 0)


# What a VTEP must say in order to be a member


@pytest.mark.parametrize(
    ("routes", "reason"),
    [
        ((per_segment(B, target=FOREIGN), per_evi(B)), "rt-mismatch"),
        ((per_segment(B), per_evi(B, target=FOREIGN)), "rt-mismatch"),
        ((per_segment(B), per_evi(B, tag=7)), ""),
        ((per_segment(B), per_evi(B, vni=200)), ""),
        ((per_segment(B),), "pending-evi"),
        ((per_evi(B),), "pending-ead"),
        ((per_segment(OURS), per_evi(OURS)), "self-vtep"),
        ((per_segment("fd00::2"), per_evi("fd00::2")), "family-mismatch"),
    ],
    ids=["RT per segment", "RT per EVI", "tag", "VNI", "no EVI", "no segment", "our own address", "other family"],
)
def test_a_vtep_that_does_not_say_all_of_it_is_no_member_and_it_is_told_why(routes, reason):
    with grouped_leaf("memory") as leaf:
        leaf.advertise(*up(A), *routes, type2(A))
        leaf.end()
        leaf.pass_()

        assert leaf.where() == ["group", A]
        assert [one.reason for one in leaf.group().outside] == [reason or "pending-evi"]


def test_a_vtep_without_a_route_per_evi_is_a_member_if_it_advertises_a_mac(leaf):
    other = macs(1)[0]
    leaf.advertise(*up(A), per_segment(B), type2(A), type2(B, mac=other))
    leaf.end()
    leaf.pass_()
    assert (leaf.where(), leaf.where(other)) == (["group", A, B], ["group", A, B])

    leaf.withdraw(type2(B, mac=other))
    leaf.pass_()
    assert leaf.where() == ["group", A]


def test_ipv6_vteps_share_a_segment_as_ipv4_vteps_do():
    six = [f"fd00::{number}" for number in (2, 3)]
    for world in ("memory", "namespace"):
        with grouped_leaf(world, CONFIG.replace("10.0.0.1", "fd00::1")) as leaf:
            all_active(leaf, *six)
            assert leaf.where() == ["group", *six]
            leaf.withdraw(per_segment(six[0]))
            leaf.pass_()
            assert leaf.where() == ["group", six[1]]


# Single-active


def single(*vteps):
    """Return both Type-1 routes of VTEPs of a single-active segment."""
    return [route for vtep in vteps for route in (per_segment(vtep, single_active=True), per_evi(vtep))]


def test_a_single_active_segment_has_one_member_and_the_nexthop_of_its_backup_is_made_in_advance(leaf):
    leaf.advertise(*single(A, B), type2(B))
    leaf.end()
    leaf.pass_()

    assert (leaf.where(), leaf.singles()) == (["group", B], [A, B])
    assert str(leaf.group(primary=B).backup) == A


def test_the_backup_takes_over_before_it_advertises_any_mac(leaf):
    leaf.advertise(*single(A, B), type2(B), *(type2(B, mac=mac) for mac in macs(20)))
    leaf.end()
    leaf.pass_()

    leaf.withdraw(per_segment(B, single_active=True))
    report = leaf.pass_()

    assert (leaf.where(), leaf.intent.touched, report.replaced, report.created) == (["group", A], (), 1, 0)
    assert leaf.group(primary=B).notes == ("on-backup",)

    leaf.advertise(*(type2(A, mac=mac) for mac in (M, *macs(20))))
    leaf.withdraw(*(type2(B, mac=mac) for mac in (M, *macs(20))))
    leaf.pass_()
    assert (leaf.where(), leaf.group(primary=B)) == (["group", A], None)
    assert leaf.troubles() == []


def test_of_several_others_none_can_be_the_backup(leaf):
    leaf.advertise(*single(A, B, C), type2(B))
    leaf.end()
    leaf.pass_()
    assert (leaf.where(), leaf.group(primary=B).backup) == (["group", B], None)

    leaf.withdraw(per_segment(B, single_active=True))
    leaf.pass_()
    assert (leaf.where(), leaf.groups()) == ([], [])


# What other programs do, and what happens at a restart


def hint(leaf, *numbers):
    return leaf.pass_(hinted={"fdb-nexthop": numbers, "fdb-group": numbers})


def test_rows_that_went_with_their_group_are_made_again_and_counted(leaf):
    leaf.advertise(*up(A, B), *(type2(A, mac=mac) for mac in macs(300)))
    leaf.end()
    leaf.pass_()
    numbers = {one.id for one in leaf.kernel.nexthops()}

    leaf.hands.flush_nexthops()
    assert {tuple(leaf.where(mac)) for mac in macs(300)} == {("half",)}
    leaf.engine.lose("fdb", leaf.ledger.claims("fdb"))
    report = leaf.pass_(hinted={"fdb-nexthop": numbers, "fdb-group": numbers, "fdb": leaf.ledger.claims("fdb")})

    assert {tuple(leaf.where(mac)) for mac in macs(300)} == {("group", A, B)}
    assert (report.repaired, leaf.engine.repairs["fdb"]) == (303, 300)
    assert leaf.troubles() == []


def test_rows_that_went_are_written_many_at_once_and_rows_of_other_macs_stay(leaf):
    leaf.advertise(*up(A, B), *(type2(A, mac=mac) for mac in macs(300)), type2(C, NO_SEGMENT))
    leaf.end()
    leaf.pass_()
    group = leaf.group().number
    lost = [key for key, claim in leaf.ledger.claims("fdb").items() if names_group(claim.row, {group})]

    leaf.hands.delete_nexthop(group)
    leaf.engine.lose("fdb", lost)
    leaf.now += 1
    touched = {"fdb": lost}
    report = run_to_end(leaf.engine.run(leaf.intent, leaf.now, Scope(touched=touched, hinted={"fdb-group": [group]})))

    assert (len(lost), report.repaired, leaf.engine.repairs["fdb"]) == (300, 301, 300)
    assert {tuple(leaf.where(mac)) for mac in macs(300)} == {("group", A, B)}
    assert leaf.where() == [C]


def test_an_audit_finds_that_a_group_and_its_rows_are_gone(leaf):
    all_active(leaf, A, B)
    leaf.hands.flush_nexthops()

    for _ in range(2):
        leaf.now += 10
        run_to_end(leaf.engine.run(leaf.intent, leaf.now, Scope(audit=True)))

    assert (leaf.where(), leaf.troubles()) == (["group", A, B], [])


def test_a_number_that_another_program_has_is_left_to_it(leaf):
    all_active(leaf, A, B)
    number = leaf.group().singles[0]

    leaf.hands.take_over(number, D)
    hint(leaf, number)
    leaf.withdraw(type2(A))
    leaf.pass_()

    assert leaf.singles() == [D]
    assert leaf.troubles() == []


def test_after_a_restart_a_group_only_grows_until_the_picture_is_complete(leaf):
    all_active(leaf, A, B)

    again = leaf.restarted()
    again.advertise(*up(B), type2(B))
    again.pass_()
    assert (again.where(), again.troubles()) == (
        ["group", A, B],
        [("fdb-group", "held held"), ("fdb-nexthop", "held held")],
    )
    again.advertise(*up(A, C))
    again.pass_()
    assert again.where() == ["group", A, B, C]
    again.withdraw(per_segment(C))
    again.pass_()
    assert again.where() == ["group", A, B]

    again.end()
    again.pass_(survey=True)
    assert (again.where(), again.singles(), again.troubles()) == (["group", A, B], [A, B], [])


def test_after_a_restart_a_vtep_that_does_not_come_back_leaves_when_the_picture_is_complete(leaf):
    all_active(leaf, A, B)

    again = leaf.restarted()
    again.advertise(*up(B), type2(B))
    again.pass_()
    again.end()
    report = again.pass_(survey=True)

    assert (again.where(), again.singles(), again.troubles()) == (["group", B], [B], [])
    assert report.created == 0


# Where no row may name a group


def test_a_device_with_proxy_gets_no_row_that_names_a_group_and_it_is_said(leaf):
    leaf.hands.set_proxy()
    leaf.advertise(*up(A, B), type2(B))
    leaf.end()
    leaf.pass_()
    assert leaf.where() == []
    [trouble] = [found for (kind, _), found in leaf.engine.troubles.items() if kind == "fdb"]
    assert "nexthops-unsafe" in trouble.text

    leaf.leaf.learn_ungrouped(leaf.target.ungrouped)
    leaf.pass_()
    assert (leaf.where(), leaf.groups(), leaf.troubles()) == ([A], [], [])
    assert any("nexthops-unsafe" in note for note in leaf.target.attachments().notes[100])


def test_a_kernel_without_such_nexthops_gets_none():
    with grouped_leaf("memory") as leaf:
        leaf.kernel.has_fdb_nexthops = False
        leaf.target.attachments()
        leaf.leaf.learn_ungrouped(leaf.target.ungrouped)
        all_active(leaf, A, B)

        assert (leaf.where(), leaf.groups(), leaf.singles(), leaf.troubles()) == ([A], [], [], [])


# Frames


class Underlay:
    """A network below the leaf's VXLAN device, in which every VTEP has a MAC, and a machine at a port of the bridge."""

    def __init__(self, *, six: bool = False, first=M) -> None:
        network, length, option = ("fd00::", 64, " nodad") if six else ("10.0.0.", 24, "")
        self._six = six
        ip(
            "link add und0 type veth peer name und1",
            f"address add {network}1/{length} dev und0{option}",
            "link set und0 up",
            "link set und1 up",
            *(
                f"neigh add {network}{last} lladdr 02:00:00:00:fe:0{last} dev und0 nud permanent"
                for last in (2, 3, 4, 5)
            ),
            "link add h0 type veth peer name h1",
            "link set h0 master br100",
            "link set h0 up",
            "link set h1 up",
        )
        self._sender, self._wire = (socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300) for _ in range(2))
        self._sender.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        self._sender.bind(("h1", 0))
        self._wire.bind(("und1", 0))
        self._wire.settimeout(0.5)
        wait_until(lambda: self.count(1, first), what="the first frame")

    def count(self, flows: int, mac=M) -> Counter[str]:
        """Send a frame of each of so many flows, and return how many came to each VTEP."""
        for port in range(flows):
            self._sender.send(_frame(mac, 10_000 + port))
        arrived: Counter[str] = Counter()
        while arrived.total() < flows:
            try:
                frame = self._wire.recv(2048)
            except TimeoutError:
                break
            # Ethernet, then IP, then UDP to port 4789 and VXLAN, 8 octets each.
            kind, udp = (b"\x86\xdd", 54) if self._six else (b"\x08\x00", 34)
            if frame[12:14] == kind and frame[udp + 2 : udp + 4] == b"\x12\xb5" and frame[udp + 16 : udp + 22] == mac:
                family, start = (socket.AF_INET6, 38) if self._six else (socket.AF_INET, 30)
                arrived[socket.inet_ntop(family, frame[start:udp])] += 1
        return arrived

    def close(self) -> None:
        self._sender.close()
        self._wire.close()


def _frame(mac, port: int) -> bytes:
    addresses = bytes((192, 0, 2, 1, 192, 0, 2, 2))
    udp = port.to_bytes(2) + b"\x00\x09" + (18).to_bytes(2) + bytes(2) + bytes(10)
    length = 20 + len(udp)
    total = 0x4500 + length + 0x4011 + sum(int.from_bytes(addresses[at : at + 2]) for at in range(0, 8, 2))
    checksum = 0xFFFF - (total % 0xFFFF)  # bridges may drop a packet without it (br_netfilter)
    header = b"\x45\x00" + length.to_bytes(2) + bytes(4) + b"\x40\x11" + checksum.to_bytes(2) + addresses
    return bytes(mac) + b"\x02\x00\x00\x00\x77\x77" + b"\x08\x00" + header + udp


def test_flows_reach_both_vteps_and_none_reaches_one_that_left():
    with grouped_leaf("namespace") as leaf:
        leaf.advertise(*up(A, B), type2(A))
        leaf.end()
        leaf.pass_()
        with closing(Underlay()) as underlay:
            both = underlay.count(200)
            again = underlay.count(200)
            leaf.withdraw(per_segment(A))
            leaf.pass_()
            after = underlay.count(200)
            leaf.advertise(type2(C, NO_SEGMENT, seq=1))
            leaf.pass_()
            moved = underlay.count(50)
            leaf.withdraw(type2(C, NO_SEGMENT, seq=1))
            leaf.pass_()
            rejoined = underlay.count(50)
            leaf.withdraw(per_segment(B))
            leaf.pass_()
            without = underlay.count(5)

    assert set(both) == {A, B}
    assert min(both.values()) > 50
    assert (both.total(), again) == (200, both), "a flow keeps its VTEP"
    assert (after, moved, rejoined) == (Counter({B: 200}), Counter({C: 50}), Counter({B: 50}))
    assert without.total() == 0, "the last VTEP left, and nobody is flooded to"


def test_no_flow_reaches_a_vtep_that_is_no_member():
    """Foreign Route Targets, another tag, our own address, the other address family."""
    strangers = (
        (per_segment(C, target=FOREIGN), per_evi(C)),
        (per_segment(C), per_evi(C, target=FOREIGN)),
        (per_segment(D), per_evi(D, tag=7)),
        (per_segment(OURS), per_evi(OURS)),
        (per_segment("fd00::2"), per_evi("fd00::2")),
    )
    with grouped_leaf("namespace") as leaf:
        leaf.advertise(*up(A, B), type2(A))
        leaf.end()
        leaf.pass_()
        with closing(Underlay()) as underlay:
            before = underlay.count(60)
            for routes in strangers:
                leaf.advertise(*routes)
                leaf.pass_()
                assert underlay.count(60) == before
                leaf.withdraw(*routes)

    assert set(before) == {A, B}


def test_flows_reach_both_vteps_over_ipv6():
    six = [f"fd00::{number}" for number in (2, 3)]
    with grouped_leaf("namespace", CONFIG.replace("10.0.0.1", "fd00::1")) as leaf:
        # One of the other address family is no member.
        leaf.advertise(*up(*six, C), type2(six[0]))
        leaf.end()
        leaf.pass_()
        with closing(Underlay(six=True)) as underlay:
            both = underlay.count(200)
            leaf.withdraw(per_segment(six[0]))
            leaf.pass_()
            after = underlay.count(50)

    assert (set(both), both.total(), after) == (set(six), 200, Counter({six[1]: 50}))


def test_no_frame_of_very_many_macs_goes_to_a_vtep_that_left_once_one_message_is_acknowledged():
    """Frames to some of the MACs, all over the table, are followed. Passed with 100,000 MACs as well, which take long to come."""
    many = macs(10_000)
    with grouped_leaf("namespace") as leaf:
        leaf.advertise(*up(A, B), *(type2(A, mac=mac) for mac in many))
        leaf.end()
        leaf.pass_()
        watched = many[::200]
        with closing(Underlay(first=watched[0])) as underlay:
            before = sum((underlay.count(4, mac) for mac in watched), Counter())
            leaf.withdraw(per_segment(A))
            report = leaf.pass_()
            after = sum((underlay.count(4, mac) for mac in watched), Counter())

    assert (set(before), before.total()) == ({A, B}, 200)
    assert (report.created, report.replaced, leaf.intent.touched) == (0, 1, ())
    assert after == Counter({B: 200})


def test_the_backup_of_a_single_active_segment_has_all_frames_when_it_takes_over():
    with grouped_leaf("namespace") as leaf:
        leaf.advertise(*single(A, B), type2(B))
        leaf.end()
        leaf.pass_()
        with closing(Underlay()) as underlay:
            before = underlay.count(50)
            leaf.withdraw(per_segment(B, single_active=True))
            leaf.pass_()
            after = underlay.count(50)

    assert (before, after) == (Counter({B: 50}), Counter({A: 50}))


def test_a_route_per_evi_without_a_label_counts_by_its_route_target():
    """FRR 8.4 reflects routes per EVI with the label 0."""
    with grouped_leaf("memory") as leaf:
        leaf.advertise(*up(A), per_segment(B), type2(A))
        leaf.end()
        leaf.pass_()
        assert leaf.where() == ["group", A]

        leaf.advertise(per_evi(B, vni=0))
        leaf.pass_()
        assert leaf.where() == ["group", A, B]
        assert leaf.intent.touched == ()

        leaf.withdraw(per_evi(B, vni=0))
        leaf.advertise(per_evi(B, vni=0, target=FOREIGN))
        leaf.pass_()
        assert leaf.where() == ["group", A]


@pytest.mark.parametrize("flushed", [True, False], ids=["all nexthops", "the group"])
def test_flows_are_where_they_were_after_another_program_took_the_group_away(flushed):
    with grouped_leaf("namespace") as leaf:
        leaf.advertise(*up(A, B), type2(A))
        leaf.end()
        leaf.pass_()
        numbers = {one.id for one in leaf.kernel.nexthops()}
        with closing(Underlay()) as underlay:
            before = underlay.count(100)
            if flushed:
                leaf.hands.flush_nexthops()
            else:
                leaf.hands.delete_nexthop(leaf.group().number)
            without = underlay.count(5)
            leaf.engine.lose("fdb", leaf.ledger.claims("fdb"))
            hinted = {"fdb-nexthop": numbers, "fdb-group": numbers}
            run_to_end(
                leaf.engine.run(leaf.intent, leaf.now, Scope(touched={"fdb": leaf.ledger.claims("fdb")}, hinted=hinted))
            )
            after = underlay.count(100)

    assert without.total() == 0, "the kernel removes the rows with the group"
    assert (before.total(), after) == (100, before)


@pytest.mark.parametrize("what", ["a nexthop", "a group"])
def test_a_nexthop_or_group_that_the_kernel_refuses_keeps_its_rows_waiting_and_other_rows_go_on(what):
    with grouped_leaf("memory") as leaf:

        def is_it(message):
            return isinstance(message, NexthopMessage) and bool(
                message.members if what == "a group" else message.gateway
            )

        leaf.kernel.refuse(errno.ENOMEM, is_it)
        leaf.advertise(*up(A, B), type2(A), type2(C, NO_SEGMENT, macs(1)[0]))
        leaf.end()
        leaf.pass_()
        blocked = [(kind, state.split()[0]) for kind, state in leaf.troubles()]
        assert (leaf.where(), leaf.where(macs(1)[0])) == ([], [C])
        assert ("fdb", "blocked") in blocked
        assert ("fdb-group", "failed" if what == "a group" else "blocked") in blocked

        leaf.kernel.refuse(0)
        leaf.now += 120
        leaf.pass_(hinted={kind: [key for one, key in leaf.engine.troubles if one == kind] for kind, _ in blocked})
        assert (leaf.where(), leaf.troubles()) == (["group", A, B], [])
