"""Turn the RIB and the configuration into an `Intent`: which routes and stations win, and which rows follow from that.

`project` is called with the previous intent and what changed since. It asks each projector in `PROJECTORS` for its table;
the contract is in `projector.py`. The work is proportional to what changed. Without a list of changes everything is judged
again, and the result is the same, because only duplicate detection (`mobility.py`) depends on what was before.

    Changed (topics that the RIB marked) ──┐
    previous Intent ───────────────────────┼──▶ projector ──▶ projector ──▶ … ──▶ next Intent
    RIB, policy, the time ─────────────────┘    one table each, in the order of PROJECTORS

**Why only what changed can be judged.** What a projector says of one topic (a MAC, a host address, an endpoint, a segment, a prefix)
depends on the routes of that topic, on the policy, and on tables of earlier projectors. The RIB marks a topic with each
route that comes or goes. A projector that changes something on which a later one depends marks that one's topics itself. So
each topic whose answer may differ is judged, and the rest of the tables is shared with the previous intent. A property test
compares this with judging everything, over random histories (`tests/properties/test_projection.py`).

**Complete.** An intent is complete when the RIB is, which means that every peer has sent all it has. Deletions wait for that.
If the RIB became complete while much is left to judge (`whole` is false), the intent stays incomplete until the rest was judged:
otherwise rows that are only not judged yet would be deleted.

**The generation** grows only when the meaning changes: a table, completeness, or the VNIs that may advertise. A refresh that
brings the same routes again leaves the intent as it was, and no reader wakes.

**To add a table**: a projector with its topic in `evpn.index`, a word in PROJECTORS behind those that it depends on, and its topics in
`_everything`, which names what had an answer before and may have none now.

This module knows the order of the projectors, and what else an intent says: its generation and whether the picture is
complete. It does not know how any table is made, and nothing here knows the kernel.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import structs

from vtep.evpn.index import Changed
from vtep.evpn.rib import Rib
from vtep.intent import NOTHING, Intent, RowKey
from vtep.projection.alias import project_groups
from vtep.projection.draft import project_macs
from vtep.projection.flood import project_floods
from vtep.projection.forwarder import project_forwarders
from vtep.projection.host import project_hosts
from vtep.projection.mac import highest_rival
from vtep.projection.mobility import frozen_at
from vtep.projection.own_segment import project_own_segments, project_segment_macs
from vtep.projection.policy import Policy
from vtep.projection.prefix import project_prefixes
from vtep.projection.projector import Inputs, Projector

__all__ = ["PROJECTORS", "Policy", "frozen_at", "highest_rival", "project"]

PROJECTORS: Final[tuple[Projector, ...]] = (
    project_macs,
    project_segment_macs,
    project_groups,
    project_floods,
    project_hosts,
    project_forwarders,
    project_own_segments,
    project_prefixes,
)
"""In this order, because groups depend on which rows and which MACs of ours need them, and hosts on which of our own stations have won."""


def project(
    rib: Rib,
    policy: Policy,
    now: float,
    previous: Intent = NOTHING,
    changed: Changed | None = None,
    cleared: Iterable[RowKey] = (),
    *,
    whole: bool = True,
    groups_max: int | None = None,
    alike: bool = True,
) -> Intent:
    """Judge what changed, or everything if that is not given, and return the next intent.

    `cleared` names duplicate MACs that an operator has cleared. `whole` says that nothing else waits to be judged; until
    then the picture does not become complete. `groups_max` and `alike` are explained in `projector.Inputs`.
    """
    if changed is None:
        changed = _everything(rib, policy, previous)
    inputs = Inputs(rib, policy, changed, now, tuple(cleared), groups_max, alike)
    intent = previous
    meaning_changed = False
    for projector in PROJECTORS:
        intent, table_changed = projector(intent, inputs)
        meaning_changed |= table_changed
    must_wait = rib.complete and not previous.complete and (not whole or bool(intent.waiting_groups))
    complete, why = (False, previous.why) if must_wait else (rib.complete, rib.why)
    meaning_changed |= (complete, rib.announcing) != (previous.complete, previous.announcing)
    generation = previous.generation + meaning_changed
    return structs.replace(intent, complete=complete, why=why, announcing=rib.announcing, generation=generation)


def _everything(rib: Rib, policy: Policy, previous: Intent) -> Changed:
    """Return every topic that has routes now, or had rows or refusals before."""
    found = rib.index.everything()
    found.add_macs(mac for mac, _ in previous.judged.unordered())
    for hosts in (previous.hosts, previous.refused_hosts):
        found.hosts.update(ip for ip, _ in hosts.unordered())
    for floods in (previous.floods, previous.refused_floods):
        found.endpoints.update(endpoint for endpoint, _ in floods.unordered())
    found.prefixes.update(prefix for prefix, _ in previous.judged_prefixes.unordered())
    found.segments.update(policy.segment_states, (esi for esi, _ in previous.own_segments.unordered()))
    found.add_macs(mac for mac, _ in previous.segment_macs.unordered())
    found.segments.update(policy.contested, (esi for esi, _ in previous.forwarders.unordered()))
    found.segments.update(esi for esi, _ in previous.groups_of.unordered())
    return found
