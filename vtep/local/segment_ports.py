"""The life of this leaf's ports on Ethernet segments: when a segment is advertised, and when its port may forward. Pure.

             carrier                filters confirmed,           df_wait_s over
                                    picture complete
    down ──────────────▶ starting ────────────────────▶ waiting ────────────────▶ forwarding
     ▲                      ▲                              │                           │
     │                      └─ filters, ExaBGP or all sessions lost ───────────────────┤
     └─ no carrier ────────────────────────────────────────────────────────────────────┘

**Nothing is advertised before the filters are confirmed.** The other VTEPs send frames to this leaf once they see its routes, and
without filters those come back to their sender. When filters are lost and cannot be made again, the segment is withdrawn, so
that the others no longer count on this leaf.

**Waiting.** The others must know that this leaf is on the segment before flooded frames go through its port (RFC 8584 2.1: the
timer, three seconds unless configured). They need no wait: with our Type-4 route they elect again at once.

This module works out states from what it is told. It knows no kernel, no route and no clock.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from vtep.addr import Esi, Vni
from vtep.config.model import SegmentConfig
from vtep.projection.policy import DOWN, FORWARDING, STARTING, WAITING, SegmentState

PORT_DOWN: Final = "segment-down"
UPLINKS_DOWN: Final = "uplinks-down"
FILTER_MISSING: Final = "filter-missing"
PORT_SHARED: Final = "port-shared"
FILTER_NONE: Final = "filter-none"
"""Why a port has no filter of ours, although its segment is advertised: `filter = "none"`."""
"""Why a segment is not advertised, as codes of docs/reasons.md."""
WHY: Final = {
    PORT_DOWN: "the port has no carrier or is in no bridge",
    UPLINKS_DOWN: "none of its uplinks has a carrier, so this leaf cannot reach the fabric",
    FILTER_MISSING: "the filters of the port are not in the kernel",
    PORT_SHARED: "several VNIs have this port, and a single-active segment needs a port for each, such as VLAN devices",
}
"""The same in words."""


class PortSeen(Struct, frozen=True):
    """What the kernel says of the port of a segment."""

    up: bool
    """It is up, has a carrier, and is in a bridge."""
    ports: tuple[tuple[Vni, str], ...] = ()
    """The bridge port in each VNI: the port itself, or a VLAN device on it."""
    confirmed: bool = False
    """The kernel has the filters of all of them, or none are wanted."""
    reaches_fabric: bool = True
    """One of the uplinks is up and has a carrier, or none is configured."""


class PortStatus(Struct, frozen=True):
    """How far the port of a segment is, for people."""

    segment: Esi
    """The identifier of the segment."""
    port: str
    """The device that the configuration names, which may have no bridge of its own but VLAN devices in several."""
    state: str
    """down, starting, waiting or forwarding, as in the drawing at the head."""
    why: str = ""
    """What an operator should mend, as a code; nothing if it only takes time, or waits for routes or ExaBGP."""


class _Life(Struct):
    state: str = DOWN
    """Where the port is in the drawing at the head."""
    since: float = 0.0
    """When the port last got its carrier; in WAITING, when the segment was first advertised."""
    ports: tuple[tuple[Vni, str], ...] = ()
    """The bridge ports when they were last seen. They are kept while the port is down, because its stations still
    have rows."""
    why: str = ""
    """Empty, `PORT_DOWN`, `UPLINKS_DOWN`, `PORT_SHARED` or `FILTER_MISSING`."""
    due: float | None = None
    """When time alone changes the state."""


def _why_down(config: SegmentConfig, seen: PortSeen) -> str:
    """Return why a port cannot be used. In single-active mode all frames of a port are blocked, so it must be of one VNI."""
    if not seen.up:
        return PORT_DOWN
    if not seen.reaches_fabric:
        return UPLINKS_DOWN
    is_shared = len({port for _, port in seen.ports}) < len(seen.ports)
    return PORT_SHARED if is_shared and config.mode == "single-active" else ""


class SegmentPorts:
    """The ports of all segments that are configured with one."""

    def __init__(self, segments: tuple[SegmentConfig, ...] = ()) -> None:
        self._config = {one.esi: one for one in segments if one.port}
        self._lives = {esi: _Life() for esi in self._config}

    def reconfigure(self, segments: tuple[SegmentConfig, ...]) -> None:
        """Take other segments. One whose port is the same goes on as it was."""
        before, known = self._config, self._lives
        self._config = {one.esi: one for one in segments if one.port}
        self._lives = {
            esi: known[esi] if esi in known and before[esi].port == one.port else _Life()
            for esi, one in self._config.items()
        }

    def see(self, found: Callable[[SegmentConfig], PortSeen], now: float, *, may_advertise: bool) -> None:
        """Take what is true now. `may_advertise`: ExaBGP has the commands and a session, and the picture is complete."""
        for esi, life in self._lives.items():
            self._step(self._config[esi], life, found(self._config[esi]), now, may_advertise)

    def _step(self, config: SegmentConfig, life: _Life, seen: PortSeen, now: float, may_advertise: bool) -> None:
        """Take what is true now of one port, and go on as far as that allows.

        A lost carrier leads to `down` from every state, and so does the loss of all uplinks. Without confirmed filters, or without a
        speaker, the port goes back to `starting`, where the segment is not advertised, and both delays begin again when they
        return. `due` is set only where time alone is missing.
        """
        if seen.ports:
            life.ports = seen.ports
        life.why, life.due = _why_down(config, seen), None
        if life.why:
            life.state = DOWN
            return
        if life.state == DOWN:
            life.state, life.since = STARTING, now
        if not (seen.confirmed and may_advertise):
            life.why = "" if seen.confirmed else FILTER_MISSING
            if life.state != STARTING:
                life.state, life.since = STARTING, now
            return
        if life.state == STARTING and now >= life.since + config.startup_delay_s:
            life.state, life.since = WAITING, now
        elif life.state == WAITING and now >= life.since + config.df_wait_s:
            life.state = FORWARDING
        if life.state == STARTING:
            life.due = life.since + config.startup_delay_s
        elif life.state == WAITING:
            life.due = life.since + config.df_wait_s

    @property
    def states(self) -> Mapping[Esi, SegmentState]:
        """Return the state of each segment, for the projection."""
        return {esi: SegmentState(life.state, self._config[esi].port, life.ports) for esi, life in self._lives.items()}

    def status(self) -> tuple[PortStatus, ...]:
        return tuple(
            PortStatus(esi, self._config[esi].port, life.state, life.why) for esi, life in sorted(self._lives.items())
        )

    @property
    def due(self) -> float | None:
        """Return when time alone changes a state."""
        return min((life.due for life in self._lives.values() if life.due is not None), default=None)
