"""Random histories of one leaf: intents, other programs, stations, devices, refusals and deaths, in any order.

Before each pass the machine notes what is not the daemon's to touch, by its own reading of the rows, and holds the pass
to it. At the end one survey must make everything right, and another must send nothing. Knows no world: a subclass makes
one.
"""

import errno
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.contract.leaf import A, B, C, L, Leaf, M, N, station_gone, written
from tests.contract.test_rows import add, delete, operator, operator_tunnel
from tests.contract.worlds import World
from tests.lab.disk import full_disk
from vtep.addr import Mac
from vtep.intent import Intent
from vtep.linux.ledger import LedgerFile
from vtep.linux.memory.kernel import Crashed
from vtep.linux.tables.all import KINDS
from vtep.linux.wire.neighbor import NTF_EXT_LEARNED, NTF_SELF, NUD_REACHABLE, Entry, Verb
from vtep.reconcile.report import Report

MACS = (L, M, N)
NAME = {L: "l", M: "m", N: "n"}
EXT, STICKY, SELF, MASTER = 0x10, 0x40, 0x02, 0x04
macs, vteps = st.sampled_from(MACS), st.sampled_from((A, B, C))
ports = st.sampled_from(("h0", "h1"))
errnos = st.sampled_from((errno.ENOMEM, errno.EINVAL, errno.ENOSPC))
tables = st.dictionaries(macs, st.none() | st.tuples(vteps, st.integers(0, 2)))

