"""The announcer beside a fake ExaBGP, which answers late, refuses, loses answers or never gives any."""

from collections import deque

import pytest

from vtep.addr import Ip, Mac, RouteDistinguisher, Vni
from vtep.evpn.event import Answered
from vtep.feed.exabgp.advertise import VXLAN, MacAdvertisement, MacRoute, Multicast, Withdrawal, mobility
from vtep.feed.exabgp.grammar import QUESTION, VERSION, parse
from vtep.local.advertised import ToldLedger
from vtep.local.advertiser import (
    ABLE,
    ANSWER_S_MAX,
    ASKING,
    AWAY,
    IDLE,
    NOT_OURS,
    RETRY_S_FIRST,
    RETRY_S_LAST,
    SILENT,
    UNABLE,
    WINDOW,
    Announcer,
)

VTEP = Ip.parse("10.0.0.99")
RD = RouteDistinguisher.parse("10.0.0.99:100")
REFRESH = "announce route-refresh l2vpn evpn"
CAN = [Answered(f"evpn commands {VERSION}", ok=True, more="vtep, ExaBGP"), Answered("done", ok=True)]
DONE = [Answered("done", ok=True)]
ERROR = [Answered("error", ok=False)]


def refusal(why):
    return [Answered("refused", ok=True, more=why), *ERROR]


def announcement(number, seq=0):
    mac = Mac(bytes((2, 0, 0, 0)) + number.to_bytes(2))
    return MacAdvertisement(MacRoute(RD, mac), VTEP, Vni(100), communities=(VXLAN, mobility(seq)))


def wish(*announcements):
    return {one.route: one for one in announcements}


class FakeExaBgp:
    """Does lines in their order as often as it is told to; an error that is out of turn comes at once."""

    def __init__(self, announcer, *, commands=True, sessions=True):
        self.announcer = announcer
        self.commands = commands
        self.sessions = sessions
        self.waiting = deque()
        self.told = {}
        self.heard = []
        self.refuses = {}
        self.now = 0.0
        self.answers = deque()

    def attach(self, name="one"):
        self.announcer.attach(name, self.now)
        return self

    def read(self):
        """Take the lines that come now."""
        lines = self.announcer.lines(self.now)
        self.heard += lines
        for line in lines:
            taken = self.sessions if line == REFRESH else self.commands
            if taken:
                self.waiting.append(line)
            else:
                self.answers += ERROR
        return lines

    def do(self, count=None):
        """Do so many lines, or all, and have the answers ready."""
        for _ in range(len(self.waiting) if count is None else count):
            line = self.waiting.popleft()
            if line == QUESTION:
                self.answers += CAN
            elif line == REFRESH:
                self.answers += DONE
            else:
                self._do_command(parse(line))

    def _do_command(self, command):
        if why := self.refuses.get(command.route):
            self.answers += refusal(why)
            return
        if isinstance(command, Withdrawal):
            self.told.pop(command.route, None)
        else:
            self.told[command.route] = command
        self.answers += DONE

    def answer(self):
        while self.answers:
            self.announcer.hear(self.answers.popleft(), self.now)

    def settle(self):
        """Go on until nobody has anything to say at this moment."""
        while self.read() or self.waiting or self.answers:
            self.do()
            self.answer()
        return self

    def later(self, seconds):
        self.now += seconds
        return self


@pytest.fixture
def announcer():
    made = Announcer(ToldLedger())
    made.need(True, 0.0)
    made.settle()
    return made


@pytest.fixture
def exabgp(announcer):
    return FakeExaBgp(announcer).attach()


def test_nothing_is_told_before_exabgp_has_said_that_it_can(announcer, exabgp):
    announcer.want(wish(announcement(1)))

    before = exabgp.read()
    exabgp.do()
    exabgp.answer()
    after = exabgp.read()

    assert before == [QUESTION]
    assert [parse(line) for line in after] == [announcement(1)]
    assert announcer.can


def test_what_is_wanted_is_told_and_taken_back(announcer, exabgp):
    announcer.want(wish(announcement(1), announcement(2)))
    exabgp.settle()
    both = dict(exabgp.told)

    announcer.want({announcement(1).route: None})
    exabgp.settle()

    assert both == wish(announcement(1), announcement(2))
    assert exabgp.told == wish(announcement(2))
    assert announcer.idle


def test_the_same_wish_again_says_nothing(announcer, exabgp):
    announcer.want(wish(announcement(1)))
    exabgp.settle()

    announcer.want(wish(announcement(1)))

    assert exabgp.read() == []


def test_plain_exabgp_is_told_nothing_and_refreshes_still_go_to_it(announcer):
    exabgp = FakeExaBgp(announcer, commands=False).attach()
    announcer.want(wish(announcement(1)))
    exabgp.settle()
    announcer.refresh(None)
    exabgp.settle()

    assert exabgp.heard == [QUESTION, REFRESH]
    assert (announcer.state, announcer.why, announcer.can) == (UNABLE, NOT_OURS, False)


