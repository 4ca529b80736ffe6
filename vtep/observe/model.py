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
    """The neighbor's address, as `feed.peers` names it."""
    up: bool
    """Its BGP session is established, as far as the feed has reported."""
    ended: bool
    """It has sent its whole table in its present or last session: by End-of-RIB (RFC 4724 section 2), or by a complete
    refresh."""
    routes: int
    """All its routes that are kept, of every type; the stale ones are among them."""
    stale: int
    """Those of a session that has ended. They count until they come again, are withdrawn, or their time is over."""
    limited: int
    """Routes that are not kept, because it already has as many as `limits.routes_per_peer` allows."""
    refresh: str
    """Whether it sends all its routes again: "asked" (it has not begun), "running", or empty."""
    reason: str
    """Why it is down, and why our side ended its last session."""
    opened: float | None = None
    """When its last session began, or when the daemon learned of an older one; None if there was
    none."""
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
    """What it offered, in seconds. The session uses the lower one of this and what our side offers (RFC 4271 4.2)."""
    families: tuple[str, ...] = ()
    """The address families that it offered, such as "l2vpn evpn". Without that one it sends no EVPN route."""
    messages: int = 0
    """How many messages came from it since the daemon started."""
    error: str = ""
    """Why its last session ended, or was not established, in words."""
    form: str = ""
    """How its UPDATEs came: "octets", "parsed", or none came yet."""
    feed: str = "exabgp"
    """Who reports it: "exabgp", or "bmp" for a router."""


class Reporter(Struct, frozen=True):
    """One router that reports by BMP."""

    name: str
    address: str
    description: str
    peers: int
    """How many peers it reports, without those that another router has already."""
    ignored: Mapping[str, int] = {}
    """Messages without effect, by why: another table, a peer of another router, a peer with ADD-PATH, an odd type."""


class FeedStatus(Struct, frozen=True):
    """What is received from ExaBGP."""

    attached: bool = False
    """ExaBGP is connected; if BMP alone is the feed, a router is."""
    form: str = ""
    """How UPDATEs are handed on: "octets", "parsed", or that is not known."""
    lines: int = 0
    """How many were handled since the start of the daemon."""
    bad_lines: int = 0
    """Lines that could not be read. Such a line may have had routes, so we request those of its peer again."""
    gaps: int = 0
    """How often lines of a peer were lost. After each gap we request all routes of that peer again, if it can
    refresh."""
    backlog: int = 0
    """Lines that were read and wait to be handled."""
    last_line: float | None = None
    """When the last line came; None if none came yet."""
    bmp: str = ""
    """Where routers report by BMP; empty if ExaBGP alone is the feed."""
    exabgp: bool = True
    """ExaBGP is the feed, or one beside routers."""
    table: str = "post-policy"
    """Which of their tables is taken."""
    peers: tuple[PeerStatus, ...] = ()
    """Every peer that was seen or that `feed.peers` names, by rising address."""
    awaited: int = 0
    """Peers whose End-of-RIB makes the picture complete."""
    reporters: tuple[Reporter, ...] = ()
    """The routers that are connected."""
    ignored: Mapping[str, int] = {}
    """How many messages of routers had no effect, by why, since the start of the daemon."""
    forgotten_peers: int = 0
    """Peers that were down and are no longer known, because very many came later."""

    @property
    def is_exabgp_away(self) -> bool:
        return self.exabgp and not self.attached

    @property
    def is_router_away(self) -> bool:
        """No router reports, and some should."""
        return bool(self.bmp) and not (self.reporters if self.exabgp else self.attached)


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
    """As the intent has them, whether the kernel has them or not."""
    installed: int = 0
    """They are in the kernel as wanted, as far as is known. A row that is no longer wanted does not count."""
    failed: int = 0
    """The kernel refused them for now, and they are tried again."""
    contested: int = 0
    """Another program or a local station has them, and we do not overwrite what is not ours."""
    suppressed: int = 0
    """They are not tried: their VNI cannot have them (it has no bridge, for example), or the kernel refused them
    permanently."""

    @property
    def pending(self) -> int:
        return max(0, self.wanted - self.installed - self.failed - self.contested - self.suppressed)


