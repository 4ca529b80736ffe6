"""When the collector of cycles looks at what is new."""

import gc

from vtep.app.gc import ROWS_MAX, Collector


def test_the_collector_is_due_after_4096_rows_and_not_before() -> None:
    collector = Collector()

    collector.count(ROWS_MAX - 1)
    before = collector.is_due
    collector.count(1)
    after = collector.is_due
    collector.look()

    assert (before, after, collector.is_due) == (False, True, False)


def test_old_objects_are_never_looked_at_again() -> None:
    kept = [[number] for number in range(100)]

    Collector().look()

    new = {id(young) for generation in (0, 1) for young in gc.get_objects(generation)}
    assert new.isdisjoint(map(id, kept))
