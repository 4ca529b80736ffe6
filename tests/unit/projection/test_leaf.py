"""From lines to a kernel's rows over a life: starts, restarts, losses and returns, by the numbers of the vectors.

A `Leaf` is a listener with a kernel in memory; a second one may begin with the rows and claims that the first one left.
"""

from itertools import pairwise

import pytest

from tests.lab import wire
from tests.lab.lines import Lines
from vtep.addr import Ip, Mac, Vni
from vtep.config import file as config
from vtep.feed.exabgp.lines import LineReader
from vtep.intent import NOTHING, Intent, RowKey, candidates_of
from vtep.linux.memory.kernel import MemoryKernel
from vtep.linux.tables.all import KINDS
from vtep.linux.target import KernelTarget
from vtep.projection.leaf import BAD_LINE_HEAD, BAD_LINES_KEPT, Leaf
from vtep.reconcile.claims import Claims
from vtep.reconcile.engine import Engine, Scope
from vtep.reconcile.steps import run_to_end

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.10"
ONE, TWO, THREE, FOUR = (f"02:00:00:00:00:0{number}" for number in (1, 2, 3, 4))

LEAF = """
[node]
vtep = "10.0.0.99"
[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
import_rt = ["65000:100"]
"""
BOTH = f'[feed]\npeers = ["{A}", "{B}"]\n'
ONLY_A = f'[feed]\npeers = ["{A}"]\n'


class Rig:
    def __init__(self, toml: str = LEAF, before: "Leaf | None" = None) -> None:
        self.now = 0.0 if before is None else before.now
        self.lines = Lines()
        self.reader = LineReader()
        self.leaf = Leaf(config.parse(toml), self.now)
        self.applied = NOTHING
        self._kernel = MemoryKernel() if before is None else before._kernel
        self._claims = Claims(KINDS) if before is None else before._claims
        vnis = self.leaf.config.vnis
        if before is None:
            for vni in vnis:
                self._kernel.add_bridge(vni.bridge)
                self._kernel.add_vxlan(vni.vxlan, vni.vni, vni.vtep, vni.bridge)
        self._engine = Engine(KINDS, KernelTarget(self._kernel, vnis), self._claims)

    def receive(self, *lines: bytes) -> None:
        self.leaf.receive(self.reader.read(lines), self.now)
        self.apply()

    def apply(self) -> None:
        """Let the kernel follow, as the actor does."""
        intent = self.leaf.judge(self.now)
        if intent is not self.applied:
            scope = Scope(survey=True)
            if self.applied is not NOTHING and intent.complete == self.applied.complete:
                scope = Scope(touched={KINDS[0].name: _different(self.applied, intent)})
            self.applied = intent
            run_to_end(self._engine.run(intent, self.now, scope))

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.leaf.due) is not None and due <= end:
            self.now = max(self.now, due)
            self.leaf.tick(self.now)
            self.apply()
            if self.leaf.due == due:
                break
        self.now = end

    def tell(self, peer: str, *macs: str) -> None:
        self.receive(self.lines.announce(peer, *(wire.Instance(peer).mac(mac, seq=1) for mac in macs)))

    def ready(self, peer: str, *macs: str, restart_s: int | None = 120) -> None:
        self.receive(self.lines.opened(peer, restart_s), self.lines.up(peer))
        self.tell(peer, *macs)
        self.receive(self.lines.end_of_rib(peer))

    def restarted(self, toml: str = LEAF) -> "Leaf":
        """Begin a new life with what the old one left in the kernel."""
        return Rig(toml, before=self)

    def rows(self) -> list[str]:
        """What the kernel holds for us, as the claims tell."""
        return sorted(str(key[1]) for key in self._claims.claims(KINDS[0].name))

    def operations(self) -> tuple[int, int, int]:
        """How many rows were created, replaced and deleted so far."""
        return self._kernel.writes, self._kernel.replaces, self._kernel.deletes


def _different(one: Intent, other: Intent) -> set[RowKey]:
    rows, others = dict(one.macs.unordered()), dict(other.macs.unordered())
    return {key for key in {*rows, *others} if rows.get(key) != others.get(key)}


# Very many at once


MANY = [f"02:00:00:00:01:{number:02x}" for number in range(50)]


