"""The fields of a request as values, or a `UsageError` that names the field and says what to send instead.

Knows the messages of the API. Does not know who answers.
"""

import math
from collections.abc import Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from vtep.addr import VNI_MAX, Esi, Ip, Mac, Prefix, RouteDistinguisher, Vni
from vtep.api.grpc.messages import STATES
from vtep.config.values import device_name
from vtep.errors import UsageError
from vtep.observe.reasons import REASONS
from vtep.observe.source import RouteQuery
from vtep.v1 import vtep_pb2 as pb

PAGE_DEFAULT: Final = 1000
PAGE_MAX: Final = 5000
ROUTE_TYPE_MAX: Final = 5
TEXT_SHOWN: Final = 60
"""Characters of a wrong value that the answer repeats."""

_STATE_NAMES: Final[dict[int, str]] = {number: state for state, number in STATES.items()}


def page_size(asked: int) -> int:
    return min(asked or PAGE_DEFAULT, PAGE_MAX)


def vni(asked: int) -> Vni | None:
    if asked > VNI_MAX:
        raise UsageError(f"vni: {asked} is not a valid VNI; give 1 to {VNI_MAX}, or 0 for all")
    return Vni(asked) if asked else None


def mac(asked: str) -> Mac:
    if not asked:
        raise UsageError("mac: missing; give a MAC address, as in 02:00:00:00:00:01")
    try:
        return Mac.parse(asked)
    except ValueError:
        raise UsageError(
            f"mac: {_short(asked)} is not a valid MAC address; give six octets, as in 02:00:00:00:00:01"
        ) from None


def vtep(asked: str) -> Ip | None:
    return ip(asked, "vtep", "a VTEP's, as in 10.0.0.1")


def peer(asked: str) -> Ip | None:
    return ip(asked, "peer", "that of a BGP peer, as in 10.0.0.1")


def mac_prefix(asked: str) -> str:
    """Return the first hexadecimal digits of a MAC, without colons."""
    digits = asked.lower().replace(":", "")
    if len(digits) > 12 or not set(digits) <= set("0123456789abcdef"):
        raise UsageError(f"mac_prefix: {_short(asked)} is not the beginning of a MAC; give one as in 02:00:5e")
    return digits


def seconds(asked: float, field: str) -> float:
    if not 0 <= asked < math.inf:
        raise UsageError(f"{field}: {asked} is not a length of time; give seconds, or 0")
    return asked


def ip(asked: str, field: str, example: str) -> Ip | None:
    if not asked:
        return None
    try:
        return Ip.parse(asked)
    except ValueError:
        raise UsageError(f"{field}: {_short(asked)} is not a valid IP address; give {example}") from None


def device(asked: str) -> str:
    if not asked:
        raise UsageError("device: missing; give the name of a device, as in vxlan100")
    try:
        return device_name(asked)
    except ValueError:
        raise UsageError(f"device: {_short(asked)} is not a name of a device; give one as in vxlan100") from None


def esi(asked: str) -> Esi | None:
    if not asked:
        return None
    try:
        return Esi.parse(asked)
    except ValueError:
        example = "03:02:00:00:00:00:42:00:00:01"
        raise UsageError(f"esi: {_short(asked)} is not a valid ESI; give ten octets, as in {example}") from None


def prefix(asked: str) -> Prefix:
    if not asked:
        raise UsageError("prefix: missing; give an IP prefix or address, as in 10.1.0.0/16")
    try:
        return Prefix.parse(asked)
    except ValueError:
        raise UsageError(f"prefix: {_short(asked)} is not a valid IP prefix; give one as in 10.1.0.0/16") from None


def rd(asked: str) -> RouteDistinguisher | None:
    if not asked:
        return None
    try:
        return RouteDistinguisher.parse(asked)
    except ValueError:
        what = f"rd: {_short(asked)} is not a valid Route Distinguisher"
        raise UsageError(f"{what}; give 10.0.0.1:100, 65000:100 or 4200000000:100") from None


def routes(asked: pb.ListRoutesRequest) -> RouteQuery:
    if asked.type > ROUTE_TYPE_MAX:
        raise UsageError(f"type: {asked.type} is not a route type; give 1 to {ROUTE_TYPE_MAX}, or 0 for all")
    if asked.reason and asked.reason not in REASONS:
        raise UsageError(f"reason: {_short(asked.reason)} is not a reason code; docs/reasons.md lists them")
    return RouteQuery(
        type=asked.type,
        peer=ip(asked.peer, "peer", "a peer's, as in 10.0.0.1"),
        rd=rd(asked.rd),
        vni=vni(asked.vni),
        mac=mac(asked.mac) if asked.mac else None,
        ip=ip(asked.ip, "ip", "a host's, as in 172.16.0.1"),
        refused=asked.refused,
        reason=asked.reason,
        advertised=asked.advertised,
    )


def states(asked: Sequence[int]) -> frozenset[str]:
    unknown = [number for number in asked if number not in _STATE_NAMES]
    if unknown:
        names = ", ".join(pb.SyncState.Name(number) for number in STATES.values())
        raise UsageError(f"states: {unknown[0]} is not a state of a row; give some of {names}, or none for all")
    return frozenset(_STATE_NAMES[number] for number in asked)


def time(asked: Timestamp, field: str) -> float:
    """Return seconds since 1970."""
    seconds = asked.seconds + asked.nanos / 1e9
    # The range of google.protobuf.Timestamp; a float holds more, and dates do not.
    if not (-62_135_596_800 <= seconds < 253_402_300_800 and math.isfinite(seconds)):
        raise UsageError(f"{field}: {asked.seconds} s is outside of the years 1 to 9999; give seconds since 1970")
    return seconds


def _short(text: str) -> str:
    return repr(text if len(text) <= TEXT_SHOWN else f"{text[:TEXT_SHOWN]}...")
