"""What ./vtep-dev promises to a newcomer, as far as it can be seen without setting anything up.

The two big promises, that setup, demo and test work on a machine with nothing but python3 and iproute2, are kept by
tests/bare/run.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "setup",
    "demo",
    "lab",
    "test",
    "interop",
    "story",
    "bless",
    "bench",
    "torture",
    "check",
    "proto",
    "package",
    "lock",
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A working copy without .venv, as far as vtep-dev looks at it."""
    shutil.copy(ROOT / "vtep-dev", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    return tmp_path


def run(copy: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return subprocess.run(
        [sys.executable, copy / "vtep-dev", *arguments], env=kept | settings, capture_output=True, text=True, timeout=60
    )


def stand_in_venv(copy: Path) -> Path:
    """A .venv that vtep-dev takes for finished; its Python writes down how it was called."""
    record = copy / "called.json"
    python = copy / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        "if sys.argv[1] != '-c':\n"
        f"    open({str(record)!r}, 'w').write(json.dumps(dict(arguments=sys.argv[1:], uid=os.getuid(), pid=os.getppid(),\n"
        "        run=sorted(os.listdir('/run')), environment=dict(os.environ),\n"
        "        links=os.popen('ip -o link').read())))\n"
        "    if 'EXIT' in os.environ:\n"
        "        sys.exit(int(os.environ['EXIT']))\n"
    )
    python.chmod(0o755)
    for groups, stamp in (("PRODUCT_AND_TESTS", "test.stamp"), ("OLDER_EXABGP", "exabgp-4.2.stamp")):
        ask = f"import runpy; v = runpy.run_path('vtep-dev'); print(v['fingerprint'](v['{groups}']), end='')"
        key = subprocess.run([sys.executable, "-c", ask], cwd=copy, capture_output=True, text=True, check=True).stdout
        (copy / ".venv" / stamp).write_text(key)
    return record


@pytest.mark.parametrize("spelling", ["--help", "-h", "help"])
def test_help_names_every_command(spelling):
    result = run(ROOT, spelling)

    assert result.returncode == 0
    assert set(COMMANDS) <= set(re.findall(r"^  (\w+) ", result.stdout, re.MULTILINE))


def test_it_is_executable_as_it_is_checked_out():
    assert os.access(ROOT / "vtep-dev", os.X_OK)


def test_no_command_at_all_is_a_usage_error_that_shows_the_help():
    result = run(ROOT)

    assert result.returncode == 2
    assert "usage: ./vtep-dev COMMAND" in result.stderr


def test_an_unknown_command_is_a_usage_error_that_says_where_to_look():
    result = run(ROOT, "tset")

    assert result.returncode == 2
    assert "'tset'" in result.stderr
    assert "--help" in result.stderr


def test_a_word_too_many_is_refused_before_anything_is_made(copy):
    result = run(copy, "setup", "--fast")

    assert result.returncode == 2
    assert "--fast" in result.stderr
    assert not (copy / ".venv").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lab",), "name the command to run in the lab"),
        (("lab", "--kernel", "6.1"), "name the command to run in the lab"),
        (("test", "--kernel"), "--kernel needs a name: 6.1, 6.12 or newest"),
        (("test", "--kernels=6.1"), "--kernel needs a name: 6.1, 6.12 or newest"),
    ],
)
def test_a_lab_without_a_command_or_a_kernel_is_a_usage_error(copy, words, said):
    stand_in_venv(copy)

    result = run(copy, *words)

    assert result.returncode == 2
    assert said in result.stderr


def test_an_index_that_cannot_be_reached_is_explained_and_its_password_kept_back(copy):
    url = "http://somebody:secret@127.0.0.1:1/simple"

    result = run(copy, "setup", PIP_INDEX_URL=url, PIP_RETRIES="0", PIP_CONFIG_FILE=os.devnull, PIP_NO_CACHE_DIR="1")

    assert result.returncode == 1
    assert "http://127.0.0.1:1/simple" in result.stderr
    assert "PIP_FIND_LINKS" in result.stderr
    assert "secret" not in result.stderr
    assert "Traceback" not in result.stderr