def test_the_routes_of_forgotten_peers_leave_in_parts() -> None:
    rig = Rig()
    for peer in (A, B):
        rig.ready(peer, *MANY, restart_s=None)
    rig.leaf.receive(rig.reader.read([rig.lines.down(peer) for peer in (A, B)]), rig.now)
    rig.leaf.rib.lose_feed(rig.now)
    rig.leaf.rib.index.mark_macs(map(Mac.parse, MANY))

    left, stale = [], []
    while rig.leaf.unjudged:
        rows = rig.leaf.judge(rig.now, 32).macs
        left.append(len(rows))
        stale.append(sum(row.stale for row in rows.values()))

    assert rig.leaf.rib.peers == {}
    assert max(stale) > 0  # what nobody vouches for is not told as fresh, on its way out
    assert (left[0] > 40, left[-1], left == sorted(left, reverse=True)) == (True, 0, True)


def test_the_picture_is_complete_only_when_everything_received_is_judged() -> None:
    rig = Rig()
    rig.receive(rig.lines.opened(A, 120), rig.lines.up(A))
    many = rig.lines.announce(A, *(wire.Instance(A).mac(mac) for mac in MANY))
    rig.leaf.receive(rig.reader.read([many, rig.lines.end_of_rib(A)]), rig.now)

    intents = [rig.leaf.judge(rig.now, 10)]
    while rig.leaf.unjudged:
        intents.append(rig.leaf.judge(rig.now, 10))

    assert [(intent.complete, len(intent.macs)) for intent in intents] == [
        *((False, 10 * number) for number in range(1, len(intents))),
        (True, len(MANY)),
    ]
    assert len(intents) >= 4
    assert {intent.why for intent in intents[:-1]} == {rig.applied.why}


def test_routes_of_a_lost_session_are_judged_in_parts_and_the_picture_stays_complete() -> None:
    rig = Rig()
    rig.ready(A, *MANY, restart_s=None)
    rig.leaf.receive(rig.reader.read([rig.lines.down(A)]), rig.now)

    left = [len(MANY)]
    while rig.leaf.unjudged:
        intent = rig.leaf.judge(rig.now, 40)
        left.append(len(intent.macs))
        assert intent.complete

    assert left[-1] == 0
    assert 0 < max(more - less for more, less in pairwise(left)) <= len(MANY) // 4


# The start


def test_v69_rows_of_an_earlier_run_stay_until_end_of_rib() -> None:
    old = Rig()
    old.ready(A, ONE, TWO, THREE)

    new = old.restarted()
    new.receive(new.lines.opened(A, 120), new.lines.up(A))
    new.tell(A, ONE, TWO)
    new.wait(1000)

    assert (new.rows(), new.operations()) == ([ONE, TWO, THREE], (3, 0, 0))


def test_v70_end_of_rib_of_all_expected_peers_removes_rows_without_a_route() -> None:
    old = Rig()
    old.ready(A, ONE, TWO, THREE)
    new = old.restarted(LEAF + BOTH)

    new.ready(A, ONE)
    half = new.rows()
    new.ready(B, TWO)

    assert (half, new.rows(), new.operations()) == ([ONE, TWO, THREE], [ONE, TWO], (3, 1, 1))


@pytest.mark.parametrize(
    ("on_deadline", "rows"), [("auto", [ONE]), ("keep", [ONE]), ("complete", [])], ids=["auto", "keep", "complete"]
)
def test_v71_an_empty_feed_removes_rows_only_if_on_deadline_says_so(on_deadline: str, rows: list[str]) -> None:
    old = Rig()
    old.ready(A, ONE)
    new = old.restarted(LEAF + ONLY_A + f'initial_hold_s = 30\non_deadline = "{on_deadline}"\n')

    new.wait(29)
    before = new.rows()
    new.wait(1)

    assert (before, new.rows()) == ([ONE], rows)


@pytest.mark.parametrize(
    ("on_deadline", "rows"),
    [("auto", [ONE]), ("keep", [ONE, TWO]), ("complete", [ONE])],
    ids=["auto", "keep", "complete"],
)
def test_v71_with_one_of_two_peers_ended_the_deadline_decides(on_deadline: str, rows: list[str]) -> None:
    old = Rig()
    old.ready(A, ONE, TWO)
    new = old.restarted(LEAF + BOTH + f'initial_hold_s = 30\non_deadline = "{on_deadline}"\n')
    new.ready(A, ONE)

    new.wait(29)
    before = new.rows()
    new.wait(1)

    assert (before, new.rows()) == ([ONE, TWO], rows)


