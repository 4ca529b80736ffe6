"""One remote MAC, which is two entries: the bridge has it behind the VXLAN port, and the VXLAN device has it at a VTEP.

    bridge row   port = vxlan100, EXT_LEARNED                      the bridge forwards by it
    VXLAN row    port = vxlan100, SELF|EXT_LEARNED, 0xC0, dst      the VXLAN device forwards by it
                 or nh_id in place of dst                          to the VTEPs of a group (`fdb_nexthop.py`)

A MAC behind a port of ours on an Ethernet segment has a VXLAN row alone, its *backup*: the bridge row is the station's. While the port has
no carrier, the bridge hands its frames to the VXLAN device (`port_backup.py`), and the row sends them to the other VTEPs of the segment. The
number of its group says what it is.

A VXLAN row with an address never becomes one with a group in place, nor the other way: the kernel refuses the one and acknowledges
the other without doing it (6.18). So the row is deleted and created again (`convert`); the bridge row stays.

One message writes both, a dump shows both, and either can be missing or can be the row of another program. Flood rows are not
here, because they need only the VXLAN device.

This module knows the signature of our rows: EXT_LEARNED on both, and NOARP|PERMANENT on the VXLAN row, which no other known
program writes. The signature says that a row can be ours. Only the ledger says that it is.
"""

import struct
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from vtep.addr import ZERO_MAC, Ip, Mac, Vni
from vtep.intent import BACKUP, FDB_BACKUPS, FDB_GROUPS, ID_MASK, GroupKey, Intent, RemoteMac, RowKey, is_lost_here
from vtep.linux.attachment import Ready, attached
from vtep.linux.wire.neighbor import (
    NTF_EXT_LEARNED,
    NTF_MASTER,
    NTF_SELF,
    NTF_STICKY,
    NUD_NOARP,
    NUD_PERMANENT,
    NUD_REACHABLE,
    Alike,
    Entry,
    Neighbor,
    Verb,
)
from vtep.linux.wire.tlv import AF_BRIDGE
from vtep.reconcile.contract import LOCAL_LEARNED, Attachments, Change, Key, Seen
from vtep.reconcile.descriptor import Descriptor
from vtep.store.table import walk

_BOTH: Final = NTF_SELF | NTF_MASTER | NTF_EXT_LEARNED
_STATE: Final = NUD_NOARP | NUD_PERMANENT
_BRIDGE_HALF: Final = (NTF_EXT_LEARNED, NUD_REACHABLE)
_VXLAN_HALF: Final = (NTF_SELF | NTF_EXT_LEARNED, _STATE)
_STICKY_RANK: Final = 1 << 32  # above every sequence number
_VXLAN: Final = NTF_SELF | NTF_EXT_LEARNED
_PACKED: Final = struct.Struct(">IHI")
_NO_VTEP: Final = bytes(16)
"""In the ledger: the row has a group, whose number is in the place of the VNI."""
MARKED: Final = "vtep or iproute2"
"""Who writes rows that bear our signature."""
_VERBS: Final = {"create": Verb.CREATE, "replace": Verb.REPLACE}
_DELETED: Final = {"delete": (NTF_MASTER, NTF_SELF), "shed": (NTF_SELF,), "undo": (NTF_MASTER,)}


class FdbRow(Struct, frozen=True, gc=False):
    """Frames to the MAC of the key go to this VTEP, with this VNI if it is not the device's own; or they go by a group."""

    vtep: Ip | None
    vni: Vni | None = None
    udp_port: int | None = None
    """The UDP port if it is not the device's own. We never ask for one, so a row that has one differs from what we want."""
    via: int | None = None
    """The device by which the packets must leave. We never ask for that either."""
    group: int = 0
    """The group of nexthops that has the VTEPs; then there is nothing else."""

    @property
    def is_backup(self) -> bool:
        """Whether the row is the VXLAN half alone, below a station of ours."""
        return self.group & ~ID_MASK == FDB_BACKUPS


