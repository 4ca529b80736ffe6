"""The configuration file: from TOML text to one `Config`, or every problem with its line and path.

Knows the file's own shape, which is in the `…Table` structs: their field names are the keys that a person types, and
their defaults are what a missing key means. Takes nothing from the environment and looks at no device.

The text is read in two steps. `shape.check` compares each table with its struct, key by key: an unknown key or a value
of the wrong type is noted and keeps its default, so that it hides no other problem. `_build` then makes values out of
the texts and looks at what belongs together. Only a file without any problem becomes a `Config`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace as replace_fields

from vtep.addr import VNI_MAX, Ip, Mac, Prefix, RouteDistinguisher, RouteTarget, Vni
from vtep.config import bgp as bgp_section
from vtep.config.bgp import BgpConfig, BgpTable, derived_rd, derived_target
from vtep.config.lines import line_of, lines_of
from vtep.config.model import (
    AnycastConfig,
    ApiConfig,
    Config,
    DuplicateConfig,
    FeedConfig,
    LimitConfig,
    NodeConfig,
    PrefixRange,
    Seconds,
    SegmentConfig,
    Targets,
    TlsConfig,
    VniConfig,
    VrfConfig,
)
from vtep.config.shape import check
from vtep.config.values import (
    Problems,
    absolute_path,
    assigned_number,
    device_name,
    file_mode,
    host_address,
    host_of,
    is_loopback,
    listener,
    numbered,
    prefix,
    prefix_range,
    route_source,
    segment_identifier,
    site_of_origin,
    socket_path,
    tunnel_address,
)
from vtep.errors import ConfigError, Problem


def read(path: Path) -> Config:
    """Read and parse a file; a file that is missing is a problem like any other."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(path), (Problem("", error.strerror or str(error)),)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), (Problem("", f"not UTF-8 at octet {error.start}"),)) from None
    if not _HAS_SETTINGS.search(text):
        hint = "a leaf needs [node] with vtep, and a [[vni]]; `vtep init` writes a first file"
        raise ConfigError(str(path), (Problem("", "there is no setting in this file", hint),))
    return parse(text, str(path))


_HAS_SETTINGS = re.compile(r"^\s*[^\s#]", re.MULTILINE)


def parse(text: str, source: str = "configuration") -> Config:
    """Turn the text into a `Config`, or raise `ConfigError` with every problem found."""
    try:
        tables = msgspec.toml.decode(text)
    except msgspec.DecodeError as error:
        where = re.search(r"at line (\d+)", str(error))
        what = re.sub(r" \(at line .*", "", str(error))
        problem = Problem("", f"not valid TOML: {what}", line=int(where[1]) if where else 0)
        raise ConfigError(source, (problem,)) from None
    problems = Problems()
    file = check(_File, tables, "", problems)
    config = _build(file, problems)
    if problems.found:
        lines = lines_of(text)
        found = [problem._replace(line=line_of(problem.path, lines)) for problem in problems.found]
        raise ConfigError(source, tuple(sorted(found, key=lambda problem: _natural(problem.path))))
    return config


# What a person types


class _NodeTable(Struct):
    """The keys of `[node]`. `vtep` is one address or a list, because most leaves have one."""

    vtep: str | list[str] = []
    vtep_prefixes: list[str] = []
    state_dir: str = "/run/vtep"
    on_stop: Literal["keep", "drain"] = "keep"
    manage: bool = False
    mode: Literal["write", "observe"] = "write"


class _FeedTable(Struct):
    """The keys of `[feed]`. The mode of the socket is a text, because TOML has no octal number with a plain leading
    0."""

    socket: str = ""
    socket_mode: str = "0660"
    socket_group: str = ""
    peers: list[str] = []
    initial_hold_s: Seconds = 120.0
    on_deadline: Literal["auto", "keep", "complete"] = "auto"
    peer_down_hold_s: Seconds = 0.0
    restart_hold_max_s: Seconds = 600.0
    octets: bool = True
    bmp: str = ""
    bmp_peers: list[str] = []
    bmp_table: Literal["pre-policy", "post-policy", "loc-rib"] = "post-policy"


