"""The events of one UPDATE in an ExaBGP line: routes that the peer advertises, routes that it withdraws, or End-of-RIB.

Each NLRI is read on its own, so that one that no route of ours can represent costs none of the others: it is listed with
what is wrong with it. A route type that vtep does not know is skipped without a word. What the path attributes mean is the
business of `evpn.attributes`; here they are only found.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from vtep.addr import Ip
from vtep.errors import RouteError, StreamError
from vtep.evpn import attributes
from vtep.evpn.event import Announced, EndOfRib, Event, Withdrawn
from vtep.evpn.gathered import Gathered, WithdrawnKeys
from vtep.evpn.nlri import UnknownRouteType
from vtep.feed.exabgp.octets import octets_of
from vtep.feed.exabgp.shapes import Attribute, Neighbor, Nlri

ONLY_PACKETS: Final = "ExaBGP shows its messages undecoded: set `parsed` in the `receive` block of its `api` section"


class UpdateRead(NamedTuple):
    """What one UPDATE reports."""

    events: tuple[Event, ...] = ()
    bad_nlris: tuple[str, ...] = ()
    """NLRIs that cannot be read, each with what is wrong."""
    malformed: str = ""
    """Why ExaBGP takes all its routes as withdrawn, if it does."""


def read_update(neighbor: Neighbor[Nlri] | Neighbor[Any], peer: Ip) -> UpdateRead:
    message = neighbor.message
    if message and message.eor:
        is_ours = (message.eor.afi, message.eor.safi) == ("l2vpn", "evpn")
        return UpdateRead((EndOfRib(peer),) if is_ours else ())
    if message is None or message.update is None:
        raise StreamError(ONLY_PACKETS)
    update = message.update
    events: tuple[Event, ...] = ()
    bad: list[str] = []
    # ExaBGP does not show the order inside a message. A route in both parts counts as announced (RFC 4271 4.3).
    if update.withdraw and (keys := _withdrawn(update.withdraw.evpn, bad)):
        events += (Withdrawn(peer, keys),)
    if update.announce and (routes := _announced(peer, update.announce.evpn, update.attribute or Attribute(), bad)):
        events += (Announced(peer, routes),)
    return UpdateRead(events, tuple(bad), "" if update.attribute is None else update.attribute.error)


def _withdrawn(nlris: Iterable[Any], bad: list[str]) -> WithdrawnKeys:
    keys = WithdrawnKeys()
    for nlri in nlris:
        try:
            raw, path_id = octets_of(nlri)
            keys.add(raw, path_id)
        except UnknownRouteType:
            continue
        except RouteError as error:
            bad.append(_complaint(nlri, error))
    return keys


def _announced(peer: Ip, by_next_hop: dict[str, list[Any]], attribute: Attribute, bad: list[str]) -> Gathered:
    """Decode the routes of all next hops; one that is listed under two keeps the better."""
    next_hops, unreadable = _next_hops(by_next_hop)
    bad += [
        _complaint(nlri, f"{text[:40]!r} is not a valid next hop") for text in unreadable for nlri in by_next_hop[text]
    ]
    routes = Gathered(peer)
    for next_hop, text in next_hops:
        shared = _attributes(next_hop, attribute)
        for nlri in by_next_hop[text]:
            try:
                raw, path_id = octets_of(nlri)
                routes.add(raw, shared, path_id)
            except UnknownRouteType:
                continue
            except RouteError as error:
                bad.append(_complaint(nlri, error))
    return routes


def _next_hops(by_next_hop: dict[str, list[Any]]) -> tuple[list[tuple[Ip, str]], list[str]]:
    """Return the readable next hops, link-local ones first, and the unreadable ones.

    A 32-octet next hop (RFC 2545 3) is shown as every route twice, under the global and under the link-local address.
    Only the global one can be another machine's tunnel address, so it comes last and stays.
    """
    readable, unreadable = [], []
    for text in by_next_hop:
        try:
            readable.append((Ip.parse(text), text))
        except ValueError:
            unreadable.append(text)
    readable.sort(key=lambda entry: not entry[0].is_v6_link_local)
    return readable, unreadable


def _attributes(next_hop: Ip, attribute: Attribute) -> attributes.Attributes:
    communities = tuple([community.value for community in attribute.extended])
    try:
        return attributes.decode(
            next_hop,
            communities,
            attribute.pmsi,
            _is_llgr_stale(attribute.community),
            attribute.local_pref if type(attribute.local_pref) is int else attributes.DEFAULT_LOCAL_PREF,
            _as_path_length(attribute.as_path) + bool(attribute.as_set),
            _ORIGINS.get(attribute.origin, 0) if type(attribute.origin) is str else 0,
            attribute.med if type(attribute.med) is int else 0,
            _neighbor_as(attribute.as_path),
        )
    except OverflowError:
        raise StreamError("an extended community that is not a 64-bit number") from None


def _as_path_length(path: Any) -> int:
    """Return how many AS numbers of the path count; a set counts as one (RFC 4271 9.1.2.2).

    ExaBGP 5.0 shows the segments of a confederation as any other sequence, so here they count.
    """
    if isinstance(path, list):
        return len(path)
    count = 0
    for segment in path.values() if isinstance(path, dict) else ():
        numbers = segment.get("value") if isinstance(segment, dict) else None
        if isinstance(numbers, list) and numbers:
            count += 1 if segment.get("element") == "as-set" else len(numbers)
    return count


def _neighbor_as(path: Any) -> int:
    """Return the first AS number of the path, or 0 if it does not begin with a sequence."""
    if isinstance(path, dict):
        first = next(iter(path.values()), None)
        path = first.get("value") if isinstance(first, dict) and first.get("element") != "as-set" else None
    number = path[0] if isinstance(path, list) and path else 0
    return number if type(number) is int else 0


def _is_llgr_stale(communities: list[Any]) -> bool:
    """Both versions print a community as two numbers, `[65535, 6]`; LLGR_STALE has no name in either."""
    return any(community in _LLGR_STALE for community in communities)


_ORIGINS: Final = {"igp": 0, "egp": 1, "incomplete": 2}
_LLGR_STALE: Final = ([0xFFFF, 6], "65535:6")


def _complaint(nlri: Any, problem: object) -> str:
    raw = nlri.raw if type(nlri) is Nlri else nlri.get("raw") if isinstance(nlri, dict) else None
    return f"{str(raw)[:80]}: {problem}" if raw else str(problem)
