"""The configuration file: TOML text to one `Config`, or every problem with its place.

Takes nothing from the environment and looks at no device; whether a bridge exists is the kernel's business. The file's
own shape is in the `…Table` structs, whose field names are the keys a person types; `Config` is what the program uses.
"""

import difflib
import re
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from vtep.addr import MAX_ESI, NO_SEGMENT, VNI_MAX, Esi, Ip, RouteDistinguisher, RouteTarget, Vni
from vtep.errors import ConfigError, Problem

# What the program uses


class Targets(Struct, frozen=True):
    """Which Route Targets a VNI imports."""

    exact: frozenset[RouteTarget]
    wildcards: frozenset[int] = frozenset()
    """From `*:N`: any administrator with this assigned number."""

    @property
    def texts(self) -> tuple[str, ...]:
        """Spell them as in the configuration, in order."""
        return (*sorted(map(str, self.exact)), *(f"*:{number}" for number in sorted(self.wildcards)))


class VniConfig(Struct, frozen=True):
    """One VNI of this leaf."""

    vni: Vni
    vtep: Ip
    imports: Targets
    exports: tuple[RouteTarget, ...] = ()
    rd: RouteDistinguisher | None = None
    bridge: str = ""
    vxlan: str = ""
    site: bytes | None = None
    tag: int = 0
    downstream_vni: bool = False
    flood: bool = True
    neighbors: bool = True
    announce: bool = True
    gateway: bool = False
    """The bridge's own MAC and addresses are announced as a default gateway's."""

    @property
    def is_bound(self) -> bool:
        """Without a bridge a VNI is shown and never programmed."""
        return bool(self.bridge)


class SegmentConfig(Struct, frozen=True):
    """One Ethernet segment that this leaf has a port on."""

    esi: Esi
    vtep: Ip
    """Under which address we stand for election."""
    forwarding: bool = True
    algorithm: Literal["modulo", "highest-preference", "lowest-preference"] = "modulo"
    preference: int = 32767
    dont_preempt: bool = False


class NodeConfig(Struct, frozen=True):
    vteps: tuple[Ip, ...] = ()
    state_dir: Path = Path("/run/vtep")
    on_stop: Literal["keep", "drain"] = "keep"


class BgpNeighbor(Struct, frozen=True):
    address: Ip
    asn: int


class BgpConfig(Struct, frozen=True):
    asn: int
    router_id: Ip
    neighbors: tuple[BgpNeighbor, ...] = ()


class FeedConfig(Struct, frozen=True):
    socket: Path = Path("/run/vtep/feed.sock")
    socket_mode: int = 0o660
    socket_group: str = ""
    peers: tuple[Ip, ...] = ()
    initial_hold_s: float = 120.0
    on_deadline: Literal["auto", "keep", "complete"] = "auto"
    peer_down_hold_s: float = 0.0


class DuplicateConfig(Struct, frozen=True):
    moves: int = 5
    window_s: float = 180.0
    action: Literal["warn", "freeze"] = "warn"
    recover_s: float = 0.0
    """0: a frozen MAC is freed only by hand."""


class LimitConfig(Struct, frozen=True):
    routes_per_peer: int = 2_000_000
    macs_per_vni: int = 1_000_000


class TlsConfig(Struct, frozen=True):
    cert: str = ""
    key: str = ""
    client_ca: str = ""


class ApiConfig(Struct, frozen=True):
    listen: tuple[str, ...] = ("unix:/run/vtep/vtep.sock",)
    admin: tuple[str, ...] = ("unix:/run/vtep/admin.sock",)
    metrics: str = "127.0.0.1:9479"
    tls: TlsConfig = TlsConfig()


class Config(Struct, frozen=True):
    node: NodeConfig = NodeConfig()
    bgp: BgpConfig | None = None
    feed: FeedConfig = FeedConfig()
    duplicates: DuplicateConfig = DuplicateConfig()
    limits: LimitConfig = LimitConfig()
    api: ApiConfig = ApiConfig()
    vnis: tuple[VniConfig, ...] = ()
    segments: tuple[SegmentConfig, ...] = ()

    @property
    def own_vteps(self) -> frozenset[Ip]:
        """All our tunnel addresses: none of them is ever a remote."""
        return frozenset(self.node.vteps) | {vni.vtep for vni in self.vnis} | {es.vtep for es in self.segments}