class DataplaneStatus(Struct, frozen=True):
    """What is known of the kernel."""

    state: str = "off"
    """on, off, observing (another daemon writes the rows), or unreadable: the tables of the kernel could not be read."""
    why: str = "no VNI is configured"
    """Why the state is not on."""
    not_ready: Mapping[int, tuple[str, ...]] = {}
    """By VNI, why its devices are not fit for rows, in the codes of docs/reasons.md. The other VNIs are written all the
    same."""
    mends: Mapping[int, str] = {}
    """What is wrong with the devices of such a VNI in a sentence, with the command that mends the first of it."""
    of_vrfs: frozenset[int] = frozenset()
    """Those of these VNIs that are the L3VNIs of VRFs."""
    generation: int = 0
    """Of the intent that was applied last."""
    passes: int = 0
    """The number of the latest pass, counted from the start of the daemon."""
    troubles: Mapping[str, int] = {}
    """Rows that are not as wanted, by state."""
    converged: bool = False
    """Every row is as wanted."""
    settled: bool = False
    """Every row is as wanted, or was refused."""
    audited: float | None = None
    """When every row of ours was last looked at."""
    overruns: int = 0
    """How often the kernel dropped netlink events because they were not read in time. After each, the kernel is read
    again."""
    repaired: int = 0
    """Rows of ours that another program changed and that were written again, since the start of the daemon."""
    orphans: int = 0
    """MAC rows with our signature that are neither wanted nor claimed. They stay until an operator claims them
    with `vtep adopt`."""
    differences: Mapping[tuple[str, str], int] = {}
    """Of an observer: rows that differ from what is wanted for longer than AGE_S, by kind and reason."""


class StateFile(Struct, frozen=True):
    """A file below `state_dir`: the claims, or the routes that ExaBGP was sent."""

    name: str
    """ledger or announced."""
    octets: int = 0
    """Its size, which grows with each record until the file is compacted."""
    records: int = 0
    """How many are in it. A claim that changed several times has several, until the file is compacted."""
    trouble: str = ""
    """Which file cannot be written or compacted, and why."""


class Status(Struct, frozen=True):
    """Everything at one moment."""

    version: str = ""
    """Of the daemon, which may be older than the command that shows it."""
    started: float = 0.0
    """When the daemon started."""
    generation: int = 0
    """Of the latest intent. If `dataplane.generation` is lower, the kernel does not have that intent yet."""
    complete: bool = False
    """Every expected peer has sent all its routes, or the time to wait for them is over. Until then
    deletions are held, because a missing route may still come."""
    why: str = ""
    """Why the picture is complete or not, in words."""
    macs: int = 0
    """Rows of the remote MAC table, in all VNIs."""
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
    """One of the states above."""
    reason: str = ""
    """Why it is not installed, in the codes of docs/reasons.md."""
    text: str = ""
    """What the kernel answered, or who holds the row."""
    errno: int = 0
    """The number of the kernel's answer, as in errno(3); 0 if it refused nothing."""
    next_try: float | None = None
    """When the row is tried again; None if no time is set for that."""
    since: float | None = None
    """Since when the row is in the kernel as it is."""
    generation: int = 0
    """Of the intent that was applied then."""


