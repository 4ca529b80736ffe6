"""What everyone may read, of a listener fed with lines and an actor on the kernel in memory."""

import errno

import pytest

from tests.lab.memory import CONFIG, MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Mac, Vni
from vtep.evpn.station import Station
from vtep.linux.wire.neighbor import NTF_MASTER, NUD_NOARP, Half, Neighbour, Verb
from vtep.observe.source import MacQuery
from vtep.reconcile.claims import alike

A, B = "10.0.0.1", "10.0.0.2"
ONE, TWO, THREE = (f"02:00:00:00:00:0{number}" for number in (1, 2, 3))


@pytest.fixture
def leaf():
    with MemoryLeaf() as leaf:
        leaf.step()
        leaf.come_up(A, B)
        yield leaf


@pytest.fixture
def waiting_leaf():
    """A leaf of which one peer never comes, so that nothing is deleted."""
    with MemoryLeaf(CONFIG.replace('["10.0.0.1"]', '["10.0.0.1", "10.0.0.3"]')) as leaf:
        leaf.step()
        leaf.come_up(A, B)
        yield leaf


def announce(leaf, vtep, *macs, seq=None):
    leaf.hear(leaf.lines.announce(vtep, *(Instance(vtep).mac(mac, seq=seq) for mac in macs)))


def written(leaf):
    """How many are wanted, installed, failed and pending, which the VNI and the whole tell alike."""
    [vni] = leaf.observer.vnis()
    counts = leaf.observer.status().kinds["mac"]
    assert counts == vni.macs
    return counts.wanted, counts.installed, counts.failed, counts.pending


def states(leaf):
    return {mac: (row.sync.state, row.sync.reason) for mac, row in leaf.macs().items()}


def test_a_row_that_is_there_has_its_vtep_its_time_and_its_generation(leaf):
    announce(leaf, A, ONE)

    row = leaf.macs()[ONE]
    assert (str(row.vtep), row.reason, row.sync.state) == (A, "only-path", "installed")
    assert (row.sync.since, row.sync.generation) == (1000.0, leaf.listener.intent.generation)


def test_pages_go_on_after_the_last_key_and_know_the_total(leaf):
    announce(leaf, A, ONE, TWO, THREE)

    first = leaf.observer.macs(MacQuery(), None, 2)
    rest = leaf.observer.macs(MacQuery(), first.last, 2)

    assert [str(row.mac) for row in (*first.rows, *rest.rows)] == [ONE, TWO, THREE]
    assert (first.total, rest.last) == (3, None)


def test_a_table_that_was_listed_before_follows_what_comes_and_goes(leaf):
    announce(leaf, A, ONE, TWO)
    assert list(leaf.macs()) == [ONE, TWO]

    announce(leaf, A, THREE)
    leaf.hear(leaf.lines.withdraw(A, Instance(A).mac(ONE).nlri))

    assert list(leaf.macs()) == [TWO, THREE]


def test_a_move_is_in_the_journal_with_both_vteps(leaf):
    announce(leaf, A, ONE, seq=1)
    announce(leaf, B, ONE, seq=2)

    [move] = leaf.events("move")
    assert (str(move.vtep_before), str(move.vtep), move.reason) == (A, B, "higher-seq")
    assert leaf.observer.figures().moves == {100: 1}


def test_a_move_to_a_port_here_and_away_from_it_is_in_the_journal_as_well(leaf):
    leaf.listener.may_announce(frozenset({Vni(100)}))
    announce(leaf, A, ONE, seq=1)
    leaf.listener.hear_stations([Station(Vni(100), Mac.parse(ONE), "swp1"), Station(Vni(100), Mac.parse(TWO), "swp1")])
    leaf.judge()
    announce(leaf, A, ONE, seq=3)

    here, away = leaf.events("move")
    assert (str(here.vtep_before), str(here.vtep), here.text) == (A, "10.0.0.99", "sequence 2, heard at a port here")
    assert (str(away.vtep_before), str(away.vtep), away.reason) == ("10.0.0.99", A, "higher-seq")
    assert leaf.observer.figures().moves == {100: 2}


