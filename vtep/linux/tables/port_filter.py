"""The filters of Ethernet segments, which are two kinds of rows: what a port forwards, and which MACs are behind it.

    port filter   (VNI, port): joining, non-df, df or standby; and the VTEPs of the segment, whose floods do not leave by the port
    segment MAC   (VNI, MAC): frames to the MAC may leave by the port in any case

The tables of nftables are ours as a whole, by their name, so a row says itself that it is ours. `linux.filters` says how a row
becomes elements of sets. A foreign flush takes rows without naming them: they are seen in surveys alone.
"""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from vtep.addr import Ip, Mac, Vni
from vtep.intent import Intent, PortFilterKey, RowKey
from vtep.linux.filtering import FilterDomain, filtered
from vtep.linux.filters import FilterMessage, MacEntry, PortEntry
from vtep.linux.vrf import Picture
from vtep.linux.wire.neighbor import Verb
from vtep.reconcile.contract import Attachments, Change, Seen
from vtep.reconcile.descriptor import Descriptor
from vtep.store.table import walk

_STATES: Final = ("joining", "non-df", "df", "standby")
"""The ledger has the places in this list, so a state is added at its end."""
_VERBS: Final = {"create": Verb.CREATE, "replace": Verb.REPLACE, "delete": Verb.DELETE}


class PortFilterRow(Struct, frozen=True, gc=False):
    """Which flooded frames of a VNI leave by a port."""

    state: str
    """`joining`: no flooded frame in or out, because other VTEPs may not know yet that this leaf is on the segment.
    `non-df`: no flooded frame from the tunnel leaves by the port (RFC 7432 8.5). `df`: all leave, but for those of
    `biased`. `standby`: no frame at all in or out, because another VTEP is the forwarder of a single-active segment."""
    biased: tuple[Ip, ...] = ()
    """The other VTEPs of the segment, which deliver their floods to it themselves (local bias, RFC 8365 8.3.1)."""


class SegmentMacRow(Struct, frozen=True, gc=False):
    """The MAC of the key is behind this port of ours."""

    port: str


class _PortFilter:
    name = "port-filter"
    descriptor = Descriptor(
        public="port-filter",
        key_name="port",
        in_words=lambda row: f"{row.state}, {len(row.biased)} VTEPs of the segment",
        domain_of=FilterDomain,
        unserved="no-filters",
    )

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[PortFilterKey]:
        return (key for key, _ in walk(lambda: latest().port_filters))

    def wanted_at(self, intent: Intent, key: PortFilterKey) -> PortFilterRow | None:
        found = intent.port_filters.get(key)
        return None if found is None or not found.is_written else _port_row(found.state, found.biased)

    def touched(self, intent: Intent) -> Iterable[PortFilterKey]:
        return intent.touched_port_filters

    def domain(self, key: PortFilterKey) -> Hashable:
        return FilterDomain(key[0])

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[PortFilterKey, Seen]:
        ready = filtered(attachments)
        seen: dict[PortFilterKey, Seen] = {}
        for entry in entries.filters if isinstance(entries, Picture) else entries:
            if isinstance(entry, PortEntry) and (vni := ready.vni_of(entry.vxlan)) is not None:
                seen[vni, entry.port] = Seen(_port_row(entry.state, entry.biased), marked=True, tagged=True)
        return seen

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[FilterMessage]]:
        ready, verb, row = filtered(attachments), _VERBS[change.verb], change.row or _port_row("joining")
        entries = (PortEntry(ready[FilterDomain(vni)].vxlan, port, row.state, row.biased) for vni, port in change.keys)
        return ([FilterMessage(verb, entry) for entry in entries],)

    def order(self, change: Change) -> Any:
        return (change.keys[0], change.verb)

    def pack(self, keys: Sequence[PortFilterKey], row: PortFilterRow) -> bytes:
        """Write the rows of one value.

        octet  0   VNI 3 · state 1, its place in `_STATES` · how many VTEPs 2
               6   VTEP 16, IPv4-mapped for IPv4, each
                   port: length 1 · name, each
        """
        peers = b"".join(ip.mapped for ip in row.biased)
        ports = b"".join(bytes((len(port.encode()),)) + port.encode() for _, port in keys)
        return keys[0][0].to_bytes(3) + bytes((_STATES.index(row.state),)) + len(row.biased).to_bytes(2) + peers + ports

    def unpack(self, packed: bytes) -> tuple[list[PortFilterKey], PortFilterRow]:
        vni, end = Vni(int.from_bytes(packed[:3])), 6 + 16 * int.from_bytes(packed[4:6])
        biased = tuple(Ip.unpack(packed[at : at + 16]) for at in range(6, end, 16))
        keys, at = [], end
        while at < len(packed):
            size = packed[at]
            keys.append((vni, packed[at + 1 : at + 1 + size].decode()))
            at += 1 + size
        return keys, _port_row(_STATES[packed[3]], biased)