class MacStatus(Struct, frozen=True, gc=False):
    """One row of the remote MAC table."""

    vni: Vni
    mac: Mac
    vtep: Ip
    """Where its frames go. For a MAC on a segment this is the first of `vteps`."""
    vtep_vni: Vni | None
    """The VNI in the frames, if it is not the VNI of the table (a locally assigned VNI, RFC 8365 5.1.3)."""
    reason: str
    """The rule by which this location won, as a code of docs/reasons.md."""
    seq: int
    """The sequence number of the MAC Mobility community of the winning route; 0 without one (RFC 7432 15)."""
    sticky: bool
    """It must not move, by its route: it is static (RFC 7432 15.2) or a default gateway."""
    stale: bool
    """All routes to this location are of sessions that have ended. The row stays as long as a route is kept."""
    peer: Ip
    """Who sent the winning route. With a route reflector that is the reflector, and not the leaf of the MAC."""
    rd: RouteDistinguisher
    """Of the winning route; it usually names the leaf of the MAC and its VNI."""
    segment: Esi | None
    """The Ethernet segment that it is on; None if it is behind one VTEP alone."""
    notes: tuple[str, ...]
    """What works and should be looked at all the same, as codes of docs/reasons.md."""
    alerts: tuple[str, ...]
    """What an operator should know, such as `dup-frozen`; each code once, however many VTEPs cause it."""
    sync: Sync
    vteps: tuple[Ip, ...] = ()
    """The VTEPs that share its frames, if it is on a segment."""


class NeighborStatus(Struct, frozen=True, gc=False):
    """One host address behind a remote VTEP."""

    vni: Vni
    ip: Ip
    """The address for which the bridge answers ARP or ND in place of the remote host."""
    mac: Mac
    """What it answers with."""
    router: bool
    """The host is a router, as the flags of its route say (RFC 9047); a Neighbor Advertisement for it says so as
    well."""
    peer: Ip
    rd: RouteDistinguisher
    alerts: tuple[str, ...]
    """`immutable`: another MAC claims the address, which its owner marks as one that does not move (RFC 9047)."""
    sync: Sync


class VrfStatus(Struct, frozen=True):
    """A VRF of this leaf."""

    name: str
    vni: Vni
    """Its L3VNI, which is the VNI of the packets between the routers."""
    vtep: Ip
    """Our tunnel address for it."""
    vxlan: str
    """The name of the device that has the L3VNI."""
    svi: str
    """The name of the device by which the VRF reaches the L3VNI; our nexthops leave by it."""
    state: str
    """ready, not-ready or unknown."""
    reasons: tuple[str, ...]
    """Why it is not ready, in the codes of docs/reasons.md; empty if it is."""
    texts: tuple[str, ...]
    """What it lacks, each with the command that mends it."""
    table: int
    """The number of its routing table in the kernel; as long as its devices were not read, the one that is
    configured."""
    router_mac: Mac | None
    """The Router's MAC of this leaf, which it puts into its own routes (RFC 9135 8.1); None if the devices are not
    ready."""
    prefixes: int
    """Prefixes that have a row."""
    nexthops: int
    """Nexthop objects, groups included. Prefixes that are reached by the same VTEPs share one."""
    vteps: int
    """Remote VTEPs to which packets of this VRF go."""
    conflicts: int
    """Remote VTEPs for which routes name more than one Router's MAC."""
    limited: int = 0
    """Prefixes that have no row only because the VRF is full."""


class PrefixStatus(Struct, frozen=True):
    """A prefix of a VRF that is reached by remote VTEPs."""

    vrf: str
    vni: Vni
    """The L3VNI of the VRF."""
    prefix: Prefix
    vteps: tuple[Ip, ...]
    """The VTEPs among which its flows are spread (ECMP), by rising address."""
    nexthop: int
    """The identifier of the kernel's nexthop or group, as `ip nexthop show id` takes it."""
    reason: str
    """The rule by which its paths won, as a code of docs/reasons.md."""
    sync: Sync


class SegmentStatus(Struct, frozen=True):
    """A remote Ethernet segment in one VNI."""

    group: SegmentGroup
    sync: Sync


class OwnSegmentVni(Struct, frozen=True):
    """What the port of a segment of ours forwards of one VNI."""

    vni: Vni
    port: str
    """The port of the bridge: that of the segment, or a VLAN device on it."""
    forwarder: Ip | None
    """The VTEP that was elected (RFC 7432 8.5, RFC 8584); None if none is known."""
    ours: bool
    """This leaf is the designated forwarder."""
    filter: str
    """Which frames pass the port: `standby` none at all; of flooded ones `joining` none in either direction, `non-df` none from the tunnel, `df` all
    but those of the segment's other VTEPs."""
    sync: Sync
    """Whether the kernel has the filter."""


