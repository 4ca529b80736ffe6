"""How plain rows are put together. That the result equals the path one by one is a property (tests/properties)."""

import pytest

from tests.contract.leaf import VNI, A, B, C, Leaf, M, N
from tests.contract.worlds import MemoryWorld
from vtep.linux.tables.fdb import FDB, FdbRow
from vtep.reconcile.bulk import batched, unlike
from vtep.reconcile.claims import Moment, RowGroup
from vtep.reconcile.contract import Attachments, Seen
from vtep.reconcile.judged import Pass
from vtep.reconcile.report import Trouble


def test_groups_are_cut_and_put_together_so_that_so_many_keys_are_together() -> None:
    groups = [RowGroup(list(keys), row) for row, keys in (("A", "abcdefg"), ("B", "h"), ("C", "ijk"))]

    batches = [[(group.row, "".join(group.keys)) for group in batch] for batch in batched(groups, 4)]

    assert batches == [[("A", "abcd")], [("A", "efg"), ("B", "h")], [("C", "ijk")]]
    one_too_many = [*groups[:1], RowGroup(["l", "m"], "D")]
    assert [len(batch) for batch in batched(one_too_many, 4)] == [1, 1, 1]
    assert list(batched([], 4)) == []


def claimed(leaf, mac, vtep, rank=0, *, confirmed=True):
    leaf.ledger.claim("fdb", [RowGroup([(VNI, mac)], FdbRow(vtep), rank)])
    if confirmed:
        leaf.ledger.confirm("fdb", [(VNI, mac)], Moment(1, 1.0))


NOT_PLAIN = {
    "it is not claimed": lambda leaf: leaf.ledger.release("fdb", [(VNI, M)]),
    "its claim is not confirmed": lambda leaf: claimed(leaf, M, A, confirmed=False),
    "another value is claimed": lambda leaf: claimed(leaf, M, C),
    "another rank is claimed": lambda leaf: claimed(leaf, M, A, rank=1),
    "another value is wanted": lambda leaf: leaf.want({M: C, N: B}),
    "nothing is wanted": lambda leaf: leaf.want({N: B}),
    "a foreign row was seen": lambda leaf: leaf.engine._known.foreign["fdb"].update(
        {(VNI, M): Seen(None, marked=False)}
    ),
    "it has a trouble": lambda leaf: leaf.engine.troubles.note(("fdb", (VNI, M)), Trouble("failed", "retrying")),
    "it had yielded": lambda leaf: leaf.engine._known.yielded.update({("fdb", (VNI, M)): 0}),
    "half of it may be gone": lambda leaf: leaf.engine._known.half_gone.add(("fdb", (VNI, M))),
    "a change of it was refused": lambda leaf: leaf.engine.backlog._refused.update({("fdb", (VNI, M)): None}),
}
"""Each of these by itself has the row looked at one by one, although what is there is as it was claimed."""


@pytest.mark.parametrize("name", [*NOT_PLAIN, "all is plain", "its domain is not ready", "its domain left"])
def test_a_row_is_compared_with_others_unless(name: str) -> None:
    leaf = Leaf(MemoryWorld())
    leaf.want({M: A, N: B})
    leaf.survey()
    NOT_PLAIN.get(name, lambda _: None)(leaf)
    ready = leaf.target.attachments().ready
    if name == "its domain is not ready":
        ready = {}
    left = frozenset({VNI} if name == "its domain left" else ())
    this = Pass(leaf.intent, Attachments(ready, {}, unconfigured=left), 1.0)

    others = unlike(FDB, [(VNI, M), (VNI, N)], leaf.engine._known, leaf.target, this)

    not_plain = [(VNI, M), (VNI, N)] if "domain" in name else [(VNI, M)] * (name in NOT_PLAIN)
    assert (not_plain, 2 - len(not_plain)) == (others, this.kept)
