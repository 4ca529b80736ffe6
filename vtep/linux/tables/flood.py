"""One VTEP that gets the broadcasts of a VNI: an entry of the zero MAC in the table of the VXLAN device, and in no other.

All VTEPs of a VNI share the zero MAC, which has three consequences:

- A row is added with APPEND, which is idempotent, and deleted by its VTEP and VNI. A deletion that names none would take every
  row, also those of other programs.
- The rows share one mark. The list has the mark of the write that began it, and loses it to any write without (kernel 6.18). So
  once a row is claimed, the mark does not count any more.
- A lookup returns only the first VTEP. So these rows have no lookups, and are seen in surveys alone.
"""

from bisect import bisect_left
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
    """The VTEP of the key gets floods. There is nothing more to say, as in the kernel."""


class _Flood:
    """The kind of row of a flooded VTEP. Its key is the VNI, the VTEP, and the VNI of the encapsulation."""

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
        place = bisect_left(floods, key[0], key=lambda flood: flood.vni)
        return FloodRow() if place < len(floods) and floods[place].key == key else None

    def touched(self, intent: Intent) -> Iterable[FloodKey]:
        return intent.touched_floods

    def domain(self, key: FloodKey) -> Vni:
        return key[0]

    def recognise(self, entries: Iterable[Entry], attachments: Attachments) -> Mapping[FloodKey, Seen]:
        """Read each VTEP of the zero MAC as a row.

        made with the device (`remote`)     foreign, whatever mark it has
        marked, EXT_LEARNED                 perhaps ours; the mark is the list's and not the row's (`listed`)
        no mark, and our state              another daemon's, which an operator may hand over
        no mark, another state              foreign: iproute2's
        """
        ready = attached(attachments)
        seen: dict[FloodKey, Seen] = {}
        for vni, entry in ready.owned(entries):
            if entry.mac != ZERO_MAC or entry.dst is None or entry.udp_port or entry.via:
                continue  # we never write a UDP port or a device: this row is not ours
            key = (vni, entry.dst, Vni(entry.vni or vni))
            if key == (vni, ready[vni].remote, vni):
                # This row was made with the device. It takes our mark when we append to it, and is still not ours (6.18).
                seen[key] = Seen(FloodRow(), marked=False, holder="foreign", there=FloodRow())
                continue
            marked = bool(entry.flags & NTF_EXT_LEARNED)
            # FRR 10 writes this state without a mark; iproute2 writes another one.
            theirs = FloodRow() if not marked and entry.state == _STATE else None
            holder = "" if marked else "foreign"
            seen[key] = Seen(
                FloodRow(),
                marked=marked,
                listed=True,
                holder=holder,
                adoptable=theirs,
                there=None if marked else FloodRow(),
            )
        return seen

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[Neighbor]]:
        """Return one message for each VTEP. REPLACE of the zero MAC is refused (EOPNOTSUPP), so it is APPEND."""
        verb = Verb.DELETE if change.verb == "delete" else Verb.APPEND
        return ([_spelled(verb, key, attachments) for key in change.keys],)

    def order(self, change: Change) -> Any:
        vni, vtep, encapsulation = change.keys[0]
        return (vni, change.verb, vtep.order, encapsulation)

    def pack(self, keys: Sequence[FloodKey], _row: FloodRow) -> bytes:
        """Write the VNI 3, then for each row the VNI of the encapsulation 3 and the VTEP 16, IPv4-mapped for IPv4."""
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
