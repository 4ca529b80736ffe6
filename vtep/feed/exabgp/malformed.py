"""Malformed UPDATEs, made harmless as RFC 7606 says: octets in, and octets out that ExaBGP reads without ending the session.

ExaBGP ends the session for many errors for which RFC 7606 has a smaller answer. One bad route of one peer then takes all
routes of that peer, and takes them again each time a reflector sends the bad route. `vtep exabgp` therefore has `revise` look
at each UPDATE before ExaBGP decodes it. The answers of RFC 7606, from the smallest:

    discard     the attribute is left out                      ATOMIC_AGGREGATE, AGGREGATOR, a second one of a kind, …
    withdraw    every route of the UPDATE counts as withdrawn  most lengths, flags, a missing ORIGIN or AS_PATH, …
    reset       the session ends                               where the routes cannot be found in the octets

`revise` does the first two by changing the octets. For the third it changes nothing, and ExaBGP ends the session itself: when
the lengths of the UPDATE contradict each other, MP_REACH_NLRI comes twice, or the length of its next hop is wrong
(RFC 7606 sections 3, 5.3 and 7.11).

A malformed EVPN NLRI within a whole NLRI field is another matter, because its own length says where the next one begins
(RFC 7606 section 5.4). `is_regular` finds it; it is then passed on as octets, and the daemon lists it as a bad NLRI.

     0                2                                  the body of an UPDATE, behind its header (RFC 4271 4.3)
    +----------------+------------------+---------------+-----------------+---------------+
    | length of the  | withdrawn routes | length of the | path attributes | announced     |
    | withdrawn (2)  | (IPv4)           | attributes (2)|                 | routes (IPv4) |
    +----------------+------------------+---------------+-----------------+---------------+

Example: an UPDATE announces 100 EVPN routes, and its ORIGIN has two octets. `revise` returns a body whose only
attribute is MP_UNREACH_NLRI with the same 100 NLRIs, and the problem `ORIGIN has the malformed value 0x…`.

This module is pure and knows nothing of ExaBGP. Besides the standard library it imports numbers alone, since it runs inside ExaBGP's process.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from vtep.evpn.bgp import EVPN

ORIGIN, AS_PATH, NEXT_HOP, LOCAL_PREF = 1, 2, 3, 5
ORIGINATOR_ID, CLUSTER_LIST = 9, 10
MP_REACH, MP_UNREACH = 14, 15
PMSI: Final = 22

OPTIONAL: Final = 0x80
TRANSITIVE: Final = 0x40
EXTENDED_LENGTH: Final = 0x10
INGRESS_REPLICATION: Final = 6  # RFC 6514 5

NEXT_HOP_LENGTHS: Final = (4, 16, 32)
"""Of EVPN: an IPv4 or an IPv6 address, or a global one with a link-local one (RFC 2545 section 3)."""

_MP_REACH_HEAD: Final = 5  # AFI, SAFI, length of the next hop, and the reserved octet behind it
_MP_UNREACH_HEAD: Final = 3


class Revised(NamedTuple):
    """An UPDATE that ExaBGP may read."""

    body: bytes
    problems: tuple[str, ...] = ()
    """What was wrong with it; nothing for an UPDATE that was left as it is."""
    withdraws: bool = False
    """All its routes count as withdrawn."""


class _Attribute(NamedTuple):
    flags: int
    code: int
    value: bytes

    @property
    def octets(self) -> bytes:
        if len(self.value) > 0xFF:
            return bytes((self.flags | EXTENDED_LENGTH, self.code)) + len(self.value).to_bytes(2) + self.value
        return bytes((self.flags & ~EXTENDED_LENGTH, self.code, len(self.value))) + self.value


class _Rule(NamedTuple):
    """What RFC 7606 section 7 says of one attribute."""

    name: str
    flags: int
    """The optional and the transitive bit that it must have."""
    is_valid: Callable[[bytes], bool]
    discards: bool = False
    """A malformed one is left out; otherwise it makes the UPDATE a withdraw."""
    internal_only: bool = False
    """From an external peer it is left out, whatever its value."""


def revise(body: bytes, *, internal: bool, four_octet_as: bool = True) -> Revised:
    """Return an UPDATE's body as ExaBGP may read it; `internal` tells whether the peer is of our own AS."""
    parts = _split(body)
    if parts is None:
        return Revised(body)
    withdrawn, block, announced = parts
    found, is_whole = _attributes(block)
    problems = [] if is_whole else ["the attributes end within one of them"]
    withdraws = not is_whole
    kept: dict[int, _Attribute] = {}
    for attribute in found:
        if attribute.code in kept:
            if attribute.code in (MP_REACH, MP_UNREACH):
                return Revised(body)
            problems.append(f"{_name(attribute.code)} comes twice")
            continue
        problem, discards = _judge(attribute, internal=internal, four_octet_as=four_octet_as)
        if problem:
            problems.append(problem)
            withdraws = withdraws or not discards
        if not (problem and discards):
            kept[attribute.code] = attribute
    if MP_REACH in kept or announced:
        missing = [name for code, name in ((ORIGIN, "ORIGIN"), (AS_PATH, "AS_PATH")) if code not in kept]
        problems += [f"{name} is missing" for name in missing]
        withdraws = withdraws or bool(missing)
    if MP_REACH in kept and _has_no_routes(kept[MP_REACH].value):
        problems.append("MP_REACH_NLRI has no routes")
        withdraws = True
    if not problems:
        return Revised(body)
    if withdraws:
        revised = _as_withdraw(withdrawn, kept, announced)
        return Revised(body) if revised is None else Revised(revised, tuple(problems), withdraws=True)
    return Revised(_joined(withdrawn, [one.octets for one in kept.values()], announced), tuple(problems))


