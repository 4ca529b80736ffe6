"""README.md and the pages for operators are true: their commands run, configurations parse, and lists are complete."""

import os
import re
import subprocess
import sys
import textwrap
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest

from tests.lab import figures as lab_figures
from tests.lab.api import Served
from tests.lab.fixtures import skipped_if_missing
from tests.lab.namespaces import Lab, Node, Process, link
from tests.lab.peers import Frr
from tests.lab.probe import ping
from tests.lab.vtep import VTEP
from tests.lab.wait import wait_until
from vtep.config import file as config
from vtep.linux import conditions as readiness

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "docs" / "contributing.md").read_text()
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
REFLECTED = "\n## Leaves behind a route reflector\n"
PAGES = ("install", "configure", "advertise", "operate", "reference")
OPERATING = "\n".join((ROOT / "docs" / f"{page}.md").read_text() for page in PAGES)
REASONS = (ROOT / "docs" / "reasons.md").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language, without their indentation."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for block in found]


def sources() -> Iterator[str]:
    return (path.read_text() for path in (ROOT / "vtep").rglob("*.py"))


# What it prints


def shape(line: str) -> str:
    """A line of the demo with its times masked; versions of iproute2 differ in the order of a row's words."""
    if re.match(r" +0[02]:00:00:", line):
        return " ".join(sorted(line.split()))
    return re.sub(r" *\d+\.\d+ (ms|s)\b", r" TIME \1", line).rstrip()


