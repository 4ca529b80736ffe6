"""The product in a node: its daemon, and the ExaBGP beside it with our relay. Configured by text, started and ended here."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tests.lab import confined
from tests.lab.namespaces import Node, Process
from tests.lab.peers import EXABGP, ExaBgp, exabgp_config
from tests.lab.topology import BRIDGE, LEAF, VNI, VXLAN, address

VTEP: Final = Path(sys.executable).with_name("vtep")
FEED: Final = "/run/vtep/feed.sock"


def vni_section(vni: int, bridge: str, vxlan: str) -> str:
    return f"""
[[vni]]
vni = {vni}
bridge = "{bridge}"
vxlan = "{vxlan}"
import_rt = ["65000:{vni}"]
"""


VNI_SECTION: Final = vni_section(VNI, BRIDGE, VXLAN)


class Vtep:
    """One daemon."""

    def __init__(self, node: Node, config: str = "") -> None:
        self.node = node
        self.process: Process | None = None
        self.configure(config or leaf_config())

    def configure(self, text: str) -> None:
        """Write the configuration; a running daemon reads it at SIGHUP."""
        self.node.write("/run/vtep.toml", text)

    def start(self, *wrapper: str) -> Process:
        """Start it, or start it again; a wrapper comes before the command, to take rights away for example.

        Where `confined` is wanted, it lives as its unit confines it.
        """
        if confined.is_wanted():
            wrapper = (*wrapper, *confined.prefix())
        self.process = self.node.start(
            *wrapper, str(VTEP), "run", "--config", "/run/vtep.toml", log="/run/log/vtep.log"
        )
        return self.process

    def ask(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as an operator does who is logged in to the node; its default address is the daemon's."""
        return self.node.attempt(str(VTEP), *words)

    def told(self, *words: str) -> Any:
        """Return what a command says as JSON, whatever its status."""
        return json.loads(self.ask(*words, "-o", "json").stdout)


def leaf_config(
    *, peers: Iterable[str] = (), on_stop: str = "keep", node: str = "", vnis: str = VNI_SECTION, more: str = ""
) -> str:
    names = ", ".join(f'"{peer}"' for peer in peers)
    return f"""
[node]
vtep = "{address(LEAF)}"
on_stop = "{on_stop}"
{node}
[feed]
peers = [{names}]
{more}
{vnis}
"""


def exabgp_with_relay(
    node: Node,
    neighbors: Iterable[str],
    *,
    executable: Path = EXABGP,
    restart_s: int | None = 120,
    hold_s: int = 180,
    buffer_mib: int = 64,
    announces: bool = False,
) -> ExaBgp:
    """An ExaBGP that feeds the daemon of this node."""
    relay = f"{VTEP} relay --socket {FEED} --buffer-mib {buffer_mib}"
    config = exabgp_config(address(LEAF), neighbors, relay, restart_s=restart_s, hold_s=hold_s)
    return ExaBgp(node, config, executable=executable, announces=announces)