class _ApiTable(Struct):
    """The keys of `[api]`. An address is `unix:/path` or `host:port`."""

    listen: list[str] = msgspec.field(default_factory=lambda: ["unix:/run/vtep/vtep.sock"])
    admin: list[str] = msgspec.field(default_factory=lambda: ["unix:/run/vtep/admin.sock"])
    metrics: str = "127.0.0.1:9479"
    tls: TlsConfig = msgspec.field(default_factory=TlsConfig)


class _VniTable(Struct):
    """The keys of a `[[vni]]`. UNSET is a key that was not typed: its value is derived, or it must be given."""

    vni: Annotated[int, Meta(ge=1, le=VNI_MAX)] | UnsetType = UNSET
    bridge: str = ""
    vxlan: str = ""
    vlan: Annotated[int, Meta(ge=1, le=4094)] | UnsetType = UNSET
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
    vrf: str = ""
    manage: bool | UnsetType = UNSET
    addresses: list[str] = []
    gateway_mac: str = ""


class _SegmentTable(Struct):
    """The keys of a `[[segment]]`. `forwarding` stands in for the state of a port where none is named."""

    esi: str | UnsetType = UNSET
    port: str = ""
    vtep: str = ""
    forwarding: bool = True
    mode: Literal["all-active", "single-active"] = "all-active"
    algorithm: Literal["modulo", "highest-random-weight", "highest-preference", "lowest-preference"] = "modulo"
    preference: Annotated[int, Meta(ge=0, le=0xFFFF)] = 32767  # the default that RFC 9785 3 demands
    dont_preempt: bool = False
    df_wait_s: Annotated[float, Meta(ge=0, le=3600)] = 3.0
    startup_delay_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    mac_hold_s: Annotated[float, Meta(ge=0, le=86400)] = 10.0
    uplinks: list[str] = []
    filter: Literal["nftables", "none"] = "nftables"
    ac_df: bool = False
    backup: bool = True


_OF_A_PORT: Final = ("mode", "df_wait_s", "startup_delay_s", "mac_hold_s", "uplinks", "filter", "backup")
"""The keys of a `[[segment]]` that say something about its port."""


class _AnycastTable(Struct):
    """The keys of a `[[vrf.anycast]]`. The shortest interval keeps a command from being run without a pause."""

    prefix: str | UnsetType = UNSET
    interface: str = ""
    check: list[str] = []
    interval_s: Annotated[float, Meta(ge=0.1, le=3600)] = 2.0


class _VrfTable(Struct):
    """The keys of a `[[vrf]]`. Its device names may be those of VNIs only if VLANs keep them apart."""

    name: str | UnsetType = UNSET
    vni: Annotated[int, Meta(ge=1, le=VNI_MAX)] | UnsetType = UNSET
    vxlan: str | UnsetType = UNSET
    bridge: str = ""
    vlan: Annotated[int, Meta(ge=1, le=4094)] | UnsetType = UNSET
    svi: str = ""
    table: Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)] = 0
    vtep: str = ""
    import_rt: list[str] | UnsetType = UNSET
    export_rt: list[str] | UnsetType = UNSET
    rd: str = ""
    router_mac: str = ""
    max_paths: Annotated[int, Meta(ge=1, le=256)] = 8
    max_prefixes: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    metric: Annotated[int, Meta(ge=1, le=0xFFFF_FFFF)] | UnsetType = UNSET
    redistribute: list[str | int] = []
    redistribute_only: list[str] = []
    manage: bool | UnsetType = UNSET
    default_originate: bool = False
    anycast: list[_AnycastTable] = []


class _File(Struct):
    """The whole file. A section that is not there has the defaults of its table; `bgp` has none, as an AS number
    cannot be guessed."""

    node: _NodeTable = msgspec.field(default_factory=_NodeTable)
    bgp: BgpTable | UnsetType = UNSET
    feed: _FeedTable = msgspec.field(default_factory=_FeedTable)
    duplicates: DuplicateConfig = msgspec.field(default_factory=DuplicateConfig)
    limits: LimitConfig = msgspec.field(default_factory=LimitConfig)
    api: _ApiTable = msgspec.field(default_factory=_ApiTable)
    vni: list[_VniTable] = []
    segment: list[_SegmentTable] = []
    vrf: list[_VrfTable] = []


