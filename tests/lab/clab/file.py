"""Reads a containerlab topology file: which nodes there are, what they need, and how they are wired.

A subset is supported, and everything else is refused with its place: a key that were passed over would make another lab
than containerlab makes. Knows no backend, and not whether a file or image that is named exists.

    name                      topology.defaults         scalars and sysctls, for every node that has not its own
    topology.nodes.NAME       kind: linux, image, entrypoint, cmd, privileged: false, cap-add, network-mode: none,
                              sysctls, env, binds (SOURCE:/TARGET[:ro]), exec
    topology.links            endpoints: [NODE:INTERFACE, NODE:INTERFACE], mtu
    ${NAME:=default}          anywhere; a line of `exec` has no shell, and may not have any other $
"""

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

MTU: Final = 9500
"""What containerlab gives a link that says nothing."""

_VARIABLE: Final = re.compile(r"\$\{(\w+):[=-]([^}]*)\}")
_NODE_KEYS: Final = frozenset(
    {"kind", "image", "entrypoint", "cmd", "privileged", "cap-add", "network-mode", "sysctls", "env", "binds", "exec"}
)
_DEFAULT_KEYS: Final = frozenset({"kind", "image", "entrypoint", "cmd", "privileged", "network-mode", "sysctls"})
_REQUIRED: Final = {"kind": "linux", "privileged": False, "network-mode": "none"}
"""What each node has to say; containerlab's own default is a privileged container in a management network."""


class Unsupported(Exception):  # noqa: N818 - reads as what it says
    """Containerlab may know it; this reader does not. The message names the place."""


@dataclass(frozen=True, slots=True)
class Bind:
    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class NodeSpec:
    name: str
    image: str
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    capabilities: frozenset[str]
    sysctls: tuple[tuple[str, str], ...]
    env: tuple[tuple[str, str], ...]
    binds: tuple[Bind, ...]
    exec: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Wire:
    """(node, interface) of both ends."""

    ends: tuple[tuple[str, str], tuple[str, str]]
    mtu: int


@dataclass(frozen=True, slots=True)
class TopologyFile:
    path: Path
    name: str
    nodes: tuple[NodeSpec, ...]
    wires: tuple[Wire, ...]


def read(path: Path, env: Mapping[str, str] = os.environ) -> TopologyFile:
    return parse(path.read_text(), path, env)


def parse(text: str, path: Path, env: Mapping[str, str]) -> TopologyFile:
    """Read the text of a topology file; the path is what relative binds start from."""
    loaded = YAML(typ="safe", pure=True).load(_substituted(text, env))
    _only(loaded, {"name", "topology"}, path.name)
    topology = loaded["topology"]
    _only(topology, {"defaults", "nodes", "links"}, "topology")
    defaults = topology.get("defaults", {})
    _only(defaults, _DEFAULT_KEYS, "topology.defaults")
    nodes = [_node(name, defaults, own or {}, path.parent) for name, own in topology["nodes"].items()]
    wires = [_wire(link, f"topology.links[{number}]") for number, link in enumerate(topology.get("links", ()))]
    _ends_exist(wires, {node.name for node in nodes})
    return TopologyFile(path, loaded["name"], tuple(nodes), tuple(wires))


def _substituted(text: str, env: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: env.get(match[1]) or match[2], text)


def _node(name: str, defaults: Mapping[str, Any], own: Mapping[str, Any], folder: Path) -> NodeSpec:
    place = f"topology.nodes.{name}"
    _only(own, _NODE_KEYS, place)
    said = {**defaults, **own}
    for key, value in _REQUIRED.items():
        if said.get(key) != value:
            raise Unsupported(f"{place}.{key} is {said.get(key)!r}, and only {value!r} is supported")
    sysctls = {**defaults.get("sysctls", {}), **own.get("sysctls", {})}
    return NodeSpec(
        name=name,
        image=said["image"],
        entrypoint=tuple(shlex.split(said.get("entrypoint", ""))),
        cmd=tuple(shlex.split(said.get("cmd", ""))),
        capabilities=frozenset(said.get("cap-add", ())),
        sysctls=_pairs(sysctls),
        env=_pairs(said.get("env", {})),
        binds=tuple(_bind(text, folder, f"{place}.binds") for text in said.get("binds", ())),
        exec=tuple(_command(line, f"{place}.exec") for line in said.get("exec", ())),
    )


def _bind(text: str, folder: Path, place: str) -> Bind:
    source, target, *options = text.split(":")
    if options not in ([], ["ro"]) or not target.startswith("/") or "__clab" in source:
        raise Unsupported(f"{place}: {text!r} is not SOURCE:/TARGET or SOURCE:/TARGET:ro")
    return Bind((folder / source).resolve(), target, read_only=bool(options))


def _command(line: str, place: str) -> tuple[str, ...]:
    if "$" in line:
        raise Unsupported(f"{place}: {line!r} has a $, and no shell would read it; put it into a script")
    return tuple(shlex.split(line))


def _wire(link: Mapping[str, Any], place: str) -> Wire:
    _only(link, {"endpoints", "mtu"}, place)
    one, other = (tuple(end.split(":")) for end in link["endpoints"])
    for _, interface in (one, other):
        if interface == "eth0":
            raise Unsupported(f"{place}: eth0 is the management interface; links start at eth1")
    return Wire((one, other), link.get("mtu", MTU))


def _ends_exist(wires: Iterable[Wire], names: set[str]) -> None:
    unknown = sorted({name for wire in wires for name, _ in wire.ends} - names)
    if unknown:
        raise Unsupported(
            f"topology.links: no node is called {unknown[0]!r}; host, mgmt-net and the like are not supported"
        )


def _only(said: Mapping[str, Any], supported: Iterable[str], place: str) -> None:
    for key in said:
        if key not in supported:
            raise Unsupported(f"{place}.{key} is not supported here")


def _pairs(table: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in table.items())
