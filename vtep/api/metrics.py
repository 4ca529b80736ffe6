"""The metrics for Prometheus, made from what is published at the moment of a scrape.

Nothing is counted here. No label is a MAC, a route distinguisher or a remote VTEP: the network decides how many there
are, and Prometheus keeps a series for every value of a label. VNIs are labels, because the operator decides how many
there are; above 500 VNIs the sums of all are given instead.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from vtep.observe.figures import Figures
from vtep.observe.model import AdvertisingStatus, Counts, StateFile, Status, VniStatus, VrfStatus
from vtep.observe.source import Source
from vtep.store.histogram import Distribution

VNI_SERIES_MAX: Final = 500
ALL: Final = "all"
"""The label in place of a VNI, on a leaf with more VNIs than that."""
KIND: Final = "text/plain; version=0.0.4; charset=utf-8"

_Samples = Mapping[tuple[str, ...], float]


class Metrics(Collector):
    """All metrics of one source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        # A registry of its own: the global one of the library has the metrics of every imported module.
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return all of them in the text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        status, vnis, figures = self._source.status(), self._source.vnis(), self._source.figures()
        yield from _state(status)
        yield from _feed(status, figures, self._source.wall)
        yield from _announcing(status.announcing, self._source.wall)
        yield from _dataplane(status, figures)
        yield from _state_files(status.state_files)
        closed = "Addresses of the configuration at which the daemon cannot listen"
        yield _gauge("vtep_listeners_closed", closed, len(status.closed))
        yield from _tables(status, vnis, figures)
        yield from _vrfs(self._source.vrfs())
        yield from _segments(figures, self._source.filter_drops())
        yield from _configuration(figures, self._source.wall)


def _state(status: Status) -> Iterator[Metric]:
    build = InfoMetricFamily("vtep_build", "Which program this is")
    build.add_metric((), {"version": status.version, "python": platform.python_version()})
    yield build
    yield _gauge(
        "vtep_ready",
        "1 if every peer has sent all its routes, a session is established or within its hold, and the kernel has every row that it "
        "does not refuse",
        status.ready,
    )
    yield _gauge(
        "vtep_degraded", "1 if it is ready, with something that a person should mend", status.state == "degraded"
    )
    found: _Samples = _summed(((problem.weight, problem.code), problem.count) for problem in status.all_problems)
    yield _gauges(
        "vtep_problems", "What is to be mended: rows, routes, VNIs or peers concerned", ("weight", "code"), found
    )
    amiss = _summed(((reason,), 1) for reason in status.devices.values())
    yield _gauges("vtep_managed_devices_amiss", "Managed devices that are not as wanted", ("reason",), amiss)
    yield _gauge(
        "vtep_complete", "1 if every peer has sent all its routes, or the time to wait is over", status.complete
    )
    yield _gauge("vtep_generation", "Generation of the intent", status.generation)
    yield _gauge(
        "vtep_generation_applied", "Generation of the intent that was applied last", status.dataplane.generation
    )


def _feed(status: Status, figures: Figures, wall: Callable[[float], float]) -> Iterator[Metric]:
    feed = status.feed
    yield _gauge("vtep_feed_attached", "1 if ExaBGP's relay is connected, or a router by BMP", feed.attached)
    yield _counter("vtep_lines", "Lines that ExaBGP printed", {(): feed.lines})
    yield _counter("vtep_bad_lines", "Lines among them that could not be read", {(): feed.bad_lines})
    yield _gauge("vtep_bmp_routers", "Routers that report by BMP", len(feed.reporters))
    ignored: _Samples = {(why,): float(count) for why, count in feed.ignored.items()}
    yield _counter("vtep_bmp_ignored_messages", "Messages of them that had no effect", ignored, ("why",))
    yield _counter("vtep_peers_forgotten", "Peers that were down and are no longer known", {(): feed.forgotten_peers})
    yield _gauge("vtep_input_backlog", "Lines that were read and wait to be handled", feed.backlog)
    if feed.last_line is not None:
        yield _gauge("vtep_last_update_timestamp_seconds", "When the last line came", wall(feed.last_line))
    up: _Samples = {(str(peer.address),): float(peer.up) for peer in feed.peers}
    yield _gauges("vtep_bgp_session_up", "1 if the session is up", ("peer",), up)
    limited: _Samples = {(str(peer.address),): float(peer.limited) for peer in feed.peers}
    yield _gauges(
        "vtep_routes_over_limit", "Routes refused because the peer exceeds routes_per_peer", ("peer",), limited
    )
    refused: _Samples = {(str(peer.address),): float(peer.refused) for peer in feed.peers}
    yield _gauges("vtep_routes_over_mac_limit", "Routes that are not kept for routes_per_mac", ("peer",), refused)
    not_winning = _summed(((one.peer, one.reason), one.routes) for one in status.refusals)
    yield _gauges("vtep_routes_refused", "Received routes that may not win", ("peer", "reason"), not_winning)
    reset: _Samples = {(str(peer.address),): float(bool(peer.reset)) for peer in feed.peers}
    told = "1 if this side ended the session for a message that it could not read, until the peer sends its table"
    yield _gauges("vtep_bgp_session_reset", told, ("peer",), reset)
    yield _gauges("vtep_routes", "Routes received from peers", ("type", "state"), _texts(figures.routes))


