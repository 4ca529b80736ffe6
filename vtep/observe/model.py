"""The state of the daemon as frozen values, for the log, the API, the metrics and the status page.

Times are on the daemon's own clock, which never jumps; a display turns them into the time of day. Does not know who
fills in these values or who reads them.
"""

from collections.abc import Mapping

from msgspec import Struct

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget, Vni
from vtep.intent import SegmentGroup
from vtep.observe import problems
from vtep.observe.problems import Problem, Refusals, Returned

PENDING, INSTALLED, FAILED = "pending", "installed", "failed"
CONTESTED, STALE, SUPPRESSED = "contested", "stale", "suppressed"
"""The states of a row (docs/reasons.md)."""


class PeerStatus(Struct, frozen=True):
    """One BGP peer of ExaBGP."""

    address: Ip
    up: bool
    ended: bool
    """It has sent End-of-RIB."""
    routes: int
    stale: int
    limited: int
    refresh: str
    reason: str
    """Why it is down, and why our side ended its last session."""
    opened: float | None = None
    refused: int = 0
    """Routes that are not kept, because it has as many of their MAC as `limits.routes_per_mac` allows."""
    refused_mac: Mac | None = None
    """One of those MACs."""
    reset: str = ""
    """Why our side ended the session of a peer whose routes are kept for that."""
    expected: bool = True
    """The picture waits for it: it is named in `feed.peers`, or no peer is named there."""
    held: bool = False
    """Its session has ended, and the time for which its routes are kept is not over."""
    since: float | None = None
    """Since when it is up, or down."""
    asn: int = 0
    """As its last OPEN said, like the next three; 0 or nothing as long as there was none."""
    router_id: str = ""
    hold_time_s: int = 0
    families: tuple[str, ...] = ()
    messages: int = 0
    error: str = ""
    """Why its last session ended, or was not established, in words."""
    form: str = ""
    """How its UPDATEs came: "octets", "parsed", or none came yet."""


class FeedStatus(Struct, frozen=True):
    """What is received from ExaBGP."""

    attached: bool = False
    form: str = ""
    """How UPDATEs are handed on: "octets", "parsed", or that is not known."""
    lines: int = 0
    bad_lines: int = 0
    gaps: int = 0
    backlog: int = 0
    """Lines that were read and wait to be handled."""
    last_line: float | None = None
    bmp: str = ""
    """Where routers report by BMP; empty if ExaBGP is the feed."""
    table: str = "post-policy"
    """Which of their tables is taken."""
    peers: tuple[PeerStatus, ...] = ()
    awaited: int = 0
    """Peers whose End-of-RIB makes the picture complete."""


class AdvertisingStatus(Struct, frozen=True):
    """What this leaf advertises through ExaBGP."""

    state: str = "idle"
    """away: ExaBGP is not connected; idle: there is nothing to advertise; asking: whether ExaBGP can advertise is not known
    yet; able; or unable: this leaf only receives."""
    why: str = ""
    """What prevents it from advertising."""
    wanted: int = 0
    """Routes that should be advertised."""
    told: int = 0
    """Routes that ExaBGP has confirmed."""
    waiting: int = 0
    """Routes that were not sent to ExaBGP yet, or that it has not answered for."""
    refused: int = 0
    """Routes among them that it refused, and that are sent again later."""
    error: str = ""
    """Why it refused one of them."""
    since: float | None = None
    """When the state began."""
    left_out: tuple[str, ...] = ()
    """VNIs that advertise nothing because of their configuration, each with what is missing."""


class Counts(Struct, frozen=True):
    """The wanted rows of one kind by state."""

    wanted: int = 0
    installed: int = 0
    failed: int = 0
    contested: int = 0
    suppressed: int = 0

    @property
    def pending(self) -> int:
        return max(0, self.wanted - self.installed - self.failed - self.contested - self.suppressed)