def wanted_by_vni(intent: Intent) -> Mapping[Vni, int]:
    """Count the rows that are wanted in each VNI. A MAC of ours has one if another VTEP is on its segment: then its group is there."""
    if not intent.backups:
        return intent.rows_of_vni
    counts = Counter(dict(intent.rows_of_vni.unordered()))
    for key, group in intent.groups.unordered():
        if key[2] == BACKUP:
            counts[group.vni] += group.macs
    return counts


class _Fdb:
    """The kind of row of a remote MAC. Its key is the VNI and the MAC."""

    name = "fdb"
    descriptor = Descriptor(
        public="mac",
        key_name="mac",
        in_words=lambda row: f"by group {row.group}" if row.group else f"to {row.vtep}",
        mac_of=lambda key: key[1],
        vtep_of=lambda intent, key: None if (mac := intent.macs.get(key)) is None else mac.vtep,
        wanted_by_vni=wanted_by_vni,
    )

    depends_on = ("fdb-group",)

    def needs(self, key: RowKey, row: FdbRow) -> Iterable[tuple[str, Key]]:  # noqa: ARG002
        return (("fdb-group", row.group),) if row.group else ()

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[RowKey]:
        yield from (key for key, _ in walk(lambda: latest().macs))
        yield from (key for key, _ in walk(lambda: latest().backups))

    def wanted_at(self, intent: Intent, key: RowKey) -> FdbRow | None:
        mac = intent.macs.get(key)
        return _backup(intent, key) if mac is None else _row(intent, mac)

    def asked(self, intent: Intent, keys: Iterable[RowKey]) -> list[tuple[FdbRow | None, int]]:
        """Return rows and ranks.

        A MAC of the batch costs one lookup; its row and its rank are computed once for all MACs that share a value.
        """
        keys = list(keys)
        macs = intent.macs.of(keys)
        # MACs that were judged together share one RemoteMac, and so they share one answer.
        alike = {id(mac): mac for mac in macs}
        answers = {name: (None, 0) if mac is None else (_row(intent, mac), _rank(mac)) for name, mac in alike.items()}
        if not intent.backups:
            return [answers[id(mac)] for mac in macs]
        return [
            (_backup(intent, key), 0) if mac is None else answers[id(mac)] for key, mac in zip(keys, macs, strict=True)
        ]

    def touched(self, intent: Intent) -> Iterable[RowKey]:
        return (*intent.touched, *intent.touched_backups) if intent.touched_backups else intent.touched

    def domain(self, key: RowKey) -> Vni:
        return key[0]

    def recognise(self, entries: Iterable[Entry], attachments: Attachments) -> Mapping[RowKey, Seen]:
        """Join the two halves of each MAC.

        A dump has the halves far apart, so all of it is collected before the first row is judged.

        What a network card accepts (`is_address_list`) and the floods (the zero MAC) are entries of the same tables,
        and not rows of this kind.
        """
        ready = attached(attachments)
        halves: dict[RowKey, list[Entry | None]] = {}
        for vni, entry in ready.owned(entries):
            if entry.family == AF_BRIDGE and entry.mac != ZERO_MAC and not entry.is_address_list:
                halves.setdefault((vni, entry.mac), [None, None])[1 if entry.flags & NTF_SELF else 0] = entry
        return {key: _merge(bridge_row, vxlan_row, ready[key[0]]) for key, (bridge_row, vxlan_row) in halves.items()}

    def lookups(self, key: RowKey, attachments: Attachments) -> Sequence[Any]:
        return attached(attachments)[key[0]].lookups(key[1])

    def checks(self, keys: Sequence[RowKey], row: FdbRow, attachments: Attachments) -> Sequence[Alike]:
        """Return the two entries that rows of this value must be.

        Nothing for a row with a VNI, a UDP port or a device of its own, which the kernel reports in other layouts: each
        of these is read by itself.
        """
        if row.vni is not None or row.udp_port is not None or row.via is not None:
            return ()
        macs = [mac for _, mac in keys]
        entries = attached(attachments)[keys[0][0]].fdb_entries(_BRIDGE_HALF, _VXLAN_HALF, row.vtep, row.group or None)
        return [Alike(entry, macs) for entry in (entries[1:] if row.is_backup else entries)]

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[Neighbor]]:
        devices = attached(attachments)[change.keys[0][0]]
        # Two deletions: one for both halves leaves the VXLAN row if the bridge row is gone or elsewhere (kernel 6.18).
        first, *rest = [mac for _, mac in change.keys]
        also = tuple(rest)
        if halves := _DELETED.get(change.verb):
            return [[devices.fdb_message(Verb.DELETE, first, half, 0, also=also)] for half in halves]
        row, group = change.row, change.row.group or None
        if change.verb == "convert":
            # Adjacent for each MAC: between the two, its frames are flooded. The kernel cannot do it by REPLACE (6.18).
            was_backup = change.there is not None and change.there.is_backup
            messages = []
            for _, mac in change.keys:
                if row.is_backup:
                    messages.append(devices.fdb_message(Verb.DELETE, mac, NTF_MASTER, 0))
                messages.append(devices.fdb_message(Verb.DELETE, mac, NTF_SELF, 0))
                verb, half = (Verb.REPLACE, _BOTH) if was_backup and not row.is_backup else (Verb.CREATE, _VXLAN)
                messages.append(devices.fdb_message(verb, mac, half, _STATE, row.vtep, row.vni, group=group))
            return (messages,)
        verb, half = _VERBS[change.verb], _VXLAN if row.is_backup else _BOTH
        return ([devices.fdb_message(verb, first, half, _STATE, row.vtep, row.vni, also, group)],)

    def converts(self, before: FdbRow, row: FdbRow) -> bool:
        """Tell whether a row changes between a VTEP and a group, which the kernel cannot do in place, or has more halves or fewer."""
        return bool(before.group) != bool(row.group) or before.is_backup or row.is_backup

    def as_part(self, row: FdbRow | None, seen: Seen) -> Seen | None:
        """For a backup, read the VXLAN half alone: who has the bridge half does not matter."""
        if row is None or not row.is_backup or seen.is_below_taken:
            return seen
        return None if seen.row is None else replace(seen, marked=True, holder="")

    def order(self, change: Change) -> Any:
        """Sort by VNI, verb and destination, so that rows that differ only in the MAC become one run."""
        row: FdbRow | None = change.row
        if row is None:
            return (change.keys[0][0], change.verb, b"", 0, 0)
        return (change.keys[0][0], change.verb, row.vtep or b"", row.vni or 0, row.group)

    def beats(self, row: FdbRow, rank: int, claimed: FdbRow, claimed_rank: int) -> bool:
        """Compare by rank: a sticky MAC, then the higher sequence number (RFC 7432 7.7, 15).

        With equal ranks the lower VTEP address wins (RFC 7432 15), unless either is a group, which has no address: then
        the claimed row stays.
        """
        if rank != claimed_rank or row.vtep is None or claimed.vtep is None:
            return rank > claimed_rank
        return row.vtep.order < claimed.vtep.order

    def is_settled(self, intent: Intent, key: RowKey) -> bool:
        return is_lost_here(intent, key)

    def pack(self, keys: Sequence[RowKey], row: FdbRow) -> bytes:
        """What the ledger has of rows with one value in one VNI:

            octet  0   VNI 3
                   3   MAC 6, the first
                   9   VNI of the encapsulation 4, or 0 for the device's own; or the number of the group
                  13   UDP port 2 · device 4, or 0
                  19   VTEP 16, IPv4-mapped for IPv4; zeros for a group
                  35   MAC 6, each of the others

        So 100,000 MACs behind one VTEP take 600 kB; a MAC alone in its group of rows takes 35 octets.
        """
        first, *others = [mac for _, mac in keys]
        options = _PACKED.pack(row.group or row.vni or 0, row.udp_port or 0, row.via or 0)
        vtep = _NO_VTEP if row.vtep is None else row.vtep.mapped
        return b"".join((keys[0][0].to_bytes(3), first, options, vtep, *others))

    def unpack(self, packed: bytes) -> tuple[list[RowKey], FdbRow]:
        vni, udp_port, via = _PACKED.unpack_from(packed, 9)
        if packed[19:35] == _NO_VTEP:
            row = FdbRow(None, group=vni)
        else:
            row = FdbRow(Ip.unpack(packed[19:35]), Vni(vni) if vni else None, udp_port or None, via or None)
        domain = Vni(int.from_bytes(packed[:3]))
        return [(domain, Mac.unpack(packed[at : at + 6])) for at in (3, *range(35, len(packed), 6))], row


