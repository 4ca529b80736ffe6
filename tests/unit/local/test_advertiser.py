"""The advertiser and the dialog with ExaBGP beside a fake ExaBGP, which answers late, refuses, loses answers or never gives any."""

from collections import deque

import pytest

from tests.lab.disk import full_disk
from vtep.addr import Ip, Mac, RouteDistinguisher, Vni
from vtep.evpn.advertise import VXLAN, MacAdvertisement, MacRoute, Multicast, Withdrawal, mobility
from vtep.feed.contract import AnswersLost, CanAdvertise, CannotAdvertise
from vtep.feed.exabgp.answers import Answered
from vtep.feed.exabgp.dialog import LINES_MAX as WINDOW
from vtep.feed.exabgp.dialog import NOT_OURS, Dialog
from vtep.feed.exabgp.grammar import QUESTION, VERSION, parse
from vtep.local import advertiser as advertiser_module
from vtep.local.advertised import AdvertisedLedger
from vtep.local.advertiser import (
    ABLE,
    ANSWER_S_MAX,
    ASKING,
    AWAY,
    IDLE,
    SENT_AT_ONCE,
    SILENT,
    TRANSITIONS,
    UNABLE,
    Advertiser,
    Event,
)
from vtep.local.pending import WAITS

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


class Joined:
    """An advertiser and its dialog with ExaBGP, which only lines and answers leave and enter."""

    def __init__(self, ledger):
        self.now = 0.0
        self.sent = []
        self.dialog = Dialog(self.sent.append, lambda report: self.advertiser.take(report, self.now), lambda: self.now)
        self.advertiser = Advertiser(self.dialog, ledger)

    def __getattr__(self, name):
        return getattr(self.advertiser, name)

    def attach(self, name, now):
        self.now = now
        self.dialog.begin(name)
        self.advertiser.attach(name, now)

    def detach(self, now):
        self.now = now
        self.dialog.end()
        self.advertiser.detach(now)

    def lose(self, now):
        self.now = now
        self.dialog.lose()

    def refresh(self, peer):
        self.dialog.refresh(peer)

    def receive(self, answer, now):
        self.now = now
        self.dialog.receive(answer)

    def lines(self, now):
        """Return what is sent now and was not returned yet."""
        self.now = now
        self.advertiser.send(now)
        lines = list(self.sent)
        self.sent.clear()
        return lines


class FakeExaBgp:
    """Carries out lines in order, as many as the test asks for; an error out of turn comes at once."""

    def __init__(self, advertiser, *, commands=True, sessions=True):
        self.advertiser = advertiser
        self.commands = commands
        self.sessions = sessions
        self.waiting = deque()
        self.advertised = {}
        self.received = []
        self.refuses = {}
        self.now = 0.0
        self.answers = deque()

    def attach(self, name="one"):
        self.advertiser.attach(name, self.now)
        return self

    def read(self):
        """Take the lines that come now."""
        lines = self.advertiser.lines(self.now)
        self.received += lines
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
            self.advertised.pop(command.route, None)
        else:
            self.advertised[command.route] = command
        self.answers += DONE

    def answer(self):
        while self.answers:
            self.advertiser.receive(self.answers.popleft(), self.now)

    def settle(self):
        """Go on until neither side has anything to send."""
        while self.read() or self.waiting or self.answers:
            self.do()
            self.answer()
        return self

    def later(self, seconds):
        self.now += seconds
        return self


@pytest.fixture
def advertiser():
    made = Joined(AdvertisedLedger())
    made.need(True, 0.0)
    made.settle()
    return made


@pytest.fixture
def exabgp(advertiser):
    return FakeExaBgp(advertiser).attach()


def test_no_command_is_sent_before_exabgp_says_that_it_has_the_commands(advertiser, exabgp):
    advertiser.want(wish(announcement(1)))

    before = exabgp.read()
    exabgp.do()
    exabgp.answer()
    after = exabgp.read()

    assert before == [QUESTION]
    assert [parse(line) for line in after] == [announcement(1)]
    assert advertiser.can


def test_a_wanted_route_is_announced_and_later_withdrawn(advertiser, exabgp):
    advertiser.want(wish(announcement(1), announcement(2)))
    exabgp.settle()
    both = dict(exabgp.advertised)

    advertiser.want({announcement(1).route: None})
    exabgp.settle()

    assert both == wish(announcement(1), announcement(2))
    assert exabgp.advertised == wish(announcement(2))
    assert advertiser.idle


