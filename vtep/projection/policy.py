"""The configuration as the projection asks for it, with a memory for questions that many routes share.

A new `Policy` is made for each new configuration, and for each new set of MACs of our own devices. Its memories are bounded
and start empty, so an answer never outlives the configuration that it came from. This module does not know any route.
"""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from itertools import chain
from typing import Any, Final, TypeVar

from msgspec import Struct

from vtep.addr import Esi, Ip, Mac, RouteTarget, Vni
from vtep.config.model import Config, DuplicateConfig, SegmentConfig, Targets, VniConfig, VrfConfig
from vtep.intent import HostKey

REMEMBERED_MAX: Final = 65536
"""Answers in one memory; one to a question with many Route Targets counts as several, because a peer chooses how many it has."""
TARGETS_OF_ONE: Final = 8
"""An answer to a question with so many Route Targets counts as two, with twice as many as three, and so on."""

K = TypeVar("K")
V = TypeVar("V")


DOWN: Final = "down"
STARTING: Final = "starting"
WAITING: Final = "waiting"
FORWARDING: Final = "forwarding"
ADVERTISED: Final = (WAITING, FORWARDING)
"""In these states other VTEPs are told that this leaf is on the segment."""


class SegmentState(Struct, frozen=True):
    """How far our port on an Ethernet segment is."""

    state: str
    """down, starting, waiting or forwarding: `projection.own_segment` says what each one means."""
    port: str
    ports: tuple[tuple[Vni, str], ...] = ()
    """The bridge port in each VNI."""


