"""What was said to ExaBGP and what it answers; tests/unit/local/test_advertiser.py has the advertiser at its other end."""

import pytest

from vtep.addr import Ip, Mac, RouteDistinguisher, Vni
from vtep.evpn.advertise import MacAdvertisement, MacRoute, Withdrawal, group_of
from vtep.feed.contract import AnswersLost, CanAdvertise, CannotAdvertise, Done, Refused
from vtep.feed.exabgp import dialog as dialog_module
from vtep.feed.exabgp.answers import Answered
from vtep.feed.exabgp.dialog import ASKING, AWAY, COUNTING, NOT_OURS, PLAIN, REFRESH, SILENT, TRANSITIONS, Dialog, Event
from vtep.feed.exabgp.grammar import QUESTION, parse, spell

RD = RouteDistinguisher.parse("10.0.0.99:100")
VTEP = Ip.parse("10.0.0.99")
STATES = (AWAY, SILENT, ASKING, COUNTING, PLAIN)
DONE = Answered("done", ok=True)
ERROR = Answered("error", ok=False)
CAN = [Answered("evpn commands 1", ok=True), DONE]


CAN_GROUP = [Answered("evpn commands 1", ok=True, versions=(1, 2)), DONE]


def route(number):
    return MacAdvertisement(MacRoute(RD, Mac(bytes((2, 0, 0, 0)) + number.to_bytes(2))), VTEP, Vni(100))


def refusal(why):
    return [Answered("refused", ok=True, more=why), ERROR]


class Rig:
    def __init__(self, state=AWAY, can=CAN):
        self.now = 0.0
        self.lines = []
        self.reports = []
        self.dialog = Dialog(self.lines.append, self.reports.append, lambda: self.now)
        if state != AWAY:
            self.dialog.begin("one")
        if state not in (AWAY, SILENT):
            self.dialog.ask()
        self.answer(*{COUNTING: can, PLAIN: [ERROR]}.get(state, []))
        assert self.dialog.state == state
        self.lines.clear()
        self.reports.clear()

    def answer(self, *answers):
        for answer in answers:
            self.dialog.receive(answer)


def drawn():
    """Return the table as the theory page draws it."""
    _, _, rest = dialog_module.__doc__.partition("    state    ")
    head, *rows = rest.split("\n\n")[0].splitlines()
    events = [Event(name) for name in head.split()]
    return {
        (row.split()[0], event): after for row in rows for event, after in zip(events, row.split()[1:], strict=True)
    }


def test_the_table_is_drawn_as_it_is():
    assert drawn() == {(state, event): TRANSITIONS[state].get(event, "-") for state in STATES for event in Event}


@pytest.mark.parametrize("event", Event, ids=lambda event: event.value)
@pytest.mark.parametrize("state", STATES)
def test_each_event_leads_from_each_state_where_the_table_says(state, event):
    rig = Rig(state)
    wanted = TRANSITIONS[state].get(event)

    assert rig.dialog._take(event) is (wanted is not None)

    assert rig.dialog.state == (wanted or state)
    rig.dialog.advertise([route(1)])
    assert rig.lines == [spell(route(1))] * (rig.dialog.state == COUNTING), "commands are sent in one state alone"


CAUSES = {
    Event.BEGAN: lambda rig: rig.dialog.begin("two"),
    Event.ENDED: lambda rig: rig.dialog.end(),
    Event.ASKED: lambda rig: rig.dialog.ask(),
    Event.LOST: lambda rig: rig.dialog.lose(),
    Event.SUPPORTED: lambda rig: rig.answer(*CAN),
    Event.UNSUPPORTED: lambda rig: rig.answer(ERROR),
}
OUT_OF_TURN = {(COUNTING, Event.SUPPORTED): SILENT, (COUNTING, Event.UNSUPPORTED): SILENT}
"""While answers are counted, these mean that answers were lost."""


@pytest.mark.parametrize("event", Event, ids=lambda event: event.value)
@pytest.mark.parametrize("state", STATES)
def test_what_happens_is_the_event_of_the_table(state, event):
    rig = Rig(state)

    CAUSES[event](rig)

    assert rig.dialog.state == OUT_OF_TURN.get((state, event), TRANSITIONS[state].get(event, state))
    if rig.dialog.state == SILENT and state in (ASKING, COUNTING) and event != Event.BEGAN:
        assert rig.reports == [AnswersLost()]


def test_what_exabgp_does_is_reported_route_by_route():
    rig = Rig(SILENT)
    rig.dialog.ask()
    rig.answer(*CAN)
    rig.dialog.advertise([route(1), route(2)])
    rig.answer(DONE, Answered("refused", ok=True, more="no neighbor matches"), ERROR)

    refused = Refused(route(2).route, "no neighbor matches", spell(route(2)))
    assert rig.reports == [CanAdvertise(), Done(route(1).route), refused]


