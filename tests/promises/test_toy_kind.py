"""A new kind of row is one module and one word: everything that shows rows then shows it, and nothing else is edited.

The toy kind keeps a row for each remote VTEP of a VNI, in a table of its own: a dictionary that the target holds beside the
kernel in memory. Its module has what docs/contributing.md asks for, the Kind and its Descriptor; the word is its place in the tuple of
kinds.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

import msgspec
import pytest

from tests.lab.memory import CONFIG, MemoryLeaf
from tests.lab.wire import Instance
from vtep import logs
from vtep.addr import ZERO_MAC, Ip, Vni
from vtep.api.grpc import messages
from vtep.api.metrics import Metrics
from vtep.app.pass_log import PassLog
from vtep.intent import Intent
from vtep.linux.ledger import LedgerFile
from vtep.linux.tables.all import KINDS
from vtep.linux.tables.fdb import FDB
from vtep.linux.target import KernelTarget
from vtep.linux.wire.neighbor import Entry
from vtep.reconcile.actor import Outcome
from vtep.reconcile.claims import Claims, Moment, grouped
from vtep.reconcile.contract import Attachments, Change, Seen
from vtep.reconcile.descriptor import Descriptor
from vtep.reconcile.engine import Engine
from vtep.reconcile.steps import run_to_end

A, B, MAC = "10.0.0.1", "10.0.0.2", "02:00:00:00:00:01"
ENOBUFS = 105


# The module that a contributor adds


class BeaconRow(msgspec.Struct, frozen=True):
    """A beacon burns for the key's VTEP."""

    color: str = "green"


class BeaconMessage(msgspec.Struct, frozen=True):
    verb: str
    vni: Vni
    vtep: Ip
    color: str
    table: str = "beacon"


class BeaconEntry(Entry, frozen=True, kw_only=True):
    """What a dump shows of a beacon, beside the entries of the other tables."""

    beacon: BeaconMessage


class _Beacon:
    name = "beacon"
    descriptor = Descriptor(
        public="beacon", key_name="tower", in_words=lambda row: f"burns {row.color}", vtep_of=lambda _, key: key[1]
    )

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[tuple[Vni, Ip]]:
        return ((flood.vni, flood.via.vtep) for _, floods in latest().floods.unordered() for flood in floods)

    def wanted_at(self, intent: Intent, key: tuple[Vni, Ip]) -> BeaconRow | None:
        return BeaconRow() if any(flood.vni == key[0] for flood in intent.floods.get(key[1], ())) else None

    def touched(self, intent: Intent) -> Iterable[tuple[Vni, Ip]]:
        return [(vni, vtep) for vni, vtep, _ in intent.touched_floods]

    def domain(self, key: tuple[Vni, Ip]) -> Hashable:
        return key[0]

    def recognise(self, entries: Iterable[object], attachments: Attachments) -> Mapping[tuple[Vni, Ip], Seen]:
        burning = (
            entry.beacon
            for entry in entries
            if isinstance(entry, BeaconEntry)
            and entry.beacon.vni in attachments.ready
            and entry.beacon.table == self.name
        )
        return {(entry.vni, entry.vtep): Seen(BeaconRow(entry.color), marked=True) for entry in burning}

    def spell(self, change: Change, _: Attachments) -> Sequence[Sequence[BeaconMessage]]:
        color = "" if change.row is None else change.row.color
        return ([BeaconMessage(change.verb, vni, vtep, color, self.name) for vni, vtep in change.keys],)

    def order(self, change: Change) -> object:
        return (change.keys[0][0], change.verb)

    def pack(self, keys: Sequence[tuple[Vni, Ip]], row: BeaconRow) -> bytes:
        return msgspec.json.encode([[str(vtep) for _, vtep in keys], int(keys[0][0]), row.color])

    def unpack(self, packed: bytes) -> tuple[list[tuple[Vni, Ip]], BeaconRow]:
        vteps, vni, color = json.loads(packed)
        return [(Vni(vni), Ip.parse(vtep)) for vtep in vteps], BeaconRow(color)


BEACON = _Beacon()


