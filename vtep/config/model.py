"""The configuration as the program uses it: one immutable value, in which everything is parsed and every default is
filled in.

Knows neither TOML nor the names of the keys (`file.py`), and looks at no device: whether a bridge exists is for the
kernel to say. A reload makes another `Config`; a part that follows the configuration compares the two.
"""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from vtep.addr import Esi, Ip, Mac, RouteDistinguisher, RouteTarget, Vni
from vtep.addr import Prefix as AddressPrefix
from vtep.config.bgp import BgpConfig

Seconds = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]
Prefix: TypeAlias = IPv4Network | IPv6Network


class Targets(Struct, frozen=True):
    """Which Route Targets a VNI imports."""

    exact: frozenset[RouteTarget]
    wildcards: frozenset[int] = frozenset()
    """From `*:N`: this assigned number, with any administrator."""

    @property
    def texts(self) -> tuple[str, ...]:
        """Return them as they are written in the configuration, in order."""
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
    vlan: int | None = None
    """Its VLAN on a bridge that filters VLANs; None: the bridge is for this VNI alone."""
    shares_vxlan: bool = False
    """Other VNIs are configured with the same VXLAN device."""
    site: bytes | None = None
    tag: int = 0
    downstream_vni: bool = False
    flood: bool = True
    neighbors: bool = True
    announce: bool = True
    vrf: str = ""
    """The VRF in which its hosts are routed: they are advertised with its L3VNI as well (RFC 9135 4.1)."""
    gateway: bool = False
    """The bridge's own MAC and addresses are advertised as those of a default gateway (RFC 7432 10.1)."""
    manage: bool = False
    """vtep makes and keeps its bridge and its VXLAN device."""
    addresses: tuple[tuple[Ip, int], ...] = ()
    """The addresses of the gateway of its hosts, with the lengths of their prefixes: the same on all leaves."""
    gateway_mac: Mac | None = None

    @property
    def is_bound(self) -> bool:
        """Whether rows are written for it: a VNI without a bridge is only shown."""
        return bool(self.bridge)

    def reaches(self, vtep: Ip) -> bool:
        """Return whether the VXLAN device can send to this address: it must be of the family of its own address."""
        return vtep.is_v6 == self.vtep.is_v6


class AnycastConfig(Struct, frozen=True):
    """A prefix that is advertised only while what is behind it is ready; at least one of the two conditions is given."""

    prefix: AddressPrefix
    interface: str = ""
    """The device that must be up and have a carrier."""
    check: tuple[str, ...] = ()
    """The command that must succeed, as words."""
    interval_s: float = 2.0


class VrfConfig(Struct, frozen=True):
    """One VRF of this leaf, and the L3VNI by which its packets go to other VTEPs (RFC 9136 4.4.1)."""

    name: str
    """The VRF device; where `table` is given, only a name."""
    vni: Vni
    vtep: Ip
    imports: Targets
    exports: tuple[RouteTarget, ...] = ()
    rd: RouteDistinguisher | None = None
    bridge: str = ""
    vxlan: str = ""
    vlan: int | None = None
    """The VLAN of a bridge that filters VLANs; the VXLAN device may then be one for many VNIs."""
    svi: str = ""
    """The layer-3 device of the L3VNI: its bridge, or a VLAN device on it."""
    table: int = 0
    """The routing table, if no VRF device says it."""
    router_mac: Mac | None = None
    """The MAC that the SVI must have; none: whichever it has."""
    max_paths: int = 8
    redistribute: tuple[int, ...] = ()
    """The routes of its table that are advertised, by the protocol that they have in the kernel."""
    manage: bool = False
    """vtep makes and keeps its VRF device, its bridge, its VXLAN device and its SVI."""
    anycast: tuple[AnycastConfig, ...] = ()
    default_originate: bool = False
    """The default routes are advertised, whether or not the table has them."""

    @property
    def tunnel(self) -> VniConfig:
        """The L3VNI as a VNI, for what is asked of a bridge and its VXLAN device."""
        return VniConfig(self.vni, self.vtep, self.imports, bridge=self.bridge, vxlan=self.vxlan, vlan=self.vlan)

    def reaches(self, vtep: Ip) -> bool:
        """Return whether the VXLAN device can send to this address: it must be of the family of its own address."""
        return vtep.is_v6 == self.vtep.is_v6


class SegmentConfig(Struct, frozen=True):
    """One Ethernet segment that this leaf has a port on."""

    esi: Esi
    vtep: Ip
    """The address with which this leaf takes part in the election of the designated forwarder."""
    forwarding: bool = True
    """Whether the port forwards, where the configuration must say it because no port is named."""
    algorithm: Literal["modulo", "highest-random-weight", "highest-preference", "lowest-preference"] = "modulo"
    preference: int = 32767
    dont_preempt: bool = False
    port: str = ""
    """The port on the segment, in a bridge or with VLAN devices in bridges; none: the segment is only known."""
    router: Ip | None = None
    """An IPv4 address for the Route Distinguishers of the segment's routes."""
    df_wait_s: float = 3.0
    """How long the others get to know of this leaf before its port forwards flooded frames (RFC 8584 2.1)."""
    startup_delay_s: float = 0.0
    """How long the port must be up before the segment is advertised."""


