"""The waist: all rows that this leaf should have, in the words of the overlay, as one immutable value.

The parts before this one (`evpn`, `projection`) decide what BGP means; the parts after it (`reconcile`, `linux`, `local`)
decide what the kernel and ExaBGP need for it. Both sides know only this module. It knows no peer session and no device.

Each kind of row has a table, and beside the table the keys that changed since the intent before: a hint for a reader that
applied that one. `Intent.macs` is the RemoteMacTable, with one row for a (VNI, MAC), iterated in that order. `Intent.own` has
what this leaf advertises. A MAC is in one of the two, never in both.

A row is a decision, and `Intent.judged` has the verdicts behind it: one for each route and each station of ours.

A MAC is a key. What is decided of it does not name it, so all MACs of which the routes say the same share one `RemoteMac` and
one tuple of candidates. A reader may therefore handle them together: rows that are the same object need the same work.
`row_changes` puts together what changed in the same way:

    100,000 MACs move from VTEP A to B     ->   [RowChange(before=to A, after=to B, keys=100,000 of (VNI, MAC))]
"""

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import chain, islice
from typing import Final, Protocol, TypeAlias

from msgspec import Struct, structs

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, Prefix, RouteDistinguisher, Vni
from vtep.store.table import Table

RowKey: TypeAlias = tuple[Vni, Mac]
FloodKey: TypeAlias = tuple[Vni, Ip, Vni]
"""Our VNI, the VTEP, and the VNI in the frames, which is ours unless the VTEP asked for another."""
HostKey: TypeAlias = tuple[Vni, Ip]
OwnKey: TypeAlias = tuple[Vni, Mac, Ip | None]
"""One entry has None for the address: the MAC alone, which is a Type-2 route without an IP address."""


class Direct(Struct, frozen=True, gc=False):
    """Frames go to one VTEP."""

    vtep: Ip
    vni: Vni | None = None
    """The VNI in the frames, if it is not the table's own (downstream VNI)."""


class Group(Struct, frozen=True, gc=False):
    """Frames go to the VTEPs of an Ethernet segment, whichever these are: `Intent.groups` has them."""

    segment: Esi
    primary: Ip | None = None
    """In single-active mode, the VTEP that advertises the MAC; it has all frames as long as the segment is up there."""


Via: TypeAlias = Direct | Group

GroupKey: TypeAlias = tuple[Vni, Esi, bytes]
"""The VNI, the segment, and the primary VTEP, which is empty in all-active mode; or `BACKUP` in its place."""
BACKUP: Final = b"\0"
"""In a GroupKey: the other VTEPs of a segment of ours, which take over when our port fails."""


class RemoteMac(Struct, frozen=True, gc=False):
    """A MAC of this VNI is behind that VTEP, for this reason. Many MACs share one value, and the key says which MAC it is."""

    vni: Vni
    via: Via
    """Where its frames go: to one VTEP, or to a group that all MACs of a segment in this VNI share."""
    reason: str
    """The rule by which this location won, as a code of docs/reasons.md."""
    seq: int
    """The highest sequence number among the routes to this location (RFC 7432 15); 0 if they have none."""
    sticky: bool
    """Sticky or a default gateway: a higher sequence elsewhere does not move it."""
    stale: bool
    """All routes to this location are of sessions that have ended; one current route makes it false."""
    peer: Ip
    """Who sent the first of these routes. With a route reflector it is the reflector."""
    rd: RouteDistinguisher
    """Of the same route."""
    segment: Esi | None = None
    """The Ethernet segment that it is on; then it moves only when it leaves the segment."""
    notes: tuple[str, ...] = ()
    """What works and should be looked at all the same, as codes of docs/reasons.md."""
    advertisers: tuple[Ip, ...] = ()
    """For a group: the VTEPs that advertise the MAC. The first one has the route that stands for the segment."""

    @property
    def location(self) -> bytes:
        """Return what must change for the MAC to have moved: the segment, or the VTEP."""
        return self.segment or self.vtep

    @property
    def vtep(self) -> Ip:
        """The VTEP, or for a group the one whose route stands for the segment."""
        return self.via.vtep if isinstance(self.via, Direct) else self.advertisers[0]

    @property
    def vtep_vni(self) -> Vni | None:
        """The VNI in the frames, if it is not the table's own."""
        return self.via.vni if isinstance(self.via, Direct) else None

    @property
    def group(self) -> GroupKey | None:
        """The key of its group, if it has one."""
        via = self.via
        return None if isinstance(via, Direct) else (self.vni, via.segment, via.primary or b"")


