"""What the engine does to rows, its own and everybody else's: the same in memory and on Linux."""

import errno

import pytest

from tests.contract.leaf import A, B, C, L, Leaf, M, N, station_gone, vni, written
from tests.contract.test_rows import add, delete, down, operator, operator_tunnel, pin, up
from tests.contract.worlds import LOCAL6, MACS, World, ip
from vtep.addr import Ip
from vtep.intent import Intent
from vtep.linux.ledger import LedgerFile
from vtep.linux.tables.all import KINDS
from vtep.linux.wire.neighbor import NTF_SELF, Verb
from vtep.reconcile.actor import Actor
from vtep.reconcile.claims import Claims, grouped
from vtep.reconcile.compare import adoptable, orphans
from vtep.reconcile.steps import run_to_end

EVERY_WAY = True

SELF, MASTER, EXT, STICKY = 0x02, 0x04, 0x10, 0x40


@pytest.fixture
def leaf(any_world):
    with any_world() as world:
        leaf = Leaf(world)
        leaf.pass_()
        yield leaf


def frame(world: World, mac=M, port: str = "h0") -> list:
    return world.station_sends(mac, port) or []


def another_daemon(mac=M, vtep: Ip = C):
    """What FRR writes: both halves, without PERMANENT."""
    return add(mac, vtep, flags=SELF | MASTER | EXT, state=0x42)


# Creating, changing, removing


def test_what_is_wanted_is_written_and_a_further_pass_sends_nothing(leaf: Leaf) -> None:
    leaf.want({M: A, N: B})

    report = leaf.pass_()

    assert (report.created, report.replaced, report.deleted) == (2, 0, 0)
    assert written("m", A) == leaf.rows(M)
    assert written("n", B) == leaf.rows(N)
    sent = len(leaf.kernel.sent)
    for further in (leaf.pass_, leaf.audit, leaf.survey):
        report = further()
        assert (report.applied, report.converged) == (0, True)
    assert sent == len(leaf.kernel.sent)


def test_the_same_intent_twice_and_a_new_reason_for_the_same_row_send_nothing(leaf: Leaf) -> None:
    leaf.want({M: (A, 1)})
    leaf.pass_()
    sent = len(leaf.kernel.sent)

    leaf.want({M: (A, 1)})
    leaf.pass_()
    leaf.want({M: (A, 7)})
    report = leaf.pass_()

    assert (sent, 1) == (len(leaf.kernel.sent), report.kept)


def test_a_mac_that_moves_is_changed_in_place_and_a_withdrawn_one_is_removed(leaf: Leaf) -> None:
    leaf.want({M: A, N: A})
    leaf.pass_()

    leaf.want({M: (B, 1)})
    report = leaf.pass_()

    assert (report.created, report.replaced, report.deleted) == (0, 1, 1)
    assert (written("m", B), []) == (leaf.rows(M), leaf.rows(N))
    assert not leaf.owns(N)


