"""What happened, in two rings."""

from vtep.observe.history import History, HistoryEntry


def numbers(found):
    return [entry.number for entry in found[0]]


def filled(*kinds, most=3):
    journal = History(most)
    for at, kind in enumerate(kinds, 1):
        journal.add(HistoryEntry(kind), float(at), generation=10 * at)
    return journal


def test_an_entry_gets_its_number_its_time_and_the_generation():
    entry = History().add(HistoryEntry("move", reason="higher-seq"), 5.0, 7)

    assert (entry.number, entry.time, entry.generation, entry.reason) == (1, 5.0, 7, "higher-seq")


def test_a_storm_of_moves_pushes_nothing_else_out():
    journal = filled("peer-up", *["move"] * 9, "peer-down")

    found, forgotten = journal.entries()
    assert [entry.number for entry in found] == [1, 8, 9, 10, 11]
    assert forgotten == 6


def test_entries_are_told_in_the_order_in_which_they_happened():
    assert numbers(filled("a", "move", "b", "move").entries()) == [1, 2, 3, 4]


def test_only_what_is_later_is_told():
    journal = filled("a", "move", "b", "move")

    assert numbers(journal.entries(after=2)) == [3, 4]
    assert numbers(journal.entries(since=3.0)) == [4]
    assert journal.entries(after=4) == ([], 0)


def test_what_is_older_than_asked_for_does_not_count_as_forgotten():
    journal = filled("a", "b", "c", "d", "e")

    assert journal.entries(after=2)[1] == 0
    assert journal.entries(after=1)[1] == 1
    assert journal.entries(since=4.5)[1] == 2