def test_wanting_the_same_again_sends_nothing(advertiser, exabgp):
    advertiser.want(wish(announcement(1)))
    exabgp.settle()

    advertiser.want(wish(announcement(1)))

    assert exabgp.read() == []


def test_plain_exabgp_gets_no_command_and_still_gets_refreshes(advertiser):
    exabgp = FakeExaBgp(advertiser, commands=False).attach()
    advertiser.want(wish(announcement(1)))
    exabgp.settle()
    advertiser.refresh(None)
    exabgp.settle()

    assert exabgp.received == [QUESTION, REFRESH]
    assert (advertiser.state, advertiser.why, advertiser.can) == (UNABLE, NOT_OURS, False)


def test_plain_exabgp_is_recognized_by_its_error_beside_a_refresh(advertiser):
    exabgp = FakeExaBgp(advertiser, commands=False).attach()
    advertiser.refresh(None)
    exabgp.settle()

    assert advertiser.state == UNABLE


def test_an_error_to_a_refresh_is_not_an_answer_to_the_question(advertiser):
    """While no session is up, ExaBGP refuses a refresh at once, before what waits."""
    exabgp = FakeExaBgp(advertiser, sessions=False).attach()
    advertiser.refresh(None)
    exabgp.read()
    exabgp.answer()
    before = advertiser.state
    exabgp.settle()

    assert (before, advertiser.state) == (ASKING, ABLE)


def test_an_error_to_a_refresh_refuses_no_command(advertiser, exabgp):
    exabgp.settle()
    advertiser.want(wish(announcement(1), announcement(2)))
    exabgp.refuses[announcement(1).route] = "so"
    exabgp.sessions = False
    exabgp.read()
    advertiser.refresh(None)
    exabgp.read()
    exabgp.answer()
    exabgp.settle()

    assert set(advertiser.refused) == {announcement(1).route}
    assert advertiser.status().told == 1
    assert exabgp.received.count(QUESTION) == 1


def test_an_exabgp_that_had_the_commands_is_never_taken_for_plain_exabgp(advertiser, exabgp):
    """What is left of earlier lines may look like the answers of plain ExaBGP."""
    exabgp.settle()
    exabgp.sessions = False
    advertiser.refresh(None)
    exabgp.read()
    advertiser.lose(exabgp.now)
    exabgp.read()
    exabgp.answer()
    before = advertiser.state, advertiser.can
    exabgp.settle()

    assert before == (ASKING, True)
    assert advertiser.state == ABLE


def test_commands_of_another_version_are_not_used(advertiser):
    advertiser.attach("one", 0.0)
    advertiser.lines(0.0)

    advertiser.receive(Answered("evpn commands 2", ok=True), 0.0)
    advertiser.receive(*DONE, 0.0)

    assert advertiser.state == UNABLE
    assert advertiser.why == f"this ExaBGP has EVPN commands of version 2, not {VERSION}"


def test_at_most_a_window_of_lines_is_unanswered_and_a_route_is_sent_as_wanted_in_its_turn(advertiser, exabgp):
    exabgp.settle()
    advertiser.want(wish(*(announcement(number) for number in range(3 * WINDOW))))
    first = exabgp.read()
    advertiser.want(wish(*(announcement(number, 7) for number in range(3 * WINDOW))))
    advertiser.want({announcement(2 * WINDOW).route: None})
    nothing = exabgp.read()
    exabgp.settle()

    assert (len(first), nothing) == (WINDOW, [])
    assert exabgp.advertised == wish(*(announcement(number, 7) for number in range(3 * WINDOW) if number != 2 * WINDOW))
    # The question, what was under way with the old wish, and each of the others once.
    assert len(exabgp.received) == 1 + WINDOW + 3 * WINDOW - 1


def test_a_bounded_number_of_commands_is_made_without_a_pause():
    speaker = Taking()
    speaker.room = 10 * SENT_AT_ONCE
    advertiser = Advertiser(speaker, AdvertisedLedger())
    advertiser.need(True, 0.0)
    advertiser.attach("one", 0.0)
    advertiser.take(CanAdvertise(), 0.0)
    advertiser.want(wish(*(announcement(number) for number in range(2 * SENT_AT_ONCE))))
    made = []
    for _ in range(3):
        advertiser.send(0.0)
        made.append(len(speaker.commands))

    assert made == [SENT_AT_ONCE, 2 * SENT_AT_ONCE, 2 * SENT_AT_ONCE]