FDB: Final = _Fdb()


def names_group(row: FdbRow, groups: Container[int]) -> bool:
    """Tell whether a row goes by one of these groups."""
    return row.group in groups


def _row(intent: Intent, mac: RemoteMac) -> FdbRow | None:
    """Return the row of a MAC. None if its group is not in the intent yet: then there is nothing to name."""
    key = mac.group
    if key is None:
        return _row_towards(mac.vtep, mac.vtep_vni)
    group = intent.groups.get(key)
    return None if group is None else _row_by(group.number)


def _backup(intent: Intent, key: RowKey) -> FdbRow | None:
    """Return the VXLAN half of a MAC of ours. None without one, or if no other VTEP is on its segment."""
    group_key: GroupKey | None = intent.backups.get(key)
    group = None if group_key is None else intent.groups.get(group_key)
    return None if group is None else _row_by(group.number)


def _rank(mac: RemoteMac) -> int:
    """Return the MAC Mobility sequence number (RFC 7432 7.7), above all others for a sticky MAC."""
    return mac.seq + (_STICKY_RANK if mac.sticky else 0)


@lru_cache(maxsize=16384)
def _row_towards(vtep: Ip, vni: Vni | None) -> FdbRow:
    """Return the row towards a VTEP. Many MACs are behind one VTEP, and they share this value, in the ledger as well."""
    return FdbRow(vtep, vni)