class GroupUse(Struct, frozen=True, gc=False):
    """What uses a group, which decides whether there is one, and by which VTEPs it may go."""

    macs: int = 0
    """How many rows name the group. At 0 the group is removed."""
    advertisers: tuple[tuple[Ip, int], ...] = ()
    """How many of these MACs each VTEP advertises."""


class Outside(Struct, frozen=True, gc=False):
    """A VTEP that names a segment in its routes and is not used for it."""

    vtep: Ip
    reason: str
    """A code of docs/reasons.md."""


class SegmentGroup(Struct, frozen=True, gc=False):
    """The VTEPs by which the MACs of one VNI on one Ethernet segment are reached."""

    vni: Vni
    segment: Esi
    primary: Ip | None
    """In single-active mode, the VTEP that advertises the MACs; None in all-active mode."""
    number: int
    """The identifier of the kernel's group, in a range that begins at `FDB_GROUPS`, or for a backup at `FDB_BACKUPS`."""
    members: tuple[Ip, ...]
    """Among these VTEPs the kernel spreads the flows, at most 16, by rising address. In single-active mode it is
    one."""
    singles: tuple[int, ...]
    """The identifiers of the members' nexthops, in the same order, and after them that of the backup."""
    single_active: bool
    """Only one of its VTEPs forwards at a time, as their Type-1 routes per segment say (RFC 7432 14.1.1)."""
    backup: Ip | None = None
    """In single-active mode the VTEP that takes over when the segment goes down at the primary VTEP."""
    macs: int = 0
    """How many rows name the group."""
    outside: tuple[Outside, ...] = ()
    """The VTEPs that name the segment and get no frames, each with the reason, so that a reader sees why; at most
    16."""
    notes: tuple[str, ...] = ()
    """`on-backup`: the backup has taken over. `no-member`: no VTEP is left, and the last ones stay until the rows have
    gone."""

    @property
    def key(self) -> GroupKey:
        return (self.vni, self.segment, self.primary or b"")


class FdbNexthop(Struct, frozen=True, gc=False):
    """One VTEP as a member of groups, of whichever VNIs and segments."""

    number: int
    """Its identifier in the kernel, in the range that begins at `FDB_SINGLES`."""
    vtep: Ip
    users: int = 0
    """How many groups have it as a member or as their backup."""


class Flood(Struct, frozen=True, gc=False):
    """Broadcast, unknown unicast and multicast of this VNI go to that VTEP as well."""

    vni: Vni
    via: Direct
    """The VTEP, and the VNI that it asks for in its PMSI attribute if that is not ours."""
    peer: Ip
    rd: RouteDistinguisher
    notes: tuple[str, ...] = ()
    """What works and should be looked at all the same, as codes of docs/reasons.md."""

    @property
    def key(self) -> "FloodKey":
        return (self.vni, self.via.vtep, self.via.vni or self.vni)


class RefusedFlood(Struct, frozen=True, gc=False):
    """A Type-3 route that gives no flood row."""

    vni: Vni
    """The local VNI that it concerned, or 0."""
    vtep: Ip
    """The endpoint that the route names."""
    reason: str
    peer: Ip
    rd: RouteDistinguisher


class Host(Struct, frozen=True, gc=False):
    """This address of this VNI belongs to that MAC."""

    vni: Vni
    ip: Ip
    mac: Mac
    """Of several MACs with one address, the one whose route is first in the order that `projection.host` has."""
    router: bool
    """The flags of the route name the host a router (RFC 9047)."""
    peer: Ip
    rd: RouteDistinguisher
    alerts: "tuple[Alert, ...]" = ()
    """`immutable`: another MAC claims the address, which its owner marks as one that does not move."""

    @property
    def key(self) -> "HostKey":
        return (self.vni, self.ip)