def test_plain_exabgp_is_known_by_its_error_though_a_refresh_was_asked_beside_it(announcer):
    exabgp = FakeExaBgp(announcer, commands=False).attach()
    announcer.refresh(None)
    exabgp.settle()

    assert announcer.state == UNABLE


def test_an_error_to_a_refresh_is_no_answer_to_the_question(announcer):
    """While no session is up, ExaBGP refuses a refresh at once, before what waits."""
    exabgp = FakeExaBgp(announcer, sessions=False).attach()
    announcer.refresh(None)
    exabgp.read()
    exabgp.answer()
    before = announcer.state
    exabgp.settle()

    assert (before, announcer.state) == (ASKING, ABLE)


def test_an_error_to_a_refresh_refuses_no_command(announcer, exabgp):
    exabgp.settle()
    announcer.want(wish(announcement(1), announcement(2)))
    exabgp.refuses[announcement(1).route] = "so"
    exabgp.sessions = False
    exabgp.read()
    announcer.refresh(None)
    exabgp.read()
    exabgp.answer()
    exabgp.settle()

    assert set(announcer.refused) == {announcement(1).route}
    assert announcer.status().told == 1
    assert exabgp.heard.count(QUESTION) == 1


def test_an_exabgp_that_could_is_not_taken_for_one_that_cannot(announcer, exabgp):
    """What is left of earlier lines may look like the answers of plain ExaBGP."""
    exabgp.settle()
    exabgp.sessions = False
    announcer.refresh(None)
    exabgp.read()
    announcer.lose(exabgp.now)
    exabgp.read()
    exabgp.answer()
    before = announcer.state, announcer.can
    exabgp.settle()

    assert before == (ASKING, True)
    assert announcer.state == ABLE


def test_another_grammar_is_not_spoken(announcer):
    announcer.attach("one", 0.0)
    announcer.lines(0.0)

    announcer.hear(Answered("evpn commands 2", ok=True), 0.0)
    announcer.hear(*DONE, 0.0)

    assert announcer.state == UNABLE
    assert announcer.why == f"this ExaBGP has EVPN commands of version 2, not {VERSION}"


def test_at_most_a_window_of_lines_is_unanswered_and_the_latest_wish_is_sent_when_its_turn_comes(announcer, exabgp):
    exabgp.settle()
    announcer.want(wish(*(announcement(number) for number in range(3 * WINDOW))))
    first = exabgp.read()
    announcer.want(wish(*(announcement(number, 7) for number in range(3 * WINDOW))))
    announcer.want({announcement(2 * WINDOW).route: None})
    nothing = exabgp.read()
    exabgp.settle()

    assert (len(first), nothing) == (WINDOW, [])
    assert exabgp.told == wish(*(announcement(number, 7) for number in range(3 * WINDOW) if number != 2 * WINDOW))
    # The question, what was under way with the old wish, and each of the others once.
    assert len(exabgp.heard) == 1 + WINDOW + 3 * WINDOW - 1


def test_a_route_that_changes_faster_than_it_is_answered_has_one_command_under_way(announcer, exabgp):
    exabgp.settle()
    exabgp.heard.clear()
    announcer.want(wish(announcement(1)))
    exabgp.read()
    for seq in range(1, 100):
        announcer.want(wish(announcement(1, seq)))
        announcer.want({announcement(1).route: None})
        announcer.want(wish(announcement(1, seq)))
        exabgp.read()
    exabgp.settle()

    assert [parse(line) for line in exabgp.heard] == [announcement(1), announcement(1, 99)]


def test_a_refresh_does_not_wait_for_what_is_to_be_announced(announcer, exabgp):
    exabgp.settle()
    announcer.want(wish(*(announcement(number) for number in range(2 * WINDOW))))
    exabgp.read()

    announcer.refresh(Ip.parse("10.0.0.1"))

    assert exabgp.read() == [f"neighbor 10.0.0.1 {REFRESH}"]


def test_a_refused_command_is_told_again_later_and_later_and_shown(announcer, exabgp):
    exabgp.refuses[announcement(1).route] = "no neighbor matches"
    announcer.want(wish(announcement(1), announcement(2)))
    exabgp.settle()
    status = announcer.status()
    waits = []
    for _ in range(9):
        waits.append(announcer.due - exabgp.now)
        exabgp.later(waits[-1] / 2)
        assert exabgp.read() == []
        exabgp.later(waits[-1]).settle()
    exabgp.refuses.clear()
    exabgp.later(RETRY_S_LAST * 2).settle()

    assert (status.refused, status.error, status.told) == (1, "no neighbor matches", 1)
    assert waits[:3] == pytest.approx([RETRY_S_FIRST, 2 * RETRY_S_FIRST, 4 * RETRY_S_FIRST])
    assert waits[-1] == RETRY_S_LAST
    assert announcer.status().refused == 0
    assert exabgp.told == wish(announcement(1), announcement(2))