def test_a_station_is_explained_with_its_port_and_against_whom_it_won_or_lost(leaf):
    leaf.listener.may_announce(frozenset({Vni(100)}))
    announce(leaf, A, ONE, seq=1)
    leaf.listener.hear_stations([Station(Vni(100), Mac.parse(ONE), "swp1")])
    leaf.judge()
    won = leaf.explain(ONE)
    announce(leaf, A, ONE, seq=2)
    lost = leaf.explain(ONE)

    assert won.summary == "Here, behind port swp1 (higher-seq): to be announced with sequence 2."
    assert [(one.verdict, one.port) for one in won.candidates] == [("won", "swp1"), ("lost", "")]
    assert lost.summary.startswith("Behind 10.0.0.1 (lower-vtep)")
    assert [one.text for one in lost.candidates if one.port] == [
        "Heard here on port swp1. The sequences are equal, and 10.0.0.1 is the lower address."
    ]


def test_peers_are_in_the_journal_once_for_each_change(leaf):
    leaf.hear(leaf.lines.down(B, "hold timer expired"))
    leaf.judge()

    assert [(entry.kind, str(entry.peer), entry.reason) for entry in leaf.events("peer-up", "peer-down")] == [
        ("peer-up", A, ""),
        ("peer-up", B, ""),
        ("peer-down", B, "hold timer expired"),
    ]


def test_a_limit_that_is_reached_is_an_alert_once_and_a_note_of_its_vni():
    with MemoryLeaf(f"{CONFIG}[limits]\nmacs_per_vni = 1\nroutes_per_peer = 2\n") as leaf:
        leaf.come_up(A)
        announce(leaf, A, ONE, TWO, THREE)
        announce(leaf, A, "02:00:00:00:00:04")
        [vni], [peer] = leaf.observer.vnis(), leaf.observer.status().feed.peers

        alerts = [(entry.vni, entry.peer and str(entry.peer), entry.reason) for entry in leaf.events("alert")]

        assert alerts == [(100, None, "limit"), (None, A, "limit")]
        assert (vni.limited, "limit: 1 MACs have no row" in vni.notes, peer.limited) == (1, True, 2)


def test_a_holder_is_named_in_the_row_the_journal_and_the_explanation(leaf):
    port = leaf.kernel.add_port("port99", "br100")
    leaf.kernel.send([Neighbour(Verb.CREATE, port, Mac.parse(ONE), NTF_MASTER, NUD_NOARP)])
    leaf.survey()
    announce(leaf, A, ONE)

    assert states(leaf)[ONE] == ("contested", "local-static")
    assert leaf.macs()[ONE].sync.text == "a static entry on port99"
    [contested] = leaf.events("contested")
    assert contested.text == "a static entry on port99"
    assert "port99 has the place" in leaf.explain(ONE).summary


def test_a_refusal_is_told_with_its_number_and_its_next_try(leaf):
    leaf.kernel.refuse(errno.ENOBUFS)
    announce(leaf, A, ONE)

    sync = leaf.macs()[ONE].sync
    assert (sync.state, sync.reason, sync.errno) == ("failed", "retrying", errno.ENOBUFS)
    assert sync.next_try is not None
    assert "ENOBUFS" in leaf.explain(ONE).summary
    assert leaf.observer.status().kinds["mac"].failed == 1


def test_while_a_device_is_down_nothing_there_counts_as_installed(leaf):
    announce(leaf, A, ONE, TWO)
    leaf.kernel.set_up("vxlan100", False)
    leaf.survey()

    [vni] = leaf.observer.vnis()
    explanation = leaf.explain(ONE)
    assert (vni.state, vni.reasons) == ("not-ready", ("device-down",))
    assert states(leaf) == dict.fromkeys((ONE, TWO), ("pending", "not-ready"))
    assert (vni.macs.installed, vni.macs.pending) == (0, 2)
    assert (explanation.kernel.state, explanation.desired.sync.since) == ("unknown", None)