class DataplaneStatus(Struct, frozen=True):
    """What is known of the kernel."""

    state: str = "off"
    """on, off, observing (another daemon writes the rows), or unreadable: the tables of the kernel could not be read."""
    why: str = "no VNI is configured"
    not_ready: Mapping[int, tuple[str, ...]] = {}
    generation: int = 0
    """Of the intent that was applied last."""
    passes: int = 0
    troubles: Mapping[str, int] = {}
    """Rows that are not as wanted, by state."""
    converged: bool = False
    """Every row is as wanted."""
    settled: bool = False
    """Every row is as wanted, or was refused."""
    audited: float | None = None
    """When every row of ours was last looked at."""
    overruns: int = 0
    repaired: int = 0
    orphans: int = 0
    differences: Mapping[tuple[str, str], int] = {}
    """Of an observer: rows that differ from what is wanted for longer than AGE_S, by kind and reason."""


class StateFile(Struct, frozen=True):
    """A file below `state_dir`: the claims, or the routes that ExaBGP was sent."""

    name: str
    """ledger or announced."""
    octets: int = 0
    records: int = 0
    trouble: str = ""
    """Which file cannot be written or compacted, and why."""


class Status(Struct, frozen=True):
    """Everything at one moment."""

    version: str = ""
    started: float = 0.0
    generation: int = 0
    complete: bool = False
    why: str = ""
    macs: int = 0
    feed: FeedStatus = FeedStatus()
    announcing: AdvertisingStatus = AdvertisingStatus()
    dataplane: DataplaneStatus = DataplaneStatus()
    state_files: tuple[StateFile, ...] = ()
    warnings: tuple[str, ...] = ()
    """Settings that let more people reach the daemon than is usually wanted, a sentence each."""
    limits: Mapping[str, Mapping[int, str]] = {}
    """By code, the VNIs at a limit or close to it, each with a sentence."""
    silent: Mapping[str, Mapping[int, str]] = {}
    """By code, the VNIs with a note about what loses packets silently, each with a sentence."""
    duplicates: Mapping[Vni, int] = {}
    """By VNI, how many MACs move too often."""
    refusals: tuple[Refusals, ...] = ()
    """How many routes may not win, by peer, VNI and reason."""
    underlay: tuple[Problem, ...] = ()
    """What keeps packets of this leaf from remote VTEPs, or theirs from this leaf."""
    segments: tuple[Problem, ...] = ()
    """What keeps Ethernet segments of ours from being advertised."""
    devices: Mapping[str, str] = {}
    """The managed devices that are not as wanted, by name, each with the reason."""
    returned: tuple[Returned, ...] = ()
    """Routes that have one of our tunnel addresses as next hop."""
    reload_error: str = ""
    """Why the last attempt to load a configuration was refused, if it was."""
    closed: tuple[str, ...] = ()
    """Addresses of the configuration at which the daemon cannot listen, each with what is in the way."""
    kinds: Mapping[str, Counts] = {}
    """By the public name of the kind, as its descriptor has it."""
    admin: tuple[str, ...] = ()
    """Where AdminService is."""
    events: int = 0
    """The number of the latest event."""
    hostname: str = ""
    vteps: tuple[str, ...] = ()
    """Our tunnel addresses."""
    asn: int = 0
    """Of this leaf, if its configuration says so."""

    @property
    def ready(self) -> bool:
        """The picture is complete, a session confirms it or did so lately, and the kernel has it, or there is no kernel to have it.

        A row that the kernel refuses is a problem and never makes the leaf not ready: all others forward. A leaf that may not
        write at all is ready only if the kernel has every row.
        """
        dataplane = self.dataplane
        if not self.complete or not problems.has_session(self):
            return False
        if dataplane.state == "off" and not dataplane.not_ready and not self.macs:
            return True
        has_rows = dataplane.converged if dataplane.state == "off" else dataplane.settled
        return has_rows and dataplane.generation == self.generation

    @property
    def state(self) -> str:
        """ready, degraded or not-ready."""
        return problems.state(self.ready, self.all_problems)

    @property
    def all_problems(self) -> tuple[Problem, ...]:
        """What a person should mend, the worst first."""
        return problems.problems(self)

    @property
    def problems(self) -> tuple[str, ...]:
        """The same, a sentence each."""
        return problems.texts(self.all_problems)