def test_a_setup_that_failed_is_begun_anew_the_next_time(copy):
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(copy / "requirements"), "PIP_CONFIG_FILE": os.devnull}
    run(copy, "setup", **offline)
    half_installed = copy / ".venv" / "half-installed"
    half_installed.touch()

    result = run(copy, "setup", **offline)

    assert result.returncode == 1
    assert "making .venv" in result.stderr
    assert not half_installed.exists()


def test_a_setup_that_is_up_to_date_does_nothing(copy):
    stand_in_venv(copy)

    result = run(copy, "setup", PIP_NO_INDEX="1")

    assert (result.returncode, len(result.stderr.splitlines())) == (0, 1)


def test_a_changed_requirement_is_noticed(copy):
    stand_in_venv(copy)
    with (copy / "requirements" / "run.txt").open("a") as file:
        file.write("# changed\n")

    result = run(copy, "setup", PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull)

    assert "installing packages" in result.stderr


def test_the_demo_runs_in_namespaces_of_its_own_and_gives_its_exit_status(copy):
    record = stand_in_venv(copy)

    result = run(copy, "demo", "--macs", "3", EXIT="7")

    called = json.loads(record.read_text())
    assert result.returncode == 7, result.stderr
    assert called["arguments"] == ["-m", "tests.lab.demo", "--macs", "3"]
    assert (called["uid"], called["pid"]) == (0, 1)
    assert set(called["run"]) <= {"mount", "netns", "tmp"}
    assert re.findall(r"^\d+: (\S+): ", called["links"], re.MULTILINE) == ["lo"]
    assert "LOOPBACK,UP" in called["links"]


def test_what_follows_test_goes_to_pytest_and_its_files_below_the_venv_or_the_lab(copy):
    record = stand_in_venv(copy)

    result = run(copy, "test", "tests/unit", "-k", "mac")

    called = json.loads(record.read_text())
    assert result.returncode == 0, result.stderr
    assert called["arguments"][:2] == ["-m", "pytest"]
    assert called["arguments"][-3:] == ["tests/unit", "-k", "mac"]
    assert called["arguments"][3].startswith(f"cache_dir={copy}/.venv/")
    assert called["environment"]["PYTHONPYCACHEPREFIX"].startswith(f"{copy}/.venv/")
    assert called["environment"]["TMPDIR"] == "/run/tmp"
    assert "VTEP_BLESS" not in called["environment"]


def test_bless_asks_the_golden_tests_to_rewrite_their_files(copy):
    record = stand_in_venv(copy)

    run(copy, "bless", "-k", "move")

    called = json.loads(record.read_text())
    assert called["environment"]["VTEP_BLESS"] == "1"
    assert called["arguments"][-3:] == ["tests/stories", "-k", "move"]


def test_nothing_is_left_of_the_lab_when_vtep_dev_is_killed(copy):
    stand_in_venv(copy)
    python = copy / ".venv" / "bin" / "python"
    python.write_text(python.read_text() + "    os.write(1, b'up')\n    os.read(0, 1)\n")
    command = [sys.executable, copy / "vtep-dev", "demo"]

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout.read(2) == b"up"
        child.kill()

        # Standard output ends when the last process that holds it is gone.
        assert child.stdout.read() == b""


def test_the_requirement_files_pin_every_package_by_hash_and_name_no_index():
    for file in (ROOT / "requirements").glob("*.txt"):
        text = file.read_text()
        packages = [entry for entry in re.split(r"\n(?=\S)", text) if not entry.startswith("#")]

        assert all(re.match(r"[a-z0-9.-]+==\S+ \\\n    --hash=sha256:", entry) for entry in packages)
        assert "://" not in text


@pytest.mark.parametrize(
    ("expected", "status"), [("", 1), ("no such device*\n", 0)], ids=["a new reason", "a reason that was expected"]
)
def test_a_skip_fails_a_run_without_skips_unless_its_reason_was_expected(tmp_path, expected, status):
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "expected-skips.txt").write_text(f"# a comment\n{expected}")
    (tmp_path / "test_it.py").write_text("import pytest\ndef test_it():\n    pytest.skip('no such device: dummy')\n")

    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={tmp_path}"]
    result = subprocess.run([*command, "--no-skips", tmp_path], cwd=tmp_path, capture_output=True, text=True)

    assert status == result.returncode, result.stdout
    assert ("skipped although --no-skips" in result.stdout) == bool(status)


