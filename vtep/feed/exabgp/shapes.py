"""The shapes of ExaBGP's JSON lines, as far as vtep reads them.

msgspec checks each line against these structs while it parses, and skips every field that is not listed here.
`N` is the type of one NLRI: `Nlri` for the usual line, `Any` where a line has NLRIs without octets or of an odd shape, so
that one odd NLRI does not cost the others of its line. What the values mean is the business of `json`.

Two lines, without the fields that are not read:

    {"exabgp": "4.2.25", "time": 1700000000.1, "pid": 41, "counter": 7, "type": "update",
     "neighbor": {"address": {"peer": "10.0.0.2"}, "direction": "receive", "message": {"update": {
        "attribute": {"local-preference": 100, "extended-community": [{"value": 842122827661412}]},
        "announce": {"l2vpn evpn": {"10.0.0.2": [{"raw": "0221…"}]}}}}}}

    {"exabgp": "4.2.25", "time": 1700000000.2, "pid": 41, "counter": 8, "type": "state",
     "neighbor": {"address": {"peer": "10.0.0.2"}, "state": "down", "reason": "peer reset, message (…) error (…)"}}

A field of type `Any` differs between releases, is for display only, or matters by its presence. A value of an
unexpected kind must not cost the line.
"""

from typing import Any, Generic, TypeVar

from msgspec import Struct, field

N = TypeVar("N")


class Nlri(Struct, gc=False):
    raw: str
    """The whole NLRI in hexadecimal: type, length, value."""
    path_id: str | int | None = field(name="path-information", default=None)


class Community(Struct, gc=False):
    value: int
    """All eight octets as one number. The text beside it is not read, because releases spell it differently."""


class Attribute(Struct, gc=False):
    extended: list[Community] = field(name="extended-community", default_factory=list)
    community: list[Any] = field(default_factory=list)
    pmsi: str | None = None
    """ExaBGP's text, which `evpn.attributes.parse_pmsi` reads."""
    local_pref: Any = field(name="local-preference", default=None)
    as_path: Any = field(name="as-path", default=None)
    """Segments by position (5.0), or the AS numbers that are not in a set (4.2)."""
    origin: Any = None
    """`igp`, `egp` or `incomplete`."""
    med: Any = None
    as_set: Any = field(name="as-set", default=None)
    error: str = ""
    """Why ExaBGP treats the UPDATE as a withdraw."""


class AnnouncedFamilies(Struct, Generic[N], gc=False):
    evpn: dict[str, list[N]] = field(name="l2vpn evpn", default_factory=dict)
    """By next hop."""


class WithdrawnFamilies(Struct, Generic[N], gc=False):
    evpn: list[N] = field(name="l2vpn evpn", default_factory=list)


class Update(Struct, Generic[N], gc=False):
    attribute: Attribute | None = None
    announce: AnnouncedFamilies[N] | None = None
    withdraw: WithdrawnFamilies[N] | None = None


class Family(Struct, gc=False):
    afi: str
    safi: str
    subtype: str = ""


class Message(Struct, Generic[N], gc=False):
    update: Update[N] | None = None
    eor: Family | None = None


class Restart(Struct, gc=False):
    """The capability of graceful restart in an OPEN (RFC 4724 3)."""

    time: int = 0
    """The restart time in seconds."""
    flags: dict[str, Any] = field(name="address-family-flags", default_factory=dict)


class Capabilities(Struct, gc=False):
    """By the numbers of IANA, as ExaBGP prints them. A capability that is None was not in the OPEN."""

    restart: Restart | None = field(name="64", default=None)
    refresh: Any = field(name="2", default=None)
    cisco_refresh: Any = field(name="128", default=None)
    enhanced_refresh: Any = field(name="70", default=None)
    families: Any = field(name="1", default=None)
    asn4: Any = field(name="65", default=None)


class Open(Struct, gc=False):
    capabilities: Capabilities
    asn: Any = None
    hold_time: Any = None
    router_id: Any = None


class Address(Struct, gc=False):
    peer: str


class Asn(Struct, gc=False):
    peer: Any = None


class Neighbor(Struct, Generic[N], gc=False):
    address: Address
    direction: str = ""
    """`receive` or `send`; empty in a line about the state of a session."""
    state: str = ""
    reason: str = ""
    asn: Asn | None = None
    message: Message[N] | None = None
    open: Open | None = None
    refresh: Family | None = field(name="route-refresh", default=None)
    octets: bytes | None = None
    """UPDATE messages as the peer sent them, in base64: a line of `vtep exabgp` (`tap`)."""


class Line(Struct, Generic[N], gc=False):
    type: str = ""
    exabgp: str = ""
    time: float | None = None
    pid: int | None = None
    """ExaBGP's process. Another one than before is an ExaBGP that started again, with new sessions."""
    counter: int | None = None
    """The number of the line among those of its peer. A step of more than one is a lost line."""
    neighbor: Neighbor[N] | None = None
    notification: Any = None
    answer: str = ""
    message: Any = None
    versions: Any = None
    route: Any = None