def test_a_device_that_is_fit_again_is_in_the_journal(leaf):
    for up in (False, True):
        leaf.kernel.set_up("vxlan100", up)
        leaf.survey()

    assert [(entry.kind, entry.text) for entry in leaf.events("vni-not-ready", "vni-ready")] == [
        ("vni-not-ready", "device-down"),
        ("vni-ready", ""),
    ]


def test_a_row_that_somebody_removed_is_put_back_and_the_repair_is_counted(leaf):
    announce(leaf, A, ONE)
    leaf.strike(ONE)
    assert leaf.kernel.get(leaf.port("vxlan100"), Mac.parse(ONE), Half.VXLAN) is None
    leaf.survey()

    assert leaf.kernel.get(leaf.port("vxlan100"), Mac.parse(ONE), Half.VXLAN) is not None
    assert len(leaf.events("repaired")) == 1
    assert leaf.observer.figures().repaired == {"mac": 1}


def test_a_duplicate_is_alerted_once_and_counted_in_its_vni(leaf):
    for seq in range(1, 9):
        announce(leaf, (A, B)[seq % 2], ONE, seq=seq)

    assert [entry.reason for entry in leaf.events("duplicate")] == ["dup-warn"]
    assert leaf.observer.vnis()[0].duplicates == 1
    assert leaf.explain(ONE).moves >= 5


def test_routes_that_lost_name_the_winner(leaf):
    announce(leaf, A, ONE, seq=1)
    announce(leaf, B, ONE, seq=2)

    won, lost = leaf.explain(ONE).candidates
    assert (won.verdict, str(won.vtep)) == ("won", B)
    assert (lost.verdict, lost.text) == ("lost", f"{B} has a higher sequence: the MAC moved there later.")


def test_a_refused_route_has_no_note_of_an_import_that_did_not_happen(leaf):
    leaf.hear(leaf.lines.announce(A, Instance(A, targets=("65000:999",)).mac(ONE)))

    [refused] = leaf.explain(ONE).candidates
    assert (refused.reason, refused.notes) == ("rt-mismatch", ())


def test_a_mac_that_nobody_told_of_is_explained_all_the_same(leaf):
    explanation = leaf.explain(ONE)

    assert (explanation.vni, explanation.candidates, explanation.kernel.state) == (100, (), "absent")
    assert explanation.summary == "Not heard: no peer has told of it."


def test_a_mac_of_two_vnis_is_explained_in_both():
    second = CONFIG[CONFIG.index("[[vni]]") :].replace("100", "200")
    with MemoryLeaf(CONFIG + second) as leaf:
        leaf.step()
        leaf.come_up(A)
        announce(leaf, A, ONE)
        leaf.hear(leaf.lines.announce(A, Instance(A, vni=200, targets=("65000:200",)).mac(ONE)))

        assert [told.vni for told in leaf.observer.explain(Mac.parse(ONE), None)] == [100, 200]
        assert leaf.explain(ONE, vni=200).desired.sync.state == "installed"


def test_a_vni_without_a_bridge_is_shown_and_suppressed():
    unbound = "\n".join(line for line in CONFIG.splitlines() if not line.startswith(("bridge", "vxlan")))
    second = CONFIG[CONFIG.index("[[vni]]") :].replace("100", "200")
    with MemoryLeaf(f"{unbound}\n{second}") as leaf:
        leaf.step()
        leaf.come_up(A)
        announce(leaf, A, ONE)

        assert states(leaf)[ONE] == ("suppressed", "unbound")
        assert leaf.observer.vnis()[0].state == "unbound"


def test_a_vni_that_is_not_configured_is_unknown_and_said_not_to_be_here(leaf):
    announce(leaf, A, ONE)

    explanation = leaf.explain(ONE, vni=999)

    assert (explanation.vni_state, explanation.desired) == ("unknown", None)
    assert explanation.summary == "VNI 999 is not configured here."


def test_a_row_that_is_held_and_wanted_no_more_does_not_count_as_installed(waiting_leaf):
    leaf = waiting_leaf
    announce(leaf, A, ONE, TWO)
    leaf.hear(leaf.lines.withdraw(A, Instance(A).mac(ONE).nlri))
    assert leaf.actor.engine.troubles.counts()["held"] == 1

    leaf.listener.hear([leaf.lines.announce(A, Instance(A).mac(THREE))], leaf.now)
    leaf.judge()

    assert written(leaf) == (2, 1, 0, 1)
    assert [states(leaf)[mac][0] for mac in (TWO, THREE)] == ["installed", "pending"]


