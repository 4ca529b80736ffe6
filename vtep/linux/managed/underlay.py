"""The MTU of the underlay, from which that of managed devices follows. Pure.

It is the least MTU of the routes to the BGP peers, because other VTEPs are where these are or behind them. `vtep.linux.paths` asks the
kernel for the routes, as for the remote VTEPs. Where no peer has a route, the device that has the tunnel address says it.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from vtep.addr import Ip
from vtep.config.model import Config
from vtep.linux.devices import Address, Links
from vtep.linux.managed.wish import tunnel_addresses
from vtep.linux.wire.route import RTN_LOCAL, FoundPath, PathQuery

USUAL: Final = 1500
"""Of an underlay of which the host knows nothing."""
LOOPBACK: Final = 65_536
"""The MTU of `lo`. A device with as much is taken for one, and says nothing about the way out."""


def questions(config: Config) -> list[PathQuery]:
    """Return which routes to ask for: from each tunnel address of managed devices to each peer."""
    neighbors = () if config.bgp is None else (neighbor.address for neighbor in config.bgp.neighbors)
    peers = list(dict.fromkeys((*neighbors, *config.feed.peers)))
    return [PathQuery(vtep, 0, peer) for vtep in tunnel_addresses(config) for peer in peers if vtep.is_v6 == peer.is_v6]


def underlay_mtu(
    links: Links, addresses: Iterable[Address], vteps: Iterable[Ip], paths: Iterable[FoundPath] = ()
) -> int:
    """Return the least MTU of the routes, or of the devices with our addresses; an address of `lo` says nothing of the way out."""
    if (routed := min(_of_paths(links, paths), default=None)) is not None:
        return routed
    ours = set(vteps)
    # A device may have come between the two dumps.
    found = (links.by_index.get(address.device) for address in addresses if address.ip in ours)
    return min((link.mtu for link in found if link is not None and link.mtu and link.mtu < LOOPBACK), default=USUAL)


def _of_paths(links: Links, paths: Iterable[FoundPath]) -> Iterator[int]:
    for path in paths:
        device = links.by_index.get(path.device)
        if path.errno or path.type == RTN_LOCAL or device is None:
            continue
        if found := min((mtu for mtu in (path.mtu, device.mtu) if mtu), default=0):
            yield found
