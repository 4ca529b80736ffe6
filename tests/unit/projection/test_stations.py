"""Stations of this leaf among the remote routes: who has a MAC, what is announced of it, and what is told.

Notation, beside that of the vectors: `L` hears M at a port of ours, `L S` finds it as a static entry, `L G` as the
bridge's own, `L /ip1` with a host address; `-L` says that it left; `mute` and `voice` take and give the leave to
announce, which is there at the start.

What was compared with an RFC's text is said in docs/standards.md; the order among sticky MACs and the rank of gateways are
FRR's, as for remote routes.
"""

from dataclasses import dataclass

import pytest

from tests.lab import wire
from tests.lab.lines import Lines, read_lines
from vtep.addr import Ip, Mac, Vni
from vtep.config import file as config
from vtep.evpn.station import SEQ_MAX, Station
from vtep.intent import Candidate, Intent, candidates_of
from vtep.linux.memory.kernel import MemoryKernel
from vtep.linux.tables.all import KINDS
from vtep.linux.target import KernelTarget
from vtep.projection.leaf import Leaf
from vtep.reconcile.claims import Claims
from vtep.reconcile.engine import Engine, Scope
from vtep.reconcile.steps import run_to_end

A, B, SELF = "10.0.0.1", "10.0.0.200", "10.0.0.99"
"""One address is below ours, and one above it."""
NAMES = {"A": A, "B": B}
IPS = {"/ip1": "172.16.0.1", "/ip2": "172.16.0.2"}
M, VNI = Mac.parse("02:00:00:00:00:01"), Vni(100)
KEY = (VNI, M)

LEAF = """
[node]
vtep = "10.0.0.99"
[bgp]
asn = 65000
router_id = "10.0.0.99"
[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
import_rt = ["65000:100"]
"""


class Rig:
    """A listener that may announce, with the words of this file."""

    def __init__(self, toml: str = LEAF) -> None:
        self.leaf = Leaf(config.parse(toml), 0.0)
        self.leaf.set_advertising(frozenset({VNI}))
        self.now = 0.0
        self._lines = Lines()

    def play(self, events: str) -> Intent:
        """Let these happen, each judged by itself."""
        for event in events.replace(" +", ";+").replace(" -", ";-").replace(" L", ";L").split(";"):
            for part in event.replace(" mute", ";mute").replace(" voice", ";voice").split(";"):
                self._happen(part.split())
                self.judge()
        return self.judge()

    def judge(self) -> Intent:
        return self.leaf.judge(self.now)

    def _happen(self, words: list[str]) -> None:
        match words:
            case ["mute"]:
                self.leaf.set_advertising(frozenset())
            case ["voice"]:
                self.leaf.set_advertising(frozenset({VNI}))
            case ["-L"]:
                self.leaf.learn_stations([], [KEY])
            case ["L", *how]:
                self.leaf.learn_stations([station(*how)])
            case [route, *how]:
                self._hear(route[0], NAMES[route[1]], how)

    def _hear(self, sign: str, vtep: str, how: list[str]) -> None:
        seq = next((int(word[1:]) for word in how if word[1:].isdigit()), None)
        route = wire.Instance(vtep).mac(
            str(M),
            next((IPS[word] for word in how if word in IPS), ""),
            seq=seq,
            sticky="S" in how,
            extended=(wire.default_gateway(),) if "G" in how else (),
        )
        line = self._lines.announce(vtep, route) if sign == "+" else self._lines.withdraw(vtep, route.nlri)
        self.leaf.receive(read_lines([line]), self.now)


def station(*how: str, port: str = "swp1") -> Station:
    hosts = frozenset(Ip.parse(IPS[word]) for word in how if word in IPS)
    return Station(VNI, M, port, static="S" in how, gateway="G" in how, hosts=hosts)


def own(intent: Intent) -> str:
    """Say what is announced of M: the sequence, `S` or `G`, and the addresses; `-` for nothing."""
    rows = [row for key, row in intent.own.unordered() if key[:2] == KEY]
    if not rows:
        return "-"
    (kind,) = {f"s{row.seq}" + " S" * row.sticky + " G" * row.gateway for row in rows}
    assert any(row.ip is None for row in rows)
    names = {Ip.parse(text): name for name, text in IPS.items()}
    return " ".join([kind, *sorted(names[row.ip] for row in rows if row.ip is not None)])


