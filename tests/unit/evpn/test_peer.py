"""A peer's life: each table is walked, every state with every event, and the drawing in the docstring is the table."""

import re
from enum import Enum

import pytest

from vtep.addr import Ip
from vtep.errors import Bug
from vtep.evpn import peer as peer_module
from vtep.evpn.event import PeerOpened
from vtep.evpn.peer import GAP, REFRESH, REFRESH_WAIT_S, SESSION, Gap, Holds, Peer, Refresh, Session, follow

A = Ip.parse("10.0.0.1")
NOW = 1000.0
MARKS = PeerOpened(A, 120, True, refresh=True, enhanced_refresh=True)

TABLES = {"session": (Session, SESSION), "refresh": (Refresh, REFRESH), "gap": (Gap, GAP)}
EVERY = [
    pytest.param(name, state, event, id=f"{name}-{state.name}-{event}")
    for name, (states, table) in TABLES.items()
    for state in states
    for event in table
]

CALLS = {
    ("session", "opened"): lambda peer: peer.open(NOW, replayed=False),
    ("session", "replayed"): lambda peer: peer.open(NOW, replayed=True),
    ("session", "closed"): lambda peer: peer.close(),
    ("session", "message"): lambda peer: peer.take_message(NOW),
    ("session", "whole"): lambda peer: peer.complete_table(),
    ("session", "feed-lost"): lambda peer: peer.lose_feed(),
    ("refresh", "request"): lambda peer: peer.request_refresh(NOW),
    ("refresh", "request-unmarked"): lambda peer: peer.begin_refresh(NOW, marked=False),
    ("refresh", "begin-marker"): lambda peer: peer.begin_refresh(NOW, marked=True),
    ("refresh", "end-marker"): lambda peer: peer.end_marker(),
    ("refresh", "expired"): lambda peer: peer.expire_refresh(),
    ("refresh", "stopped"): lambda peer: peer.stop_refresh(),
    ("gap", "line-lost"): lambda peer: peer.lose_line(),
    ("gap", "want"): lambda peer: peer.want_refresh(),
    ("gap", "request"): lambda peer: peer.request_refresh(NOW),
    ("gap", "begin"): lambda peer: peer.begin_refresh(NOW, marked=True),
    ("gap", "stopped"): lambda peer: peer.stop_refresh(),
}


def a_peer(name: str, state: Enum) -> Peer:
    peer = Peer(A)
    peer.abilities = MARKS
    setattr(peer, name, state)
    if name == "refresh" and state is not Refresh.IDLE:
        peer.refresh_due = NOW + REFRESH_WAIT_S
    return peer


@pytest.mark.parametrize(("name", "state", "event"), EVERY)
def test_each_event_leads_to_the_state_of_the_table_or_is_refused(name: str, state: Enum, event: str) -> None:
    peer = a_peer(name, state)
    after = TABLES[name][1][event].get(state)

    if after is None:
        with pytest.raises(Bug, match=f"whose {name} is {state.value} cannot have the event {event}"):
            CALLS[name, event](peer)
        assert getattr(peer, name) is state
    else:
        CALLS[name, event](peer)
        assert getattr(peer, name) is after
    assert (peer.refresh is not Refresh.IDLE) == (peer.refresh_due is not None)


def test_every_event_of_every_table_has_its_method() -> None:
    assert set(CALLS) == {(name, event) for name, (_, table) in TABLES.items() for event in table}


@pytest.mark.parametrize("name", TABLES)
def test_every_state_can_be_reached_from_the_first_and_left(name: str) -> None:
    states, table = TABLES[name]
    reached, waiting = set(), [next(iter(states))]
    while waiting:
        state = waiting.pop()
        reached.add(state)
        waiting += {column[state] for column in table.values() if state in column} - reached

    assert reached == set(states)
    assert all(any(column.get(state, state) is not state for column in table.values()) for state in states)


@pytest.mark.parametrize("name", TABLES)
def test_the_drawing_is_the_table(name: str) -> None:
    states, table = TABLES[name]
    drawing = re.search(rf"^    {name} .*\n(?:    [A-Z]+ .*\n)+", peer_module.__doc__, re.MULTILINE)[0].splitlines()
    events = drawing[0].split()[1:]
    drawn = {
        (event, state): after
        for state, *afters in (line.split() for line in drawing[1:])
        for event, after in zip(events, afters, strict=True)
    }

    assert [line.split()[0] for line in drawing[1:]] == [state.name for state in states]
    assert events == list(table)
    assert drawn == {
        (event, state.name): column[state].name if state in column else "-"
        for event, column in table.items()
        for state in states
    }


def test_a_refused_event_names_the_state_and_the_event() -> None:
    with pytest.raises(Bug, match="a peer whose session is awaited cannot have the event whole"):
        follow(SESSION, Session.AWAITED, "whole")


@pytest.mark.parametrize("state", Session)
def test_each_session_state_is_up_or_down_and_has_its_table_or_not(state: Session) -> None:
    peer = a_peer("session", state)

    assert (peer.up, peer.ended) == {
        Session.AWAITED: (False, False),
        Session.LOADING: (True, False),
        Session.LOADED: (True, True),
        Session.CLOSED: (False, True),
    }[state]


@pytest.mark.parametrize("gap", Gap)
@pytest.mark.parametrize("refresh", Refresh)
def test_a_refresh_is_wanted_only_while_none_is_under_way(gap: Gap, refresh: Refresh) -> None:
    peer = a_peer("session", Session.LOADED)
    peer.gap, peer.refresh = gap, refresh

    assert peer.wants_refresh == (gap in (Gap.WANTED, Gap.LOST) and refresh is Refresh.IDLE)
    assert peer.has_gap == (gap in (Gap.LOST, Gap.CLOSING))


@pytest.mark.parametrize("state", Session)
def test_a_peer_without_a_session_is_never_asked(state: Session) -> None:
    peer = a_peer("session", state)
    peer.lose_line()

    assert peer.wants_refresh == peer.up


def test_the_status_shows_the_words_it_always_had() -> None:
    assert [refresh.shown for refresh in Refresh] == ["", "asked", "running", "running"]


def test_the_default_holds() -> None:
    assert Holds() == Holds(120.0, 0.0, 600.0, "auto", (), 2_000_000)
