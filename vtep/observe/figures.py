"""Counters and timings as a frozen value, for comparing daemons with each other. The status itself is in the model.

Counters begin at 0 with the daemon and never decrease. Times are on the daemon's own clock, as in the model. Does not
know who counts, and no name of a metric.
"""

from collections.abc import Mapping

from msgspec import Struct

from vtep.store.histogram import Distribution


class Figures(Struct, frozen=True):
    """Everything that is counted, at one moment."""

    routes: Mapping[tuple[str, str], int] = {}
    """By type (mac-ip, imet, ead, segment, prefix) and state (current, or stale: the session that advertised it is down)."""
    neighbors: Mapping[tuple[int, str], int] = {}
    """Wanted host addresses by VNI and family (ipv4, ipv6)."""
    foreign: Mapping[int, int] = {}
    """By VNI, rows that are neither wanted nor ours, as of the last look at everything."""
    underlay: Mapping[str, int] = {}
    """Remote VTEPs by whether packets reach them, as far as this host knows: "ok" or the code of what is wrong."""
    segments: Mapping[str, int] = {}
    """Ethernet segments of this leaf that have a port, by the state of the port."""
    segment_vnis: Mapping[tuple[str, str], int] = {}
    """By segment of this leaf and by what its port forwards (joining, non-df, df, standby): VNIs."""
    moves: Mapping[int, int] = {}
    """Counter by VNI: moves of MACs to another VTEP."""
    repaired: Mapping[str, int] = {}
    """Counter by the public name of a kind: rows of ours that another program changed and that were written again."""
    kernel_ops: Mapping[tuple[str, str], int] = {}
    """Counter by operation (create, replace, delete, get, dump) and result (ok, or the errno's name, as in EPERM)."""
    kernel_op_s: Distribution = Distribution()
    """How long the kernel took for a message."""
    reconcile_s: Distribution = Distribution()
    """How long a pass took."""
    install_s: Distribution = Distribution()
    """From reading a line to the kernel's answer for the row that it caused."""
    reloaded: float | None = None
    """When a configuration was last loaded, the one at the start included."""
    reload_ok: bool = True
    """The last attempt to load one succeeded."""
    actor_alive: float | None = None
    """When the actor last took a piece of a pass, or ended one; none without an actor. It audits at least every minute."""
