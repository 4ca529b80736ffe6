"""What everyone may read, of a listener fed with lines and an actor on the kernel in memory."""

import errno

import pytest

from tests.lab.memory import CONFIG, MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Esi, Mac, Vni
from vtep.evpn.ead import PER_ES_TAG
from vtep.evpn.station import Station
from vtep.linux.wire.neighbor import NTF_MASTER, NUD_NOARP, Half, Neighbor, Verb
from vtep.observe import compare, observer
from vtep.observe.source import MacQuery
from vtep.reconcile.claims import grouped
from vtep.reconcile.observing import AGE_S

A, B = "10.0.0.1", "10.0.0.2"
ONE, TWO, THREE = (f"02:00:00:00:00:0{number}" for number in (1, 2, 3))


@pytest.fixture
def rig():
    with MemoryLeaf() as rig:
        rig.step()
        rig.come_up(A, B)
        yield rig


@pytest.fixture
def waiting_leaf():
    """A leaf of which one peer never comes, so that nothing is deleted."""
    with MemoryLeaf(CONFIG.replace('["10.0.0.1"]', '["10.0.0.1", "10.0.0.3"]')) as rig:
        rig.step()
        rig.come_up(A, B)
        yield rig


def announce(rig, vtep, *macs, seq=None):
    rig.receive(rig.lines.announce(vtep, *(Instance(vtep).mac(mac, seq=seq) for mac in macs)))


def written(rig):
    """How many are wanted, installed, failed and pending, which the VNI and the whole tell alike."""
    [vni] = rig.observer.vnis()
    counts = rig.observer.status().kinds["mac"]
    assert counts == vni.macs
    return counts.wanted, counts.installed, counts.failed, counts.pending


def states(rig):
    return {mac: (row.sync.state, row.sync.reason) for mac, row in rig.macs().items()}


def test_a_row_that_is_there_has_its_vtep_its_time_and_its_generation(rig):
    announce(rig, A, ONE)

    row = rig.macs()[ONE]
    assert (str(row.vtep), row.reason, row.sync.state) == (A, "only-path", "installed")
    assert (row.sync.since, row.sync.generation) == (1000.0, rig.leaf.intent.generation)


def test_vteps_that_a_mac_has_left_leave_nothing_behind(rig):
    """A peer may name another VTEP in each route, for as long as it likes."""
    for number in range(1, 6):
        rig.receive(rig.lines.announce(A, Instance(f"10.0.1.{number}", rd="10.0.0.1:100").mac(ONE)))

    assert [(str(vtep), count) for (_, vtep), count in rig.observer._counts.macs.items()] == [("10.0.1.5", 1)]


def test_pages_go_on_after_the_last_key_and_know_the_total(rig):
    announce(rig, A, ONE, TWO, THREE)

    first = rig.observer.macs(MacQuery(), None, 2)
    rest = rig.observer.macs(MacQuery(), first.last, 2)

    assert [str(row.mac) for row in (*first.rows, *rest.rows)] == [ONE, TWO, THREE]
    assert (first.total, rest.last) == (3, None)


def test_a_table_that_was_listed_before_follows_what_comes_and_goes(rig):
    announce(rig, A, ONE, TWO)
    assert list(rig.macs()) == [ONE, TWO]

    announce(rig, A, THREE)
    rig.receive(rig.lines.withdraw(A, Instance(A).mac(ONE).nlri))

    assert list(rig.macs()) == [TWO, THREE]


def test_a_move_is_in_the_journal_with_both_vteps(rig):
    announce(rig, A, ONE, seq=1)
    announce(rig, B, ONE, seq=2)

    [move] = rig.events("move")
    assert (str(move.vtep_before), str(move.vtep), move.reason) == (A, B, "higher-seq")
    assert rig.observer.figures().moves == {100: 1}


def test_a_move_to_a_port_here_and_away_from_it_is_in_the_journal_as_well(rig):
    rig.leaf.set_advertising(frozenset({Vni(100)}))
    announce(rig, A, ONE, seq=1)
    rig.leaf.learn_stations([Station(Vni(100), Mac.parse(ONE), "swp1"), Station(Vni(100), Mac.parse(TWO), "swp1")])
    rig.judge()
    announce(rig, A, ONE, seq=3)

    here, away = rig.events("move")
    assert (str(here.vtep_before), str(here.vtep), here.text) == (A, "10.0.0.99", "sequence 2, learned at a port here")
    assert (str(away.vtep_before), str(away.vtep), away.reason) == ("10.0.0.99", A, "higher-seq")
    assert rig.observer.figures().moves == {100: 2}


