"""A remote VTEP as a router of a VRF, which is two kinds of rows: where its MAC is, and that the VTEP has this MAC.

    router MAC        FDB of the L3VNI, both halves: frames to the router's MAC go to that VTEP
    router neighbor   neighbor table of the SVI: the VTEP, which is the gateway of our nexthops, has the router's MAC

The first is the same pair of entries as for any remote MAC (`fdb.py` says which marks are ours). The second has our protocol, and
the kernel never asks the network about it (NOARP). For IPv6 prefixes the gateway is an IPv4-mapped address, so a VTEP can have
two neighbor rows: the key says for which family.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

from msgspec import Struct

from vtep.addr import ZERO_MAC, Ip, Mac, Vni
from vtep.intent import Intent, RouterMacKey
from vtep.linux.vrf import RoutedDomain, routed
from vtep.linux.wire.neighbor import (
    NTF_EXT_LEARNED,
    NTF_MASTER,
    NTF_SELF,
    NUD_NOARP,
    NUD_PERMANENT,
    NUD_REACHABLE,
    RTPROT_VTEP,
    Entry,
    Neighbor,
    Verb,
)
from vtep.linux.wire.tlv import AF_INET6
from vtep.reconcile.contract import Attachments, Change, Key, Row, Seen
from vtep.reconcile.descriptor import Descriptor
from vtep.store.table import walk

_BOTH: Final = NTF_SELF | NTF_MASTER | NTF_EXT_LEARNED
_STATE: Final = NUD_NOARP | NUD_PERMANENT
_HALVES: Final = {"delete": (NTF_MASTER, NTF_SELF), "shed": (NTF_SELF,), "undo": (NTF_MASTER,)}
_VERBS: Final = {"create": Verb.CREATE, "replace": Verb.REPLACE}

RouterNeighborKey: TypeAlias = tuple[Vni, Ip, bool]
"""The L3VNI, the VTEP, and whether it is the gateway of IPv6 nexthops."""


class RouterMacRow(Struct, frozen=True, gc=False):
    """Frames to the MAC of the key go to this VTEP."""

    vtep: Ip


class _RouterMac:
    name = "router-mac"
    descriptor = Descriptor(
        public="router-mac",
        key_name="mac",
        in_words=lambda row: f"to {row.vtep}",
        domain_of=RoutedDomain,
        mac_of=lambda key: key[1],
    )

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[RouterMacKey]:
        return (key for key, _ in walk(lambda: latest().router_macs))

    def wanted_at(self, intent: Intent, key: RouterMacKey) -> RouterMacRow | None:
        vteps = intent.router_macs.get(key)
        return _row(vteps[0]) if vteps else None

    def touched(self, intent: Intent) -> Iterable[RouterMacKey]:
        return intent.touched_router_macs

    def domain(self, key: RouterMacKey) -> Hashable:
        return RoutedDomain(key[0])

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[RouterMacKey, Seen]:
        ready = routed(attachments)
        halves: dict[RouterMacKey, list[Entry | None]] = {}
        for vni, entry in ready.macs(entries):
            if entry.mac != ZERO_MAC and not entry.is_address_list:
                halves.setdefault((vni, entry.mac), [None, None])[1 if entry.flags & NTF_SELF else 0] = entry
        ports = {domain.vni: found.tunnel.port for domain, found in ready.items()}
        return {key: _merged(bridge_row, vxlan_row, ports[key[0]]) for key, (bridge_row, vxlan_row) in halves.items()}

    def lookups(self, key: RouterMacKey, attachments: Attachments) -> Sequence[Any]:
        return routed(attachments)[RoutedDomain(key[0])].lookups(key[1])

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[Neighbor]]:
        ready = routed(attachments)
        if halves := _HALVES.get(change.verb):
            return [
                [_devices(ready, key).router_mac_message(Verb.DELETE, key[1], half, 0) for key in change.keys]
                for half in halves
            ]
        verb, row = _VERBS[change.verb], change.row
        return (
            [_devices(ready, key).router_mac_message(verb, key[1], _BOTH, _STATE, row.vtep) for key in change.keys],
        )

    def order(self, change: Change) -> Any:
        vni, mac = change.keys[0]
        return (vni, change.verb, mac)

    def pack(self, keys: Sequence[RouterMacKey], row: RouterMacRow) -> bytes:
        """Write the L3VNI 3, the VTEP 16 (IPv4-mapped for IPv4), then each MAC 6."""
        return keys[0][0].to_bytes(3) + row.vtep.mapped + b"".join(mac for _, mac in keys)

    def unpack(self, packed: bytes) -> tuple[list[RouterMacKey], RouterMacRow]:
        vni = Vni(int.from_bytes(packed[:3]))
        return [(vni, Mac.unpack(packed[at : at + 6])) for at in range(19, len(packed), 6)], _row(
            Ip.unpack(packed[3:19])
        )


class RouterNeighborRow(Struct, frozen=True, gc=False):
    """The VTEP of the key has this router's MAC."""

    mac: Mac