# From tables to values


def _build(file: _File, problems: Problems) -> Config:
    """Return what the file means. Any value may stand in for one that has a problem: the file is then refused."""
    node = _node(file.node, problems)
    bgp = bgp_section.build(file.bgp, problems) if file.bgp is not UNSET else None
    feed = _feed(file.feed, problems)
    if bgp is not None:
        _refuse_own_and_unknown(bgp, node, feed, problems)
    if node.mode == "observe":
        _refuse_unobserved(file, problems)
    return Config(
        node=node,
        bgp=bgp,
        feed=feed,
        duplicates=file.duplicates,
        limits=file.limits,
        api=_api(file.api, problems),
        vnis=_vnis(file.vni, node, bgp, problems, manage=file.node.manage),
        segments=_segments(file.segment, node, bgp, problems),
        vrfs=_vrfs(file, node, bgp, problems),
    )


def _refuse_unobserved(file: _File, problems: Problems) -> None:
    """Note what an observer cannot compare. It advertises nothing either, whatever the VNIs say."""
    for index, segment in enumerate(file.segment):
        if segment.port:
            what = (
                "the port of a segment cannot be observed, because FRR writes nothing of it into a Linux kernel: zebra elects the "
                "designated forwarder and keeps it to itself (vtysh -c 'show evpn es detail')"
            )
            problems.note(
                f"segment[{index}].port", what, "leave it out: then the rows of the segment's MACs are compared"
            )
    for vrf in file.vrf:
        vrf.redistribute, vrf.default_originate, vrf.anycast = [], False, []
    if file.node.manage or any(vni.manage is True for vni in file.vni) or any(vrf.manage is True for vrf in file.vrf):
        problems.note("node.manage", "an observer makes no devices", 'leave `manage` out, or set mode = "write"')
    for vni in file.vni:
        vni.announce = False


def _node(table: _NodeTable, problems: Problems) -> NodeConfig:
    texts = [table.vtep] if isinstance(table.vtep, str) else table.vtep
    vteps = tuple(problems.each(texts, "node.vtep", tunnel_address))
    if table.mode == "observe" and table.on_stop == "drain":
        problems.note("node.on_stop", "an observer has no rows to remove", 'leave it out, or set mode = "write"')
    return NodeConfig(
        vteps=vteps,
        vtep_prefixes=tuple(problems.each(table.vtep_prefixes, "node.vtep_prefixes", prefix)),
        state_dir=problems.parsed(table.state_dir, "node.state_dir", absolute_path) or Path("/"),
        on_stop=table.on_stop,
        mode=table.mode,
    )


def _refuse_own_and_unknown(bgp: BgpConfig, node: NodeConfig, feed: FeedConfig, problems: Problems) -> None:
    """Note a neighbor that is this leaf, and a peer for which ExaBGP gets no session and that no router can report."""
    known = {neighbor.address for neighbor in bgp.neighbors}
    for index, neighbor in enumerate(bgp.neighbors):
        if neighbor.address in node.vteps or neighbor.address == bgp.router_id:
            what = f"{neighbor.address} is an address of this leaf"
            problems.note(f"bgp.neighbor[{index}].address", what, "name the address of the peer")
    for path, peer in zip(_paths("feed.peers", feed.peers), feed.peers, strict=True):
        if known and peer not in known and not feed.bmp:
            hint = "add a [[bgp.neighbor]] for it, or leave it out: the leaf would wait for its End-of-RIB"
            problems.note(path, f"{peer} is not a [[bgp.neighbor]]", hint)


def _paths(path: str, values: Sequence[object]) -> list[str]:
    return [f"{path}[{index}]" if len(values) > 1 else path for index in range(len(values))]