def test_a_station_is_explained_with_its_port_and_against_whom_it_won_or_lost(rig):
    rig.leaf.set_advertising(frozenset({Vni(100)}))
    announce(rig, A, ONE, seq=1)
    rig.leaf.learn_stations([Station(Vni(100), Mac.parse(ONE), "swp1")])
    rig.judge()
    won = rig.explain(ONE)
    announce(rig, A, ONE, seq=2)
    lost = rig.explain(ONE)

    assert won.summary == "Here, on port swp1 (higher-seq): to be advertised with sequence number 2."
    assert [(one.verdict, one.port) for one in won.candidates] == [("won", "swp1"), ("lost", "")]
    assert lost.summary.startswith("Behind 10.0.0.1 (lower-vtep)")
    assert [one.text for one in lost.candidates if one.port] == [
        "Learned here on port swp1. The sequence numbers are equal, and 10.0.0.1 is the lower address."
    ]


def test_peers_are_in_the_journal_once_for_each_change(rig):
    rig.receive(rig.lines.down(B, "hold timer expired"))
    rig.judge()

    assert [(entry.kind, str(entry.peer), entry.reason) for entry in rig.events("peer-up", "peer-down")] == [
        ("peer-up", A, ""),
        ("peer-up", B, ""),
        ("peer-down", B, "hold timer expired"),
    ]


def test_a_session_that_our_side_reset_is_a_problem_that_names_the_reason_until_end_of_rib(rig):
    announce(rig, A, ONE)
    rig.receive(rig.lines.down(A, "notification sent (3,5)"))
    [alert] = rig.events("alert")
    status = rig.observer.status()
    rig.receive(rig.lines.opened(A, 120), rig.lines.up(A), rig.lines.end_of_rib(A))

    why = "this side ended the session once because of an UPDATE that it could not read: NOTIFICATION 3/5, Attribute Length Error"
    assert (str(alert.peer), alert.reason, alert.text) == (A, "session-reset", why)
    assert f"peer {A}: {why}; routes that it does not send again are kept as stale for a while" in status.problems
    assert (status.feed.peers[0].stale, status.feed.peers[0].reason) == (1, f"{why}; notification sent (3,5)")
    assert not any("this side" in problem for problem in rig.observer.status().problems)


def test_a_limit_that_is_reached_is_an_alert_once_and_a_note_of_its_vni():
    with MemoryLeaf(f"{CONFIG}[limits]\nmacs_per_vni = 1\nroutes_per_peer = 2\n") as rig:
        rig.come_up(A)
        announce(rig, A, ONE, TWO, THREE)
        announce(rig, A, "02:00:00:00:00:04")
        [vni], [peer] = rig.observer.vnis(), rig.observer.status().feed.peers

        alerts = [(entry.vni, entry.peer and str(entry.peer), entry.reason) for entry in rig.events("alert")]

        assert alerts == [(100, None, "limit"), (None, A, "limit")]
        assert (vni.limited, "limit: 1 MACs have no row" in vni.notes, peer.limited) == (1, True, 2)


def test_a_vni_near_its_limit_of_vteps_and_one_at_it_are_alerts_once_and_a_note():
    with MemoryLeaf(f"{CONFIG}[limits]\nvteps_per_vni = 5\n") as rig:
        rig.come_up(A)
        notes = []
        for number in (1, 2, 3, 4, 5, 6, 7):
            vtep = f"10.0.0.{number}"
            rig.receive(rig.lines.announce(A, Instance(vtep).flood()))
            [vni] = rig.observer.vnis()
            notes.append([note for note in vni.notes if "vtep-limit" in note])

        alerts = [(entry.vni, entry.reason) for entry in rig.events("alert")]

        assert alerts == [(100, "near-vtep-limit"), (100, "vtep-limit")]
        assert notes[:3] == [[], [], []]
        assert notes[3] == ["near-vtep-limit: 4 flood rows of 5 (limits.vteps_per_vni)"]
        assert notes[6] == ["vtep-limit: 2 VTEPs have no flood row"]
        assert (vni.vteps_limited, vni.vteps_used) == (2, 1.0)
        assert "VNI 100: vtep-limit: 2 VTEPs have no flood row" in rig.observer.status().problems