class NodeConfig(Struct, frozen=True):
    """This leaf as a whole."""

    vteps: tuple[Ip, ...] = ()
    """The first one is the tunnel address of every VNI and segment that names none."""
    state_dir: Path = Path("/run/vtep")
    """The files of claims and of advertised routes; must outlive a restart of the daemon."""
    on_stop: Literal["keep", "drain"] = "keep"
    """What the end of the daemon does to our rows and routes."""
    vtep_prefixes: tuple[Prefix, ...] = ()
    """Where remote VTEPs may be; none named: anywhere."""
    mode: Literal["write", "observe"] = "write"
    """Whether rows are written, or what another daemon writes is compared with what is wanted."""


class FeedConfig(Struct, frozen=True):
    """How the BGP speaker attaches, and how long routes are kept that it may have lost."""

    socket: Path = Path("/run/vtep/feed.sock")
    socket_mode: int = 0o660
    socket_group: str = ""
    peers: tuple[Ip, ...] = ()
    """The peers whose End-of-RIB completes the routes; none named: every peer that was seen."""
    initial_hold_s: float = 120.0
    """How long to wait for that. Until then, no row is removed."""
    on_deadline: Literal["auto", "keep", "complete"] = "auto"
    """What follows if it did not come: `complete` goes on as if it had, `keep` waits on, `auto` depends on whether any
    peer is."""
    peer_down_hold_s: float = 0.0
    """How long the routes of a peer without graceful restart are kept as stale."""
    restart_hold_max_s: float = 600.0
    octets: bool = True
    bmp: str = ""
    """Where routers report by BMP, as `host:port`; nothing: ExaBGP is the feed."""
    bmp_peers: tuple[Prefix, ...] = ()
    """Who may connect there; none named: this host."""
    bmp_table: Literal["pre-policy", "post-policy", "loc-rib"] = "post-policy"
    """Which of the tables that a router reports is taken."""


class DuplicateConfig(Struct, frozen=True):
    """When a MAC moves too often, and what follows (RFC 7432 15.1)."""

    moves: Annotated[int, Meta(ge=2, le=1000)] = 5
    window_s: Annotated[float, Meta(ge=1, le=86400)] = 180.0
    action: Literal["warn", "freeze"] = "warn"
    recover_s: Seconds = 0.0
    """After which a frozen MAC is freed; 0: only by `vtep clear-duplicate`."""


class LimitConfig(Struct, frozen=True):
    """What is beyond a limit is refused and told; nothing else is affected."""

    routes_per_peer: Count = 2_000_000
    macs_per_vni: Count = 1_000_000
    vteps_per_vni: Count = 1024
    """Flood rows: each copy of a broadcast is one more packet."""
    prefixes_per_vrf: Count = 1_000_000
    routes_per_mac: Annotated[int, Meta(ge=2)] = 16_384
    """Of one peer. A MAC has a route for itself and one for each of its host addresses."""
    segment_groups: Count = 16_384
    """One for each VNI and remote Ethernet segment, and in single-active mode for each primary VTEP: an object of the kernel."""


class TlsConfig(Struct, frozen=True):
    """The files for an API address beyond loopback: all three or none."""

    cert: str = ""
    key: str = ""
    client_ca: str = ""


class ApiConfig(Struct, frozen=True):
    """Where the daemon answers, as `unix:/path` or `host:port`; nothing: not at all."""

    listen: tuple[str, ...] = ("unix:/run/vtep/vtep.sock",)
    admin: tuple[str, ...] = ("unix:/run/vtep/admin.sock",)
    metrics: str = "127.0.0.1:9479"
    tls: TlsConfig = TlsConfig()


class Config(Struct, frozen=True):
    """The whole file."""

    node: NodeConfig = NodeConfig()
    bgp: BgpConfig | None = None
    feed: FeedConfig = FeedConfig()
    duplicates: DuplicateConfig = DuplicateConfig()
    limits: LimitConfig = LimitConfig()
    api: ApiConfig = ApiConfig()
    vnis: tuple[VniConfig, ...] = ()
    segments: tuple[SegmentConfig, ...] = ()
    vrfs: tuple[VrfConfig, ...] = ()

    @property
    def own_vteps(self) -> frozenset[Ip]:
        """All tunnel addresses of this leaf; none of them is a remote VTEP."""
        served = {vni.vtep for vni in self.vnis} | {es.vtep for es in self.segments} | {vrf.vtep for vrf in self.vrfs}
        return frozenset(self.node.vteps) | served