def read(path: Path) -> Config:
    """Read and parse a file; a missing one is a problem like any other."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(path), (Problem("", error.strerror or str(error)),)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), (Problem("", f"not UTF-8 at octet {error.start}"),)) from None
    return parse(text, str(path))


def parse(text: str, source: str = "configuration") -> Config:
    """Turn the text into a `Config`, or raise `ConfigError` with every problem found."""
    try:
        tables = msgspec.toml.decode(text)
    except msgspec.DecodeError as error:
        raise ConfigError(source, (Problem("", f"no TOML: {error}"),)) from None
    problems: list[Problem] = []
    file = _check(_File, tables, "", problems)
    config = _build(file, problems)
    if problems:
        raise ConfigError(source, tuple(sorted(problems, key=lambda problem: _natural(problem.path))))
    return config


# What a person types

_Seconds = Annotated[float, Meta(ge=0)]
_Asn = Annotated[int, Meta(ge=1, le=0xFFFF_FFFF)]
_Count = Annotated[int, Meta(ge=1)]
_T = TypeVar("_T")
_S = TypeVar("_S", bound=Struct)


class _NodeTable(Struct):
    vtep: str | list[str] = []
    state_dir: str = "/run/vtep"
    on_stop: Literal["keep", "drain"] = "keep"


class _NeighborTable(Struct):
    address: str | UnsetType = UNSET
    asn: _Asn | UnsetType = UNSET


class _BgpTable(Struct):
    asn: _Asn | UnsetType = UNSET
    router_id: str | UnsetType = UNSET
    neighbor: list[_NeighborTable] = []


class _FeedTable(Struct):
    socket: str = "/run/vtep/feed.sock"
    socket_mode: str = "0660"
    socket_group: str = ""
    peers: list[str] = []
    initial_hold_s: _Seconds = 120.0
    on_deadline: Literal["auto", "keep", "complete"] = "auto"
    peer_down_hold_s: _Seconds = 0.0


class _DuplicateTable(Struct):
    moves: Annotated[int, Meta(ge=2, le=1000)] = 5
    window_s: Annotated[float, Meta(ge=1, le=86400)] = 180.0
    action: Literal["warn", "freeze"] = "warn"
    recover_s: _Seconds = 0.0


class _LimitTable(Struct):
    routes_per_peer: _Count = 2_000_000
    macs_per_vni: _Count = 1_000_000


class _TlsTable(Struct):
    cert: str = ""
    key: str = ""
    client_ca: str = ""


class _ApiTable(Struct):
    listen: list[str] = msgspec.field(default_factory=lambda: ["unix:/run/vtep/vtep.sock"])
    admin: list[str] = msgspec.field(default_factory=lambda: ["unix:/run/vtep/admin.sock"])
    metrics: str = "127.0.0.1:9479"
    tls: _TlsTable = msgspec.field(default_factory=_TlsTable)


class _VniTable(Struct):
    vni: Annotated[int, Meta(ge=1, le=VNI_MAX)] | UnsetType = UNSET
    bridge: str = ""
    vxlan: str = ""
    vtep: str = ""
    import_rt: list[str] | UnsetType = UNSET
    export_rt: list[str] | UnsetType = UNSET
    rd: str = ""
    soo: str = ""
    tag: Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)] = 0
    downstream_vni: bool = False
    flood: bool = True
    neighbors: bool = True
    announce: bool = True
    gateway: bool = False


class _SegmentTable(Struct):
    esi: str | UnsetType = UNSET
    vtep: str = ""
    forwarding: bool = True
    algorithm: Literal["modulo", "highest-preference", "lowest-preference"] = "modulo"
    preference: Annotated[int, Meta(ge=0, le=0xFFFF)] = 32767  # the default that RFC 9785 3 demands
    dont_preempt: bool = False


class _File(Struct):
    node: _NodeTable = msgspec.field(default_factory=_NodeTable)
    bgp: _BgpTable | UnsetType = UNSET
    feed: _FeedTable = msgspec.field(default_factory=_FeedTable)
    duplicates: _DuplicateTable = msgspec.field(default_factory=_DuplicateTable)
    limits: _LimitTable = msgspec.field(default_factory=_LimitTable)
    api: _ApiTable = msgspec.field(default_factory=_ApiTable)
    vni: list[_VniTable] = []
    segment: list[_SegmentTable] = []


# From tables to values, one problem at a time


def _check(shape: type[_S], table: Any, path: str, problems: list[Problem]) -> _S:
    """Read a table field by field, so that one wrong field hides no other; a wrong one keeps its default."""
    values: dict[str, Any] = {}
    fields = {field.name: field for field in msgspec.structs.fields(shape)}
    if not isinstance(table, dict):
        problems.append(Problem(path, f"expected a table, got {_kind_of(table)}"))
        return shape()
    for key, value in table.items():
        where = f"{path}.{key}" if path else key
        if key not in fields:
            problems.append(Problem(where, "unknown key", _suggest(key, list(fields))))
            continue
        values[key] = _check_value(fields[key].type, value, where, problems)
    return shape(**{key: value for key, value in values.items() if value is not UNSET})


def _check_value(wanted: Any, value: Any, where: str, problems: list[Problem]) -> Any:
    """Return the value as wanted, or UNSET with a problem noted."""
    inner = _struct_in(wanted)
    if inner is not None and get_origin(wanted) is list:
        if isinstance(value, list):
            return [_check(inner, item, f"{where}[{index}]", problems) for index, item in enumerate(value)]
        problems.append(Problem(where, f"expected tables, got {_kind_of(value)}", f"write [[{where}]]"))
        return UNSET
    if inner is not None:
        return _check(inner, value, where, problems)
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        problems.append(Problem(where, str(error).replace("`", "").replace(" - at $", " at item ")))
        return UNSET


def _struct_in(wanted: Any) -> type[Any] | None:
    """Return the table type inside `T`, `list[T]` or `T | UnsetType`, if it is one."""
    choices = get_args(wanted) if get_origin(wanted) in (list, Union, UnionType) else (wanted,)
    return next((choice for choice in choices if isinstance(choice, type) and issubclass(choice, Struct)), None)


def _build(file: _File, problems: list[Problem]) -> Config:
    node = _node(file.node, problems)
    bgp = _bgp(file.bgp, problems) if file.bgp is not UNSET else None
    return Config(
        node=node,
        bgp=bgp,
        feed=_feed(file.feed, problems),
        duplicates=DuplicateConfig(**msgspec.structs.asdict(file.duplicates)),
        limits=LimitConfig(**msgspec.structs.asdict(file.limits)),
        api=_api(file.api, problems),
        vnis=_vnis(file.vni, node, bgp, problems),
        segments=_segments(file.segment, node, problems),
    )


def _node(table: _NodeTable, problems: list[Problem]) -> NodeConfig:
    texts = [table.vtep] if isinstance(table.vtep, str) else table.vtep
    vteps = tuple(_each(texts, "node.vtep", _tunnel_address, problems))
    return NodeConfig(vteps, _path(table.state_dir, "node.state_dir", problems), table.on_stop)


def _bgp(table: _BgpTable, problems: list[Problem]) -> BgpConfig | None:
    neighbors = []
    for index, row in enumerate(table.neighbor):
        path = f"bgp.neighbor[{index}]"
        address = _required(row.address, f"{path}.address", Ip.parse, problems)
        asn = _required(row.asn, f"{path}.asn", int, problems)
        if address is not None and asn is not None:
            neighbors.append(BgpNeighbor(address, asn))
    asn = _required(table.asn, "bgp.asn", int, problems)
    router_id = _required(table.router_id, "bgp.router_id", _router_id, problems)
    return BgpConfig(asn, router_id, tuple(neighbors)) if asn is not None and router_id is not None else None


def _feed(table: _FeedTable, problems: list[Problem]) -> FeedConfig:
    return FeedConfig(
        socket=_path(table.socket, "feed.socket", problems),
        socket_mode=_parsed(table.socket_mode, "feed.socket_mode", _mode, problems) or 0o660,
        socket_group=table.socket_group,
        peers=tuple(_each(table.peers, "feed.peers", Ip.parse, problems)),
        initial_hold_s=table.initial_hold_s,
        on_deadline=table.on_deadline,
        peer_down_hold_s=table.peer_down_hold_s,
    )


def _api(table: _ApiTable, problems: list[Problem]) -> ApiConfig:
    tls = TlsConfig(table.tls.cert, table.tls.key, table.tls.client_ca)
    given = [bool(tls.cert), bool(tls.key), bool(tls.client_ca)]
    if any(given) and not all(given):
        problems.append(Problem("api.tls", "cert, key and client_ca belong together", "give all three or none"))
    for name, addresses in (("listen", table.listen), ("admin", table.admin)):
        for path, address in _numbered(f"api.{name}", addresses):
            host = _parsed(address, path, _listener, problems)
            if host and not is_loopback(host) and not all(given):
                problems.append(Problem(path, f"{address} can be reached from outside", "set api.tls, or use unix:"))
    if table.metrics:
        _parsed(table.metrics, "api.metrics", _host_port, problems)
    return ApiConfig(tuple(table.listen), tuple(table.admin), table.metrics, tls)


def _vnis(
    rows: list[_VniTable], node: NodeConfig, bgp: BgpConfig | None, problems: list[Problem]
) -> tuple[VniConfig, ...]:
    vnis = []
    for index, row in enumerate(rows):
        vni = _vni(row, f"vni[{index}]", node, bgp, problems)
        if vni is not None:
            vnis.append(vni)
    for name in ("vni", "bridge", "vxlan"):
        _refuse_repeats("vni", [getattr(row, name) for row in rows], name, problems)
    return tuple(vnis)


def _vni(
    row: _VniTable, path: str, node: NodeConfig, bgp: BgpConfig | None, problems: list[Problem]
) -> VniConfig | None:
    number = _required(row.vni, f"{path}.vni", Vni, problems)
    if bool(row.bridge) != bool(row.vxlan):
        missing, given = ("vxlan", "bridge") if row.bridge else ("bridge", "vxlan")
        problems.append(Problem(f"{path}.{missing}", f"missing beside {given}", "give both, or none to only watch"))
    vtep = _own_vtep(row.vtep, path, node, problems)
    if number is None:
        return None
    imports = _imports(row, path, number, bgp, problems)
    exports = (
        tuple(_each(row.export_rt, f"{path}.export_rt", RouteTarget.parse, problems))
        if isinstance(row.export_rt, list)
        else tuple(sorted(imports.exact))
    )
    rd = _parsed(row.rd, f"{path}.rd", RouteDistinguisher.parse, problems) if row.rd else _derived_rd(number, bgp)
    site = _parsed(row.soo, f"{path}.soo", _site, problems) if row.soo else None
    if vtep is None:
        return None
    return VniConfig(
        vni=number,
        vtep=vtep,
        imports=imports,
        exports=exports,
        rd=rd,
        bridge=row.bridge,
        vxlan=row.vxlan,
        site=site,
        tag=row.tag,
        downstream_vni=row.downstream_vni,
        flood=row.flood,
        neighbors=row.neighbors,
        announce=row.announce,
        gateway=row.gateway,
    )


def _own_vtep(text: str, path: str, node: NodeConfig, problems: list[Problem]) -> Ip | None:
    """Return the address given here, or else the first of the node's."""
    if text:
        return _parsed(text, f"{path}.vtep", _tunnel_address, problems)
    if not node.vteps and not any(problem.path.startswith("node.vtep") for problem in problems):
        problems.append(Problem(f"{path}.vtep", "no tunnel address", 'set node.vtep = "…", or vtep here'))
    return next(iter(node.vteps), None)


