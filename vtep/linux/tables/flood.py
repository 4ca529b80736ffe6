"""One flood row sends a VNI's broadcasts to one VTEP: an entry of the zero MAC in the VXLAN port's table alone.

All VTEPs of a VNI share the MAC, so a row is added with APPEND (idempotent) and deleted by naming its VTEP and VNI; a
deletion that names none would take every row, whoever wrote it. They share the mark as well: the list has that of the
write that began it, and loses it to any write without (kernel 6.18), so that once a row is claimed, the mark is not
asked any more. The kernel answers for one row of the zero MAC only, hence no lookups: these rows are seen in surveys.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from vtep.addr import ZERO_MAC, Ip, Vni
from vtep.intent import FloodKey, Intent
from vtep.linux.attachment import attached
from vtep.linux.wire.neighbor import NTF_EXT_LEARNED, NTF_SELF, NUD_NOARP, NUD_PERMANENT, Entry, Neighbor, Verb
from vtep.reconcile.contract import Attachments, Change, Seen
from vtep.reconcile.descriptor import Descriptor
from vtep.store.table import walk

_STATE: Final = NUD_NOARP | NUD_PERMANENT


class FloodRow(Struct, frozen=True, gc=False):
    """The key's VTEP gets floods: the key says it all, as it does in the kernel."""


class _Flood:
    name = "flood"
    descriptor = Descriptor(
        public="flood",
        key_name="vtep",
        in_words=lambda _: "there",
        vtep_of=lambda _, key: key[1],
        wanted_by_vni=lambda intent: Counter(flood.vni for _, found in intent.floods.unordered() for flood in found),
    )

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[FloodKey]:
        return (flood.key for _, floods in walk(lambda: latest().floods) for flood in floods)

    def wanted_at(self, intent: Intent, key: FloodKey) -> FloodRow | None:
        floods = intent.floods.get(key[1], ())
        return FloodRow() if any(flood.key == key for flood in floods) else None

    def touched(self, intent: Intent) -> Iterable[FloodKey]:
        return intent.touched_floods

    def domain(self, key: FloodKey) -> Vni:
        return key[0]

    def recognise(self, entries: Iterable[Entry], attachments: Attachments) -> Mapping[FloodKey, Seen]:
        ready = attached(attachments)
        seen: dict[FloodKey, Seen] = {}
        for entry in entries:
            if entry.mac != ZERO_MAC or entry.dst is None or entry.udp_port or entry.via:
                continue  # what leaves by another port or device is another row than any of ours
            vni = ready.vni_of(entry)
            if vni is None:
                continue
            key = (vni, entry.dst, Vni(entry.vni or vni))
            if key == (vni, ready[vni].remote, vni):
                # The device's own row takes our mark when we append to it, and is not ours (kernel 6.18).
                seen[key] = Seen(FloodRow(), marked=False, holder="foreign")
                continue
            marked = bool(entry.flags & NTF_EXT_LEARNED)
            seen[key] = Seen(FloodRow(), marked=marked, listed=True, holder="" if marked else "foreign")
        return seen

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[Neighbor]]:
        verb = Verb.DELETE if change.verb == "delete" else Verb.APPEND
        return ([_spelled(verb, key, attachments) for key in change.keys],)

    def order(self, change: Change) -> Any:
        vni, vtep, encapsulation = change.keys[0]
        return (vni, change.verb, vtep.order, encapsulation)

    def pack(self, keys: Sequence[FloodKey], _row: FloodRow) -> bytes:
        return keys[0][0].to_bytes(3) + b"".join(other.to_bytes(3) + vtep.mapped for _, vtep, other in keys)

    def unpack(self, packed: bytes) -> tuple[list[FloodKey], FloodRow]:
        domain = Vni(int.from_bytes(packed[:3]))
        each = [packed[at : at + 19] for at in range(3, len(packed), 19)]
        return [(domain, Ip.unpack(one[3:]), Vni(int.from_bytes(one[:3]))) for one in each], FloodRow()


FLOOD: Final = _Flood()


def _spelled(verb: Verb, key: FloodKey, attachments: Attachments) -> Neighbor:
    vni, vtep, encapsulation = key
    other = None if encapsulation == vni else encapsulation
    return attached(attachments)[vni].fdb_message(verb, ZERO_MAC, NTF_SELF | NTF_EXT_LEARNED, _STATE, vtep, other)