class RefusedHost(Struct, frozen=True, gc=False):
    """A Type-2 route whose host address gives no row, while its MAC may have one."""

    vni: Vni
    ip: Ip
    mac: Mac
    reason: str
    """A code of docs/reasons.md, such as `local-host`: a station of this leaf has the address."""
    peer: Ip
    rd: RouteDistinguisher


class OwnMac(Struct, frozen=True, gc=False):
    """This MAC of this VNI, with this host address if there is one, is behind this leaf and is advertised."""

    vni: Vni
    mac: Mac
    ip: Ip | None = None
    seq: int = 0
    """The sequence number with which it is advertised. 0 needs no MAC Mobility community, unless the MAC is sticky (RFC
    7432 7.7)."""
    sticky: bool = False
    """An operator made its FDB entry static, so it is advertised as sticky (RFC 7432 15.2)."""
    gateway: bool = False
    """It is the bridge itself. Its route has the Default Gateway community (RFC 7432 10.1)."""
    segment: Esi = NO_SEGMENT
    """The Ethernet segment that it is on."""
    proxy: bool = False
    """Only other VTEPs of the segment have seen it: it is advertised for them (RFC 9721 4.1)."""

    @property
    def key(self) -> "OwnKey":
        return (self.vni, self.mac, self.ip)


class Path(Struct, frozen=True, gc=False):
    """One way to a prefix: a VTEP, and the MAC of its router (RFC 9135 8.1)."""

    vtep: Ip
    router_mac: Mac


class PrefixPath(Struct, frozen=True, gc=False):
    """One route to a prefix, as one of our VRFs judges it."""

    vni: Vni
    """The L3VNI of the VRF; 0 where no VRF imports the route."""
    verdict: str
    """won, lost or refused."""
    reason: str
    """The rule that decided it, as a code of docs/reasons.md."""
    vtep: Ip
    """The next hop; for a route with a gateway the VTEP of that host, and with a segment one that has it."""
    router_mac: Mac | None
    """Of that VTEP, as the route or that of its gateway names it. A path without it is refused (RFC 9136 4.4.1)."""
    peer: Ip
    rd: RouteDistinguisher
    label: int
    """As the route has it; 0 if it has none. Unless the route has a gateway, a label that is not the L3VNI refuses
    it."""
    mac: Mac | None = None
    """The host's own MAC, if it is a Type-2 route."""
    seq: int = 0
    """Of a Type-2 route, where the highest one wins (RFC 7432 15)."""
    gateway: Ip | None = None
    """The overlay index of a Type-5 route: the VTEP is then the one that has this host."""
    esi: Esi = NO_SEGMENT
    """Several VTEPs of one host are paths together only if the host's Ethernet segment joins them. In a Type-5 route it is the overlay
    index: the VTEPs are then those that have the segment."""
    notes: tuple[str, ...] = ()
    local_pref: int = 100
    """The highest wins among Type-5 routes. 100 stands for a route without LOCAL_PREF."""
    as_path_length: int = 0
    """The shortest wins among Type-5 routes of equal LOCAL_PREF (RFC 4271 9.1)."""
    origin: int = 0
    """The lowest wins among Type-5 routes of equal AS path length: 0 IGP, 1 EGP, 2 incomplete."""
    med: int = 0
    """The lowest wins among Type-5 routes of one neighboring AS and equal ORIGIN."""
    neighbor_as: int = 0
    """The first AS of the path; 0 if the path is empty."""
    llgr_stale: bool = False
    """The route has the LLGR_STALE community, so any other route of its type is better (RFC 9494)."""
    via: Vni = Vni(0)
    """The L3VNI into which packets go, if it is not that of the VRF: the route's label, or that of its gateway."""