def _segments(rows: list[_SegmentTable], node: NodeConfig, problems: list[Problem]) -> tuple[SegmentConfig, ...]:
    segments = []
    esis: list[Any] = []
    for index, row in enumerate(rows):
        path = f"segment[{index}]"
        esi = _required(row.esi, f"{path}.esi", _segment_identifier, problems)
        vtep = _own_vtep(row.vtep, path, node, problems)
        esis.append(UNSET if esi is None else esi)
        if esi is not None and vtep is not None:
            segments.append(SegmentConfig(esi, vtep, row.forwarding, row.algorithm, row.preference, row.dont_preempt))
    _refuse_repeats("segment", esis, "esi", problems)
    return tuple(segments)


def _imports(row: _VniTable, path: str, vni: Vni, bgp: BgpConfig | None, problems: list[Problem]) -> Targets:
    if not isinstance(row.import_rt, list):
        if bgp is None:
            hint = f'set import_rt = ["ASN:{vni}"], or bgp.asn to derive it'
            problems.append(Problem(f"{path}.import_rt", "missing", hint))
            return Targets(frozenset())
        # FRR derives the same: the low 16 bits of the AS number, then the VNI.
        return Targets(frozenset((RouteTarget.parse(f"{bgp.asn & 0xFFFF}:{vni}"),)))
    exact, wildcards = set(), set()
    for where, text in _numbered(f"{path}.import_rt", row.import_rt):
        if text.startswith("*:"):
            number = _parsed(text[2:], where, _assigned, problems)
            wildcards.add(-1 if number is None else number)
        else:
            target = _parsed(text, where, RouteTarget.parse, problems)
            exact.add(RouteTarget(8) if target is None else target)
    return Targets(frozenset(exact), frozenset(wildcards))