class _SegmentMac:
    name = "segment-mac"
    descriptor = Descriptor(
        public="segment-mac",
        key_name="mac",
        in_words=lambda row: f"behind {row.port}",
        domain_of=FilterDomain,
        mac_of=lambda key: key[1],
        unserved="no-filters",
    )

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[RowKey]:
        return ((vni, mac) for mac, ports in walk(lambda: latest().segment_macs) for vni, _ in ports)

    def wanted_at(self, intent: Intent, key: RowKey) -> SegmentMacRow | None:
        vni, mac = key
        ports = intent.segment_macs.get(mac, ())  # by rising VNI
        place = bisect_left(ports, (vni,))
        if place == len(ports) or ports[place][0] != vni:
            return None
        port = ports[place][1]
        filtered_by = intent.port_filters.get((vni, port))
        return None if filtered_by and not filtered_by.is_written else _mac_row(port)

    def touched(self, intent: Intent) -> Iterable[RowKey]:
        return intent.touched_segment_macs

    def domain(self, key: RowKey) -> Hashable:
        return FilterDomain(key[0])

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[RowKey, Seen]:
        ready = filtered(attachments)
        seen: dict[RowKey, Seen] = {}
        for entry in entries.filters if isinstance(entries, Picture) else entries:
            if isinstance(entry, MacEntry) and (vni := ready.vni_of(entry.vxlan)) is not None:
                seen[vni, entry.mac] = Seen(_mac_row(entry.port), marked=True, tagged=True)
        return seen

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[FilterMessage]]:
        ready, port = filtered(attachments), change.row.port
        entries = [MacEntry(ready[FilterDomain(vni)].vxlan, mac, port) for vni, mac in change.keys]
        return ([FilterMessage(_VERBS[change.verb], entry) for entry in entries],)

    def order(self, change: Change) -> Any:
        return (change.keys[0][0], change.verb, change.keys[0][1])

    def pack(self, keys: Sequence[RowKey], row: SegmentMacRow) -> bytes:
        """Write the VNI 3, the length of the port's name 1, the name, then each MAC 6."""
        port = row.port.encode()
        return keys[0][0].to_bytes(3) + bytes((len(port),)) + port + b"".join(mac for _, mac in keys)

    def unpack(self, packed: bytes) -> tuple[list[RowKey], SegmentMacRow]:
        vni, end = Vni(int.from_bytes(packed[:3])), 4 + packed[3]
        keys = [(vni, Mac(packed[at : at + 6])) for at in range(end, len(packed), 6)]
        return keys, _mac_row(packed[4:end].decode())


PORT_FILTER: Final = _PortFilter()
SEGMENT_MAC: Final = _SegmentMac()

_port_row = lru_cache(maxsize=4096)(PortFilterRow)
_mac_row = lru_cache(maxsize=4096)(SegmentMacRow)
