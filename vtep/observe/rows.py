"""What is known of one row at this moment: its state, who holds it, and what its VNI lacks.

Reads what the leaf and the actor hold anyway. Follows no change, counts nothing, and knows no reader.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Final

from vtep.addr import Ip, Vni
from vtep.config.model import Config
from vtep.intent import Alert, Host, Intent, RemoteMac, RowKey, vteps_of
from vtep.linux.conditions import ROWS_WENT
from vtep.linux.tables.fdb import FDB
from vtep.linux.tables.neighbor import NEIGHBOR
from vtep.linux.target import KernelTarget
from vtep.linux.underlay import Underlay
from vtep.observe.model import CONTESTED, INSTALLED, PENDING, STALE, SUPPRESSED, MacStatus, NeighborStatus, Sync
from vtep.observe.reasons import sentence
from vtep.projection.leaf import Leaf
from vtep.reconcile.actor import Actor, Outcome
from vtep.reconcile.contract import Key, Kind, Seen
from vtep.reconcile.descriptor import HOST_WIDE, Descriptor
from vtep.reconcile.knowledge import Known

_HOLDERS: Final = {
    "": "an orphan row with our signature",
    "foreign": "a row of another program",
    "local-static": "a static entry",
    "local-learned": "a learned station",
}
"""What a row that is not ours is, as a part of a sentence."""


class Rows:
    """What a running daemon knows of one row or one VNI."""

    def __init__(self, config: Config, leaf: Leaf, clock: Callable[[], float], kinds: Sequence[Kind]) -> None:
        self.take_config(config)
        self.kinds = {kind.name: kind for kind in kinds}
        self.leaf = leaf
        self.clock = clock
        self.actor: Actor | None = None
        self.target: KernelTarget | None = None
        self.last = Outcome()
        """Of the latest pass."""
        self.underlay = Underlay()
        """As it was seen last."""

    def take_config(self, config: Config) -> None:
        self.config = config
        self.configured = {vni.vni: vni for vni in config.vnis}
        bound = frozenset(vni.vni for vni in config.vnis if vni.is_bound)
        self.bound = bound | {vrf.vni for vrf in config.vrfs} | ({HOST_WIDE} if bound else set())
        """The VNIs, and the L3VNIs of VRFs, in which rows are written; and what stands for no VNI, if any VNI is among them."""

    @property
    def intent(self) -> Intent:
        return self.leaf.intent

    # Rows

    def mac(self, key: RowKey, row: RemoteMac, intent: Intent) -> MacStatus:
        vteps = vteps_of(intent, row)
        return MacStatus(
            vni=row.vni,
            mac=key[1],
            vtep=vteps[0],
            vtep_vni=row.vtep_vni,
            reason=row.reason,
            seq=row.seq,
            sticky=row.sticky,
            stale=row.stale,
            peer=row.peer,
            rd=row.rd,
            segment=row.segment,
            notes=row.notes,
            alerts=alert_kinds(intent.alerts.get(key, ())),
            sync=self.sync(FDB, key, intent, stale=row.stale),
            vteps=() if row.group is None else vteps,
        )

    def neighbor(self, host: Host) -> NeighborStatus:
        return NeighborStatus(
            vni=host.vni,
            ip=host.ip,
            mac=host.mac,
            router=host.router,
            peer=host.peer,
            rd=host.rd,
            alerts=alert_kinds(host.alerts),
            sync=self.sync(NEIGHBOR, host.key, self.intent),
        )

    def sync(self, kind: Kind, key: Key, intent: Intent, *, stale: bool = False) -> Sync:
        """Return the state of a wanted row. The first line that applies decides:

            no kernel to write to, or no bridge           SUPPRESSED  unbound
            the engine reports a trouble for the row      its state; held and blocked rows are shown as PENDING
            the devices lost all rows of the domain       SUPPRESSED  the code of the fault, with the command that helps
            it is claimed and confirmed as it is wanted   INSTALLED, or STALE if its route is
            the domain cannot have rows of this kind      SUPPRESSED  the code of the fault, or of the kind
            none of these: a pass will write it           PENDING     kernel-unreadable, if the last pass could not read

        A row of devices that are not ready has no time: whether the kernel still has it was not read.
        """
        known = self.known(kind.name, key)
        if known is None or not self.is_bound(kind.descriptor.vni_of(key)):
            return Sync(SUPPRESSED, "unbound", "the VNI has no bridge")
        trouble, claim = known.trouble, known.claim
        since, generation = (
            (None, 0) if claim is None or claim.since is None else (claim.since.time, claim.since.generation)
        )
        if trouble is not None:
            state = PENDING if trouble.state in ("held", "blocked") else trouble.state
            text = trouble.text or (self.holder(known) if trouble.state == CONTESTED else "")
            if trouble.reason == "not-ready":
                since, generation = None, 0  # it is not known whether the row is still there
            return Sync(state, trouble.reason, text, trouble.errno, trouble.due, since, generation)
        fault = None if self.target is None else self.target.unserved.get(kind.domain(key))
        if fault is not None and fault.code in ROWS_WENT:
            return Sync(SUPPRESSED, fault.code, f"{fault.text}; run: {fault.mend}")
        if claim is not None and claim.confirmed and claim.row == kind.wanted_at(intent, key):
            return Sync(STALE if stale else INSTALLED, since=since, generation=generation)
        if not self.serves(kind, kind.descriptor.vni_of(key)):
            if fault is not None:
                return Sync(SUPPRESSED, fault.code, f"{fault.text}; run: {fault.mend}")
            return Sync(SUPPRESSED, kind.descriptor.unserved, sentence(kind.descriptor.unserved))
        error = self.last.error
        return Sync(PENDING) if error is None else Sync(PENDING, "kernel-unreadable", str(error))

    def known(self, kind: str, key: Key) -> Known | None:
        return None if self.actor is None else self.actor.engine.known_of(kind, key)

    def is_known(self, key: RowKey) -> bool:
        """Return whether the ledger or the kernel has a MAC, even if no route has it."""
        known = self.known(FDB.name, key)
        return known is not None and (known.claim is not None or known.foreign is not None)

    def holder(self, known: Known | None) -> str:
        """Say who holds a row and where it points."""
        foreign = None if known is None else known.foreign
        return "" if foreign is None else self.holder_of(foreign)

    def holder_of(self, foreign: Seen) -> str:
        """Say who holds a row that was seen, and where it points."""
        name = foreign.writer or _HOLDERS.get(foreign.holder, foreign.holder)
        where = destination(foreign)
        if isinstance(where, Ip):
            return f"{name} to {where}"
        port = self.port_of(foreign)
        return f"{name} on {port}" if port else name

    def port_of(self, foreign: Seen | None) -> str:
        """Return the name of the port that a foreign row points to, or nothing."""
        where = None if foreign is None else foreign.where
        return self.target.name_of(where) if isinstance(where, int) and self.target is not None else ""

    def descriptor(self, kind: str) -> Descriptor:
        """Return how readers show a kind that the engine names."""
        return self.kinds[kind].descriptor

    def vtep_of(self, kind: str, key: Key) -> Ip | None:
        """Return the VTEP that a row is about, if it is about one."""
        return self.descriptor(kind).vtep_of(self.intent, key)

    # VNIs

    def vtep_of_vni(self, vni: Vni) -> Ip | None:
        """Return our own address in a VNI."""
        return None if (found := self.configured.get(vni)) is None else found.vtep

    def vni_state(self, vni: Vni) -> str:
        configured = self.configured.get(vni)
        if configured is not None and not configured.is_bound:
            return "unbound"
        if configured is None or self.last.report is None:
            return "unknown"
        return "not-ready" if vni in self.last.report.not_ready else "ready"

    def reasons(self, vni: Vni) -> tuple[str, ...]:
        return () if self.last.report is None else self.last.report.not_ready.get(vni, ())

    def is_bound(self, vni: Vni) -> bool:
        """Return whether rows are written for a VNI, or for a VRF with this L3VNI; for no VNI, whether any are."""
        return vni in self.bound

    def serves(self, kind: Kind, vni: Vni) -> bool:
        """Return whether a VNI that is ready has rows of this kind, whose domain may need more than the VNI does."""
        actor = self.actor
        return actor is not None and (
            actor.engine.is_ready(kind.descriptor.domain_of(vni)) or not actor.engine.is_ready(vni)
        )


def alert_kinds(alerts: Sequence[Alert]) -> tuple[str, ...]:
    """Return each kind of alert once. Alerts are sorted, and there may be thousands: one for each VTEP at fault."""
    kinds = []
    at = 0
    while at < len(alerts):
        kinds.append(alerts[at].kind)
        at = bisect_right(alerts, kinds[-1], at, key=lambda alert: alert.kind)
    return tuple(kinds)


def destination(seen: Seen) -> Any:
    """Return where a row sends frames: a VTEP, or the index of a port."""
    return getattr(seen.row, "vtep", None) if seen.where is None else seen.where
