"""The topology files stay true for containerlab's users, and what our reader does not support it refuses by name."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from tests.interop import matrix
from tests.lab.clab.file import Unsupported, Wire, parse, read
from vtep.config import file as config
from vtep.feed.exabgp import config as exabgp_config

LABS = Path(__file__).parents[2] / "interop" / "containerlab"
FILES = sorted(LABS.glob("*.clab.yml"))
LEAVES = sorted(path.parent for path in LABS.glob("evpn-*/*/vtep.toml"))
SCHEMA = Path(__file__).with_name("clab.schema.json")

MINIMAL = """
name: lab
topology:
  nodes:
    one: {kind: linux, image: some, privileged: false, network-mode: none%s}
    two: {kind: linux, image: some, privileged: false, network-mode: none}
  links:
    - {endpoints: ["one:eth1", "%s:eth1"]%s}
%s
"""


@pytest.fixture(scope="module")
def schema():
    return jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))


def minimal(node="", end="two", link="", more=""):
    return MINIMAL % (node, end, link, more)


def load(text):
    return parse(text, Path("lab.clab.yml"), {})


def test_there_are_topologies():
    assert {path.name for path in FILES} == {
        *(
            f"evpn-{name}.clab.yml"
            for name in ("frr", "rr", "gobgp", "leaves", "l3", "vlan-aware", "svd", "multihoming", "multihoming-frr")
        ),
        *(f"observe-{name}.clab.yml" for name in ("frr", "gobgp")),
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_topology_is_what_containerlabs_own_schema_allows(schema, path):
    assert list(schema.iter_errors(YAML(typ="safe", pure=True).load(path.read_text()))) == []


@pytest.mark.parametrize("text", [minimal(", imag: x"), minimal(link=", mtus: 1"), minimal(more="nodes: {}")])
def test_the_schema_refuses_what_containerlab_does_not_know(schema, text):
    assert not schema.is_valid(YAML(typ="safe", pure=True).load(text))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_topology_names_only_files_that_are_there_and_only_rights_that_are_needed(path):
    topology = read(path, {})

    assert [bind.source for node in topology.nodes for bind in node.binds if not bind.source.is_file()] == []
    assert {bind.read_only for node in topology.nodes for bind in node.binds} == {True}
    rights = {node.name.rstrip("0123456789"): node.capabilities for node in topology.nodes}
    has_zebra = any(
        bind.target == "/etc/frr/frr.conf" for node in topology.nodes for bind in node.binds if node.name == "leaf"
    )
    assert rights["leaf"] == (rights["frr"] if has_zebra else {"NET_ADMIN"})
    assert rights.get("host", {"NET_ADMIN"}) == {"NET_ADMIN"}


@pytest.mark.parametrize("folder", LEAVES, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_an_exabgp_of_a_lab_is_configured_as_vtep_would_have_it(folder):
    """But for the relay's place, and a hold time that suits a lab."""
    written = _essence((folder / "exabgp.conf").read_text())
    meant = _essence(exabgp_config.render(config.read(folder / "vtep.toml")))
    assert written == meant


def _essence(text):
    text = re.sub(r"#.*|run [^;]*;|hold-time \d+;", "", text)
    return re.sub(r"\s+", " ", text).strip()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (minimal(more="mgmt: {network: x}"), "mgmt"),
        (minimal(more="prefix: x"), "prefix"),
        (minimal(more="  kinds: {linux: {}}"), "topology.kinds"),
        (minimal(more="  groups: {}"), "topology.groups"),
        (minimal(more="  defaults: {binds: [a:/b]}"), "topology.defaults.binds"),
        (minimal(", ports: ['80:80']"), "topology.nodes.one.ports"),
        (minimal(", startup-delay: 3"), "topology.nodes.one.startup-delay"),
        (minimal(", stages: {}"), "topology.nodes.one.stages"),
        (minimal(", healthcheck: {}"), "topology.nodes.one.healthcheck"),
        (minimal(", user: root"), "topology.nodes.one.user"),
        (minimal(", binds: ['a:/b:rw,z']"), "topology.nodes.one.binds"),
        (minimal(", binds: ['__clabNodeDir__/a:/b']"), "topology.nodes.one.binds"),
        (minimal(", exec: ['echo $$HOME']"), "topology.nodes.one.exec"),
        (minimal().replace("privileged: false", "privileged: true", 1), "topology.nodes.one.privileged"),
        (minimal().replace(", privileged: false", "", 1), "topology.nodes.one.privileged"),
        (minimal().replace("kind: linux", "kind: bridge", 1), "topology.nodes.one.kind"),
        (minimal().replace("network-mode: none", "network-mode: host", 1), "topology.nodes.one.network-mode"),
        (minimal(link=", ipv4: [192.0.2.1/31]"), "topology.links[0].ipv4"),
        (minimal(link=", type: veth"), "topology.links[0].type"),
        (minimal(end="host"), "'host'"),
        (minimal().replace("two:eth1", "two:eth0"), "topology.links[0]"),
    ],
)
def test_what_is_not_supported_is_refused_by_its_place(text, place):
    with pytest.raises(Unsupported, match=re.escape(place)):
        load(text)


def test_a_minimal_topology_is_read():
    topology = load(minimal(", cap-add: [NET_ADMIN], exec: [\"sh -c 'a b'\"], entrypoint: sleep, cmd: infinity"))

    one = topology.nodes[0]
    assert (one.capabilities, one.exec, one.entrypoint, one.cmd) == (
        {"NET_ADMIN"},
        (("sh", "-c", "a b"),),
        ("sleep",),
        ("infinity",),
    )
    assert topology.wires == (Wire((("one", "eth1"), ("two", "eth1")), 9500),)


def test_a_variable_has_its_value_or_its_default():
    text = minimal().replace("image: some", "image: ${IMAGE:=frr:8}", 1)

    images = [parse(text, Path("x"), env).nodes[0].image for env in ({}, {"IMAGE": "frr:10"})]

    assert images == ["frr:8", "frr:10"]


def test_the_matrix_keeps_what_others_found_and_enters_what_is_new(tmp_path):
    cell, other = matrix.Cell("S1: one", "FRR 8.4"), matrix.Cell("S2: two", "FRR 10.3")

    once = matrix.write({cell: "passed 2026-01-01"})
    twice = matrix.write(matrix.read(once) | {other: "failed 2026-01-02"})

    assert matrix.read(twice) == {cell: "passed 2026-01-01", other: "failed 2026-01-02"}
