"""What is counted and timed, as a frozen value: what fleets of daemons are compared by, beside the status itself.

Counters begin at 0 with the daemon and never fall. Times are those of the daemon's own clock, as in the model. Knows
nobody who counts, and no metric's name.
"""

from collections.abc import Mapping

from msgspec import Struct

from vtep.store.histogram import Distribution


class Figures(Struct, frozen=True):
    """Everything that is counted, at one moment."""

    routes: Mapping[tuple[str, str], int] = {}
    """By type (mac-ip, imet, ead, segment, prefix) and state (current, or stale: of a session that is no more)."""
    neighbors: Mapping[tuple[int, str], int] = {}
    """Wanted host addresses by VNI and family (ipv4, ipv6)."""
    foreign: Mapping[int, int] = {}
    """By VNI, rows that are neither wanted nor ours, as of the last look at everything."""
    moves: Mapping[int, int] = {}
    """Counter by VNI: MACs that came to be behind another VTEP."""
    repaired: Mapping[str, int] = {}
    """Counter by kind (mac, flood, neighbor): rows of ours that were put back after somebody else's hand."""
    kernel_ops: Mapping[tuple[str, str], int] = {}
    """Counter by operation (create, replace, delete, get, dump) and result (ok, or the errno's name, as in EPERM)."""
    kernel_op_s: Distribution = Distribution()
    """How long the kernel took for a message."""
    reconcile_s: Distribution = Distribution()
    """How long a pass took."""
    install_s: Distribution = Distribution()
    """From the reading of a line to the kernel's answer for the row that followed from it."""
    reloaded: float | None = None
    """When a configuration was taken last, the one at the start included."""
    reload_ok: bool = True
    """The last attempt to take one succeeded."""
    actor_alive: float | None = None
    """When the actor last took a piece of a pass, or ended one; none without an actor. It audits at least every minute."""
