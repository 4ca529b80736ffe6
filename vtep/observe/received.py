"""The one door to the routes that peers have sent, for readers that list them.

A reader needs six things of the RIB: which peers there are, the keys of a part of a peer's routes, one route with its state, its age, the
routes of a MAC and those of a host address. They are here, so that the RIB may change behind them. Copies keys only, and keeps nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec import Struct

from vtep.addr import Ip, Mac
from vtep.evpn.ages import UNKNOWN, Age
from vtep.evpn.before_policy import BeforePolicy, Sent
from vtep.evpn.event import RouteKey
from vtep.evpn.imet import Imet
from vtep.evpn.mac_ip import MacIp
from vtep.evpn.nlri import Route
from vtep.projection.leaf import Leaf
from vtep.store.sharded import SHARDS

PARTS: Final = SHARDS
"""The routes of a peer come in so many parts; a part has at most a few ten thousand of a million."""
CURRENT, STALE = "current", "stale"


EFFECTS_MAX: Final = 20
"""How many routes that a policy changed one answer names."""


class PolicyEffect(Struct, frozen=True):
    """What a peer sent, and what its router's policy made of it."""

    peer: Ip
    sent: Sent
    after: Sent | None
    """None if the router did not take it."""


class Received:
    """The routes of all peers of one leaf."""

    def __init__(self, leaf: Leaf, befores: Callable[[], Iterable[tuple[Ip, BeforePolicy]]] = lambda: ()) -> None:
        """`befores` returns what differs before policy, of each peer of which a router reports both tables."""
        self._leaf = leaf
        self.befores = befores

    def __len__(self) -> int:
        return sum(map(len, self._leaf.rib.peers.values()))

    def peers(self) -> list[Ip]:
        return sorted(self._leaf.rib.peers, key=lambda address: address.order)

    def keys(self, peer: Ip, part: int) -> list[RouteKey]:
        """Return the keys of one part of a peer's routes, without an order."""
        return self._leaf.rib.keys(peer, part)

    def route(self, peer: Ip, key: RouteKey) -> tuple[Route, str] | None:
        """Return a route, and whether it is of a session that has ended."""
        found = self._leaf.rib.find(peer, key)
        return None if found is None else (found[0], STALE if found[1] else CURRENT)

    def age(self, peer: Ip, key: RouteKey) -> Age:
        """Return since when a route is as it is; nothing is known of the age of one that the peer does not have."""
        return UNKNOWN if self._leaf.rib.find(peer, key) is None else self._leaf.rib.ages.of(peer, key)

    def before_policy(self, mac: Mac) -> tuple["PolicyEffect", ...]:
        """Return what peers sent of a MAC and their router's policy took out or changed, the first EFFECTS_MAX of them."""
        found: list[PolicyEffect] = []
        for peer, table in self.befores():
            for key, sent in table.of_mac(mac).items():
                held = self._leaf.rib.find(peer, key)
                after = Sent.of(held[0]) if held is not None and isinstance(held[0], MacIp) else None
                if after != sent:
                    found.append(PolicyEffect(peer, sent, after))
            if len(found) >= EFFECTS_MAX:
                break
        return tuple(found[:EFFECTS_MAX])

    def knows_before(self) -> bool:
        """Tell whether the table before policy comes with routes from every peer that is up, and none of it was left out."""
        tables = dict(self.befores())
        up = [peer.address for peer in self._leaf.rib.peers.values() if peer.up]
        return bool(up) and all(
            peer in tables and tables[peer].has_routes and not tables[peer].forgotten for peer in up
        )

    def unaccepted(self, mac: Mac) -> tuple[Ip, ...]:
        """Return the peers of which a router withdrew a route of this MAC that it had never announced."""
        found = (self._leaf.rib.peers[peer] for peer in self.peers())
        return tuple(peer.address for peer in found if peer.feed and mac in peer.unaccepted)

    def of_mac(self, mac: Mac) -> Sequence[MacIp]:
        return self._leaf.rib.index.routes_of(mac)

    def of_host(self, ip: Ip) -> Sequence[MacIp]:
        return self._leaf.rib.index.routes_of_host(ip)


def endpoint(imet: Imet) -> Ip:
    """Return the endpoint of its floods, or its next hop if it names none."""
    pmsi = imet.attributes.pmsi
    return imet.attributes.next_hop if pmsi is None or pmsi.endpoint is None else pmsi.endpoint
