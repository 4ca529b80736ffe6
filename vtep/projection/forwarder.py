"""The projector of the forwarder table: the designated forwarder of each Ethernet segment of ours.

There is one election for each VNI, and every VTEP of the segment computes the same result:

    agree    all ask for one algorithm with the same capabilities; otherwise the default is used (RFC 8584 2.2)
    default  number V mod N of the N VTEPs by rising address, where V is the VNI (RFC 7432 8.5; RFC 9785 2 allows a VNI)
    weight   the highest random weight, made from V, the segment and the address (RFC 8584 3.2): the forwarder changes only
             when it leaves, or when a VTEP with a higher weight comes
    by preference (RFC 9785 4.1), where all ask for the highest, or all for the lowest:
      1      the preference decides
      2      Don't Preempt beats its absence; the VTEPs need not agree on that (4.3)
      3      the lower address wins, IPv4 before IPv6

The candidates are the originators of the segment's Type-4 routes (RFC 7432 8.5), and this leaf while its port forwards. If all agree,
and ask for AC-DF, those without a Type-1 route for the VNI do not stand for election in it (RFC 8584 4.1). The default has no AC-DF.

Example: 10.0.0.1, 10.0.0.2 and 10.0.0.3 are on the segment, and all use the default. Their numbers are 0, 1 and 2.

    VNI 99    99 mod 3 = 0      10.0.0.1
    VNI 100   100 mod 3 = 1     10.0.0.2
    VNI 101   101 mod 3 = 2     10.0.0.3

If 10.0.0.3 leaves, 99 mod 2 = 1 gives VNI 99 to 10.0.0.2, although its forwarder is still there. The random weight
moves only the VNIs of the VTEP that left.

The topic is a segment. This module does not know any MAC, and it does not wait: the part that applies the result must
wait for the other VTEPs' routes before it forwards.
"""

from collections.abc import Iterable
from typing import Final
from zlib import crc32

from msgspec import Struct, structs

from vtep.addr import NO_SEGMENT, Esi, Ip, Vni
from vtep.config.model import SegmentConfig, VniConfig
from vtep.evpn.attributes import Election
from vtep.evpn.rib import Rib
from vtep.evpn.segment import Segment
from vtep.intent import Forwarder, Intent, Rival
from vtep.projection.policy import Policy
from vtep.projection.projector import Inputs
from vtep.projection.segment import refused

_ALGORITHMS: Final = {"modulo": 0, "highest-random-weight": 1, "highest-preference": 2, "lowest-preference": 3}
"""The configuration's names for the numbers of RFC 8584 3 and RFC 9785 3."""
_MODULO, _WEIGHT, _HIGHEST, _LOWEST = _ALGORITHMS.values()
_DONT_PREEMPT: Final = 0x8000
_AC_DF: Final = 0x4000
"""The capabilities of RFC 8584 2.2 and RFC 9785 3, as bits of 16."""
_DEFAULT: Final = Election()


class Member(Struct, frozen=True, gc=False):
    """A candidate of the election, with what it asks for."""

    vtep: Ip
    election: Election = _DEFAULT

    @property
    def terms(self) -> tuple[int, int]:
        """Return what all must agree on: the algorithm, and the capabilities except Don't Preempt."""
        return self.election.algorithm, self.election.capabilities & ~_DONT_PREEMPT

    @property
    def dont_preempt(self) -> bool:
        return bool(self.election.capabilities & _DONT_PREEMPT)


def project_forwarders(intent: Intent, inputs: Inputs) -> tuple[Intent, bool]:
    """Return the intent with the forwarders of what changed, and whether that changed its meaning."""
    rib, policy = inputs.rib, inputs.policy
    concerned = {*inputs.changed.segments, *(esi for esi, _, _ in inputs.changed.evis if _asks_for_ac_df(esi, policy))}
    todo = {esi for esi in concerned if esi in policy.contested or esi in intent.forwarders}
    if len(intent.forwarders) < len(policy.contested):
        todo |= policy.contested  # at the start: a segment without other VTEPs has no route that changes
    rows: dict[Esi, tuple[Forwarder, ...] | None] = {}
    moved = False
    for esi in todo:
        found = judge_segment(policy.segments[esi], rib, policy) if esi in policy.contested else ()
        moved |= {row.key for row in intent.forwarders.get(esi, ())} != {row.key for row in found}
        rows[esi] = found or None
    return structs.replace(intent, forwarders=intent.forwarders.changed(rows)) if rows else intent, moved


def _asks_for_ac_df(esi: Esi, policy: Policy) -> bool:
    return esi in policy.segments and policy.segments[esi].ac_df


