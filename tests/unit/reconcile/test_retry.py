"""What each errno means, and when a refused change is tried again: time and chance by hand."""

import errno

import pytest

from vtep.reconcile.retry import Backlog, Class, classify, explain

CLASSES = {
    Class.TRANSIENT: "EAGAIN ENOBUFS ENOMEM EBUSY EINTR ENODEV ENOENT ENXIO",
    Class.PERMANENT: "EPERM EACCES EOPNOTSUPP EINVAL EAFNOSUPPORT",
    Class.FULL: "ENOSPC",
    Class.CONTESTED: "EEXIST",
}


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for kind, names in CLASSES.items() for name in names.split()])
def test_class_of(name: str, kind: Class) -> None:
    assert classify(getattr(errno, name), "create") is kind


def test_an_unknown_errno_is_worth_another_try() -> None:
    assert classify(4711, "create") is Class.TRANSIENT


@pytest.mark.parametrize(("verb", "kind"), [("delete", Class.GONE), ("shed", Class.GONE), ("replace", Class.TRANSIENT)])
def test_a_deletion_of_what_is_not_there_is_done(verb: str, kind: Class) -> None:
    assert classify(errno.ENOENT, verb) is kind


@pytest.mark.parametrize(
    ("code", "word"), [(errno.EPERM, "CAP_NET_ADMIN"), (errno.EACCES, "CAP_NET_ADMIN"), (errno.EOPNOTSUPP, "feature")]
)
def test_a_permanent_refusal_says_what_is_missing(code: int, word: str) -> None:
    assert word in explain(code)


def refuse(backlog: Backlog, key="m", change="A", kind=Class.TRANSIENT, now=0.0, chance=0.5):
    return backlog.refuse(("fdb", key), change, errno.EBUSY, "busy", kind, now, chance)


def test_the_wait_doubles_from_a_tenth_of_a_second_to_five() -> None:
    backlog = Backlog()

    waits = [round(refuse(backlog).due, 6) for _ in range(8)]

    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_even_after_very_many_tries_the_wait_is_five_seconds() -> None:
    backlog = Backlog()

    assert [refuse(backlog).due for _ in range(2000)][-1] == 5.0


@pytest.mark.parametrize(("chance", "due"), [(0.0, 0.075), (0.5, 0.1), (1.0, 0.125)])
def test_chance_makes_the_wait_a_quarter_shorter_or_longer(chance: float, due: float) -> None:
    assert round(refuse(Backlog(), chance=chance).due, 6) == due


def test_a_change_waits_until_it_is_due_and_not_longer() -> None:
    backlog = Backlog()
    refused = refuse(backlog, now=7.0)

    assert backlog.waiting(("fdb", "m"), "A", 7.09) is refused
    assert backlog.due(7.09, 10) == []
    assert backlog.waiting(("fdb", "m"), "A", 7.1) is None
    assert backlog.due(7.1, 10) == [("fdb", "m")]
    assert backlog.next_due == 7.1


def test_another_change_of_the_row_does_not_wait_and_begins_again() -> None:
    backlog = Backlog()
    refuse(backlog)
    refuse(backlog)

    assert backlog.waiting(("fdb", "m"), "B", 0.0) is None
    assert refuse(backlog, change="B").tries == 1


def test_a_row_that_waits_never_delays_another() -> None:
    backlog = Backlog()
    for _ in range(5):
        refuse(backlog, "m")
    refuse(backlog, "n")

    assert backlog.waiting(("fdb", "l"), "A", 0.0) is None
    assert backlog.due(0.1, 10) == [("fdb", "n")]
    assert backlog.next_due == 0.1


def test_of_many_that_are_due_the_longest_due_come_first_and_again_until_they_are_tried() -> None:
    backlog = Backlog()
    for number in range(5):
        refuse(backlog, f"m{number}", now=-number)

    assert backlog.due(0.0, 2) == backlog.due(0.0, 2) == [("fdb", "m4"), ("fdb", "m3")]
    backlog.settle(("fdb", "m4"))
    refuse(backlog, "m3", now=0.0)
    assert backlog.due(0.0, 2) == [("fdb", "m2"), ("fdb", "m1")]


def test_refusals_that_were_settled_very_often_leave_nothing_behind() -> None:
    backlog = Backlog()
    for number in range(1000):
        refuse(backlog, now=number)
        backlog.settle(("fdb", "m"))

        assert backlog.next_due is None

    assert (len(backlog), len(backlog._dues)) == (0, 0)


def test_a_permanent_refusal_is_never_due_by_itself() -> None:
    backlog = Backlog()
    refused = refuse(backlog, kind=Class.PERMANENT)

    assert backlog.waiting(("fdb", "m"), "A", 1e9) is refused
    assert (backlog.due(1e9, 10), backlog.next_due) == ([], None)
    assert list(backlog.refused()) == [(("fdb", "m"), refused)]


def test_a_settled_row_is_forgotten() -> None:
    backlog = Backlog()
    refuse(backlog)
    backlog.settle(("fdb", "m"))
    backlog.settle(("fdb", "m"))

    assert refuse(backlog).tries == 1


def test_rearming_forgets_all_refusals_or_those_that_it_is_given() -> None:
    backlog = Backlog()
    for key in "lmn":
        refuse(backlog, key, kind=Class.PERMANENT)

    backlog.rearm(lambda domain: domain[1] == "m")
    assert [domain[1] for domain, _ in backlog.refused()] == ["l", "n"]

    backlog.rearm()
    assert list(backlog.refused()) == []