class Sync(Struct, frozen=True, gc=False):
    """The state of a row in the kernel."""

    state: str
    reason: str = ""
    """Why it is not installed, in the codes of docs/reasons.md."""
    text: str = ""
    """What the kernel answered, or who holds the row."""
    errno: int = 0
    next_try: float | None = None
    since: float | None = None
    """Since when the row is in the kernel as it is."""
    generation: int = 0
    """Of the intent that was applied then."""


class MacStatus(Struct, frozen=True, gc=False):
    """One row of the remote MAC table."""

    vni: Vni
    mac: Mac
    vtep: Ip
    vtep_vni: Vni | None
    reason: str
    seq: int
    sticky: bool
    stale: bool
    peer: Ip
    rd: RouteDistinguisher
    segment: Esi | None
    notes: tuple[str, ...]
    alerts: tuple[str, ...]
    sync: Sync
    vteps: tuple[Ip, ...] = ()
    """The VTEPs that share its frames, if it is on a segment."""


class NeighborStatus(Struct, frozen=True, gc=False):
    """One host address behind a remote VTEP."""

    vni: Vni
    ip: Ip
    mac: Mac
    router: bool
    peer: Ip
    rd: RouteDistinguisher
    alerts: tuple[str, ...]
    sync: Sync


class VrfStatus(Struct, frozen=True):
    """A VRF of this leaf."""

    name: str
    vni: Vni
    vtep: Ip
    vxlan: str
    svi: str
    state: str
    """ready, not-ready or unknown."""
    reasons: tuple[str, ...]
    texts: tuple[str, ...]
    """What it lacks, each with the command that mends it."""
    table: int
    router_mac: Mac | None
    """Of this leaf."""
    prefixes: int
    nexthops: int
    vteps: int
    conflicts: int
    """Remote VTEPs for which routes name more than one Router's MAC."""


class PrefixStatus(Struct, frozen=True):
    """A prefix of a VRF that is reached by remote VTEPs."""

    vrf: str
    vni: Vni
    prefix: Prefix
    vteps: tuple[Ip, ...]
    nexthop: int
    reason: str
    sync: Sync


class SegmentStatus(Struct, frozen=True):
    """A remote Ethernet segment in one VNI."""

    group: SegmentGroup
    sync: Sync


class OwnSegmentVni(Struct, frozen=True):
    """What the port of a segment of ours forwards of one VNI."""

    vni: Vni
    port: str
    forwarder: Ip | None
    ours: bool
    """This leaf is the designated forwarder."""
    filter: str
    sync: Sync
    """Whether the kernel has the filter."""


class OwnSegmentStatus(Struct, frozen=True):
    """An Ethernet segment of this leaf that has a port."""

    segment: Esi
    port: str
    state: str
    reason: str
    """Why it is not advertised, if someone should mend that."""
    text: str
    """The same in words."""
    vteps: tuple[Ip, ...] = ()
    """The other VTEPs that advertise it."""
    vnis: tuple[OwnSegmentVni, ...] = ()
    left_out: int = 0
    """VNIs beyond those that one answer has."""


class NexthopStatus(Struct, frozen=True):
    """A nexthop object, or a group of them."""

    vrf: str
    vni: Vni
    id: int
    vteps: tuple[Ip, ...]
    is_v6: bool
    users: int
    sync: Sync


class RouterStatus(Struct, frozen=True):
    """A remote VTEP as a router: its MAC, and the rows that lead there."""

    vtep: Ip
    mac: Mac
    others: int
    """How many paths name another MAC for it."""
    conflict: Mac | None
    """The MAC that this route names, if another one is in use."""
    sync: Sync


