"""The BGP speaker of this leaf and its neighbors: what `[bgp]` holds, and what is derived from it.

Every feed needs this, whichever speaker it comes from: `vtep exabgp-config` writes a speaker's configuration out of it,
and the VNIs take their Route Targets and Route Distinguishers from it where the file gives none. Has both forms: the
tables that a person types and the values that the program uses. Knows no speaker by name.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from vtep.addr import Ip, RouteDistinguisher, RouteTarget, Vni
from vtep.config.values import Problems, router_id


class BgpNeighbor(Struct, frozen=True):
    address: Ip
    asn: int


class BgpConfig(Struct, frozen=True):
    asn: int
    router_id: Ip
    neighbors: tuple[BgpNeighbor, ...] = ()


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


class NeighborTable(Struct):
    address: str | UnsetType = UNSET
    asn: Asn | UnsetType = UNSET


class BgpTable(Struct):
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
            neighbors.append(BgpNeighbor(address, asn))
    asn = problems.required(table.asn, "bgp.asn", int)
    identifier = problems.required(table.router_id, "bgp.router_id", router_id)
    return BgpConfig(asn, identifier, tuple(neighbors)) if asn is not None and identifier is not None else None
