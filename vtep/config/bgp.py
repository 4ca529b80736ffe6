"""The BGP speaker of this leaf and its neighbors: what `[bgp]` holds, and what is derived from it.

Every feed needs this, whichever speaker it comes from: `vtep exabgp-config` writes a speaker's configuration out of it,
and the VNIs take their Route Targets and Route Distinguishers from it where the file gives none. Has both forms: the
tables that a person types and the values that the program uses. Knows no speaker by name.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from vtep.addr import Ip, RouteDistinguisher, RouteTarget, Vni
from vtep.config.values import Problems, absolute_path, router_id


class BgpNeighbor(Struct, frozen=True):
    """One session of the speaker. What is not given is left to the speaker, or derived from `[bgp]` and `[node]`."""

    address: Ip
    """The peer's address in the session, and the name under which its routes are kept."""
    asn: int
    """The peer's AS number. The same as ours makes the session iBGP, another one makes it eBGP."""
    source: Ip | None = None
    """Our address in the session."""
    listen: int = 0
    """The port at which the speaker also waits for the peer to connect; 0: it does not."""
    passive: bool = False
    """The speaker only waits, and does not connect."""
    hold_time: int = 180
    """Seconds without a message after which the session is lost (RFC 4271 4.2): 0, for never, or at least 3."""
    ttl: int = 0
    """Of the packets of the session, for a peer that is more than one hop away; 0: the host's default."""
    password_file: str = ""
    """Has the password of the session (RFC 2385). It is read when a speaker's configuration is written."""
    description: str = ""
    """A name for people; it has no quote, because a speaker's configuration puts it between quotes."""
    route_reflector: bool = False
    """The peer reflects the routes of other leaves to us, and must know us as a client (RFC 4456)."""


class BgpConfig(Struct, frozen=True):
    """This leaf as a BGP speaker."""

    asn: int
    """Our AS number, two or four octets. The Route Targets that are derived have its low 16 bits alone."""
    router_id: Ip
    """An IPv4 address, also in a fabric of IPv6: the BGP identifier, and the first part of derived RDs."""
    neighbors: tuple[BgpNeighbor, ...] = ()
    """The sessions that the speaker's configuration gets; empty: only what is derived is needed."""


def derived_target(bgp: BgpConfig, vni: Vni) -> RouteTarget:
    """Return the Route Target of a VNI for which the file gives none, as RFC 8365 5.1.2.1 allows.

    FRR derives the same: the low 16 bits of the AS number, then the VNI.
    """
    return RouteTarget.parse(f"{bgp.asn & 0xFFFF}:{vni}")


def derived_rd(bgp: BgpConfig, vni: Vni) -> RouteDistinguisher | None:
    """Return the Route Distinguisher of a VNI for which the file gives none; None if the VNI does not fit.

    Beside the IPv4 router ID there is room for 16 bits (RFC 4364 4.2, type 1).
    """
    return RouteDistinguisher.parse(f"{bgp.router_id}:{vni}") if vni <= 0xFFFF else None


# What a person types

Asn = Annotated[int, Meta(ge=1, le=0xFFFF_FFFF)]


Port = Annotated[int, Meta(ge=1, le=0xFFFF)]
BGP_PORT = 179
"""What `listen = true` means: the TCP port of BGP (RFC 4271 8.2.1)."""


class NeighborTable(Struct):
    """The keys of a `[[bgp.neighbor]]`. UNSET is a key that has no default; `_neighbor` makes values of the texts."""

    address: str | UnsetType = UNSET
    asn: Asn | UnsetType = UNSET
    source: str = ""
    """Empty: the tunnel address of the peer's family, or the router id; the speaker's configuration chooses."""
    listen: bool | Port = False
    """`true` is port 179. `passive` implies it, because a session that neither side opens never comes up."""
    passive: bool = False
    hold_time: Annotated[int, Meta(ge=0, le=0xFFFF)] = 180
    ttl: Annotated[int, Meta(ge=0, le=255)] = 0
    password_file: str = ""
    description: str = ""
    route_reflector: bool = False


class BgpTable(Struct):
    """The keys of `[bgp]`."""

    asn: Asn | UnsetType = UNSET
    router_id: str | UnsetType = UNSET
    neighbor: list[NeighborTable] = []


def build(table: BgpTable, problems: Problems) -> BgpConfig | None:
    """Return what the tables mean, or None if a value is missing or wrong."""
    neighbors = []
    addresses: list[Ip | None] = []
    for index, row in enumerate(table.neighbor):
        path = f"bgp.neighbor[{index}]"
        address = problems.required(row.address, f"{path}.address", Ip.parse)
        asn = problems.required(row.asn, f"{path}.asn", int)
        first = next((number for number, known in enumerate(addresses) if known == address), None)
        if address is not None and first is not None:
            problems.note(f"{path}.address", f"{address} is already used by bgp.neighbor[{first}]")
        addresses.append(address)
        if address is not None and asn is not None:
            neighbors.append(_neighbor(row, address, asn, path, problems))
    asn = problems.required(table.asn, "bgp.asn", int)
    identifier = problems.required(table.router_id, "bgp.router_id", router_id)
    return BgpConfig(asn, identifier, tuple(neighbors)) if asn is not None and identifier is not None else None


def _neighbor(row: NeighborTable, address: Ip, asn: int, path: str, problems: Problems) -> BgpNeighbor:
    source = problems.parsed(row.source, f"{path}.source", Ip.parse) if row.source else None
    if source is not None and source.is_v6 != address.is_v6:
        problems.note(f"{path}.source", f"{source} is not of the address family of {address}")
    if row.hold_time in (1, 2):
        problems.note(f"{path}.hold_time", f"{row.hold_time} is too short (RFC 4271 4.2)", "0 for never, or at least 3")
    if not row.description.isprintable() or '"' in row.description:
        problems.note(f"{path}.description", "has a quote, or a character that cannot be printed")
    if row.password_file:
        problems.parsed(row.password_file, f"{path}.password_file", absolute_path)
    listen = int(row.listen) if not isinstance(row.listen, bool) else BGP_PORT if row.listen or row.passive else 0
    return BgpNeighbor(
        address=address,
        asn=asn,
        source=source,
        listen=listen,
        passive=row.passive,
        hold_time=row.hold_time,
        ttl=row.ttl,
        password_file=row.password_file,
        description=row.description,
        route_reflector=row.route_reflector,
    )
