"""Which of our VNIs a route concerns, and whether it may win there.

Each route is judged by itself. Other routes of the MAC do not matter here; those of its segment do, later, in `segment.py`.
Everything that does not depend on the MAC is one `ImportVerdict`, which is worked out once for all routes that share
attributes, label and tag.

A refusal is one of the codes of docs/reasons.md, in the order of that page: the first that applies is shown.

Which VNIs does a route concern, if VNI 100 imports its Route Target?

    label of the route   VNI 100 is            it concerns   because
    100                  plain or downstream   100           the label names a VNI of ours
    200, ours            plain                 200           the label decides, and 200 refuses it (`rt-mismatch`)
    200, ours            downstream            100 and 200   a downstream VNI takes any label by Route Target
    300, not ours        plain                 100           that VNI refuses it, and shows why (`vni-mismatch`)
    300, not ours        downstream            100           frames are sent with VNI 300

A route that no VNI imports, and whose label is not ours, has one result with its own label as the VNI (`unknown-vni`).
"""

from msgspec import Struct

from vtep.addr import MAX_ESI, Ip, Mac, Vni
from vtep.config.model import VniConfig
from vtep.evpn.attributes import ENCAP_VXLAN, Attributes
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.offers import Path
from vtep.intent import Direct
from vtep.projection.policy import Policy, is_wildcard_only


class ImportResult(Struct, frozen=True, gc=False):
    """A route as one of our VNIs sees it: usable, or refused with the reason."""

    route: Path
    vni: Vni
    """Ours, or the route's own where none of ours matched."""
    refusal: str
    """Why it may not win, as a code of docs/reasons.md; empty if it may."""
    notes: tuple[str, ...]
    """What is unusual about it and does not keep it from winning, such as `encap-default`."""


class ImportVerdict(Struct, frozen=True, gc=False):
    """What the attributes, the label and the tag of a route mean to one VNI."""

    vni: Vni
    refusal: str
    notes: tuple[str, ...]
    via: Direct
    """Where frames go: the VTEP, with the VNI of the label if that is another one than ours."""


def judge(route: Path, mac: Mac, policy: Policy) -> list[ImportResult]:
    """Return one result for each VNI that the route of this MAC concerns; at least one."""
    found = verdicts(route, policy)
    more = ("reserved-esi",) if route.esi == MAX_ESI else ()
    # A bad MAC is checked first, a MAC of our own last.
    bad, own = ("", "") if is_like_others(mac, policy) else ("", "self-mac") if mac.is_usable else ("bad-mac", "")
    return [ImportResult(route, one.vni, bad or one.refusal or own, one.notes + more) for one in found]


def is_like_others(mac: Mac, policy: Policy) -> bool:
    """Return whether it makes no difference to `judge` which MAC it is."""
    return mac.is_usable and mac not in policy.own_macs


def verdicts(route: MacIp | Path, policy: Policy) -> tuple[ImportVerdict, ...]:
    """Return what `may_import` says of a route, from memory where possible.

    The question has all that the answer depends on, and not the sequence number, which MACs have of their own.
    """
    of = route.attributes
    has_several = of.mobility_count > 1
    question = (of.next_hop, of.targets, of.encapsulations, of.sites, has_several, route.label, route.tag)
    known: tuple[ImportVerdict, ...] | None = policy.verdicts.get(question)
    if known is None:
        known = may_import(of, of.next_hop, route.label, route.tag, policy)
        policy.verdicts.put(question, known, len(of.targets) + len(of.sites) + len(of.encapsulations))
    return known


def may_import(attributes: Attributes, toward: Ip, label: int, tag: int, policy: Policy) -> tuple[ImportVerdict, ...]:
    """Return what a route means to each VNI that it concerns, if frames for it go to the address `toward`.

    Whatever it reads of the attributes must be in the question of `verdicts`.
    """
    refusal = _unusable_anywhere(attributes, toward, label, policy)
    imported = policy.imports(attributes.targets)
    vnis = _concerned(label, policy, imported)
    if not vnis:
        via = Direct(toward)
        return (ImportVerdict(Vni(label), refusal or "unknown-vni", _notes(attributes, None), via),)
    return tuple(
        ImportVerdict(
            vni.vni,
            refusal or _refused_here(attributes, toward, label, tag, vni, vni.vni in imported),
            _notes(attributes, vni if vni.vni in imported else None),
            Direct(toward, Vni(label) if label not in (0, vni.vni) else None),
        )
        for vni in (policy.vnis[number] for number in vnis)
    )


def _unusable_anywhere(attributes: Attributes, toward: Ip, label: int, policy: Policy) -> str:
    if label == 0 and not policy.trusts_targets:
        return "bad-vni"
    if reason := policy.refused_next_hop(toward):
        return reason
    # Without the community, the encapsulation is the one that both sides were configured for (RFC 8365 5.1.3).
    if attributes.encapsulations and ENCAP_VXLAN not in attributes.encapsulations:
        return "encap"
    return ""


def _concerned(label: int, policy: Policy, imported: frozenset[Vni]) -> tuple[int, ...]:
    """Return the VNI of the label and those that take any label by Route Target; if none, those whose Route Target it has."""
    if not policy.downstream:
        return (label,) if label in policy.vnis else tuple(sorted(imported))
    vnis = {vni for vni in imported if vni in policy.downstream}
    if label in policy.vnis:
        vnis.add(Vni(label))
    return tuple(sorted(vnis or imported))


def _refused_here(attributes: Attributes, toward: Ip, label: int, tag: int, vni: VniConfig, imported: bool) -> str:
    if not attributes.targets:
        return "rt-missing"
    if not imported:
        return "rt-mismatch"
    if label not in (0, vni.vni) and not vni.downstream_vni:
        return "vni-mismatch"
    if tag != vni.tag:
        return "tag-mismatch"
    if vni.site is not None and vni.site in attributes.sites:
        return "soo"
    # A VXLAN device takes rows of its own address family only (EAFNOSUPPORT, drivers/net/vxlan: vxlan_fdb_add).
    return "" if vni.reaches(toward) else "family-mismatch"


def _notes(attributes: Attributes, vni: VniConfig | None) -> tuple[str, ...]:
    notes = []
    if not attributes.encapsulations:
        notes.append("encap-default")
    if attributes.mobility_count > 1:
        notes.append("first-mm")
    if vni is not None and attributes.targets and is_wildcard_only(vni.imports, attributes.targets):
        notes.append("rt-wildcard")
    return tuple(notes)