def test_a_route_that_changes_faster_than_it_is_answered_has_one_command_under_way(advertiser, exabgp):
    exabgp.settle()
    exabgp.received.clear()
    advertiser.want(wish(announcement(1)))
    exabgp.read()
    for seq in range(1, 100):
        advertiser.want(wish(announcement(1, seq)))
        advertiser.want({announcement(1).route: None})
        advertiser.want(wish(announcement(1, seq)))
        exabgp.read()
    exabgp.settle()

    assert [parse(line) for line in exabgp.received] == [announcement(1), announcement(1, 99)]


def test_a_refresh_does_not_wait_for_commands(advertiser, exabgp):
    exabgp.settle()
    advertiser.want(wish(*(announcement(number) for number in range(2 * WINDOW))))
    exabgp.read()

    advertiser.refresh(Ip.parse("10.0.0.1"))

    assert exabgp.read() == [f"neighbor 10.0.0.1 {REFRESH}"]


def test_a_refused_command_is_sent_again_later_and_later_and_shown(advertiser, exabgp):
    exabgp.refuses[announcement(1).route] = "no neighbor matches"
    advertiser.want(wish(announcement(1), announcement(2)))
    exabgp.settle()
    status = advertiser.status()
    waits = []
    for _ in range(9):
        waits.append(advertiser.due - exabgp.now)
        exabgp.later(waits[-1] / 2)
        assert exabgp.read() == []
        exabgp.later(waits[-1]).settle()
    exabgp.refuses.clear()
    exabgp.later(WAITS.last_s * 2).settle()

    assert (status.refused, status.error, status.told) == (1, "no neighbor matches", 1)
    assert waits[:3] == pytest.approx([WAITS.first_s, 2 * WAITS.first_s, 4 * WAITS.first_s])
    assert waits[-1] == WAITS.last_s
    assert advertiser.status().refused == 0
    assert exabgp.advertised == wish(announcement(1), announcement(2))


def test_another_command_for_a_refused_route_is_sent_at_once(advertiser, exabgp):
    exabgp.refuses[announcement(1).route] = "so"
    advertiser.want(wish(announcement(1)))
    exabgp.settle()
    exabgp.refuses.clear()

    advertiser.want(wish(announcement(1, 5)))
    exabgp.settle()

    assert exabgp.advertised == wish(announcement(1, 5))
    assert advertiser.status().refused == 0


def test_a_refused_route_that_is_no_longer_wanted_is_forgotten(advertiser, exabgp):
    exabgp.refuses[announcement(1).route] = "so"
    advertiser.want(wish(announcement(1)))
    exabgp.settle()
    exabgp.received.clear()

    advertiser.want({announcement(1).route: None})
    exabgp.settle().later(WAITS.last_s).settle()

    assert exabgp.received == []
    assert (advertiser.status().refused, advertiser.due) == (0, None)


def test_a_refused_change_of_an_advertised_route_leaves_it_to_be_withdrawn(advertiser, exabgp):
    advertiser.want(wish(announcement(1)))
    exabgp.settle()
    exabgp.refuses[announcement(1).route] = "so"
    advertiser.want(wish(announcement(1, 1)))
    exabgp.settle()
    exabgp.refuses.clear()

    advertiser.want({announcement(1).route: None})
    exabgp.settle()

    assert exabgp.advertised == {}


def test_a_refused_withdrawal_is_tried_again(advertiser, exabgp):
    advertiser.want(wish(announcement(1)))
    exabgp.settle()
    exabgp.refuses[announcement(1).route] = "so"
    advertiser.want({announcement(1).route: None})
    exabgp.settle()
    exabgp.refuses.clear()
    exabgp.later(2 * WAITS.first_s).settle()

    assert exabgp.advertised == {}
    assert advertiser.idle


def test_after_lost_answers_the_question_is_asked_again_and_no_answer_counts_meanwhile(advertiser, exabgp):
    exabgp.settle()
    advertiser.want(wish(announcement(1), announcement(2), announcement(3)))
    exabgp.refuses[announcement(3).route] = "so"
    exabgp.read()
    exabgp.do()
    exabgp.answers.popleft()
    advertiser.lose(exabgp.now)
    exabgp.answer()
    advertised = advertiser.status().told
    exabgp.settle()

    assert advertised == 0
    assert advertiser.status().told == 2
    assert set(advertiser.refused) == {announcement(3).route}


