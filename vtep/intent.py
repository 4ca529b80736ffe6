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

from typing import Final, TypeAlias

from msgspec import Struct, structs

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, Prefix, RouteDistinguisher, Vni
from vtep.store.table import Table

RowKey: TypeAlias = tuple[Vni, Mac]
FloodKey: TypeAlias = tuple[Vni, Ip, Vni]
"""Our VNI, the VTEP, and the VNI in the frames, which is ours unless the VTEP asked for another."""
HostKey: TypeAlias = tuple[Vni, Ip]
OwnKey: TypeAlias = tuple[Vni, Mac, Ip | None]


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
"""The VNI, the segment, and the primary VTEP, which is empty in all-active mode."""


class RemoteMac(Struct, frozen=True, gc=False):
    """A MAC of this VNI is behind that VTEP, for this reason. Many MACs share one value, and the key says which MAC it is."""

    vni: Vni
    via: Via
    reason: str
    seq: int
    sticky: bool
    """Sticky or a default gateway: a higher sequence elsewhere does not move it."""
    stale: bool
    peer: Ip
    rd: RouteDistinguisher
    segment: Esi | None = None
    """The Ethernet segment that it is on; then it moves only when it leaves the segment."""
    notes: tuple[str, ...] = ()
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
    number: int
    """The identifier of the kernel's group, in a range that begins at `FDB_GROUPS`."""
    members: tuple[Ip, ...]
    """By rising address. In single-active mode it is one VTEP."""
    singles: tuple[int, ...]
    """The identifiers of the members' nexthops, in the same order, and after them that of the backup."""
    single_active: bool
    backup: Ip | None = None
    """In single-active mode the VTEP that takes over when the segment goes down at the primary VTEP."""
    macs: int = 0
    outside: tuple[Outside, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> GroupKey:
        return (self.vni, self.segment, self.primary or b"")


class FdbNexthop(Struct, frozen=True, gc=False):
    """One VTEP as a member of groups, of whichever VNIs and segments."""

    number: int
    vtep: Ip
    users: int = 0
    """How many groups have it as a member or as their backup."""


class Flood(Struct, frozen=True, gc=False):
    """Broadcast, unknown unicast and multicast of this VNI go to that VTEP as well."""

    vni: Vni
    via: Direct
    peer: Ip
    rd: RouteDistinguisher
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> "FloodKey":
        return (self.vni, self.via.vtep, self.via.vni or self.vni)


class RefusedFlood(Struct, frozen=True, gc=False):
    """A Type-3 route that gives no flood row."""

    vni: Vni
    """The local VNI that it concerned, or 0."""
    vtep: Ip
    reason: str
    peer: Ip
    rd: RouteDistinguisher


class Host(Struct, frozen=True, gc=False):
    """This address of this VNI belongs to that MAC."""

    vni: Vni
    ip: Ip
    mac: Mac
    router: bool
    peer: Ip
    rd: RouteDistinguisher
    alerts: "tuple[Alert, ...]" = ()

    @property
    def key(self) -> "HostKey":
        return (self.vni, self.ip)


class RefusedHost(Struct, frozen=True, gc=False):
    """A Type-2 route whose host address gives no row, while its MAC may have one."""

    vni: Vni
    ip: Ip
    mac: Mac
    reason: str
    peer: Ip
    rd: RouteDistinguisher


class OwnMac(Struct, frozen=True, gc=False):
    """This MAC of this VNI, with this host address if there is one, is behind this leaf and is advertised."""

    vni: Vni
    mac: Mac
    ip: Ip | None = None
    seq: int = 0
    sticky: bool = False
    gateway: bool = False
    segment: Esi = NO_SEGMENT
    """The Ethernet segment that it is on."""

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
    vtep: Ip
    router_mac: Mac | None
    peer: Ip
    rd: RouteDistinguisher
    label: int
    mac: Mac | None = None
    """The host's own MAC, if it is a Type-2 route."""
    seq: int = 0
    gateway: Ip | None = None
    """The overlay index of a Type-5 route: the VTEP is then the one that has this host."""
    esi: Esi = NO_SEGMENT
    notes: tuple[str, ...] = ()
    local_pref: int = 100
    as_path_length: int = 0
    llgr_stale: bool = False


class PrefixRow(Struct, frozen=True, gc=False):
    """Packets of this VRF to this prefix go by these paths."""

    vni: Vni
    """The L3VNI of the VRF."""
    prefix: Prefix
    paths: tuple[Path, ...]
    nexthop: int
    """The identifier of the nexthop, or of the group of nexthops, in `Intent.nexthops`."""
    reason: str

    @property
    def key(self) -> "PrefixKey":
        return (self.vni, self.prefix)


FDB_SINGLES: Final = 0x4000_0000
FDB_GROUPS: Final = 0x5000_0000
SINGLES: Final = 0x6000_0000
GROUPS: Final = 0x7000_0000
"""The identifiers of nexthops and of groups of them begin here: of the FDB's, and of those that prefixes use."""
ID_MASK: Final = 0x0FFF_FFFF
"""The part of an identifier that is counted from there."""


class Nexthop(Struct, frozen=True, gc=False):
    """One VTEP, or several for ECMP, by which prefixes of a VRF are reached."""

    vni: Vni
    id: int
    vteps: tuple[Ip, ...]
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
    state: str
    """joining (none in either direction), non-df (none from the tunnel) or df."""
    biased: tuple[Ip, ...] = ()
    """The other VTEPs that are on the segment: they deliver what they flood to it by themselves (RFC 8365 8.3.1)."""

    @property
    def key(self) -> "PortFilterKey":
        return (self.vni, self.port)


class OwnSegment(Struct, frozen=True, gc=False):
    """An Ethernet segment on which this leaf advertises that it is."""

    segment: Esi
    port: str
    vnis: tuple[Vni, ...]


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
    rivals: tuple[Rival, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[Esi, Vni, Ip]:
        return (self.segment, self.vni, self.vtep)


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
    sticky: bool
    stale: bool
    peer: Ip
    rd: RouteDistinguisher
    ip: Ip | None
    esi: Esi
    label: int
    notes: tuple[str, ...] = ()
    port: str = ""
    """The bridge port of our station; empty for a route."""


Verdicts: TypeAlias = tuple[Candidate, ...]
"""Every candidate of one MAC."""


class Alert(Struct, frozen=True, order=True):
    """Something about a MAC that an operator should know."""

    kind: str
    vtep: Ip | None = None
    """The VTEP that causes it, if it is one VTEP."""


class Moves(Struct, frozen=True, gc=False):
    """Where a MAC was last, and when it moved within the window: the memory of duplicate detection (RFC 7432 15.1)."""

    location: bytes
    times: tuple[float, ...] = ()
    duplicate_since: float | None = None
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
    macs: Table[RowKey, RemoteMac] = Table()
    judged: Table[Mac, Verdicts] = Table()
    """Every candidate of a MAC with its verdict, as MACs share them; `candidates_of` returns those of one MAC."""
    addresses: Table[Mac, tuple[Ip, ...]] = Table()
    """The host addresses of a MAC. In `judged`, a candidate of such a MAC has the position of its address in their place."""
    alerts: Table[RowKey, tuple[Alert, ...]] = Table()
    moves: Table[RowKey, Moves] = Table()
    limited: Table[Vni, Table[Mac, bool]] = Table()
    """MACs that have no row only because their VNI is full."""
    rows_of_vni: Table[Vni, int] = Table()
    floods: Table[Ip, tuple[Flood, ...]] = Table()
    """By endpoint; at most one for a VNI."""
    refused_floods: Table[Ip, tuple[RefusedFlood, ...]] = Table()
    floods_of_vni: Table[Vni, int] = Table()
    waiting_floods: Table[Vni, Table[Ip, bool]] = Table()
    """Endpoints that have no row only because their VNI is full."""
    hosts: Table[Ip, tuple[Host, ...]] = Table()
    """By host address; at most one for a VNI."""
    refused_hosts: Table[Ip, tuple[RefusedHost, ...]] = Table()
    forwarders: Table[Esi, tuple[Forwarder, ...]] = Table()
    """By segment of ours; one for each VNI."""
    port_filters: Table[PortFilterKey, PortFilter] = Table()
    segment_macs: Table[Mac, tuple[tuple[Vni, str], ...]] = Table()
    """The ports of ours behind which a MAC of one of our segments is, each with its VNI."""
    own_segments: Table[Esi, OwnSegment] = Table()
    """The segments that this leaf advertises."""
    group_uses: Table[GroupKey, GroupUse] = Table()
    """What the rows in `macs` need of groups."""
    ungrouped_of_vni: Table[Vni, int] = Table()
    """How many MACs on a segment go to one VTEP only because there are as many groups as allowed."""
    groups: Table[GroupKey, SegmentGroup] = Table()
    groups_of: Table[Esi, tuple[GroupKey, ...]] = Table()
    group_numbers: Table[int, GroupKey] = Table()
    fdb_nexthops: Table[int, FdbNexthop] = Table()
    fdb_nexthop_of: Table[Ip, int] = Table()
    own: Table[OwnKey, OwnMac] = Table()
    """What this leaf advertises: one entry for a MAC, and one more for each of its host addresses. It has no order, because a
    key without an address cannot be compared with one that has an address."""
    own_hosts: Table[RowKey, frozenset[Ip]] = Table()
    """The host addresses of each MAC in `own`."""
    announcing: frozenset[Vni] = frozenset()
    """VNIs in which this leaf advertises its stations: for these it advertises a Type-3 route as well."""
    touched: tuple[RowKey, ...] = ()
    """MACs whose row came, went or changed in any way since the intent before, or to which a station of ours has just lost."""
    touched_floods: tuple[FloodKey, ...] = ()
    touched_hosts: tuple[HostKey, ...] = ()
    touched_group_uses: tuple[GroupKey, ...] = ()
    touched_groups: tuple[int, ...] = ()
    """The identifiers of groups that differ from the intent before."""
    touched_fdb_nexthops: tuple[int, ...] = ()
    own_touched: tuple[OwnKey, ...] = ()
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
    router_macs: Table[RouterMacKey, tuple[Ip, ...]] = Table()
    """The VTEPs that use a router's MAC; frames to the MAC go to the first one."""
    prefixes_of_vrf: Table[Vni, int] = Table()
    limited_prefixes: Table[Vni, Table[Prefix, bool]] = Table()
    """Prefixes that have no row only because their VRF is full."""
    touched_prefixes: tuple[PrefixKey, ...] = ()
    touched_nexthops: tuple[NexthopKey, ...] = ()
    touched_routers: tuple[RouterKey, ...] = ()
    touched_router_macs: tuple[RouterMacKey, ...] = ()
    touched_port_filters: tuple[PortFilterKey, ...] = ()
    touched_segment_macs: tuple[RowKey, ...] = ()
    touched_segments: tuple[Esi, ...] = ()
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


def row_changes(before: Intent, intent: Intent) -> list[RowChange]:
    """Return what changed in the rows since the intent before, with the rows together that share their values."""
    groups: dict[tuple[int, int], RowChange] = {}
    touched = intent.touched
    for key, old, row in zip(touched, before.macs.of(touched), intent.macs.of(touched), strict=True):
        alike = (id(old), id(row))
        if (group := groups.get(alike)) is None:
            group = groups[alike] = RowChange(old, row, [])
        group.keys.append(key)
    return list(groups.values())


def candidates_of(intent: Intent, mac: Mac) -> Verdicts:
    """Return every candidate of a MAC, with its host address."""
    found: Verdicts = intent.judged.get(mac, ())
    addresses = intent.addresses.get(mac)
    if addresses is None:
        return found
    return tuple(one if one.ip is None else structs.replace(one, ip=addresses[int.from_bytes(one.ip)]) for one in found)


def keys_of(intent: Intent, mac: Mac) -> set[RowKey]:
    """Return the (VNI, MAC) pairs for which this MAC has candidates."""
    return {(candidate.vni, mac) for candidate in intent.judged.get(mac, ())}


def is_lost_here(intent: Intent, key: RowKey) -> bool:
    """Return whether there is a station of ours with this key that lost to the row."""
    vni, mac = key
    return any(one.port and one.vni == vni and one.verdict == "lost" for one in candidates_of(intent, mac))