class _RouterNeighbor:
    name = "router-neighbor"
    descriptor = Descriptor(
        public="router-neighbor",
        key_name="vtep",
        in_words=lambda row: str(row.mac),
        domain_of=RoutedDomain,
        key_text=lambda key: f"{key[1]} for IPv{6 if key[2] else 4}",
        vtep_of=lambda _, key: key[1],
    )
    depends_on = ("router-mac",)

    def needs(self, key: RouterNeighborKey, row: RouterNeighborRow) -> Iterable[tuple[str, Key]]:
        """A neighbor row needs the FDB row of its MAC: otherwise the bridge would flood the packets of the VRF."""
        return (("router-mac", (key[0], row.mac)),)

    def wanted(self, latest: Callable[[], Intent]) -> Iterator[RouterNeighborKey]:
        for key, router in walk(lambda: latest().routers):
            for is_v6 in router.families:
                yield (*key, is_v6)

    def wanted_at(self, intent: Intent, key: RouterNeighborKey) -> RouterNeighborRow | None:
        router = intent.routers.get(key[:2])
        return None if router is None or key[2] not in router.families else _neighbor_row(router.mac)

    def touched(self, intent: Intent) -> Iterable[RouterNeighborKey]:
        """Return both families of each router that changed: one of them may have come or gone with it."""
        return ((*key, is_v6) for key in intent.touched_routers for is_v6 in (False, True))

    def domain(self, key: RouterNeighborKey) -> Hashable:
        return RoutedDomain(key[0])

    def recognise(self, entries: Iterable[Any], attachments: Attachments) -> Mapping[RouterNeighborKey, Seen]:
        seen: dict[RouterNeighborKey, Seen] = {}
        for vni, entry in routed(attachments).neighbors(entries):
            if entry.ip is None or not entry.state & (NUD_NOARP | NUD_PERMANENT):
                continue
            is_daemons = bool(entry.flags & NTF_EXT_LEARNED)  # the kernel's own rows of multicast addresses are not
            ours = entry.protocol == RTPROT_VTEP and is_daemons
            row = _neighbor_row(entry.mac)
            seen[vni, entry.ip, entry.family == AF_INET6] = Seen(
                row,
                marked=ours,
                tagged=ours,
                holder="" if ours else "foreign",
                there=row if is_daemons and not ours else None,
            )
        return seen

    def spell(self, change: Change, attachments: Attachments) -> Sequence[Sequence[Neighbor]]:
        ready = routed(attachments)
        verb = Verb.DELETE if change.verb == "delete" else Verb.REPLACE
        return (
            [
                _devices(ready, key).neighbor_message(
                    verb, key[1], change.row.mac, NTF_EXT_LEARNED, NUD_NOARP, RTPROT_VTEP, is_v6=key[2]
                )
                for key in change.keys
            ],
        )

    def order(self, change: Change) -> Any:
        vni, vtep, is_v6 = change.keys[0]
        return (vni, change.verb, vtep.order, is_v6)

    def pack(self, keys: Sequence[RouterNeighborKey], row: RouterNeighborRow) -> bytes:
        """Write the L3VNI 3, the MAC 6, then for each row whether it is for IPv6 1, and the VTEP 16."""
        return keys[0][0].to_bytes(3) + row.mac + b"".join(bytes((is_v6,)) + vtep.mapped for _, vtep, is_v6 in keys)

    def unpack(self, packed: bytes) -> tuple[list[RouterNeighborKey], RouterNeighborRow]:
        vni = Vni(int.from_bytes(packed[:3]))
        keys = [(vni, Ip.unpack(packed[at + 1 : at + 17]), bool(packed[at])) for at in range(9, len(packed), 17)]
        return keys, _neighbor_row(Mac.unpack(packed[3:9]))


ROUTER_MAC: Final = _RouterMac()
ROUTER_NEIGHBOR: Final = _RouterNeighbor()

_row = lru_cache(maxsize=4096)(RouterMacRow)
_neighbor_row = lru_cache(maxsize=4096)(RouterNeighborRow)


def _devices(ready: Any, key: Key) -> Any:
    return ready[RoutedDomain(key[0])]


def _merged(bridge_row: Entry | None, vxlan_row: Entry | None, port: int) -> Seen:
    """Read the two halves as one row. It cannot be ours if either half lacks our marks."""
    into_tunnel = bridge_row is not None and bridge_row.port == port
    row: Row | None = None if vxlan_row is None or vxlan_row.dst is None else _row(vxlan_row.dst)
    holder = ""
    if vxlan_row is not None and not (vxlan_row.flags & NTF_EXT_LEARNED and vxlan_row.state == _STATE):
        holder = "foreign"
    elif bridge_row is not None and not into_tunnel:
        holder = "local-static"
    elif bridge_row is not None and not (bridge_row.flags & NTF_EXT_LEARNED and bridge_row.state == NUD_REACHABLE):
        holder = "foreign"
    residue = into_tunnel and not holder and vxlan_row is None
    return Seen(
        row if not holder else None,
        marked=not holder,
        whole=row is not None and into_tunnel,
        holder=holder,
        residue=residue,
        there=row if holder == "foreign" and into_tunnel else None,
    )
