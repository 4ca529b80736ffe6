"""The journal by itself: which files it opens, what it writes where, and when it is written again."""

import os
import time

import pytest

from tests.lab.disk import full_disk
from vtep.errors import LedgerError
from vtep.store import journal
from vtep.store.journal import Damaged, Journal, Lines, Octets


class Numbers:
    """The last value of each name."""

    def __init__(self):
        self.values = {}

    def header(self):
        return {"of": "numbers"}

    def accept(self, header):
        if header != self.header():
            raise Damaged("of something else")

    def replay(self, record):
        name, _, value = record.partition(b"=")
        self.values[name] = value

    def count(self):
        return len(self.values)

    def slices(self):
        for name in list(self.values):
            yield [b"%s=%s" % (name, self.values[name])]


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def path(tmp_path):
    return tmp_path / "numbers"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=[Octets("<IHH", 0xFFFF), Lines()], ids=["octets", "lines"])
def frame(request):
    return request.param


BINARY = Octets("<IHH", 0xFFFF)


def opened(path, clock=time.monotonic, frame=BINARY):
    numbers = Numbers()
    found = Journal(path, {1: frame}, numbers, "remove it", clock)
    try:
        found.load()
    except LedgerError:
        found.close()
        raise
    found.open()
    return found, numbers


def put(found, numbers, name, value):
    found.append([b"%s=%s" % (name, value)])
    numbers.values[name] = value


def test_records_come_back_in_either_frame(path, clock, frame):
    found, numbers = opened(path, clock, frame)
    put(found, numbers, b"a", b"1")
    put(found, numbers, b"b", b"2")
    put(found, numbers, b"a", b"3")
    found.close()

    found, numbers = opened(path, clock, frame)
    found.close()

    assert numbers.values == {b"a": b"3", b"b": b"2"}
    assert (found.torn, found.behind) == (0, False)


def test_a_temporary_file_that_is_a_link_is_not_followed(path, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.with_name("numbers.new").symlink_to(victim)

    found, numbers = opened(path)
    put(found, numbers, b"a", b"1")
    found.close()

    assert victim.read_text() == "precious"
    assert not path.is_symlink()
    assert opened(path)[1].values == {b"a": b"1"}


def test_a_temporary_file_that_appears_as_a_link_during_a_compaction_is_not_followed(path, tmp_path, monkeypatch):
    """Another user that wins the race between unlinking and making the file gets an error, and not the content."""
    victim = tmp_path / "victim"
    found, numbers = opened(path)
    put(found, numbers, b"a", b"1")
    unlink = os.unlink

    def lose_the_race(name, *, dir_fd=None):
        unlink(name, dir_fd=dir_fd)
        path.with_name("numbers.new").symlink_to(victim)

    path.with_name("numbers.new").touch()
    monkeypatch.setattr(os, "unlink", lose_the_race)
    with pytest.raises(FileExistsError):
        found.rewrite()
    monkeypatch.undo()
    found.close()

    assert not victim.exists()


def test_a_file_that_is_a_link_is_refused(path, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("")
    path.symlink_to(elsewhere)

    with pytest.raises(LedgerError, match="not trusted: it is a symbolic link; remove it"):
        opened(path)


def test_a_file_that_other_users_may_write_is_refused(path):
    opened(path)[0].close()
    path.chmod(0o620)

    with pytest.raises(LedgerError, match=r"not trusted: other users may write it \(mode 0620\)"):
        opened(path)


def test_a_file_of_another_user_is_refused(path):
    opened(path)[0].close()
    try:
        os.chown(path, 4711, -1)
    except OSError:
        pytest.skip("only root may give a file away")

    with pytest.raises(LedgerError, match="not trusted: it belongs to user 4711"):
        opened(path)


def test_what_is_not_a_file_is_refused_at_once(path):
    os.mkfifo(path)

    with pytest.raises(LedgerError, match="not trusted: it is not a regular file"):
        opened(path)


def test_a_compaction_that_fails_is_told_tried_again_after_a_while_and_leaves_nothing(path, clock):
    found, numbers = opened(path, clock)
    put(found, numbers, b"a", b"1")
    found.fall_behind()
    with full_disk():
        found.tend()
        assert found.status().trouble == f"{path} cannot be compacted: File too large"
        assert not path.with_name("numbers.new").exists()

    for _ in range(10):
        found.tend()
    assert found.behind, "it is not tried again at once"
    clock.now += journal.RETRY_S
    for _ in range(3):
        found.tend()
    assert (found.behind, found.status().trouble) == (False, "")
    found.close()


def test_a_life_that_ended_within_a_compaction_lost_nothing(path, clock):
    found, numbers = opened(path, clock)
    for name in (b"a", b"b", b"c"):
        put(found, numbers, name, b"1")
    found.fall_behind()
    found.tend()
    found.tend()
    assert path.with_name("numbers.new").exists()
    put(found, numbers, b"a", b"2")
    data = path.read_bytes()
    copy = path.with_name("copy")
    copy.write_bytes(data)

    after, found_numbers = opened(copy, clock)
    after.close()
    found.close()

    assert found_numbers.values == {b"a": b"2", b"b": b"1", b"c": b"1"}
    assert after.behind is False


def test_records_that_come_during_a_compaction_are_in_both_files(path, clock):
    found, numbers = opened(path, clock)
    for number in range(20):
        put(found, numbers, b"%d" % number, b"old")
    found.fall_behind()
    for number in range(20):  # each append copies one entry first
        put(found, numbers, b"%d" % (19 - number), b"new")
    while found.behind:
        found.tend()
    found.close()

    assert opened(path, clock)[1].values == {b"%d" % number: b"new" for number in range(20)}


def test_the_size_is_bounded_by_the_content_however_long_it_changes(path, clock, monkeypatch):
    monkeypatch.setattr(journal, "OCTETS_MIN", 1000)
    monkeypatch.setattr(journal, "LOOK_OCTETS", 0)
    monkeypatch.setattr(journal, "MEASURED_MIN", 10)
    found, numbers = opened(path, clock)
    sizes = []
    for number in range(20_000):
        put(found, numbers, b"%03d" % (number % 100), b"x" * 20)
        sizes.append(found.status().octets)
    smallest = 100 * (20 + 4 + 8) + 40
    found.close()

    assert max(sizes[1000:]) < 4 * smallest + 200 * 32
    assert sizes[-1] == path.stat().st_size
