"""What people install: the wheel has the program, its types and its licence, and nothing of the tests."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools import man

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_every_module_is_in_the_wheel_and_nothing_else(wheel):
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "vtep").rglob("*") if path.suffix in {".py", ".pyi"}}

    assert packed == modules | {"vtep/py.typed", "vtep/api/http/page.html"}


def test_the_sdist_has_everything_that_a_checkout_has(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as sdist:
        packed = {"/".join(Path(name).parts[1:2]) for name in sdist.getnames()}

    checkout = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} - {"dist", "__pycache__"}
    assert sorted(checkout - packed) == []
    assert ".ci" in packed


def test_a_man_page_is_made_of_each_commands_help():
    found = man.pages()

    assert {"vtep.1", "vtep-run.1", "vtep-explain.1", "vtep-init.1", "vtep-check.1"} <= found.keys()
    page = found["vtep-macs.1"]
    assert r"\fB\-\-vtep\fR \fIIP\fR" in page
    assert r"vtep\-macs \- the remote MAC table" in page
    assert all(line[:1] != "'" and "%(" not in line for text in found.values() for line in text.splitlines())


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not here")
def test_groff_finds_nothing_to_complain_about_in_a_man_page():
    text = "".join(man.pages().values())

    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z"], input=text, capture_output=True, text=True, check=True
    )

    assert done.stderr == ""


def test_the_wheel_has_the_program_and_the_licence(wheel):
    entry_points = next(name for name in wheel.namelist() if name.endswith("/entry_points.txt"))

    assert "vtep = vtep.__main__:main" in wheel.read(entry_points).decode()
    assert any(name.endswith("/LICENSE") for name in wheel.namelist())


HEAVY = frozenset(
    [
        "msgspec",
        "asyncio",
        "pyroute2",
        "exabgp",
        "grpc",
        "google",
        "dataclasses",
        "inspect",
        "json",
        "pathlib",
        "datetime",
        "ipaddress",
        "shutil",
        "bz2",
        "subprocess",
        "socket",
        "vtep.addr",
    ]
)
"""What takes a command more than a millisecond to import, and its help does not need."""


def test_help_starts_without_what_the_daemon_needs():
    code = "import sys, vtep.__main__ as m\ntry: m.main(['--help'])\nexcept SystemExit: pass\nprint(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "run the daemon" in done.stdout
    assert not HEAVY & set(done.stderr.strip("[]\n' ").split("', '"))


def test_asking_a_daemon_starts_without_what_the_daemon_needs():
    code = (
        "import sys, vtep.__main__ as m\nm.main(['status', '--address', 'unix:/nowhere'])\nprint(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = set(done.stdout.strip("[]\n' ").split("', '"))
    assert "grpc" in loaded
    assert not {"msgspec", "pyroute2", "exabgp", "vtep.addr", "vtep.intent", "vtep.config.file"} & loaded


def test_the_relay_imports_nothing_but_the_standard_library():
    code = "import sys, vtep.__main__ as m\ntry: m.main(['relay', '--help'])\nexcept SystemExit: pass\nprint(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.strip("[]\n' ").split("', '")}

    assert "relay" in done.stdout
    assert not {"msgspec", "pyroute2", "exabgp", "asyncio"} & loaded
