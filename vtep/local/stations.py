"""What the bridge's table and its neighbor table say of stations here.

Reads rows that somebody else fetched, and keeps what was seen so that only what differs is told. Does not know which
route wins, what is announced, how rows are fetched, or what time it is.

    bridge row on an access port         a station, `static` where an operator wrote it
    neighbor row on the bridge          a host address of that MAC, if the MAC is a station
    the bridge's own MAC and addresses   the gateway, where it is configured as one

Never stations: rows that somebody wrote as EXT_LEARNED, rows with a VLAN (copies for the ports' default VLAN), the MACs
of the ports themselves (PERMANENT), whatever is on a VXLAN port, multicast.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeAlias

from msgspec import Struct, structs

from vtep.addr import Ip, Mac, Vni
from vtep.config.model import VniConfig
from vtep.evpn.station import Station
from vtep.intent import RowKey
from vtep.linux import attachment
from vtep.linux.devices import Address, Links
from vtep.linux.wire.neighbor import (
    NTF_EXT_LEARNED,
    NTF_STICKY,
    NUD_DELAY,
    NUD_NOARP,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
    RTPROT_VTEP,
    Entry,
)
from vtep.linux.wire.tlv import AF_BRIDGE

_KNOWN: Final = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT
"""States of a neighbor row whose MAC is believed; what is asked for (INCOMPLETE) or gave no answer (FAILED) is not."""


HostRow: TypeAlias = tuple[Vni, int, Ip]
"""A neighbor row: the address, and the device of this VNI that it is on."""


class Access(attachment.Access, frozen=True):
    """Where the stations of one VNI are heard."""

    gateway: Station | None = None

    def is_like(self, other: "Access | None") -> bool:
        """Tell whether the same rows are looked at; the gateway's are none."""
        return other is not None and structs.replace(other, gateway=self.gateway) == self


class Location(Struct, frozen=True, gc=False):
    """Where the bridge has a station."""

    port: str
    static: bool = False


class News(Struct, frozen=True):
    """What is to be told, in the words of the listener."""

    heard: Sequence[Station] = ()
    gone: Sequence[RowKey] = ()
    changed: Sequence[Station] = ()

    def __bool__(self) -> bool:
        return bool(self.heard or self.gone or self.changed)


def accesses(vnis: Iterable[VniConfig], links: Links, addresses: Iterable[Address]) -> dict[Vni, Access]:
    """Say where stations are heard: at the bridges that are there, be their VXLAN ports fit for rows or not."""
    own: dict[int, set[Ip]] = {}
    for address in addresses:
        if address.usable and address.ip.is_unicast:
            own.setdefault(address.device, set()).add(address.ip)
    found = {}
    for vni in vnis:
        at = attachment.access(vni, links) if is_learnt(vni) else None
        if at is not None:
            gateway = _gateway(attachment.gateway(at, links, own), at.vni) if vni.gateway else None
            found[at.vni] = Access(**structs.asdict(at), gateway=gateway)
    return found


def is_learnt(vni: VniConfig) -> bool:
    """Tell whether the stations of a VNI are of interest."""
    return vni.is_bound and vni.announce


def location_of(row: Entry | None, access: Access) -> Location | None:
    """Return where a station is that has this row, or nothing where there is no station."""
    if (
        row is None
        or (port := access.port_of(row)) is None
        or row.flags & NTF_EXT_LEARNED
        or row.state & NUD_PERMANENT
        or not row.mac.is_usable
    ):
        return None
    return Location(port, bool(row.state & NUD_NOARP or row.flags & NTF_STICKY))


def host_mac(row: Entry | None) -> Mac | None:
    """Return which MAC a neighbor row gives to its address, if somebody found that out here."""
    if (
        row is None
        or row.family == AF_BRIDGE
        or row.ip is None
        or not row.ip.is_unicast
        or not row.state & _KNOWN
        or row.flags & NTF_EXT_LEARNED
        or row.protocol == RTPROT_VTEP
        or not row.mac.is_usable
    ):
        return None
    return row.mac


