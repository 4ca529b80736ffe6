"""The MTU of the underlay, from which that of managed devices follows. Pure."""

from collections.abc import Iterable
from typing import Final

from vtep.addr import Ip
from vtep.linux.devices import Address, Links

USUAL: Final = 1500
"""Of an underlay of which the host knows nothing."""
LOOPBACK: Final = 65_536


def underlay_mtu(links: Links, addresses: Iterable[Address], vteps: Iterable[Ip]) -> int:
    """Return the least MTU of the devices with our tunnel addresses; an address of `lo` says nothing of the way out."""
    ours = set(vteps)
    found = [links.by_index[address.device].mtu for address in addresses if address.ip in ours]
    return min((mtu for mtu in found if mtu and mtu < LOOPBACK), default=USUAL)