class OwnSegmentStatus(Struct, frozen=True):
    """An Ethernet segment of this leaf that has a port."""

    segment: Esi
    port: str
    """The port that is configured for the segment, usually a bond."""
    state: str
    """down, starting (its filters are not confirmed), waiting (for `df_wait_s`), or forwarding. It is advertised in the
    last two."""
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
    """Its identifier in the kernel, as `ip nexthop show id` takes it."""
    vteps: tuple[Ip, ...]
    """One for a nexthop, several for a group."""
    is_v6: bool
    """Its gateway is written as an IPv6 address. An IPv4 VTEP is then written as an IPv4-mapped one."""
    users: int
    """How many prefixes and groups name it. At 0 it is removed."""
    sync: Sync


class RouterStatus(Struct, frozen=True):
    """A remote VTEP as a router: its MAC, and the rows that lead there."""

    vtep: Ip
    mac: Mac
    """Where packets for it are sent inside the tunnel. In a VRF, all prefixes of a VTEP share one MAC."""
    others: int
    """How many paths name another MAC for it."""
    conflict: Mac | None
    """The MAC that this route names, if another one is in use."""
    sync: Sync
    """Of its FDB row and its neighbor row, the one that is not as wanted; both are needed."""


class PathStatus(Struct, frozen=True):
    """One route to a prefix with its verdict."""

    verdict: str
    """won, lost or refused."""
    reason: str
    """The rule that decided it, as a code of docs/reasons.md."""
    vtep: Ip
    """Where it leads. If it has a gateway, this is the VTEP of that host, and if it has a segment, one that has the segment."""
    router_mac: Mac | None
    """The Router's MAC of the VTEP, as the route or that of its gateway names it; None if it names none."""
    peer: Ip
    rd: RouteDistinguisher
    label: int
    """As the route has it, which with VXLAN is the L3VNI."""
    mac: Mac | None
    """The host's own MAC, if it is a Type-2 route; None for a Type-5 route."""
    seq: int
    """The sequence number of a Type-2 route; 0 for a Type-5 route."""
    notes: tuple[str, ...]
    gateway: Ip | None = None
    """The host that a Type-5 route names as its gateway (RFC 9136 3.2); None if it names none."""
    segment: Esi | None = None
    """The Ethernet segment that a Type-5 route names; None if it names none."""
    local_pref: int = 100
    """LOCAL_PREF; 100 where the route has none. The highest is best."""
    as_path_length: int = 0
    """The shortest is best among routes of equal LOCAL_PREF (RFC 4271 9.1)."""
    origin: int = 0
    """0 IGP, 1 EGP, 2 incomplete; the lowest is best among AS paths of equal length."""
    med: int = 0
    """The lowest is best among routes of one neighboring AS that are equal otherwise."""