class _Keeper(_Beacon):
    """A keeper lives at the beacon of the same VTEP and VNI, and its key has them in that order."""

    name = "keeper"
    descriptor = Descriptor(
        public="keeper",
        key_name="tower",
        in_words=lambda _: "lives there",
        vni_of=lambda key: key[1],
        key_text=lambda key: str(key[0]),
    )
    depends_on = ("beacon",)

    def needs(self, key: tuple[Ip, Vni], _: BeaconRow) -> Iterable[tuple[str, tuple[Vni, Ip]]]:
        return [("beacon", key[::-1])]

    def wanted(self, latest):
        return (key[::-1] for key in super().wanted(latest))

    def wanted_at(self, intent, key):
        return super().wanted_at(intent, key[::-1])

    def touched(self, intent):
        return [key[::-1] for key in super().touched(intent)]

    def domain(self, key):
        return key[1]

    def recognise(self, entries, attachments):
        return {key[::-1]: seen for key, seen in super().recognise(entries, attachments).items()}

    def spell(self, change, attachments):
        return super().spell(Change(change.verb, [key[::-1] for key in change.keys], change.row), attachments)

    def order(self, change):
        return (change.keys[0][1], change.verb)

    def pack(self, keys, row):
        return super().pack([key[::-1] for key in keys], row)

    def unpack(self, packed):
        keys, row = super().unpack(packed)
        return [key[::-1] for key in keys], row


KEEPER = _Keeper()


# Where its rows are: a table that no kernel has


class _Refused(msgspec.Struct, frozen=True):
    index: int
    errno: int = ENOBUFS
    text: str = "No buffer space available"