def judge_segment(segment: SegmentConfig, rib: Rib, policy: Policy) -> tuple[Forwarder, ...]:
    """Return the forwarder of each VNI on a segment where this leaf is a candidate."""
    us = Member(segment.vtep, requested(segment))
    members = [us, *_others(rib.index.members_of(segment.esi), policy)]
    vnis = sorted(policy.vnis)
    _, capabilities = _agreed(members)
    if not capabilities & _AC_DF:
        return tuple(_forwarder(segment, Vni(vni), members) for vni in vnis)
    with_vni = {vni: _with_vni(segment.esi, policy.vnis[vni], rib, policy) for vni in vnis}
    return tuple(
        _forwarder(segment, Vni(vni), [us, *(one for one in members[1:] if one.vtep in with_vni[vni])]) for vni in vnis
    )


def requested(segment: SegmentConfig) -> Election:
    """Return what this leaf asks for, in its own election and in its Type-4 route."""
    capabilities = (_DONT_PREEMPT if segment.dont_preempt else 0) | (_AC_DF if segment.ac_df else 0)
    return Election(_ALGORITHMS[segment.algorithm], capabilities, segment.preference)


def _with_vni(segment: Esi, vni: VniConfig, rib: Rib, policy: Policy) -> set[Ip]:
    """Return the VTEPs that have a VNI on the segment, by their Type-1 routes per EVI (RFC 8584 4.1)."""
    return {
        ad.attributes.next_hop for ad in rib.index.ads_at(segment, vni.tag, vni.vni) if not refused(ad, policy, vni)
    }


def weight(vni: int, segment: Esi, vtep: Ip) -> int:
    """Return the random weight of a VTEP (RFC 8584 3.2, unverified), of 31 bits."""
    digest = crc32(vni.to_bytes(4) + segment) & 0x7FFF_FFFF
    return (1103515245 * ((1103515245 * int.from_bytes(vtep) + 12345) ^ digest) + 12345) % (1 << 31)


def elect(
    members: Iterable[Member], vni: int, segment: Esi = NO_SEGMENT
) -> tuple[Member, str, list[tuple[Member, str]]]:
    """Return the forwarder, why it was elected, and each other one with the rule by which it lost."""
    result = sorted(members, key=lambda member: member.vtep.order)
    algorithm, _ = _agreed(result)
    if algorithm == _MODULO:
        winner = result[vni % len(result)]
    elif algorithm == _WEIGHT:
        winner = max(result, key=lambda member: weight(vni, segment, member.vtep))  # of equal ones the lower address
    else:
        sign = -1 if algorithm == _HIGHEST else 1
        winner = min(result, key=lambda member: (sign * member.election.preference, not member.dont_preempt))
    losers = [(member, _rule(algorithm, winner, member)) for member in result if member is not winner]
    return winner, _decisive([reason for _, reason in losers]), losers


def _agreed(members: Iterable[Member]) -> tuple[int, int]:
    """Return the algorithm and the capabilities that all ask for; the default, which has none, if they disagree or ask for others."""
    terms = {member.terms for member in members}
    algorithm, capabilities = terms.pop()
    if terms or algorithm not in _ALGORITHMS.values() or capabilities not in (0, _AC_DF):
        return _MODULO, 0
    return algorithm, capabilities


def _rule(algorithm: int, winner: Member, loser: Member) -> str:
    if algorithm == _MODULO:
        return "modulo"
    if algorithm == _WEIGHT:
        return "random-weight"
    if winner.election.preference != loser.election.preference:
        return "preference"
    return "dont-preempt" if winner.dont_preempt != loser.dont_preempt else "lower-vtep"


def _decisive(reasons: list[str]) -> str:
    """Return the rule by which the winner beat its nearest rival."""
    order = ("lower-vtep", "dont-preempt", "preference", "random-weight", "modulo")
    return min(reasons, key=order.index, default="only-member")


def _others(routes: Iterable[Segment], policy: Policy) -> list[Member]:
    """Return one candidate for each originator. Of several routes the first in a fixed order counts, not the first to arrive."""
    found: dict[Ip, Member] = {}
    for route in sorted(routes, key=lambda route: (route.rd, route.peer.order)):
        if not policy.refused_next_hop(route.originator):
            found.setdefault(route.originator, Member(route.originator, route.attributes.election or _DEFAULT))
    return list(found.values())


def _forwarder(segment: SegmentConfig, vni: Vni, members: list[Member]) -> Forwarder:
    winner, reason, losers = elect(members, vni, segment.esi)
    disagree = len({member.terms for member in members}) > 1
    return Forwarder(
        segment=segment.esi,
        vni=vni,
        vtep=winner.vtep,
        ours=winner is members[0],
        reason=reason,
        rivals=tuple(Rival(member.vtep, rule) for member, rule in losers),
        notes=("election-default",) if disagree else (),
    )