class PathStatus(Struct, frozen=True):
    """One route to a prefix with its verdict."""

    verdict: str
    reason: str
    vtep: Ip
    router_mac: Mac | None
    peer: Ip
    rd: RouteDistinguisher
    label: int
    mac: Mac | None
    seq: int
    notes: tuple[str, ...]
    gateway: Ip | None = None
    local_pref: int = 100
    as_path_length: int = 0


class PrefixExplanation(Struct, frozen=True):
    """Where packets to a prefix go, and why."""

    vrf: VrfStatus
    asked: Prefix
    prefix: Prefix
    """The longest match that has a row."""
    row: PrefixStatus | None
    nexthop: NexthopStatus | None
    routers: tuple[RouterStatus, ...]
    paths: tuple[PathStatus, ...]
    left_out: int


class VtepStatus(Struct, frozen=True):
    """A remote VTEP in one VNI."""

    vni: Vni
    vtep: Ip
    macs: int
    flood: bool
    sync: Sync | None
    """Of the flood row."""
    notes: tuple[str, ...] = ()


class VniStatus(Struct, frozen=True):
    """One configured VNI."""

    vni: Vni
    bridge: str
    vxlan: str
    vtep: Ip
    state: str
    """ready, not-ready, unbound, or unknown: its devices were not read yet."""
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    import_rt: tuple[str, ...]
    export_rt: tuple[str, ...]
    macs: Counts
    macs_stale: int
    vteps: int
    neighbors: int
    duplicates: int
    limited: int = 0
    """MACs that have no row because the VNI is full."""
    vteps_limited: int = 0
    """VTEPs that have no flood row because the VNI is full."""
    refused: int = 0
    """Routes that may not win."""
    vteps_used: float = 0.0
    """Flood rows as a share of `limits.vteps_per_vni`."""


class CandidateStatus(Struct, frozen=True):
    """One route that was judged for a MAC, or our own station with that MAC."""

    vni: Vni
    vtep: Ip
    verdict: str
    reason: str
    text: str
    seq: int
    sticky: bool
    stale: bool
    peer: Ip
    rd: RouteDistinguisher
    ip: Ip | None = None
    segment: Esi = NO_SEGMENT
    label: int = 0
    targets: tuple[RouteTarget, ...] = ()
    notes: tuple[str, ...] = ()
    port: str = ""
    """The bridge port of our own station; empty for a route."""


class RouteVerdict(Struct, frozen=True, gc=False):
    """What became of a route in one VNI."""

    vni: Vni
    """Of this leaf, or the route's own where none of ours matched."""
    verdict: str
    """won, lost or refused."""
    reason: str
    text: str = ""
    """Why it was refused, in a sentence."""


class RouteStatus(Struct, frozen=True, kw_only=True):
    """One route that a peer has sent, or that this leaf advertises."""

    type: int
    """As RFC 7432 and RFC 9136 number them."""
    rd: RouteDistinguisher
    advertised: bool = False
    """It is ours."""
    peer: Ip | None = None
    tag: int = 0
    mac: Mac | None = None
    ip: Ip | None = None
    """The host address of a Type-2 route, or the gateway of a Type-5 route."""
    prefix: str = ""
    esi: Esi = NO_SEGMENT
    originator: Ip | None = None
    vtep: Ip | None = None
    """The next hop; of a Type-3 route the endpoint of its floods."""
    label: int = 0
    label2: int | None = None
    seq: int = 0
    sticky: bool = False
    targets: tuple[RouteTarget, ...] = ()
    attributes: tuple[str, ...] = ()
    state: str = ""
    """Received: current or stale. Advertised: waiting, sent, confirmed, refused or leaving."""
    verdicts: tuple[RouteVerdict, ...] = ()
    """Of a received route of type 2 or 3, by VNI; none as long as it was not judged."""
    since: float | None = None
    error: str = ""
    """Why ExaBGP refused to advertise it."""


