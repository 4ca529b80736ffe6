"""What people install beside the program: units, users, examples, the image's recipe. What they say holds here."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from vtep.config import file as config
from vtep.feed.exabgp import config as exabgp_config

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
UNITS = ["vtep.service", "exabgp.service"]
EXPOSURE_MOST = 20  # tenths: 2.0 of 10 as systemd-analyze(1) rates it

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")


def ran(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def installed(tmp_path):
    """The units as they are once the programs are where they say: here those of this environment."""
    for unit in UNITS:
        text = (PACKAGING / "systemd" / unit).read_text()
        (tmp_path / unit).write_text(text.replace("/opt/vtep/bin", str(Path(sys.executable).parent)))
    shutil.copytree(PACKAGING / "systemd/exabgp.service.d", tmp_path / "exabgp.service.d")
    return tmp_path


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_to_complain_about_in_a_unit(installed, unit):
    assert ran("systemd-analyze", "verify", "--man=no", installed / unit) == ""


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_exposes_little(unit):
    ran("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MOST}", PACKAGING / "systemd" / unit)


def test_a_daemon_is_started_again_unless_its_configuration_is_wrong():
    unit = (PACKAGING / "systemd/vtep.service").read_text()

    assert re.findall(r"^(Restart\w*|StartLimit\w*)=(.*)$", unit, re.MULTILINE) == [
        ("StartLimitIntervalSec", "0"),
        ("Restart", "on-failure"),
        ("RestartSec", "1"),
        ("RestartPreventExitStatus", "2"),
    ]


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not here")
def test_the_daemons_user_is_in_the_group_that_may_feed_routes(tmp_path):
    (tmp_path / "etc").mkdir()

    ran("systemd-sysusers", f"--root={tmp_path}", PACKAGING / "sysusers.d/vtep.conf")

    groups = dict(line.split(":")[::3] for line in (tmp_path / "etc/group").read_text().splitlines())
    assert groups["exabgp"] == "vtep"
    assert config.read(PACKAGING / "etc/vtep.toml").feed.socket_group == "exabgp"


def test_the_units_users_are_those_that_are_made():
    made = set(re.findall(r"^u (\w+)", (PACKAGING / "sysusers.d/vtep.conf").read_text(), re.MULTILINE))

    texts = [(PACKAGING / "systemd" / unit).read_text() for unit in UNITS]

    assert {name for text in texts for name in re.findall(r"^User=(\w+)", text, re.MULTILINE)} == made


def test_the_example_for_exabgp_is_what_the_example_for_vtep_gives(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/opt/vtep/bin/{name}")

    printed = exabgp_config.render(config.read(PACKAGING / "etc/vtep.toml"))

    assert (PACKAGING / "etc/exabgp.conf").read_text() == printed


def test_the_image_is_labelled_with_the_version_that_it_has():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert f"ARG VERSION={version}\n" in (ROOT / "Dockerfile").read_text()


def test_the_documented_way_to_run_the_image_is_the_one_that_is_tested():
    confined = "--cap-drop ALL --cap-add NET_ADMIN --security-opt no-new-privileges"
    tested = " ".join(re.findall(r'"([^"]+)"', re.search(r"CONFINED = \((.*)\)", TESTS_OF_IMAGE.read_text()).group(1)))

    assert tested == f"{confined} --read-only"
    for document in ("Dockerfile", "docs/install.md"):
        assert confined in " ".join((ROOT / document).read_text().replace("\\\n", " ").replace("#", " ").split())


TESTS_OF_IMAGE = ROOT / "tests/docker/test_image.py"
