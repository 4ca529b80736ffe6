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
    """A route is imported if it carries one of them; none, and no wildcard: nothing is imported."""
    wildcards: frozenset[int] = frozenset()
    """From `*:N`: this assigned number, with any administrator."""

    @property
    def texts(self) -> tuple[str, ...]:
        """Return them as they are written in the configuration, in order."""
        return (*sorted(map(str, self.exact)), *(f"*:{number}" for number in sorted(self.wildcards)))


class VniConfig(Struct, frozen=True):
    """One VNI of this leaf."""

    vni: Vni
    """The number that VXLAN packets of this network carry (24 bits, RFC 7348 5)."""
    vtep: Ip
    """Our tunnel address: the source of its VXLAN packets and the next hop of its routes.
    VTEPs of the other address family are refused, because the device cannot send to them."""
    imports: Targets
    """Routes that carry one of these Route Targets are candidates for it (RFC 7432 7.10)."""
    exports: tuple[RouteTarget, ...] = ()
    """The Route Targets of its own routes. Empty: it advertises nothing, and the daemon says so."""
    rd: RouteDistinguisher | None = None
    """The Route Distinguisher of its own routes (RFC 7432 7.9). None: it advertises nothing, as for `exports`."""
    bridge: str = ""
    """The bridge of its stations. Empty: its routes are judged and shown, and no row is written."""
    vxlan: str = ""
    """The VXLAN device whose forwarding entries lead to remote VTEPs; given whenever `bridge` is."""
    vlan: int | None = None
    """Its VLAN on a bridge that filters VLANs; None: the bridge is for this VNI alone."""
    shares_vxlan: bool = False
    """Other VNIs are configured with the same VXLAN device."""
    site: bytes | None = None
    """The Site-of-Origin as the 8 octets of its community (RFC 4364 7): routes that carry it are refused, ours
    carry it."""
    tag: int = 0
    """The Ethernet tag of its routes, 0 to 4294967295. It is 0 unless several VNIs form a VLAN-aware bundle
    (RFC 7432 6.3)."""
    downstream_vni: bool = False
    """Packets are sent with the VNI of the remote VTEP's route, which may be another number (RFC 8365 5.1.3)."""
    flood: bool = True
    """Type-3 routes become flood rows, one for each VTEP; without them this leaf floods to no VTEP."""
    neighbors: bool = True
    """Host addresses of Type-2 routes become neighbor rows, with which the bridge answers ARP and ND itself."""
    announce: bool = True
    """MACs, host addresses and the wish for floods are advertised. False: this leaf only receives routes."""
    vrf: str = ""
    """The VRF in which its hosts are routed: they are advertised with its L3VNI as well (RFC 9135 4.1)."""
    gateway: bool = False
    """The bridge's own MAC and addresses are advertised as those of a default gateway (RFC 7432 10.1)."""
    manage: bool = False
    """vtep makes and keeps its bridge and its VXLAN device."""
    addresses: tuple[tuple[Ip, int], ...] = ()
    """The addresses of the gateway of its hosts, with the lengths of their prefixes: the same on all leaves."""
    gateway_mac: Mac | None = None
    """The MAC of the gateway's device, the same on all leaves; None: the MAC that the device has."""

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
    """Advertised as a Type-5 route of the VRF. Several leaves may advertise it, each while it is ready itself."""
    interface: str = ""
    """The device that must be up and have a carrier."""
    check: tuple[str, ...] = ()
    """The command that must succeed, as words."""
    interval_s: float = 2.0
    """Seconds between two looks, and the longest time that the command may take."""


class PrefixRange(Struct, frozen=True):
    """Prefixes within one, of these lengths."""

    prefix: AddressPrefix
    shortest: int
    longest: int

    def has(self, prefix: AddressPrefix) -> bool:
        return (
            prefix.is_v6 == self.prefix.is_v6
            and self.shortest <= prefix.length <= self.longest
            and AddressPrefix.of(prefix.network, self.prefix.length) == self.prefix
        )


