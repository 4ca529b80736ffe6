"""The row at our port of a MAC that another VTEP of its Ethernet segment has seen (RFC 9721 4).

    bridge row   port = es0, NOARP, activity notify      "static" for `bridge fdb show`

So frames to the MAC leave by our port and not by the tunnel, also before the machine has sent a frame by this link. The row is static,
because the bridge forgets other rows when the port loses its carrier. With the attribute NFEA_ACTIVITY_NOTIFY the bridge tells of a
static row whether frames come from its MAC (5.14): that is how this leaf finds out that it sees the MAC as well (`local.stations`).

What the bridge has learned at the same port is taken over in place. Any other row at the MAC is left alone: one into the tunnel is
either ours and goes before (`fdb.py`), or another program's. FRR writes rows that look alike, so only the ledger says which are ours.

A row with this attribute keeps it, and its state, when `fdb.py` has the bridge send the MAC into the tunnel (6.18), and the other way
EXT_LEARNED stays on it. Neither changes what the bridge does.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from vtep.addr import Mac, Vni
from vtep.intent import Intent, RowKey
from vtep.linux.attachment import attached
from vtep.linux.vrf import Picture
from vtep.linux.wire.neighbor import (
    FDB_NOTIFY,
    FDB_NOTIFY_INACTIVE,
    NTF_EXT_LEARNED,
    NTF_MASTER,
    NTF_SELF,
    NTF_STICKY,
    NUD_NOARP,
    NUD_PERMANENT,
    Entry,
    Lookup,
    Neighbor,
    Verb,
)
from vtep.linux.wire.tlv import AF_BRIDGE
from vtep.reconcile.contract import LOCAL_LEARNED, Attachments, Change, Seen
from vtep.reconcile.descriptor import Descriptor
from vtep.store.table import walk

_VERBS: Final = {"create": Verb.CREATE, "replace": Verb.REPLACE}
INTO_TUNNEL: Final = "into the tunnel"
"""The holder of a MAC that the bridge sends into the tunnel."""


class SyncedMacRow(Struct, frozen=True, gc=False):
    """The MAC of the key is at this port of ours."""

    port: str


class _SyncedMac:
    name = "synced-mac"
    learns = True
    bears_no_mark = True
    descriptor = Descriptor(
        public="synced-mac",
        key_name="mac",
        in_words=lambda row: f"at {row.port}",
        mac_of=lambda key: key[1],
    )

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[RowKey]:
        return (key for key, _ in walk(lambda: latest().synced))

    def wanted_at(self, intent: Intent, key: RowKey) -> SyncedMacRow | None:
        found = intent.synced.get(key)
        return None if found is None else _row(found.port)

    def touched(self, intent: Intent) -> Iterable[RowKey]:
        return intent.touched_synced

    def domain(self, key: RowKey) -> Hashable:
        return key[0]

    def lookups(self, key: RowKey, attachments: Attachments) -> Sequence[Lookup]:
        return attached(attachments)[key[0]].lookups(key[1])[:1]

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[RowKey, Seen]:
        """Read rows at bridge ports.

        Of a dump, only those that look like ours, and those at ports on segments: what else there is concerns no row of this kind.
        """
        ready, is_dump = attached(attachments), isinstance(entries, Picture)
        ports, names = ready.segment_ports, ready.port_names
        seen: dict[RowKey, Seen] = {}
        for vni, entry in ready.owned(entries):
            concerns_us = not is_dump or entry.notify or entry.port in ports
            if concerns_us and entry.family == AF_BRIDGE and not entry.flags & NTF_SELF and entry.port in names:
                holder = _holder(entry, into_tunnel=ready[vni].is_into_tunnel(entry))
                row = _row(names[entry.port])
                seen[vni, entry.mac] = Seen(row, marked=not holder, whole=not holder, holder=holder)
        return seen

    def as_part(self, row: SyncedMacRow | None, seen: Seen) -> Seen | None:
        """For a row that is wanted: what the bridge learned at the port is the row without our marks, and a row into the tunnel is in
        the way of a creation for as long as it is there."""
        if row is None or seen.holder not in (LOCAL_LEARNED, INTO_TUNNEL):
            return seen
        if seen.holder == INTO_TUNNEL:
            return None
        return Seen(row, marked=True, whole=False) if seen.row == row else seen

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[Neighbor]]:
        ready = attached(attachments)
        vni, (first, *rest) = change.keys[0][0], [mac for _, mac in change.keys]
        port = ready.port_named(change.row.port)
        vlan = ready[vni].vlan
        if change.verb not in _VERBS:
            return ([Neighbor(Verb.DELETE, port, first, NTF_MASTER, 0, vlan=vlan, also=tuple(rest))],)
        # A row that the bridge has learned is replaced: frames do come from its MAC.
        notify = FDB_NOTIFY if change.verb == "replace" else FDB_NOTIFY | FDB_NOTIFY_INACTIVE
        verb = _VERBS[change.verb]
        return ([Neighbor(verb, port, first, NTF_MASTER, NUD_NOARP, vlan=vlan, notify=notify, also=tuple(rest))],)

    def order(self, change: Change) -> Any:
        return (change.keys[0][0], change.verb, "" if change.row is None else change.row.port, change.keys[0][1])

    def pack(self, keys: Sequence[RowKey], row: SyncedMacRow) -> bytes:
        """Write the VNI 3, the length of the port's name 1, the name, then each MAC 6."""
        port = row.port.encode()
        return keys[0][0].to_bytes(3) + bytes((len(port),)) + port + b"".join(mac for _, mac in keys)

    def unpack(self, packed: bytes) -> tuple[list[RowKey], SyncedMacRow]:
        vni, end = Vni(int.from_bytes(packed[:3])), 4 + packed[3]
        keys = [(vni, Mac(packed[at : at + 6])) for at in range(end, len(packed), 6)]
        return keys, _row(packed[4:end].decode())


def is_synced(entry: Entry) -> bool:
    """Tell whether a bridge row looks as those of this kind do, no matter which program wrote it."""
    return bool(entry.notify) and bool(entry.state & NUD_NOARP) and not entry.flags & (NTF_SELF | NTF_STICKY)


def _holder(entry: Entry, *, into_tunnel: bool) -> str:
    """Return who has a row if it cannot be ours, or nothing."""
    if into_tunnel:
        return INTO_TUNNEL if entry.flags & NTF_EXT_LEARNED else "foreign"
    if is_synced(entry):
        return ""
    if entry.state & (NUD_PERMANENT | NUD_NOARP) or entry.flags & NTF_STICKY:
        return "local-static"
    return "foreign" if entry.flags & NTF_EXT_LEARNED else LOCAL_LEARNED


SYNCED_MAC: Final = _SyncedMac()

_row = lru_cache(maxsize=4096)(SyncedMacRow)
