"""What people install: the wheel has the program, its types and its licence, and nothing of the tests."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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
