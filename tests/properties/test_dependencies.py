"""Whatever happens, a row is created after the row that it needs and removed before it, and all ends as wanted.

Two kinds on a target of dictionaries: houses, each of which stands at a road, and roads. The target checks every message: no house
without its road. Between passes the wishes change, messages are refused, answers are lost, and the engine begins another life.
"""

import errno
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.lab.examples import examples
from vtep.addr import Ip, RouteDistinguisher, Vni
from vtep.intent import Direct, Flood, Intent
from vtep.reconcile.claims import Claims, RowGroup
from vtep.reconcile.contract import Attachments, Seen
from vtep.reconcile.descriptor import Descriptor
from vtep.reconcile.engine import Engine, Scope
from vtep.reconcile.steps import run_to_end
from vtep.store.table import Table

VNI = Vni(100)
RD = RouteDistinguisher.parse("65000:1")
ROADS = [Ip.parse(f"10.0.0.{number}") for number in (1, 2, 3)]
HOUSES = [Ip.parse(f"10.0.1.{number}") for number in (1, 2, 3, 4)]


class Row(msgspec.Struct, frozen=True):
    road: Ip
    """The road at which a house stands; a road's own address."""


class Kind:
    def __init__(self, name, addresses):
        self.name = name
        self.descriptor = Descriptor(public=name, key_name="address", in_words=str)
        self.addresses = frozenset(addresses)

    def wanted(self, latest):
        return ((VNI, address) for address, _ in latest().floods.unordered() if address in self.addresses)

    def wanted_at(self, intent, key):
        floods = intent.floods.get(key[1], ())
        return Row(floods[0].via.vtep) if floods else None

    def touched(self, intent):
        return [key[:2] for key in intent.touched_floods if key[1] in self.addresses]

    def domain(self, key):
        return key[0]

    def recognise(self, entries, _):
        return {key: Seen(row, marked=True) for kind, key, row in entries if kind == self.name}

    def spell(self, change, _):
        return ([(self.name, change.verb, key, change.row) for key in change.keys],)

    def order(self, change):
        return (change.verb, change.keys[0][1].order)


class Readable(Kind):
    def lookups(self, key, _):
        return [(self.name, key)]


def kinds(kind):
    houses = kind("house", HOUSES)
    houses.depends_on = ("road",)
    houses.needs = lambda _, row: [("road", (VNI, row.road))]
    return (kind("road", ROADS), houses)


class Target:
    def __init__(self):
        self.rows = {}
        self.refuses = frozenset()
        """Pairs of a kind and a verb."""
        self.are_answers_lost = False

    def attachments(self):
        return Attachments({VNI: "devices"}, {})

    def unreadable_entries(self, *_):
        return None

    def entries(self, _):
        return [(*ref, row) for ref, row in self.rows.items()]

    def look(self, lookups):
        return [(*ref, self.rows[ref]) if ref in self.rows else None for ref in lookups]

    def send(self, messages):
        refused = []
        for index, (kind, verb, key, row) in enumerate(messages):
            if (kind, verb) in self.refuses:
                refused.append(SimpleNamespace(index=index, errno=errno.EBUSY, text="busy"))
                continue
            if verb == "delete":
                assert not self._is_needed(kind, key), "a road went before its house"
                self.rows.pop((kind, key), None)
            else:
                assert kind == "road" or ("road", (VNI, row.road)) in self.rows, "a house came before its road"
                self.rows[kind, key] = row
            if self.are_answers_lost:
                refused.append(SimpleNamespace(index=index, errno=errno.ENOBUFS, text="lost"))
        return refused

    def _is_needed(self, kind, key):
        return kind == "road" and any(name == "house" and row.road == key[1] for (name, _), row in self.rows.items())