# A peer goes


def test_v72_a_lost_peers_rows_go_at_once() -> None:
    rig = Rig()
    rig.ready(A, ONE, restart_s=None)
    rig.ready(B, TWO)

    rig.receive(rig.lines.down(A))

    assert (rig.rows(), rig.applied.complete) == ([TWO], True)


def test_v72_a_lost_peers_rows_go_after_the_configured_hold() -> None:
    rig = Rig(LEAF + "[feed]\npeer_down_hold_s = 20\n")
    rig.ready(A, ONE)

    rig.receive(rig.lines.down(A, "notification received (6,4)"))
    rig.wait(19)
    before = rig.rows()
    rig.wait(1)

    assert (before, rig.rows()) == ([ONE], [])


def test_v73_a_peer_that_is_back_in_time_costs_no_kernel_operation() -> None:
    rig = Rig()
    rig.ready(A, ONE, TWO)
    before, generation = rig.operations(), rig.applied.generation

    rig.receive(rig.lines.down(A))
    stale = [row.stale for row in rig.applied.macs.values()]
    rig.wait(100)
    rig.ready(A, ONE, TWO)
    rig.wait(1000)

    assert stale == [True, True]
    assert (rig.operations(), rig.applied.generation) == (before, generation)
    assert [row.stale for row in rig.applied.macs.values()] == [False, False]


def test_v74_rows_go_when_the_restart_time_ends() -> None:
    rig = Rig()
    rig.ready(A, ONE, restart_s=90)

    rig.receive(rig.lines.down(A))
    rig.wait(89)
    before = rig.rows()
    rig.wait(1)

    assert (before, rig.rows()) == ([ONE], [])


def test_v76_an_exabgp_that_restarts_costs_no_kernel_operation() -> None:
    rig = Rig()
    rig.ready(A, ONE, TWO, restart_s=None)
    before = rig.operations()

    for peer in (A, B):
        rig.receive(rig.lines.down(peer, "stop, message [shutting down]"))
    rig.receive(rig.lines.shutdown())
    rig.leaf.rib.lose_feed(rig.now)
    rig.apply()
    gone = rig.applied.complete
    rig.lines = Lines(pid=78)
    rig.ready(A, ONE, TWO)

    assert (gone, rig.applied.complete, rig.operations()) == (False, True, before)


def test_v76_routes_not_advertised_again_go_at_end_of_rib() -> None:
    rig = Rig()
    rig.ready(A, ONE, TWO)
    rig.lines = Lines(pid=78)
    rig.receive(rig.lines.opened(A, 120), rig.lines.up(A))
    rig.tell(A, TWO)
    held = rig.rows()

    rig.receive(rig.lines.end_of_rib(A))

    assert (held, rig.rows()) == ([ONE, TWO], [TWO])


def test_v78_another_next_hop_of_the_same_route_is_one_replace() -> None:
    rig = Rig()
    rig.ready(A, ONE)
    at_c = wire.Instance(C, rd=f"{A}:100").mac(ONE, seq=1)

    rig.receive(rig.lines.announce(A, at_c))

    assert (rig.operations(), [str(row.via.vtep) for row in rig.applied.macs.values()]) == ((1, 1, 0), [C])


def test_v79_a_slow_kernel_gets_only_the_newest_state() -> None:
    rig = Rig()
    rig.ready(A, ONE)
    rig.leaf.receive(rig.reader.read([rig.lines.announce(B, wire.Instance(B).mac(ONE, seq=2))]), rig.now)
    skipped = rig.leaf.judge(rig.now)

    rig.receive(rig.lines.announce(C, wire.Instance(C).mac(ONE, seq=3)))

    assert [str(row.via.vtep) for row in skipped.macs.values()] == [B]
    assert (rig.operations(), [str(row.via.vtep) for row in rig.applied.macs.values()]) == ((1, 1, 0), [C])


# Lines that cannot be read