def is_regular(code: int, value: bytes) -> bool:
    """Tell whether an EVPN NLRI has the lengths of its route type; of an unknown type every length is regular."""
    check = _NLRI_LENGTHS.get(code)
    return check is None or check(value)


# The UPDATE


def _split(body: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Return the withdrawn routes, the attributes and the announced routes, or nothing if the lengths do not fit."""
    at = 2 + int.from_bytes(body[:2])
    if len(body) < at + 2:
        return None
    end = at + 2 + int.from_bytes(body[at : at + 2])
    if len(body) < end:
        return None
    return body[2:at], body[at + 2 : end], body[end:]


def _joined(withdrawn: bytes, attributes: list[bytes], announced: bytes = b"") -> bytes:
    block = b"".join(attributes)
    return len(withdrawn).to_bytes(2) + withdrawn + len(block).to_bytes(2) + block + announced


def _attributes(block: bytes) -> tuple[list[_Attribute], bool]:
    """Return the attributes, and whether the block ends where the last one does (RFC 7606 section 4)."""
    found: list[_Attribute] = []
    at = 0
    while at < len(block):
        head = 4 if block[at] & EXTENDED_LENGTH else 3
        if at + head > len(block):
            return found, False
        end = at + head + int.from_bytes(block[at + 2 : at + head])
        if end > len(block):
            return found, False
        found.append(_Attribute(block[at], block[at + 1], block[at + head : end]))
        at = end
    return found, True


def _judge(attribute: _Attribute, *, internal: bool, four_octet_as: bool) -> tuple[str, bool]:
    """Return what is wrong with an attribute, if anything is, and whether leaving it out is enough."""
    rule = _RULES.get(attribute.code)
    if rule is None:
        return "", False
    if rule.internal_only and not internal:
        return f"{rule.name} comes from an external peer", True
    if attribute.flags & (OPTIONAL | TRANSITIVE) != rule.flags:
        return f"{rule.name} has the flags 0x{attribute.flags:02x}", rule.discards
    value = attribute.value
    if attribute.code == AS_PATH:
        is_valid = _is_path(value, 4 if four_octet_as else 2)
    elif attribute.code == _AGGREGATOR:
        is_valid = len(value) == (8 if four_octet_as else 6)
    else:
        is_valid = rule.is_valid(value)
    return ("" if is_valid else f"{rule.name} has the malformed value 0x{value[:32].hex()}"), rule.discards


def _as_withdraw(withdrawn: bytes, kept: dict[int, _Attribute], announced: bytes) -> bytes | None:
    """Return an UPDATE that withdraws all that this one announces or withdraws, or nothing where its routes are not found.

    An UPDATE has one MP_UNREACH_NLRI. In the odd one about two families the routes of EVPN count. A field without routes is
    left out, because alone it would be an End-of-RIB (RFC 4724 section 2).
    """
    gone: dict[bytes, bytes] = {}
    if (unreach := kept.get(MP_UNREACH)) is not None:
        if len(unreach.value) < _MP_UNREACH_HEAD:
            return None
        gone[unreach.value[:3]] = unreach.value[3:]
    if (reach := kept.get(MP_REACH)) is not None:
        value = reach.value
        start = _MP_REACH_HEAD + value[3] if len(value) >= _MP_REACH_HEAD else len(value) + 1
        if start > len(value) or (value[:3] == EVPN and value[3] not in NEXT_HOP_LENGTHS):
            return None
        gone[value[:3]] = gone.get(value[:3], b"") + value[start:]
    families = [EVPN] if gone.get(EVPN) else [family for family in gone if gone[family]][-1:]
    attributes = [_Attribute(OPTIONAL, MP_UNREACH, family + gone[family]).octets for family in families]
    return _joined(withdrawn + announced, attributes)


def _has_no_routes(reach: bytes) -> bool:
    return len(reach) >= _MP_REACH_HEAD and len(reach) == _MP_REACH_HEAD + reach[3]


def _name(code: int) -> str:
    rule = _RULES.get(code)
    return f"attribute {code}" if rule is None else rule.name


# The values


def _is_path(value: bytes, width: int) -> bool:
    """Tell whether this is an AS_PATH (RFC 7606 section 7.2): whole segments of a known type, none of them empty."""
    at = 0
    while at < len(value):
        if at + 2 > len(value) or value[at] not in (1, 2, 3, 4) or not value[at + 1]:
            return False
        at += 2 + width * value[at + 1]
    return at == len(value)


def _is_pmsi(value: bytes) -> bool:
    """Tell whether the endpoint of ingress replication can be read (RFC 6514 section 5); other tunnels are not ours to judge."""
    return len(value) >= 5 and (value[1] != INGRESS_REPLICATION or len(value) in (9, 21))


def _exactly(octets: int) -> Callable[[bytes], bool]:
    return lambda value: len(value) == octets


def _some(octets: int) -> Callable[[bytes], bool]:
    return lambda value: bool(value) and not len(value) % octets


def _anything(_: bytes) -> bool:
    return True


_AGGREGATOR: Final = 7
_BOTH: Final = OPTIONAL | TRANSITIVE
_RULES: Final = {
    ORIGIN: _Rule("ORIGIN", TRANSITIVE, lambda value: len(value) == 1 and value[0] <= 2),
    AS_PATH: _Rule("AS_PATH", TRANSITIVE, _anything),
    NEXT_HOP: _Rule("NEXT_HOP", TRANSITIVE, _exactly(4)),
    4: _Rule("MULTI_EXIT_DISC", OPTIONAL, _exactly(4)),
    LOCAL_PREF: _Rule("LOCAL_PREF", TRANSITIVE, _exactly(4), internal_only=True),
    6: _Rule("ATOMIC_AGGREGATE", TRANSITIVE, _exactly(0), discards=True),
    _AGGREGATOR: _Rule("AGGREGATOR", _BOTH, _anything, discards=True),
    8: _Rule("COMMUNITIES", _BOTH, _some(4)),
    ORIGINATOR_ID: _Rule("ORIGINATOR_ID", OPTIONAL, _exactly(4), internal_only=True),
    CLUSTER_LIST: _Rule("CLUSTER_LIST", OPTIONAL, _some(4), internal_only=True),
    MP_REACH: _Rule("MP_REACH_NLRI", OPTIONAL, _anything),
    MP_UNREACH: _Rule("MP_UNREACH_NLRI", OPTIONAL, _anything),
    16: _Rule("EXTENDED_COMMUNITIES", _BOTH, _some(8)),
    17: _Rule("AS4_PATH", _BOTH, lambda value: bool(value) and _is_path(value, 4), discards=True),  # RFC 6793 6
    18: _Rule("AS4_AGGREGATOR", _BOTH, _exactly(8), discards=True),
    PMSI: _Rule("PMSI_TUNNEL", _BOTH, _is_pmsi),
    25: _Rule("IPV6_EXTENDED_COMMUNITIES", _BOTH, _some(20)),
    32: _Rule("LARGE_COMMUNITY", _BOTH, _some(12)),  # RFC 8092 6
}


def _has_address(at: int, *extra: int) -> Callable[[bytes], bool]:
    """Tell whether the length of an address is there, fits it, and ends the value, with so much more behind it."""
    return lambda value: (
        len(value) > at and value[at] in (32, 128) and len(value) - at - 1 - value[at] // 8 in (extra or (0,))
    )


def _is_mac_ip(value: bytes) -> bool:
    """RFC 7432 section 7.2: a MAC of 48 bits, no address or one of 32 or 128, and one label or two."""
    return (
        len(value) > 29 and value[22] == 48 and value[29] in (0, 32, 128) and len(value) - 30 - value[29] // 8 in (3, 6)
    )


_NLRI_LENGTHS: Final[dict[int, Callable[[bytes], bool]]] = {
    1: _exactly(25),
    2: _is_mac_ip,
    3: _has_address(12),
    4: _has_address(18),
    5: lambda value: (len(value) == 34 and value[22] <= 32) or (len(value) == 58 and value[22] <= 128),
}