class Life:
    def __init__(self, kind):
        self.kinds = kinds(kind)
        self.target = Target()
        self.ledger = Claims()
        self.intent = Intent()
        self.now = 1000.0
        self.touched = {}
        self.restart()

    def restart(self):
        earlier, self.ledger = self.ledger, Claims()
        for kind in self.kinds:
            for key, claim in earlier.claims(kind.name).items():
                for row in claim.before:
                    self.ledger.claim(kind.name, [RowGroup([key], row)])
                self.ledger.claim(kind.name, [RowGroup([key], claim.row)])
        self.engine = Engine(self.kinds, self.target, self.ledger)

    def wish(self, houses, roads, complete):
        """Want these houses, each at a road, and their roads, and some roads more."""
        wanted = {road: road for road in (*roads, *houses.values())} | houses
        floods = {address: (Flood(VNI, Direct(road), road, RD),) for address, road in wanted.items()}
        before = dict(self.intent.floods.unordered())
        touched = [address for address in before.keys() | floods.keys() if before.get(address) != floods.get(address)]
        self.intent = msgspec.structs.replace(
            self.intent,
            generation=self.intent.generation + 1,
            complete=complete,
            floods=Table(floods.items()),
            touched_floods=tuple((VNI, address, VNI) for address in touched),
        )
        for kind in self.kinds:
            self.touched.setdefault(kind.name, set()).update(kind.touched(self.intent))

    def refuse(self, *what):
        self.target.refuses = frozenset(what)

    def lose_answers(self, are_lost):
        self.target.are_answers_lost = are_lost

    def later(self):
        self.now += 10

    def look(self, **scope):
        touched, self.touched = self.touched, {}
        hinted = {}
        for name, key in self.engine.backlog.due(self.now, 1000):
            hinted.setdefault(name, set()).add(key)
        report = run_to_end(self.engine.run(self.intent, self.now, Scope(touched=touched, hinted=hinted, **scope)))
        due = self.engine.backlog.next_due
        assert due is None or due > self.now, "a row that was not tried is still due, so passes follow without a rest"
        return report

    def is_as_wanted(self):
        wanted = {
            (kind.name, key): kind.wanted_at(self.intent, key)
            for kind in self.kinds
            for key in kind.wanted(lambda: self.intent)
        }
        return wanted == self.target.rows


wishes = st.tuples(
    st.just("wish"),
    st.dictionaries(st.sampled_from(HOUSES), st.sampled_from(ROADS)),
    st.lists(st.sampled_from(ROADS)),
    st.booleans(),
)
verbs = st.tuples(st.sampled_from(("road", "house")), st.sampled_from(("create", "replace", "delete")))
refusals = st.lists(verbs, max_size=2).map(lambda what: ("refuse", *what))
looks = st.sampled_from([("look", {}), ("look", {}), ("look", {"audit": True}), ("look", {"survey": True})])
others = st.sampled_from([("later",), ("restart",), ("lose_answers", True), ("lose_answers", False)])
histories = st.lists(wishes | looks | looks | refusals | others, max_size=20)


@pytest.mark.parametrize("kind", [Kind, Readable])
@settings(max_examples=examples(300), deadline=None)
@given(history=histories)
@example(  # a house that cannot move keeps the road where it stands
    [
        ("wish", {HOUSES[0]: ROADS[0]}, [], True),
        ("look", {}),
        ("refuse", ("house", "replace")),
        ("wish", {HOUSES[0]: ROADS[1]}, [], True),
        ("look", {}),
    ]
)
@example(  # a house that was refused is wanted at a road that is not there
    [
        ("refuse", ("house", "create")),
        ("wish", {HOUSES[0]: ROADS[0]}, [], True),
        ("look", {"survey": True}),
        ("refuse", ("road", "create")),
        ("wish", {HOUSES[0]: ROADS[1]}, [], True),
        ("look", {}),
        ("later",),
        ("look", {}),
    ]
)
@example(  # a house that cannot go, nor move, keeps the road where it stands, whatever is wanted meanwhile
    [
        ("refuse", ("house", "delete")),
        ("wish", {HOUSES[2]: ROADS[1]}, [], True),
        ("look", {}),
        ("wish", {}, [], True),
        ("look", {}),
        ("refuse", ("house", "create")),
        ("wish", {HOUSES[0]: ROADS[0], HOUSES[2]: ROADS[0]}, [], True),
        ("look", {}),
        ("wish", {HOUSES[2]: ROADS[2]}, [], True),
        ("look", {}),
    ]
)
def test_no_house_without_its_road(kind, history):
    life = Life(kind)
    for what, *arguments in history:
        if what == "look":
            life.look(**arguments[0])
        else:
            getattr(life, what)(*arguments)

    life.refuse()
    life.lose_answers(False)
    life.intent = msgspec.structs.replace(life.intent, complete=True)
    life.later()
    life.look(survey=True)
    life.later()
    life.look()

    assert life.is_as_wanted()
    assert dict(life.engine.troubles) == {}
    assert life.look(survey=True).converged


@pytest.mark.parametrize("kind", [Kind, Readable])
@settings(max_examples=examples(100), deadline=None)
@given(history=st.lists(wishes.map(lambda wish: (*wish[:3], True)) | refusals, max_size=12))
def test_small_passes_alone_lead_there_when_nothing_is_refused_any_longer(kind, history):
    life = Life(kind)
    life.look(survey=True)
    for what, *arguments in history:
        getattr(life, what)(*arguments)
        life.look()

    life.refuse()
    for _ in range(2):
        life.later()
        life.look()

    assert life.is_as_wanted()
    assert dict(life.engine.troubles) == {}