@pytest.mark.parametrize(
    ("words", "program"),
    [
        ((), "beds"),
        (("-x", "-k", "mac"), "beds"),
        (("tests/system",), "kernel"),
        (("-x", "tests/system/test_it.py::test_it"), "kernel"),
    ],
)
def test_a_kernel_without_a_path_runs_what_depends_on_it_and_with_a_path_what_that_selects(copy, words, program):
    stand_in_venv(copy)
    (copy / "tests" / "system").mkdir(parents=True)
    (copy / "tests" / "system" / "test_it.py").touch()
    (copy / "tools").mkdir()
    for name in ("beds", "kernel"):
        (copy / "tools" / f"{name}.py").write_text("import sys\nprint(*sys.argv[1:])\n")

    result = run(copy, "test", "--kernel", "6.1", *words)

    before = [str(copy / "vtep-dev"), "test"] if program == "kernel" else []
    assert result.stdout.split() == ["6.1", *before, *words], result.stderr


@pytest.mark.parametrize("words", [("--json", "out/figures.json"), ("--json=out/figures.json",)])
def test_the_figures_of_torture_under_a_kernel_are_kept(copy, words):
    stand_in_venv(copy)
    (copy / "tools").mkdir()
    (copy / "tools" / "kernel.py").write_text("import sys\nprint(*sys.argv[1:])\n")

    result = run(copy, "torture", "--kernel", "6.12", "--quick", *words)

    expected = ["--writable=out", "6.12", str(copy / "vtep-dev"), "torture", "--quick", *words]
    assert result.stdout.split() == expected, result.stderr


def test_beds_share_the_files_of_tests_that_depend_on_the_kernel(tmp_path):
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    root_netns\n    slow\n    every_kernel\n")
    text = """
        from pytest import mark
        def test_in_memory(): pass
        @mark.root_netns
        def test_in_a_namespace(): pass
        @mark.root_netns
        @mark.slow
        def test_slow(): pass
        @mark.root_netns
        @mark.slow
        @mark.every_kernel
        def test_slow_in_every_kernel(): pass
    """
    names = ("one/test_a.py", "one/test_b.py", "two/test_c.py")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    shared = tmp_path / "shared"
    # Between two that this run has: what it passes over must not keep what the next one cannot have.
    (shared / "one-test_b.py").mkdir(parents=True)

    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-c",
        str(tmp_path / "pytest.ini"),
        "-p",
        "no:randomly",
    ]
    result = subprocess.run(
        [*command, "-v", f"--bed={shared}", "one", "two"], cwd=tmp_path, capture_output=True, text=True
    )

    ran = re.findall(r"(\S+)::(\S+) PASSED", result.stdout)
    both = ("test_in_a_namespace", "test_slow_in_every_kernel")
    assert ran == [(file, name) for file in (names[0], names[2]) for name in both], result.stdout
    assert sorted(path.name for path in shared.iterdir()) == [name.replace("/", "-") for name in names]
    assert "4 passed, 6 deselected" in result.stdout


def test_runs_share_files_begin_with_the_longest_and_say_what_they_skipped(tmp_path):
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "expected-skips.txt").write_text("")
    text = "import pytest\ndef test_it(): pass\n@pytest.mark.parametrize('n', ['a b'])\ndef test_not(n): pytest.skip('why')\n"
    for name in "abc":
        (tmp_path / f"test_{name}.py").write_text(text)
    (tmp_path / "shared" / "test_a.py").mkdir(parents=True)

    command = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        f"--rootdir={tmp_path}",
    ]
    sharing = ["--share=shared", "--first=test_c.py", "--skipped-to=skipped", "-p", "no:randomly"]
    result = subprocess.run([*command, *sharing, tmp_path], cwd=tmp_path, capture_output=True, text=True)
    again = subprocess.run([*command, "@skipped"], cwd=tmp_path, capture_output=True, text=True)

    assert re.findall(r"(\S+)::test_it PASSED", result.stdout) == ["test_c.py", "test_b.py"], result.stdout
    assert (tmp_path / "skipped").read_text() == "test_c.py::test_not[a b]\ntest_b.py::test_not[a b]\n"
    assert "collected 2 items" in again.stdout, again.stdout + again.stderr
