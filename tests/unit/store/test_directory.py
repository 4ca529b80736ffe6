"""The directory of a daemon: one process at a time, and a word about who else could change it."""

import os
import subprocess
import sys

import pytest

from vtep.errors import StateError
from vtep.store.directory import Directory

HOLD = """
import sys
from pathlib import Path
from vtep.store.directory import Directory
directory = Directory(Path(sys.argv[1]))
directory.lock()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the directory."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_with_the_pid_of_the_first(tmp_path, holder):
    directory = Directory(tmp_path)

    with pytest.raises(StateError) as refused:
        directory.lock()
    directory.close()

    assert str(refused.value).startswith(f"{tmp_path}: the daemon with pid {holder.pid} uses this directory; stop")


def test_a_directory_is_free_when_its_process_was_killed(tmp_path, holder):
    holder.kill()
    holder.wait()

    directory = Directory(tmp_path)
    directory.lock()
    directory.close()


def test_a_directory_that_is_not_there_is_made(tmp_path):
    directory = Directory(tmp_path / "run" / "vtep")
    directory.lock()

    assert directory.dangers() == []
    directory.close()


@pytest.mark.parametrize("mode", [0o775, 0o777, 0o1777], ids=oct)
def test_a_directory_that_others_may_write_is_told_with_the_command_that_prevents_it(tmp_path, mode):
    tmp_path.chmod(mode)
    directory = Directory(tmp_path)

    assert directory.dangers() == [f"other users may write to {tmp_path} (mode {mode:04o}); run: chmod go-w {tmp_path}"]
    directory.close()


def test_a_directory_of_another_user_is_told_with_the_command_that_prevents_it(tmp_path):
    try:
        os.chown(tmp_path, 4711, -1)
    except OSError:
        pytest.skip("only root may give a directory away")
    directory = Directory(tmp_path)

    (danger,) = directory.dangers()
    directory.close()

    assert "belongs to user 4711" in danger
    assert danger.endswith(f"chown root {tmp_path}")