def test_answers_to_an_earlier_life_do_not_count(advertiser):
    exabgp = FakeExaBgp(advertiser)
    exabgp.waiting.extend([REFRESH, QUESTION])
    exabgp.attach()
    advertiser.want(wish(announcement(1), announcement(2)))
    exabgp.refuses[announcement(2).route] = "so"
    exabgp.read()
    exabgp.settle()

    assert exabgp.advertised == wish(announcement(1))
    assert (advertiser.state, advertiser.status().told, advertiser.status().refused) == (ABLE, 1, 1)


def test_an_exabgp_that_does_not_answer_is_shown_until_it_answers(advertiser, exabgp):
    advertiser.want(wish(announcement(1)))
    exabgp.read()
    exabgp.waiting.clear()
    due = advertiser.due
    exabgp.later(ANSWER_S_MAX)
    again = exabgp.read()
    shown = advertiser.status()
    exabgp.settle()

    assert due == ANSWER_S_MAX
    assert again == [QUESTION]
    assert (shown.state, shown.why) == (ASKING, SILENT)
    assert (advertiser.status().state, advertiser.status().why) == (ABLE, "")
    assert exabgp.advertised == wish(announcement(1))


def test_a_command_without_an_answer_is_sent_again(advertiser, exabgp):
    exabgp.settle()
    advertiser.want(wish(announcement(1)))
    exabgp.read()
    exabgp.waiting.clear()
    exabgp.later(ANSWER_S_MAX).settle()

    assert exabgp.advertised == wish(announcement(1))
    assert advertiser.can


def test_slow_answers_do_not_count_as_silence(advertiser, exabgp):
    exabgp.settle()
    advertiser.want(wish(*(announcement(number) for number in range(5))))
    exabgp.read()
    for _ in range(5):
        exabgp.later(0.9 * ANSWER_S_MAX).do(1)
        exabgp.answer()
        assert exabgp.read() == []

    assert advertiser.status().told == 5


def test_when_only_the_relay_was_lost_exabgp_gets_only_what_it_may_have_missed(advertiser, exabgp):
    advertiser.want(wish(announcement(1)))
    exabgp.settle()
    advertiser.want(wish(announcement(2)))
    exabgp.read()
    exabgp.waiting.clear()
    advertiser.detach(exabgp.now)
    away = advertiser.status().state, advertiser.can
    exabgp.received.clear()
    exabgp.attach().settle()

    assert away == (AWAY, True)
    assert [parse(line) for line in exabgp.received if line != QUESTION] == [announcement(2)]


def test_another_exabgp_gets_everything(advertiser, exabgp):
    advertiser.want(wish(announcement(1), announcement(2)))
    exabgp.settle()
    advertiser.detach(exabgp.now)

    other = FakeExaBgp(advertiser).attach("two").settle()

    assert other.advertised == wish(announcement(1), announcement(2))


def test_while_no_exabgp_is_connected_no_line_is_kept(advertiser):
    advertiser.want(wish(announcement(1)))
    advertiser.refresh(None)

    assert advertiser.lines(0.0) == []
    assert advertiser.due is None


def test_a_leaf_that_advertises_nothing_does_not_ask_the_question_until_it_does():
    advertiser = Joined(AdvertisedLedger())
    exabgp = FakeExaBgp(advertiser).attach().settle()
    before = advertiser.state, list(exabgp.received)
    advertiser.need(True, 0.0)
    exabgp.settle()

    assert before == (IDLE, [])
    assert advertiser.state == ABLE


def test_advertised_routes_are_withdrawn_only_when_everything_wanted_is_known(tmp_path):
    first = Joined(AdvertisedLedger(tmp_path / "announced"))
    first.need(True, 0.0)
    exabgp = FakeExaBgp(first).attach()
    first.want(wish(announcement(1), announcement(2), announcement(3)))
    exabgp.settle()
    first.ledger.close()

    second = Joined(AdvertisedLedger(tmp_path / "announced"))
    second.need(True, 0.0)
    exabgp.advertiser = second
    exabgp.received.clear()
    exabgp.attach().settle()
    kept = dict(exabgp.advertised), list(exabgp.received)
    second.want(wish(announcement(2), announcement(4)))
    exabgp.settle()
    grown = set(exabgp.advertised)
    second.settle()
    exabgp.settle()

    assert kept == (wish(announcement(1), announcement(2), announcement(3)), [QUESTION])
    assert grown == {announcement(number).route for number in (1, 2, 3, 4)}
    assert exabgp.advertised == wish(announcement(2), announcement(4))
    assert not [line for line in exabgp.received if str(announcement(2).route.mac) in line]


