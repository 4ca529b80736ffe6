"""Keeps the stations of this leaf: what the bridge's table and the neighbor table say, and what of it is news.

    bridge row on an access port         a station; `static` if an operator wrote the row
    neighbor row on the bridge           a host address of that MAC, if the MAC is a station
    the bridge's own MAC and addresses   the gateway, if the VNI is configured with one

If the VNI is a VLAN of the bridge, the VLAN's own device has the neighbor rows and is the gateway.

A static row with activity notify is that of a MAC which another VTEP of our segment has seen (`linux.tables.synced_mac`). It is a station
as long as the bridge says that frames come from it, and not because it is static.

These are never stations: rows that another program wrote as EXT_LEARNED, rows with another VLAN than the VNI's (on a bridge
without VLAN filtering, any VLAN: those are copies for the default VLAN of a port), the MACs of the ports themselves
(PERMANENT), rows on a VXLAN port, multicast addresses.

A station counts as learned when the bridge sees a frame from it on any port, or when a row shows it where it was not
before. That is what makes a leaf advertise it, over a remote route as well. A host address that comes or goes only
changes a station that is known.

    what comes in                            known at this port      known elsewhere    unknown
    `learn`: an event named the row          learned                 learned            learned
    `see`: the row was read, no event        nothing; or changed     learned            learned
    no row any more                          gone                    gone               nothing
    `see_host`: another address              changed                 changed            nothing until it is known

An event about a station that is where it was is news as well, because the bridge makes it only from a frame, where it had
no row of the station or had ours. A dump is no frame: what it shows where it was before says nothing new. This difference is
what keeps two leaves from overriding each other without end (decision 0012).

**News is kept by station**, and the latest counts: one that was learned and left before that was reported is only gone. So however
fast stations come and go, what waits is bounded by how many there are.

The rows come from the caller (`watcher`). This module does not know which route wins, what is advertised, how rows are
read, or what time it is.
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
    FDB_NOTIFY_INACTIVE,
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
"""States of a neighbor row whose MAC is known: not those of an open (INCOMPLETE) or a failed resolution (FAILED)."""


HostRow: TypeAlias = tuple[Vni, int, Ip]
"""A neighbor row: the address, and the device of this VNI that it is on."""


class Access(attachment.Access, frozen=True):
    """Where the stations of one VNI are learned."""

    gateway: Station | None = None
    """The bridge as the default gateway of the VNI, if that is to be advertised; None: it is not, or there is none."""

    def is_like(self, other: "Access | None") -> bool:
        """Tell whether the same rows are read; the gateway has none."""
        return other is not None and structs.replace(other, gateway=self.gateway) == self


class Location(Struct, frozen=True, gc=False):
    """Where the bridge has a station."""

    port: str
    """The name of the bridge port. Empty: a caller says that the station is here, and no look has shown it yet."""
    static: bool = False
    """The row does not age, or stays where it is: an operator or a program set it (NUD_NOARP or NTF_STICKY)."""
    synced: bool = False
    """The row has activity notify, as that of a MAC which another VTEP of our segment has seen."""


class News(Struct, frozen=True):
    """What changed about stations, for the leaf."""

    learned: Sequence[Station] = ()
    """Seen by the bridge just now, at a new port or where they were."""
    gone: Sequence[RowKey] = ()
    """No longer at a local port: aged, deleted, moved behind a VXLAN device, or of a VNI that is no longer
    followed."""
    changed: Sequence[Station] = ()
    """Known, and with other host addresses or another kind of row."""

    def __bool__(self) -> bool:
        return bool(self.learned or self.gone or self.changed)


def accesses(vnis: Iterable[VniConfig], links: Links, addresses: Iterable[Address]) -> dict[Vni, Access]:
    """Return where stations are learned: at the bridges that exist, whether their VXLAN ports are ready or not."""
    own: dict[int, set[Ip]] = {}
    for address in addresses:
        if address.usable and address.ip.is_unicast:
            own.setdefault(address.device, set()).add(address.ip)
    found = {}
    for vni in vnis:
        at = attachment.access(vni, links) if is_watched(vni) else None
        if at is not None:
            gateway = _gateway(attachment.gateway(at, links, own), at.vni) if vni.gateway else None
            found[at.vni] = Access(**structs.asdict(at), gateway=gateway)
    return found


def is_watched(vni: VniConfig) -> bool:
    """Tell whether the stations of a VNI are to be advertised."""
    return vni.is_bound and vni.announce


def location_of(row: Entry | None, access: Access) -> Location | None:
    """Return where the station of this row is; None if the row is not that of a station."""
    if (
        row is None
        or (port := access.port_of(row)) is None
        # An operator who pins a remote MAC at a port leaves it its mark. A program that writes the mark cannot set NOARP.
        or (row.flags & NTF_EXT_LEARNED and not row.state & NUD_NOARP)
        or row.state & NUD_PERMANENT
        or not row.mac.is_usable
        or row.notify & FDB_NOTIFY_INACTIVE
    ):
        return None
    static = not row.notify and bool(row.state & NUD_NOARP or row.flags & NTF_STICKY)
    return Location(port, static, synced=bool(row.notify))


def host_mac(row: Entry | None) -> Mac | None:
    """Return the MAC that a neighbor row has for its address, if the row was resolved or written on this leaf."""
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
    """The stations that are known, and what of them has not been reported yet."""

    def __init__(self) -> None:
        self._locations: dict[RowKey, Location] = {}
        self._gateways: dict[Vni, Station] = {}
        self._macs: dict[HostRow, Mac] = {}
        """Neighbor rows: the MAC of an address on a device, whether it is a station or not."""
        self._rows_of: dict[RowKey, set[tuple[int, Ip]]] = {}
        """The same by MAC."""
        self._learned: dict[RowKey, None] = {}
        self._gone: dict[RowKey, None] = {}
        self._changed: dict[RowKey, None] = {}

    def __len__(self) -> int:
        return len(self._locations)

    @property
    def has_news(self) -> bool:
        return bool(self._learned or self._gone or self._changed)

    def known(self, vnis: Iterable[Vni]) -> list[RowKey]:
        """Return the stations of these VNIs, the gateways left out."""
        wanted = frozenset(vnis)
        return [key for key in self._locations if key[0] in wanted]

    def known_hosts(self, vnis: Iterable[Vni]) -> list[HostRow]:
        wanted = frozenset(vnis)
        return [key for key in self._macs if key[0] in wanted]

    def expect(self, key: RowKey) -> None:
        """Record that a caller believes this station to be local; if the next look does not show it, report it as gone."""
        self._locations.setdefault(key, Location(""))

    def learn(self, key: RowKey, location: Location | None) -> None:
        """Take a row that an event named: a station that is there was learned just now, even where it was before."""
        if location is None:
            self._lose(key)
            return
        self._locations[key] = location
        self._learned[key] = None
        self._gone.pop(key, None)
        self._changed.pop(key, None)

    def see(self, key: RowKey, location: Location | None) -> None:
        """Take a row that was read without an event: only a difference is news."""
        known = self._locations.get(key)
        if location == known:
            return
        if location is None or known is None or location.port != known.port:
            self.learn(key, location)
            return
        self._locations[key] = location
        self._change(key)

    def see_host(self, key: HostRow, mac: Mac | None) -> None:
        """Take the MAC of an address; a neighbor row does not show that the bridge learned the MAC itself."""
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
        """Take the gateway of a VNI, or None if it has none.

        Other addresses make it learned again with the same MAC. Another MAC is another station: the old one is
        reported as gone.
        """
        before = self._gateways.get(vni)
        if gateway == before:
            return
        self._gateways.pop(vni, None)
        if before is not None and (gateway is None or gateway.key != before.key):
            self._learned.pop(before.key, None)
            self._gone[before.key] = None
        if gateway is not None:
            self._gateways[vni] = gateway
            self._learned[gateway.key] = None
            self._gone.pop(gateway.key, None)

    def forget(self, vni: Vni) -> None:
        """The stations of this VNI are no longer followed."""
        for key in self.known((vni,)):
            self._lose(key)
        for row in self.known_hosts((vni,)):
            self.see_host(row, None)
        self.see_gateway(vni, None)

    def take_news(self, most: int) -> News:
        """Return what was not reported yet, the oldest first, at most so many of each sort."""
        gone = list(_take(self._gone, most))
        learned = [self._station(key) for key in _take(self._learned, most)]
        changed = [self._station(key) for key in _take(self._changed, most)]
        return News(learned, gone, changed)

    def _lose(self, key: RowKey) -> None:
        """Report a station as gone, if it was known; what waited to be reported of it no longer matters."""
        if self._locations.pop(key, None) is not None:
            self._learned.pop(key, None)
            self._changed.pop(key, None)
            self._gone[key] = None

    def _change(self, key: RowKey) -> None:
        """Report a known station again, with its hosts of now; one that is reported as learned anyway needs no
        second report."""
        if key in self._locations and key not in self._learned:
            self._changed[key] = None

    def _station(self, key: RowKey) -> Station:
        """Return a station as it is now, not as it was when the news came: several changes become one report."""
        gateway = self._gateways.get(key[0])
        if gateway is not None and gateway.key == key:
            return gateway
        location = self._locations[key]
        hosts = frozenset(ip for _, ip in self._rows_of.get(key, ()))
        return Station(*key, location.port, static=location.static, hosts=hosts, synced=location.synced)


def _take(keys: dict[RowKey, None], most: int) -> Iterator[RowKey]:
    for key in list(islice(keys, most)):
        del keys[key]
        yield key


def _gateway(found: attachment.Gateway | None, vni: Vni) -> Station | None:
    """Return the gateway as a station: the bridge routes for its stations, with its own MAC and addresses."""
    return None if found is None else Station(vni, found.mac, found.device, gateway=True, hosts=found.hosts)