class PrefixRow(Struct, frozen=True, gc=False):
    """Packets of this VRF go by these paths. It does not name the prefix, so that thousands of prefixes share it."""

    vni: Vni
    """The L3VNI of the VRF."""
    paths: tuple[Path, ...]
    """One for each VTEP that won, by rising address; more than one is ECMP."""
    nexthop: int
    """The identifier of the nexthop, or of the group of nexthops, in `Intent.nexthops`."""
    reason: str
    """Why they won, as a code of docs/reasons.md."""
    via: Vni = Vni(0)
    """The L3VNI into which packets go, if it is not that of the VRF (downstream VNI)."""
    metric: int = 0
    """That of the route; 0: the one that its family has."""

    @property
    def l3vni(self) -> Vni:
        """The L3VNI to which the nexthop and its routers belong."""
        return self.via or self.vni


FDB_BACKUPS: Final = 0x3000_0000
FDB_SINGLES: Final = 0x4000_0000
FDB_GROUPS: Final = 0x5000_0000
SINGLES: Final = 0x6000_0000
GROUPS: Final = 0x7000_0000
"""The identifiers of nexthops and of groups of them begin here. An identifier is the start of a range and a hash:

    0x3xxx_xxxx  FDB_BACKUPS  the other VTEPs of a segment of ours in one VNI
    0x4xxx_xxxx  FDB_SINGLES  one VTEP, for the groups of the FDB
    0x5xxx_xxxx  FDB_GROUPS   the VTEPs of one Ethernet segment in one VNI
    0x6xxx_xxxx  SINGLES      one VTEP, for prefixes of one VRF
    0x7xxx_xxxx  GROUPS       several VTEPs, for prefixes of one VRF

The hash is of what the object is for, so a daemon that starts again finds the objects of the one before it. The ranges are
high, because the kernel counts up from 1 where a program does not choose an identifier.
"""
ID_MASK: Final = 0x0FFF_FFFF
"""The part of an identifier that is counted from there."""


class Nexthop(Struct, frozen=True, gc=False):
    """One VTEP, or several for ECMP, by which prefixes of a VRF are reached."""

    vni: Vni
    """The L3VNI of the VRF. VRFs share no nexthop, because each leaves by the SVI of its own VRF."""
    id: int
    vteps: tuple[Ip, ...]
    """By rising address; one for a nexthop, several for a group."""
    is_v6: bool
    """Prefixes of IPv6 use it, or the VTEPs themselves are IPv6."""
    members: tuple[int, ...] = ()
    """For a group: the identifiers of the nexthops in it."""
    users: int = 0
    """How many prefixes and groups use it."""


class Router(Struct, frozen=True, gc=False):
    """A remote VTEP as a router of a VRF: the MAC to which packets for it are sent."""

    vni: Vni
    vtep: Ip
    mac: Mac
    """The one in use. It stays while any path names it, so that another route cannot cut off the other prefixes of the
    VTEP."""
    claims: Table[Mac, int]
    """How many paths in use name which MAC. More than one MAC is a conflict: the one in use stays."""
    paths: int
    """How many paths in use lead to it."""
    families: tuple[bool, ...] = ()
    """For which nexthops it has a neighbor row: False for IPv4, True for IPv6."""


class PortFilter(Struct, frozen=True, gc=False):
    """Which flooded frames of a VNI leave by a port of ours that is on an Ethernet segment."""

    segment: Esi
    vni: Vni
    port: str
    """The port of the bridge: that of the segment, or a VLAN device on it."""
    state: str
    """joining (none in either direction), non-df (none from the tunnel) or df; standby: no frame at all, flooded or not."""
    others: tuple[Ip, ...] = ()
    """The other VTEPs that are on the segment."""
    is_written: bool = True
    """The kernel gets it; otherwise another program filters the port."""
    is_shared: bool = False
    """Other VNIs have the same port, or may have it, because its bridge filters VLANs."""
    single_active: bool = False
    """Only the forwarder passes frames (RFC 7432 14.1.1)."""

    @property
    def key(self) -> "PortFilterKey":
        return (self.vni, self.port)

    @property
    def biased(self) -> tuple[Ip, ...]:
        """The VTEPs that deliver what they flood to the segment by themselves (RFC 8365 8.3.1): none in single-active mode, where a
        VTEP that is not the forwarder delivers nothing."""
        return () if self.single_active else self.others


