"""The guides are followed as they are written: every command of theirs runs on a leaf with a daemon."""

import json
import re
import shlex
import subprocess

import pytest

from tests.lab.fixtures import skipped_if_missing
from tests.lab.namespaces import Lab, link
from tests.lab.vtep import VTEP
from tests.lab.wait import wait_until
from tests.promises.test_readme import ROOT, blocks
from vtep.app.commands import parser

PAGES = ("troubleshooting", "lifecycle", "devices", "sizing")
LEAF = """
[node]
vtep = "10.0.0.1"
manage = true
[feed]
peers = ["10.0.0.2"]
[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
import_rt = ["65000:100"]
"""


@pytest.mark.root_netns
@pytest.mark.slow
def test_every_command_of_the_guides_runs_on_a_leaf():
    """1 is an answer: something is unusual, or differs."""
    with skipped_if_missing(), Lab() as lab:
        leaf, host = lab.node("leaf"), lab.node("host")
        link(leaf, "uplink", host, "uplink")
        leaf.ip("addr add 10.0.0.1/24 dev uplink", "link set uplink up")
        leaf.run("sh", "-ec", "mkdir /run/etc && mount --bind /run/etc /etc && mkdir /etc/vtep")
        page = (ROOT / "docs/hypervisor.md").read_text()
        first, tap = blocks(page, "sh")
        assert shell(leaf, first).returncode == 0
        leaf.write("/etc/vtep/vtep.toml", LEAF)
        leaf.start(str(VTEP), "run", "--config", "/etc/vtep/vtep.toml", log="/run/log/vtep.log")
        wait_until(lambda: leaf.has_link("vxlan100"), 20, "the devices are made")
        wait_until(lambda: "br100" in shell(leaf, "vtep vnis").stdout, 20, "the daemon answers")
        if leaf.attempt("sh", "-c", "exec 3<>/dev/net/tun").returncode == 0:
            assert shell(leaf, tap).returncode == 0
            assert json.loads(leaf.run("ip", "-j", "link", "show", "dev", "tap1"))[0]["master"] == "br100"

        text = "\n".join((ROOT / f"docs/{name}.md").read_text() for name in PAGES)
        for command in dict.fromkeys("".join(blocks(text, "sh")).splitlines()):
            done = shell(leaf, command)
            assert done.returncode in (0, 1), (command, done.stderr)
            assert "usage:" not in done.stderr, (command, done.stderr)


FOLLOWED = {
    "devices": "tests/promises/test_guides.py:test_every_command_of_the_guides_runs_on_a_leaf",
    "exabgp-commands": "tests/promises/test_guides.py:test_a_block_for_another_sort_of_host_is_of_commands_and_files_that_there_are",
    "exabgp-upstream": "tests/promises/test_guides.py:test_a_block_for_another_sort_of_host_is_of_commands_and_files_that_there_are",
    "frr: systemctl kill": "tests/machines/test_frr.py:test_the_line_of_the_guide_ends_frr_and_leaves_its_rows",
    "frr": "tests/system/test_from_frr.py:test_from_frr_to_vtep_and_back_no_packet_is_lost",
    "hypervisor": "tests/promises/test_guides.py:test_every_command_of_the_guides_runs_on_a_leaf",
    "install: apt install": "tests/machines/test_machines.py:test_a_leaf_by_hand_and_one_by_ansible_forward_through_upgrades_until_they_are_removed",
    "install: python3 -m venv": "tests/promises/test_guides.py:test_a_block_for_another_sort_of_host_is_of_commands_and_files_that_there_are",
    "install: docker run": "tests/promises/test_deployments.py:test_the_containers_of_the_compose_file_are_those_of_the_guide",
    "install: ip link add br0": "tests/system/test_vlans.py:test_the_devices_of_the_guide_are_fit",
    "install: ip link add vxlan0 type vxlan external vnifilter local 10.0.0.1 dstport 4789": (
        "tests/system/test_vlans.py:test_the_devices_of_the_guide_are_fit"
    ),
    "install: ip link add vxlan0 type vxlan external vnifilter local 10.0.0.1 dstport 4790": (
        "tests/system/test_vlans.py:test_the_filters_of_the_guide_are_those_that_a_leaf_moves_with"
    ),
    "install: tc filter": "tests/system/test_vlans.py:test_the_filters_of_the_guide_are_those_that_a_leaf_moves_with",
    "lifecycle: vtep check": "tests/machines/test_machines.py:test_a_leaf_by_hand_and_one_by_ansible_forward_through_upgrades_until_they_are_removed",
    "lifecycle: apt install": "tests/machines/test_machines.py:test_a_leaf_by_hand_and_one_by_ansible_forward_through_upgrades_until_they_are_removed",
    "lifecycle: sed": "tests/machines/test_machines.py:test_a_leaf_by_hand_and_one_by_ansible_forward_through_upgrades_until_they_are_removed",
    "lifecycle: bridge fdb show": "tests/promises/test_guides.py:test_every_command_of_the_guides_runs_on_a_leaf",
    "sizing": "tests/promises/test_guides.py:test_every_command_of_the_guides_runs_on_a_leaf",
    "troubleshooting": "tests/promises/test_guides.py:test_every_command_of_the_guides_runs_on_a_leaf",
    "tutorial: sh /etc/vtep/peer-10.0.0.2": "tests/promises/test_readme.py:test_the_tutorial_leads_to_a_leaf_beside_frr",
    "tutorial: cp": "tests/promises/test_readme.py:test_the_tutorial_leads_to_two_leaves_behind_a_reflector",
    "tutorial": "tests/promises/test_readme.py:test_the_tutorial_leads_to_a_leaf_beside_frr",
}
"""Which test follows the blocks of commands of a page, or the block that begins so. The longest name that fits counts."""
ELSEWHERE = "test_a_block_for_another_sort_of_host_is_of_commands_and_files_that_there_are"