def test_an_unreadable_line_is_kept_and_its_peer_is_asked_for_a_refresh() -> None:
    rig = Rig()
    rig.ready(A, ONE)
    rig.ready(B, TWO)
    broken = rig.lines.announce(A, wire.Instance(A).mac(THREE))[:-20]

    rig.receive(broken)

    (kept,) = rig.leaf.last_bad
    assert (rig.leaf.bad_lines, kept.head, kept.octets) == (1, broken[:BAD_LINE_HEAD], len(broken))
    assert rig.leaf.refreshes(rig.now) == [Ip.parse(A)]
    assert rig.rows() == [ONE, TWO]


@pytest.mark.parametrize("line", [b"{", b"\xff\xff", b'{"peer": "10.0.0.999"', b"what?"])
def test_an_unreadable_line_without_a_peer_asks_every_peer(line: bytes) -> None:
    rig = Rig()
    rig.ready(A, ONE)

    rig.receive(line)

    assert rig.leaf.refreshes(rig.now) == [None]


def test_the_beginnings_of_the_last_hundred_bad_lines_are_kept() -> None:
    rig = Rig()

    rig.receive(*(b"x" * (2000 + number) for number in range(BAD_LINES_KEPT + 5)))

    assert rig.leaf.bad_lines == BAD_LINES_KEPT + 5
    assert [kept.octets for kept in rig.leaf.last_bad] == [2005 + number for number in range(BAD_LINES_KEPT)]
    assert {len(kept.head) for kept in rig.leaf.last_bad} == {BAD_LINE_HEAD}


def test_a_bad_line_does_not_count_as_a_gap_too() -> None:
    rig = Rig()
    rig.ready(A, ONE)
    rig.receive(rig.lines.announce(A, wire.Instance(A).mac(TWO))[:-20])
    counted = rig.leaf.rib.counters.gaps

    rig.tell(A, ONE)

    assert rig.leaf.rib.counters.gaps == counted


# The intent


def test_without_news_the_intent_is_the_same_object() -> None:
    rig = Rig()
    rig.ready(A, ONE)

    rig.leaf.receive(rig.reader.read([b"done"]), rig.now)

    assert rig.leaf.judge(rig.now) is rig.applied


def test_a_change_of_why_the_picture_is_incomplete_is_published() -> None:
    rig = Rig(LEAF + BOTH)

    rig.receive(rig.lines.up(A), rig.lines.end_of_rib(A))

    assert rig.applied.why == f"waiting for End-of-RIB from {B}"


def test_learning_the_same_own_macs_again_judges_nothing() -> None:
    rig = Rig()
    rig.ready(A, ONE)
    rig.leaf.learn_own_macs(frozenset({Mac.parse(TWO)}))
    learned = rig.leaf.judge(rig.now)

    rig.leaf.learn_own_macs(frozenset({Mac.parse(TWO)}))

    assert rig.leaf.judge(rig.now) is learned


def test_a_device_that_comes_or_goes_has_only_its_own_mac_judged() -> None:
    rig = Rig()
    rig.ready(A, ONE, TWO)
    rig.receive(rig.lines.announce(A, wire.Instance(A).mac(THREE, ip="172.16.0.3")))
    before = rig.applied
    assert len(before.hosts) == 1

    rig.leaf.learn_own_macs(frozenset({Mac.parse(THREE), Mac.parse(FOUR)}))
    came = rig.leaf.judge(rig.now)
    rig.leaf.learn_own_macs(frozenset({Mac.parse(THREE)}))
    nothing = rig.leaf.judge(rig.now)
    rig.leaf.learn_own_macs(frozenset())
    went = rig.leaf.judge(rig.now)

    assert (came.touched, len(came.hosts)) == (((Vni(100), Mac.parse(THREE)),), 0)
    assert nothing is came
    assert (went.touched, went.macs, went.hosts) == (came.touched, before.macs, before.hosts)


def test_own_macs_are_kept_across_a_reload() -> None:
    rig = Rig()
    rig.ready(A, ONE)
    rig.leaf.learn_own_macs(frozenset({Mac.parse(ONE)}))

    rig.leaf.reconfigure(config.parse(LEAF), rig.now)

    assert len(rig.leaf.judge(rig.now).macs) == 0


