"""Which routes win, our own among them, and what they mean on this leaf: RIB and configuration in, an `Intent` out.

Pure and total. Given the previous intent and what changed since, the work is proportional to what changed; without
them everything is judged anew, with the same result (duplicate detection alone remembers). Knows BGP, not the kernel.
"""

from collections.abc import Iterable

from msgspec import structs

from vtep.addr import Vni
from vtep.evpn.index import Changed
from vtep.evpn.rib import Rib
from vtep.intent import NOTHING, Intent, RowKey
from vtep.projection.draft import MacDraft
from vtep.projection.flood import project_floods
from vtep.projection.forwarder import project_forwarders
from vtep.projection.host import project_hosts
from vtep.projection.mac import highest_rival
from vtep.projection.mobility import frozen_at
from vtep.projection.policy import Policy

__all__ = ["Policy", "frozen_at", "highest_rival", "project"]

PROJECTORS = (project_floods, project_hosts, project_forwarders)
"""Beside the MACs': each takes an intent and returns it with its own table, and whether that changed its meaning."""


def project(
    rib: Rib,
    policy: Policy,
    now: float,
    previous: Intent = NOTHING,
    changed: Changed | None = None,
    cleared: Iterable[RowKey] = (),
    *,
    whole: bool = True,
) -> Intent:
    """Judge what changed (everything, when that is not said) and return the next intent.

    `cleared` names duplicates that an operator has set free; `whole` tells that nothing else waits to be judged, and before
    that the picture does not become complete.
    """
    if changed is None:
        changed = _everything(rib, policy, previous)
    draft = MacDraft(previous, policy)
    todo = dict.fromkeys(draft.judge_lone(changed.macs, rib), frozenset[Vni]())
    for vni, mac in (*draft.clear(cleared), *draft.take_due(now)):
        todo[mac] = todo.get(mac, frozenset()) | {vni}
    for mac, vnis in todo.items():
        draft.judge(mac, vnis, rib, now)
    for mac in draft.freed():
        draft.judge(mac, frozenset(), rib, now)
    intent = structs.replace(draft.apply(now), announcing=rib.announcing)
    awaited = rib.complete and not previous.complete and not whole
    complete, why = (False, previous.why) if awaited else (rib.complete, rib.why)
    moved = draft.meaning_changed or (complete, rib.announcing) != (previous.complete, previous.announcing)
    changed.hosts.update(ip for _, _, ip in intent.own_touched if ip is not None)
    for projector in PROJECTORS:
        intent, moved_too = projector(intent, rib, policy, changed)
        moved |= moved_too
    return structs.replace(intent, generation=previous.generation + moved, complete=complete, why=why)


def _everything(rib: Rib, policy: Policy, previous: Intent) -> Changed:
    """Return all that there is, and all that there was."""
    there = rib.index.everything()
    there.macs.update(mac for mac, _ in previous.judged.unordered())
    there.hosts.update(ip for ip, _ in previous.hosts.unordered())
    for table in (previous.floods, previous.refused_floods):
        there.endpoints.update(endpoint for endpoint, _ in table.unordered())
    there.segments.update(policy.contested, (esi for esi, _ in previous.forwarders.unordered()))
    return there