class PrefixExplanation(Struct, frozen=True):
    """Where packets to a prefix go, and why."""

    vrf: VrfStatus
    asked: Prefix
    """What the reader named; an address is a prefix of full length."""
    prefix: Prefix
    """The longest match that has a row; the prefix that was asked if there is none, or if its own routes were all
    refused."""
    row: PrefixStatus | None
    """None if the VRF has no row for it: vtep then directs its packets nowhere."""
    nexthop: NexthopStatus | None
    routers: tuple[RouterStatus, ...]
    """One for each path of the row: what must be in the kernel besides the nexthop."""
    paths: tuple[PathStatus, ...]
    """Every route to the prefix that concerns this VRF, or that no VRF imports."""
    left_out: int
    """How many more routes there are than are shown."""

    @property
    def summary(self) -> str:
        """Say in one sentence where packets go."""
        if self.row is None:
            refused = sum(path.verdict == "refused" for path in self.paths)
            why = f"all of its {refused} routes are refused" if refused else "no peer advertises a route for it"
            return f"{self.prefix} in VRF {self.vrf.name} has no route of ours: {why}."
        vteps = " and ".join(map(str, self.row.vteps))
        of = "" if self.prefix == self.asked else f", which matches {self.asked},"
        where = f"Packets to {self.prefix}{of} in VRF {self.vrf.name} go to {vteps}"
        if self.vrf.state == "not-ready":
            return f"{where}, once the VRF is ready: {'; '.join(self.vrf.texts)}."
        missing = [str(router.vtep) for router in self.routers if router.sync.state != INSTALLED]
        if self.row.sync.state != INSTALLED:
            return f"{where}, and the route is {self.row.sync.state}: {self.row.sync.text or self.row.sync.reason}."
        return f"{where}, and the rows of the router are missing for {', '.join(missing)}." if missing else f"{where}."


class VtepStatus(Struct, frozen=True):
    """A remote VTEP in one VNI."""

    vni: Vni
    vtep: Ip
    macs: int
    """How many MACs of the VNI are behind it. One that is on a segment counts for one of its VTEPs."""
    flood: bool
    """It has a flood row, so floods of the VNI go to it; without one it gets known unicast only."""
    sync: Sync | None
    """Of the flood row."""
    notes: tuple[str, ...] = ()


class VniStatus(Struct, frozen=True):
    """One configured VNI."""

    vni: Vni
    bridge: str
    vxlan: str
    vtep: Ip
    """Our tunnel address in it."""
    state: str
    """ready, not-ready, unbound, or unknown: its devices were not read yet."""
    reasons: tuple[str, ...]
    """Why it is not ready, in the codes of docs/reasons.md; empty if it is."""
    notes: tuple[str, ...]
    """What works and should be looked at all the same, each as a code and a sentence."""
    import_rt: tuple[str, ...]
    """A route is imported into this VNI only if it has one of these Route Targets."""
    export_rt: tuple[str, ...]
    """Those that our own routes of this VNI have."""
    macs: Counts
    macs_stale: int
    """Rows whose route is of a session that has ended."""
    vteps: int
    """Remote VTEPs that have a flood row or a MAC in it."""
    neighbors: int
    """Host addresses behind remote VTEPs, IPv4 and IPv6 together."""
    duplicates: int
    """MACs that move too often."""
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
    """The local VNI that it was judged for, or the route's own where none matched."""
    vtep: Ip
    """The next hop of the route; for our own station our tunnel address."""
    verdict: str
    """won, lost or refused."""
    reason: str
    """The rule that decided it, as a code of docs/reasons.md."""
    text: str
    """The reason in a sentence."""
    seq: int
    sticky: bool
    """Static (RFC 7432 15.2) or a default gateway."""
    stale: bool
    peer: Ip
    """Who sent the route; for our own station our tunnel address."""
    rd: RouteDistinguisher
    ip: Ip | None = None
    """The host address in the route; None if it names a MAC alone."""
    segment: Esi = NO_SEGMENT
    label: int = 0
    """The raw label, which with VXLAN is the VNI that its sender uses."""
    targets: tuple[RouteTarget, ...] = ()
    """The Route Targets of the route, which show why a VNI imports it or does not."""
    notes: tuple[str, ...] = ()
    """Codes of docs/reasons.md: what is odd about it, and why its host address gives no row if it gives none."""
    port: str = ""
    """The bridge port of our own station; empty for a route."""
    since: float | None = None
    """When the route was received as it is now; None for our own station, and if that is not known."""
    received_before: float | None = None
    """If `since` is not known of a route: it was received as it is now before this."""


class RouteVerdict(Struct, frozen=True, gc=False):
    """What became of a route in one VNI."""

    vni: Vni
    """Of this leaf, or the route's own where none of ours matched."""
    verdict: str
    """won, lost or refused."""
    reason: str
    """The rule that decided it, as a code of docs/reasons.md."""
    text: str = ""
    """Why it was refused, in a sentence."""


