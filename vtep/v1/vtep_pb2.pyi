from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SyncState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SYNC_STATE_UNSPECIFIED: _ClassVar[SyncState]
    SYNC_STATE_PENDING: _ClassVar[SyncState]
    SYNC_STATE_INSTALLED: _ClassVar[SyncState]
    SYNC_STATE_FAILED: _ClassVar[SyncState]
    SYNC_STATE_CONTESTED: _ClassVar[SyncState]
    SYNC_STATE_STALE: _ClassVar[SyncState]
    SYNC_STATE_SUPPRESSED: _ClassVar[SyncState]

class WatchMark(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WATCH_MARK_UNSPECIFIED: _ClassVar[WatchMark]
    WATCH_MARK_SYNCED: _ClassVar[WatchMark]
    WATCH_MARK_LAGGED: _ClassVar[WatchMark]
SYNC_STATE_UNSPECIFIED: SyncState
SYNC_STATE_PENDING: SyncState
SYNC_STATE_INSTALLED: SyncState
SYNC_STATE_FAILED: SyncState
SYNC_STATE_CONTESTED: SyncState
SYNC_STATE_STALE: SyncState
SYNC_STATE_SUPPRESSED: SyncState
WATCH_MARK_UNSPECIFIED: WatchMark
WATCH_MARK_SYNCED: WatchMark
WATCH_MARK_LAGGED: WatchMark

class Sync(_message.Message):
    __slots__ = ("state", "reason", "error", "errno", "next_try", "since", "generation")
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ERRNO_FIELD_NUMBER: _ClassVar[int]
    NEXT_TRY_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    state: SyncState
    reason: str
    error: str
    errno: int
    next_try: _timestamp_pb2.Timestamp
    since: _timestamp_pb2.Timestamp
    generation: int
    def __init__(self, state: _Optional[_Union[SyncState, str]] = ..., reason: _Optional[str] = ..., error: _Optional[str] = ..., errno: _Optional[int] = ..., next_try: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., generation: _Optional[int] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("version", "started", "ready", "problems", "generation", "generation_applied", "complete", "complete_reason", "feed", "dataplane", "kinds", "admin_addresses", "announcing", "warnings", "state", "problem_list", "refusals", "devices")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    GENERATION_APPLIED_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_REASON_FIELD_NUMBER: _ClassVar[int]
    FEED_FIELD_NUMBER: _ClassVar[int]
    DATAPLANE_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    ADMIN_ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    ANNOUNCING_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_LIST_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    version: str
    started: _timestamp_pb2.Timestamp
    ready: bool
    problems: _containers.RepeatedScalarFieldContainer[str]
    generation: int
    generation_applied: int
    complete: bool
    complete_reason: str
    feed: Feed
    dataplane: Dataplane
    kinds: _containers.RepeatedCompositeFieldContainer[KindCounts]
    admin_addresses: _containers.RepeatedScalarFieldContainer[str]
    announcing: Announcing
    warnings: _containers.RepeatedScalarFieldContainer[str]
    state: str
    problem_list: _containers.RepeatedCompositeFieldContainer[Problem]
    refusals: _containers.RepeatedCompositeFieldContainer[Refusals]
    devices: _containers.RepeatedCompositeFieldContainer[DeviceTrouble]
    def __init__(self, version: _Optional[str] = ..., started: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., ready: bool = ..., problems: _Optional[_Iterable[str]] = ..., generation: _Optional[int] = ..., generation_applied: _Optional[int] = ..., complete: bool = ..., complete_reason: _Optional[str] = ..., feed: _Optional[_Union[Feed, _Mapping]] = ..., dataplane: _Optional[_Union[Dataplane, _Mapping]] = ..., kinds: _Optional[_Iterable[_Union[KindCounts, _Mapping]]] = ..., admin_addresses: _Optional[_Iterable[str]] = ..., announcing: _Optional[_Union[Announcing, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., state: _Optional[str] = ..., problem_list: _Optional[_Iterable[_Union[Problem, _Mapping]]] = ..., refusals: _Optional[_Iterable[_Union[Refusals, _Mapping]]] = ..., devices: _Optional[_Iterable[_Union[DeviceTrouble, _Mapping]]] = ...) -> None: ...

class DeviceTrouble(_message.Message):
    __slots__ = ("device", "reason")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    device: str
    reason: str
    def __init__(self, device: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Problem(_message.Message):
    __slots__ = ("weight", "code", "text", "hint", "count")
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    weight: str
    code: str
    text: str
    hint: str
    count: int
    def __init__(self, weight: _Optional[str] = ..., code: _Optional[str] = ..., text: _Optional[str] = ..., hint: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class Refusals(_message.Message):
    __slots__ = ("peer", "vni", "reason", "routes")
    PEER_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    peer: str
    vni: int
    reason: str
    routes: int
    def __init__(self, peer: _Optional[str] = ..., vni: _Optional[int] = ..., reason: _Optional[str] = ..., routes: _Optional[int] = ...) -> None: ...

class Announcing(_message.Message):
    __slots__ = ("state", "reason", "wanted", "told", "waiting", "refused", "error", "since", "left_out")
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    TOLD_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    state: str
    reason: str
    wanted: int
    told: int
    waiting: int
    refused: int
    error: str
    since: _timestamp_pb2.Timestamp
    left_out: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, state: _Optional[str] = ..., reason: _Optional[str] = ..., wanted: _Optional[int] = ..., told: _Optional[int] = ..., waiting: _Optional[int] = ..., refused: _Optional[int] = ..., error: _Optional[str] = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., left_out: _Optional[_Iterable[str]] = ...) -> None: ...

class Feed(_message.Message):
    __slots__ = ("attached", "lines", "bad_lines", "gaps", "backlog", "last_line", "peers", "peers_up", "peers_ended", "form", "reporters", "ignored")
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    BAD_LINES_FIELD_NUMBER: _ClassVar[int]
    GAPS_FIELD_NUMBER: _ClassVar[int]
    BACKLOG_FIELD_NUMBER: _ClassVar[int]
    LAST_LINE_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    PEERS_UP_FIELD_NUMBER: _ClassVar[int]
    PEERS_ENDED_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    REPORTERS_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    attached: bool
    lines: int
    bad_lines: int
    gaps: int
    backlog: int
    last_line: _timestamp_pb2.Timestamp
    peers: int
    peers_up: int
    peers_ended: int
    form: str
    reporters: _containers.RepeatedCompositeFieldContainer[Reporter]
    ignored: _containers.RepeatedCompositeFieldContainer[IgnoredMessages]
    def __init__(self, attached: bool = ..., lines: _Optional[int] = ..., bad_lines: _Optional[int] = ..., gaps: _Optional[int] = ..., backlog: _Optional[int] = ..., last_line: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., peers: _Optional[int] = ..., peers_up: _Optional[int] = ..., peers_ended: _Optional[int] = ..., form: _Optional[str] = ..., reporters: _Optional[_Iterable[_Union[Reporter, _Mapping]]] = ..., ignored: _Optional[_Iterable[_Union[IgnoredMessages, _Mapping]]] = ...) -> None: ...

class Reporter(_message.Message):
    __slots__ = ("name", "address", "description", "peers", "ignored")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    name: str
    address: str
    description: str
    peers: int
    ignored: _containers.RepeatedCompositeFieldContainer[IgnoredMessages]
    def __init__(self, name: _Optional[str] = ..., address: _Optional[str] = ..., description: _Optional[str] = ..., peers: _Optional[int] = ..., ignored: _Optional[_Iterable[_Union[IgnoredMessages, _Mapping]]] = ...) -> None: ...

class IgnoredMessages(_message.Message):
    __slots__ = ("why", "messages")
    WHY_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    why: str
    messages: int
    def __init__(self, why: _Optional[str] = ..., messages: _Optional[int] = ...) -> None: ...

class Dataplane(_message.Message):
    __slots__ = ("state", "reason", "passes", "audited", "overruns", "repaired", "held", "orphans")
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PASSES_FIELD_NUMBER: _ClassVar[int]
    AUDITED_FIELD_NUMBER: _ClassVar[int]
    OVERRUNS_FIELD_NUMBER: _ClassVar[int]
    REPAIRED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    ORPHANS_FIELD_NUMBER: _ClassVar[int]
    state: str
    reason: str
    passes: int
    audited: _timestamp_pb2.Timestamp
    overruns: int
    repaired: int
    held: int
    orphans: int
    def __init__(self, state: _Optional[str] = ..., reason: _Optional[str] = ..., passes: _Optional[int] = ..., audited: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., overruns: _Optional[int] = ..., repaired: _Optional[int] = ..., held: _Optional[int] = ..., orphans: _Optional[int] = ...) -> None: ...

class KindCounts(_message.Message):
    __slots__ = ("kind", "wanted", "installed", "pending", "failed", "contested", "suppressed")
    KIND_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    INSTALLED_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    CONTESTED_FIELD_NUMBER: _ClassVar[int]
    SUPPRESSED_FIELD_NUMBER: _ClassVar[int]
    kind: str
    wanted: int
    installed: int
    pending: int
    failed: int
    contested: int
    suppressed: int
    def __init__(self, kind: _Optional[str] = ..., wanted: _Optional[int] = ..., installed: _Optional[int] = ..., pending: _Optional[int] = ..., failed: _Optional[int] = ..., contested: _Optional[int] = ..., suppressed: _Optional[int] = ...) -> None: ...

class ListVnisRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListVnisResponse(_message.Message):
    __slots__ = ("vnis",)
    VNIS_FIELD_NUMBER: _ClassVar[int]
    vnis: _containers.RepeatedCompositeFieldContainer[Vni]
    def __init__(self, vnis: _Optional[_Iterable[_Union[Vni, _Mapping]]] = ...) -> None: ...

class Vni(_message.Message):
    __slots__ = ("vni", "bridge", "vxlan", "vtep", "state", "reasons", "notes", "import_rt", "export_rt", "macs", "vteps", "neighbors", "macs_stale", "duplicates", "refused")
    VNI_FIELD_NUMBER: _ClassVar[int]
    BRIDGE_FIELD_NUMBER: _ClassVar[int]
    VXLAN_FIELD_NUMBER: _ClassVar[int]
    VTEP_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    IMPORT_RT_FIELD_NUMBER: _ClassVar[int]
    EXPORT_RT_FIELD_NUMBER: _ClassVar[int]
    MACS_FIELD_NUMBER: _ClassVar[int]
    VTEPS_FIELD_NUMBER: _ClassVar[int]
    NEIGHBORS_FIELD_NUMBER: _ClassVar[int]
    MACS_STALE_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    vni: int
    bridge: str
    vxlan: str
    vtep: str
    state: str
    reasons: _containers.RepeatedScalarFieldContainer[str]
    notes: _containers.RepeatedScalarFieldContainer[str]
    import_rt: _containers.RepeatedScalarFieldContainer[str]
    export_rt: _containers.RepeatedScalarFieldContainer[str]
    macs: KindCounts
    vteps: int
    neighbors: int
    macs_stale: int
    duplicates: int
    refused: int
    def __init__(self, vni: _Optional[int] = ..., bridge: _Optional[str] = ..., vxlan: _Optional[str] = ..., vtep: _Optional[str] = ..., state: _Optional[str] = ..., reasons: _Optional[_Iterable[str]] = ..., notes: _Optional[_Iterable[str]] = ..., import_rt: _Optional[_Iterable[str]] = ..., export_rt: _Optional[_Iterable[str]] = ..., macs: _Optional[_Union[KindCounts, _Mapping]] = ..., vteps: _Optional[int] = ..., neighbors: _Optional[int] = ..., macs_stale: _Optional[int] = ..., duplicates: _Optional[int] = ..., refused: _Optional[int] = ...) -> None: ...

class ListMacsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "vni", "vtep", "states", "peer", "mac_prefix")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    VTEP_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    MAC_PREFIX_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    vni: int
    vtep: str
    states: _containers.RepeatedScalarFieldContainer[SyncState]
    peer: str
    mac_prefix: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., vni: _Optional[int] = ..., vtep: _Optional[str] = ..., states: _Optional[_Iterable[_Union[SyncState, str]]] = ..., peer: _Optional[str] = ..., mac_prefix: _Optional[str] = ...) -> None: ...

class ListMacsResponse(_message.Message):
    __slots__ = ("macs", "next_page_token", "total", "generation")
    MACS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    macs: _containers.RepeatedCompositeFieldContainer[Mac]
    next_page_token: str
    total: int
    generation: int
    def __init__(self, macs: _Optional[_Iterable[_Union[Mac, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ..., generation: _Optional[int] = ...) -> None: ...

class Mac(_message.Message):
    __slots__ = ("vni", "mac", "vtep", "vtep_vni", "reason", "seq", "sticky", "stale", "peer", "rd", "esi", "notes", "alerts", "sync", "vteps")
    VNI_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    VTEP_FIELD_NUMBER: _ClassVar[int]
    VTEP_VNI_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STICKY_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    RD_FIELD_NUMBER: _ClassVar[int]
    ESI_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    SYNC_FIELD_NUMBER: _ClassVar[int]
    VTEPS_FIELD_NUMBER: _ClassVar[int]
    vni: int
    mac: str
    vtep: str
    vtep_vni: int
    reason: str
    seq: int
    sticky: bool
    stale: bool
    peer: str
    rd: str
    esi: str
    notes: _containers.RepeatedScalarFieldContainer[str]
    alerts: _containers.RepeatedScalarFieldContainer[str]
    sync: Sync
    vteps: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, vni: _Optional[int] = ..., mac: _Optional[str] = ..., vtep: _Optional[str] = ..., vtep_vni: _Optional[int] = ..., reason: _Optional[str] = ..., seq: _Optional[int] = ..., sticky: bool = ..., stale: bool = ..., peer: _Optional[str] = ..., rd: _Optional[str] = ..., esi: _Optional[str] = ..., notes: _Optional[_Iterable[str]] = ..., alerts: _Optional[_Iterable[str]] = ..., sync: _Optional[_Union[Sync, _Mapping]] = ..., vteps: _Optional[_Iterable[str]] = ...) -> None: ...

class ListVtepsRequest(_message.Message):
    __slots__ = ("vni",)
    VNI_FIELD_NUMBER: _ClassVar[int]
    vni: int
    def __init__(self, vni: _Optional[int] = ...) -> None: ...

class ListVtepsResponse(_message.Message):
    __slots__ = ("vteps",)
    VTEPS_FIELD_NUMBER: _ClassVar[int]
    vteps: _containers.RepeatedCompositeFieldContainer[Vtep]
    def __init__(self, vteps: _Optional[_Iterable[_Union[Vtep, _Mapping]]] = ...) -> None: ...

class Vtep(_message.Message):
    __slots__ = ("vni", "vtep", "macs", "flood", "sync", "notes")
    VNI_FIELD_NUMBER: _ClassVar[int]
    VTEP_FIELD_NUMBER: _ClassVar[int]
    MACS_FIELD_NUMBER: _ClassVar[int]
    FLOOD_FIELD_NUMBER: _ClassVar[int]
    SYNC_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    vni: int
    vtep: str
    macs: int
    flood: bool
    sync: Sync
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, vni: _Optional[int] = ..., vtep: _Optional[str] = ..., macs: _Optional[int] = ..., flood: bool = ..., sync: _Optional[_Union[Sync, _Mapping]] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class ListNeighborsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "vni", "peer", "mac_prefix")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    MAC_PREFIX_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    vni: int
    peer: str
    mac_prefix: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., vni: _Optional[int] = ..., peer: _Optional[str] = ..., mac_prefix: _Optional[str] = ...) -> None: ...

class ListNeighborsResponse(_message.Message):
    __slots__ = ("neighbors", "next_page_token", "total", "generation")
    NEIGHBORS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    neighbors: _containers.RepeatedCompositeFieldContainer[Neighbor]
    next_page_token: str
    total: int
    generation: int
    def __init__(self, neighbors: _Optional[_Iterable[_Union[Neighbor, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ..., generation: _Optional[int] = ...) -> None: ...

class Neighbor(_message.Message):
    __slots__ = ("vni", "ip", "mac", "router", "peer", "rd", "alerts", "sync")
    VNI_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    ROUTER_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    RD_FIELD_NUMBER: _ClassVar[int]
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    SYNC_FIELD_NUMBER: _ClassVar[int]
    vni: int
    ip: str
    mac: str
    router: bool
    peer: str
    rd: str
    alerts: _containers.RepeatedScalarFieldContainer[str]
    sync: Sync
    def __init__(self, vni: _Optional[int] = ..., ip: _Optional[str] = ..., mac: _Optional[str] = ..., router: bool = ..., peer: _Optional[str] = ..., rd: _Optional[str] = ..., alerts: _Optional[_Iterable[str]] = ..., sync: _Optional[_Union[Sync, _Mapping]] = ...) -> None: ...

class ListVrfsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListVrfsResponse(_message.Message):
    __slots__ = ("vrfs",)
    VRFS_FIELD_NUMBER: _ClassVar[int]
    vrfs: _containers.RepeatedCompositeFieldContainer[Vrf]
    def __init__(self, vrfs: _Optional[_Iterable[_Union[Vrf, _Mapping]]] = ...) -> None: ...

class Vrf(_message.Message):
    __slots__ = ("name", "vni", "vtep", "vxlan", "svi", "state", "reasons", "texts", "table", "router_mac", "prefixes", "nexthops", "vteps", "conflicts", "limited")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    VTEP_FIELD_NUMBER: _ClassVar[int]
    VXLAN_FIELD_NUMBER: _ClassVar[int]
    SVI_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    ROUTER_MAC_FIELD_NUMBER: _ClassVar[int]
    PREFIXES_FIELD_NUMBER: _ClassVar[int]
    NEXTHOPS_FIELD_NUMBER: _ClassVar[int]
    VTEPS_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    LIMITED_FIELD_NUMBER: _ClassVar[int]
    name: str
    vni: int
    vtep: str
    vxlan: str
    svi: str
    state: str
    reasons: _containers.RepeatedScalarFieldContainer[str]
    texts: _containers.RepeatedScalarFieldContainer[str]
    table: int
    router_mac: str
    prefixes: int
    nexthops: int
    vteps: int
    conflicts: int
    limited: int
    def __init__(self, name: _Optional[str] = ..., vni: _Optional[int] = ..., vtep: _Optional[str] = ..., vxlan: _Optional[str] = ..., svi: _Optional[str] = ..., state: _Optional[str] = ..., reasons: _Optional[_Iterable[str]] = ..., texts: _Optional[_Iterable[str]] = ..., table: _Optional[int] = ..., router_mac: _Optional[str] = ..., prefixes: _Optional[int] = ..., nexthops: _Optional[int] = ..., vteps: _Optional[int] = ..., conflicts: _Optional[int] = ..., limited: _Optional[int] = ...) -> None: ...

class ListPrefixesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "vrf")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VRF_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    vrf: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., vrf: _Optional[str] = ...) -> None: ...

class ListPrefixesResponse(_message.Message):
    __slots__ = ("prefixes", "next_page_token", "total", "generation")
    PREFIXES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    prefixes: _containers.RepeatedCompositeFieldContainer[IpPrefix]
    next_page_token: str
    total: int
    generation: int
    def __init__(self, prefixes: _Optional[_Iterable[_Union[IpPrefix, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ..., generation: _Optional[int] = ...) -> None: ...

class IpPrefix(_message.Message):
    __slots__ = ("vrf", "vni", "prefix", "vteps", "nexthop", "reason", "sync")
    VRF_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    VTEPS_FIELD_NUMBER: _ClassVar[int]
    NEXTHOP_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SYNC_FIELD_NUMBER: _ClassVar[int]
    vrf: str
    vni: int
    prefix: str
    vteps: _containers.RepeatedScalarFieldContainer[str]
    nexthop: int
    reason: str
    sync: Sync
    def __init__(self, vrf: _Optional[str] = ..., vni: _Optional[int] = ..., prefix: _Optional[str] = ..., vteps: _Optional[_Iterable[str]] = ..., nexthop: _Optional[int] = ..., reason: _Optional[str] = ..., sync: _Optional[_Union[Sync, _Mapping]] = ...) -> None: ...

class ListNexthopsRequest(_message.Message):
    __slots__ = ("vrf", "page_size", "page_token")
    VRF_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    vrf: str
    page_size: int
    page_token: str
    def __init__(self, vrf: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListNexthopsResponse(_message.Message):
    __slots__ = ("nexthops", "next_page_token", "total", "generation")
    NEXTHOPS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    nexthops: _containers.RepeatedCompositeFieldContainer[Nexthop]
    next_page_token: str
    total: int
    generation: int
    def __init__(self, nexthops: _Optional[_Iterable[_Union[Nexthop, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ..., generation: _Optional[int] = ...) -> None: ...

class Nexthop(_message.Message):
    __slots__ = ("vrf", "vni", "id", "vteps", "ipv6", "users", "sync")
    VRF_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    VTEPS_FIELD_NUMBER: _ClassVar[int]
    IPV6_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    SYNC_FIELD_NUMBER: _ClassVar[int]
    vrf: str
    vni: int
    id: int
    vteps: _containers.RepeatedScalarFieldContainer[str]
    ipv6: bool
    users: int
    sync: Sync
    def __init__(self, vrf: _Optional[str] = ..., vni: _Optional[int] = ..., id: _Optional[int] = ..., vteps: _Optional[_Iterable[str]] = ..., ipv6: bool = ..., users: _Optional[int] = ..., sync: _Optional[_Union[Sync, _Mapping]] = ...) -> None: ...

class ListSegmentsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "vni", "esi")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    ESI_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    vni: int
    esi: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., vni: _Optional[int] = ..., esi: _Optional[str] = ...) -> None: ...

class ListSegmentsResponse(_message.Message):
    __slots__ = ("segments", "next_page_token", "total", "generation", "own")
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    OWN_FIELD_NUMBER: _ClassVar[int]
    segments: _containers.RepeatedCompositeFieldContainer[SegmentGroup]
    next_page_token: str
    total: int
    generation: int
    own: _containers.RepeatedCompositeFieldContainer[OwnSegment]
    def __init__(self, segments: _Optional[_Iterable[_Union[SegmentGroup, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ..., generation: _Optional[int] = ..., own: _Optional[_Iterable[_Union[OwnSegment, _Mapping]]] = ...) -> None: ...

class OwnSegment(_message.Message):
    __slots__ = ("esi", "port", "state", "reason", "text", "vteps", "vnis", "vnis_left_out")
    ESI_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VTEPS_FIELD_NUMBER: _ClassVar[int]
    VNIS_FIELD_NUMBER: _ClassVar[int]
    VNIS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    esi: str
    port: str
    state: str
    reason: str
    text: str
    vteps: _containers.RepeatedScalarFieldContainer[str]
    vnis: _containers.RepeatedCompositeFieldContainer[OwnSegmentVni]
    vnis_left_out: int
    def __init__(self, esi: _Optional[str] = ..., port: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., text: _Optional[str] = ..., vteps: _Optional[_Iterable[str]] = ..., vnis: _Optional[_Iterable[_Union[OwnSegmentVni, _Mapping]]] = ..., vnis_left_out: _Optional[int] = ...) -> None: ...

class OwnSegmentVni(_message.Message):
    __slots__ = ("vni", "port", "forwarder", "ours", "filter", "sync")
    VNI_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    FORWARDER_FIELD_NUMBER: _ClassVar[int]
    OURS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    SYNC_FIELD_NUMBER: _ClassVar[int]
    vni: int
    port: str
    forwarder: str
    ours: bool
    filter: str
    sync: Sync
    def __init__(self, vni: _Optional[int] = ..., port: _Optional[str] = ..., forwarder: _Optional[str] = ..., ours: bool = ..., filter: _Optional[str] = ..., sync: _Optional[_Union[Sync, _Mapping]] = ...) -> None: ...

class SegmentGroup(_message.Message):
    __slots__ = ("esi", "vni", "single_active", "vteps", "primary", "backup", "macs", "group", "outside", "notes", "sync")
    ESI_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    SINGLE_ACTIVE_FIELD_NUMBER: _ClassVar[int]
    VTEPS_FIELD_NUMBER: _ClassVar[int]
    PRIMARY_FIELD_NUMBER: _ClassVar[int]
    BACKUP_FIELD_NUMBER: _ClassVar[int]
    MACS_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    SYNC_FIELD_NUMBER: _ClassVar[int]
    esi: str
    vni: int
    single_active: bool
    vteps: _containers.RepeatedScalarFieldContainer[str]
    primary: str
    backup: str
    macs: int
    group: int
    outside: _containers.RepeatedCompositeFieldContainer[OutsideVtep]
    notes: _containers.RepeatedScalarFieldContainer[str]
    sync: Sync
    def __init__(self, esi: _Optional[str] = ..., vni: _Optional[int] = ..., single_active: bool = ..., vteps: _Optional[_Iterable[str]] = ..., primary: _Optional[str] = ..., backup: _Optional[str] = ..., macs: _Optional[int] = ..., group: _Optional[int] = ..., outside: _Optional[_Iterable[_Union[OutsideVtep, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ..., sync: _Optional[_Union[Sync, _Mapping]] = ...) -> None: ...

class OutsideVtep(_message.Message):
    __slots__ = ("vtep", "reason", "text")
    VTEP_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    vtep: str
    reason: str
    text: str
    def __init__(self, vtep: _Optional[str] = ..., reason: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class ExplainPrefixRequest(_message.Message):
    __slots__ = ("prefix", "vrf")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    VRF_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    vrf: str
    def __init__(self, prefix: _Optional[str] = ..., vrf: _Optional[str] = ...) -> None: ...

class ExplainPrefixResponse(_message.Message):
    __slots__ = ("vrf", "prefix", "row", "nexthop", "routers", "paths", "left_out", "summary")
    VRF_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    NEXTHOP_FIELD_NUMBER: _ClassVar[int]
    ROUTERS_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    vrf: Vrf
    prefix: str
    row: IpPrefix
    nexthop: Nexthop
    routers: _containers.RepeatedCompositeFieldContainer[Router]
    paths: _containers.RepeatedCompositeFieldContainer[PrefixPath]
    left_out: int
    summary: str
    def __init__(self, vrf: _Optional[_Union[Vrf, _Mapping]] = ..., prefix: _Optional[str] = ..., row: _Optional[_Union[IpPrefix, _Mapping]] = ..., nexthop: _Optional[_Union[Nexthop, _Mapping]] = ..., routers: _Optional[_Iterable[_Union[Router, _Mapping]]] = ..., paths: _Optional[_Iterable[_Union[PrefixPath, _Mapping]]] = ..., left_out: _Optional[int] = ..., summary: _Optional[str] = ...) -> None: ...

class Router(_message.Message):
    __slots__ = ("vtep", "router_mac", "others", "conflict", "sync")
    VTEP_FIELD_NUMBER: _ClassVar[int]
    ROUTER_MAC_FIELD_NUMBER: _ClassVar[int]
    OTHERS_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    SYNC_FIELD_NUMBER: _ClassVar[int]
    vtep: str
    router_mac: str
    others: int
    conflict: str
    sync: Sync
    def __init__(self, vtep: _Optional[str] = ..., router_mac: _Optional[str] = ..., others: _Optional[int] = ..., conflict: _Optional[str] = ..., sync: _Optional[_Union[Sync, _Mapping]] = ...) -> None: ...

class PrefixPath(_message.Message):
    __slots__ = ("verdict", "reason", "text", "vtep", "router_mac", "peer", "rd", "label", "mac", "seq", "notes", "gateway", "local_pref", "as_path_length", "esi", "origin", "med")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VTEP_FIELD_NUMBER: _ClassVar[int]
    ROUTER_MAC_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    RD_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    LOCAL_PREF_FIELD_NUMBER: _ClassVar[int]
    AS_PATH_LENGTH_FIELD_NUMBER: _ClassVar[int]
    ESI_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    MED_FIELD_NUMBER: _ClassVar[int]
    verdict: str
    reason: str
    text: str
    vtep: str
    router_mac: str
    peer: str
    rd: str
    label: int
    mac: str
    seq: int
    notes: _containers.RepeatedScalarFieldContainer[str]
    gateway: str
    local_pref: int
    as_path_length: int
    esi: str
    origin: int
    med: int
    def __init__(self, verdict: _Optional[str] = ..., reason: _Optional[str] = ..., text: _Optional[str] = ..., vtep: _Optional[str] = ..., router_mac: _Optional[str] = ..., peer: _Optional[str] = ..., rd: _Optional[str] = ..., label: _Optional[int] = ..., mac: _Optional[str] = ..., seq: _Optional[int] = ..., notes: _Optional[_Iterable[str]] = ..., gateway: _Optional[str] = ..., local_pref: _Optional[int] = ..., as_path_length: _Optional[int] = ..., esi: _Optional[str] = ..., origin: _Optional[int] = ..., med: _Optional[int] = ...) -> None: ...

class ListPeersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPeersResponse(_message.Message):
    __slots__ = ("peers",)
    PEERS_FIELD_NUMBER: _ClassVar[int]
    peers: _containers.RepeatedCompositeFieldContainer[Peer]
    def __init__(self, peers: _Optional[_Iterable[_Union[Peer, _Mapping]]] = ...) -> None: ...

class Peer(_message.Message):
    __slots__ = ("address", "up", "ended", "reason", "routes", "stale", "limited", "refresh", "opened", "since", "refused", "held", "asn", "router_id", "hold_time", "families", "messages", "error", "form", "feed")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    UP_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    LIMITED_FIELD_NUMBER: _ClassVar[int]
    REFRESH_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    ASN_FIELD_NUMBER: _ClassVar[int]
    ROUTER_ID_FIELD_NUMBER: _ClassVar[int]
    HOLD_TIME_FIELD_NUMBER: _ClassVar[int]
    FAMILIES_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    FEED_FIELD_NUMBER: _ClassVar[int]
    address: str
    up: bool
    ended: bool
    reason: str
    routes: int
    stale: int
    limited: int
    refresh: str
    opened: _timestamp_pb2.Timestamp
    since: _timestamp_pb2.Timestamp
    refused: int
    held: bool
    asn: int
    router_id: str
    hold_time: int
    families: _containers.RepeatedScalarFieldContainer[str]
    messages: int
    error: str
    form: str
    feed: str
    def __init__(self, address: _Optional[str] = ..., up: bool = ..., ended: bool = ..., reason: _Optional[str] = ..., routes: _Optional[int] = ..., stale: _Optional[int] = ..., limited: _Optional[int] = ..., refresh: _Optional[str] = ..., opened: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., refused: _Optional[int] = ..., held: bool = ..., asn: _Optional[int] = ..., router_id: _Optional[str] = ..., hold_time: _Optional[int] = ..., families: _Optional[_Iterable[str]] = ..., messages: _Optional[int] = ..., error: _Optional[str] = ..., form: _Optional[str] = ..., feed: _Optional[str] = ...) -> None: ...

class ListRoutesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "type", "peer", "rd", "vni", "mac", "ip", "refused", "reason", "advertised")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    RD_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ADVERTISED_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    type: int
    peer: str
    rd: str
    vni: int
    mac: str
    ip: str
    refused: bool
    reason: str
    advertised: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., type: _Optional[int] = ..., peer: _Optional[str] = ..., rd: _Optional[str] = ..., vni: _Optional[int] = ..., mac: _Optional[str] = ..., ip: _Optional[str] = ..., refused: bool = ..., reason: _Optional[str] = ..., advertised: bool = ...) -> None: ...

class ListRoutesResponse(_message.Message):
    __slots__ = ("routes", "next_page_token", "total", "generation")
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    routes: _containers.RepeatedCompositeFieldContainer[Route]
    next_page_token: str
    total: int
    generation: int
    def __init__(self, routes: _Optional[_Iterable[_Union[Route, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ..., generation: _Optional[int] = ...) -> None: ...

class Route(_message.Message):
    __slots__ = ("advertised", "type", "peer", "rd", "tag", "mac", "ip", "prefix", "esi", "originator", "vtep", "label", "label2", "seq", "sticky", "route_targets", "attributes", "state", "verdicts", "since", "error", "received_before")
    ADVERTISED_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    RD_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    ESI_FIELD_NUMBER: _ClassVar[int]
    ORIGINATOR_FIELD_NUMBER: _ClassVar[int]
    VTEP_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    LABEL2_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STICKY_FIELD_NUMBER: _ClassVar[int]
    ROUTE_TARGETS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    advertised: bool
    type: int
    peer: str
    rd: str
    tag: int
    mac: str
    ip: str
    prefix: str
    esi: str
    originator: str
    vtep: str
    label: int
    label2: int
    seq: int
    sticky: bool
    route_targets: _containers.RepeatedScalarFieldContainer[str]
    attributes: _containers.RepeatedScalarFieldContainer[str]
    state: str
    verdicts: _containers.RepeatedCompositeFieldContainer[RouteVerdict]
    since: _timestamp_pb2.Timestamp
    error: str
    received_before: _timestamp_pb2.Timestamp
    def __init__(self, advertised: bool = ..., type: _Optional[int] = ..., peer: _Optional[str] = ..., rd: _Optional[str] = ..., tag: _Optional[int] = ..., mac: _Optional[str] = ..., ip: _Optional[str] = ..., prefix: _Optional[str] = ..., esi: _Optional[str] = ..., originator: _Optional[str] = ..., vtep: _Optional[str] = ..., label: _Optional[int] = ..., label2: _Optional[int] = ..., seq: _Optional[int] = ..., sticky: bool = ..., route_targets: _Optional[_Iterable[str]] = ..., attributes: _Optional[_Iterable[str]] = ..., state: _Optional[str] = ..., verdicts: _Optional[_Iterable[_Union[RouteVerdict, _Mapping]]] = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., error: _Optional[str] = ..., received_before: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RouteVerdict(_message.Message):
    __slots__ = ("vni", "verdict", "reason", "text")
    VNI_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    vni: int
    verdict: str
    reason: str
    text: str
    def __init__(self, vni: _Optional[int] = ..., verdict: _Optional[str] = ..., reason: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class ListStationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "vni")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    vni: int
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., vni: _Optional[int] = ...) -> None: ...

class ListStationsResponse(_message.Message):
    __slots__ = ("stations", "next_page_token", "total", "generation", "advertised_to")
    STATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ADVERTISED_TO_FIELD_NUMBER: _ClassVar[int]
    stations: _containers.RepeatedCompositeFieldContainer[Station]
    next_page_token: str
    total: int
    generation: int
    advertised_to: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, stations: _Optional[_Iterable[_Union[Station, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ..., generation: _Optional[int] = ..., advertised_to: _Optional[_Iterable[str]] = ...) -> None: ...

class Station(_message.Message):
    __slots__ = ("vni", "mac", "port", "vlan", "ips", "seq", "sticky", "gateway", "state", "reason", "since", "vtep")
    VNI_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    VLAN_FIELD_NUMBER: _ClassVar[int]
    IPS_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STICKY_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    VTEP_FIELD_NUMBER: _ClassVar[int]
    vni: int
    mac: str
    port: str
    vlan: int
    ips: _containers.RepeatedScalarFieldContainer[str]
    seq: int
    sticky: bool
    gateway: bool
    state: str
    reason: str
    since: _timestamp_pb2.Timestamp
    vtep: str
    def __init__(self, vni: _Optional[int] = ..., mac: _Optional[str] = ..., port: _Optional[str] = ..., vlan: _Optional[int] = ..., ips: _Optional[_Iterable[str]] = ..., seq: _Optional[int] = ..., sticky: bool = ..., gateway: bool = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., vtep: _Optional[str] = ...) -> None: ...

class ExplainMacRequest(_message.Message):
    __slots__ = ("mac", "vni")
    MAC_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    mac: str
    vni: int
    def __init__(self, mac: _Optional[str] = ..., vni: _Optional[int] = ...) -> None: ...

class ExplainMacResponse(_message.Message):
    __slots__ = ("explanations", "left_out")
    EXPLANATIONS_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    explanations: _containers.RepeatedCompositeFieldContainer[Explanation]
    left_out: int
    def __init__(self, explanations: _Optional[_Iterable[_Union[Explanation, _Mapping]]] = ..., left_out: _Optional[int] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("vni", "mac", "summary", "advice", "candidates", "desired", "ownership", "kernel", "alerts", "moves", "duplicate_since", "vni_state", "vni_reasons", "events", "candidates_left_out", "station", "advertised_to")
    VNI_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    DESIRED_FIELD_NUMBER: _ClassVar[int]
    OWNERSHIP_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_SINCE_FIELD_NUMBER: _ClassVar[int]
    VNI_STATE_FIELD_NUMBER: _ClassVar[int]
    VNI_REASONS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    STATION_FIELD_NUMBER: _ClassVar[int]
    ADVERTISED_TO_FIELD_NUMBER: _ClassVar[int]
    vni: int
    mac: str
    summary: str
    advice: str
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    desired: Mac
    ownership: Ownership
    kernel: KernelRow
    alerts: _containers.RepeatedScalarFieldContainer[str]
    moves: int
    duplicate_since: _timestamp_pb2.Timestamp
    vni_state: str
    vni_reasons: _containers.RepeatedScalarFieldContainer[str]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    candidates_left_out: int
    station: Station
    advertised_to: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, vni: _Optional[int] = ..., mac: _Optional[str] = ..., summary: _Optional[str] = ..., advice: _Optional[str] = ..., candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ..., desired: _Optional[_Union[Mac, _Mapping]] = ..., ownership: _Optional[_Union[Ownership, _Mapping]] = ..., kernel: _Optional[_Union[KernelRow, _Mapping]] = ..., alerts: _Optional[_Iterable[str]] = ..., moves: _Optional[int] = ..., duplicate_since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., vni_state: _Optional[str] = ..., vni_reasons: _Optional[_Iterable[str]] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., candidates_left_out: _Optional[int] = ..., station: _Optional[_Union[Station, _Mapping]] = ..., advertised_to: _Optional[_Iterable[str]] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("vtep", "verdict", "reason", "text", "seq", "sticky", "stale", "peer", "rd", "ip", "esi", "label", "route_targets", "notes", "vni", "since", "received_before")
    VTEP_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STICKY_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    RD_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    ESI_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    ROUTE_TARGETS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    vtep: str
    verdict: str
    reason: str
    text: str
    seq: int
    sticky: bool
    stale: bool
    peer: str
    rd: str
    ip: str
    esi: str
    label: int
    route_targets: _containers.RepeatedScalarFieldContainer[str]
    notes: _containers.RepeatedScalarFieldContainer[str]
    vni: int
    since: _timestamp_pb2.Timestamp
    received_before: _timestamp_pb2.Timestamp
    def __init__(self, vtep: _Optional[str] = ..., verdict: _Optional[str] = ..., reason: _Optional[str] = ..., text: _Optional[str] = ..., seq: _Optional[int] = ..., sticky: bool = ..., stale: bool = ..., peer: _Optional[str] = ..., rd: _Optional[str] = ..., ip: _Optional[str] = ..., esi: _Optional[str] = ..., label: _Optional[int] = ..., route_targets: _Optional[_Iterable[str]] = ..., notes: _Optional[_Iterable[str]] = ..., vni: _Optional[int] = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., received_before: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Ownership(_message.Message):
    __slots__ = ("state", "since")
    STATE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    state: str
    since: _timestamp_pb2.Timestamp
    def __init__(self, state: _Optional[str] = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class KernelRow(_message.Message):
    __slots__ = ("state", "vtep", "holder", "seen")
    STATE_FIELD_NUMBER: _ClassVar[int]
    VTEP_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    state: str
    vtep: str
    holder: str
    seen: _timestamp_pb2.Timestamp
    def __init__(self, state: _Optional[str] = ..., vtep: _Optional[str] = ..., holder: _Optional[str] = ..., seen: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExplainIpRequest(_message.Message):
    __slots__ = ("ip", "vni")
    IP_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    ip: str
    vni: int
    def __init__(self, ip: _Optional[str] = ..., vni: _Optional[int] = ...) -> None: ...

class ExplainIpResponse(_message.Message):
    __slots__ = ("explanations", "vtep", "left_out", "routes_left_out")
    EXPLANATIONS_FIELD_NUMBER: _ClassVar[int]
    VTEP_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    ROUTES_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    explanations: _containers.RepeatedCompositeFieldContainer[HostExplanation]
    vtep: str
    left_out: int
    routes_left_out: int
    def __init__(self, explanations: _Optional[_Iterable[_Union[HostExplanation, _Mapping]]] = ..., vtep: _Optional[str] = ..., left_out: _Optional[int] = ..., routes_left_out: _Optional[int] = ...) -> None: ...

class HostExplanation(_message.Message):
    __slots__ = ("vni", "ip", "summary", "advice", "mac", "vtep", "neighbor", "station", "routes", "refusals", "answers", "vni_state", "vni_reasons")
    VNI_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    VTEP_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOR_FIELD_NUMBER: _ClassVar[int]
    STATION_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    VNI_STATE_FIELD_NUMBER: _ClassVar[int]
    VNI_REASONS_FIELD_NUMBER: _ClassVar[int]
    vni: int
    ip: str
    summary: str
    advice: str
    mac: str
    vtep: str
    neighbor: Neighbor
    station: Station
    routes: _containers.RepeatedCompositeFieldContainer[Route]
    refusals: _containers.RepeatedCompositeFieldContainer[RefusedHost]
    answers: str
    vni_state: str
    vni_reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, vni: _Optional[int] = ..., ip: _Optional[str] = ..., summary: _Optional[str] = ..., advice: _Optional[str] = ..., mac: _Optional[str] = ..., vtep: _Optional[str] = ..., neighbor: _Optional[_Union[Neighbor, _Mapping]] = ..., station: _Optional[_Union[Station, _Mapping]] = ..., routes: _Optional[_Iterable[_Union[Route, _Mapping]]] = ..., refusals: _Optional[_Iterable[_Union[RefusedHost, _Mapping]]] = ..., answers: _Optional[str] = ..., vni_state: _Optional[str] = ..., vni_reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class RefusedHost(_message.Message):
    __slots__ = ("mac", "peer", "reason")
    MAC_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    mac: str
    peer: str
    reason: str
    def __init__(self, mac: _Optional[str] = ..., peer: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ExplainDeviceRequest(_message.Message):
    __slots__ = ("device",)
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    device: str
    def __init__(self, device: _Optional[str] = ...) -> None: ...

class ExplainDeviceResponse(_message.Message):
    __slots__ = ("device", "summary", "advice", "owner", "since", "wanted", "there", "alias", "differences", "right", "vnis", "vnis_left_out", "faults", "written", "refused")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    THERE_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    VNIS_FIELD_NUMBER: _ClassVar[int]
    VNIS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    device: str
    summary: str
    advice: str
    owner: str
    since: _timestamp_pb2.Timestamp
    wanted: str
    there: str
    alias: str
    differences: _containers.RepeatedCompositeFieldContainer[DeviceDifference]
    right: _containers.RepeatedScalarFieldContainer[str]
    vnis: _containers.RepeatedScalarFieldContainer[int]
    vnis_left_out: int
    faults: _containers.RepeatedScalarFieldContainer[str]
    written: DeviceWrite
    refused: DeviceWrite
    def __init__(self, device: _Optional[str] = ..., summary: _Optional[str] = ..., advice: _Optional[str] = ..., owner: _Optional[str] = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., wanted: _Optional[str] = ..., there: _Optional[str] = ..., alias: _Optional[str] = ..., differences: _Optional[_Iterable[_Union[DeviceDifference, _Mapping]]] = ..., right: _Optional[_Iterable[str]] = ..., vnis: _Optional[_Iterable[int]] = ..., vnis_left_out: _Optional[int] = ..., faults: _Optional[_Iterable[str]] = ..., written: _Optional[_Union[DeviceWrite, _Mapping]] = ..., refused: _Optional[_Union[DeviceWrite, _Mapping]] = ...) -> None: ...

class DeviceDifference(_message.Message):
    __slots__ = ("what", "command", "state", "why", "next_try")
    WHAT_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    NEXT_TRY_FIELD_NUMBER: _ClassVar[int]
    what: str
    command: str
    state: str
    why: str
    next_try: _timestamp_pb2.Timestamp
    def __init__(self, what: _Optional[str] = ..., command: _Optional[str] = ..., state: _Optional[str] = ..., why: _Optional[str] = ..., next_try: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DeviceWrite(_message.Message):
    __slots__ = ("time", "command", "errno", "error")
    TIME_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ERRNO_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    command: str
    errno: int
    error: str
    def __init__(self, time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., command: _Optional[str] = ..., errno: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...

class ListEventsRequest(_message.Message):
    __slots__ = ("since", "after")
    SINCE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    since: _timestamp_pb2.Timestamp
    after: int
    def __init__(self, since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., after: _Optional[int] = ...) -> None: ...

class ListEventsResponse(_message.Message):
    __slots__ = ("events", "forgotten")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    forgotten: int
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., forgotten: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("number", "time", "generation", "kind", "vni", "mac", "vtep", "vtep_before", "peer", "reason", "text", "key")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    VTEP_FIELD_NUMBER: _ClassVar[int]
    VTEP_BEFORE_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    number: int
    time: _timestamp_pb2.Timestamp
    generation: int
    kind: str
    vni: int
    mac: str
    vtep: str
    vtep_before: str
    peer: str
    reason: str
    text: str
    key: str
    def __init__(self, number: _Optional[int] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., generation: _Optional[int] = ..., kind: _Optional[str] = ..., vni: _Optional[int] = ..., mac: _Optional[str] = ..., vtep: _Optional[str] = ..., vtep_before: _Optional[str] = ..., peer: _Optional[str] = ..., reason: _Optional[str] = ..., text: _Optional[str] = ..., key: _Optional[str] = ...) -> None: ...

class DiffRequest(_message.Message):
    __slots__ = ("vni", "older_than_s")
    VNI_FIELD_NUMBER: _ClassVar[int]
    OLDER_THAN_S_FIELD_NUMBER: _ClassVar[int]
    vni: int
    older_than_s: float
    def __init__(self, vni: _Optional[int] = ..., older_than_s: _Optional[float] = ...) -> None: ...

class DiffResponse(_message.Message):
    __slots__ = ("differences", "left_out", "compared", "generation")
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    differences: _containers.RepeatedCompositeFieldContainer[Difference]
    left_out: int
    compared: int
    generation: int
    def __init__(self, differences: _Optional[_Iterable[_Union[Difference, _Mapping]]] = ..., left_out: _Optional[int] = ..., compared: _Optional[int] = ..., generation: _Optional[int] = ...) -> None: ...

class Difference(_message.Message):
    __slots__ = ("kind", "vni", "key", "difference", "wanted", "there", "reason", "text", "since")
    KIND_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    THERE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    vni: int
    key: str
    difference: str
    wanted: str
    there: str
    reason: str
    text: str
    since: _timestamp_pb2.Timestamp
    def __init__(self, kind: _Optional[str] = ..., vni: _Optional[int] = ..., key: _Optional[str] = ..., difference: _Optional[str] = ..., wanted: _Optional[str] = ..., there: _Optional[str] = ..., reason: _Optional[str] = ..., text: _Optional[str] = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("resume_token", "changes_only", "events_since")
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CHANGES_ONLY_FIELD_NUMBER: _ClassVar[int]
    EVENTS_SINCE_FIELD_NUMBER: _ClassVar[int]
    resume_token: str
    changes_only: bool
    events_since: _timestamp_pb2.Timestamp
    def __init__(self, resume_token: _Optional[str] = ..., changes_only: bool = ..., events_since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("macs", "gone", "events", "mark", "resume_token", "status", "prefixes", "gone_prefixes")
    MACS_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PREFIXES_FIELD_NUMBER: _ClassVar[int]
    GONE_PREFIXES_FIELD_NUMBER: _ClassVar[int]
    macs: _containers.RepeatedCompositeFieldContainer[Mac]
    gone: _containers.RepeatedCompositeFieldContainer[MacKey]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    mark: WatchMark
    resume_token: str
    status: GetStatusResponse
    prefixes: _containers.RepeatedCompositeFieldContainer[IpPrefix]
    gone_prefixes: _containers.RepeatedCompositeFieldContainer[PrefixKey]
    def __init__(self, macs: _Optional[_Iterable[_Union[Mac, _Mapping]]] = ..., gone: _Optional[_Iterable[_Union[MacKey, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., mark: _Optional[_Union[WatchMark, str]] = ..., resume_token: _Optional[str] = ..., status: _Optional[_Union[GetStatusResponse, _Mapping]] = ..., prefixes: _Optional[_Iterable[_Union[IpPrefix, _Mapping]]] = ..., gone_prefixes: _Optional[_Iterable[_Union[PrefixKey, _Mapping]]] = ...) -> None: ...

class PrefixKey(_message.Message):
    __slots__ = ("vrf", "vni", "prefix")
    VRF_FIELD_NUMBER: _ClassVar[int]
    VNI_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    vrf: str
    vni: int
    prefix: str
    def __init__(self, vrf: _Optional[str] = ..., vni: _Optional[int] = ..., prefix: _Optional[str] = ...) -> None: ...

class MacKey(_message.Message):
    __slots__ = ("vni", "mac")
    VNI_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    vni: int
    mac: str
    def __init__(self, vni: _Optional[int] = ..., mac: _Optional[str] = ...) -> None: ...
