"""What readers call a kind of row, and how they show one row of it.

Every display reads this one value: `vtep diff`, the counts of `vtep status`, the metrics, the history of events, the log.
A kind carries its descriptor, and the observer and the engine are given the same tuple of kinds, so that no other module
lists them and a new kind appears everywhere by being in `vtep.linux.tables.all`.

Knows neither what a row means to the engine nor where it is shown. A key is the kind's own value; only the functions here read
its parts. Rows are counted by the VNI that `vni_of` returns.
"""

from collections.abc import Callable, Hashable, Mapping
from operator import itemgetter
from typing import Any, Final

from msgspec import Struct

from vtep.addr import Ip, Mac, Vni
from vtep.intent import Intent

HOST_WIDE: Final = Vni(0)
"""In place of a VNI, for rows that belong to none."""
VNI_FIRST: Final = itemgetter(0)
"""Reads the VNI of a key that begins with it."""


class Descriptor(Struct, frozen=True):
    """How one kind of row is named and shown."""

    public: str
    """The kind in commands, metrics and the API: `mac`."""
    key_name: str
    """What a key is within its VNI, as a field of a log line: `mac`, `ip`."""
    in_words: Callable[[Any], str]
    """Says what a row does: "to 10.0.0.1"."""
    vni_of: Callable[[Any], Vni] = VNI_FIRST
    """The VNI of a key."""
    domain_of: Callable[[Vni], Hashable] = lambda vni: vni
    """The domain of a VNI's rows of this kind, which decides whether they can be written."""
    key_text: Callable[[Any], str] = lambda key: str(key[1])
    """The key in words, within its VNI."""
    mac_of: Callable[[Any], Mac | None] = lambda _: None
    """The MAC that a key is about, for readers that look for one."""
    vtep_of: Callable[[Intent, Any], Ip | None] = lambda _intent, _key: None
    """The VTEP that a key is about by this intent, for readers that look for one."""
    wanted_by_vni: Callable[[Intent], Mapping[Vni, int]] | None = None
    """How many rows an intent wants in each VNI. A kind whose rows can be counted at little cost has this function; the
    observer counts the rows of any other kind as they change, and asks `wanted_at` for each of them."""
    unserved: str = "not-ready"
    """Why a VNI that is ready has no rows of this kind, as a code of docs/reasons.md: its domain asks for more."""
