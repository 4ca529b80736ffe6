"""ExaBGP's lines, made up: the JSON of 5.0 around the same routes that the speaker packs.

For tests that need a stream without a BGP session. The shapes are those of the recorded captures, which have their own
tests; nothing here is proof of what ExaBGP says.
"""

import ipaddress
import json
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from tests.lab import wire
from vtep.evpn.event import Received, Unreadable
from vtep.feed.exabgp.lines import LineReader

EXTENDED_COMMUNITIES = 16
COMMUNITIES = 8
PMSI = 22

INGRESS_REPLICATION = 6
TUNNELS = {4: "pim-smtree", INGRESS_REPLICATION: "ingressreplication", 7: "mldpmp2mplsp"}


def read_lines(lines: Iterable[bytes]) -> Iterator[Received | Unreadable]:
    """Return what a feed makes of these lines, if they are all of its stream."""
    return LineReader().read(lines)


class Lines:
    """One ExaBGP with its clock: every call returns a line, a second after the last one unless told otherwise."""

    def __init__(self, start: float = 1_000_000.0, pid: int = 77) -> None:
        self.now = start
        self.pid = pid
        self._counters: dict[str, Any] = {}

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def announce(self, peer: str, *routes: wire.Route, withdraw: Iterable[bytes] = ()) -> bytes:
        update = _update(routes)
        if withdraw:
            update["withdraw"] = {"l2vpn evpn": [_nlri(wire.unlabelled(nlri)) for nlri in withdraw]}
        return self._neighbor("update", peer, {"direction": "receive", "message": {"update": update}})

    def withdraw(self, peer: str, *nlris: bytes) -> bytes:
        update = {"withdraw": {"l2vpn evpn": [_nlri(wire.unlabelled(nlri)) for nlri in nlris]}}
        return self._neighbor("update", peer, {"direction": "receive", "message": {"update": update}})

    def end_of_rib(self, peer: str) -> bytes:
        message = {"eor": {"afi": "l2vpn", "safi": "evpn"}}
        return self._neighbor("update", peer, {"direction": "receive", "message": message})

    def opened(
        self,
        peer: str,
        restart_s: int | None = None,
        refresh: bool = True,
        enhanced: bool = True,
        *,
        forwarding: bool = True,
    ) -> bytes:
        """Return an OPEN; `forwarding` is the Forwarding State bit, which ExaBGP shows as "restart"."""
        capabilities: dict[str, Any] = {"1": {"name": "multiprotocol", "families": ["l2vpn/evpn"]}}
        if refresh:
            capabilities["2"] = {"name": "route-refresh", "variant": "RFC"}
        if enhanced:
            capabilities["70"] = {"name": "enhanced-route-refresh"}
        if restart_s is not None:
            flags = {"l2vpn/evpn": ["restart"] if forwarding else []}
            capabilities["64"] = {"name": "graceful restart", "time": restart_s, "address-family-flags": flags}
        return self._neighbor("open", peer, {"direction": "receive", "open": {"capabilities": capabilities}})

    def up(self, peer: str) -> bytes:
        return self._neighbor("state", peer, {"state": "up"})

    def down(self, peer: str, reason: str = "closing connection") -> bytes:
        return self._neighbor("state", peer, {"state": "down", "reason": reason})

    def refresh(self, peer: str, subtype: str) -> bytes:
        family = {"afi": "l2vpn", "safi": "evpn", "subtype": subtype}
        return self._neighbor("refresh", peer, {"direction": "receive", "route-refresh": family})

    def shutdown(self) -> bytes:
        return self._line({"type": "notification", "notification": "shutdown"})

    def lose_one(self, peer: str) -> None:
        """Let a line of this peer be lost on the way."""
        next(self._counter(peer))

    def _neighbor(self, kind: str, peer: str, rest: dict[str, Any]) -> bytes:
        address = {"address": {"local": "10.0.0.99", "peer": peer}, "asn": {"local": 65000, "peer": 65000}}
        return self._line({"counter": next(self._counter(peer)), "type": kind, "neighbor": address | rest})

    def _counter(self, peer: str) -> Any:
        return self._counters.setdefault(peer, count(1))

    def _line(self, rest: dict[str, Any]) -> bytes:
        head = {"exabgp": "5.0.0", "time": self.now, "host": "leaf", "pid": self.pid, "ppid": 1}
        self.now += 1.0
        return json.dumps(head | rest).encode()


def _update(routes: Iterable[wire.Route]) -> dict[str, Any]:
    announce: dict[str, list[dict[str, Any]]] = {}
    attribute: dict[str, Any] = {}
    for route in routes:
        announce.setdefault(str(ipaddress.ip_address(route.next_hop)), []).append(_nlri(route.nlri))
        attribute = dict(_attribute(route.attributes))
    return {"attribute": attribute, "announce": {"l2vpn evpn": announce}} if announce else {}


def _attribute(packed: bytes) -> Iterable[tuple[str, Any]]:
    for code, value in wire.read_attributes(packed):
        if code == EXTENDED_COMMUNITIES:
            octets = [value[at : at + 8] for at in range(0, len(value), 8)]
            yield "extended-community", [{"value": int.from_bytes(one), "string": ""} for one in octets]
        elif code == COMMUNITIES:
            yield (
                "community",
                [list(divmod(int.from_bytes(value[at : at + 4]), 65536)) for at in range(0, len(value), 4)],
            )
        elif code == PMSI:
            yield "pmsi", _pmsi(value)


def _pmsi(value: bytes) -> str:
    """ExaBGP reads the endpoint of ingress replication if it is IPv4, and else prints octets and 20 bits of the label."""
    label = int.from_bytes(value[2:5])
    if value[1] == INGRESS_REPLICATION and len(value) == 9:
        return f"pmsi:ingressreplication:{value[0]}:{label >> 4}({label}):{ipaddress.ip_address(value[5:])}"
    return f"pmsi:{TUNNELS[value[1]]}:{value[0]}:{label >> 4}:0x{value[5:].hex().upper()}"


def _nlri(nlri: bytes) -> dict[str, Any]:
    return {"code": nlri[0], "parsed": True, "raw": nlri.hex().upper()}