@lru_cache(maxsize=16384)
def _row_by(group: int) -> FdbRow:
    """Return the row that names a group, which its MACs share."""
    return FdbRow(None, group=group)


def _merge(bridge_row: Entry | None, vxlan_row: Entry | None, devices: Ready) -> Seen:
    """Read the two halves as one row. It cannot be ours if another program or a station has either half.

        bridge half                VXLAN half              what it is
        into the tunnel, marked    marked                  whole, perhaps ours: the ledger says
        into the tunnel, marked    missing                 a residue of ours, to be written over
        missing                    marked                  perhaps ours, with a half missing
        into the tunnel, marked    as a daemon writes it   foreign, and an operator may hand it over (`adoptable`)
        on an access port          marked or missing       `local-learned`, `local-static`, or `foreign` by EXT_LEARNED
        any                        another program's       foreign
        static, activity notify    marked, by a backup     the backup of a MAC of ours: whole
        not ours to have           marked, by a backup     the backup of a MAC of ours: whole

    `there` says by which VTEP the kernel forwards now, if it does so by a row that is not ours.
    """
    foreign_below = _vxlan_holder(vxlan_row)
    row = None if foreign_below else _read(vxlan_row)
    has_bridge_half = bridge_row is not None and devices.is_into_tunnel(bridge_row)
    is_backup = row is not None and row.is_backup
    # Above a backup, a row of `synced_mac.py` is not in the way: the MAC takes it along into the tunnel.
    is_synced = is_backup and bridge_row is not None and bool(bridge_row.notify) and not has_bridge_half
    bridge_holder = "" if is_synced else _bridge_holder(bridge_row, into_tunnel=has_bridge_half)
    is_taken_above = has_bridge_half and bool(bridge_holder)
    has_no_half_of_ours = not has_bridge_half or is_taken_above
    is_daemons = has_bridge_half and not bridge_holder and bool(foreign_below) and _is_as_daemons_write(vxlan_row)
    return Seen(
        row=row,
        marked=not (foreign_below or bridge_holder),
        whole=has_no_half_of_ours if is_backup else (row is not None or is_daemons) and has_bridge_half,
        holder=foreign_below or bridge_holder,
        adoptable=_read(vxlan_row) if is_daemons else None,
        is_below_taken=bool(foreign_below) or (row is not None and is_taken_above and not is_backup),
        is_part=is_backup,
        residue=has_bridge_half and not bridge_holder and not _is_another_daemons(vxlan_row),
        writer=_writer(vxlan_row) if foreign_below and not bridge_holder else "",
        there=_read(vxlan_row) if has_bridge_half and (foreign_below or bridge_holder) else None,
        where=_where(bridge_row if bridge_holder else None, vxlan_row if foreign_below else None),
    )


