"""The backup of a port of ours on an Ethernet segment: the VXLAN device, by which its frames leave while it has no carrier.

The bridge asks for the carrier with each frame, so not one frame is lost (6.1 to 6.18). By which VTEPs they go on is up to the VXLAN
rows of the MACs behind the port (`fdb.py`). The row has no value of its own: the backup is the VXLAN device of the VNI, or it is not ours.
It bears no mark either: who wrote it cannot be seen.

A port has one backup, and on a bridge that filters VLANs several VNIs may share it. So a port there has none (`ports.py`). A port that
leaves its bridge forgets its backup.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from vtep.addr import Vni
from vtep.intent import BACKUP, Intent, PortFilterKey
from vtep.linux.attachment import attached
from vtep.linux.ports import PortDomain, PortPlace
from vtep.linux.vrf import Picture
from vtep.linux.wire.port import PortBackup, PortLookup, PortMessage
from vtep.reconcile.contract import Attachments, Change, Seen
from vtep.reconcile.descriptor import Descriptor
from vtep.store.table import walk


class PortBackupRow(Struct, frozen=True, gc=False):
    """What gets the frames of the port while it has no carrier."""

    device: int = 0
    """0: the VXLAN device of the VNI. Otherwise the index of a port that another program chose."""


_OURS: Final = PortBackupRow()


class _PortBackup:
    name = "port-backup"
    bears_no_mark = True
    descriptor = Descriptor(
        public="port-backup",
        key_name="port",
        in_words=lambda row: f"device {row.device}" if row.device else "the VXLAN device",
        domain_of=PortDomain,
    )

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[PortFilterKey]:
        return (key for key, _ in walk(lambda: latest().port_filters) if self.wanted_at(latest(), key) is not None)

    def wanted_at(self, intent: Intent, key: PortFilterKey) -> PortBackupRow | None:
        found = intent.port_filters.get(key)
        if found is None or found.is_shared or (found.vni, found.segment, BACKUP) not in intent.groups:
            return None
        return _OURS

    def touched(self, intent: Intent) -> Iterable[PortFilterKey]:
        """Return the ports whose filter changed, and all if a group came or went: there are few ports."""
        found = dict.fromkeys(intent.touched_port_filters)
        if intent.touched_backups:
            found |= dict.fromkeys(key for key, _ in intent.port_filters.unordered())
        return found

    def domain(self, key: PortFilterKey) -> Hashable:
        return PortDomain(key[0])

    def lookups(self, key: PortFilterKey, attachments: Attachments) -> Sequence[PortLookup]:  # noqa: ARG002
        return (PortLookup(key[1]),)

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[PortFilterKey, Seen]:
        of_bridge = {
            place.devices.bridge: place.devices
            for place in attachments.ready.values()
            if isinstance(place, PortPlace) and place.devices.vlan is None
        }
        seen: dict[PortFilterKey, Seen] = {}
        for entry in entries.ports if isinstance(entries, Picture) else entries:
            if isinstance(entry, PortBackup) and (devices := of_bridge.get(entry.bridge)) is not None:
                ours = entry.backup == devices.port
                row = _OURS if ours else PortBackupRow(entry.backup)
                seen[Vni(devices.vni), entry.name] = Seen(row, marked=ours, holder="" if ours else "foreign")
        return seen

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[PortMessage]]:
        devices = attached(attachments)[change.keys[0][0]]
        backup = 0 if change.verb == "delete" else devices.port
        return ([PortMessage(port, backup) for _, port in change.keys],)

    def order(self, change: Change) -> Any:
        return (change.keys[0], change.verb)

    def pack(self, keys: Sequence[PortFilterKey], row: PortBackupRow) -> bytes:
        """Write the VNI 3 · the device 4, 0 for the VXLAN device · each port: length 1 · name."""
        ports = b"".join(bytes((len(port.encode()),)) + port.encode() for _, port in keys)
        return keys[0][0].to_bytes(3) + row.device.to_bytes(4) + ports

    def unpack(self, packed: bytes) -> tuple[list[PortFilterKey], PortBackupRow]:
        vni, keys, at = Vni(int.from_bytes(packed[:3])), [], 7
        while at < len(packed):
            size = packed[at]
            keys.append((vni, packed[at + 1 : at + 1 + size].decode()))
            at += 1 + size
        device = int.from_bytes(packed[3:7])
        return keys, PortBackupRow(device) if device else _OURS


PORT_BACKUP: Final = _PortBackup()