def _announcing(announcing: AdvertisingStatus, wall: Callable[[float], float]) -> Iterator[Metric]:
    able = announcing.state == "able"
    yield _gauge("vtep_announce_able", "1 if ExaBGP has the commands that advertise, and answers", able)
    routes: _Samples = {(name,): float(getattr(announcing, name)) for name in ("wanted", "told", "waiting", "refused")}
    yield _gauges("vtep_announce_routes", "Routes of this leaf by what ExaBGP has done with them", ("state",), routes)
    if announcing.since is not None:
        since = wall(announcing.since)
        yield _gauge("vtep_announce_since_timestamp_seconds", "When the state of advertising began", since)


def _dataplane(status: Status, figures: Figures) -> Iterator[Metric]:
    dataplane = status.dataplane
    told = "Messages to the kernel by its answer"
    yield _counter("vtep_kernel_ops", told, _texts(figures.kernel_ops), ("op", "result"))
    yield _histogram("vtep_kernel_op_seconds", "How long the kernel took for a message", figures.kernel_op_s)
    yield _histogram("vtep_reconcile_seconds", "How long a pass took", figures.reconcile_s)
    yield _histogram(
        "vtep_install_latency_seconds", "From reading a line to the kernel's answer for its row", figures.install_s
    )
    repaired: _Samples = {(kind,): float(count) for kind, count in figures.repaired.items()}
    yield _counter(
        "vtep_drift_repaired",
        "Rows of this leaf that another program changed and that were written again",
        repaired,
        ("kind",),
    )
    differences: _Samples = {key: float(count) for key, count in dataplane.differences.items()}
    told = "Rows of another daemon that differ from what is wanted for more than 5 s"
    yield _gauges("vtep_observe_differences", told, ("kind", "reason"), differences)
    yield _gauge("vtep_orphan_rows", "Rows with our signature that are neither wanted nor claimed", dataplane.orphans)
    yield _counter("vtep_netlink_overruns", "Times that netlink events were lost", {(): dataplane.overruns})


def _state_files(files: Sequence[StateFile]) -> Iterator[Metric]:
    octets: _Samples = {(file.name,): float(file.octets) for file in files}
    yield _gauges("vtep_ledger_octets", "Size of a file below state_dir", ("file",), octets)
    records: _Samples = {(file.name,): float(file.records) for file in files}
    yield _gauges("vtep_ledger_records", "Records in a file below state_dir", ("file",), records)
    written: _Samples = {(file.name,): float(not file.trouble) for file in files}
    yield _gauges("vtep_ledger_writable", "1 if a file below state_dir can be written", ("file",), written)


def _tables(status: Status, vnis: Sequence[VniStatus], figures: Figures) -> Iterator[Metric]:
    rows: _Samples = {(kind, state): n for kind, counts in status.kinds.items() for state, n in _states(counts)}
    yield _gauges("vtep_rows", "Wanted rows by state", ("kind", "state"), rows)
    yield _gauges("vtep_vnis", "Configured VNIs by state", ("state",), _summed(((vni.state,), 1) for vni in vnis))

    label = _name if len(vnis) <= VNI_SERIES_MAX else _all
    if label is _name:
        ready: _Samples = {(str(vni.vni),): float(vni.state == "ready") for vni in vnis if vni.state != "unbound"}
        yield _gauges("vtep_vni_ready", "1 if rows can be written for this VNI", ("vni",), ready)
    macs = _summed(((label(vni.vni), state), n) for vni in vnis for state, n in _states(vni.macs, vni.macs_stale))
    yield _gauges("vtep_macs", "Wanted remote MACs by state", ("vni", "state"), macs)
    vteps = _summed(((label(vni.vni),), vni.vteps) for vni in vnis)
    yield _gauges("vtep_remote_vteps", "Remote VTEPs", ("vni",), vteps)
    neighbors = _summed(((label(vni), family), n) for (vni, family), n in figures.neighbors.items())
    yield _gauges("vtep_neighbors", "Wanted host addresses", ("vni", "family"), neighbors)
    foreign = _summed(((label(vni),), n) for vni, n in figures.foreign.items())
    yield _gauges("vtep_foreign_rows", "Rows that are neither wanted nor claimed", ("vni",), foreign)
    duplicates = _summed(((label(vni.vni),), vni.duplicates) for vni in vnis)
    yield _gauges("vtep_duplicate_macs", "MACs that move too often", ("vni",), duplicates)
    limited = _summed(((label(vni.vni),), vni.limited) for vni in vnis)
    yield _gauges("vtep_macs_over_limit", "MACs without a row because the VNI has macs_per_vni rows", ("vni",), limited)
    waiting = _summed(((label(vni.vni),), vni.vteps_limited) for vni in vnis)
    yield _gauges("vtep_vteps_over_limit", "VTEPs without a flood row for vteps_per_vni", ("vni",), waiting)
    used: dict[tuple[str, ...], float] = {}
    for vni in vnis:
        used[label(vni.vni),] = max(vni.vteps_used, used.get((label(vni.vni),), 0.0))
    yield _gauges("vtep_vteps_limit_used_ratio", "Flood rows by vteps_per_vni", ("vni",), used)
    reached: _Samples = {(state,): float(count) for state, count in figures.underlay.items()}
    yield _gauges(
        "vtep_underlay_vteps", "Remote VTEPs by what the underlay of this host does for them", ("state",), reached
    )
    moves = _summed(((label(vni),), n) for vni, n in figures.moves.items())
    yield _counter("vtep_mac_moves", "Moves of MACs to another VTEP", moves, ("vni",))