class VrfConfig(Struct, frozen=True):
    """One VRF of this leaf, and the L3VNI by which its packets go to other VTEPs (RFC 9136 4.4.1)."""

    name: str
    """The VRF device; where `table` is given, only a name."""
    vni: Vni
    """The L3VNI: the number in packets that were routed before they were sent to the other VTEP."""
    vtep: Ip
    """Our tunnel address for routed packets, and the next hop of its Type-5 routes."""
    imports: Targets
    """Prefixes and host routes with one of these Route Targets are candidates for its routing table."""
    exports: tuple[RouteTarget, ...] = ()
    """The Route Targets of its own prefixes, added to those of hosts in its VNIs. Empty: it advertises nothing."""
    rd: RouteDistinguisher | None = None
    """The Route Distinguisher of its own prefixes. None: it advertises nothing."""
    bridge: str = ""
    """The bridge of the VXLAN device. `file` fills it in from `svi`, so that it is never empty in a daemon."""
    vxlan: str = ""
    """The VXLAN device of the L3VNI. A VRF without one is refused when the file is read."""
    vlan: int | None = None
    """The VLAN of a bridge that filters VLANs; the VXLAN device may then be one for many VNIs."""
    svi: str = ""
    """The layer-3 device of the L3VNI: its bridge, or a VLAN device on it."""
    table: int = 0
    """The routing table, if no VRF device says it."""
    router_mac: Mac | None = None
    """The MAC that the SVI must have; none: whichever it has."""
    max_paths: int = 8
    """How many VTEPs may share the traffic to one prefix, 1 to 256; the kernel spreads flows over them."""
    metric: int = 0
    """The metric of our routes in its table, for both families; 0: 229 for IPv4 and 2290 for IPv6."""
    max_prefixes: int = 0
    """Prefixes that become routes; 0: as many as `limits.prefixes_per_vrf`. Those that have one keep it."""
    redistribute: tuple[int, ...] = ()
    """The routes of its table that are advertised, by the protocol that they have in the kernel."""
    redistribute_only: tuple[PrefixRange, ...] = ()
    """Of those routes only these prefixes; empty: all of them."""
    manage: bool = False
    """vtep makes and keeps its VRF device, its bridge, its VXLAN device and its SVI."""
    anycast: tuple[AnycastConfig, ...] = ()
    """Prefixes that are advertised by the state of a service, and not because the table has a route to them."""
    default_originate: bool = False
    """The default routes are advertised, whether or not the table has them."""

    @property
    def tunnel(self) -> VniConfig:
        """The L3VNI as a VNI, for what is asked of a bridge and its VXLAN device."""
        return VniConfig(self.vni, self.vtep, self.imports, bridge=self.bridge, vxlan=self.vxlan, vlan=self.vlan)

    def reaches(self, vtep: Ip) -> bool:
        """Return whether the VXLAN device can send to this address: it must be of the family of its own address."""
        return vtep.is_v6 == self.vtep.is_v6

    def may_redistribute(self, prefix: AddressPrefix) -> bool:
        """Return whether a prefix is among those that are advertised of the table."""
        return not self.redistribute_only or any(one.has(prefix) for one in self.redistribute_only)


class SegmentConfig(Struct, frozen=True):
    """One Ethernet segment that this leaf has a port on."""

    esi: Esi
    """The identifier that all leaves on this segment share: ten octets, the first is the type (RFC 7432 5)."""
    vtep: Ip
    """The address with which this leaf takes part in the election of the designated forwarder."""
    forwarding: bool = True
    """Whether the port forwards, where the configuration must say it because no port is named."""
    algorithm: Literal["modulo", "highest-random-weight", "highest-preference", "lowest-preference"] = "modulo"
    """The election that this leaf requests. All must request the same, otherwise `modulo` is used (RFC 8584 2.2)."""
    preference: int = 32767
    """0 to 65535, for the two elections by preference; 32767 is the default of RFC 9785 3."""
    dont_preempt: bool = False
    """At equal preference this leaf wins against those that do not request it (DP bit, RFC 9785)."""
    port: str = ""
    """The port on the segment, in a bridge or with VLAN devices in bridges; none: the segment is only known."""
    mode: Literal["all-active", "single-active"] = "all-active"
    """Whether frames go by all leaves of the segment, or in each VNI by the designated forwarder alone (RFC 7432 14.1.1)."""
    router: Ip | None = None
    """An IPv4 address for the Route Distinguishers of the segment's routes."""
    df_wait_s: float = 3.0
    """How long the others get to know of this leaf before its port forwards flooded frames (RFC 8584 2.1)."""
    startup_delay_s: float = 0.0
    """How long the port must be up before the segment is advertised."""
    mac_hold_s: float = 10.0
    """How long a MAC counts as behind the port after the last route or station that said so is gone."""
    uplinks: tuple[str, ...] = ()
    """Devices towards the fabric: while all of them are down, the segment is not advertised, as if the port had no carrier."""
    filter: Literal["nftables", "none"] = "nftables"
    """What keeps floods from coming back to the machine and from arriving twice; `none`: another program does."""
    ac_df: bool = False
    """Only VTEPs that have a VNI on the segment stand for election in it (AC-DF, RFC 8584 4)."""
    backup: bool = True
    """While the port has no carrier, this leaf sends the frames of its own hosts to the other VTEPs of the segment."""


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
    """The Unix socket at which the relay in ExaBGP's process tree finds the daemon."""
    socket_mode: int = 0o660
    """Its permission bits. The default lets ExaBGP's group in: a program that can connect there can set our routes."""
    socket_group: str = ""
    """The group of the socket, by name. Empty: the daemon's own group."""
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
    """The longest time for which routes of a restarting peer are kept, whatever it asks for (RFC 4724 4.2 allows
    such a limit)."""
    octets: bool = True
    """ExaBGP is asked for UPDATEs as received. False: it decodes them to JSON, which
    people can read, and which takes several times as long."""
    exabgp: bool = True
    """ExaBGP may attach at `socket`: always without `bmp`, and with it only where the file names the socket."""
    bmp: str = ""
    """Where routers report by BMP, as `host:port`; nothing: ExaBGP is the feed."""
    bmp_peers: tuple[Prefix, ...] = ()
    """Who may connect there; none named: this host."""
    bmp_table: Literal["pre-policy", "post-policy", "loc-rib"] = "post-policy"
    """Which of the tables that a router reports is taken."""