def _read(vxlan_row: Entry | None) -> FdbRow | None:
    """Return where the VXLAN half sends frames: to a group or to a VTEP. None if it says neither."""
    if vxlan_row is not None and vxlan_row.nh_id is not None:
        return _row_by(vxlan_row.nh_id)
    if vxlan_row is None or vxlan_row.dst is None:
        return None
    vni = None if vxlan_row.vni is None else Vni(vxlan_row.vni)
    return FdbRow(vxlan_row.dst, vni, vxlan_row.udp_port, vxlan_row.via)


def _bridge_holder(row: Entry | None, *, into_tunnel: bool) -> str:
    """Return who has the bridge half if it cannot be ours, or nothing.

    On the VXLAN port a row of ours has EXT_LEARNED and REACHABLE. On any other port of the bridge the MAC is a
    station's: an operator's row and a MAC of this host are static and do not yield, and what the bridge learned may
    lose to a newer route.
    """
    if row is None:
        return ""
    if into_tunnel:
        # A static row keeps its state when a write with EXT_LEARNED takes it over (kernel 6.18): an operator's, or a synced one.
        return "" if row.flags & NTF_EXT_LEARNED and (row.state == NUD_REACHABLE or row.notify) else "foreign"
    if row.state & (NUD_PERMANENT | NUD_NOARP) or row.flags & NTF_STICKY:
        return "local-static"
    return "foreign" if row.flags & NTF_EXT_LEARNED else LOCAL_LEARNED


def _vxlan_holder(row: Entry | None) -> str:
    """Return who has the VXLAN half if it cannot be ours, or nothing.

    A row that names a group is ours only if the number of the group is in our range.
    """
    is_of_our_range = row is None or row.nh_id is None or row.nh_id & ~ID_MASK in (FDB_GROUPS, FDB_BACKUPS)
    if row is None or (row.flags & NTF_EXT_LEARNED and row.state == _STATE and is_of_our_range):
        return ""
    return "foreign"


def _is_as_daemons_write(row: Entry | None) -> bool:
    """Tell whether another daemon wrote a VXLAN row towards one VTEP: FRR 8 gives it the state 0x42, and FRR 10 0x02."""
    return _is_another_daemons(row) and row is not None and row.nh_id is None and not row.state & NUD_PERMANENT


def _writer(row: Entry | None) -> str:
    """Name the program that writes such VXLAN rows: zebra marks them, but those of a sticky MAC or a gateway (FRR 8.4, 10)."""
    if row is None:
        return ""
    if row.flags & NTF_EXT_LEARNED:
        return MARKED if row.state == _STATE else "zebra"
    return "zebra" if row.flags & NTF_STICKY else "iproute2 or an orchestrator"


def _where(bridge_row: Entry | None, vxlan_row: Entry | None) -> int | Ip | None:
    """Return where the frames go. They follow the VXLAN row only if the bridge sends them to the VXLAN device."""
    if vxlan_row is not None and (bridge_row is None or bridge_row.port == vxlan_row.port):
        return vxlan_row.dst
    return None if bridge_row is None else bridge_row.port


def _is_another_daemons(vxlan_row: Entry | None) -> bool:
    """Tell whether another daemon wrote the pair: a program that writes EXT_LEARNED rows writes both halves."""
    return vxlan_row is not None and bool(vxlan_row.flags & NTF_EXT_LEARNED)
