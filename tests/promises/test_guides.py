"""The guides are followed as they are written: every command of theirs runs on a leaf with a daemon."""

import json
import re

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