def test_another_wish_for_a_refused_route_is_told_at_once(announcer, exabgp):
    exabgp.refuses[announcement(1).route] = "so"
    announcer.want(wish(announcement(1)))
    exabgp.settle()
    exabgp.refuses.clear()

    announcer.want(wish(announcement(1, 5)))
    exabgp.settle()

    assert exabgp.told == wish(announcement(1, 5))
    assert announcer.status().refused == 0


def test_a_refused_route_that_nobody_wants_any_more_is_forgotten(announcer, exabgp):
    exabgp.refuses[announcement(1).route] = "so"
    announcer.want(wish(announcement(1)))
    exabgp.settle()
    exabgp.heard.clear()

    announcer.want({announcement(1).route: None})
    exabgp.settle().later(RETRY_S_LAST).settle()

    assert exabgp.heard == []
    assert (announcer.status().refused, announcer.due) == (0, None)


def test_a_refused_change_of_what_is_announced_leaves_something_to_withdraw(announcer, exabgp):
    announcer.want(wish(announcement(1)))
    exabgp.settle()
    exabgp.refuses[announcement(1).route] = "so"
    announcer.want(wish(announcement(1, 1)))
    exabgp.settle()
    exabgp.refuses.clear()

    announcer.want({announcement(1).route: None})
    exabgp.settle()

    assert exabgp.told == {}


def test_a_refused_withdrawal_is_tried_again(announcer, exabgp):
    announcer.want(wish(announcement(1)))
    exabgp.settle()
    exabgp.refuses[announcement(1).route] = "so"
    announcer.want({announcement(1).route: None})
    exabgp.settle()
    exabgp.refuses.clear()
    exabgp.later(2 * RETRY_S_FIRST).settle()

    assert exabgp.told == {}
    assert announcer.idle


def test_answers_that_were_lost_are_asked_for_again_and_nothing_is_believed_meanwhile(announcer, exabgp):
    exabgp.settle()
    announcer.want(wish(announcement(1), announcement(2), announcement(3)))
    exabgp.refuses[announcement(3).route] = "so"
    exabgp.read()
    exabgp.do()
    exabgp.answers.popleft()
    announcer.lose(exabgp.now)
    exabgp.answer()
    told = announcer.status().told
    exabgp.settle()

    assert told == 0
    assert announcer.status().told == 2
    assert set(announcer.refused) == {announcement(3).route}


def test_answers_to_an_earlier_life_do_not_count(announcer):
    exabgp = FakeExaBgp(announcer)
    exabgp.waiting.extend([REFRESH, QUESTION])
    exabgp.attach()
    announcer.want(wish(announcement(1), announcement(2)))
    exabgp.refuses[announcement(2).route] = "so"
    exabgp.read()
    exabgp.settle()

    assert exabgp.told == wish(announcement(1))
    assert (announcer.state, announcer.status().told, announcer.status().refused) == (ABLE, 1, 1)


def test_silence_is_shown_and_ended_by_an_answer(announcer, exabgp):
    announcer.want(wish(announcement(1)))
    exabgp.read()
    exabgp.waiting.clear()
    due = announcer.due
    exabgp.later(ANSWER_S_MAX)
    again = exabgp.read()
    shown = announcer.status()
    exabgp.settle()

    assert due == ANSWER_S_MAX
    assert again == [QUESTION]
    assert (shown.state, shown.why) == (ASKING, SILENT)
    assert (announcer.status().state, announcer.status().why) == (ABLE, "")
    assert exabgp.told == wish(announcement(1))


def test_a_command_without_an_answer_is_told_again(announcer, exabgp):
    exabgp.settle()
    announcer.want(wish(announcement(1)))
    exabgp.read()
    exabgp.waiting.clear()
    exabgp.later(ANSWER_S_MAX).settle()

    assert exabgp.told == wish(announcement(1))
    assert announcer.can


def test_slow_answers_are_no_silence(announcer, exabgp):
    exabgp.settle()
    announcer.want(wish(*(announcement(number) for number in range(5))))
    exabgp.read()
    for _ in range(5):
        exabgp.later(0.9 * ANSWER_S_MAX).do(1)
        exabgp.answer()
        assert exabgp.read() == []

    assert announcer.status().told == 5


def test_an_exabgp_that_comes_back_with_its_relay_alone_is_told_only_what_it_may_have_missed(announcer, exabgp):
    announcer.want(wish(announcement(1)))
    exabgp.settle()
    announcer.want(wish(announcement(2)))
    exabgp.read()
    exabgp.waiting.clear()
    announcer.detach(exabgp.now)
    away = announcer.status().state, announcer.can
    exabgp.heard.clear()
    exabgp.attach().settle()

    assert away == (AWAY, True)
    assert [parse(line) for line in exabgp.heard if line != QUESTION] == [announcement(2)]