def test_a_row_of_an_earlier_life_that_is_held_takes_nothing_from_those_installed(waiting_leaf):
    leaf = waiting_leaf
    announce(leaf, A, ONE, TWO)
    leaf.hear(leaf.lines.withdraw(A, Instance(A).mac(ONE).nlri))
    with MemoryLeaf(before=leaf) as next_life:
        ledger = next_life.actor.engine.ledger
        earlier = leaf.actor.engine.ledger.claims("fdb")
        ledger.claim("fdb", alike((key, claim.row, 0) for key, claim in earlier.items()))
        next_life.step()
        announce(next_life, A, TWO)

        assert next_life.actor.engine.troubles.counts()["held"] == 1
        assert written(next_life) == (1, 1, 0, 0)


def test_a_refused_deletion_is_failed_and_takes_nothing_from_those_installed(leaf):
    announce(leaf, A, ONE, TWO)
    leaf.kernel.refuse(errno.EBUSY)
    leaf.hear(leaf.lines.withdraw(A, Instance(A).mac(ONE).nlri))

    assert states(leaf) == {TWO: ("installed", "")}
    assert written(leaf) == (1, 1, 1, 0)


def test_without_the_right_to_write_the_dataplane_is_off_and_says_why(leaf):
    leaf.observer.may_write = False

    assert leaf.observer.status().dataplane.why == "CAP_NET_ADMIN is missing"


def test_diff_compares_with_what_is_there(leaf):
    announce(leaf, A, ONE, TWO)
    assert leaf.wait_for(leaf.observer.diff(None)).differences == ()

    leaf.kernel.set_up("vxlan100", False)
    found = leaf.wait_for(leaf.observer.diff(Vni(100))).differences

    assert [(row.difference, row.key, row.wanted, row.reason) for row in found] == [
        ("missing", ONE, f"to {A}", "not-ready"),
        ("missing", TWO, f"to {A}", "not-ready"),
    ]
    assert leaf.wait_for(leaf.observer.diff(Vni(7))).differences == ()


# Those who watch


def test_a_watcher_gets_rows_that_changed_rows_that_went_and_what_happened(leaf):
    announce(leaf, A, ONE)
    assert leaf.observer.revision >= 0  # from here on somebody wants to know
    leaf.observer.cut()
    after = leaf.observer.revision
    announce(leaf, A, TWO)
    announce(leaf, B, TWO, seq=4)
    leaf.hear(leaf.lines.withdraw(A, Instance(A).mac(ONE).nlri))
    leaf.observer.cut()

    batch = leaf.wait_for(anext(leaf.observer.batches(after)))

    assert [(str(row.mac), str(row.vtep), row.sync.state) for row in batch.macs] == [(TWO, B, "installed")]
    assert [str(mac) for _, mac in batch.gone] == [ONE]
    assert [entry.kind for entry in batch.entries] == ["move"]


def test_nothing_is_collected_for_nobody(leaf):
    announce(leaf, A, ONE)
    leaf.observer.cut()

    assert not leaf.observer.collecting
    assert leaf.actor.engine.troubles.stirred is None


def test_who_comes_back_after_a_time_in_which_nobody_watched_has_missed_something(leaf):
    before = leaf.observer.revision
    leaf.now += 3600
    announce(leaf, A, ONE)

    assert leaf.wait_for(anext(leaf.observer.batches(before))) is None


def test_a_station_that_is_here_is_no_mystery(leaf):
    leaf.kernel.add_port("port99", "br100")
    leaf.kernel.station_sends(Mac.parse(ONE), "port99")
    leaf.survey()

    explanation = leaf.explain(ONE)
    assert (explanation.kernel.state, explanation.desired) == ("foreign", None)
    assert "it is behind a port of this leaf (a station that was heard on port99)" in explanation.summary