HANDS = (
    # An operator pins a station, and unpins it
    lambda mac, _: operator(mac, "h0"),
    lambda mac, _: operator(mac, "h0", flags=MASTER | STICKY),
    lambda mac, _: delete(mac, MASTER, port="h0"),
    # An operator writes a tunnel row, over ours too
    operator_tunnel,
    lambda mac, vtep: operator_tunnel(mac, vtep, Verb.REPLACE),
    # Another daemon writes as FRR does; without the bridge half it is a row that was flushed since
    lambda mac, vtep: add(mac, vtep, flags=EXT | SELF | MASTER, state=0x42),
    lambda mac, vtep: add(mac, vtep, flags=EXT | SELF, state=0x42),
    # Somebody moves a row of ours and leaves its mark
    add,
)


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.held = ExitStack()
        self.world: World = self.held.enter_context(self.make_world())
        self.path = Path(self.held.enter_context(tempfile.TemporaryDirectory())) / "ledger"
        self.wanted: dict[Mac, tuple] = {}
        self.complete = False
        self.news: set[Mac] = set()
        self.meddled: set[Mac] = set()
        """MACs whose rows other programs wrote, or took the mark from: what is left of them may belong to no program."""
        self.now = 1000.0
        self.ledger: LedgerFile | None = None

    def make_world(self):
        raise NotImplementedError

    def make_device_again(self) -> None:
        raise NotImplementedError

    def make_fit_again(self) -> None:
        """A port that comes back learns from the tunnel until that is switched off."""
        raise NotImplementedError

    def teardown(self) -> None:
        with self.held:
            if self.ledger is not None:
                self._settle()

    # The daemon

    @initialize(wanted=tables, complete=st.booleans())
    def start(self, wanted: dict, complete: bool) -> None:
        self._begin_life(complete)
        self._change_routes(wanted)

    @rule(complete=st.booleans())
    def restart(self, complete: bool) -> None:
        """A clean end and a new life, to which the peers have sent all routes or none yet."""
        self._begin_life(complete)

    @rule(before=tables, messages=st.integers(0, 4), survey=st.booleans(), after=tables, complete=st.booleans())
    def die_in_a_pass(self, before: dict, messages: int, survey: bool, after: dict, complete: bool) -> None:
        self._change_routes(before)
        self.leaf.kernel.crash_after = messages
        try:
            self._pass(self.leaf.survey if survey else self.leaf.pass_)
        except Crashed:
            note("died")
        self._begin_life(complete)
        self._change_routes(after)

    @rule()
    def pass_as_usual(self) -> None:
        self._pass(self.leaf.pass_)

    @rule()
    def pass_with_an_audit(self) -> None:
        self._pass(self.leaf.audit)

    @rule(mac=macs, half=st.sampled_from((0, SELF)))
    def survey_by_a_dump_with_holes(self, mac: Mac, half: int) -> None:
        """While others delete, a dump can lack rows that are there. What the first dump of a life lacks is unknown."""
        self._pass(self.leaf.pass_)
        self.leaf.kernel.unseen = lambda entry: entry.mac == mac and entry.flags & NTF_SELF == half
        self._pass(self.leaf.survey)
        self.leaf.kernel.unseen = lambda _: False

    @rule(wanted=tables, code=errnos, verb=st.sampled_from(Verb), half=st.sampled_from((0, MASTER, SELF)))
    def pass_with_refusals(self, wanted: dict, code: int, verb: Verb, half: int) -> None:
        self._change_routes(wanted)
        self.leaf.kernel.refused = lambda message: code if message.verb is verb and message.flags & half == half else 0
        self._pass(self.leaf.pass_)
        self.leaf.kernel.refused = lambda _: 0

    @rule(wanted=tables)
    def pass_whose_answers_are_lost(self, wanted: dict) -> None:
        self._change_routes(wanted)
        self.leaf.kernel.answers_lost = True
        self._pass(self.leaf.pass_)
        self.leaf.kernel.answers_lost = False

    @rule(before=tables, during=tables, dies=st.booleans(), after=tables, complete=st.booleans())
    def the_disk_is_full_for_a_while(self, before: dict, during: dict, dies: bool, after: dict, complete: bool) -> None:
        self._change_routes(before)
        self._pass(self.leaf.pass_)
        with full_disk(self.path):
            self._change_routes(during)
            self._pass(self.leaf.pass_)
            if dies:
                self._begin_life(complete)
                self._change_routes(after)
                self._pass(self.leaf.survey)

    @rule(seconds=st.sampled_from((0.05, 0.2, 10.0)))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    # The routes

    @rule(wanted=tables)
    def routes_come_and_go(self, wanted: dict) -> None:
        self._change_routes(wanted)

    @rule()
    @precondition(lambda self: not self.complete)
    def the_picture_is_complete(self) -> None:
        self.complete = True
        self._offer()

    # Other programs

    @rule(mac=macs, hand=st.sampled_from(HANDS), vtep=vteps)
    def another_program_meddles(self, mac: Mac, hand: Callable, vtep) -> None:
        self.meddled.add(mac)
        hand(mac, vtep)(self.world)

    @rule(mac=macs, flags=st.sampled_from((MASTER, SELF)))
    def another_program_deletes_a_half(self, mac: Mac, flags: int) -> None:
        delete(mac, flags)(self.world)

    # Stations and devices

    @rule(mac=macs, port=ports)
    def a_station_sends(self, mac: Mac, port: str) -> None:
        self.world.station_sends(mac, port)

    @rule(mac=macs)
    def a_station_is_forgotten(self, mac: Mac) -> None:
        for port in ("h0", "h1"):
            station_gone(self.world, mac, port)

    @rule(
        what=st.sampled_from(("vx0 flaps", "h0 flaps", "br0 flaps", "vx0 leaves", "vx0 is made again")),
        passes=st.booleans(),
    )
    def something_happens_to_a_device(self, what: str, passes: bool) -> None:
        name = what.split(maxsplit=1)[0]
        if what.endswith("flaps"):
            self.world.set_up(name, False)
        elif what.endswith("leaves"):
            self.world.set_master(name, None)
        else:
            self.world.delete_link(name)
        if passes:
            self._pass(self.leaf.pass_)
        if what.endswith("flaps"):
            self.world.set_up(name, True)
        elif what.endswith("leaves"):
            self.world.set_master(name, "br0")
            self.make_fit_again()
        else:
            self.make_device_again()

    # What holds

    def _change_routes(self, wanted: dict) -> None:
        """Take over what the table says of each MAC; of those that it leaves out nothing changes."""
        for mac, place in wanted.items():
            if place is None:
                self.wanted.pop(mac, None)
            else:
                self.wanted[mac] = place
        self._offer()

    def _begin_life(self, complete: bool = False) -> None:
        self.ledger = LedgerFile(self.path, KINDS, {"boot": "this", "namespace": "this"})
        self.held.callback(self.ledger.close)
        self.leaf = Leaf(self.world, self.ledger, Intent())
        self.complete = complete
        self._offer()

    def _offer(self) -> None:
        self.leaf.want(self.wanted, complete=self.complete)
        self.news |= {mac for _, mac in self.leaf.intent.touched}

    def _pass(self, run: Callable[[], Report]) -> Report:
        self.leaf.now = self.now
        before = self.world.rows()
        untouchable = [entry for entry in before if self._is_untouchable(entry, before)]
        gone = self.leaf.intent.complete
        try:
            report = run()
        finally:
            after = self.world.rows()
            assert [entry for entry in untouchable if entry not in after] == []
            if not gone:
                lost = {(entry.mac, entry.flags & NTF_SELF) for entry in before}
                lost -= {(entry.mac, entry.flags & NTF_SELF) for entry in after}
                assert lost == set(), "something went although the picture is not complete"
        if self.leaf.intent.complete and not report.failed and not report.suppressed:
            # What another program wrote can keep a newer route out, which then stays news until its row is written.
            self.news = {mac for mac in self.news & self.meddled if self.leaf.trouble(mac).startswith("contested ")}
        return report

    def _is_untouchable(self, entry: Entry, rows: list[Entry]) -> bool:
        """Tell whose row it is by what it says, by the claims, and by what is wanted: not by asking the engine."""
        if entry.mac not in MACS:
            return True
        on_port = entry.port == self._port()
        partner = [row for row in rows if row.mac == entry.mac and row.flags & NTF_SELF and row.port == self._port()]
        is_marked = bool(entry.flags & NTF_EXT_LEARNED)
        if entry.flags & NTF_SELF:
            ours = is_marked and entry.state == 0xC0
            return not ours or not (self.leaf.owns(entry.mac) or self._is_wanted(entry))
        if not on_port:
            return entry.state != NUD_REACHABLE or bool(entry.flags & 0x40) or entry.mac not in self.news
        if not is_marked or entry.state != NUD_REACHABLE:
            return True
        if partner and (partner[0].flags & NTF_EXT_LEARNED and partner[0].state != 0xC0):
            return True
        return not self.leaf.owns(entry.mac) and entry.mac not in self.wanted

    def _is_wanted(self, entry: Entry) -> bool:
        return entry.mac in self.wanted and self.wanted[entry.mac][0] == entry.dst

    def _port(self) -> int:
        link = self.world.kernel.links().by_name.get("vx0")
        return link.index if link else -1

    def _settle(self) -> None:
        """All is well again, and an operator asks for a resync: one pass makes it right, another sends nothing."""
        self.now += 10
        self.complete = True
        self._offer()
        self.leaf.engine.backlog.rearm()
        report = self._pass(self.leaf.survey)
        assert report.converged
        for mac in MACS:
            self._check(mac)

        sent, rows = len(self.leaf.kernel.sent), self.world.rows()
        for further in (self.leaf.survey, self.leaf.audit, self.leaf.pass_):
            assert self._pass(further).converged
        assert (sent, rows) == (len(self.leaf.kernel.sent), self.world.rows())

    def _check(self, mac: Mac) -> None:
        rows, name = self.leaf.rows(mac), NAME[mac]
        if self.leaf.trouble(mac):
            assert mac in self.wanted
            assert self.leaf.trouble(mac).startswith("contested ")
            assert written(name, self.wanted[mac][0]) != rows
            assert not self.leaf.owns(mac)
        elif mac in self.wanted:
            assert written(name, self.wanted[mac][0]) == rows
            assert self.leaf.owns(mac)
        else:
            assert not self.leaf.owns(mac)
        if mac in self.meddled:
            return
        here = [row for row in rows if " bridge h" in row]
        if mac in self.wanted and not here:
            assert not self.leaf.trouble(mac)
        else:
            assert here == rows, "something of ours is left"