def row(intent: Intent) -> str:
    found = intent.macs.get(KEY)
    return "" if found is None else str(found.via.vtep)


def at_home(intent: Intent) -> Candidate | None:
    return next((one for one in candidates_of(intent, M) if one.port), None)


@dataclass(frozen=True)
class Case:
    name: str
    events: str
    own: str
    told: str
    """What is told of the station."""
    row: str = ""
    alerts: tuple[str, ...] = ()


CASES = (
    Case("a station alone is announced without a sequence", "L", "s0", "won only-path"),
    Case("one that left is not", "L -L", "-", ""),
    Case("one that nobody knows leaves without a trace", "-L", "-", ""),
    Case("V47 one that comes goes past the route that had it", "+A s1 L", "s2", "won higher-seq"),
    Case("past the highest of them", "+A s1 +B s7 L", "s8", "won higher-seq"),
    Case("absent is zero", "+A s- L", "s1", "won higher-seq"),
    Case("the highest sequence stays, and the lower address wins", f"+A s{SEQ_MAX} L", "-", "lost lower-vtep", A,
         ("seq-exhausted",)),
    Case("however often it is learned", f"+A s{SEQ_MAX} L L L", "-", "lost lower-vtep", A, ("seq-exhausted",)),
    Case("until the route is gone", f"+A s{SEQ_MAX} L L -A L", f"s{SEQ_MAX}", "won only-path"),
    Case("a static entry wins all the same", f"+A s{SEQ_MAX} L L S", "s0 S", "won sticky", "", ("sticky-violation",)),
    Case("and is ours where we are the lower one", f"+B s{SEQ_MAX} L", f"s{SEQ_MAX}", "won lower-vtep"),
    Case("V47 a better route takes it", "L +A s1", "-", "lost higher-seq", A),
    Case("an equal route of a lower address takes it", "L +A s0", "-", "lost lower-vtep", A),
    Case("an equal route of a higher address does not", "L +B s0", "s0", "won lower-vtep"),
    Case("who lost is out though the winner gets worse", "L +B s5 +B s0", "-", "lost taken-over", B),
    Case("who lost is out though the winner is gone", "L +A s5 -A", "-", "lost taken-over"),
    Case("heard again it goes past the winner", "L +A s5 L", "s6", "won higher-seq"),
    Case("heard again after the winner is gone it is what it was", "+A s1 L +A s5 -A L", "s2", "won only-path"),
    Case("one that left and came back goes past the route as well", "L +A s5 -L L", "s6", "won higher-seq"),
    Case("one that left and came back alone is what it was", "+A s1 L -A -L L", "s2", "won only-path"),
    Case("heard where it is it stays what it is", "+A s1 L L L", "s2", "won higher-seq"),
    Case("its own last sequence is the least", "+A s8 L +A s9 +A s1 L", "s9", "won higher-seq"),
    Case("a route that may not win has no sequence to go past", "+A s1 -A L", "s0", "won only-path"),
    Case("host addresses are rows of their own", "L /ip1 /ip2", "s0 /ip1 /ip2", "won only-path"),
    Case("with the sequence of the MAC", "+A s1 L /ip1", "s2 /ip1", "won higher-seq"),
    Case("a new address joins", "L /ip1 L /ip1 /ip2", "s0 /ip1 /ip2", "won only-path"),
    Case("an old address goes", "L /ip1 /ip2 L /ip2", "s0 /ip2", "won only-path"),
    Case("all go with a station that lost", "L /ip1 +A s1", "-", "lost higher-seq", A),
    Case("a static entry is sticky and has no sequence", "+A s7 L S", "s0 S", "won sticky", "", ("sticky-violation",)),
    Case("nothing moves it", "L S +A s7", "s0 S", "won sticky", "", ("sticky-violation",)),
    Case("but a sticky route of a lower address", "L S +A S s0", "-", "lost lower-vtep", A, ("sticky-conflict",)),
    Case("and it comes back by itself", "L S +A S s0 -A", "s0 S", "won only-path"),
    Case("V27 a sticky route keeps the MAC from us", "+A S s0 L", "-", "lost sticky", A, ("sticky-violation",)),
    Case("and it stays with it", "+A S s0 L L", "-", "lost sticky", A, ("sticky-violation",)),
    Case("a station that is static no more has no sequence so far", "L S L", "s0", "won only-path"),
    Case("one that becomes static comes back", "L +A s1 L S", "s0 S", "won sticky", "", ("sticky-violation",)),
    Case("the gateway is announced as such", "L G /ip1", "s0 G /ip1", "won gateway"),
    Case("and a gateway elsewhere does not take it for good", "L G +A G s- -A", "s0 G", "won gateway"),
    Case("without leave a station does not count", "mute L +A s1", "-", "", A),
    Case("leave that goes takes what was announced", "L mute", "-", ""),
    Case("leave that comes back gives it back", "+A s1 L mute voice", "s2", "won higher-seq"),
    Case("a route without a rival meanwhile does not make it lost", "+A s1 L mute +A s0 voice", "s2", "won higher-seq"),
    Case("leave that comes late compares what was heard before", "mute L +A s1 voice", "-", "lost higher-seq", A),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_station_competes_with_routes(case: Case) -> None:
    intent = Rig().play(case.events)

    told = at_home(intent)
    assert (own(intent), row(intent)) == (case.own, case.row)
    assert ("" if told is None else f"{told.verdict} {told.reason}") == case.told
    assert tuple(alert.kind for alert in intent.alerts.get(KEY, ())) == case.alerts


def test_a_station_is_a_candidate_with_its_port() -> None:
    told = at_home(Rig().play("+A s1 L"))

    assert told is not None
    assert (told.port, str(told.vtep), str(told.rd), told.label, told.seq) == ("swp1", SELF, f"{SELF}:100", 100, 2)


def test_a_change_of_the_local_port_is_not_a_move() -> None:
    rig = Rig()
    before = rig.play("+A s1 L")

    rig.leaf.learn_stations([station(port="swp2")])
    after = rig.judge()

    told = at_home(after)
    assert told is not None
    assert (told.port, after.own_touched, after.generation) == ("swp2", (), before.generation)


def test_a_changed_address_does_not_bring_back_a_lost_station() -> None:
    rig = Rig()
    lost = rig.play("L +A s1")

    rig.leaf.learn_stations([], changed=[station("/ip1")])

    assert (own(lost), own(rig.judge())) == ("-", "-")
    assert own(rig.play("L /ip1")) == "s2 /ip1"


def test_a_changed_address_of_a_station_is_advertised() -> None:
    rig = Rig()
    rig.play("+A s1 L")

    rig.leaf.learn_stations([], changed=[station("/ip1")])
    with_address = own(rig.judge())
    rig.leaf.learn_stations([], changed=[station("S")])

    assert (with_address, own(rig.judge())) == ("s2 /ip1", "s0 S")


def test_a_changed_address_of_an_unknown_station_makes_it_known() -> None:
    rig = Rig()

    rig.leaf.learn_stations([], changed=[station("/ip1")])

    assert own(rig.judge()) == "s0 /ip1"


def test_a_station_that_left_and_was_learned_at_once_counts_as_new() -> None:
    rig = Rig()
    rig.play("L +B s0")

    rig.leaf.learn_stations([station()], [KEY])

    assert own(rig.judge()) == "s1"


def test_a_station_starts_with_the_sequence_of_the_earlier_run() -> None:
    rig = Rig()
    rig.leaf.remember_advertised({KEY: 4})

    assert own(rig.play("L")) == "s4"
    assert own(rig.play("+A s4 -L L")) == "s5"


def test_a_lost_station_whose_winner_left_is_verified_once() -> None:
    rig = Rig()

    rig.play("L +A s1")
    before = rig.leaf.take_unverified()
    rig.play("-A")

    assert (before, rig.leaf.take_unverified(), rig.leaf.take_unverified()) == ([], [KEY], [])


def test_a_remote_neighbor_row_yields_to_the_address_of_a_station_and_comes_back() -> None:
    rig = Rig()
    ip = Ip.parse(IPS["/ip1"])
    other = wire.Instance(A).mac("02:00:00:00:00:02", IPS["/ip1"], seq=3)
    rig.leaf.receive(read_lines([Lines().announce(A, other)]), 0.0)
    remote = rig.judge()

    here = rig.play("L /ip1")
    gone = rig.play("-L")

    key = (VNI, ip)
    assert [len(intent.hosts.get(ip, ())) for intent in (remote, here, gone)] == [1, 0, 1]
    assert (here.touched_hosts, here.generation > remote.generation) == ((key,), True)


def test_a_remote_neighbor_row_goes_at_once_when_our_station_wins_the_mac() -> None:
    """The row keeps the kernel from learning the host's address, so the address was not advertised again."""
    rig, ip = Rig(), Ip.parse(IPS["/ip1"])

    away, home, known, gone = (rig.play(events) for events in ("+A s1 /ip1", "L", "L /ip1", "+A s9 /ip1"))

    assert [tuple(str(host.mac) for host in intent.hosts.get(ip, ())) for intent in (away, home, known, gone)] == [
        (str(M),), (), (), (str(M),),
    ]  # fmt: skip
    assert [own(intent) for intent in (home, known)] == ["s2", "s2 /ip1"]
    assert (VNI, ip) in home.touched_hosts
    assert [refused.reason for refused in home.refused_hosts[ip]] == ["local-mac"]


def test_an_address_that_moved_to_another_remote_mac_keeps_its_row_when_our_station_wins_the_old_mac() -> None:
    rig, ip = Rig(), Ip.parse(IPS["/ip1"])
    lines, other = Lines(), "02:00:00:00:00:02"

    rig.play("+A s1 /ip1")
    rig.leaf.receive(read_lines([lines.announce(B, wire.Instance(B).mac(other, IPS["/ip1"]))]), 0.0)
    intent = rig.play("L")

    assert [str(host.mac) for host in intent.hosts[ip]] == [other]


def test_a_remote_neighbor_row_does_not_yield_to_a_station_that_lost() -> None:
    rig = Rig()

    intent = rig.play("L /ip1 +A s1 /ip1")

    assert [str(host.mac) for host in intent.hosts[Ip.parse(IPS["/ip1"])]] == [str(M)]


def test_a_station_of_a_vni_that_is_not_configured_does_not_count_until_it_is() -> None:
    rig = Rig()
    rig.leaf.set_advertising(frozenset({VNI, Vni(300)}))

    rig.leaf.learn_stations([Station(Vni(300), M, "swp9")])
    before = rig.judge()
    rig.leaf.reconfigure(config.parse(LEAF + '[[vni]]\nvni = 300\nimport_rt = ["65000:300"]\n'), 1.0)
    after = rig.judge()

    assert (len(before.own), set(before.announcing)) == (0, {VNI})
    assert ([key[0] for key, _ in after.own.unordered()], set(after.announcing)) == ([300], {VNI, 300})


def test_a_removed_vni_advertises_nothing_until_it_is_back() -> None:
    rig = Rig()
    there = rig.play("+A s1 L /ip1")

    rig.leaf.reconfigure(config.parse('[node]\nvtep = "10.0.0.99"\n'), 1.0)
    without = rig.judge()
    rig.leaf.reconfigure(config.parse(LEAF), 2.0)
    back = rig.judge()

    assert [own(intent) for intent in (there, without, back)] == ["s2 /ip1", "-", "s2 /ip1"]
    assert [set(intent.announcing) for intent in (there, without, back)] == [{VNI}, set(), {VNI}]


def test_a_vni_with_announce_off_advertises_nothing() -> None:
    intent = Rig(LEAF + "announce = false\n").play("L +A s1")

    assert (own(intent), row(intent), set(intent.announcing)) == ("-", A, set())


def test_permission_to_advertise_changes_the_meaning_without_any_station() -> None:
    rig = Rig()
    before = rig.judge()

    rig.leaf.set_advertising(frozenset())
    after = rig.judge()

    assert (after.generation, set(after.announcing)) == (before.generation + 1, set())
    assert rig.judge() is after


def test_a_station_beats_a_route_that_was_alone_before() -> None:
    """A MAC's only route takes a shorter way through the judgement."""
    rig = Rig()
    for events in ("+A s1", "L", "+A s1", "+A s9"):
        intent = rig.play(events)

    assert (own(intent), row(intent)) == ("-", A)


def test_a_full_vni_still_advertises_its_own_stations() -> None:
    rig = Rig(LEAF + "[limits]\nmacs_per_vni = 1\n")
    rig.leaf.receive(read_lines([Lines().announce(A, wire.Instance(A).mac("02:00:00:00:00:02"))]), 0.0)

    assert own(rig.play("L")) == "s0"


# Duplicates


DUPLICATES = LEAF + '[duplicates]\nmoves = 2\nrecover_s = 30\naction = "{}"\n'


def test_v80_moves_to_and_from_this_leaf_count() -> None:
    intent = Rig(DUPLICATES.format("warn")).play("L +A s1 L")

    assert [alert.kind for alert in intent.alerts[KEY]] == ["dup-warn"]
    assert own(intent) == "s2"


def test_v81_a_duplicate_that_is_frozen_elsewhere_is_not_advertised() -> None:
    rig = Rig(DUPLICATES.format("freeze"))

    intent = rig.play("+B s0 +A s1 +B s2 L")

    told = at_home(intent)
    assert told is not None
    assert (own(intent), row(intent), told.verdict, told.reason) == ("-", B, "lost", "dup-frozen")


QUICK = DUPLICATES.format("freeze") + "window_s = 20\n"
"""A freeze ends 10 s after its location was offered last."""


def test_a_freeze_elsewhere_yields_at_once_when_only_this_leaf_has_the_mac_and_ends_after_a_while() -> None:
    rig = Rig(QUICK)

    frozen, without_b = rig.play("+B s0 +A s1 +B s2 L -A"), rig.play("-B")
    rig.now = 10.0
    late = rig.judge()

    assert [(own(intent), row(intent)) for intent in (frozen, without_b, late)] == [("-", B), ("s3", ""), ("s3", "")]
    assert (KEY in without_b.alerts, KEY in late.alerts) == (True, False)


def test_a_freeze_goes_on_when_its_location_offers_the_mac_again_in_time() -> None:
    rig = Rig(QUICK)
    rig.play("+B s0 +A s1 +B s2")
    for at in (0.0, 8.0, 16.0):
        rig.now = at
        rig.play("-B")
        rig.now = at + 5
        rig.play("+B s2")

    intent = rig.judge()

    assert (row(intent), [alert.kind for alert in intent.alerts[KEY]]) == (B, ["dup-frozen"])


def test_v81_a_duplicate_that_is_frozen_here_stays_advertised_as_it_was() -> None:
    rig = Rig(DUPLICATES.format("freeze"))

    frozen = rig.play("L +A s1 L")
    beaten = rig.play("+A s9")
    again = rig.play("L")

    told = at_home(beaten)
    assert told is not None
    assert [own(intent) for intent in (frozen, beaten, again)] == ["s2", "s2", "s2"]
    assert (row(again), told.verdict, told.reason) == ("", "won", "dup-frozen")
    assert [alert.kind for alert in again.alerts[KEY]] == ["dup-frozen"]


def test_v84_after_a_freeze_the_current_winner_has_the_mac() -> None:
    rig = Rig(DUPLICATES.format("freeze"))
    rig.play("L +A s1 L +A s9")

    rig.now = 30.0
    intent = rig.judge()

    assert (own(intent), row(intent)) == ("-", A)


def test_v83_an_operator_clears_a_station_that_was_frozen_elsewhere() -> None:
    rig = Rig(DUPLICATES.format("freeze"))
    rig.play("+B s0 +A s1 +B s2 L -A")

    rig.leaf.clear_duplicates([KEY])

    assert own(rig.judge()) == "s3"


def test_a_freeze_here_ends_a_while_after_the_station_left() -> None:
    rig = Rig(QUICK)
    rig.play("L +A s1 L +A s9")

    without = rig.play("-L")
    rig.now = 10.0
    late, back = rig.judge(), rig.play("L")

    assert [row(intent) for intent in (late, back)] == [A, ""]
    assert (own(late), own(back), KEY in without.alerts) == ("-", "s10", True)


def test_a_freeze_at_a_location_without_routes_ends() -> None:
    rig = Rig(DUPLICATES.format("freeze"))
    frozen = rig.play("+B s0 +A s1 +B s2")

    gone = rig.play("-A -B")
    here = rig.play("L")

    assert [(own(intent), row(intent)) for intent in (frozen, gone, here)] == [("-", B), ("-", ""), ("s0", "")]


# The kernel's side


class Written(Rig):
    """A leaf whose intents are written to a kernel in memory, as the actor does it."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = MemoryKernel()
        self.kernel.add_bridge("br100")
        self.kernel.add_vxlan("vxlan100", VNI, Ip.parse(SELF), "br100")
        self.kernel.add_port("swp1", "br100")
        self._engine = Engine(KINDS, KernelTarget(self.kernel, self.leaf.config.vnis), Claims(KINDS))
        run_to_end(self._engine.run(self.judge(), 0.0))

    def judge(self) -> Intent:
        before = self.leaf.intent
        intent = super().judge()
        if intent is not before:
            scope = Scope(touched={kind.name: kind.touched(intent) for kind in KINDS}, hinted={"fdb": [KEY]})
            run_to_end(self._engine.run(intent, 0.0, scope))
        return intent

    def where(self) -> str:
        """Name the bridge port that has M."""
        names = {link.index: name for name, link in self.kernel.links().by_name.items()}
        bridge = self.kernel.links().by_name["br100"].index
        return next((names[entry.port] for entry in self.kernel.rows([bridge]) if entry.mac == M and entry.master), "")


def test_v47_a_better_route_replaces_a_station_where_the_vni_advertises() -> None:
    """Before the picture is complete as well: what lost is known, and not only what came first."""
    rig = Written()
    rig.kernel.station_sends(M, "swp1")
    rig.play("L")
    before = rig.where()

    rig.play("+A s0")

    assert (before, rig.where(), rig.leaf.intent.complete) == ("swp1", "vxlan100", False)


def test_v47_without_advertising_an_older_route_waits_for_the_station() -> None:
    rig = Written()
    rig.play("mute")
    rig.kernel.station_sends(M, "swp1")
    rig.play("L +A s1")

    assert rig.where() == "swp1"


def test_v47_a_station_that_loses_once_advertising_is_allowed_gives_way() -> None:
    """After a start the routes are there before it is known that ExaBGP can announce, and the row need not change."""
    rig = Written()
    rig.play("mute")
    rig.kernel.station_sends(M, "swp1")
    rig.play("L +A s1 +B s0")
    before = rig.where()

    rig.play("voice")

    assert (before, rig.where()) == ("swp1", "vxlan100")


def test_v47_a_sticky_route_replaces_a_station_once() -> None:
    rig = Written()
    rig.play("+A S s0")
    found = []
    for _ in range(3):
        rig.kernel.station_sends(M, "swp1")
        rig.play("L")
        found.append(rig.where())

    assert found == ["vxlan100", "swp1", "swp1"]


def test_v47_a_route_that_beats_another_does_not_replace_the_station() -> None:
    rig = Written()
    rig.play("mute")
    rig.kernel.station_sends(M, "swp1")
    lines = Lines()

    rig.leaf.receive(read_lines([lines.announce(vtep, wire.Instance(vtep).mac(str(M))) for vtep in (A, B)]), 0.0)
    intent = rig.judge()

    assert (row(intent), rig.where()) == (A, "swp1")


def test_v47_a_station_that_roams_in_takes_the_mac_and_leaves_no_row_of_ours() -> None:
    rig = Written()
    rig.play("+A s0")
    remote = rig.where()
    rig.kernel.station_sends(M, "swp1")

    intent = rig.play("L")

    assert (remote, rig.where(), own(intent), len(intent.macs)) == ("vxlan100", "swp1", "s1", 0)
