"""The run of sound UPDATEs at the head of what a peer has sent: what may be taken off its socket without ExaBGP reading it.

    octets  [ UPDATE | UPDATE | UPDATE | KEEPALIVE | UPDATE … ]
              └─────── the run ────────┘            everything behind it is left for ExaBGP, and looked at again later

An UPDATE is in the run if ExaBGP and `vtep.evpn.update` would both read the same routes from it: a sound header, EVPN alone,
lengths that fit into each other, and path attributes in which RFC 7606 finds nothing wrong (`malformed`). Whatever else is
there ends the run, so that ExaBGP's own code sees it: another kind of message, half a message, another family, an error.

Path attributes are few and routes are many. So an UPDATE that has the octets of the one before it, NLRIs apart, is as sound as that
one was (`_Like`), and the verdict on any attributes is kept by their octets. This module is pure and knows nothing of ExaBGP
or of sockets.
"""

from functools import lru_cache
from typing import Final, NamedTuple

from vtep.evpn.bgp import EVPN, HEADER, MARKER, SMALLEST_UPDATE, UPDATE
from vtep.feed.exabgp import malformed

PIECE: Final = 8 << 10
"""Octets of UPDATEs in one line: what the daemon decodes and judges without a pause."""

_OPTIONAL: Final = 0x80
_EXTENDED_LENGTH: Final = 0x10
_CACHED_OCTETS_MAX: Final = 512


_ANY_NLRI: Final = b"\xff\0"
"""The shortest NLRI that there is: a type that no one uses, without a value. It stands for those of an UPDATE."""


class Run(NamedTuple):
    """Where the pieces of a run end, and how many messages it has."""

    ends: tuple[int, ...]
    """The offset behind each piece, in rising order. Empty: the first message is already one for ExaBGP."""
    messages: int


class Session(NamedTuple):
    """What the session with the peer negotiated, as far as it decides what an UPDATE may look like."""

    size_max: int
    """Octets of a message: 4,096, or 65,535 with extended messages (RFC 8654)."""
    internal: bool
    """The peer is of our own AS. From any other peer, LOCAL_PREF and what reflectors add are left out (RFC 7606 7)."""
    four_octet_as: bool
    """Both sides offered AS numbers of four octets (RFC 6793), so those in AS_PATH have that size."""


class _Like(NamedTuple):
    """A sound UPDATE but for its NLRIs, as octets that can be compared."""

    before: bytes
    """The attributes before the one with the NLRIs."""
    mark: bytes
    """The flags and the code of that one."""
    head: bytes
    """Its value up to the NLRIs: the family, and the next hop of an announcement."""
    behind: bytes
    """The attributes behind it."""

    def fits(self, octets: bytes, start: int, end: int) -> bool:
        """Tell whether an UPDATE differs from this one in whole NLRIs alone."""
        at = start + SMALLEST_UPDATE
        if octets[at - 4 : at - 2] != b"\0\0" or at + (octets[at - 2] << 8) + octets[at - 1] != end:
            return False
        if not octets.startswith(self.before, at):
            return False
        at += len(self.before)
        after = end - len(self.behind)
        if at + 4 > after or not octets.startswith(self.mark, at) or octets[after:end] != self.behind:
            return False
        if self.mark[0] & _EXTENDED_LENGTH:
            at, size = at + 4, (octets[at + 2] << 8) + octets[at + 3]
        else:
            at, size = at + 3, octets[at + 2]
        if at + size != after or not octets.startswith(self.head, at):
            return False
        nlris = at + len(self.head)
        return nlris < after and _are_whole(octets, nlris, after)


_UNLIKE: Final = _Like(b"", b"\0\0", b"", b"")
"""No sound UPDATE is like this."""


def find_run(octets: bytes, session: Session) -> Run:
    """Return the run at the head of these octets; it may be empty."""
    ends = []
    like = _UNLIKE
    at = start = messages = 0
    while len(octets) - at >= SMALLEST_UPDATE:
        end = at + (octets[at + 16] << 8) + octets[at + 17]
        if end > len(octets) or not SMALLEST_UPDATE <= end - at <= session.size_max:
            break
        if octets[at + 18] != UPDATE or not octets.startswith(MARKER, at):
            break
        if not like.fits(octets, at, end):
            sound = _examine(octets, at, end, session)
            if sound is None:
                break
            like = sound
        if end - start > PIECE and at > start:
            ends.append(at)
            start = at
        at = end
        messages += 1
    if at > start:
        ends.append(at)
    return Run(tuple(ends), messages)


def _examine(octets: bytes, start: int, end: int, session: Session) -> _Like | None:
    """Return what is like an UPDATE that is about EVPN alone, with everything in its place; None: it is not sound."""
    at = start + SMALLEST_UPDATE
    if octets[start + HEADER : start + HEADER + 2] != b"\0\0" or at + int.from_bytes(octets[at - 2 : at]) != end:
        return None
    like = _UNLIKE
    first = at
    others = []
    kept = at
    parts = set[int]()
    while at < end:
        head = 4 if octets[at] & _EXTENDED_LENGTH else 3
        after = at + head + int.from_bytes(octets[at + 2 : at + head])
        if at + head > end or after > end:
            return None
        code = octets[at + 1]
        if code in (malformed.MP_REACH, malformed.MP_UNREACH):
            if code in parts or octets[at] & ~_EXTENDED_LENGTH != _OPTIONAL or not _is_family(octets, at + head, after):
                return None
            announces = code == malformed.MP_REACH
            nlris = _nlris_at(octets, at + head, after) if announces else at + head + 3
            if not _are_whole(octets, nlris, after) or (announces and nlris == after):
                return None
            parts.add(code)
            like = _Like(octets[first:at], octets[at : at + 2], octets[at + head : nlris], octets[after:end])
            others.append(octets[kept:at])
            kept = after
        at = after
    others.append(octets[kept:end])
    if not parts or not _are_right(b"".join(others), malformed.MP_REACH in parts, session):
        return None
    return like if len(parts) == 1 else _UNLIKE


def _is_family(octets: bytes, at: int, end: int) -> bool:
    return end - at >= len(EVPN) and octets[at : at + 3] == EVPN


def _nlris_at(octets: bytes, at: int, end: int) -> int:
    """Return where the NLRIs of MP_REACH_NLRI begin; behind the end if the next hop is not one of EVPN."""
    known = end - at > 4 and octets[at + 3] in malformed.NEXT_HOP_LENGTHS
    return at + 5 + octets[at + 3] if known else end + 1


def _are_whole(octets: bytes, at: int, end: int) -> bool:
    """Tell whether NLRIs fill their field. What is in each of them is the daemon's to judge (RFC 7606 5.4)."""
    while at + 2 <= end:
        at += 2 + octets[at + 1]
    return at == end


def _are_right(others: bytes, announces: bool, session: Session) -> bool:
    """Tell whether RFC 7606 finds nothing wrong with the attributes beside the NLRIs."""
    judge = _judged if len(others) <= _CACHED_OCTETS_MAX else _judged.__wrapped__
    return judge(others, announces, session.internal, session.four_octet_as)


@lru_cache(maxsize=4096)
def _judged(others: bytes, announces: bool, internal: bool, four_octet_as: bool) -> bool:
    routes = malformed.MP_REACH if announces else malformed.MP_UNREACH
    value = EVPN + (b"\x04\0\0\0\0\0" if announces else b"") + _ANY_NLRI
    block = bytes((_OPTIONAL, routes, len(value))) + value + others
    body = b"\0\0" + len(block).to_bytes(2) + block
    return malformed.revise(body, internal=internal, four_octet_as=four_octet_as).body == body
