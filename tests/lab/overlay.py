"""Bridges and VXLAN devices of a node, and rows put and read by `bridge` as an operator would.

Knows no BGP and no product: what it reads is the second opinion on what the product did to the kernel.
"""

import json
from typing import Any, Final

from tests.lab.namespaces import Node

FLOOD_MAC: Final = "00:00:00:00:00:00"


def bridge_vxlan(
    node: Node,
    vni: int,
    bridge: str,
    vxlan: str,
    local: str,
    *,
    learning: bool = False,
    suppress: bool = False,
    port: int = 4789,
) -> None:
    """Make a bridge and its VXLAN port, both up.

    Learning is off twice: the device learns VTEPs from frames, and the bridge learns MACs behind its port; either
    would teach this node what only BGP should (kernel 6.18: a remote's frame even takes a local MAC away).
    """
    node.ip(
        f"link add name {bridge} type bridge",
        f"link add name {vxlan} type vxlan id {vni} local {local} dstport {port} {'' if learning else 'no'}learning",
        f"link set dev {vxlan} master {bridge} up",
        f"link set dev {vxlan} type bridge_slave learning {_on(learning)} neigh_suppress {_on(suppress)}",
        f"link set dev {bridge} up",
    )


def put_row(node: Node, vxlan: str, mac: str, vtep: str) -> None:
    """Say by hand that a MAC is behind a VTEP; a move if it was elsewhere."""
    node.run("bridge", "fdb", "replace", mac, "dev", vxlan, "dst", vtep, "self", "master", "static")


def put_flood_row(node: Node, vxlan: str, vtep: str) -> None:
    node.run("bridge", "fdb", "append", FLOOD_MAC, "dev", vxlan, "dst", vtep, "self", "permanent")


def fdb(node: Node, device: str) -> list[dict[str, Any]]:
    """Return the rows of a device as `bridge -d -j fdb show` tells them."""
    rows: list[dict[str, Any]] = json.loads(node.run("bridge", "-d", "-j", "fdb", "show", "dev", device) or "[]")
    return rows


def tunnels(node: Node, vxlan: str) -> set[tuple[str, str]]:
    """Return (MAC, VTEP) of every row that sends somewhere: what decides where frames go, flood rows included."""
    return {(row["mac"], row["dst"]) for row in fdb(node, vxlan) if "dst" in row}


def floods(node: Node, vxlan: str) -> set[str]:
    """Return the VTEPs that broadcasts are sent to."""
    return {vtep for mac, vtep in tunnels(node, vxlan) if mac == FLOOD_MAC}


def learnt(node: Node, bridge_port: str) -> set[str]:
    """Return the MACs that the bridge has learnt from frames at one of its ports."""
    rows = (row for row in fdb(node, bridge_port) if "master" in row and not row["state"])
    return {row["mac"] for row in rows if "extern_learn" not in row.get("flags", ())}


def neighbors(node: Node, device: str) -> dict[str, str]:
    """Return the MAC of each address that the device has a neighbor row for."""
    rows = json.loads(node.run("ip", "-j", "neigh", "show", "dev", device) or "[]")
    return {row["dst"]: row["lladdr"] for row in rows if "lladdr" in row}


def _on(flag: bool) -> str:
    return "on" if flag else "off"
