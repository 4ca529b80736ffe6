"""How plain rows are put together. That the result equals the path one by one is a property (tests/properties)."""

from vtep.reconcile.bulk import batched
from vtep.reconcile.claims import RowGroup


def test_groups_are_cut_and_put_together_so_that_so_many_keys_are_together() -> None:
    groups = [RowGroup(list(keys), row) for row, keys in (("A", "abcdefg"), ("B", "h"), ("C", "ijk"))]

    batches = [[(group.row, "".join(group.keys)) for group in batch] for batch in batched(groups, 4)]

    assert batches == [[("A", "abcd")], [("A", "efg"), ("B", "h")], [("C", "ijk")]]
    one_too_many = [*groups[:1], RowGroup(["l", "m"], "D")]
    assert [len(batch) for batch in batched(one_too_many, 4)] == [1, 1, 1]
    assert list(batched([], 4)) == []
