"""The life of this leaf's ports on Ethernet segments: when a segment is advertised, and when its port may forward. Pure.

             carrier                filters confirmed,           df_wait_s over
                                    picture complete
    down ──────────────▶ starting ────────────────────▶ waiting ────────────────▶ forwarding
     ▲                      ▲                              │                           │
     │                      └─ filters lost, or ExaBGP ────┴───────────────────────────┤
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

NOT_CONFIRMED: Final = "filters are not confirmed"


class PortSeen(Struct, frozen=True):
    """What the kernel says of the port of a segment."""

    up: bool
    """It is up, has a carrier, and is in a bridge."""
    ports: tuple[tuple[Vni, str], ...] = ()
    """The bridge port in each VNI: the port itself, or a VLAN device on it."""
    confirmed: bool = False
    """The kernel has the filters of all of them."""


class _Life(Struct):
    state: str = DOWN
    since: float = 0.0
    """When the port last got its carrier; in WAITING, when the segment was first advertised."""
    ports: tuple[tuple[Vni, str], ...] = ()


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
        """Take what is true now. `may_advertise`: ExaBGP has the commands, and the picture is complete."""
        for esi, life in self._lives.items():
            self._step(self._config[esi], life, found(self._config[esi]), now, may_advertise)

    def _step(self, config: SegmentConfig, life: _Life, seen: PortSeen, now: float, may_advertise: bool) -> None:
        if seen.ports:
            life.ports = seen.ports
        if not seen.up:
            life.state = DOWN
            return
        if life.state == DOWN:
            life.state, life.since = STARTING, now
        if not (seen.confirmed and may_advertise):
            if life.state != STARTING:
                life.state, life.since = STARTING, now
            return
        if life.state == STARTING and now >= life.since + config.startup_delay_s:
            life.state, life.since = WAITING, now
        elif life.state == WAITING and now >= life.since + config.df_wait_s:
            life.state = FORWARDING

    @property
    def states(self) -> Mapping[Esi, SegmentState]:
        """Return the state of each segment, for the projection."""
        return {esi: SegmentState(life.state, self._config[esi].port, life.ports) for esi, life in self._lives.items()}

    @property
    def due(self) -> float | None:
        """Return when time alone changes a state."""
        times = []
        for esi, life in self._lives.items():
            if life.state == WAITING:
                times.append(life.since + self._config[esi].df_wait_s)
            elif life.state == STARTING and self._config[esi].startup_delay_s:
                times.append(life.since + self._config[esi].startup_delay_s)
        return min(times, default=None)
