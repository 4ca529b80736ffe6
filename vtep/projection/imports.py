"""Which VNIs of ours a Type-2 route concerns, and whether it may win there.

Each route is judged by itself: no other route of the MAC matters, but for the segment's own (`segments`). All that does
not depend on the MAC is one `ImportVerdict`, found once for all routes that share attributes, label and tag. The refusals
are the codes of docs/reasons.md, and the first that applies, in their order, is the one told.
"""

from collections.abc import Iterator

from msgspec import Struct

from vtep.addr import MAX_ESI, Ip, Vni
from vtep.config.model import VniConfig
from vtep.evpn.attributes import ENCAP_VXLAN, Attributes
from vtep.evpn.mac_ip import MacIp
from vtep.intent import Direct
from vtep.projection.policy import Policy, is_wildcard_only


class ImportResult(Struct, frozen=True, gc=False):
    """A route before one of our VNIs: usable there, or refused with the reason."""

    route: MacIp
    vni: Vni
    """Ours, or the route's own where none of ours matched."""
    refusal: str
    notes: tuple[str, ...]


class ImportVerdict(Struct, frozen=True, gc=False):
    """What the attributes, the label and the tag of a route mean to one VNI."""

    vni: Vni
    refusal: str
    notes: tuple[str, ...]
    via: Direct


def judge(route: MacIp, policy: Policy) -> Iterator[ImportResult]:
    """Yield one standing for each VNI that the route concerns; at least one."""
    for verdict in verdicts(route, policy):
        notes = (*verdict.notes, "reserved-esi") if route.esi == MAX_ESI else verdict.notes
        yield ImportResult(route, verdict.vni, refusal(route, verdict, policy), notes)


def refusal(route: MacIp, verdict: ImportVerdict, policy: Policy) -> str:
    """Return why the route may not win, or nothing; a bad MAC is told first, one of our own last."""
    if not route.mac.is_usable:
        return "bad-mac"
    if verdict.refusal:
        return verdict.refusal
    return "self-mac" if route.mac in policy.own_macs else ""


def verdicts(route: MacIp, policy: Policy) -> tuple[ImportVerdict, ...]:
    """Remembered by the attributes' identity, which stays theirs because they are kept beside the answer."""
    attributes = route.attributes
    question = (id(attributes), route.label, route.tag)
    known = policy.verdicts.get(question)
    if known is None:
        known = (attributes, may_import(attributes, attributes.next_hop, route.label, route.tag, policy))
        policy.verdicts.put(question, known)
    found: tuple[ImportVerdict, ...] = known[1]
    return found


def may_import(attributes: Attributes, toward: Ip, label: int, tag: int, policy: Policy) -> tuple[ImportVerdict, ...]:
    """Return what a route that sends frames toward this address means to each VNI it concerns."""
    refusal = _unusable_anywhere(attributes, toward, label, policy)
    imported = policy.imports(attributes.targets)
    vnis = _concerned(label, policy, imported)
    if not vnis:
        via = Direct(toward)
        return (ImportVerdict(Vni(label), refusal or "unknown-vni", _notes(attributes, None), via),)
    return tuple(
        ImportVerdict(
            vni.vni,
            refusal or _refused_here(attributes, label, tag, vni, vni.vni in imported),
            _notes(attributes, vni if vni.vni in imported else None),
            Direct(toward, Vni(label) if label != vni.vni else None),
        )
        for vni in (policy.vnis[number] for number in vnis)
    )


def _unusable_anywhere(attributes: Attributes, toward: Ip, label: int, policy: Policy) -> str:
    if label == 0:
        return "bad-vni"
    if reason := policy.refused_next_hop(toward):
        return reason
    # Without the community the encapsulation is what both sides were configured for (RFC 8365 5.1.3).
    if attributes.encapsulations and ENCAP_VXLAN not in attributes.encapsulations:
        return "encap"
    return ""


def _concerned(label: int, policy: Policy, imported: frozenset[Vni]) -> tuple[int, ...]:
    """The VNI of its label, those that take any label by Route Target, or else those whose Route Target it carries."""
    if not policy.downstream:
        return (label,) if label in policy.vnis else tuple(sorted(imported))
    vnis = {vni for vni in imported if vni in policy.downstream}
    if label in policy.vnis:
        vnis.add(Vni(label))
    return tuple(sorted(vnis or imported))


def _refused_here(attributes: Attributes, label: int, tag: int, vni: VniConfig, imported: bool) -> str:
    if not attributes.targets:
        return "rt-missing"
    if not imported:
        return "rt-mismatch"
    if label != vni.vni and not vni.downstream_vni:
        return "vni-mismatch"
    if tag != vni.tag:
        return "tag-mismatch"
    if vni.site is not None and vni.site in attributes.sites:
        return "soo"
    return ""


def _notes(attributes: Attributes, vni: VniConfig | None) -> tuple[str, ...]:
    notes = []
    if not attributes.encapsulations:
        notes.append("encap-default")
    if attributes.mobility_count > 1:
        notes.append("first-mm")
    if vni is not None and attributes.targets and is_wildcard_only(vni.imports, attributes.targets):
        notes.append("rt-wildcard")
    return tuple(notes)