def block_tests():
    """Yield each block of commands of the pages with the test that follows it; empty if none is named."""
    for page in sorted((ROOT / "docs").glob("*.md")):
        for block in blocks(page.read_text(), "(?:sh|bash)"):
            name = f"{page.stem}: {block}"
            fits = [known for known in FOLLOWED if name.startswith(known + ("" if ": " in known else ": "))]
            yield page.stem, block, FOLLOWED[max(fits, key=len)] if fits else ""


def test_each_block_of_commands_of_each_page_is_followed_by_a_test_that_there_is():
    found = list(block_tests())

    assert [(page, block) for page, block, test in found if not test] == []
    assert set(FOLLOWED.values()) == {test for _, _, test in found}
    for file, name in (test.split(":") for test in set(FOLLOWED.values())):
        assert f"def {name}(" in (ROOT / file).read_text(), name


def test_a_block_for_another_sort_of_host_is_of_commands_and_files_that_there_are():
    """Its shell is right, its files are in the sources, and its commands of vtep are ones that the parser takes."""
    found = [block for _, block, test in block_tests() if test.endswith(ELSEWHERE)]
    text = "".join(found)

    assert len(found) == 3
    for block in found:
        done = subprocess.run(["sh", "-n"], input=block, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    named = re.findall(r"\b(?:packaging|contrib)/[\w./-]+", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
    commands = re.findall(r"(?:^|[\s/])vtep ((?:check|exabgp-config) [^#>\n]*)", text)
    assert [parser().parse_args(shlex.split(command)).command.__name__ for command in commands] == [
        "_check",
        "_exabgp_config",
    ]


def shell(node, text):
    return node.attempt("sh", "-c", f"PATH={VTEP.parent}:$PATH\n{text}", deadline_s=30)


def test_the_words_of_the_glossary_are_in_order_and_their_commands_exist():
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| `([^`]+)` \|$", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)
    pages = "\n".join(path.read_text() for path in (ROOT / "docs").glob("*.md") if path.name != "glossary.md")

    words = [word for word, _ in rows]
    assert len(rows) > 20
    assert words == sorted(words, key=str.lower)
    assert [word for word in words if word.lower() not in pages.lower()] == []
    ours = {command.split()[1] for _, command in rows if command.startswith("vtep ")}
    assert ours <= parser()._subparsers._group_actions[0].choices.keys()


def test_the_figures_of_the_sizing_guide_are_those_of_the_benchmarks():
    """A row of the first table has the medians of one row there, in the same order."""
    figures = (ROOT / "docs/benchmarks.md").read_text()
    table = (ROOT / "docs/sizing.md").read_text().split("## What a device costs")[0]
    rows = [line.split(" | ")[1:] for line in table.splitlines() if re.match(r"\| [a-zC].*\d", line)]

    assert len(rows) == 5
    for cells in rows:
        medians = r" \| ".join(rf"{re.escape(cell.strip(' |'))}(?: \([^)]*\))?" for cell in cells)
        assert re.search(rf"\| {medians} \|", figures), cells