class Stations:
    """What was seen so far, and what of it is news."""

    def __init__(self) -> None:
        self._places: dict[RowKey, Location] = {}
        self._gateways: dict[Vni, Station] = {}
        self._macs: dict[HostRow, Mac] = {}
        """Neighbor rows: the address on the device has this MAC, be it a station or not."""
        self._rows_of: dict[RowKey, set[tuple[int, Ip]]] = {}
        """The same by MAC."""
        self._heard: dict[RowKey, None] = {}
        self._gone: dict[RowKey, None] = {}
        self._changed: dict[RowKey, None] = {}

    def __len__(self) -> int:
        return len(self._places)

    @property
    def has_news(self) -> bool:
        return bool(self._heard or self._gone or self._changed)

    def known(self, vnis: Iterable[Vni]) -> list[RowKey]:
        """Return the stations of these VNIs, the gateways left out."""
        wanted = frozenset(vnis)
        return [key for key in self._places if key[0] in wanted]

    def known_hosts(self, vnis: Iterable[Vni]) -> list[HostRow]:
        wanted = frozenset(vnis)
        return [key for key in self._macs if key[0] in wanted]

    def expect(self, key: RowKey) -> None:
        """Somebody has it that a station is here: if it is not, that is news."""
        self._places.setdefault(key, Location(""))

    def learn(self, key: RowKey, location: Location | None) -> None:
        """Something happened there: a station that is there has just been heard, be it where it was."""
        if location is None:
            self._lose(key)
            return
        self._places[key] = location
        self._heard[key] = None
        self._gone.pop(key, None)
        self._changed.pop(key, None)

    def see(self, key: RowKey, location: Location | None) -> None:
        """This is how it is there; nothing need have happened."""
        known = self._places.get(key)
        if location == known:
            return
        if location is None or known is None or location.port != known.port:
            self.learn(key, location)
            return
        self._places[key] = location
        self._change(key)

    def see_host(self, key: HostRow, mac: Mac | None) -> None:
        """Take which MAC an address has; an address is no sign that the MAC itself was heard here."""
        before = self._macs.pop(key, None)
        if mac is not None:
            self._macs[key] = mac
        if mac == before:
            return
        vni, device, ip = key
        if before is not None:
            rows = self._rows_of[vni, before]
            rows.remove((device, ip))
            if not rows:
                del self._rows_of[vni, before]
            self._change((vni, before))
        if mac is not None:
            self._rows_of.setdefault((vni, mac), set()).add((device, ip))
            self._change((vni, mac))

    def see_gateway(self, vni: Vni, gateway: Station | None) -> None:
        before = self._gateways.get(vni)
        if gateway == before:
            return
        self._gateways.pop(vni, None)
        if before is not None and (gateway is None or gateway.key != before.key):
            self._heard.pop(before.key, None)
            self._gone[before.key] = None
        if gateway is not None:
            self._gateways[vni] = gateway
            self._heard[gateway.key] = None

    def forget(self, vni: Vni) -> None:
        """Nothing is heard of this VNI any more."""
        for key in self.known((vni,)):
            self._lose(key)
        for row in self.known_hosts((vni,)):
            self.see_host(row, None)
        self.see_gateway(vni, None)

    def take_news(self, most: int) -> News:
        """Return what is to be told, the oldest first, no more than so much of each."""
        gone = list(_take(self._gone, most))
        heard = [self._station(key) for key in _take(self._heard, most)]
        changed = [self._station(key) for key in _take(self._changed, most)]
        return News(heard, gone, changed)

    def _lose(self, key: RowKey) -> None:
        if self._places.pop(key, None) is not None:
            self._heard.pop(key, None)
            self._changed.pop(key, None)
            self._gone[key] = None

    def _change(self, key: RowKey) -> None:
        if key in self._places and key not in self._heard:
            self._changed[key] = None

    def _station(self, key: RowKey) -> Station:
        gateway = self._gateways.get(key[0])
        if gateway is not None and gateway.key == key:
            return gateway
        location = self._places[key]
        hosts = frozenset(ip for _, ip in self._rows_of.get(key, ()))
        return Station(*key, location.port, static=location.static, hosts=hosts)


def _take(keys: dict[RowKey, None], most: int) -> Iterator[RowKey]:
    for key in list(islice(keys, most)):
        del keys[key]
        yield key


def _gateway(found: attachment.Gateway | None, vni: Vni) -> Station | None:
    """The bridge routes for its stations by the addresses that it has with its MAC."""
    return None if found is None else Station(vni, found.mac, found.device, gateway=True, hosts=found.hosts)