class DuplicateConfig(Struct, frozen=True):
    """When a MAC moves too often, and what follows (RFC 7432 15.1)."""

    moves: Annotated[int, Meta(ge=2, le=1000)] = 5
    """A MAC is a duplicate at this many moves within the window; RFC 7432 15.1 has N = 5."""
    window_s: Annotated[float, Meta(ge=1, le=86400)] = 180.0
    """The window in which moves are counted; RFC 7432 15.1 has M = 180 seconds."""
    action: Literal["warn", "freeze"] = "warn"
    """`warn` raises an alert alone; `freeze` also keeps the row where it is, whatever the peers advertise."""
    recover_s: Seconds = 0.0
    """After which a frozen MAC is freed; 0: only by `vtep clear-duplicate`."""


class LimitConfig(Struct, frozen=True):
    """What is beyond a limit is refused and told; nothing else is affected."""

    routes_per_peer: Count = 2_000_000
    """Routes of one peer that are kept. It bounds memory, because a peer decides how many it sends."""
    macs_per_vni: Count = 1_000_000
    """Remote MACs of a VNI that become rows. Those that have one keep it; a new one is refused with `limit`."""
    vteps_per_vni: Count = 1024
    """Flood rows: each copy of a broadcast is one more packet."""
    prefixes_per_vrf: Count = 1_000_000
    """Prefixes of a VRF that become routes. Those that have one keep it; a new one is refused with `vrf-limit`."""
    routes_per_mac: Annotated[int, Meta(ge=2)] = 16_384
    """Of one peer. A MAC has a route for itself and one for each of its host addresses."""
    segment_groups: Count = 16_384
    """One for each VNI and remote Ethernet segment, and in single-active mode for each primary VTEP: an object of the kernel."""


class TlsConfig(Struct, frozen=True):
    """The files for an API address beyond loopback: all three or none."""

    cert: str = ""
    """The path of the daemon's certificate, in PEM. Empty, like the other two: there is no TLS."""
    key: str = ""
    """The path of its private key, in PEM."""
    client_ca: str = ""
    """The path of the CA: a client must show a certificate of it, on the read-only service as well."""


class ApiConfig(Struct, frozen=True):
    """Where the daemon answers, as `unix:/path` or `host:port`; nothing: not at all."""

    listen: tuple[str, ...] = ("unix:/run/vtep/vtep.sock",)
    """The read-only service, for `vtep` commands that show something."""
    admin: tuple[str, ...] = ("unix:/run/vtep/admin.sock",)
    """The service that also changes something, such as `vtep adopt`; its socket is for the daemon's user and group."""
    metrics: str = "127.0.0.1:9479"
    """Metrics, probes and the status page over plain HTTP. Empty: there is no HTTP server."""
    tls: TlsConfig = TlsConfig()
    """Required for a gRPC address beyond loopback, because anyone who reaches it could read the tables."""


class Config(Struct, frozen=True):
    """The whole file."""

    node: NodeConfig = NodeConfig()
    bgp: BgpConfig | None = None
    """None: no `[bgp]` in the file. Then every VNI must name its Route Targets, and its RD if it advertises."""
    feed: FeedConfig = FeedConfig()
    duplicates: DuplicateConfig = DuplicateConfig()
    limits: LimitConfig = LimitConfig()
    api: ApiConfig = ApiConfig()
    vnis: tuple[VniConfig, ...] = ()
    """In the order of the file, because messages name a VNI by its place (`vni[2]`). Empty: no netlink socket is
    opened."""
    segments: tuple[SegmentConfig, ...] = ()
    """Segments on which this leaf has a port. What others advertise of further segments needs no configuration."""
    vrfs: tuple[VrfConfig, ...] = ()
    """Empty: no routing table is read or written."""

    @property
    def own_vteps(self) -> frozenset[Ip]:
        """All tunnel addresses of this leaf; none of them is a remote VTEP."""
        served = {vni.vtep for vni in self.vnis} | {es.vtep for es in self.segments} | {vrf.vtep for vrf in self.vrfs}
        return frozenset(self.node.vteps) | served