class RouteStatus(Struct, frozen=True, kw_only=True):
    """One route that a peer has sent, or that this leaf advertises."""

    type: int
    """As RFC 7432 and RFC 9136 number them: 1 Ethernet A-D, 2 MAC/IP, 3 inclusive multicast, 4 segment, 5 prefix."""
    rd: RouteDistinguisher
    advertised: bool = False
    """It is ours."""
    peer: Ip | None = None
    """Who sent it; None for a route of this leaf."""
    tag: int = 0
    """The Ethernet Tag ID: 0 unless the service is VLAN-aware (RFC 7432 6), and all ones in a Type-1 route per
    segment."""
    mac: Mac | None = None
    """Of a Type-2 route; None for the others."""
    ip: Ip | None = None
    """The host address of a Type-2 route, or the gateway of a Type-5 route."""
    prefix: str = ""
    """Of a Type-5 route; empty for the others."""
    esi: Esi = NO_SEGMENT
    originator: Ip | None = None
    """The Originating Router's IP Address of a Type-3 or Type-4 route."""
    vtep: Ip | None = None
    """The next hop; of a Type-3 route the endpoint of its floods."""
    label: int = 0
    """The raw label, which with VXLAN is a VNI. A Type-3 route has it in its PMSI attribute."""
    label2: int | None = None
    """The second label of a Type-2 route, which is the L3VNI of its host (RFC 9135); None if it has one label."""
    seq: int = 0
    sticky: bool = False
    targets: tuple[RouteTarget, ...] = ()
    """Its Route Targets, which decide the VNIs and VRFs that import it."""
    attributes: tuple[str, ...] = ()
    """What else its attributes say, a word each, such as "encap:vxlan" or "router-mac:02:00:00:00:00:01"."""
    state: str = ""
    """Received: current or stale. Advertised: waiting, sent, confirmed, refused or leaving."""
    verdicts: tuple[RouteVerdict, ...] = ()
    """Of a received route of type 2 or 3, by VNI; none as long as it was not judged."""
    since: float | None = None
    """When it was received as it is now, or when ExaBGP confirmed it; None if that is not known."""
    received_before: float | None = None
    """If `since` is not known of a received route: it was received as it is now before this."""
    error: str = ""
    """Why ExaBGP refused to advertise it."""


class StationStatus(Struct, frozen=True):
    """One MAC at a port of this leaf."""

    vni: Vni
    mac: Mac
    port: str
    """The bridge port behind which the MAC is."""
    vlan: int | None
    """The VLAN of its VNI on a VLAN-aware bridge; None without one."""
    hosts: tuple[Ip, ...]
    """Its addresses, by rising address. Each is advertised in a Type-2 route of its own."""
    seq: int
    """The sequence number with which it is advertised (RFC 7432 15)."""
    sticky: bool
    """An operator made its FDB entry static, so it is advertised as one that must not move (RFC 7432 15.2)."""
    gateway: bool
    """It is the bridge itself, the gateway of the other stations."""
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
    """absent, ours, foreign (it is not ours) or unknown (it was not read, or its devices are not fit)."""
    vtep: Ip | None = None
    """Where it points; None if it points to a port of this leaf, or if it is not known."""
    holder: str = ""
    """Who holds the row if it is not ours, as a part of a sentence."""
    seen: float | None = None
    """When the row was last written or looked at; None if it never was."""