def test_a_drain_sends_every_withdrawal_without_waiting_for_answers(advertiser, exabgp):
    advertiser.want(wish(*(announcement(number) for number in range(2 * WINDOW))))
    exabgp.settle()

    advertiser.end()
    lines = exabgp.read()
    exabgp.settle()

    assert len(lines) == 2 * WINDOW
    assert (exabgp.advertised, advertiser.idle, advertiser.ledger.advertised) == ({}, True, {})


def test_an_operator_can_have_everything_sent_again(advertiser, exabgp):
    advertiser.want(wish(announcement(1), announcement(2)))
    exabgp.settle()
    exabgp.received.clear()

    advertiser.advertise_again()
    exabgp.settle()

    assert [parse(line) for line in exabgp.received] == [announcement(1), announcement(2)]
    assert advertiser.status().told == 2


def test_a_new_route_waits_for_a_ledger_that_cannot_be_written_and_the_status_says_so(advertiser, exabgp, monkeypatch):
    def full(_commands):
        return OSError(28, "No space left on device")

    exabgp.settle()
    monkeypatch.setattr(advertiser.ledger, "ask", full)
    advertiser.want(wish(announcement(1)))
    lines = exabgp.read()
    why = advertiser.status().why
    monkeypatch.undo()
    exabgp.later(advertiser.due - exabgp.now).settle()

    assert lines == []
    assert why == "No space left on device"
    assert exabgp.advertised == wish(announcement(1))
    assert advertiser.status().why == ""


def test_on_a_full_disk_changes_and_withdrawals_are_sent_and_new_routes_wait(tmp_path):
    advertiser = Joined(AdvertisedLedger(tmp_path / "advertised"))
    advertiser.need(True, 0.0)
    advertiser.settle()
    exabgp = FakeExaBgp(advertiser).attach()
    advertiser.want(wish(announcement(1), announcement(2)))
    exabgp.settle()
    with full_disk(tmp_path / "advertised"):
        changed = announcement(1, seq=7)
        advertiser.want({announcement(2).route: None, **wish(changed, announcement(3))})
        exabgp.settle()
        assert exabgp.advertised == wish(changed)
        status = advertiser.status()
        assert (status.state, status.waiting) == (ABLE, 1)
        assert status.why == f"{tmp_path}/advertised cannot be written: File too large"
    exabgp.later(advertiser.due - exabgp.now).settle()

    assert exabgp.advertised == wish(changed, announcement(3))
    assert advertiser.status().why == ""


def test_another_exabgp_gets_nothing_before_the_ledger_is_about_it(advertiser, exabgp, monkeypatch):
    def full(_exabgp):
        raise OSError(28, "No space left on device")

    advertiser.want(wish(announcement(1)))
    exabgp.settle()
    monkeypatch.setattr(advertiser.ledger, "begin", full)
    other = FakeExaBgp(advertiser).attach("two").settle()
    before = dict(other.advertised)
    monkeypatch.undo()
    other.later(advertiser.due).settle()

    assert before == {}
    assert other.advertised == wish(announcement(1))
    assert advertiser.status().why == ""


def test_multicast_routes_are_announced_like_any_other(advertiser, exabgp):
    from vtep.evpn.advertise import MulticastRoute, Pmsi

    floods = Multicast(MulticastRoute(RD, VTEP), VTEP, Pmsi(Vni(100), VTEP), (VXLAN,))
    advertiser.want(wish(floods))
    exabgp.settle()
    advertiser.want({floods.route: None})
    advertised = dict(exabgp.advertised)
    exabgp.settle()

    assert advertised == wish(floods)
    assert exabgp.advertised == {}


def test_when_routes_were_confirmed_is_forgotten_with_the_speaker_that_confirmed_them(advertiser):
    """Stations that leave while ExaBGP is restarted are never withdrawn, so their times would be kept for ever."""
    exabgp = FakeExaBgp(advertiser).attach()
    advertiser.want(wish(announcement(1)))
    exabgp.settle()
    since = advertiser.of(announcement(1).route).since
    advertiser.detach(1.0)

    FakeExaBgp(advertiser).attach("two")

    assert (since is not None, advertiser.advertiser._confirmed_at) == (True, {})