def _vrfs(vrfs: Sequence[VrfStatus]) -> Iterator[Metric]:
    def of(value: Callable[[VrfStatus], int]) -> _Samples:
        """Sum a value by VRF, or over all of them on a leaf with very many."""
        each = len(vrfs) <= VNI_SERIES_MAX
        return _summed((((vrf.name if each else ALL),), value(vrf)) for vrf in vrfs)

    yield _gauges("vtep_vrfs", "Configured VRFs by state", ("state",), _summed(((vrf.state,), 1) for vrf in vrfs))
    yield _gauges(
        "vtep_vrf_prefixes", "Prefixes that are routed to other VTEPs", ("vrf",), of(lambda vrf: vrf.prefixes)
    )
    yield _gauges("vtep_vrf_nexthops", "Nexthops and groups of them", ("vrf",), of(lambda vrf: vrf.nexthops))
    told = "VTEPs of which routes name several Router's MACs"
    yield _gauges("vtep_vrf_router_mac_conflicts", told, ("vrf",), of(lambda vrf: vrf.conflicts))
    told = "Prefixes without a route because their VRF is full"
    yield _gauges("vtep_vrf_prefixes_over_limit", told, ("vrf",), of(lambda vrf: vrf.limited))


def _segments(figures: Figures, drops: Mapping[str, int]) -> Iterator[Metric]:
    states: _Samples = {(state,): float(count) for state, count in figures.segments.items()}
    yield _gauges("vtep_segments", "Ethernet segments of this leaf by the state of their port", ("state",), states)
    told = "VNIs of an Ethernet segment of this leaf by which flooded frames its port forwards"
    yield _gauges("vtep_segment_vnis", told, ("esi", "filter"), _texts(figures.segment_vnis))
    dropped: _Samples = {(name,): float(count) for name, count in drops.items()}
    told = "Frames that the filters of Ethernet segments dropped"
    yield _counter("vtep_filter_dropped_frames", told, dropped, ("filter",))


def _configuration(figures: Figures, wall: Callable[[float], float]) -> Iterator[Metric]:
    succeeded = "1 if the last attempt to load a configuration succeeded"
    yield _gauge("vtep_config_last_reload_successful", succeeded, figures.reload_ok)
    if figures.reloaded is not None:
        taken = wall(figures.reloaded)
        yield _gauge("vtep_config_reload_success_timestamp_seconds", "When a configuration was last loaded", taken)


def _states(counts: Counts, stale: int | None = None) -> Iterator[tuple[str, int]]:
    """Yield how many rows are in each state; stale rows are a state of their own where they are counted."""
    if stale is None:
        yield "installed", counts.installed
    else:
        stale = min(stale, counts.installed)
        yield "installed", counts.installed - stale
        yield "stale", stale
    yield "pending", counts.pending
    yield "failed", counts.failed
    yield "contested", counts.contested
    yield "suppressed", counts.suppressed


def _name(vni: int) -> str:
    return str(vni)


def _all(_: int) -> str:
    return ALL


def _texts(numbers: Mapping[tuple[str, str], int]) -> _Samples:
    return {labels: float(number) for labels, number in numbers.items()}


def _summed(samples: Iterable[tuple[tuple[str, ...], int]]) -> _Samples:
    sums: dict[tuple[str, ...], float] = {}
    for labels, number in samples:
        sums[labels] = sums.get(labels, 0.0) + number
    return sums


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _gauges(name: str, text: str, labels: Sequence[str], samples: _Samples) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples.items():
        family.add_metric(values, value)
    return family


def _counter(name: str, text: str, samples: _Samples, labels: Sequence[str] = ()) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, value in samples.items():
        family.add_metric(values, value)
    return family


def _histogram(name: str, text: str, distribution: Distribution) -> Metric:
    names = [*map(str, distribution.bounds), "+Inf"]
    buckets = list(zip(names, map(float, accumulate(distribution.counts)), strict=True))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=distribution.sum)