class Synced(Struct, frozen=True, gc=False):
    """A MAC on a segment of ours that another VTEP of the segment has seen: its row is at our port (RFC 9721 4)."""

    port: str
    """The port of the bridge."""
    seq: int = 0
    """The sequence number of the others, which is taken over and not raised (RFC 7432 15)."""
    sticky: bool = False
    hosts: tuple[Ip, ...] = ()
    """The host addresses that the others advertise with it."""
    advertised: bool = True
    """This leaf advertises it for the others: not if they are proxies themselves."""


class OwnSegment(Struct, frozen=True, gc=False):
    """An Ethernet segment on which this leaf advertises that it is."""

    segment: Esi
    port: str
    """The port that is configured for it, such as a bond."""
    vnis: tuple[Vni, ...]
    """VNIs that are on the port: for each one, this leaf advertises a Type-1 route per EVI."""


PortFilterKey: TypeAlias = tuple[Vni, str]
PrefixKey: TypeAlias = tuple[Vni, Prefix]
NexthopKey: TypeAlias = tuple[Vni, int]
NexthopTarget: TypeAlias = tuple[Vni, tuple[Ip, ...], bool]
"""What a nexthop leads to: the L3VNI, the VTEPs, and whether it is for IPv6."""
RouterKey: TypeAlias = tuple[Vni, Ip]
RouterMacKey: TypeAlias = tuple[Vni, Mac]


class Rival(Struct, frozen=True, gc=False):
    """A VTEP that was a candidate for designated forwarder and lost."""

    vtep: Ip
    reason: str
    """The rule by which it lost to the forwarder."""


class Forwarder(Struct, frozen=True, gc=False):
    """Only that VTEP sends the broadcasts of this VNI into this Ethernet segment of ours."""

    segment: Esi
    vni: Vni
    vtep: Ip
    ours: bool
    """The forwarder is this leaf."""
    reason: str
    """The rule by which it won, as a code of docs/reasons.md."""
    rivals: tuple[Rival, ...] = ()
    """Empty if this leaf is alone on the segment."""
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[Esi, Vni, Ip]:
        return (self.segment, self.vni, self.vtep)


class RouteName(Protocol):
    """What tells apart routes of a MAC that say the same."""

    @property
    def rd(self) -> RouteDistinguisher: ...

    @property
    def ip(self) -> Ip | None: ...


class RouteNames(Sized, Iterable[RouteName], Protocol):
    """Some of them."""

    @property
    def blocks(self) -> Sequence[Sequence[RouteName]]:
        """The same in parts, of which those of other routes may have some."""


class Kin(Struct, frozen=True, gc=False):
    """The routes that say what the route of a candidate says. Two of them are equal if they have the same `routes` object."""

    routes: RouteNames
    """In order, the candidate's own first."""
    verdict: str
    """Of the others."""
    reason: str


class Candidate(Struct, frozen=True, gc=False):
    """One route of a MAC, or our own station with that MAC, with its verdict. Like a row, it does not name the MAC."""

    vni: Vni
    """The local VNI whose import it concerned, or the route's own where none matched."""
    vtep: Ip
    verdict: str
    """won, lost or refused."""
    reason: str
    """Why it won, the rule by which it lost, or why it was refused."""
    seq: int
    """The sequence number of the route or of the station (RFC 7432 15)."""
    sticky: bool
    """Static or a default gateway."""
    stale: bool
    """The route is of a session that has ended."""
    peer: Ip
    """Who sent the route; for our station our tunnel address."""
    rd: RouteDistinguisher
    ip: Ip | None
    """The host address in the route; None if it names a MAC alone. In `Intent.judged` it may be a position: see
    `addresses`."""
    esi: Esi
    label: int
    """The raw label, which with VXLAN is a VNI."""
    notes: tuple[str, ...] = ()
    """Codes of docs/reasons.md that are about this route alone."""
    port: str = ""
    """The bridge port of our station; empty for a route."""
    kin: Kin | None = None
    """In `Intent.judged`, one candidate may stand for 10,000 routes of its peer; `candidates_of` returns one for each."""

    def each(self) -> "Iterator[Candidate]":
        """Yield a candidate for each route that it stands for."""
        kin = self.kin
        if kin is None:
            yield self
            return
        yield structs.replace(self, kin=None)
        for route in islice(kin.routes, 1, None):
            yield structs.replace(self, rd=route.rd, ip=route.ip, verdict=kin.verdict, reason=kin.reason, kin=None)


