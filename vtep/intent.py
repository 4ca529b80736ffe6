"""The waist: which rows this leaf should have, in overlay words, as one immutable value.

Everything above says what BGP means; everything below says what the kernel needs; both know only this. Knows no route,
no peer session and no kernel. `Intent.macs` is the RemoteMacTable: one row for a (VNI, MAC), iterated in that order.
"""

from typing import Final, TypeAlias

from msgspec import Struct

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, RouteDistinguisher, Vni
from vtep.store.table import Table

RowKey: TypeAlias = tuple[Vni, Mac]
FloodKey: TypeAlias = tuple[Vni, Ip, Vni]
"""The last one is the VNI that the frames bear, which is the first one's unless the VTEP asked for another."""
HostKey: TypeAlias = tuple[Vni, Ip]
OwnKey: TypeAlias = tuple[Vni, Mac, Ip | None]


class Direct(Struct, frozen=True, gc=False):
    """Frames go to one VTEP."""

    vtep: Ip
    vni: Vni | None = None
    """The encapsulation's VNI where it is not the table's own (downstream VNI)."""


Via: TypeAlias = Direct  # a nexthop group will be the other one


class RemoteMac(Struct, frozen=True, gc=False):
    """This MAC of this VNI is behind that VTEP, and why."""

    vni: Vni
    mac: Mac
    via: Via
    reason: str
    seq: int
    sticky: bool
    """Sticky or a default gateway: it may not be taken from its place by a sequence."""
    stale: bool
    peer: Ip
    rd: RouteDistinguisher
    segment: Esi | None = None
    """The Ethernet segment it is on; then it moves only when it leaves the segment."""
    notes: tuple[str, ...] = ()

    @property
    def location(self) -> bytes:
        """Where it is, as far as moving is concerned."""
        return self.segment or self.via.vtep

    @property
    def key(self) -> RowKey:
        return (self.vni, self.mac)


class Flood(Struct, frozen=True, gc=False):
    """Broadcasts of this VNI go to that VTEP as well."""

    vni: Vni
    via: Via
    peer: Ip
    rd: RouteDistinguisher
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> "FloodKey":
        return (self.vni, self.via.vtep, self.via.vni or self.vni)


class RefusedFlood(Struct, frozen=True, gc=False):
    """A route that asked for floods and gets none."""

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


class OwnMac(Struct, frozen=True, gc=False):
    """This MAC of this VNI, and this host address where there is one, is behind us: our peers are told so."""

    vni: Vni
    mac: Mac
    ip: Ip | None = None
    seq: int = 0
    sticky: bool = False
    gateway: bool = False

    @property
    def key(self) -> "OwnKey":
        return (self.vni, self.mac, self.ip)


class Rival(Struct, frozen=True, gc=False):
    """A VTEP that stood for election and was not elected."""

    vtep: Ip
    reason: str
    """The rule by which it lost to the forwarder."""


