"""The octets of one NLRI in an ExaBGP line.

ExaBGP prints the whole NLRI in hexadecimal as `raw`, and that is what vtep reads. Lines without `raw` (some releases can be
configured so) show the fields only; then the octets are built from the fields. A second label is not among the fields, and
route distinguishers of types 0 and 2 print alike, so such a route may differ from what the peer sent.
"""

from typing import Any

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, RouteDistinguisher
from vtep.errors import RouteError
from vtep.evpn import ead, imet, mac_ip, prefix, segment
from vtep.feed.exabgp.shapes import Nlri


def octets_of(nlri: Any) -> tuple[bytes, bytes]:
    """Return the NLRI's octets, and those that a path identifier adds to its key (RFC 7911 3)."""
    raw: Any
    path_id: Any
    if type(nlri) is Nlri:
        raw, path_id = nlri.raw, nlri.path_id
    elif isinstance(nlri, dict):
        raw, path_id = nlri.get("raw"), nlri.get("path-information")
    else:
        raise RouteError("not an object")
    return (_pack(nlri) if raw is None else _unhex(raw)), (b"" if path_id is None else _pack_path_id(path_id))


def _unhex(text: Any) -> bytes:
    try:
        return bytes.fromhex(text)
    except (ValueError, TypeError):
        raise RouteError("its octets are not hexadecimal") from None


def _pack_path_id(path_id: Any) -> bytes:
    """ExaBGP prints a path identifier like an IPv4 address."""
    try:
        octets: bytes = path_id.to_bytes(4) if isinstance(path_id, int) else Ip.parse(path_id)
    except (ValueError, OverflowError, AttributeError, TypeError):
        octets = b""
    if len(octets) != 4:
        raise RouteError("its path identifier is not a 32-bit number")
    return octets


def _pack(nlri: dict[str, Any]) -> bytes:
    """Make the octets from ExaBGP's fields. A second label is not among them, and RDs of types 0 and 2 print alike."""
    try:
        value = _pack_value(nlri)
        return bytes((nlri["code"], len(value))) + value
    except KeyError as error:
        raise RouteError(f"it has neither octets nor the field {error}") from None
    except (ValueError, TypeError, AttributeError, OverflowError, LookupError) as error:
        raise RouteError(f"its fields make no NLRI: {error}") from None


def _pack_value(nlri: dict[str, Any]) -> bytes:
    """Make the octets of an NLRI from the words in which ExaBGP shows it."""
    code = nlri["code"]
    if code not in (ead.CODE, mac_ip.CODE, imet.CODE, segment.CODE, prefix.CODE):
        return b""  # to be passed over
    rd = RouteDistinguisher.parse(nlri["rd"])
    if code == imet.CODE:
        return rd + _pack_tag(nlri) + _pack_ip(nlri["ip"])
    esi = NO_SEGMENT if nlri.get("esi", "-") == "-" else Esi.parse(nlri["esi"])
    if code == segment.CODE:
        return rd + esi + _pack_ip(nlri["ip"])
    if code == ead.CODE:
        return rd + esi + _pack_tag(nlri) + _pack_labels(nlri)
    if code == mac_ip.CODE:
        mac = b"\x30" + Mac.parse(nlri["mac"])
        return rd + esi + _pack_tag(nlri) + mac + _pack_ip(nlri.get("ip")) + _pack_labels(nlri)
    network = Ip.parse(nlri["ip"])
    gateway = Ip.parse(nlri["gateway"]) if nlri.get("gateway") else bytes(len(network))
    return rd + esi + _pack_tag(nlri) + bytes((nlri["iplen"],)) + network + gateway + _pack_labels(nlri)


def _pack_tag(nlri: dict[str, Any]) -> bytes:
    tag: int = nlri["ethernet-tag"]
    return tag.to_bytes(4)


def _pack_ip(text: Any) -> bytes:
    ip = Ip.parse(text) if text else b""
    return bytes((8 * len(ip),)) + ip


def _pack_labels(nlri: dict[str, Any]) -> bytes:
    """`[[label20, raw24]]`, where a label of zero is `[[0]]`; a withdraw may have none, which is zero as well."""
    labels = nlri.get("label") or [[0]]
    return b"".join((label[1] if len(label) > 1 else label[0] << 4).to_bytes(3) for label in labels)