def test_macs_without_a_group_for_want_of_room_are_a_note_of_their_vni_and_a_problem():
    with MemoryLeaf(f"{CONFIG}[limits]\nsegment_groups = 1\n") as rig:
        rig.come_up(A)
        leaf = Instance(A)
        for number, mac in enumerate((ONE, TWO, THREE)):
            esi = Esi(b"\x03" + bytes(6) + number.to_bytes(3))
            rig.receive(rig.lines.announce(A, leaf.ethernet_ad(esi, tag=PER_ES_TAG), leaf.mac(mac, esi=esi)))
        [vni] = rig.observer.vnis()

        assert vni.notes[1:] == ("group-limit: 2 MACs on segments go to one VTEP each (limits.segment_groups)",)
        assert f"VNI 100: {vni.notes[1]}" in rig.observer.status().problems
        assert {state for state, _ in states(rig).values()} == {"installed"}


def test_a_holder_is_named_in_the_row_the_journal_and_the_explanation(rig):
    port = rig.kernel.add_port("port99", "br100")
    rig.kernel.send([Neighbor(Verb.CREATE, port, Mac.parse(ONE), NTF_MASTER, NUD_NOARP)])
    rig.survey()
    announce(rig, A, ONE)

    assert states(rig)[ONE] == ("contested", "local-static")
    assert rig.macs()[ONE].sync.text == "a static entry on port99"
    [contested] = rig.events("contested")
    assert contested.text == "a static entry on port99"
    assert "port99 has the row" in rig.explain(ONE).summary


def test_a_refusal_has_its_errno_and_its_next_try(rig):
    rig.kernel.refuse(errno.ENOBUFS)
    announce(rig, A, ONE)

    sync = rig.macs()[ONE].sync
    assert (sync.state, sync.reason, sync.errno) == ("failed", "retrying", errno.ENOBUFS)
    assert sync.next_try is not None
    assert "ENOBUFS" in rig.explain(ONE).summary
    assert rig.observer.status().kinds["mac"].failed == 1


def test_while_a_device_is_down_nothing_there_counts_as_installed(rig):
    announce(rig, A, ONE, TWO)
    rig.kernel.set_up("vxlan100", False)
    rig.survey()

    [vni] = rig.observer.vnis()
    explanation = rig.explain(ONE)
    assert (vni.state, vni.reasons) == ("not-ready", ("device-down",))
    assert states(rig) == dict.fromkeys((ONE, TWO), ("pending", "not-ready"))
    assert (vni.macs.installed, vni.macs.pending) == (0, 2)
    assert (explanation.kernel.state, explanation.desired.sync.since) == ("unknown", None)


def test_a_device_that_is_fit_again_is_in_the_journal(rig):
    for up in (False, True):
        rig.kernel.set_up("vxlan100", up)
        rig.survey()

    assert [(entry.kind, entry.text) for entry in rig.events("vni-not-ready", "vni-ready")] == [
        ("vni-not-ready", "device-down"),
        ("vni-ready", ""),
    ]


def test_a_row_that_another_program_removed_is_written_again_and_counted_as_repaired(rig):
    announce(rig, A, ONE)
    rig.strike(ONE)
    assert rig.kernel.get(rig.port("vxlan100"), Mac.parse(ONE), Half.VXLAN) is None
    rig.survey()

    assert rig.kernel.get(rig.port("vxlan100"), Mac.parse(ONE), Half.VXLAN) is not None
    assert len(rig.events("repaired")) == 1
    assert rig.observer.figures().repaired == {"mac": 1}


def test_a_duplicate_is_alerted_once_and_counted_in_its_vni(rig):
    for seq in range(1, 9):
        announce(rig, (A, B)[seq % 2], ONE, seq=seq)

    assert [entry.reason for entry in rig.events("duplicate")] == ["dup-warn"]
    assert rig.observer.vnis()[0].duplicates == 1
    assert rig.explain(ONE).moves >= 5


def test_routes_that_lost_name_the_winner(rig):
    announce(rig, A, ONE, seq=1)
    announce(rig, B, ONE, seq=2)

    won, lost = rig.explain(ONE).candidates
    assert (won.verdict, str(won.vtep)) == ("won", B)
    assert (lost.verdict, lost.text) == ("lost", f"{B} has a higher sequence number: the MAC moved there later.")