@pytest.mark.root_netns
def test_the_demo_prints_what_the_tutorial_shows():
    with skipped_if_missing(), Lab() as lab:
        lab.node("trial")
    shown = blocks(TUTORIAL, "console")[0].removeprefix("$ ./vtep-dev demo\n")

    told = subprocess.run(
        [sys.executable, "-m", "tests.lab.demo"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert told.returncode == 0, told.stdout
    assert [shape(line) for line in shown.splitlines()] == [shape(line) for line in told.stdout.splitlines()]


def test_the_commands_of_the_readme_exist():
    said = subprocess.run(
        [sys.executable, ROOT / "vtep-dev", "--help"], capture_output=True, text=True, timeout=20, check=True
    ).stdout

    wanted = set(re.findall(r"\./vtep-dev (\w+)", README + CONTRIBUTING + OPERATING))

    assert {"demo", "test", "setup", "check", "story", "bless"} <= wanted
    assert wanted <= set(re.findall(r"^  (\w+) ", said, re.MULTILINE))


def shown_for_a_while(line: str) -> str:
    """A line of a table or an explanation with its ages masked."""
    return re.sub(r" *\b\d+ (s|min)\b", " AGE", re.sub(r"(?<=next try    ).*", "soon", line)).rstrip()


@pytest.mark.parametrize("block", blocks(OPERATING, "console"), ids=lambda block: block.splitlines()[0])
def test_the_commands_that_ask_a_daemon_print_what_the_page_shows(block, tmp_path, monkeypatch):
    monkeypatch.setattr(lab_figures, "BORN_AT", time.time() - lab_figures.NOW)
    command, shown = block.split("\n", 1)
    words = command.removeprefix("$ vtep ").split()
    with Served(lab_figures.figures(), tmp_path) as daemon:
        told = subprocess.run(
            [VTEP, *words, "--address", daemon.address], capture_output=True, text=True, timeout=60, check=True
        )

    assert [shown_for_a_while(line) for line in shown.splitlines()] == [
        shown_for_a_while(line) for line in told.stdout.splitlines()
    ]


# A working pair in five minutes

PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


class Pair:
    """Two nodes that reach each other as 10.0.0.1 and 10.0.0.2, with a host at port swp1 of each; between them a spine, if there is one."""

    def __init__(self, lab: Lab, spine: Node | None = None) -> None:
        self.leaves = [lab.node(f"leaf{number}") for number in (1, 2)]
        self.hosts = [lab.node(f"host{number}") for number in (1, 2)]
        if spine is None:
            link(self.leaves[0], "uplink", self.leaves[1], "uplink")
        else:
            spine.ip("link add name leaves type bridge", "link set dev leaves up")
            for leaf in self.leaves:
                link(leaf, "uplink", spine, leaf.name)
                spine.ip(f"link set dev {leaf.name} master leaves")
        for number, (leaf, host) in enumerate(zip(self.leaves, self.hosts, strict=True), 1):
            leaf.ip(f"addr add 10.0.0.{number}/24 dev uplink")
            link(leaf, "swp1", host, "eth0")
            leaf.ip("link set dev swp1 down")

    def follow(self, number: int, commands: str) -> Process:
        """Type the commands as a document has them. In the foreground the shell would wait for nothing and end its node's programs."""
        script = commands.replace("/etc/", "/run/etc/") + "wait\n"
        return self.leaves[number - 1].start("sh", "-e", "-c", script, env={"PATH": PATH}, log="/run/log/shell.log")

    def wait_ping(self, commands: str, *shells: Process) -> None:
        for number, host in enumerate(self.hosts, 1):
            host.run("sh", "-e", "-c", commands.replace("172.16.0.1", f"172.16.0.{number}"))

        def answered() -> bool:
            ended = [shell.log()[-2000:] for shell in shells if not shell.alive]
            assert not ended, ended
            return ping(self.hosts[0], "172.16.0.2", 1.0) is not None

        wait_until(answered, 60.0, what="; ".join(shell.log()[-800:] for shell in shells))


@pytest.mark.root_netns
def test_five_minutes_lead_to_a_working_pair():
    first, second, hosts, look = blocks(README.partition("\n## Five minutes to a working pair\n")[2], "sh")
    with skipped_if_missing(), Lab() as lab:
        pair = Pair(lab)

        shells = [pair.follow(1, first), pair.follow(2, second)]
        pair.wait_ping(hosts, *shells)

        for leaf, shell, other in zip(pair.leaves, shells, ("10.0.0.2", "10.0.0.1"), strict=True):
            assert "ok, 1 VNIs (1 bound to a bridge), and this host is ready for it" in shell.log()
            rows = leaf.run("sh", "-c", look)
            assert rows.count(f"dst {other} self extern_learn") == 2, rows


@pytest.mark.root_netns
def test_the_tutorial_leads_to_a_leaf_beside_frr():
    ours, theirs, hosts = blocks(TUTORIAL.partition(REFLECTED)[0], "sh")
    with skipped_if_missing(), Lab() as lab:
        pair = Pair(lab)
        leaf, other = pair.leaves

        shell = pair.follow(1, ours)
        made = leaf.path("/run/etc/vtep/peer-10.0.0.2")
        wait_until((made / "devices.sh").exists, 20.0, what=shell.log())
        for file in made.iterdir():
            other.write(f"/run/etc/vtep/peer-10.0.0.2/{file.name}", file.read_text())
        other.run("sh", "-e", "-c", "mkdir /run/etc/frr; " + theirs.replace("/etc/", "/run/etc/"))
        Frr(other, other.path("/run/etc/frr/frr.conf").read_text()).start()
        pair.wait_ping(hosts, shell)

        (toml,) = blocks(TUTORIAL.partition(REFLECTED)[0], "toml")
        assert toml == leaf.path("/run/etc/vtep/vtep.toml").read_text()
        script, frr = blocks(TUTORIAL.partition(REFLECTED)[0], "text")[1:]
        assert script == leaf.path("/run/etc/vtep/devices.sh").read_text()
        assert frr == other.path("/run/etc/frr/frr.conf").read_text()


@pytest.mark.root_netns
@pytest.mark.slow
def test_the_tutorial_leads_to_two_leaves_behind_a_reflector():
    page = TUTORIAL.partition(REFLECTED)[2]
    hosts = blocks(TUTORIAL.partition(REFLECTED)[0], "sh")[-1]
    first, second, theirs = blocks(page, "sh")
    with skipped_if_missing(), Lab() as lab:
        spine = lab.node("spine")
        pair = Pair(lab, spine)
        spine.ip("addr add 10.0.0.100/24 dev leaves")

        shells = [pair.follow(1, first), pair.follow(2, second)]
        made = pair.leaves[0].path("/run/etc/vtep/peer-10.0.0.100/frr.conf")
        wait_until(made.exists, 20.0, what=shells[0].log())
        spine.write("/run/etc/vtep/peer-10.0.0.100/frr.conf", made.read_text())
        spine.run("sh", "-e", "-c", "mkdir /run/etc/frr; " + theirs.replace("/etc/", "/run/etc/"))
        (frr,) = blocks(page, "text")[1:]
        assert frr == spine.path("/run/etc/frr/frr.conf").read_text()
        Frr(spine, frr).start()
        pair.wait_ping(hosts, *shells)

        for leaf, other in zip(pair.leaves, ("10.0.0.2", "10.0.0.1"), strict=True):
            assert f"dst {other} self extern_learn" in leaf.run("bridge", "fdb", "show", "dev", "vxlan100")
        (toml,) = blocks(page, "toml")
        assert toml in pair.leaves[0].path("/run/etc/vtep/vtep.toml").read_text()


@pytest.mark.root_netns
def test_the_remedies_for_devices_make_them_fit():
    """The rows of the readiness table that name a command: run them on a device that has everything wrong."""
    commands = [
        command.replace("VXLAN", "vxlan100")
        .replace("BRIDGE", "br100")
        .replace("VNI", "100")
        .replace("ADDRESS", "10.0.0.9")
        for command in set(re.findall(r"`(ip link set dev VXLAN (?:master|type) [^`]+)`", REASONS))
    ]
    with skipped_if_missing(), Lab() as lab:
        leaf = lab.node("leaf")
        leaf.ip(
            "link add name br100 type bridge",
            "link add name vxlan100 type vxlan id 100 local 10.0.0.7 dstport 4789 learning",
        )

        for command in sorted(commands, key=lambda command: "bridge_slave" in command):
            leaf.run(*command.split())

        shown = leaf.run("ip", "-d", "link", "show", "dev", "vxlan100")

    assert len(commands) == 4
    assert "local 10.0.0.9" in shown
    assert "nolearning" in shown
    assert "learning off" in shown
    assert "master br100" in shown


# Configuration


@pytest.mark.parametrize("toml", blocks(README, "toml") + blocks(OPERATING, "toml"))
def test_every_configuration_shown_is_taken(toml):
    assert config.parse(toml).vnis


def keys(table: type[msgspec.Struct], place: str = "") -> Iterator[tuple[str, Any]]:
    """Every key that a person may type, with its default."""
    for field in msgspec.structs.fields(table):
        key = f"{place}.{field.name}" if place else field.name
        if (inner := table_in(field.type)) is not None:
            yield from keys(inner, key)
        else:
            default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
            yield key, default


def table_in(wanted: Any) -> type[msgspec.Struct] | None:
    choices = (wanted,) if get_origin(wanted) is None else get_args(wanted)
    return next((choice for choice in choices if isinstance(choice, type) and issubclass(choice, msgspec.Struct)), None)


DOCUMENTED = dict(re.findall(r"^\| `([a-z_.]+)` \| (.+?) \|", OPERATING, re.MULTILINE))


@pytest.mark.parametrize(("key", "default"), [pytest.param(*each, id=each[0]) for each in keys(config._File)])
def test_every_key_is_documented_with_its_default(key, default):
    shown = DOCUMENTED[key]

    if default is msgspec.UNSET:
        assert not shown.startswith("`")
    else:
        assert tomllib.loads(f"shown = {shown.strip('`')}")["shown"] == default


def test_no_key_is_documented_that_does_not_exist():
    assert {key for key, _ in keys(config._File)} == {key for key in DOCUMENTED if "." in key}


# What the log says


def test_every_event_is_documented():
    logged = set()
    for source in sources():
        logged |= set(re.findall(r"logs\.event\(\s*log,\s*logging\.\w+,\s*\"([^\"]+)\"", source))
        for either in re.findall(r"\bevent = \"([^\"]+)\" if [^\n]+ else \"([^\"]+)\"\n", source):
            logged |= set(either)
        logged |= set(re.findall(r"log\.warning\(\"([a-z ]+?)(?= \w+=)", source))
    logged |= {f"row {state}" for state in ("contested", "failed", "suppressed")}

    assert "exabgp connected" in logged
    assert "feed connection refused" in logged
    assert sorted(event for event in logged if f"| `{event}` |" not in OPERATING) == []


def test_every_reason_for_devices_that_are_not_fit_is_documented():
    source = Path(readiness.__file__).read_text()
    reasons = set(re.findall(r"\"([a-z]+(?:-[a-z]+)+)\"", source))

    assert "vxlan-missing" in reasons
    assert sorted(reason for reason in reasons if f"`{reason}`" not in REASONS) == []


# The map


def test_the_map_names_every_part_of_the_code():
    described = CONTRIBUTING[CONTRIBUTING.index("## Map of the code") : CONTRIBUTING.index("## Checks and tests")]
    parts = [path.name for path in (ROOT / "vtep").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    parts = [part for part in parts if not part.startswith("__")]

    assert sorted(part for part in parts if part not in described) == []


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`((?:vtep|tests|docs)/[\w/.]*)`", README + CONTRIBUTING + OPERATING)))
)
def test_every_file_that_is_named_exists(name):
    assert (ROOT / name).exists() or "NAME" in name


def test_the_readme_is_short_and_what_it_links_to_is_there():
    linked = re.findall(r"\]\(([^)#:]+)(?:#([\w-]+))?\)", README)
    anchors = {
        (page, re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-"))
        for page, _ in linked
        for title in re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    }

    assert len(README.splitlines()) < 150
    assert [(page, anchor) for page, anchor in linked if anchor and (page, anchor) not in anchors] == []


def test_the_changelog_begins_with_what_is_not_released():
    assert re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)[0] == "Unreleased"