class Explanation(Struct, frozen=True):
    """Where a MAC of a VNI is, or where it stopped on its way to the kernel."""

    vni: Vni
    mac: Mac
    summary: str
    """The answer in one sentence: where the MAC is, or at which stage it stopped and why."""
    advice: str
    """What to do, with the command where there is one; empty if nothing needs to be done."""
    candidates: tuple[CandidateStatus, ...]
    """The routes that were judged and our own station, the winner first and those that were refused last."""
    desired: MacStatus | None
    """The row that is wanted; None if the MAC is here, or if no route won."""
    ownership: str
    """none, claimed (in the ledger, but not seen in the kernel yet) or owned."""
    owned_since: float | None
    """Since when the kernel has our row as it is; None if no row is ours, or if that is not known."""
    kernel: KernelRow
    alerts: tuple[str, ...] = ()
    moves: int = 0
    """How often it moved within `duplicates.window_s`."""
    moved_between: tuple[Ip, ...] = ()
    """The VTEPs of these moves, the first of them first; ours for a port of this leaf."""
    duplicate_since: float | None = None
    """When it had moved too often (RFC 7432 15.1); None if it has not, or if it was cleared."""
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
    """The answer in one sentence: who has the address, and what became of it."""
    advice: str
    """What to do; empty if nothing needs to be done."""
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
    """How many more routes name it than are shown."""


class Difference(Struct, frozen=True):
    """One row that is not as wanted."""

    kind: str
    """The public name of the kind of row, such as mac or flood."""
    vni: Vni
    key: str
    """What the row is about, in words; for a MAC row the MAC."""
    difference: str
    """missing, different, unwanted or contested."""
    wanted: str = ""
    """What the row should be, in words; empty if there should be none."""
    there: str = ""
    """What the kernel has, or who holds it; empty if it has nothing."""
    reason: str = ""
    """Why it was not repaired yet, as a code of docs/reasons.md; empty if it is only on its way."""
    text: str = ""
    """What the kernel said, or what the row waits for."""
    since: float | None = None
    """When the row was first seen not as wanted."""


class Comparison(Struct, frozen=True):
    """What is wanted compared with what the kernel has."""

    differences: tuple[Difference, ...]
    left_out: int
    """How many more differences there are than are listed."""
    compared: int
    """How many rows were compared; 0 also if the daemon has no kernel to compare with."""
    generation: int
    """Of the intent that the kernel was compared with."""


class DeviceDifference(Struct, frozen=True):
    """One thing of a device that is not as wanted, or that keeps something from being written."""

    what: str
    """What is there and what is wanted, such as `mtu 1500 -> 1450`."""
    command: str = ""
    """Does by hand what is missing; empty if the row is named below `why` alone."""
    state: str = ""
    """pending, failed, suppressed, contested, held or blocked; empty if the next look writes it."""
    why: str = ""
    """The reason, and what the kernel said, if it is one of these states."""
    next_try: float | None = None


class DeviceWrite(Struct, frozen=True):
    """One change of a device that this life of the daemon has sent."""

    time: float
    command: str
    """Does the same by hand."""
    errno: int = 0
    """0 if the kernel took it."""
    error: str = ""


class DeviceExplanation(Struct, frozen=True):
    """What is wanted of a device, what is there, and whose it is."""

    device: str
    summary: str
    """What is so in one sentence."""
    advice: str = ""
    """What to do, with the command; empty if nothing needs to be done."""
    owner: str = ""
    """made (by vtep), adopted, claimed (its making was not finished), foreign (wanted, and another program made it),
    unmanaged (configured, and `manage` is off), unknown (not configured), or absent."""
    since: float | None = None
    """Since when this life of the daemon knows that the device is there and ours."""
    wanted: str = ""
    """What it must be, in the words of `ip link`; empty if nothing is wanted."""
    there: str = ""
    """What it is; empty if it is not there."""
    alias: str = ""
    differences: tuple[DeviceDifference, ...] = ()
    right: tuple[str, ...] = ()
    """The settings that are as wanted, each with its value."""
    vnis: tuple[Vni, ...] = ()
    """The VNIs that use it, at most twenty."""
    vnis_left_out: int = 0
    faults: tuple[str, ...] = ()
    """Why a VNI of these is not ready, each with the command that mends it."""
    written: DeviceWrite | None = None
    """The last change that the kernel took."""
    refused: DeviceWrite | None = None
    """The last change that the kernel refused."""