def _feed(table: _FeedTable, problems: Problems) -> FeedConfig:
    host = problems.parsed(table.bmp, "feed.bmp", host_of) if table.bmp else None
    if host is not None and not is_loopback(host) and not table.bmp_peers:
        hint = 'set bmp_peers = ["192.0.2.1", ...], or listen on 127.0.0.1'
        problems.note("feed.bmp_peers", f"{table.bmp} can be reached from outside, and nothing says by whom", hint)
    return FeedConfig(
        exabgp=bool(table.socket) or not table.bmp,
        socket=problems.parsed(table.socket or str(FeedConfig().socket), "feed.socket", _feed_socket) or Path("/"),
        socket_mode=problems.parsed(table.socket_mode, "feed.socket_mode", file_mode) or 0o660,
        socket_group=table.socket_group,
        peers=tuple(problems.each(table.peers, "feed.peers", Ip.parse)),
        initial_hold_s=table.initial_hold_s,
        on_deadline=table.on_deadline,
        peer_down_hold_s=table.peer_down_hold_s,
        restart_hold_max_s=table.restart_hold_max_s,
        octets=table.octets,
        bmp=table.bmp,
        bmp_peers=tuple(problems.each(table.bmp_peers, "feed.bmp_peers", prefix)),
        bmp_table=table.bmp_table,
    )


def _feed_socket(text: str) -> Path:
    return socket_path(text, ".new")  # the feed makes it under this name, and renames it when it listens


def _api(table: _ApiTable, problems: Problems) -> ApiConfig:
    """Return the listeners. Beyond loopback gRPC needs certificates, because otherwise everyone could read and write."""
    tls = table.tls
    given = [bool(tls.cert), bool(tls.key), bool(tls.client_ca)]
    if any(given) and not all(given):
        problems.note("api.tls", "cert, key and client_ca belong together", "give all three or none")
    for name, addresses in (("listen", table.listen), ("admin", table.admin)):
        for path, address in numbered(f"api.{name}", addresses):
            host = problems.parsed(address, path, listener)
            if host and not is_loopback(host) and not all(given):
                problems.note(path, f"{address} can be reached from outside", "set api.tls, or use unix:")
    if table.metrics:
        problems.parsed(table.metrics, "api.metrics", host_of)
    return ApiConfig(tuple(table.listen), tuple(table.admin), table.metrics, tls)


def _vnis(
    rows: list[_VniTable], node: NodeConfig, bgp: BgpConfig | None, problems: Problems, *, manage: bool
) -> tuple[VniConfig, ...]:
    """Return the VNIs. Two of them cannot share a number or a place, because their rows would be each other's."""
    vnis = []
    for index, row in enumerate(rows):
        vni = _vni(row, f"vni[{index}]", node, bgp, problems)
        if vni is not None:
            vnis.append(replace_fields(vni, manage=vni.is_bound and (manage if row.manage is UNSET else row.manage)))
        is_managed = row.bridge and (manage if row.manage is UNSET else row.manage)
        for key in ("addresses", "gateway_mac"):
            if getattr(row, key) and not is_managed:
                problems.note(f"vni[{index}].{key}", "only a managed device is given it", "set `manage = true`")
        if row.manage is True and not row.bridge:
            problems.note(f"vni[{index}].manage", "there is no device to manage", "name its bridge and its vxlan")
    _refuse_repeats("vni", [row.vni for row in rows], "vni", problems)
    _refuse_shared_devices(rows, problems)
    uses = Counter(row.vxlan for row in rows)
    return tuple(replace_fields(vni, shares_vxlan=uses[vni.vxlan] > 1) if vni.vlan is not None else vni for vni in vnis)


def _refuse_shared_devices(rows: list[_VniTable], problems: Problems) -> None:
    """Note each bridge or VXLAN device that two VNIs have, unless VLANs keep their rows apart."""
    for name in ("bridge", "vxlan"):
        first: dict[str, int] = {}
        for index, row in enumerate(rows):
            device = getattr(row, name)
            other = first.setdefault(device, index) if device else index
            if other != index and UNSET in (row.vlan, rows[other].vlan):
                problems.note(
                    f"vni[{index}].{name}",
                    f"{device} is already used by vni[{other}]",
                    "give each VNI a bridge and a VXLAN device of its own, or each of them a `vlan`",
                )
    vlans = [f"VLAN {row.vlan} of {row.bridge}" if row.bridge and row.vlan is not UNSET else "" for row in rows]
    _refuse_repeats("vni", vlans, "vlan", problems)