def test_a_refused_route_has_no_note_of_an_import_that_did_not_happen(rig):
    rig.receive(rig.lines.announce(A, Instance(A, targets=("65000:999",)).mac(ONE)))

    [refused] = rig.explain(ONE).candidates
    assert (refused.reason, refused.notes) == ("rt-mismatch", ())


def test_a_mac_that_no_peer_advertises_is_explained(rig):
    explanation = rig.explain(ONE)

    assert (explanation.vni, explanation.candidates, explanation.kernel.state) == (100, (), "absent")
    assert explanation.summary == "Not received: no peer advertises it."


def test_a_mac_of_two_vnis_is_explained_in_both():
    second = CONFIG[CONFIG.index("[[vni]]") :].replace("100", "200")
    with MemoryLeaf(CONFIG + second) as rig:
        rig.step()
        rig.come_up(A)
        announce(rig, A, ONE)
        rig.receive(rig.lines.announce(A, Instance(A, vni=200, targets=("65000:200",)).mac(ONE)))

        assert [told.vni for told in rig.wait_for(rig.observer.explain(Mac.parse(ONE), None)).explanations] == [
            100,
            200,
        ]
        assert rig.explain(ONE, vni=200).desired.sync.state == "installed"


def test_a_vni_without_a_bridge_is_shown_and_suppressed():
    unbound = "\n".join(line for line in CONFIG.splitlines() if not line.startswith(("bridge", "vxlan")))
    second = CONFIG[CONFIG.index("[[vni]]") :].replace("100", "200")
    with MemoryLeaf(f"{unbound}\n{second}") as rig:
        rig.step()
        rig.come_up(A)
        announce(rig, A, ONE)

        assert states(rig)[ONE] == ("suppressed", "unbound")
        assert rig.observer.vnis()[0].state == "unbound"


def test_a_vni_that_is_not_configured_is_unknown_and_said_not_to_be_here(rig):
    announce(rig, A, ONE)

    explanation = rig.explain(ONE, vni=999)

    assert (explanation.vni_state, explanation.desired) == ("unknown", None)
    assert explanation.summary == "VNI 999 is not configured here."


def test_a_row_that_is_held_and_no_longer_wanted_does_not_count_as_installed(waiting_leaf):
    rig = waiting_leaf
    announce(rig, A, ONE, TWO)
    rig.receive(rig.lines.withdraw(A, Instance(A).mac(ONE).nlri))
    assert rig.actor.engine.troubles.counts()["held"] == 1

    rig.leaf.receive(rig.reader.read([rig.lines.announce(A, Instance(A).mac(THREE))]), rig.now)
    rig.judge()

    assert written(rig) == (2, 1, 0, 1)
    assert [states(rig)[mac][0] for mac in (TWO, THREE)] == ["installed", "pending"]


def test_a_row_of_an_earlier_life_that_is_held_takes_nothing_from_those_installed(waiting_leaf):
    rig = waiting_leaf
    announce(rig, A, ONE, TWO)
    rig.receive(rig.lines.withdraw(A, Instance(A).mac(ONE).nlri))
    with MemoryLeaf(before=rig) as next_life:
        ledger = next_life.actor.engine.ledger
        earlier = rig.actor.engine.ledger.claims("fdb")
        ledger.claim("fdb", grouped((key, claim.row, 0) for key, claim in earlier.items()))
        next_life.step()
        announce(next_life, A, TWO)

        assert next_life.actor.engine.troubles.counts()["held"] == 1
        assert written(next_life) == (1, 1, 0, 0)


def test_a_refused_deletion_is_failed_and_takes_nothing_from_those_installed(rig):
    announce(rig, A, ONE, TWO)
    rig.kernel.refuse(errno.EBUSY)
    rig.receive(rig.lines.withdraw(A, Instance(A).mac(ONE).nlri))

    assert states(rig) == {TWO: ("installed", "")}
    assert written(rig) == (1, 1, 1, 0)


def test_without_the_right_to_write_the_dataplane_is_off_and_says_why(rig):
    rig.observer.may_write = False

    assert rig.observer.status().dataplane.why == "CAP_NET_ADMIN is missing"


def test_diff_compares_with_what_is_there(rig):
    announce(rig, A, ONE, TWO)
    assert rig.wait_for(rig.observer.diff(None)).differences == ()

    rig.kernel.set_up("vxlan100", False)
    found = rig.wait_for(rig.observer.diff(Vni(100))).differences

    assert [(row.difference, row.key, row.wanted, row.reason) for row in found] == [
        ("missing", ONE, f"to {A}", "not-ready"),
        ("missing", TWO, f"to {A}", "not-ready"),
    ]
    assert rig.wait_for(rig.observer.diff(Vni(7))).differences == ()