class Policy:
    """What this leaf imports and refuses, and which segments are its own."""

    def __init__(
        self,
        config: Config,
        own_macs: frozenset[Mac] = frozenset(),
        own_hosts: frozenset[HostKey] = frozenset(),
        segment_states: Mapping[Esi, SegmentState] = {},
        ungrouped: frozenset[Vni] = frozenset(),
        active: frozenset[tuple[Esi, Vni]] = frozenset(),
    ) -> None:
        self.mark = object()
        """Which policy this is, for a memory that must not keep it."""
        self.vnis: dict[int, VniConfig] = {vni.vni: vni for vni in config.vnis}
        self.vrfs: dict[Vni, VrfConfig] = {vrf.vni: vrf for vrf in config.vrfs}
        """By L3VNI."""
        self.own_macs = own_macs
        """MACs of this leaf's own devices. A route for one of them is refused (`self-mac`), whichever VNI it is for."""
        self.own_hosts = own_hosts
        """Addresses of the bridges of our VNIs, and of the devices on them."""
        self.ungrouped = ungrouped
        """VNIs whose devices take no group of nexthops: a MAC on a segment there goes to one VTEP."""
        self._config = config
        self.duplicates: DuplicateConfig = config.duplicates
        self.macs_per_vni = config.limits.macs_per_vni
        self.vteps_per_vni = config.limits.vteps_per_vni
        self.prefixes_per_vrf = config.limits.prefixes_per_vrf
        """Where the VRF has no limit of its own (`most_prefixes`)."""
        self.segment_groups = config.limits.segment_groups
        self.downstream = frozenset(vni.vni for vni in config.vnis if vni.downstream_vni)
        """VNIs that import by Route Target alone: the label of a route is the VNI to send to, and may be any other."""
        self.segments: dict[Esi, SegmentConfig] = {segment.esi: segment for segment in config.segments}
        self.segment_states = {esi: state for esi, state in segment_states.items() if esi in self.segments}
        """Of the segments that are configured with a port."""
        self.contested = frozenset(esi for esi in self.segments if self._is_contested(esi))
        """Segments of ours whose port forwards: this leaf is a candidate for designated forwarder there."""
        self.trusts_targets = bool(config.feed.bmp)
        """A route without a label is in the VNI that its Route Target imports: FRR leaves out labels when it reports by BMP."""
        self.segment_of_port = {pair: esi for esi, state in self.segment_states.items() for pair in state.ports}
        """By VNI and bridge port."""
        self.port_on = {(esi, vni): port for esi, state in self.segment_states.items() for vni, port in state.ports}
        """Our bridge port, by segment and VNI."""
        self.single_active = frozenset(esi for esi, one in self.segments.items() if one.mode == "single-active")
        """Segments of ours of which only the forwarder of a VNI passes its frames."""
        self.active = active
        """Of these, in which VNIs our port passes frames."""
        self._importers: dict[RouteTarget | int, set[Vni]] = {}
        """Our VNIs that import a Route Target, or one with this assigned number."""
        for vni in config.vnis:
            wanted: tuple[RouteTarget | int, ...] = (*vni.imports.exact, *vni.imports.wildcards)
            for one in wanted:
                self._importers.setdefault(one, set()).add(vni.vni)
        self._own_vteps = config.own_vteps
        self._vtep_prefixes = config.node.vtep_prefixes
        self.verdicts: Memory[tuple[Any, ...], tuple[Any, ...]] = Memory()
        """For `imports.py`: what routes with the same attributes, label and tag share."""
        self.per_segment: Memory[tuple[Any, ...], Any] = Memory()
        """For `segment.py`: what the routes per segment of a segment say, which many VNIs share."""
        self._imports: Memory[tuple[RouteTarget, ...], frozenset[Vni]] = Memory()
        self._vrf_imports: Memory[tuple[RouteTarget, ...], tuple[VrfConfig, ...]] = Memory()
        self._next_hops: Memory[Ip, str] = Memory()

    def changed(
        self,
        config: Config | None = None,
        own_macs: frozenset[Mac] | None = None,
        own_hosts: frozenset[HostKey] | None = None,
        segment_states: Mapping[Esi, SegmentState] | None = None,
        ungrouped: frozenset[Vni] | None = None,
        active: frozenset[tuple[Esi, Vni]] | None = None,
    ) -> "Policy":
        """Return the policy in which these differ."""
        return Policy(
            self._config if config is None else config,
            self.own_macs if own_macs is None else own_macs,
            self.own_hosts if own_hosts is None else own_hosts,
            self.segment_states if segment_states is None else segment_states,
            self.ungrouped if ungrouped is None else ungrouped,
            self.active if active is None else active,
        )

    def _is_contested(self, esi: Esi) -> bool:
        configured, found = self.segments[esi], self.segment_states.get(esi)
        return configured.forwarding and (found.state in ADVERTISED if found is not None else not configured.port)

    def may_group(self, segment: Esi, vni: Vni) -> bool:
        """Return whether MACs of this segment may go by a group: not while our own port is on it, or may be for all we know."""
        configured = self.segments.get(segment)
        return configured is None or bool(configured.port and not self.is_here(segment, vni))

    def is_here(self, segment: Esi, vni: Vni) -> bool:
        """Return whether the MACs of a segment are reached by our own port, and by no tunnel (RFC 7432 9.2.2)."""
        return segment in self.contested and self.passes(segment, vni)

    def passes(self, segment: Esi, vni: Vni) -> bool:
        """Return whether the port of a segment of ours passes frames to its MACs: in single-active mode only at the forwarder."""
        return segment not in self.single_active or (segment, vni) in self.active

    def is_on_standby(self, vni: Vni, port: str) -> bool:
        """Return whether a port of ours is on a segment and passes no frame."""
        esi = self.segment_of_port.get((vni, port))
        return esi is not None and not self.passes(esi, vni)

    def counts(self, vni: Vni, port: str) -> bool:
        """Return whether the stations at a port of ours count: not while it is on a segment that is not advertised, or on standby."""
        esi = self.segment_of_port.get((vni, port))
        return esi is None or (self.segment_states[esi].state in ADVERTISED and self.passes(esi, vni))

    def imports(self, targets: tuple[RouteTarget, ...]) -> frozenset[Vni]:
        """Return our VNIs that import any of these Route Targets, exactly or by a wildcard (`*:N`).

        The cost does not grow with the VNIs: each Route Target, and each number after the colon, is looked up once.
        """
        found = self._imports.get(targets)
        if found is None:
            wanted = chain(targets, {target.assigned for target in targets})
            found = frozenset().union(*(self._importers[one] for one in wanted if one in self._importers))
            self._imports.put(targets, found, len(targets))
        return found

    def most_prefixes(self, vni: Vni) -> int:
        """Return how many prefixes of a VRF may become routes."""
        vrf = self.vrfs.get(vni)
        return (0 if vrf is None else vrf.max_prefixes) or self.prefixes_per_vrf

    def vrf_imports(self, targets: tuple[RouteTarget, ...]) -> tuple[VrfConfig, ...]:
        """Return our VRFs that import any of these Route Targets. It asks each VRF, but once for each set of them."""
        found = self._vrf_imports.get(targets)
        if found is None:
            found = tuple(vrf for vrf in self.vrfs.values() if _matches(vrf.imports, targets))
            self._vrf_imports.put(targets, found, len(targets))
        return found

    def announcing(self, vnis: Iterable[Vni]) -> frozenset[Vni]:
        """Return those of these VNIs that are ours and may advertise their stations."""
        return frozenset(vni for vni in vnis if vni in self.vnis and self.vnis[vni].announce)

    def refused_next_hop(self, next_hop: Ip) -> str:
        """Return why no frame may be sent to this address, or nothing."""
        reason = self._next_hops.get(next_hop)
        if reason is None:
            reason = self._judge_next_hop(next_hop)
            self._next_hops.put(next_hop, reason)
        return reason

    def refused_host(self, vni: Vni, ip: Ip) -> str:
        """Return why this address cannot be a remote host's, or nothing."""
        if not ip.is_host:
            return "bad-host"
        if ip in self._own_vteps:
            return "self-host"
        return "gateway-host" if (vni, ip) in self.own_hosts else ""

    def _judge_next_hop(self, next_hop: Ip) -> str:
        """Judge in the order of docs/reasons.md: our own address, then one that no VTEP has, then one not listed.

        Without `vtep_prefixes` in the configuration, every unicast address may be a VTEP.
        """
        if next_hop in self._own_vteps:
            return "self-vtep"
        if not next_hop.is_unicast:
            return "bad-nexthop"
        address = ip_address(bytes(next_hop))
        if self._vtep_prefixes and not any(address in prefix for prefix in self._vtep_prefixes):
            return "unlisted-vtep"
        return ""


class Memory(dict[K, V]):
    """A dictionary of answers that forgets all of them when it is full.

    No order of use is kept, so a question costs one look-up. When it was full, each answer is worked out again.
    """

    _size = 0

    def put(self, question: K, answer: V, targets: int = 0) -> None:
        """Remember the answer to a new question, which has so many Route Targets."""
        size = 1 + targets // TARGETS_OF_ONE
        if self._size + size > REMEMBERED_MAX:
            self.clear()
            self._size = 0
        self._size += size
        self[question] = answer


def is_wildcard_only(imports: Targets, targets: tuple[RouteTarget, ...]) -> bool:
    """Return whether these Route Targets are imported by a `*:N` only."""
    return not any(target in imports.exact for target in targets)


def _matches(imports: Targets, targets: tuple[RouteTarget, ...]) -> bool:
    return any(target in imports.exact or target.assigned in imports.wildcards for target in targets)
