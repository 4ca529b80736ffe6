"""The engine's bulk path does what the path one by one does: to the kernel, to the ledger, and in what it reports.

Two leaves of one history, one of them with `bulk=False`: random tables, a kernel that refuses some rows, lost answers,
stations, rows of other programs, and time that goes by. After each pass everything that can be seen is equal.
"""

import errno
from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.contract.leaf import A, B, C, Leaf
from tests.contract.test_rows import add, delete, operator, operator_tunnel
from tests.contract.worlds import MemoryWorld
from tests.lab.examples import examples
from vtep.addr import Mac
from vtep.linux.wire.neighbor import NTF_MASTER, NTF_SELF, Verb
from vtep.reconcile.claims import Claims, RowGroup

MACS = [Mac(b"\x02\0\0\0\1" + bytes((number,))) for number in range(140)]
"""More than fit into one batch, of either path."""

places = st.none() | st.tuples(st.sampled_from((A, B, C)), st.integers(0, 2))
spans = st.tuples(st.integers(0, len(MACS)), st.integers(0, len(MACS))).map(lambda ends: MACS[min(ends) : max(ends)])
few = st.lists(st.sampled_from(MACS[:8]), max_size=8, unique=True)
tables = st.lists(st.tuples(spans | few, places), max_size=4)

want = st.tuples(st.just("want"), tables, st.booleans())
"""The picture can be incomplete: then nothing goes."""
refuse = st.tuples(
    st.just("refuse"),
    st.frozensets(st.sampled_from(MACS[:8])),
    st.sampled_from((errno.ENOMEM, errno.EBUSY, errno.EINVAL, errno.EEXIST, errno.ENOENT)),
    st.sampled_from((None, *Verb)),
    st.sampled_from((0, NTF_MASTER, NTF_SELF)),
)
lose_answers = st.tuples(st.just("lose answers"), st.booleans())
meddle = st.tuples(
    st.just("meddle"),
    st.sampled_from(MACS[:8]),
    st.sampled_from(
        (
            lambda mac: add(mac, C),
            lambda mac: add(mac, C, flags=0x16, state=0x42),
            lambda mac: operator(mac, "h0"),
            lambda mac: operator_tunnel(mac, C, Verb.REPLACE),
            lambda mac: delete(mac, NTF_MASTER),
            lambda mac: delete(mac, NTF_SELF),
        )
    ),
)
frame = st.tuples(st.just("frame"), st.sampled_from(MACS[:8]))
restart = st.tuples(st.just("restart"), tables, st.booleans())
later = st.tuples(st.just("later"), st.sampled_from((0.0, 0.2, 10.0)))
look = st.tuples(st.just("look"), st.sampled_from(("pass_", "pass_", "pass_", "audit", "survey")))
changes = want | look | refuse | lose_answers | meddle | frame | restart | later
histories = st.lists(want | changes, max_size=12)


class Two:
    """Two leaves to which the same happens."""

    def __init__(self) -> None:
        self.leaves = [Leaf(MemoryWorld(), bulk=bulk) for bulk in (True, False)]
        self.wanted = {}
        self.look("pass_")

    def want(self, table, complete: bool) -> None:
        for macs, place in table:
            for mac in macs:
                if place is None:
                    self.wanted.pop(mac, None)
                else:
                    self.wanted[mac] = place
        for leaf in self.leaves:
            leaf.want(self.wanted, complete=complete)
        self.look("pass_")

    def refuse(self, macs, code: int, verb: Verb | None, half: int) -> None:
        def refused(message) -> int:
            concerned = macs is None or message.mac in macs
            return code if concerned and verb in (None, message.verb) and message.flags & half == half else 0

        for leaf in self.leaves:
            leaf.kernel.refused = refused

    def lose_answers(self, are_lost: bool) -> None:
        for leaf in self.leaves:
            leaf.kernel.answers_lost = are_lost

    def meddle(self, mac: Mac, hand) -> None:
        for leaf in self.leaves:
            hand(mac)(leaf.world)

    def frame(self, mac: Mac) -> None:
        for leaf in self.leaves:
            leaf.world.station_sends(mac, "h0")

    def restart(self, table, complete: bool) -> None:
        """Begin another life: the ledger says which rows are ours, and no longer which of them are there."""
        for place, leaf in enumerate(self.leaves):
            claims = Claims()
            for key, claim in leaf.ledger.claims("fdb").items():
                claims.claim("fdb", [RowGroup([key], claim.row, claim.rank)])
            self.leaves[place] = Leaf(leaf.world, claims, bulk=not place)
            self.leaves[place].now = leaf.now
        self.want(table, complete)

    def later(self, seconds: float) -> None:
        for leaf in self.leaves:
            leaf.now += seconds

    def look(self, scope: str) -> None:
        for leaf in self.leaves:
            leaf.kernel.sent.clear()
        reports = [getattr(leaf, scope)() for leaf in self.leaves]
        assert reports[0] == reports[1]
        assert self.seen_of(self.leaves[0]) == self.seen_of(self.leaves[1])

    def seen_of(self, leaf: Leaf) -> dict:
        engine = leaf.engine
        return {
            "kernel": Counter(leaf.world.rows()),
            "claims": dict(leaf.ledger.claims("fdb")),
            "confirmed": {vni: count for vni, count in leaf.ledger.confirmed("fdb").items() if count},
            "troubles": dict(engine.troubles),
            "news": Counter(engine.troubles.news),
            "refused": dict(engine.backlog.refused()),
            "foreign": dict(engine.foreign("fdb")),
            "changes": +engine.changes,
            "sent": Counter(leaf.kernel.sent),
        }


@settings(max_examples=examples(200), deadline=None)
@given(histories)
@example(  # a claim of an earlier life that is stronger than what came back so far
    [
        ("want", [(MACS[:1], (A, 2))], True),
        ("restart", [(MACS[:1], (A, 0))], False),
        ("want", [(MACS[:1], (B, 1))], False),
    ]
)
def test_bulk_equals_one_by_one(history: list) -> None:
    two = Two()
    for what, *arguments in history:
        getattr(two, what.replace(" ", "_"))(*arguments)


def test_a_full_device_ends_bulk_and_one_by_one_alike() -> None:
    """One path sends 128 rows before it knows that the device is full, and the other 64: what they claim differs until then."""
    two = Two()
    two.want([(MACS[:10], (A, 0))], complete=True)
    for leaf in two.leaves:
        leaf.kernel.refused = lambda message: errno.ENOSPC if message.verb is Verb.CREATE else 0
        leaf.want(dict.fromkeys(MACS, (B, 1)))
        leaf.pass_()
    first, second = ({**two.seen_of(leaf), "claims": None, "sent": None} for leaf in two.leaves)
    assert first == second
    assert len(first["troubles"]) == len(MACS) - 10

    two.refuse((), 0, None, 0)
    two.later(10.0)
    two.look("survey")
    assert two.leaves[0].engine.troubles == {}


def test_many_rows_alike_are_one_message_in_bulk_and_many_one_by_one() -> None:
    counts = []
    for bulk in (True, False):
        leaf = Leaf(MemoryWorld(), bulk=bulk)
        leaf.pass_()
        messages = []
        send = leaf.target.send
        leaf.target.send = lambda sent, messages=messages, send=send: messages.extend(sent) or send(sent)
        leaf.want(dict.fromkeys(MACS[:100], A))
        leaf.pass_()
        counts.append(len(messages))

    assert counts == [1, 100]