def test_diff_counts_only_what_was_asked_for_among_those_it_leaves_out(rig, monkeypatch):
    monkeypatch.setattr(compare, "DIFFERENCES_MAX", 1)
    announce(rig, A, ONE, TWO)
    rig.kernel.set_up("vxlan100", False)
    rig.survey()
    rig.step()
    diff = lambda *asked: rig.wait_for(rig.observer.diff(*asked))

    assert (len(diff(None).differences), diff(None).left_out) == (1, 1)
    assert (diff(Vni(7)).differences, diff(Vni(7)).left_out) == ((), 0)
    assert (diff(None, 60.0).differences, diff(None, 60.0).left_out) == ((), 0)
    rig.now += 61
    assert (len(diff(None, 60.0).differences), diff(None, 60.0).left_out) == (1, 1)


# Those who watch


def test_a_watcher_gets_rows_that_changed_rows_that_went_and_what_happened(rig):
    announce(rig, A, ONE)
    assert rig.observer.revision >= 0  # from here on a client may ask what comes after it
    rig.observer.cut()
    after = rig.observer.revision
    announce(rig, A, TWO)
    announce(rig, B, TWO, seq=4)
    rig.receive(rig.lines.withdraw(A, Instance(A).mac(ONE).nlri))
    rig.observer.cut()

    batch = rig.wait_for(anext(rig.observer.batches(after)))

    assert [(str(row.mac), str(row.vtep), row.sync.state) for row in batch.macs] == [(TWO, B, "installed")]
    assert [str(mac) for _, mac in batch.gone] == [ONE]
    assert [entry.kind for entry in batch.entries] == ["move"]


def test_nothing_is_collected_without_a_watcher(rig):
    announce(rig, A, ONE)
    rig.observer.cut()

    assert not rig.observer.collecting
    assert rig.actor.engine.troubles.changed_rows is None


def test_a_watcher_that_comes_back_after_a_time_without_watchers_has_missed_something(rig):
    before = rig.observer.revision
    rig.now += 3600
    announce(rig, A, ONE)

    assert rig.wait_for(anext(rig.observer.batches(before))) is None


def test_a_station_of_this_leaf_is_explained_with_its_port(rig):
    rig.kernel.add_port("port99", "br100")
    rig.kernel.station_sends(Mac.parse(ONE), "port99")
    rig.survey()

    explanation = rig.explain(ONE)
    assert (explanation.kernel.state, explanation.desired) == ("foreign", None)
    assert "it is on a port of this leaf (a learned station on port99)" in explanation.summary


def test_a_duplicate_names_both_vteps_and_every_move_although_one_has_withdrawn_it():
    with MemoryLeaf(CONFIG) as rig:
        rig.step()
        rig.come_up("10.0.0.1", "10.0.0.2")
        for seq in range(9):
            vtep, other = ("10.0.0.1", "10.0.0.2")[:: 1 if seq % 2 else -1]
            rig.receive(rig.lines.announce(vtep, Instance(vtep).mac("02:00:00:00:00:0a", seq=seq)))
            rig.receive(rig.lines.withdraw(other, Instance(other).mac("02:00:00:00:00:0a", seq=seq).nlri))
        [told] = rig.wait_for(rig.observer.explain(Mac.parse("02:00:00:00:00:0a"), None)).explanations

    assert "moved 8 times recently, between 10.0.0.1 and 10.0.0.2" in told.summary


def test_many_differences_of_an_observer_are_counted_again_when_it_has_rested(rig, monkeypatch):
    monkeypatch.setattr(observer, "COUNTED_A_SECOND", 1)
    rig.observer.observes = True
    rig.kernel.refuse(errno.EBUSY)
    announce(rig, A, ONE, TWO)
    rig.now += AGE_S
    counted = rig.observer.status().dataplane.differences
    troubles = len(rig.actor.engine.troubles)

    rig.actor.engine.troubles.clear(next(iter(rig.actor.engine.troubles)))
    at_once = rig.observer.status().dataplane.differences
    rig.now += troubles
    later = rig.observer.status().dataplane.differences

    assert sum(counted.values()) == troubles > 0
    assert at_once == counted
    assert sum(later.values()) == troubles - 1