class _Target(KernelTarget):
    """The kernel in memory, and a table of beacons."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.burning = {}
        self.keepers = {}
        self.refuses = set()
        self.done = []
        """What was carried out, in order."""

    def unreadable_entries(self, *_):
        return None

    def entries(self, attachments):
        return [
            *super().entries(attachments),
            *(
                BeaconEntry(port=0, master=None, mac=ZERO_MAC, state=0, flags=0, beacon=one)
                for one in (*self.burning.values(), *self.keepers.values())
            ),
        ]

    def send(self, messages):
        if not any(isinstance(message, BeaconMessage) for message in messages):
            return super().send(messages)
        refused = []
        for index, message in enumerate(messages):
            table = self.burning if message.table == "beacon" else self.keepers
            if {message.vtep, (message.table, message.verb)} & self.refuses and message.verb != "delete":
                refused.append(_Refused(index))
                continue
            if ("delete", message.table) in self.refuses and message.verb == "delete":
                refused.append(_Refused(index))
                continue
            self.done.append((message.verb, message.table))
            if message.verb == "delete":
                table.pop((message.vni, message.vtep), None)
            else:
                table[message.vni, message.vtep] = message
        return refused


@pytest.fixture
def rig():
    with MemoryLeaf(CONFIG, kinds=(*KINDS, BEACON), target=_Target) as rig:
        rig.target.refuses.add(Ip.parse(B))
        rig.step()
        rig.come_up(A)
        rig.receive(rig.lines.announce(A, Instance(A).mac(MAC), Instance(A).flood()))
        rig.receive(rig.lines.announce(B, Instance(B).flood()))
        yield rig


def test_a_pass_writes_its_rows_and_removes_them(rig):
    assert rig.target.burning.keys() == {(Vni(100), Ip.parse(A))}

    rig.receive(rig.lines.withdraw(A, Instance(A).flood().nlri))

    assert rig.target.burning == {}


def test_a_row_that_somebody_took_is_put_back(rig):
    rig.target.burning.clear()
    rig.survey()

    assert rig.target.burning.keys() == {(Vni(100), Ip.parse(A))}
    assert rig.observer.figures().repaired == {"beacon": 1}


def test_the_comparison_shows_it(rig):
    rig.target.burning.clear()

    found = rig.wait_for(rig.observer.diff(None))

    assert [(row.kind, row.key, row.difference, row.wanted) for row in found.differences] == [
        ("beacon", A, "missing", "burns green"),
        ("beacon", B, "missing", "burns green"),
    ]
    assert [row.kind for row in messages.diff_response(found, lambda time: time).differences] == ["beacon", "beacon"]


def test_the_counts_and_the_metrics_have_it(rig):
    counts = rig.observer.status().kinds["beacon"]

    assert (counts.wanted, counts.installed, counts.failed) == (2, 1, 1)
    text = Metrics(rig.observer).text().decode()
    assert 'vtep_rows{kind="beacon",state="installed"} 1.0' in text
    assert 'vtep_rows{kind="beacon",state="failed"} 1.0' in text


def test_who_watches_sees_what_failed(rig):
    async def first_entries():
        revision = rig.observer.revision
        rig.target.refuses.add(Ip.parse(A))
        rig.target.burning.clear()
        rig.actor.survey()
        await rig.actor.step()
        rig.observer.note_outcome(rig.actor.outcomes.value)
        rig.observer.cut()
        async with asyncio.timeout(10):
            async for batch in rig.observer.batches(revision):
                if batch is not None and batch.entries:
                    return batch.entries
        return ()

    entry = rig.wait_for(first_entries())[-1]

    assert (entry.kind, entry.vni, entry.mac, entry.vtep, entry.reason) == (
        "failed",
        100,
        None,
        Ip.parse(A),
        "retrying",
    )


def test_the_log_names_its_key(rig, caplog):
    caplog.set_level(logging.WARNING, "vtep")
    rig.target.refuses.add(Ip.parse(A))
    rig.target.burning.clear()
    rig.actor.survey()
    rig.wait_for(rig.actor.step())

    PassLog(rig.actor.engine, lambda: rig.now).see(Outcome(), rig.actor.outcomes.value)

    fields = [record.fields for record in caplog.records if record.name == logs.__name__ or record.name == "vtep"]
    assert {key: str(fields[0][key]) for key in ("kind", "vni", "tower")} == {
        "kind": "beacon",
        "vni": "100",
        "tower": A,
    }


def test_its_events_are_kept_and_a_mac_is_explained_beside_it(rig):
    events = [entry for entry in rig.observer.entries()[0] if entry.kind == "failed"]

    assert [(entry.vni, entry.vtep) for entry in events] == [(100, Ip.parse(B))]
    assert rig.explain(MAC).summary.startswith("Behind 10.0.0.1 (only-path): installed")


def test_a_device_that_is_not_fit_makes_it_pending(rig):
    rig.kernel.set_up("vxlan100", False)
    rig.survey()

    counts = rig.observer.status().kinds["beacon"]
    assert (counts.wanted, counts.installed) == (2, 0)
    differences = rig.wait_for(rig.observer.diff(None)).differences
    assert {(row.kind, row.reason) for row in differences} >= {("beacon", "not-ready")}


def test_its_claims_are_written_down_and_read_back():
    keys = [(Vni(100), Ip.parse(A)), (Vni(100), Ip.parse(B))]

    assert BEACON.unpack(BEACON.pack(keys, BeaconRow("red"))) == (keys, BeaconRow("red"))
    assert Engine((*KINDS, BEACON), _Target(None, ()), Claims()).foreign("beacon") == {}


# A pair of kinds, of which one depends on the other


@pytest.fixture
def pair():
    with MemoryLeaf(CONFIG, kinds=(*KINDS, BEACON, KEEPER), target=_Target) as rig:
        rig.step()
        rig.come_up(A)
        yield rig


def light(rig, *vteps):
    rig.receive(*(rig.lines.announce(vtep, Instance(vtep).flood()) for vtep in vteps))


def put_out(rig, *vteps):
    rig.receive(*(rig.lines.withdraw(vtep, Instance(vtep).flood().nlri) for vtep in vteps))


def keepers(rig):
    return {str(vtep) for _, vtep in rig.target.keepers}


def test_a_row_is_created_after_the_row_that_it_needs_and_removed_before_it(pair):
    light(pair, A)
    assert pair.target.done == [("create", "beacon"), ("create", "keeper")]

    pair.target.done.clear()
    put_out(pair, A)
    assert pair.target.done == [("delete", "keeper"), ("delete", "beacon")]


@pytest.mark.parametrize("look", ["step", "survey"])
def test_a_row_whose_dependency_failed_waits_and_is_created_with_it(pair, look):
    pair.target.refuses.add(Ip.parse(A))
    light(pair, A, B)
    assert (keepers(pair), pair.target.done.count(("create", "keeper"))) == ({B}, 1)

    pair.target.refuses.clear()
    pair.now += 10
    getattr(pair, look)()

    assert keepers(pair) == {A, B}
    assert pair.target.done[-2:] == [("create", "beacon"), ("create", "keeper")]
    assert pair.actor.outcomes.value.report.converged


def test_a_row_that_waits_says_for_what_and_the_leaf_is_ready(pair):
    pair.target.refuses.add(Ip.parse(A))
    light(pair, A)

    found = pair.wait_for(pair.observer.diff(None)).differences
    assert [(row.kind, row.difference, row.reason, row.text) for row in found] == [
        ("beacon", "missing", "retrying", "No buffer space available"),
        ("keeper", "missing", "waiting-for", "beacon 10.0.0.1"),
    ]
    status = pair.observer.status()
    assert (status.kinds["keeper"].wanted, status.kinds["keeper"].pending, status.kinds["keeper"].failed) == (1, 1, 0)
    assert (status.ready, status.problems) == (True, ("1 row is failed", "1 row waits for another row"))


def test_counts_history_log_and_ledger_read_the_vni_of_a_key_wherever_it_stands(pair, caplog, tmp_path):
    light(pair, A)
    pair.target.keepers.clear()
    pair.target.refuses.add(("keeper", "create"))
    pair.actor.survey()
    pair.wait_for(pair.actor.step())
    PassLog(pair.actor.engine, lambda: pair.now).see(Outcome(), pair.actor.outcomes.value)
    pair.observer.note_outcome(pair.actor.outcomes.value)

    assert pair.observer.status().kinds["keeper"].failed == 1
    assert [(entry.vni, entry.vtep) for entry in pair.events("failed")] == [(Vni(100), None)]
    [fields] = [record.fields for record in caplog.records if record.message == "row failed"]
    assert (fields["vni"], fields["tower"]) == (Vni(100), A)
    [difference] = pair.wait_for(pair.observer.diff(None)).differences
    assert (difference.kind, difference.vni, difference.key) == ("keeper", Vni(100), A)

    keys = [(Ip.parse(vtep), Vni(vni)) for vni in (100, 200) for vtep in (A, B)]
    for _ in range(2):
        ledger = LedgerFile(tmp_path / "ledger", (BEACON, KEEPER), {})
        ledger.claim("keeper", grouped(((key, BeaconRow(), 0) for key in keys), KEEPER.descriptor.vni_of))
        ledger.confirm("keeper", keys, Moment(1, 1.0))
        assert ledger.confirmed("keeper") == {Vni(100): 2, Vni(200): 2}
        ledger.release("keeper", keys[:1])
        ledger.close()
        assert set(LedgerFile(tmp_path / "ledger", (BEACON, KEEPER), {}).claims("keeper")) == set(keys[1:])


def test_a_row_that_waits_and_is_no_longer_wanted_is_forgotten(pair):
    pair.target.refuses.add(Ip.parse(A))
    light(pair, A)
    put_out(pair, A)

    assert pair.observer.status().problems == ()
    pair.target.refuses.clear()
    pair.now += 10
    pair.step()
    assert {table for _, table in pair.target.done} <= {"beacon"}
    assert pair.target.burning == {}


def test_a_row_that_another_one_still_needs_is_not_removed_before_it(pair):
    light(pair, A)
    pair.target.refuses.add(("delete", "keeper"))
    pair.target.done.clear()

    put_out(pair, A)
    assert (pair.target.done, len(pair.target.burning)) == ([], 1)
    trouble = pair.actor.engine.troubles["beacon", (Vni(100), Ip.parse(A))]
    assert (trouble.state, trouble.reason, trouble.text) == ("held", "waiting-for", "the end of 1 row that needs it")

    pair.target.refuses.clear()
    pair.now += 10
    pair.step()
    assert pair.target.done == [("delete", "keeper"), ("delete", "beacon")]
    assert not pair.actor.engine.troubles


def test_a_dependency_that_somebody_took_is_put_back_and_what_needs_it_stays(pair):
    light(pair, A)
    pair.target.burning.clear()
    pair.target.done.clear()
    pair.survey()

    assert pair.target.done == [("create", "beacon")]
    assert keepers(pair) == {A}


def test_the_dependencies_of_an_earlier_life_are_known_from_its_claims(pair):
    light(pair, A)
    later = Engine(pair.actor.engine.kinds, pair.target, pair.actor.engine.ledger)
    pair.target.refuses.add(("delete", "keeper"))
    pair.target.done.clear()

    run_to_end(later.run(Intent(complete=True), pair.now))

    assert pair.target.done == []
    assert len(pair.target.burning) == 1


def test_a_mac_that_waits_is_explained():
    class Needy(type(FDB)):
        depends_on = ("beacon",)

        def needs(self, key, row):
            return [("beacon", (key[0], row.vtep))]

    kinds = (BEACON, *(Needy() if kind is FDB else kind for kind in KINDS))
    with MemoryLeaf(CONFIG, kinds=kinds, target=_Target) as rig:
        rig.target.refuses.add(Ip.parse(A))
        rig.step()
        rig.come_up(A)
        rig.receive(rig.lines.announce(A, Instance(A).mac(MAC)))
        assert rig.macs()[MAC].sync.reason == "waiting-for"

        light(rig, A)
        assert rig.macs()[MAC].sync.state == "pending"
        assert "pending (waiting-for): beacon 10.0.0.1" in rig.explain(MAC).summary
        rig.target.refuses.clear()
        rig.now += 10
        rig.step()
        assert rig.macs()[MAC].sync.state == "installed"

        rig.receive(rig.lines.announce(B, Instance(B).mac(MAC, seq=1)))
        assert rig.macs()[MAC].sync.reason == "waiting-for"
        counts = rig.observer.status().kinds["mac"]
        assert (counts.wanted, counts.installed, counts.pending) == (1, 0, 1)


def test_a_kind_comes_after_the_kinds_that_it_depends_on(pair):
    assert [kind.name for kind in Engine((KEEPER, BEACON), pair.target, Claims()).kinds] == ["beacon", "keeper"]
    with pytest.raises(ValueError, match="keeper depends on beacon, which is not there"):
        Engine((KEEPER,), pair.target, Claims())