def _derived_rd(vni: Vni, bgp: BgpConfig | None) -> RouteDistinguisher | None:
    """Only 16 bits are left beside an IPv4 router id; a larger VNI needs an RD of its own when we announce."""
    if bgp is None or vni > 0xFFFF:
        return None
    return RouteDistinguisher.parse(f"{bgp.router_id}:{vni}")


def _refuse_repeats(table: str, values: list[Any], name: str, problems: list[Problem]) -> None:
    first: dict[Any, int] = {}
    for index, value in enumerate(values):
        if value is UNSET or value == "":
            continue
        if value in first:
            told = f"{value} is already used by {table}[{first[value]}]"
            problems.append(Problem(f"{table}[{index}].{name}", told))
        else:
            first[value] = index


# Single values


def _each(texts: list[str], path: str, parse_one: Callable[[str], _T], problems: list[Problem]) -> Iterator[_T]:
    for where, text in _numbered(path, texts):
        value = _parsed(text, where, parse_one, problems)
        if value is not None:
            yield value


def _numbered(path: str, texts: list[str]) -> Iterator[tuple[str, str]]:
    return ((f"{path}[{index}]" if len(texts) > 1 else path, text) for index, text in enumerate(texts))


def _parsed(text: str, path: str, parse_one: Callable[[str], _T], problems: list[Problem]) -> _T | None:
    try:
        return parse_one(text)
    except ValueError as error:
        problems.append(Problem(path, str(error)))
        return None