Verdicts: TypeAlias = tuple[Candidate, ...]
"""The candidates of one MAC."""


class Alert(Struct, frozen=True, order=True):
    """Something about a MAC that an operator should know."""

    kind: str
    """A code of docs/reasons.md, such as `dup-frozen`. Alerts of one MAC are sorted by it."""
    vtep: Ip | None = None
    """The VTEP that causes it, if it is one VTEP."""


class Moves(Struct, frozen=True, gc=False):
    """Where a MAC was last, and when it moved within the window: the memory of duplicate detection (RFC 7432 15.1)."""

    location: bytes
    """The VTEP or the segment where it was last, as octets. A move is a change of it."""
    times: tuple[float, ...] = ()
    """On the daemon's clock, the oldest first; at most as many as make a duplicate."""
    duplicate_since: float | None = None
    """When there were too many moves; None as long as there were not."""
    frozen: Via | None = None
    """Where the MAC stays until an operator clears it, its time is over, or no route has offered it there for a while."""
    left: float | None = None
    """Since when no route and no station offers a frozen MAC where it is frozen."""


class Intent(Struct, frozen=True):
    """What this leaf should have, as of one moment."""

    generation: int = 0
    """Grows when the meaning changed: a row came, went or points elsewhere; what we advertise changed; a segment has another
    forwarder; or the picture became complete or incomplete."""
    complete: bool = False
    """Every expected peer has sent all it has, or the time to wait is over: what has no row here may be deleted."""
    why: str = "no peer has sent its routes yet"
    """Why the picture is complete or not, in words."""
    macs: Table[RowKey, RemoteMac] = Table()
    """The remote MACs. A MAC of this leaf is in `own` instead."""
    judged: Table[Mac, Verdicts] = Table()
    """The candidates of a MAC with their verdicts, as MACs share them; `candidates_of` returns every one of one MAC."""
    addresses: Table[Mac, tuple[Ip, ...]] = Table()
    """The host addresses of a MAC. In `judged`, a candidate of such a MAC has the position of its address in their place."""
    alerts: Table[RowKey, tuple[Alert, ...]] = Table()
    """What an operator should know about a MAC: it moves too often, or is offered where it must not be."""
    moves: Table[RowKey, Moves] = Table()
    """MACs that moved within the window, and frozen ones. It is empty in a fabric where nothing moves."""
    moves_due: Table[float, tuple[tuple[RowKey, ...], ...]] = Table()
    """When time alone changes which of these records, as `projection.schedule` keeps it."""
    moves_rule: tuple[int | float | str, ...] = ()
    """The settings of duplicate detection for which these times hold."""
    limited: Table[Vni, Table[Mac, bool]] = Table()
    """MACs that have no row only because their VNI is full."""
    rows_of_vni: Table[Vni, int] = Table()
    """How many rows of `macs` each VNI has, which `limits.macs_per_vni` bounds."""
    floods: Table[Ip, tuple[Flood, ...]] = Table()
    """By endpoint; at most one for a VNI, by rising VNI."""
    refused_floods: Table[Ip, tuple[RefusedFlood, ...]] = Table()
    """Why an endpoint has no flood row in a VNI."""
    floods_of_vni: Table[Vni, int] = Table()
    """How many flood rows each VNI has, which `limits.vteps_per_vni` bounds."""
    waiting_floods: Table[Vni, Table[Ip, bool]] = Table()
    """Endpoints that have no row only because their VNI is full."""
    hosts: Table[Ip, tuple[Host, ...]] = Table()
    """By host address; at most one for a VNI."""
    refused_hosts: Table[Ip, tuple[RefusedHost, ...]] = Table()
    """Why a host address has no row in a VNI, although a route names it."""
    forwarders: Table[Esi, tuple[Forwarder, ...]] = Table()
    """By segment of ours; one for each VNI."""
    port_filters: Table[PortFilterKey, PortFilter] = Table()
    """One for each port of ours on a segment and each VNI, also while the segment is not advertised."""
    segment_macs: Table[Mac, tuple[tuple[Vni, str], ...]] = Table()
    """The ports of ours behind which a MAC of one of our segments is, each with its VNI."""
    held_macs: Table[RowKey, float] = Table()
    """Those of them that no route and no station names any more, with the time until which they stay."""
    held_due: float | None = None
    """When the first of them may leave."""
    backups: Table[RowKey, GroupKey] = Table()
    """MACs behind our ports on segments, each with the group that gets its frames while the port has no carrier."""
    synced: Table[RowKey, Synced] = Table()
    """MACs that other VTEPs of our segments have seen, and those of them that are held."""
    own_segments: Table[Esi, OwnSegment] = Table()
    """The segments that this leaf advertises."""
    group_uses: Table[GroupKey, GroupUse] = Table()
    """What the rows in `macs` need of groups."""
    ungrouped_of_vni: Table[Vni, int] = Table()
    """How many MACs on a segment go to one VTEP only because there are as many groups as allowed."""
    groups: Table[GroupKey, SegmentGroup] = Table()
    """Each remote segment in each VNI where a row needs it."""
    groups_of: Table[Esi, tuple[GroupKey, ...]] = Table()
    """The groups of a segment, one for each VNI, and in single-active mode for each primary VTEP."""
    group_numbers: Table[int, GroupKey] = Table()
    """The group of each identifier, so that no two groups get the same one."""
    waiting_groups: tuple[GroupKey, ...] = ()
    """Groups whose members are still to be judged, because the routes of very many changed at once. Until then they stay as they are."""
    fdb_nexthops: Table[int, FdbNexthop] = Table()
    """The members and backups of all groups, by their identifier. A VTEP has one, in however many groups it is."""
    fdb_nexthop_of: Table[Ip, int] = Table()
    """The identifier of each VTEP in `fdb_nexthops`."""
    own: Table[OwnKey, OwnMac] = Table()
    """What this leaf advertises: one entry for a MAC, and one more for each of its host addresses. It has no order, because a
    key without an address cannot be compared with one that has an address."""
    own_hosts: Table[RowKey, frozenset[Ip]] = Table()
    """The host addresses of each MAC in `own`."""
    announcing: frozenset[Vni] = frozenset()
    """VNIs in which this leaf advertises its stations: for these it advertises a Type-3 route as well."""
    touched: tuple[RowKey, ...] = ()
    """MACs whose row came, went or changed in any way since the intent before, or to which a station of ours has just lost."""
    row_changes: "tuple[RowChange, ...] | None" = None
    """The same rows in groups, if what made them knows the groups. Read it through the function of this name."""
    touched_floods: tuple[FloodKey, ...] = ()
    """Flood rows that came or went. One that changes its VNI in the frames does both."""
    touched_hosts: tuple[HostKey, ...] = ()
    """Host addresses whose row came, went, or has another MAC or router flag."""
    touched_group_uses: tuple[GroupKey, ...] = ()
    """Groups whose rows changed, so that it must be judged again who is a member."""
    touched_groups: tuple[int, ...] = ()
    """The identifiers of groups that differ from the intent before."""
    touched_fdb_nexthops: tuple[int, ...] = ()
    """Identifiers of VTEPs that came into their first group, or left their last one."""
    own_touched: tuple[OwnKey, ...] = ()
    """Entries of `own` that came, went or changed."""
    lost: tuple[RowKey, ...] = ()
    """Stations of ours that have just lost to a better route."""
    unverified: tuple[RowKey, ...] = ()
    """Stations of ours that lost to a route which is now gone: the bridge must be read again to see whether they are here."""
    prefixes: Table[Prefix, tuple[PrefixRow, ...]] = Table()
    """By prefix; at most one for a VRF."""
    judged_prefixes: Table[Prefix, tuple[PrefixPath, ...]] = Table()
    """Every route to a prefix with its verdict."""
    nexthops: Table[int, Nexthop] = Table()
    nexthop_ids: Table[NexthopTarget, int] = Table()
    """The identifier of each nexthop, by what it leads to."""
    routers: Table[RouterKey, Router] = Table()
    """The remote VTEPs to which a prefix leads, in each VRF."""
    router_macs: Table[RouterMacKey, tuple[Ip, ...]] = Table()
    """The VTEPs that use a router's MAC; frames to the MAC go to the first one."""
    prefixes_of_vrf: Table[Vni, int] = Table()
    """How many prefixes each VRF has a row for, which `limits.prefixes_per_vrf` bounds."""
    limited_prefixes: Table[Vni, Table[Prefix, bool]] = Table()
    """Prefixes that have no row only because their VRF is full."""
    touched_prefixes: tuple[PrefixKey, ...] = ()
    """Prefixes whose row came, went, or names another nexthop."""
    touched_nexthops: tuple[NexthopKey, ...] = ()
    """Nexthops and groups that came or went. None changes where it leads, because its identifier follows from that."""
    touched_routers: tuple[RouterKey, ...] = ()
    """Routers that came, went, or have another MAC or another neighbor row."""
    touched_router_macs: tuple[RouterMacKey, ...] = ()
    """MACs of routers whose first VTEP is another one than before."""
    touched_port_filters: tuple[PortFilterKey, ...] = ()
    touched_segment_macs: tuple[RowKey, ...] = ()
    touched_backups: tuple[RowKey, ...] = ()
    """Keys of `backups` that came or went, or whose group came or went."""
    touched_synced: tuple[RowKey, ...] = ()
    """Keys of `synced` that came or went, or whose port is another one."""
    touched_segments: tuple[Esi, ...] = ()
    """Segments of ours whose advertisement came, went or changed."""
    due: float | None = None
    """When time alone changes something next: a frozen MAC is freed, or a window ends."""