def test_a_small_pass_sends_without_looking(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()
    leaf.want({M: (B, 1), N: A})
    leaf.pass_()
    leaf.kernel.drain()
    leaf.want({N: (B, 1)})
    leaf.pass_()

    assert (leaf.kernel.looked, leaf.kernel.dumps) == (0, 1)


def test_a_small_pass_reads_back_what_was_hinted_at_and_where_others_were_seen(leaf: Leaf) -> None:
    leaf.meanwhile(operator(N))
    leaf.pass_()
    leaf.kernel.looked = 0

    leaf.want({M: A, N: A})
    report = leaf.pass_()

    assert (leaf.kernel.looked, report.created, report.contested) == (2, 1, 1)


def test_nothing_is_written_before_a_survey_succeeded(any_world) -> None:
    with any_world() as world:
        leaf = Leaf(world)
        leaf.meanwhile(operator(M))
        leaf.want({M: A})

        report = leaf.pass_()  # whatever its scope

        assert (leaf.kernel.dumps, report.contested) == (1, 1)
        assert leaf.rows() == ["m bridge h0 noarp"]


def test_an_ipv6_underlay_works_like_ipv4(any_world) -> None:
    with any_world(local=LOCAL6) as world:
        leaf, far = Leaf(world), Ip.parse("fd00::2")
        leaf.target.reconfigure([leaf.world.attach(vni(vtep=LOCAL6))])

        leaf.wanted_and_surveyed({M: far})

        assert written("m", far) == leaf.rows()
        leaf.wanted_and_surveyed({})
        assert leaf.rows() == []


def test_a_row_of_the_wrong_address_family_is_suppressed_and_leaves_no_half(leaf: Leaf) -> None:
    leaf.want({M: Ip.parse("fd00::2"), N: A})

    report = leaf.pass_()

    assert ([], written("n", A)) == (leaf.rows(M), leaf.rows(N))
    assert (leaf.trouble(), report.converged) == ("suppressed permanent-error", False)


# Other people's rows


def test_an_operators_tunnel_row_is_contested_and_the_row_comes_when_it_goes(leaf: Leaf) -> None:
    leaf.meanwhile(operator_tunnel(M, B))
    theirs = leaf.rows()
    leaf.want({M: A})

    report = leaf.pass_()

    assert (theirs, 1) == (leaf.rows(), report.contested)
    assert (leaf.trouble(), leaf.owns()) == ("contested foreign", False)
    leaf.meanwhile(delete(M, SELF))
    leaf.pass_()
    assert (written("m", A), "") == (leaf.rows(), leaf.trouble())


def test_creating_is_exclusive_where_the_holder_was_not_announced(leaf: Leaf) -> None:
    leaf.meanwhile(operator_tunnel(M, B))
    theirs = leaf.rows()
    leaf.kernel.drain()
    leaf.want({M: A})

    report = leaf.pass_()

    assert (theirs, "contested foreign") == (leaf.rows(), leaf.trouble())
    assert (report.created, report.contested, leaf.owns()) == (0, 1, False)
    leaf.now += 10
    assert (1, theirs) == (leaf.pass_().contested, leaf.rows())


def test_another_daemons_rows_on_the_port_are_left_alone_and_ours_beside_them(leaf: Leaf) -> None:
    leaf.meanwhile(another_daemon(M))
    theirs = leaf.rows()
    leaf.want({M: A, N: A})

    leaf.pass_()  # which does not know of it: rows written with EXT_LEARNED are not announced to us
    leaf.now += 10
    leaf.survey()

    assert (theirs, "contested foreign") == (leaf.rows(M), leaf.trouble(M))
    assert written("n", A) == leaf.rows(N)
    leaf.want({})
    leaf.pass_()
    assert (theirs, []) == (leaf.rows(M), leaf.rows(N))


@pytest.mark.parametrize("flags", [MASTER, MASTER | STICKY], ids=["static", "sticky"])
def test_a_station_pinned_to_a_local_port_is_never_taken_over(leaf: Leaf, flags: int) -> None:
    leaf.meanwhile(operator(M, "h0", flags=flags))
    theirs = leaf.rows()

    for seq in (0, 5):
        leaf.want({M: (A, seq)})
        leaf.pass_()
        leaf.survey()

    assert (theirs, "contested local-static") == (leaf.rows(), leaf.trouble())
    leaf.meanwhile(delete(M, MASTER, port="h0"))
    leaf.pass_()
    assert written("m", A) == leaf.rows()


@pytest.mark.parametrize("name", ["br0", "vx0", "h0"])
def test_the_macs_of_our_own_devices_are_never_taken_over(leaf: Leaf, name: str) -> None:
    mac = MACS[name]
    theirs = leaf.rows(mac)

    leaf.want({mac: A})
    report = leaf.pass_()

    assert (theirs, 1) == (leaf.rows(mac), report.contested)


def test_a_station_pinned_after_our_row_takes_it_and_is_kept_when_the_route_goes_and_comes_back(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()
    leaf.meanwhile(delete(M, MASTER), operator(M, "h0"))

    leaf.want({})
    leaf.pass_()
    leaf.kernel.drain()
    leaf.want({M: (B, 9)})
    report = leaf.pass_()

    assert (leaf.rows(), report.contested) == (["m bridge h0 noarp"], 1)


def test_a_row_with_our_signature_that_is_wanted_is_adopted_without_a_write(leaf: Leaf) -> None:
    leaf.meanwhile(add(M, A))

    report = leaf.wanted_and_surveyed({M: A})

    assert (report.adopted, report.applied, leaf.owns()) == (1, 0, True)
    assert leaf.kernel.sent == []


def test_a_row_with_our_signature_and_another_value_is_contested(leaf: Leaf) -> None:
    leaf.meanwhile(add(M, B))

    report = leaf.wanted_and_surveyed({M: A})

    assert (1, written("m", B), False) == (report.contested, leaf.rows(), leaf.owns())


def test_an_orphan_is_reported_and_never_deleted(leaf: Leaf) -> None:
    leaf.meanwhile(add(M, B), another_daemon(N))

    for _ in range(3):
        report = leaf.wanted_and_surveyed({L: A})

    devices = 4
    assert (1, devices + 2) == (report.orphans, report.foreign)
    assert written("m", B) == leaf.rows(M)


def test_rows_that_an_operator_adopted_are_removed_or_corrected_and_other_rows_stay(leaf: Leaf) -> None:
    """As after the loss of a ledger: one row is wanted no more, one points to where the MAC was before."""
    leaf.meanwhile(add(M, B), add(N, B), another_daemon(L))
    leaf.wanted_and_surveyed({N: A, L: A})
    actor = Actor(leaf.engine, lambda: leaf.now)

    found = run_to_end(orphans(leaf.engine, lambda: leaf.intent, lambda _: True))
    actor.adopt(found)
    report = leaf.survey()

    assert {row.what for row in found} == {"orphan", "contested"}
    assert (report.deleted, report.replaced, report.contested) == (1, 1, 1)
    assert ([], written("n", A)) == (leaf.rows(M), leaf.rows(N))


def test_half_a_row_with_our_mark_that_is_not_claimed_counts_as_nothing(leaf: Leaf) -> None:
    leaf.meanwhile(add(M, B), delete(M, SELF))

    leaf.wanted_and_surveyed({M: A})

    assert (written("m", A), True) == (leaf.rows(), leaf.owns())


def test_a_half_that_was_there_before_us_outlives_a_refusal(leaf: Leaf) -> None:
    leaf.meanwhile(another_daemon(M), delete(M, SELF))
    before = leaf.rows(M)
    leaf.kernel.refused = lambda message: errno.ENOMEM if message.verb is Verb.CREATE else 0

    leaf.wanted_and_surveyed({M: A})

    assert before == leaf.rows(M) != []


# Drift


@pytest.mark.parametrize("look", ["pass_", "audit", "survey"])
@pytest.mark.parametrize("flags", [MASTER, SELF, None], ids=["bridge half", "VXLAN half", "both"])
def test_a_row_deleted_by_hand_is_repaired(leaf: Leaf, flags: int | None, look: str) -> None:
    leaf.want({M: A})
    leaf.pass_()
    leaf.meanwhile(*(delete(M, half) for half in ((flags,) if flags else (MASTER, SELF))))
    if look == "audit":
        leaf.kernel.drain()

    report = getattr(leaf, look)()

    assert (written("m", A), 1) == (leaf.rows(), report.repaired)


@pytest.mark.parametrize("look", ["audit", "survey"])
def test_a_row_changed_by_hand_is_repaired_while_it_bears_our_mark(leaf: Leaf, look: str) -> None:
    leaf.want({M: A})
    leaf.pass_()
    leaf.meanwhile(add(M, B))

    report = getattr(leaf, look)()

    assert (written("m", A), 1, 1) == (leaf.rows(), report.repaired, report.replaced)


def test_a_row_changed_by_hand_that_lost_our_mark_is_theirs_until_they_remove_it(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()
    leaf.meanwhile(operator_tunnel(M, B, Verb.REPLACE))
    theirs = leaf.rows()

    leaf.pass_()

    assert (theirs, "contested foreign", False) == (leaf.rows(), leaf.trouble(), leaf.owns())
    leaf.meanwhile(delete(M, SELF))
    leaf.pass_()
    assert (written("m", A), "", True) == (leaf.rows(), leaf.trouble(), leaf.owns())


def test_a_withdrawn_row_that_lost_our_mark_stays_theirs(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()
    leaf.meanwhile(operator_tunnel(M, B, Verb.REPLACE))
    theirs = leaf.rows()

    leaf.want({})
    leaf.pass_()

    assert (theirs, False) == (leaf.rows(), leaf.owns())


def test_rows_that_only_a_torn_dump_lacks_are_neither_written_nor_forgotten(leaf: Leaf) -> None:
    leaf.want({M: A, N: A})
    leaf.pass_()
    leaf.meanwhile(operator(L))
    leaf.want({M: A, L: A})
    leaf.kernel.drain()
    leaf.kernel.sent.clear()

    leaf.kernel.unseen = lambda entry: entry.mac in (L, M, N)
    report = leaf.survey()

    assert {N} == {message.mac for message in leaf.kernel.sent}
    assert (report.kept, report.deleted, report.contested, leaf.rows(L)) == (1, 1, 1, ["l bridge h0 noarp"])


def test_a_mac_that_an_operator_pins_at_a_port_is_left_to_him_at_once(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()

    leaf.meanwhile(pin(M))
    leaf.pass_()

    assert (leaf.rows(), leaf.trouble()) == (["m bridge h0 noarp ext"], "contested local-static")
    assert not leaf.owns(M)


@pytest.mark.parametrize("known", [True, False], ids=["known", "hinted at"])
def test_a_station_that_only_a_torn_dump_lacks_is_not_taken_for_gone(leaf: Leaf, known: bool) -> None:
    leaf.meanwhile(operator(M))
    if known:
        leaf.pass_()

    leaf.kernel.unseen = lambda entry: entry.mac == M
    leaf.survey()
    leaf.want({M: A})
    leaf.pass_()

    assert (leaf.rows(), leaf.trouble()) == (["m bridge h0 noarp"], "contested local-static")


def test_an_audit_row_by_row_finds_what_a_survey_finds(any_world) -> None:
    found = []
    for look in ("audit", "survey"):
        with any_world() as world:
            leaf = Leaf(world)
            leaf.pass_()
            leaf.want({L: A, M: A, N: A})
            leaf.pass_()
            leaf.meanwhile(delete(L, SELF), add(M, B), operator_tunnel(N, B, Verb.REPLACE))
            report = getattr(leaf, look)()
            counts = (report.created, report.replaced, report.repaired, report.contested)
            found.append((counts, [leaf.rows(mac) for mac in (L, M, N)]))

    assert found[0] == found[1]
    assert found[0][0] == (0, 2, 2, 1)


# Stations


def test_a_station_that_roams_in_has_its_row_and_our_half_goes(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()
    frame(leaf.world)

    report = leaf.pass_()

    assert leaf.rows() == ["m bridge h0 reachable"]
    assert (report.shed, report.applied, report.contested, report.repaired) == (1, 1, 1, 0)
    assert "repaired" not in [news.what for news in leaf.engine.troubles.news]
    assert (leaf.trouble(), leaf.owns()) == ("contested local-learned", False)
    sent = len(leaf.kernel.sent)
    assert leaf.survey().converged
    assert sent == len(leaf.kernel.sent)


def test_a_waiting_row_comes_back_when_the_local_station_is_forgotten(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()
    frame(leaf.world)
    leaf.pass_()

    station_gone(leaf.world, M)
    leaf.pass_()

    assert (written("m", A), "") == (leaf.rows(), leaf.trouble())


def test_a_route_that_comes_after_the_station_takes_the_row(leaf: Leaf) -> None:
    frame(leaf.world)
    leaf.want({N: A})
    leaf.pass_()

    leaf.want({N: A, M: A})
    leaf.pass_()

    assert written("m", A) == leaf.rows()


def test_a_route_that_comes_takes_the_row_in_a_survey_as_in_a_small_pass(leaf: Leaf) -> None:
    frame(leaf.world)
    leaf.wanted_and_surveyed({N: A})

    leaf.wanted_and_surveyed({N: A, M: A})

    assert written("m", A) == leaf.rows()


def test_a_route_that_yielded_takes_the_row_back_when_its_sequence_rises_and_not_before(leaf: Leaf) -> None:
    leaf.want({M: (A, 3)})
    leaf.pass_()
    frame(leaf.world)
    leaf.pass_()

    for place in ((B, 3), (A, 2)):
        leaf.want({M: place})
        leaf.pass_()
        assert leaf.rows() == ["m bridge h0 reachable"]

    leaf.want({M: (B, 4)})
    leaf.pass_()
    assert written("m", B) == leaf.rows()


def test_at_the_start_a_station_stays_because_it_is_not_known_what_is_older(any_world) -> None:
    with any_world() as world:
        frame(world)
        leaf = Leaf(world)
        leaf.pass_()

        leaf.want({M: (A, 5)})  # all peers send all they have at once

        leaf.pass_()
        assert (leaf.rows(), leaf.trouble()) == (["m bridge h0 reachable"], "contested local-learned")
        leaf.want({M: (A, 6)})
        leaf.pass_()
        assert written("m", A) == leaf.rows()


@pytest.mark.parametrize("look", ["pass_", "survey"])
def test_at_the_start_a_station_yields_to_a_route_that_its_own_was_compared_with(any_world, look: str) -> None:
    with any_world() as world:
        frame(world)
        leaf = Leaf(world)
        leaf.pass_()
        leaf.lose(M)
        leaf.want({M: A}, complete=False)

        getattr(leaf, look)()

        assert written("m", A) == leaf.rows()


def test_a_station_that_lost_and_sends_a_frame_has_its_row_back(leaf: Leaf) -> None:
    leaf.lose(M)
    leaf.want({M: A})
    leaf.pass_()

    frame(leaf.world)
    leaf.pass_()

    assert leaf.rows() == ["m bridge h0 reachable"]


def test_a_newer_route_does_not_touch_an_operators_tunnel_row_under_the_station(leaf: Leaf) -> None:
    leaf.meanwhile(operator_tunnel(M, B))
    frame(leaf.world)
    theirs = leaf.rows()
    leaf.wanted_and_surveyed({})

    leaf.want({M: A})
    leaf.pass_()
    leaf.want({M: (A, 5)})
    leaf.pass_()

    assert (theirs, "contested foreign") == (leaf.rows(), leaf.trouble())


def test_a_newer_route_does_not_touch_another_programs_marked_half_under_the_station(leaf: Leaf) -> None:
    leaf.meanwhile(add(M, B, flags=SELF | EXT))
    frame(leaf.world)
    theirs = leaf.rows()
    leaf.wanted_and_surveyed({})

    leaf.want({M: A})
    leaf.pass_()

    assert theirs == leaf.rows()


def test_what_is_left_of_a_row_keeps_its_claim_until_it_is_gone(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()
    frame(leaf.world)
    leaf.kernel.refused = lambda _: errno.EBUSY

    report = leaf.pass_()

    assert (leaf.owns(), report.converged, leaf.trouble()) == (True, False, "failed retrying")
    leaf.kernel.refused = lambda _: 0
    leaf.now += 10
    leaf.pass_()
    assert (leaf.owns(), leaf.rows()) == (False, ["m bridge h0 reachable"])


def test_a_station_and_a_withdrawal_in_one_pass_leave_nothing_of_ours(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()
    frame(leaf.world)

    leaf.want({})
    leaf.pass_()

    assert (leaf.rows(), leaf.owns()) == (["m bridge h0 reachable"], False)


def test_a_half_that_goes_by_itself_before_we_remove_it_is_no_error(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()
    frame(leaf.world)
    leaf.kernel.refused = lambda message: errno.ENOENT if message.flags & NTF_SELF else 0

    report = leaf.pass_()

    assert (report.converged, leaf.owns()) == (True, False)


# The picture


def test_before_the_picture_is_complete_rows_are_written_and_none_goes(leaf: Leaf) -> None:
    leaf.want({M: A}, complete=False)
    leaf.pass_()
    leaf.want({N: A}, complete=False)

    report = leaf.pass_()

    assert (written("m", A), written("n", A)) == (leaf.rows(M), leaf.rows(N))
    assert (report.held, report.deleted, leaf.trouble(), report.converged) == (1, 0, "held held", True)
    leaf.wanted_and_surveyed({N: A})
    assert (leaf.rows(M), leaf.owns()) == ([], False)


def test_what_a_roaming_station_left_of_our_row_stays_until_the_picture_is_complete(leaf: Leaf) -> None:
    leaf.want({M: A}, complete=False)
    leaf.pass_()
    frame(leaf.world)
    leaf.pass_()

    assert (len(leaf.rows()), leaf.owns(), leaf.trouble()) == (2, True, "contested local-learned")
    leaf.wanted_and_surveyed({M: A})
    assert (leaf.rows(), leaf.owns()) == (["m bridge h0 reachable"], False)


@pytest.mark.parametrize(
    ("place", "goes"),
    [((B, 4), False), ((B, 5), False), ((B, 6), True)],
    ids=["a lower sequence", "the same sequence and a higher VTEP", "a higher sequence"],
)
def test_a_claim_of_an_earlier_daemon_yields_before_completeness_to_what_beats_it(any_world, place, goes: bool) -> None:
    with any_world() as world:
        earlier = Leaf(world)
        earlier.wanted_and_surveyed({M: (A, 5)})
        later = Leaf(world, a_life_later(earlier))

        later.wanted_and_surveyed({M: place}, complete=False)

        assert written("m", B if goes else A) == later.rows()
        assert ("" if goes else "held held") == later.trouble()
        later.wanted_and_surveyed({M: place})
        assert written("m", B) == later.rows()


def test_the_first_peer_to_answer_does_not_lower_what_a_claim_knew(any_world) -> None:
    with any_world() as world:
        earlier = Leaf(world)
        earlier.wanted_and_surveyed({M: (A, 5)})
        later = Leaf(world, a_life_later(earlier))

        later.wanted_and_surveyed({M: (A, 3)}, complete=False)
        later.wanted_and_surveyed({M: (B, 4)}, complete=False)

        assert written("m", A) == later.rows()


def test_after_a_restart_rows_that_are_still_right_are_not_written(any_world) -> None:
    with any_world() as world:
        earlier = Leaf(world)
        earlier.wanted_and_surveyed({M: A, N: A})
        later = Leaf(world, a_life_later(earlier))

        report = later.wanted_and_surveyed({M: A, N: A})

        assert (report.applied, report.adopted, report.kept) == (0, 0, 2)
        assert later.kernel.sent == []


def a_life_later(earlier: Leaf) -> Claims:
    """The claims as a file gives them back: it is no longer known which of them were confirmed."""
    claims = Claims()
    claims.claim("fdb", grouped((key, claim.row, claim.rank) for key, claim in earlier.ledger.claims("fdb").items()))
    return claims


# Devices


def test_a_vni_that_is_not_ready_keeps_its_rows(leaf: Leaf) -> None:
    leaf.want({M: A, N: A})
    leaf.pass_()
    leaf.meanwhile(down("vx0"))

    leaf.want({M: A})
    report = leaf.pass_()

    assert (report.not_ready, report.pending) == ({100: ("device-down",)}, 1)
    assert (leaf.trouble(M), leaf.trouble(N), report.converged) == ("pending not-ready", "", False)
    assert (written("m", A), written("n", A)) == (leaf.rows(M), leaf.rows(N))
    leaf.meanwhile(up("vx0"))
    report = leaf.pass_()
    assert (written("m", A), [], 0, True) == (leaf.rows(M), leaf.rows(N), report.pending, report.converged)


def test_a_row_that_is_no_longer_wanted_is_not_pending(leaf: Leaf) -> None:
    leaf.meanwhile(down("vx0"))
    leaf.want({M: A})
    leaf.pass_()

    leaf.want({})
    report = leaf.pass_()

    assert (report.pending, leaf.trouble()) == (0, "")


def test_a_port_that_left_the_bridge_and_came_back_gets_its_bridge_rows_again(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()
    leaf.world.set_master("vx0", None)
    leaf.pass_()

    leaf.world.set_master("vx0", "br0")
    make_fit(leaf.world)
    leaf.pass_()

    assert written("m", A) == leaf.rows()


def make_fit(world: World) -> None:
    """A port that joins a bridge learns until that is switched off."""
    if hasattr(world, "memory"):
        port = world.memory.links().by_name["vx0"].bridge_port
        world.memory.change("vx0", bridge_port=type(port)(learning=False, vlan_tunnel=port.vlan_tunnel, state=3))
    else:
        ip("link set vx0 type bridge_slave learning off")


def test_the_rows_of_a_vni_that_left_the_configuration_are_removed(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()

    leaf.target.reconfigure([])
    leaf.wanted_and_surveyed({})

    assert (leaf.rows(), leaf.owns()) == ([], False)


def test_the_rows_of_a_vni_that_lost_its_bridge_are_removed_although_its_routes_stay(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()

    leaf.target.reconfigure([leaf.world.attach(vni(bridge=""))])
    report = leaf.survey()

    assert (leaf.rows(), leaf.owns(), report.deleted) == ([], False, 1)
    leaf.target.reconfigure([leaf.world.attach(vni())])
    leaf.survey()
    assert written("m", A) == leaf.rows()


# Limits


def test_a_full_device_stops_new_rows_for_the_pass_leaves_no_halves_and_reports_it(any_world) -> None:
    with any_world(max_addresses=1) as world:
        leaf = Leaf(world)
        leaf.pass_()
        leaf.want({L: A, M: A, N: A})

        report = leaf.pass_()

        there = {mac for mac in (L, M, N) if leaf.rows(mac)}
        assert (report.created, report.failed, len(there)) == (1, 2, 1)
        lacking = sorted({L, M, N} - there)
        assert [leaf.trouble(mac) for mac in lacking] == ["failed retrying"] * 2
        leaf.now += 10
        leaf.want(dict.fromkeys(lacking[:1], A))
        leaf.pass_()  # makes room only at its end
        leaf.now += 10
        assert leaf.pass_().converged
        assert len(leaf.rows(lacking[0])) == 2


# Another daemon's rows that an operator hands over


def frr(mac=M, vtep: Ip = A, state: int = 0x42):
    """What FRR writes: 8 with the state 0x42, and 10 with 0x02."""
    return another_daemon(mac, vtep) if state == 0x42 else add(mac, vtep, flags=SELF | MASTER | EXT, state=state)


def hand_over(leaf: Leaf, *, all_of_them: bool = False) -> list[str]:
    look = adoptable(leaf.engine, lambda: leaf.intent, lambda _: True, all_of_them=all_of_them)
    found = run_to_end(look)
    Actor(leaf.engine, lambda: leaf.now).adopt(found)
    return [row.what for row in found]


@pytest.mark.parametrize("state", [0x42, 0x02], ids=["FRR 8", "FRR 10"])
def test_a_row_of_another_daemon_that_is_as_wanted_is_adoptable_and_taken_over_without_a_message(leaf, state) -> None:
    leaf.meanwhile(frr(M, A, state), frr(N, B, state))
    report = leaf.wanted_and_surveyed({M: A, N: A})
    before = leaf.rows()
    assert (report.contested, leaf.trouble(M), leaf.trouble(N)) == (2, "contested adoptable", "contested foreign")

    assert len(hand_over(leaf)) == 1
    report = leaf.survey()

    assert (leaf.owns(M), leaf.owns(N), report.contested, leaf.trouble(M)) == (True, False, 1, "")
    assert (leaf.kernel.sent, leaf.rows()) == ([], before)


def test_a_row_that_was_handed_over_follows_its_routes_in_place_and_goes_with_them(leaf: Leaf) -> None:
    leaf.meanwhile(frr(M, A))
    leaf.wanted_and_surveyed({M: A})
    hand_over(leaf)
    leaf.survey()

    leaf.want({M: (B, 1)})
    report = leaf.pass_()
    assert (report.replaced, leaf.rows()) == (
        1,
        ["m bridge vx0 reachable ext", "m vxlan vx0 reachable noarp ext 10.0.0.3"],
    )
    assert leaf.audit().converged

    leaf.want({})
    assert (leaf.pass_().deleted, leaf.rows(), leaf.owns()) == (1, [], False)


def test_stale_rows_of_a_daemon_that_was_killed_are_corrected_or_removed(leaf: Leaf) -> None:
    leaf.meanwhile(frr(M, A), frr(N, B), frr(L, A), operator_tunnel(MACS["h1"]))
    leaf.wanted_and_surveyed({M: A, N: A})

    assert sorted(hand_over(leaf, all_of_them=True)) == ["contested", "contested", "unwanted"]
    report = leaf.survey()

    assert (report.replaced, report.deleted, report.contested) == (1, 1, 0)
    assert (leaf.rows(N)[1], leaf.rows(L)) == ("n vxlan vx0 reachable noarp ext 10.0.0.2", [])


def test_a_row_that_was_handed_over_is_still_ours_in_the_next_life(any_world, tmp_path) -> None:
    with any_world() as world:
        ledger = LedgerFile(tmp_path / "ledger", KINDS, {})
        leaf = Leaf(world, ledger, Intent())
        leaf.meanwhile(frr(M, A))
        leaf.wanted_and_surveyed({M: A})
        hand_over(leaf)
        ledger.close()

        again = Leaf(world, LedgerFile(tmp_path / "ledger", KINDS, {}), Intent())
        report = again.wanted_and_surveyed({M: A})
        assert (report.contested, again.owns(), again.kernel.sent) == (0, True, [])
        report = again.wanted_and_surveyed({})

        assert (report.deleted, again.rows()) == (1, [])


def test_what_the_other_daemon_takes_back_is_no_longer_ours_when_nothing_was_handed_over(leaf: Leaf) -> None:
    leaf.want({M: A})
    leaf.pass_()

    leaf.meanwhile(delete(M), frr(M, A))
    leaf.survey()

    assert (leaf.trouble(M), leaf.owns(M)) == ("contested adoptable", False)


def test_a_row_that_was_gone_is_there_since_it_was_written_again(leaf: Leaf) -> None:
    """As after a device was made again: the row is as it was, and not as old."""
    leaf.want({M: A})
    leaf.pass_()
    first = leaf.ledger.claims("fdb")[100, M].since.time

    leaf.now += 60
    leaf.meanwhile(delete(M))
    leaf.pass_()

    assert (written("m", A), first + 60) == (leaf.rows(), leaf.ledger.claims("fdb")[100, M].since.time)
