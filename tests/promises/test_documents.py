"""What the documents name is there, and what must be documented is."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

import vtep
from vtep.addr import Ip, Mac, RouteDistinguisher, RouteTarget
from vtep.config import file as config
from vtep.evpn.attributes import Attributes
from vtep.evpn.mac_ip import MacIp
from vtep.projection.imports import judge
from vtep.projection.policy import Policy

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

TELLING = [
    *sorted((ROOT / "vtep/projection").glob("*.py")),
    *sorted((ROOT / "vtep/linux/tables").glob("*.py")),
    *sorted((ROOT / "vtep/reconcile").glob("*.py")),
    ROOT / "vtep/linux/attachment.py",
    ROOT / "vtep/linux/conditions.py",
    ROOT / "vtep/linux/notes.py",
    ROOT / "vtep/linux/filtering.py",
    ROOT / "vtep/local/segment_ports.py",
    ROOT / "vtep/linux/underlay.py",
    ROOT / "vtep/linux/vrf.py",
]
"""The modules whose words reach an operator as reasons."""

OTHER_WORDS = {
    *("won", "lost", "refused"),  # what became of a candidate
    *("create", "replace", "convert", "delete", "shed", "undo", "keep", "forget"),  # verdicts and verbs
    *("transient", "permanent", "full", "gone"),  # what an errno means
    *("fdb", "flood", "neighbor", "mac", "vtep", "ip", "there"),  # the kinds, their keys, and a row in words
    *("route", "prefix", "nexthop", "nexthop-group", "router-mac", "router-neighbor"),  # the kinds of a VRF
    *(
        "port-filter",
        "segment-mac",
        "port",
        "port-backup",
        "synced-mac",
        "nftables",
    ),  # the kinds of an Ethernet segment
    *(
        "forwarding-off",
        "ipv6-forwarding-off",
        "ipv6-disabled",
        "svi-mtu",
        "svi-addrgenmode",
    ),  # notes, which the page lists in a sentence
    "zebra",  # who writes rows
    "candidate",  # a route that is not refused, before it is compared
    *("freeze", "project", "vxlan"),  # an action, a function, a device
    *("fdb-nexthop", "fdb-group", "group"),  # the kinds of a segment, and the key of one
    *("all-active", "single-active", "way"),  # how VTEPs share a segment, and a question about it
    *(
        "beats",
        "checks",
        "converts",
        "lookups",
        "needs",
        "as-part",
        "learns",
    ),  # members of the optional protocols of a kind
    *("dstport", "ttl", "checksum"),  # notes, which the page lists in a sentence as well
    *("proxy", "learning"),  # options of a VXLAN device, which a note names
    "ok",  # what came of a change that was made
    *(
        "highest-preference",
        "lowest-preference",
        "highest-random-weight",
    ),  # which election a segment's configuration asks for
}
"""Words of those modules that are no reason. A new one is either a code, and documented, or belongs here."""

ALERTS_OF_PEERS = {"session-reset", "vtep-in-use", "own-routes-returned"}
"""What `vtep.observe.observer` reports of a peer, apart from the reasons that a row has as well."""

LEAF = """
[node]
vtep = "10.0.0.99"
vtep_prefixes = ["10.0.0.0/24", "2001:db8::/64"]
[[vni]]
vni = 100
import_rt = ["65000:100"]
soo = "65000:1"
"""

CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


ARCHITECTURE = (DOCS / "ARCHITECTURE.md").read_text()

CODE_READ = [module for module in sorted((ROOT / "vtep").rglob("*.py")) if module.parent.name != "v1"]


def _glossary():
    section = ARCHITECTURE.split("\n## Glossary\n")[1].split("\n## ")[0]
    return re.findall(r"^\| (?!term \||-)([^|]+?) \|", section, re.MULTILINE)


def test_every_reason_that_can_be_told_is_documented():
    assert _codes_told() - _codes_documented() == set()


def test_every_documented_reason_can_be_told():
    assert _codes_documented() - _codes_told() == set()


def test_refusals_are_documented_in_the_order_in_which_they_apply():
    """A route with everything wrong is mended step by step, and each step shows the next refusal."""
    policy = Policy(config.parse(LEAF), own_macs=frozenset({Mac.parse("02:00:00:00:00:01")}))
    steps = (
        {
            "mac": "ff:ff:ff:ff:ff:ff",
            "label": 0,
            "next_hop": "0.0.0.0",
            "encapsulations": (10,),
            "tag": 7,
            "targets": (),
        },
        {"mac": "02:00:00:00:00:01"},
        {"label": 5000},
        {"next_hop": "10.0.0.99"},
        {"next_hop": "192.0.2.1"},
        {"next_hop": "2001:db8::1"},
        {"encapsulations": ()},
        {"label": 100},
        {"targets": ("65000:999",)},
        {"targets": ("65000:100",), "label": 5000},
        {"label": 100},
        {"tag": 0},
        {"sites": ()},
        {"next_hop": "10.0.0.1"},
    )

    told, route = [], {"sites": (policy.vnis[100].site,)}
    for step in steps:
        route |= step
        told += {result.refusal for result in judge(_route(**route), Mac.parse(route["mac"]), policy)}

    section = (DOCS / "reasons.md").read_text().split("## Why a route may not win")[1].split("##")[0]
    documented = re.findall(r"^\| `([a-z-]+)`", section, re.MULTILINE)
    assert documented == [*told, "pending-ead", "local-bias", "limit", "mac-limit"]


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS)))
def test_what_a_page_names_is_there(page):
    text = page.read_text()
    linked = [(page.parent / target).resolve() for target in re.findall(r"\]\(([^)#:]+)\)", text)]
    named = re.findall(r"`((?:vtep|tests)/[\w/.]+?)(?::(\w+))?`", text)

    missing = [str(target) for target in linked if not target.exists()]
    missing += [path for path, _ in named if not (ROOT / path).exists()]
    missing += [f"{path}:{name}" for path, name in named if name and not _defines(ROOT / path, name)]
    assert missing == []


def test_sections_of_pages_that_the_code_names_are_there():
    named = [
        (page, section)
        for module in CODE_READ
        for page, section in re.findall(r'docs/(\w+\.md): "([^"]+)"', module.read_text())
    ]

    assert len(named) > 2
    assert [(page, section) for page, section in named if f"# {section}\n" not in (DOCS / page).read_text()] == []


def test_decisions_that_the_code_refers_to_are_there():
    referred = set()
    for module in (ROOT / "vtep").rglob("*.py"):
        referred |= set(re.findall(r"docs/decisions/(\d{4})", module.read_text()))

    assert referred <= {page.name[:4] for page in DOCS.glob("decisions/*.md")}


def test_the_drawing_of_the_layers_is_the_import_contract():
    (drawing,) = re.findall(r"^```layers\n(.*?)^```$", ARCHITECTURE, re.MULTILINE | re.DOTALL)
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["id"] == "layers")

    drawn = [re.split(r" {2,}", line)[0] for line in drawing.splitlines()]
    assert drawn == [re.sub(r"[()]", "", layer) for layer in layers]


def test_the_glossary_is_in_alphabetical_order_and_has_each_term_once():
    terms = _glossary()

    assert len(terms) > 60
    assert terms == sorted(set(terms))


@pytest.mark.parametrize("term", _glossary())
def test_a_term_of_the_glossary_is_used_in_the_code(term):
    """In any of its forms: `local claim` is also `LocalClaim` and `local_claim`."""
    used = re.compile(r"(?<![a-zA-Z])" + term.replace(" ", "[ _-]?"), re.IGNORECASE)

    assert any(used.search(module.read_text()) for module in CODE_READ)


def _route(mac, label, next_hop, encapsulations, tag, targets, sites):
    attributes = Attributes(
        Ip.parse(next_hop), tuple(map(RouteTarget.parse, targets)), encapsulations=encapsulations, sites=sites
    )
    peer, rd = Ip.parse("10.0.0.1"), RouteDistinguisher.parse("10.0.0.1:100")
    return MacIp(peer, attributes, rd, tag, Mac.parse(mac), label)


def _codes_documented():
    return set(re.findall(r"^\| `([a-z0-9-]+)` \|", (DOCS / "reasons.md").read_text(), re.MULTILINE))


def _codes_told():
    nodes = [node for module in TELLING for node in ast.walk(ast.parse(module.read_text()))]
    words = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {word for word in words if CODE.fullmatch(word)} - OTHER_WORDS | ALERTS_OF_PEERS


def _defines(module, name):
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, defined) and node.name == name for node in ast.walk(ast.parse(module.read_text())))


def test_the_walk_of_a_withdrawn_mac_names_modules_that_there_are():
    parts = ("feed", "evpn", "projection", "reconcile", "linux")
    named = set(re.findall(rf"\b((?:{'|'.join(parts)})\.[a-z_.]+[a-z])", vtep.__doc__))

    assert {name.partition(".")[0] for name in named} == set(parts)
    assert [name for name in named if not (ROOT / "vtep" / name.replace(".", "/")).with_suffix(".py").exists()] == []


# Decisions


def test_each_decision_has_a_number_of_its_own_which_its_title_repeats():
    pages = sorted((DOCS / "decisions").glob("*.md"))
    numbers = [page.name[:4] for page in pages]

    assert numbers == [f"{number:04}" for number in range(1, len(pages) + 1)]
    assert [page.name for page in pages if not page.read_text().startswith(f"# {page.name[:4]} ")] == []
