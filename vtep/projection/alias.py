"""The projector of the groups: by which VTEPs the MACs of a segment are reached (aliasing, RFC 7432 8.4).

A row of a MAC on a segment names the group of its VNI and segment, and not a VTEP. This module says which VTEPs are in the group.
When a VTEP leaves the segment, one group for each VNI changes and no MAC does, so the traffic of 100,000 MACs moves at once
(fast convergence, RFC 7432 8.2).

    rows of MACs ──(group_uses)──┐
                                 ├──▶ group of (VNI, segment): members, backup ──▶ a nexthop for each VTEP
    Type-1 routes of the segment ┘

**Members.** A VTEP is one if its route per segment says that the segment is up there, and it has the VNI on it: it has a route
per EVI, or advertises a MAC of the segment in this VNI. In single-active mode only the primary VTEP is a member, so there is a
group for each primary; `Group` names it. When the segment goes down at the primary, its backup takes its place in the group.

    mode            group                        members                      backup
    all-active      (VNI, segment)               every VTEP that is one       none: the others are in the group already
    single-active   (VNI, segment, primary)      the primary                  the only other VTEP, if there is only one
     … segment      the same                     the backup                   none
       down there

**A group without members.** The MACs are judged again, and their rows leave, which takes a while for very many. Until then the group
keeps its last members, because the kernel would remove its rows without the knowledge of the reconciler.

**A segment of ours** has a group of its other VTEPs as well, the backup of our port (`BACKUP` in its key). It is there as long as there is
another VTEP: its rows are judged with it (`own_segment.py`), and not before.

**Identifiers** follow from what they are for (`identifier.py`). Each group has its own. A VTEP has one nexthop, and all groups share it.

The topics are a segment, a VNI of a segment, and what the rows need. This module does not know any MAC, and not what the kernel does with a group.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from msgspec import structs

from vtep.addr import Esi, Ip, Vni
from vtep.intent import (
    BACKUP,
    FDB_BACKUPS,
    FDB_GROUPS,
    FDB_SINGLES,
    FdbNexthop,
    GroupKey,
    Intent,
    Outside,
    SegmentGroup,
)
from vtep.projection.identifier import identifiers
from vtep.projection.projector import Inputs
from vtep.projection.segment import per_evi, per_segment, routes_of, sharing

MEMBERS_MAX: Final = 16
"""VTEPs in a group, the lowest addresses: the kernel warns of dumps with very large groups (CVE-2026-31531), and FRR takes 10."""
OUTSIDE_MAX: Final = 16
"""VTEPs that are named as not used."""


def project_groups(intent: Intent, inputs: Inputs) -> tuple[Intent, bool]:
    """Return the intent with the groups that changed, and whether that changed its meaning."""
    now = (*intent.touched_group_uses, *_backups(intent, inputs))
    todo, waiting = _share_of(inputs, now, (*intent.waiting_groups, *_of_routes(intent, inputs)))
    if not todo:
        return _untouched(intent), False
    draft = _Draft(intent, inputs)
    for key in todo:
        draft.judge(key)
    return draft.apply(waiting)


def _of_routes(intent: Intent, inputs: Inputs) -> Iterator[GroupKey]:
    """Yield the groups whose Type-1 routes changed."""
    for segment in inputs.changed.segments:
        yield from intent.groups_of.get(segment, ())
    for segment, vni in _evis(inputs):
        yield from _of_vni(intent.groups_of.get(segment, ()), vni)


def _evis(inputs: Inputs) -> Iterator[tuple[Esi, Vni]]:
    """Yield the segments and VNIs of this leaf whose Type-1 routes per EVI changed."""
    for segment, tag, label in inputs.changed.evis:
        configured = inputs.policy.vnis.get(label)
        if configured is not None and configured.tag == tag:
            yield segment, configured.vni


def _share_of(
    inputs: Inputs, used: Collection[GroupKey], routed: Collection[GroupKey]
) -> tuple[Collection[GroupKey], tuple[GroupKey, ...]]:
    """Return the groups to judge now, and those that wait.

    A group whose rows changed cannot wait, because a row that names a new group needs it. The MACs of a projection bound these,
    and the ports of this leaf bound its backups.
    """
    todo = dict.fromkeys(used)
    if not routed:
        return todo, ()
    waiting = [key for key in dict.fromkeys(routed) if key not in todo]
    room = len(waiting) if inputs.groups_max is None else max(inputs.groups_max - len(todo), inputs.groups_max // 4)
    todo.update(dict.fromkeys(waiting[:room]))
    return todo, tuple(waiting[room:])


def _backups(intent: Intent, inputs: Inputs) -> Iterator[GroupKey]:
    """Yield the groups of the others on segments of ours whose routes or ports changed."""
    for segment in inputs.changed.segments:
        state = inputs.policy.segment_states.get(segment)
        for vni, _ in () if state is None else state.ports:
            yield from _backup_of(intent, vni, segment)
    for segment, vni in _evis(inputs):
        yield from _backup_of(intent, vni, segment)


def _backup_of(intent: Intent, vni: Vni, segment: Esi) -> dict[GroupKey, None]:
    """Return the group of the others on a segment of ours, if MACs need it; it may not be there yet."""
    key = (vni, segment, BACKUP)
    return {key: None} if key in intent.group_uses else {}


def _of_vni(keys: tuple[GroupKey, ...], vni: int) -> tuple[GroupKey, ...]:
    """Return the groups of one VNI among those of a segment, which are in order."""
    return keys[bisect_left(keys, (vni,)) : bisect_left(keys, (vni + 1,))]


def _outside(
    named: Iterable[tuple[Ip, str]],
    used: Collection[Ip | None],
    cut: Collection[Ip],
    up: Collection[Ip],
    missing: str,
) -> tuple[Outside, ...]:
    """Return the VTEPs that name the segment in a Type-1 route and are not used, each with the first reason.

    `missing` is the reason if the segment is up there and nothing is wrong with the routes.
    """
    reasons: dict[Ip, str] = {}
    for vtep, why in named:
        if vtep in used or (vtep not in reasons and len(reasons) == OUTSIDE_MAX):
            continue
        if reason := "member-limit" if vtep in cut else why:
            reasons[vtep] = reason
        else:
            reasons.setdefault(vtep, missing if vtep in up else "pending-ead")
    return tuple(Outside(vtep, reason) for vtep, reason in sorted(reasons.items(), key=lambda one: one[0].order))


def _untouched(intent: Intent) -> Intent:
    if not (intent.touched_groups or intent.touched_fdb_nexthops):
        return intent
    return structs.replace(intent, touched_groups=(), touched_fdb_nexthops=())


class _Draft:
    """What is different from the previous intent, while it is being worked out."""

    def __init__(self, previous: Intent, inputs: Inputs) -> None:
        self.previous = previous
        self.inputs = inputs
        self.groups: dict[GroupKey, SegmentGroup | None] = {}
        """The groups that differ; None for one that is no longer needed."""
        self.numbers: dict[int, GroupKey | None] = {}
        """The groups by the identifier that they took or gave back (None)."""
        self.nexthops: dict[int, FdbNexthop] = {}
        """The nexthops that are new or have another number of users; without users, one is removed at the end."""
        self.of_vtep: dict[Ip, int] = {}
        """The identifiers that were looked up or made, because many groups share a VTEP."""

    def judge(self, key: GroupKey) -> None:
        """Say which VTEPs a group has. What it uses now is counted before what it used, so that what both use stays."""
        old = self.previous.groups.get(key)
        new = self._group(key, old)
        if new == old:
            return
        self._count(new, 1)
        self._count(old, -1)
        self.groups[key] = new
        if new is None and old is not None:
            self.numbers[old.number] = None

    def _group(self, key: GroupKey, old: SegmentGroup | None) -> SegmentGroup | None:
        vni, segment, last = key
        policy, rib = self.inputs.policy, self.inputs.rib
        use, configured = self.previous.group_uses.get(key), policy.vnis.get(vni)
        if use is None or configured is None:
            return None
        primary = Ip(last) if last not in (b"", BACKUP) else None
        there, evis = per_segment(rib, policy, configured, segment), per_evi(rib, policy, configured, segment)
        members, backup = sharing(routes_of(there, evis), [vtep for vtep, _ in use.advertisers], primary)
        if last == BACKUP and segment in policy.single_active and len(members) > 1:
            members = ()  # which of them is the next forwarder, their election says
        members, cut = members[:MEMBERS_MAX], members[MEMBERS_MAX:]
        missing = "pending-evi" if primary is None else "not-primary"
        outside = _outside((*there.named, *evis), {*members, backup}, cut, there.up, missing)
        if not members:
            if old is None or last == BACKUP:
                return None
            return structs.replace(old, macs=use.macs, outside=outside, notes=("no-member",))
        singles = tuple(self._single(vtep) for vtep in (*members, *(() if backup is None else (backup,))))
        number = self._number(key) if old is None else old.number
        is_on_backup = primary is not None and members != (primary,)
        notes = ("on-backup",) if is_on_backup else ()
        return SegmentGroup(
            vni, segment, primary, number, members, singles, primary is not None, backup, use.macs, outside, notes
        )

    def _number(self, key: GroupKey) -> int:
        """Return the identifier of a group: a hash, or the next number that no other group has."""
        vni, segment, primary = key
        octets = vni.to_bytes(3) + segment + primary
        base = FDB_BACKUPS if primary == BACKUP else FDB_GROUPS
        number = next(one for one in identifiers(base, octets) if self._key_at(one) is None)
        self.numbers[number] = key
        return number

    def _key_at(self, number: int) -> GroupKey | None:
        return self.numbers[number] if number in self.numbers else self.previous.group_numbers.get(number)

    def _single(self, vtep: Ip) -> int:
        """Return the identifier of the nexthop of a VTEP, which is made if it is new."""
        number = self.of_vtep.get(vtep) or self.previous.fdb_nexthop_of.get(vtep)
        if number is None:
            number = next(one for one in identifiers(FDB_SINGLES, vtep.mapped) if self._nexthop(one) is None)
            self.nexthops[number] = FdbNexthop(number, vtep)
        self.of_vtep[vtep] = number
        return number

    def _nexthop(self, number: int) -> FdbNexthop | None:
        found = self.nexthops.get(number)
        return self.previous.fdb_nexthops.get(number) if found is None else found

    def _count(self, group: SegmentGroup | None, change: int) -> None:
        for number in () if group is None else group.singles:
            found = self._nexthop(number)
            assert found is not None
            self.nexthops[number] = structs.replace(found, users=found.users + change)

    def apply(self, waiting: tuple[GroupKey, ...]) -> tuple[Intent, bool]:
        """Return the previous intent with all changes, and whether they changed its meaning."""
        previous = self.previous
        nexthops = {number: found if found.users > 0 else None for number, found in self.nexthops.items()}
        touched = []
        meaning_changed = False
        for key, group in self.groups.items():
            old = previous.groups.get(key)
            if (None if old is None else old.members) != (None if group is None else group.members):
                meaning_changed = True
            either = group or old
            assert either is not None
            touched.append(either.number)
        came_or_went = {
            key
            for key, group in self.groups.items()
            if key[2] == BACKUP and (group is None) != (key not in previous.groups)
        }
        backups = dict.fromkeys(previous.touched_backups)
        if came_or_went:
            backups |= {key: None for key, group_key in previous.backups.unordered() if group_key in came_or_went}
        changed_nexthops = [
            number for number, found in nexthops.items() if (found is None) != (number not in previous.fdb_nexthops)
        ]
        intent = structs.replace(
            previous,
            groups=previous.groups.changed(self.groups),
            groups_of=previous.groups_of.changed(dict(self._by_segment())),
            group_numbers=previous.group_numbers.changed(self.numbers),
            waiting_groups=waiting,
            fdb_nexthops=previous.fdb_nexthops.changed(nexthops),
            fdb_nexthop_of=previous.fdb_nexthop_of.changed(
                {one.vtep: None if nexthops[number] is None else number for number, one in self.nexthops.items()}
            ),
            touched_groups=tuple(touched),
            touched_fdb_nexthops=tuple(changed_nexthops),
            touched_backups=tuple(backups),
        )
        return intent, meaning_changed

    def _by_segment(self) -> Iterator[tuple[Esi, tuple[GroupKey, ...] | None]]:
        changed: dict[Esi, list[GroupKey]] = {}
        for key, group in self.groups.items():
            if (group is None) != (key not in self.previous.groups):
                changed.setdefault(key[1], []).append(key)
        for segment, keys in changed.items():
            before = set(self.previous.groups_of.get(segment, ()))
            yield segment, tuple(sorted(before.symmetric_difference(keys))) or None