def test_versions_that_are_not_known_are_named():
    rig = Rig(ASKING)

    rig.answer(Answered("evpn commands 9", ok=True), DONE)

    assert rig.reports == [CannotAdvertise("this ExaBGP has EVPN commands of version 9, not 1")]
    assert rig.dialog.state == PLAIN


def test_an_error_says_that_the_commands_are_not_there_only_when_it_must_be_the_question_s():
    rig = Rig(ASKING)
    rig.dialog.refresh(None)  # refused at once while no session is up
    rig.answer(ERROR)
    before = list(rig.reports)
    rig.answer(ERROR)

    assert (before, rig.reports) == ([], [CannotAdvertise(NOT_OURS)])


def test_a_refresh_is_sent_to_whatever_exabgp_is_attached_and_to_none_else():
    sent = {}
    for state in STATES:
        rig = Rig(state)
        rig.dialog.refresh(Ip.parse("10.0.0.1"))
        sent[state] = rig.lines

    one = [f"neighbor 10.0.0.1 {REFRESH}"]
    assert sent == {AWAY: [], SILENT: one, ASKING: one, COUNTING: one, PLAIN: one}


def test_what_exabgp_owes_begins_with_the_first_line_and_again_with_each_answer():
    rig = Rig(COUNTING)
    nothing = rig.dialog.owes_since
    rig.now = 5.0
    rig.dialog.advertise([route(1), route(2)])
    rig.now = 7.0
    rig.dialog.advertise([route(3)])
    first = rig.dialog.owes_since
    rig.now = 8.0
    rig.answer(DONE)

    assert (nothing, first, rig.dialog.owes_since, rig.dialog.room) == (None, 5.0, 8.0, dialog_module.LINES_MAX - 2)


def test_the_question_is_asked_in_one_line():
    rig = Rig(SILENT)

    rig.dialog.ask()

    assert rig.lines == [QUESTION]


# Many routes in a line


def test_macs_that_share_everything_else_go_in_one_line_where_exabgp_reads_it():
    commands = [route(number) for number in range(600)]
    lines = {}
    for name, can in (("1", CAN), ("1 and 2", CAN_GROUP)):
        rig = Rig(COUNTING, can)
        rig.dialog.advertise(commands)
        lines[name] = rig.lines

    assert lines["1"] == [spell(command) for command in commands]
    assert [parse(line) for line in lines["1 and 2"]] == [group_of(commands[at : at + 256]) for at in (0, 256, 512)]


def test_the_answer_to_a_line_for_many_is_reported_route_by_route():
    rig = Rig(COUNTING, CAN_GROUP)
    rig.dialog.advertise([route(1), route(2), Withdrawal(route(3).route)])

    rig.answer(DONE, DONE)

    assert rig.reports == [Done(route(number).route) for number in (1, 2, 3)]


def test_the_routes_of_a_refused_line_are_sent_one_by_one_so_that_each_has_its_own_answer():
    rig = Rig(COUNTING, CAN_GROUP)
    rig.dialog.advertise([route(1), route(2)])
    rig.lines.clear()

    rig.answer(*refusal("macs: no"))
    before = list(rig.reports)
    rig.answer(DONE, *refusal("mac: no"))

    assert before == []
    assert rig.lines == [spell(route(1)), spell(route(2))]
    assert rig.reports == [Done(route(1).route), Refused(route(2).route, "mac: no", spell(route(2)))]


def test_what_is_unanswered_is_bounded_in_lines_and_in_routes():
    rig = Rig(COUNTING, CAN_GROUP)
    sent = 0
    while room := rig.dialog.room:
        rig.dialog.advertise([route(number) for number in range(sent, sent + min(room, 256))])
        sent += min(room, 256)
    full = sent, len(rig.lines)
    for _ in range(full[1]):
        rig.answer(*refusal("no"))
    after = len(rig.lines) - full[1]

    assert full == (dialog_module.ROUTES_MAX, 9)
    assert (after, rig.dialog.room) == (dialog_module.LINES_MAX, 0)


def test_after_lost_answers_nothing_is_sent_of_a_line_that_was_refused():
    rig = Rig(COUNTING, CAN_GROUP)
    rig.dialog.advertise([route(number) for number in range(256)])
    rig.dialog.advertise([route(number) for number in range(256, 512)])
    rig.answer(*refusal("no"))
    rig.answer(*refusal("no"))
    rig.lines.clear()

    rig.dialog.lose()
    rig.dialog.ask()
    rig.answer(*CAN_GROUP)

    assert rig.lines == [QUESTION]
    assert rig.dialog.room == 256