class Forwarder(Struct, frozen=True, gc=False):
    """That VTEP sends this VNI's broadcasts into this Ethernet segment of ours, and no other does."""

    segment: Esi
    vni: Vni
    vtep: Ip
    ours: bool
    """It is this leaf."""
    reason: str
    rivals: tuple[Rival, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[Esi, Vni, Ip]:
        return (self.segment, self.vni, self.vtep)


class Candidate(Struct, frozen=True, gc=False):
    """One route that was judged for a MAC, or the station that was heard here, with what became of it."""

    vni: Vni
    """The local VNI whose import it concerned, or the route's own where none matched."""
    mac: Mac
    vtep: Ip
    verdict: str
    """won, lost or refused."""
    reason: str
    """Why: a winner's reason, the rule by which it lost, or the refusal."""
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
    """Where it was heard, if it is no route but a station of ours."""


Outcome: TypeAlias = RemoteMac | Candidate
"""What is told of one route: a row stands for the winner's, where it says all there is to say about it."""
Verdicts: TypeAlias = RemoteMac | tuple[Outcome, ...]
"""What is told of one MAC; the row by itself where there is no more."""


class Alert(Struct, frozen=True, order=True):
    """Something about a MAC that a person should know."""

    kind: str
    vtep: Ip | None = None
    """Who gives rise to it, where that is one VTEP."""


class Moves(Struct, frozen=True, gc=False):
    """Where a MAC was last, and when it moved lately: the memory of duplicate detection (RFC 7432 15.1)."""

    location: bytes
    times: tuple[float, ...] = ()
    duplicate_since: float | None = None
    frozen: Direct | None = None
    """Where the row stays until it is cleared, recovers, or the MAC is gone."""


class Intent(Struct, frozen=True):
    """What this leaf should have, as of one moment."""

    generation: int = 0
    """Grows when the meaning changed: a row came, went or points elsewhere, what we tell our peers changed, a segment has
    another forwarder, or the picture became complete or ceased to be."""
    complete: bool = False
    """Every peer has told all it has, or the time to wait for it is over: what is not here may be deleted."""
    why: str = "no peer has told its routes yet"
    macs: Table[RowKey, RemoteMac] = Table()
    judged: Table[Mac, Verdicts] = Table()
    """Every candidate of a MAC with its verdict."""
    alerts: Table[RowKey, tuple[Alert, ...]] = Table()
    moves: Table[RowKey, Moves] = Table()
    limited: Table[Vni, Table[Mac, bool]] = Table()
    """MACs that would have a row if their VNI had room."""
    rows_of_vni: Table[Vni, int] = Table()
    floods: Table[Ip, tuple[Flood, ...]] = Table()
    """By VTEP; at most one for a VNI."""
    refused_floods: Table[Ip, tuple[RefusedFlood, ...]] = Table()
    hosts: Table[Ip, tuple[Host, ...]] = Table()
    """By host address; at most one for a VNI."""
    forwarders: Table[Esi, tuple[Forwarder, ...]] = Table()
    """By segment of ours; one for each VNI."""
    own: Table[OwnKey, OwnMac] = Table()
    """What is here and not behind the tunnel; a MAC's host addresses each have a row of their own beside the MAC's. Has no
    order, since no address comes before or after none."""
    own_hosts: Table[RowKey, frozenset[Ip]] = Table()
    """The host addresses of each MAC in `own`."""
    announcing: frozenset[Vni] = frozenset()
    """VNIs that tell their peers anything: of these we want the floods as well."""
    touched: tuple[RowKey, ...] = ()
    """Where a row came, went or changed in any way since the intent before, or a station lost to it: a hint for who applied
    that one."""
    touched_floods: tuple[FloodKey, ...] = ()
    touched_hosts: tuple[HostKey, ...] = ()
    own_touched: tuple[OwnKey, ...] = ()
    lost: tuple[RowKey, ...] = ()
    """Stations that a better route beat just now."""
    unverified: tuple[RowKey, ...] = ()
    """Stations that were lost, and whose winner left: nobody knows whether they are still here."""
    due: float | None = None
    """When time alone changes something: a frozen MAC recovers, a window ends."""


NOTHING: Final = Intent()


def all_outcomes(story: Verdicts | tuple[()]) -> tuple[Outcome, ...]:
    """Return what is told, one by one."""
    return (story,) if isinstance(story, RemoteMac) else story


def candidates_of(intent: Intent, mac: Mac) -> tuple[Candidate, ...]:
    """Return everything that was judged for a MAC."""
    return tuple(in_words(told) for told in all_outcomes(intent.judged.get(mac, ())))


def keys_of(intent: Intent, mac: Mac) -> set[RowKey]:
    """Return the (VNI, MAC) pairs for which something was judged."""
    return {(told.vni, mac) for told in all_outcomes(intent.judged.get(mac, ()))}


def is_lost_here(intent: Intent, key: RowKey) -> bool:
    """Tell whether a station was heard here and lost to the row."""
    vni, mac = key
    return any(one.port and one.vni == vni and one.verdict == "lost" for one in candidates_of(intent, mac))


def in_words(told: Outcome) -> Candidate:
    """Return the candidate; one that a row stands for had no host address and no segment."""
    if isinstance(told, Candidate):
        return told
    row = told
    return Candidate(
        vni=row.vni,
        mac=row.mac,
        vtep=row.via.vtep,
        verdict="won",
        reason=row.reason,
        seq=row.seq,
        sticky=row.sticky,
        stale=row.stale,
        peer=row.peer,
        rd=row.rd,
        ip=None,
        esi=NO_SEGMENT,
        label=row.vni,
        notes=row.notes,
    )
