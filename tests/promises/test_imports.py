"""Imports point one way, and each contract of pyproject.toml catches what it is there for.

Every violation is planted in a copy of the tree, where the contract meant for it must break, and no other.
"""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"


@dataclass(frozen=True)
class Plant:
    name: str
    module: str
    line: str
    caught_by: str


PLANTS = (
    Plant("the rib asks the projection", "evpn/rib.py", "import vtep.projection.project", "imports point one way"),
    Plant("the engine knows a kind", "reconcile/engine.py", "import vtep.linux.tables.all", "imports point one way"),
    Plant(
        "the engine knows the kernel", "reconcile/engine.py", "import vtep.linux.attachment", "imports point one way"
    ),
    Plant("the listener knows a kernel", "projection/leaf.py", "import vtep.linux.attachment", "imports point one way"),
    Plant("a module without a place", "utils.py", "", "imports point one way"),
    Plant(
        "the projection looks at the clock",
        "projection/mobility.py",
        "import time",
        "what decides does no input or output and reads no clock",
    ),
    Plant(
        "a kind waits",
        "linux/tables/fdb.py",
        "import vtep.store.latest",
        "what decides does no input or output and reads no clock",
    ),
    Plant(
        "a kind looks at the routes", "linux/tables/fdb.py", "import vtep.evpn.rib", "below the intent nobody knows BGP"
    ),
    Plant(
        "the kernel decodes a route",
        "linux/memory/kernel.py",
        "import vtep.evpn.mac_ip",
        "below the intent nobody knows BGP",
    ),
    Plant("a reader looks behind the snapshot", "observe/model.py", "import vtep.evpn.rib", "readers read snapshots"),
    Plant(
        "a command looks at the kernel", "cli/connection.py", "import vtep.linux.attachment", "readers read snapshots"
    ),
    Plant(
        "a kind knows another", "linux/tables/flood.py", "import vtep.linux.tables.fdb", "kinds do not know each other"
    ),
    Plant(
        "a kind looks at the devices",
        "linux/tables/fdb.py",
        "import vtep.linux.devices",
        "only the attachment joins VNIs and devices",
    ),
    Plant(
        "a message knows the devices of a VNI",
        "linux/wire/tlv.py",
        "import vtep.linux.attachment",
        "inside the kernel's edge imports point one way",
    ),
    Plant(
        "what is advertised is spelled for ExaBGP",
        "local/advertiser.py",
        "import vtep.feed.exabgp.grammar",
        "one feed is as good as another",
    ),
    Plant(
        "a route is read by ExaBGP",
        "evpn/mac_ip.py",
        "import exabgp.version",
        "what touches ExaBGP's insides is in one place",
    ),
)


def test_the_tree_keeps_every_contract():
    verdicts = lint(ROOT)

    assert set(verdicts.values()) == {"KEPT"}
    assert {plant.caught_by for plant in PLANTS} == verdicts.keys()


KNOWS_DEVICES = (
    "linux/attachment.py",
    "linux/conditions.py",
    "linux/inventory.py",
    "linux/notes.py",
    "linux/ports.py",
    "linux/underlay.py",
    "linux/vrf.py",
    "linux/devices.py",
    "linux/findings.py",
    "linux/managed/",
    "linux/memory/",
    "linux/settings.py",
    "linux/wire/",
)
LOOKS_AT_DEVICES = re.compile(r"\.(by_name|by_index|ports_of|vlans_on|bridge_port|vni_of_bridge|master)\b")


def test_nothing_but_the_attachment_finds_the_devices_of_a_vni():
    """Others ask it, and use what it returns: a device of a VNI is looked up by name, by port or by bridge in one place."""
    modules = {path.relative_to(ROOT / "vtep").as_posix(): path.read_text() for path in (ROOT / "vtep").rglob("*.py")}
    looking = {name for name, source in modules.items() if LOOKS_AT_DEVICES.search(source)}

    assert "linux/attachment.py" in looking
    assert sorted(name for name in looking if not name.startswith(KNOWS_DEVICES)) == []


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_planted_violation_is_caught_by_the_contract_meant_for_it(plant, tmp_path):
    shutil.copytree(ROOT / "vtep", tmp_path / "vtep", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "vtep" / plant.module).open("a") as module:
        module.write(f"\n{plant.line}\n")

    verdicts = lint(tmp_path)

    assert [name for name, verdict in verdicts.items() if verdict == "BROKEN"] == [plant.caught_by]


def lint(tree):
    """Run import-linter there, on that tree's own package, and return each contract's verdict."""
    arguments = [sys.executable, "-c", LINT, "--no-cache", "--no-logo"]
    ran = subprocess.run(arguments, cwd=tree, capture_output=True, text=True, timeout=60, env={"PYTHONPATH": str(tree)})
    verdicts = dict(re.findall(r"^(\S.*?)\s+(KEPT|BROKEN)(?: \(.*\))?$", ran.stdout, re.MULTILINE))
    assert verdicts, ran.stdout + ran.stderr
    return verdicts