def _required(value: Any, path: str, parse_one: Callable[[Any], _T], problems: list[Problem]) -> _T | None:
    if value is UNSET:
        if not any(problem.path == path for problem in problems):
            problems.append(Problem(path, "missing"))
        return None
    return _parsed(value, path, parse_one, problems)


def _tunnel_address(text: str) -> Ip:
    address = Ip.parse(text)
    if not address.is_unicast:
        raise ValueError(f"{text} cannot be a tunnel address")
    return address


def _segment_identifier(text: str) -> Esi:
    esi = Esi.parse(text)
    if esi in (NO_SEGMENT, MAX_ESI):
        raise ValueError(f"{esi} is reserved, and no Ethernet segment (RFC 7432 5)")
    return esi


def _router_id(text: str) -> Ip:
    address = Ip.parse(text)
    if address.is_v6:
        raise ValueError(f"{text} is no router id (an IPv4 address)")
    return address


def _site(text: str) -> bytes:
    target = RouteTarget.parse(text)
    return target[:1] + b"\x03" + target[2:]


def _assigned(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 0xFFFF_FFFF:
        raise ValueError(f"'*:{text}' is not of the form *:number")
    return int(text)


def _mode(text: str) -> int:
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise ValueError(f"{text!r} is no file mode (as in 0660)")
    return int(text, 8)


def _path(text: str, path: str, problems: list[Problem]) -> Path:
    if not text.startswith("/"):
        problems.append(Problem(path, f"{text!r} is no absolute path"))
    return Path(text)


def _listener(text: str) -> str:
    """Return the host of a TCP listener, or nothing for a unix one."""
    if text.startswith("unix:"):
        if not text.startswith("unix:/"):
            raise ValueError(f"{text!r} needs an absolute path (unix:/run/vtep/vtep.sock)")
        return ""
    return _host_port(text)


def _host_port(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= 0xFFFF:
        raise ValueError(f"{text!r} is not of the form host:port or unix:/path")
    return host.strip("[]")


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_WORDS: Final = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "a table"}


def _kind_of(value: Any) -> str:
    return _WORDS.get(type(value), type(value).__name__)


def _suggest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"


def _natural(path: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]