def _vni(row: _VniTable, path: str, node: NodeConfig, bgp: BgpConfig | None, problems: Problems) -> VniConfig | None:
    """Return one VNI, or None if it lacks its number or a tunnel address."""
    number = problems.required(row.vni, f"{path}.vni", Vni)
    if bool(row.bridge) != bool(row.vxlan):
        missing, given = ("vxlan", "bridge") if row.bridge else ("bridge", "vxlan")
        problems.note(f"{path}.{missing}", f"missing beside {given}", "give both, or none to only watch")
    for name, device in (("bridge", row.bridge), ("vxlan", row.vxlan)):
        problems.parsed(device, f"{path}.{name}", device_name)
    if row.vlan is not UNSET and not row.bridge:
        problems.note(f"{path}.bridge", "missing beside vlan", "a VLAN is one of a bridge")
    vtep = _own_vtep(row.vtep, path, node, problems)
    if number is None:
        return None
    imports = _imports(row, path, number, bgp, problems)
    exports = _exports(row, path, imports, problems)
    rd = _rd(row, path, number, bgp, problems)
    site = problems.parsed(row.soo, f"{path}.soo", site_of_origin) if row.soo else None
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
        vlan=None if row.vlan is UNSET else row.vlan,
        site=site,
        tag=row.tag,
        downstream_vni=row.downstream_vni,
        flood=row.flood,
        neighbors=row.neighbors,
        announce=row.announce,
        gateway=row.gateway,
        addresses=tuple(problems.each(row.addresses, f"{path}.addresses", host_address)),
        gateway_mac=problems.parsed(row.gateway_mac, f"{path}.gateway_mac", Mac.parse) if row.gateway_mac else None,
        vrf=row.vrf,
    )


def _vrfs(file: _File, node: NodeConfig, bgp: BgpConfig | None, problems: Problems) -> tuple[VrfConfig, ...]:
    """Return the VRFs. An L3VNI has a number and devices that no other VNI has, because their rows would be each other's."""
    found = [
        _vrf(row, f"vrf[{index}]", node, bgp, problems, file_manage=file.node.manage)
        for index, row in enumerate(file.vrf)
    ]
    for name in ("name", "vni", "table"):
        _refuse_repeats("vrf", [getattr(row, name) or UNSET for row in file.vrf], name, problems)
    _refuse_repeats("vrf", [row.svi or row.bridge for row in file.vrf], "svi", problems)
    names = {row.name for row in file.vrf}
    for index, vni in enumerate(file.vni):
        if vni.vrf and vni.vrf not in names:
            problems.note(f"vni[{index}].vrf", f"there is no VRF {vni.vrf}", f'add [[vrf]] with name = "{vni.vrf}"')
    others: list[tuple[str, _VniTable | _VrfTable]] = [(f"vni[{index}]", row) for index, row in enumerate(file.vni)]
    for index, row in enumerate(file.vrf):
        for path, other in others:
            if other.vni == row.vni and isinstance(other, _VniTable):
                problems.note(f"vrf[{index}].vni", f"{row.vni} is already used by {path}")
            if UNSET not in (row.vlan, other.vlan) and row.vlan == other.vlan and _bridge_of(row) == _bridge_of(other):
                what = f"VLAN {row.vlan} of {_bridge_of(row)} is already used by {path}"
                problems.note(f"vrf[{index}].vlan", what, "give the L3VNI a VLAN of its own")
            if other.vxlan == row.vxlan and UNSET in (row.vlan, other.vlan):
                problems.note(
                    f"vrf[{index}].vxlan", f"{row.vxlan} is already used by {path}", "give each of them a `vlan`"
                )
        others.append((f"vrf[{index}]", row))
    return tuple(vrf for vrf in found if vrf is not None)


def _bridge_of(row: _VniTable | _VrfTable) -> str:
    return row.bridge or (row.svi if isinstance(row, _VrfTable) else "")


