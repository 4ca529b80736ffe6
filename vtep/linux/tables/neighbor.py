"""The MAC of one remote host: an entry of the neighbor table, by which the bridge answers ARP and ND for the host.

The kernel keeps who wrote an entry (NDA_PROTOCOL), so the row itself says that it is ours. What the host's own kernel found out
by ARP or ND (any state but NOARP and PERMANENT) belongs to no program, and our row replaces it. A bridge that goes down loses all
of these rows (kernel 6.18), and the link event makes the engine write them again.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from vtep.addr import Ip, Mac, Vni
from vtep.intent import Host, HostKey, Intent
from vtep.linux.attachment import Hosts, attached
from vtep.linux.wire.neighbor import (
    NTF_EXT_LEARNED,
    NTF_ROUTER,
    NUD_NOARP,
    NUD_PERMANENT,
    RTPROT_VTEP,
    Entry,
    Neighbor,
    Verb,
)
from vtep.linux.wire.tlv import AF_BRIDGE
from vtep.reconcile.contract import Attachments, Change, Seen
from vtep.reconcile.descriptor import Descriptor
from vtep.store.table import walk


class NeighborRow(Struct, frozen=True, gc=False):
    """The address of the key has this MAC."""

    mac: Mac
    router: bool = False
    """The host is an IPv6 router (NTF_ROUTER): the route had the R flag (RFC 9047)."""


class _Neighbor:
    """The kind of row of a remote host. Its key is the VNI and the address."""

    name = "neighbor"
    descriptor = Descriptor(
        public="neighbor",
        domain_of=Hosts,
        key_name="ip",
        in_words=lambda row: str(row.mac),
        unserved="neigh-suppress-off",
    )

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[HostKey]:
        return (host.key for _, hosts in walk(lambda: latest().hosts) for host in hosts)

    def wanted_at(self, intent: Intent, key: HostKey) -> NeighborRow | None:
        return next((_row(host) for host in intent.hosts.get(key[1], ()) if host.key == key), None)

    def touched(self, intent: Intent) -> Iterable[HostKey]:
        return intent.touched_hosts

    def domain(self, key: HostKey) -> Hashable:
        return Hosts(key[0])

    def recognise(self, entries: Iterable[Entry], attachments: Attachments) -> Mapping[HostKey, Seen]:
        """Read ARP and ND rows that a program wrote.

        A row is ours by our protocol and EXT_LEARNED. One of another daemon (EXT_LEARNED, not PERMANENT) may be handed
        over. An operator's PERMANENT row is foreign and stays.
        """
        ready = attached(attachments)
        seen: dict[HostKey, Seen] = {}
        for vni, entry in ready.owned(entries):
            if entry.family == AF_BRIDGE or entry.ip is None:
                continue
            if entry.state & (NUD_NOARP | NUD_PERMANENT):
                ours = entry.protocol == RTPROT_VTEP and bool(entry.flags & NTF_EXT_LEARNED)
                row = NeighborRow(entry.mac, bool(entry.flags & NTF_ROUTER))
                # A row that is handed over is written again, with our protocol, so it is not whole before that.
                theirs = None if ours or not entry.flags & NTF_EXT_LEARNED or entry.state & NUD_PERMANENT else row
                holder = "" if ours else "foreign"
                seen[vni, entry.ip] = Seen(
                    row,
                    ours,
                    whole=theirs is None,
                    holder=holder,
                    tagged=ours,
                    adoptable=theirs,
                    there=None if ours else row,
                )
        return seen

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[Neighbor]]:
        verb = Verb.DELETE if change.verb == "delete" else Verb.REPLACE
        return ([_spelled(verb, key, change.row, attachments) for key in change.keys],)

    def order(self, change: Change) -> Any:
        vni, ip = change.keys[0]
        return (vni, change.verb, ip.order)

    def pack(self, keys: Sequence[HostKey], row: NeighborRow) -> bytes:
        """Write the VNI 3, the MAC 6, whether it is a router 1, then each address 16, IPv4-mapped for IPv4."""
        return keys[0][0].to_bytes(3) + row.mac + bytes((row.router,)) + b"".join(ip.mapped for _, ip in keys)

    def unpack(self, packed: bytes) -> tuple[list[HostKey], NeighborRow]:
        domain = Vni(int.from_bytes(packed[:3]))
        keys = [(domain, Ip.unpack(packed[at : at + 16])) for at in range(10, len(packed), 16)]
        return keys, NeighborRow(Mac.unpack(packed[3:9]), bool(packed[9]))


NEIGHBOR: Final = _Neighbor()


def _spelled(verb: Verb, key: HostKey, row: NeighborRow, attachments: Attachments) -> Neighbor:
    vni, ip = key
    flags = NTF_EXT_LEARNED | (NTF_ROUTER if row.router else 0)
    return attached(attachments)[Hosts(vni)].host_message(verb, ip, row.mac, flags, NUD_NOARP, RTPROT_VTEP)


def _row(host: Host) -> NeighborRow:
    return NeighborRow(host.mac, host.router)
