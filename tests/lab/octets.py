"""A recorded line of ExaBGP in its other form: the UPDATE that it shows, as the octets that a tap would have handed on.

The captures were recorded before there was a tap. NLRIs, communities and PMSI tunnels are rebuilt from what ExaBGP prints; the
path attributes that vtep does not read are those of any iBGP route. A line that shows an error, or something that no UPDATE
could be rebuilt from, stays as it is, as it would with a tap.
"""

import base64
import json
import re
import struct
from typing import Any

from tests.lab import wire
from vtep.addr import Ip

_PMSI = re.compile(r"pmsi:ingressreplication:(\d+):\d+\((\d+)\):([0-9.]+)")


def as_octets(line: bytes) -> bytes:
    """Return the line in its other form, or as it is."""
    try:
        found = json.loads(line, strict=False)
        neighbor = found["neighbor"]
        update = neighbor["message"]["update"]
        messages = b"".join(_messages(update))
    except (ValueError, KeyError, TypeError, AttributeError, struct.error):
        return line
    if found.get("type") != "update" or neighbor.get("direction") != "receive" or not messages:
        return line
    octets = base64.b64encode(messages).decode()
    shown = {name: neighbor[name] for name in ("address", "asn") if name in neighbor}
    head = {name: value for name, value in found.items() if name not in ("neighbor", "header", "body")}
    return json.dumps(
        {**head, "type": "updates", "neighbor": {**shown, "direction": "receive", "octets": octets}}
    ).encode()


def _messages(update: dict[str, Any]) -> list[bytes]:
    attribute = update.get("attribute", {})
    if "error" in attribute or set(update) - {"attribute", "announce", "withdraw"}:
        raise ValueError("what ExaBGP found wrong cannot be rebuilt")
    withdrawn = _nlris(update.get("withdraw", {}).get("l2vpn evpn", []))
    announced = {
        Ip.parse(text): _nlris(nlris) for text, nlris in update.get("announce", {}).get("l2vpn evpn", {}).items()
    }
    messages = [wire.update(wire.unreach(withdrawn))] if withdrawn else []
    path = _path(attribute)
    local = [hop for hop in announced if hop.is_v6_link_local]
    if len(announced) == 2 and local:  # ExaBGP shows both addresses of a next hop with 32 octets
        (link,) = local
        (hop,) = set(announced) - {link}
        return [*messages, wire.update(wire.reach(hop + link, announced[hop]) + path)]
    return [*messages, *(wire.update(wire.reach(hop, nlris) + path) for hop, nlris in announced.items())]


def _nlris(shown: list[dict[str, Any]]) -> list[bytes]:
    return [bytes.fromhex(nlri["raw"]) for nlri in shown]


def _path(attribute: dict[str, Any]) -> bytes:
    path = wire.attribute(0x40, 1, b"\0") + wire.attribute(0x40, 2, b"")
    extended = b"".join(struct.pack("!Q", community["value"]) for community in attribute.get("extended-community", []))
    standard = b"".join(struct.pack("!HH", *community) for community in attribute.get("community", []))
    pmsi = attribute.get("pmsi")
    if pmsi is not None:
        flags, label, endpoint = _PMSI.fullmatch(pmsi).groups()
        path += wire.attribute(0xC0, 22, bytes((int(flags), 6)) + int(label).to_bytes(3) + Ip.parse(endpoint))
    path += wire.attribute(0xC0, 16, extended) if extended else b""
    return path + (wire.attribute(0xC0, 8, standard) if standard else b"")