def _vrf(
    row: _VrfTable, path: str, node: NodeConfig, bgp: BgpConfig | None, problems: Problems, *, file_manage: bool
) -> VrfConfig | None:
    """Return one VRF, or None if it lacks its name, its L3VNI, its devices or a tunnel address."""
    name = problems.required(row.name, f"{path}.name", str)
    number = problems.required(row.vni, f"{path}.vni", Vni)
    vxlan = problems.required(row.vxlan, f"{path}.vxlan", str)
    svi = row.svi or row.bridge
    if not svi:
        problems.note(
            f"{path}.svi", "missing", "give the layer-3 device of the L3VNI: its bridge, or a VLAN device on it"
        )
    for key in ("name", "vxlan", "svi", "bridge"):
        if isinstance(device := getattr(row, key), str):
            problems.parsed(device, f"{path}.{key}", device_name)
    vtep = _own_vtep(row.vtep, path, node, problems)
    if name is None or number is None or vxlan is None or vtep is None:
        return None
    imports = _imports(row, path, number, bgp, problems)
    return VrfConfig(
        name=name,
        vni=number,
        vtep=vtep,
        imports=imports,
        exports=_exports(row, path, imports, problems),
        rd=_rd(row, path, number, bgp, problems),
        bridge=row.bridge or svi,
        vxlan=vxlan,
        vlan=None if row.vlan is UNSET else row.vlan,
        svi=svi,
        table=row.table,
        router_mac=problems.parsed(row.router_mac, f"{path}.router_mac", Mac.parse) if row.router_mac else None,
        max_paths=row.max_paths,
        max_prefixes=0 if row.max_prefixes is UNSET else row.max_prefixes,
        metric=0 if row.metric is UNSET else row.metric,
        redistribute=tuple(problems.each([str(one) for one in row.redistribute], f"{path}.redistribute", route_source)),
        redistribute_only=tuple(
            PrefixRange(*one) for one in problems.each(row.redistribute_only, f"{path}.redistribute_only", prefix_range)
        ),
        manage=file_manage if row.manage is UNSET else row.manage,
        default_originate=row.default_originate,
        anycast=tuple(_anycast(row.anycast, f"{path}.anycast", problems)),
    )


def _anycast(rows: list[_AnycastTable], path: str, problems: Problems) -> Iterator[AnycastConfig]:
    """Yield the services of a VRF; each says what must be ready, because otherwise `redistribute` would do."""
    first: dict[Prefix, int] = {}
    for index, row in enumerate(rows):
        where = f"{path}[{index}]"
        prefix = problems.required(row.prefix, f"{where}.prefix", Prefix.parse)
        if row.interface:
            problems.parsed(row.interface, f"{where}.interface", device_name)
        if not row.interface and not row.check:
            problems.note(
                f"{where}.check", "nothing says when it is ready", "give interface, or check as a list of words"
            )
        if row.check and not row.check[0].startswith("/"):
            problems.note(
                f"{where}.check", f"{row.check[0]!r} is not a whole path", "write the command as /usr/bin/NAME"
            )
        if any("\0" in word for word in row.check):
            problems.note(f"{where}.check", "a word has a NUL octet, which no command can be given", "leave it out")
        if prefix is None:
            continue
        if first.setdefault(prefix, index) != index:
            problems.note(f"{where}.prefix", f"{prefix} is already used by {path}[{first[prefix]}]")
        yield AnycastConfig(prefix, row.interface, tuple(row.check), row.interval_s)


def _own_vtep(text: str, path: str, node: NodeConfig, problems: Problems) -> Ip | None:
    """Return the address given here; if none is given, the first of the node's."""
    if text:
        return problems.parsed(text, f"{path}.vtep", tunnel_address)
    if not node.vteps and not problems.has("node.vtep"):
        problems.note(f"{path}.vtep", "no tunnel address", 'set node.vtep = "…", or vtep here')
    return next(iter(node.vteps), None)