def test_a_reload_with_many_macs_is_judged_in_parts_with_the_same_result() -> None:
    many = [f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}" for number in range(700)]
    leaves = [Rig(), Rig()]
    for rig in leaves:
        rig.ready(A, *many)
        hosts = (
            wire.Instance(A).mac(mac, ip=f"172.16.{location >> 8}.{location & 255}")
            for location, mac in enumerate(many)
        )
        rig.receive(rig.lines.announce(A, *hosts, wire.Instance(A).flood()))
    bit_by_bit, at_once = (rig.leaf for rig in leaves)
    other = config.parse(LEAF.replace("65000:100", "65000:200"))

    left, is_rejudged = [], []
    bit_by_bit.reconfigure(other, 0.0)
    while bit_by_bit.unjudged:
        left.append(len(bit_by_bit.judge(0.0, 100).macs))
        is_rejudged.append(bit_by_bit.is_rejudged)
    at_once.reconfigure(other, 0.0)
    at_once.judge(0.0)

    assert left == [700 - 256, 700 - 512, 0, 0, 0, 0, 0]
    assert is_rejudged == [False] * 6 + [True]
    for name in ("macs", "hosts", "floods", "refused_floods", "judged", "rows_of_vni"):
        assert getattr(bit_by_bit.intent, name) == getattr(at_once.intent, name), name
    assert (len(at_once.intent.macs), len(at_once.intent.judged), at_once.unjudged) == (0, 700, 0)


def test_a_changed_route_target_judges_everything_again_without_bgp() -> None:
    rig = Rig()
    rig.ready(A, ONE)

    rig.leaf.reconfigure(config.parse(LEAF.replace("65000:100", "65000:7")), rig.now)
    rig.apply()
    without = rig.rows()
    rig.leaf.reconfigure(config.parse(LEAF), rig.now)
    rig.apply()

    assert (without, rig.rows()) == ([], [ONE])


def test_clearing_a_mac_that_never_moved_changes_nothing() -> None:
    rig = Rig()
    rig.ready(A, ONE)

    rig.leaf.clear_duplicates([(Vni(100), Mac.parse(ONE))])

    assert rig.leaf.judge(rig.now).generation == rig.applied.generation


def test_due_is_the_earlier_time_of_routes_and_rows() -> None:
    rig = Rig(LEAF + "[feed]\ninitial_hold_s = 500\n")
    rig.receive(rig.lines.up(A))
    waiting_only = rig.leaf.due

    rig.tell(A, ONE)
    rig.receive(rig.lines.announce(B, wire.Instance(B).mac(ONE, seq=2)))

    assert (waiting_only, rig.leaf.due) == (500, 180)


# A MAC with very many routes


def crowd_of(rig: Rig, peer: str, mac: str, count: int, *, of_one_kind: bool = True) -> bytes:
    tags = [0 if of_one_kind else number for number in range(count)]
    routes = (wire.Instance(peer, rd=f"65000:{number}", tag=tag).mac(mac) for number, tag in enumerate(tags))
    return rig.lines.announce(peer, *routes)


def test_a_mac_with_very_many_routes_is_judged_before_deletions_begin() -> None:
    """Its row of an earlier life would be removed and written again."""
    leaf = Leaf(config.parse(LEAF), 0.0)
    rig = Rig()
    lines = [rig.lines.opened(A, 120), rig.lines.up(A)]
    lines += [crowd_of(rig, A, mac, 300, of_one_kind=False) for mac in (ONE, TWO)]
    leaf.receive(rig.reader.read([*lines, rig.lines.end_of_rib(A)]), 0.0)

    seen = [leaf.judge(0.0, 10_000) for _ in range(3)]

    assert [(len(intent.macs), intent.complete) for intent in seen] == [(1, False), (2, True), (2, True)]


def test_routes_of_a_mac_beyond_the_limit_are_a_refused_candidate_with_the_reason() -> None:
    rig = Rig(f"{LEAF}[limits]\nroutes_per_mac = 3\n")
    rig.ready(B)
    rig.receive(rig.lines.opened(A, 120), rig.lines.up(A), crowd_of(rig, A, ONE, 5))
    rig.receive(rig.lines.announce(B, wire.Instance(B).mac(ONE, seq=1)))

    candidates = candidates_of(rig.leaf.intent, Mac.parse(ONE))

    assert [(str(one.peer), one.verdict, one.reason) for one in candidates] == [
        (B, "won", "higher-seq"),
        *[(A, "lost", "higher-seq")] * 3,
        (A, "refused", "mac-limit"),
    ]