class StationStatus(Struct, frozen=True):
    """One MAC at a port of this leaf."""

    vni: Vni
    mac: Mac
    port: str
    vlan: int | None
    hosts: tuple[Ip, ...]
    seq: int
    sticky: bool
    gateway: bool
    state: str
    """confirmed (ExaBGP advertises it), sent, waiting, refused, leaving, lost (a remote VTEP has the MAC), or not-advertised."""
    reason: str = ""
    """Why it is no further; empty for a confirmed one."""
    since: float | None = None
    """When ExaBGP confirmed it."""
    vtep: Ip | None = None
    """Where the MAC is instead, if it is lost."""


class KernelRow(Struct, frozen=True):
    """What the kernel has for a MAC, as last seen."""

    state: str
    """absent, ours, foreign or unknown."""
    vtep: Ip | None = None
    holder: str = ""
    seen: float | None = None


class Explanation(Struct, frozen=True):
    """Where a MAC of a VNI is, or where it stopped on its way to the kernel."""

    vni: Vni
    mac: Mac
    summary: str
    advice: str
    candidates: tuple[CandidateStatus, ...]
    desired: MacStatus | None
    ownership: str
    """none, claimed (in the ledger, but not seen in the kernel yet) or owned."""
    owned_since: float | None
    kernel: KernelRow
    alerts: tuple[str, ...] = ()
    moves: int = 0
    moved_between: tuple[Ip, ...] = ()
    """The VTEPs of these moves, the first of them first; ours for a port of this leaf."""
    duplicate_since: float | None = None
    vni_state: str = "unknown"
    """As in the status of a VNI; unknown also for a VNI that is not configured."""
    vni_reasons: tuple[str, ...] = ()
    candidates_left_out: int = 0
    """How many more candidates there are than are shown."""
    station: StationStatus | None = None
    """The station of this leaf with that MAC, if a bridge has learned it."""
    advertised_to: tuple[Ip, ...] = ()
    """The established sessions, to which ExaBGP advertises what it has confirmed."""


class Explanations(Struct, frozen=True):
    """A MAC in each VNI where something is known of it."""

    explanations: tuple[Explanation, ...]
    left_out: int = 0
    """In how many more VNIs something is known of it."""


class HostExplanation(Struct, frozen=True):
    """What is known of an IP address in one VNI."""

    vni: Vni
    ip: Ip
    summary: str
    advice: str
    mac: Mac | None
    """The MAC that has the address."""
    vtep: Ip | None
    """Where that MAC is, if it is remote."""
    neighbor: NeighborStatus | None
    """The neighbor row that is wanted."""
    station: StationStatus | None
    """The station of this leaf that has the address."""
    routes: tuple[RouteStatus, ...]
    """The routes that name it."""
    refusals: tuple[tuple[Mac, Ip, str], ...]
    """Routes whose address gives no row: the MAC, the peer and the reason."""
    answers: str
    """Whether the bridge answers ARP and ND for remote hosts of the VNI: yes, or no and why."""
    vni_state: str = "unknown"
    vni_reasons: tuple[str, ...] = ()


class HostExplanations(Struct, frozen=True):
    """An address in each VNI where something is known of it."""

    explanations: tuple[HostExplanation, ...]
    vtep: str = ""
    """What the address is, if it is that of a VTEP."""
    left_out: int = 0
    """In how many more VNIs something is known of it."""
    routes_left_out: int = 0


class Difference(Struct, frozen=True):
    """One row that is not as wanted."""

    kind: str
    vni: Vni
    key: str
    difference: str
    """missing, different, unwanted or contested."""
    wanted: str = ""
    there: str = ""
    reason: str = ""
    text: str = ""
    """What the kernel said, or what the row waits for."""
    since: float | None = None
    """When the row was first seen not as wanted."""


class Comparison(Struct, frozen=True):
    """What is wanted compared with what the kernel has."""

    differences: tuple[Difference, ...]
    left_out: int
    compared: int
    generation: int