def _segments(
    rows: list[_SegmentTable], node: NodeConfig, bgp: BgpConfig | None, problems: Problems
) -> tuple[SegmentConfig, ...]:
    """Return the Ethernet segments, each of which has an identifier of its own."""
    segments = []
    esis: list[Any] = []
    for index, row in enumerate(rows):
        path = f"segment[{index}]"
        esi = problems.required(row.esi, f"{path}.esi", segment_identifier)
        vtep = _own_vtep(row.vtep, path, node, problems)
        esis.append(UNSET if esi is None else esi)
        port = problems.parsed(row.port, f"{path}.port", device_name) if row.port else ""
        uplinks = problems.each(row.uplinks, f"{path}.uplinks", device_name)
        if esi is None or vtep is None or port is None:
            continue
        router = None
        if port:
            router = bgp.router_id if bgp is not None else None if vtep.is_v6 else vtep
        if port and router is None:
            problems.note(f"{path}.port", "its routes need an IPv4 address", "set bgp.router_id")
        for name in _OF_A_PORT if not port else ():
            if getattr(row, name) != getattr(_SegmentTable(), name):
                problems.note(f"{path}.{name}", "it is about the port of the segment", "set port, or leave it out")
        if row.mode == "single-active" and row.filter == "none":
            what = "without filters a port on standby would pass frames, and the machine would have two ways"
            problems.note(f"{path}.filter", what, 'set filter = "nftables", or mode = "all-active"')
        segments.append(
            SegmentConfig(
                esi,
                vtep,
                port=port,
                mode=row.mode,
                router=router,
                forwarding=row.forwarding,
                df_wait_s=row.df_wait_s,
                startup_delay_s=row.startup_delay_s,
                mac_hold_s=row.mac_hold_s,
                uplinks=tuple(uplinks),
                filter=row.filter,
                ac_df=row.ac_df,
                backup=row.backup,
                algorithm=row.algorithm,
                preference=row.preference,
                dont_preempt=row.dont_preempt,
            )
        )
    _refuse_repeats("segment", esis, "esi", problems)
    _refuse_repeats("segment", [row.port for row in rows], "port", problems)
    return tuple(segments)


def _exports(row: _VniTable | _VrfTable, path: str, imports: Targets, problems: Problems) -> tuple[RouteTarget, ...]:
    """Return the Route Targets to advertise: those given here, or those that are imported."""
    if isinstance(row.export_rt, list):
        return tuple(problems.each(row.export_rt, f"{path}.export_rt", RouteTarget.parse))
    return tuple(sorted(imports.exact))


def _rd(
    row: _VniTable | _VrfTable, path: str, vni: Vni, bgp: BgpConfig | None, problems: Problems
) -> RouteDistinguisher | None:
    """Return the Route Distinguisher given here, or the derived one."""
    if row.rd:
        return problems.parsed(row.rd, f"{path}.rd", RouteDistinguisher.parse)
    return derived_rd(bgp, vni) if bgp is not None else None


def _imports(row: _VniTable | _VrfTable, path: str, vni: Vni, bgp: BgpConfig | None, problems: Problems) -> Targets:
    """Return the Route Targets to import: those given here, or the one derived from the AS number."""
    if not isinstance(row.import_rt, list):
        if bgp is None:
            hint = f'set import_rt = ["ASN:{vni}"], or bgp.asn to derive it'
            problems.note(f"{path}.import_rt", "missing", hint)
            return Targets(frozenset())
        return Targets(frozenset((derived_target(bgp, vni),)))
    exact: set[RouteTarget] = set()
    wildcards: set[int] = set()
    for where, text in numbered(f"{path}.import_rt", row.import_rt):
        if text.startswith("*:"):
            number = problems.parsed(text[2:], where, assigned_number)
            wildcards |= set() if number is None else {number}
        else:
            target = problems.parsed(text, where, RouteTarget.parse)
            exact |= set() if target is None else {target}
    return Targets(frozenset(exact), frozenset(wildcards))


def _refuse_repeats(table: str, values: list[Any], name: str, problems: Problems) -> None:
    """Note each value that an earlier row of the list has already."""
    first: dict[Any, int] = {}
    for index, value in enumerate(values):
        if value is UNSET or value == "":
            continue
        if value in first:
            problems.note(f"{table}[{index}].{name}", f"{value} is already used by {table}[{first[value]}]")
        else:
            first[value] = index


def _natural(path: str) -> list[tuple[int, str]]:
    """Return what sorts `vni[2]` before `vni[10]`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]