NOTHING: Final = Intent()


class RowChange(Struct, frozen=True, gc=False):
    """Rows that changed in the same way; None stands for no row."""

    before: RemoteMac | None
    after: RemoteMac | None
    keys: list[RowKey]


def vteps_of(intent: Intent, row: RemoteMac) -> tuple[Ip, ...]:
    """Return the VTEPs to which the frames of a row go, by rising address."""
    group = None if row.group is None else intent.groups.get(row.group)
    return (row.vtep,) if group is None else group.members


def row_changes(before: Intent, intent: Intent) -> Sequence[RowChange]:
    """Return what changed in the rows since the intent before, with the rows together that share their values."""
    groups: dict[tuple[int, int], RowChange] = {}
    touched, known = intent.touched, intent.row_changes
    if known is not None and sum(len(change.keys) for change in known) == len(touched):
        return known
    for key, old, row in zip(touched, before.macs.of(touched), intent.macs.of(touched), strict=True):
        alike = (id(old), id(row))
        if (group := groups.get(alike)) is None:
            group = groups[alike] = RowChange(old, row, [])
        group.keys.append(key)
    return list(groups.values())


def candidates_of(intent: Intent, mac: Mac) -> Verdicts:
    """Return every candidate of a MAC, with its host address."""
    return tuple(each_candidate_of(intent, mac))


def each_candidate_of(intent: Intent, mac: Mac) -> Iterator[Candidate]:
    """Yield every candidate of a MAC, with its host address: there may be very many."""
    found = chain.from_iterable(one.each() for one in intent.judged.get(mac, ()))
    addresses = intent.addresses.get(mac)
    if addresses is None:
        return found
    return (one if one.ip is None else structs.replace(one, ip=addresses[int.from_bytes(one.ip)]) for one in found)


def is_station(intent: Intent, key: RowKey) -> bool:
    """Return whether a MAC is a station of ours that is advertised as such, and not only for other VTEPs of its segment."""
    own = intent.own.get((*key, None))
    return own is not None and not own.proxy


def keys_of(intent: Intent, mac: Mac) -> set[RowKey]:
    """Return the (VNI, MAC) pairs for which this MAC has candidates."""
    return {(candidate.vni, mac) for candidate in intent.judged.get(mac, ())}


def is_lost_here(intent: Intent, key: RowKey) -> bool:
    """Return whether there is a station of ours with this key that lost to the row."""
    vni, mac = key
    return any(one.port and one.vni == vni and one.verdict == "lost" for one in intent.judged.get(mac, ()))