def test_another_exabgp_is_told_everything(announcer, exabgp):
    announcer.want(wish(announcement(1), announcement(2)))
    exabgp.settle()
    announcer.detach(exabgp.now)

    other = FakeExaBgp(announcer).attach("two").settle()

    assert other.told == wish(announcement(1), announcement(2))


def test_while_nobody_is_there_no_line_is_kept(announcer):
    announcer.want(wish(announcement(1)))
    announcer.refresh(None)

    assert announcer.lines(0.0) == []
    assert announcer.due is None


def test_a_leaf_that_announces_nothing_asks_nothing_until_it_does():
    announcer = Announcer(ToldLedger())
    exabgp = FakeExaBgp(announcer).attach().settle()
    before = announcer.state, list(exabgp.heard)
    announcer.need(True, 0.0)
    exabgp.settle()

    assert before == (IDLE, [])
    assert announcer.state == ABLE


def test_what_is_told_is_withdrawn_only_once_what_is_wanted_is_known(tmp_path):
    first = Announcer(ToldLedger(tmp_path / "told"))
    first.need(True, 0.0)
    exabgp = FakeExaBgp(first).attach()
    first.want(wish(announcement(1), announcement(2), announcement(3)))
    exabgp.settle()
    first.ledger.close()

    second = Announcer(ToldLedger(tmp_path / "told"))
    second.need(True, 0.0)
    exabgp.announcer = second
    exabgp.heard.clear()
    exabgp.attach().settle()
    kept = dict(exabgp.told), list(exabgp.heard)
    second.want(wish(announcement(2), announcement(4)))
    exabgp.settle()
    grown = set(exabgp.told)
    second.settle()
    exabgp.settle()

    assert kept == (wish(announcement(1), announcement(2), announcement(3)), [QUESTION])
    assert grown == {announcement(number).route for number in (1, 2, 3, 4)}
    assert exabgp.told == wish(announcement(2), announcement(4))
    assert not [line for line in exabgp.heard if str(announcement(2).route.mac) in line]


def test_draining_waits_for_no_answer_before_it_says_the_rest(announcer, exabgp):
    announcer.want(wish(*(announcement(number) for number in range(2 * WINDOW))))
    exabgp.settle()

    announcer.end()
    lines = exabgp.read()
    exabgp.settle()

    assert len(lines) == 2 * WINDOW
    assert (exabgp.told, announcer.idle, announcer.ledger.told) == ({}, True, {})


def test_a_neighbor_that_exabgp_got_since_is_told_everything_on_demand(announcer, exabgp):
    announcer.want(wish(announcement(1), announcement(2)))
    exabgp.settle()
    exabgp.heard.clear()

    announcer.tell_again()
    exabgp.settle()

    assert [parse(line) for line in exabgp.heard] == [announcement(1), announcement(2)]
    assert announcer.status().told == 2


def test_a_ledger_that_cannot_be_written_stops_the_telling_and_says_so(announcer, exabgp, monkeypatch):
    def full(_commands):
        raise OSError(28, "No space left on device")

    exabgp.settle()
    monkeypatch.setattr(announcer.ledger, "ask", full)
    announcer.want(wish(announcement(1)))
    lines = exabgp.read()
    why = announcer.status().why
    monkeypatch.undo()
    exabgp.later(announcer.due - exabgp.now).settle()

    assert lines == []
    assert why == "No space left on device: what is told cannot be noted"
    assert exabgp.told == wish(announcement(1))
    assert announcer.status().why == ""


def test_another_exabgp_is_told_nothing_before_the_ledger_is_about_it(announcer, exabgp, monkeypatch):
    def full(_exabgp):
        raise OSError(28, "No space left on device")

    announcer.want(wish(announcement(1)))
    exabgp.settle()
    monkeypatch.setattr(announcer.ledger, "begin", full)
    other = FakeExaBgp(announcer).attach("two").settle()
    before = dict(other.told)
    monkeypatch.undo()
    other.later(announcer.due).settle()

    assert before == {}
    assert other.told == wish(announcement(1))
    assert announcer.status().why == ""


def test_multicast_routes_are_told_like_any_other(announcer, exabgp):
    from vtep.feed.exabgp.advertise import MulticastRoute, Pmsi

    floods = Multicast(MulticastRoute(RD, VTEP), VTEP, Pmsi(Vni(100), VTEP), (VXLAN,))
    announcer.want(wish(floods))
    exabgp.settle()
    announcer.want({floods.route: None})
    told = dict(exabgp.told)
    exabgp.settle()

    assert told == wish(floods)
    assert exabgp.told == {}