# The table of states

STATES = (AWAY, IDLE, ASKING, ABLE, UNABLE)
WHY = "because"


class Taking:
    """A speaker that takes everything and answers nothing."""

    on_report = None
    room = WINDOW
    owes_since = None

    def __init__(self):
        self.asked = 0
        self.commands = []

    def ask(self):
        self.asked += 1

    def advertise(self, commands):
        self.commands += commands

    def refresh(self, peer):
        pass


def in_state(state):
    """Lead an advertiser to a state by what happens to it, with one route wanted."""
    speaker = Taking()
    advertiser = Advertiser(speaker, AdvertisedLedger())
    advertiser.settle()
    if state == IDLE:
        advertiser.attach("one", 0.0)
        return advertiser, speaker
    advertiser.need(True, 0.0)
    advertiser.want(wish(announcement(1)))
    if state == AWAY:
        return advertiser, speaker
    advertiser.attach("one", 0.0)
    speaker.owes_since = 0.0
    for report in {ASKING: (), ABLE: [CanAdvertise()], UNABLE: [CannotAdvertise("so")]}[state]:
        advertiser.take(report, 0.0)
    advertiser.send(0.0)
    speaker.asked = 0
    speaker.commands.clear()
    return advertiser, speaker


def drawn():
    """Return the table as the theory page draws it."""
    _, _, rest = advertiser_module.__doc__.partition("    state    ")
    head, *rows = rest.split("\n\n")[0].splitlines()
    events = [Event(name) for name in head.split()]
    return {
        (row.split()[0], event): after for row in rows for event, after in zip(events, row.split()[1:], strict=True)
    }


def test_the_table_is_drawn_as_it_is():
    assert drawn() == {(state, event): TRANSITIONS[state].get(event, "-") for state in STATES for event in Event}


def test_no_time_is_told_before_the_first_exabgp():
    """The clock began when the machine did, so zero is no time of the daemon."""
    assert Joined(AdvertisedLedger()).advertiser.status().since is None


@pytest.mark.parametrize("event", Event, ids=lambda event: event.value)
@pytest.mark.parametrize("state", STATES)
def test_each_event_leads_from_each_state_where_the_table_says(state, event):
    advertiser, speaker = in_state(state)
    assert advertiser.state == state
    wanted = TRANSITIONS[state].get(event)

    assert advertiser._take(event, 7.0, WHY) is (wanted is not None)

    assert advertiser.state == (wanted or state)
    if wanted is None:
        assert advertiser.why != WHY
        return
    assert (advertiser.status().why, advertiser.status().since) == (WHY, 7.0)
    advertiser.send(7.0)
    assert speaker.asked == (wanted == ASKING), "the question is asked on the way into one state alone"
    assert len(speaker.commands) == (wanted == ABLE), "commands are sent in one state alone"
    assert advertiser.status().waiting == (state != IDLE), "no route is forgotten"


def triggers():
    """Each event that a caller or the speaker can cause, and how."""
    yield Event.CONNECTED, lambda advertiser: (advertiser.need(True, 1.0), advertiser.attach("two", 1.0))
    yield (
        Event.CONNECTED_IDLE,
        lambda advertiser: (setattr(advertiser, "_needed", False), advertiser.attach("two", 1.0)),
    )
    yield Event.DISCONNECTED, lambda advertiser: advertiser.detach(1.0)
    yield Event.NEEDED, lambda advertiser: advertiser.need(True, 1.0)
    yield Event.LOST, lambda advertiser: advertiser.take(AnswersLost(), 1.0)
    yield Event.SILENCE, lambda advertiser: advertiser.send(ANSWER_S_MAX + 1)
    yield Event.SUPPORTED, lambda advertiser: advertiser.take(CanAdvertise(), 1.0)
    yield Event.UNSUPPORTED, lambda advertiser: advertiser.take(CannotAdvertise("it cannot"), 1.0)


@pytest.mark.parametrize(("event", "cause"), list(triggers()), ids=lambda value: getattr(value, "value", ""))
@pytest.mark.parametrize("state", STATES)
def test_what_happens_is_the_event_of_the_table(state, event, cause):
    advertiser, _ = in_state(state)

    cause(advertiser)

    assert advertiser.state == TRANSITIONS[state].get(event, state)
