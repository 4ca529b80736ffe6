"""The configuration file: every key, every default, and every problem, listed with its line and path."""

import re
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from vtep.addr import Esi, Ip, RouteDistinguisher, RouteTarget, Vni
from vtep.config import file, shape
from vtep.config.bgp import BgpConfig, BgpNeighbor
from vtep.config.file import parse, read
from vtep.config.model import (
    ApiConfig,
    Config,
    DuplicateConfig,
    FeedConfig,
    LimitConfig,
    NodeConfig,
    SegmentConfig,
    Targets,
    TlsConfig,
    VniConfig,
)
from vtep.errors import ConfigError

REFERENCE = """
[node]
vtep = "10.0.0.99"              # our tunnel address; a list is allowed (IPv4 and IPv6)
state_dir = "/run/vtep"         # ledger and sockets
on_stop = "keep"                # keep or drain
vtep_prefixes = []              # next hops and endpoints must be in one of these

[bgp]
asn = 65000
router_id = "10.0.0.99"
[[bgp.neighbor]]
address = "10.0.0.1"
asn = 65000

[feed]
socket = "/run/vtep/feed.sock"
socket_mode = "0660"
socket_group = ""
peers = ["10.0.0.1"]
initial_hold_s = 120
on_deadline = "auto"
peer_down_hold_s = 0
restart_hold_max_s = 600
octets = true

[duplicates]
moves = 5
window_s = 180
action = "warn"
recover_s = 0

[limits]
routes_per_peer = 2000000
macs_per_vni = 1000000
vteps_per_vni = 1024
prefixes_per_vrf = 1000000
routes_per_mac = 16384
segment_groups = 16384

[api]
listen = ["unix:/run/vtep/vtep.sock"]
admin = ["unix:/run/vtep/admin.sock"]
metrics = "127.0.0.1:9479"
tls = { cert = "", key = "", client_ca = "" }

[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
vtep = "10.0.0.99"
import_rt = ["65000:100"]
export_rt = ["65000:100"]
rd = "10.0.0.99:100"
soo = ""
tag = 0
downstream_vni = false
flood = true
neighbors = true
announce = true
gateway = false
"""

SELF = Ip.parse("10.0.0.99")
PREFIXES = (ip_network("10.0.0.0/24"), ip_network("2001:db8::/64"))
RT = RouteTarget.parse("65000:100")


def test_the_reference_file_is_read() -> None:
    assert parse(REFERENCE) == Config(
        node=NodeConfig((SELF,), Path("/run/vtep"), "keep"),
        bgp=BgpConfig(65000, SELF, (BgpNeighbor(Ip.parse("10.0.0.1"), 65000),)),
        feed=FeedConfig(peers=(Ip.parse("10.0.0.1"),)),
        duplicates=DuplicateConfig(),
        limits=LimitConfig(),
        api=ApiConfig(),
        vnis=(
            VniConfig(
                vni=Vni(100),
                vtep=SELF,
                imports=Targets(frozenset({RT})),
                exports=(RT,),
                rd=RouteDistinguisher.parse("10.0.0.99:100"),
                bridge="br100",
                vxlan="vxlan100",
            ),
        ),
    )


def test_the_reference_file_names_only_defaults() -> None:
    left_out = parse(
        """
        [node]
        vtep = "10.0.0.99"
        [bgp]
        asn = 65000
        router_id = "10.0.0.99"
        neighbor = [{ address = "10.0.0.1", asn = 65000 }]
        [feed]
        peers = ["10.0.0.1"]
        [[vni]]
        vni = 100
        bridge = "br100"
        vxlan = "vxlan100"
        """
    )

    assert left_out == parse(REFERENCE)


def test_an_empty_file_is_a_configuration() -> None:
    assert parse("") == Config()


def test_every_key_sets_its_value() -> None:
    found = parse(
        """
        node = { vtep = ["10.0.0.99", "2001:db8::99"], state_dir = "/var/lib/vtep", on_stop = "drain", \
vtep_prefixes = ["10.0.0.0/24", "2001:db8::/64"] }
        [feed]
        socket = "/tmp/feed"
        socket_mode = "600"
        socket_group = "exabgp"
        peers = ["10.0.0.1", "2001:db8::1"]
        initial_hold_s = 1.5
        on_deadline = "keep"
        peer_down_hold_s = 30
        restart_hold_max_s = 90
        [duplicates]
        moves = 3
        window_s = 60
        action = "freeze"
        recover_s = 45
        [limits]
        routes_per_peer = 7
        macs_per_vni = 8
        vteps_per_vni = 9
        prefixes_per_vrf = 11
        routes_per_mac = 10
        segment_groups = 12
        [api]
        listen = ["unix:/a", "127.0.0.1:1", "[::1]:2", "localhost:3", "0.0.0.0:4"]
        admin = []
        metrics = ""
        tls = { cert = "c", key = "k", client_ca = "a" }
        [[vni]]
        vni = 16777215
        vtep = "2001:db8::99"
        import_rt = ["*:100", "4200000001:7", "10.0.0.1:5"]
        rd = "65000:7"
        soo = "65000:1"
        tag = 4294967295
        downstream_vni = true
        flood = false
        neighbors = false
        announce = false
        gateway = true
        """
    )

    exact = (RouteTarget.parse("4200000001:7"), RouteTarget.parse("10.0.0.1:5"))
    assert found == Config(
        node=NodeConfig((SELF, Ip.parse("2001:db8::99")), Path("/var/lib/vtep"), "drain", PREFIXES),
        feed=FeedConfig(
            Path("/tmp/feed"), 0o600, "exabgp", (Ip.parse("10.0.0.1"), Ip.parse("2001:db8::1")), 1.5, "keep", 30.0, 90.0
        ),
        duplicates=DuplicateConfig(3, 60.0, "freeze", 45.0),
        limits=LimitConfig(7, 8, 9, 11, 10, 12),
        api=ApiConfig(
            ("unix:/a", "127.0.0.1:1", "[::1]:2", "localhost:3", "0.0.0.0:4"), (), "", TlsConfig("c", "k", "a")
        ),
        vnis=(
            VniConfig(
                vni=Vni(16777215),
                vtep=Ip.parse("2001:db8::99"),
                imports=Targets(frozenset(exact), frozenset({100})),
                exports=tuple(sorted(exact)),
                rd=RouteDistinguisher.parse("65000:7"),
                site=bytes.fromhex("0003fde800000001"),
                tag=4294967295,
                downstream_vni=True,
                flood=False,
                neighbors=False,
                announce=False,
                gateway=True,
            ),
        ),
    )


def test_a_vni_without_a_bridge_is_not_bound() -> None:
    bare = parse('node = { vtep = "10.0.0.99" }\nvni = [{ vni = 7, import_rt = ["65000:7"] }]')

    assert [vni.is_bound for vni in (*bare.vnis, *parse(REFERENCE).vnis)] == [False, True]


def test_own_vteps_has_all_tunnel_addresses_of_the_file() -> None:
    found = parse(
        """
        node = { vtep = ["10.0.0.99", "::ffff:10.0.0.97"] }
        vni = [{ vni = 7, vtep = "10.0.0.98", import_rt = ["65000:7"] }]
        segment = [{ esi = "00:11:22:33:44:55:66:77:88:99", vtep = "10.0.0.96" }]
        """
    )

    assert found.own_vteps == {Ip.parse(text) for text in ("10.0.0.96", "10.0.0.97", "10.0.0.98", "10.0.0.99")}


def test_route_targets_and_rd_are_derived_from_the_as_and_the_router_id() -> None:
    (small, large) = parse(
        """
        node = { vtep = "10.0.0.99" }
        bgp = { asn = 4200000001, router_id = "10.0.0.99" }
        vni = [{ vni = 100 }, { vni = 70000 }]
        """
    ).vnis

    derived = RouteTarget.parse(f"{4200000001 & 0xFFFF}:100")
    assert (small.imports.exact, small.exports) == ({derived}, (derived,))
    assert (small.rd, large.rd) == (RouteDistinguisher.parse("10.0.0.99:100"), None)


def test_export_targets_may_differ_from_the_imported_ones() -> None:
    (vni,) = parse(
        'node = { vtep = "10.0.0.99" }\nvni = [{ vni = 7, import_rt = ["*:7"], export_rt = ["65000:7"] }]'
    ).vnis

    assert (vni.exports, vni.imports) == ((RouteTarget.parse("65000:7"),), Targets(frozenset(), frozenset({7})))


def test_a_segment_needs_only_its_identifier() -> None:
    esi = Esi.parse("00:11:22:33:44:55:66:77:88:99")
    plain, full = parse(
        """
        node = { vtep = ["10.0.0.99", "10.0.0.98"] }
        [[segment]]
        esi = "00112233445566778899"
        [[segment]]
        esi = "00:11:22:33:44:55:66:77:88:aa"
        vtep = "10.0.0.97"
        forwarding = false
        algorithm = "lowest-preference"
        preference = 0
        dont_preempt = true
        """
    ).segments

    assert plain == SegmentConfig(esi, SELF, True, "modulo", 32767, False)
    assert full == SegmentConfig(
        Esi(esi[:9] + b"\xaa"), Ip.parse("10.0.0.97"), False, "lowest-preference", 0, dont_preempt=True
    )


def test_a_segment_with_a_port_says_when_it_may_forward_and_whose_routes_it_has():
    (segment,) = parse(
        """
        node = { vtep = "10.0.0.99" }
        [[segment]]
        esi = "00112233445566778899"
        port = "bond0"
        df_wait_s = 1
        """
    ).segments

    assert (segment.port, segment.df_wait_s, segment.startup_delay_s, segment.router) == ("bond0", 1.0, 0.0, SELF)


# What is wrong, and where

VNI = 'node = { vtep = "10.0.0.99" }\n[[vni]]\nvni = 7\n'
NODE = 'node = { vtep = "10.0.0.99" }\n'
BGP = "[bgp]\nasn = 1\nrouter_id = '1.1.1.1'\n"
NEIGHBOR = "[[bgp.neighbor]]\naddress = '10.0.0.1'\nasn = 1\n"
SEGMENT = '[[segment]]\nesi = "00:11:22:33:44:55:66:77:88:99"\n'
RT_VNI = VNI + 'import_rt = ["65000:7"]\n'
BOUND_VLAN = "bridge = 'b'\nvxlan = 'v'\nvlan = 10\n"

VRF = NODE + "[[vrf]]\nname = 'blue'\nvni = 4001\nvxlan = 'vx1'\nsvi = 'br1'\nimport_rt = ['1:1']\n"
VRF_2 = "[[vrf]]\nname = 'red'\nvni = 4002\nvxlan = 'vx2'\nimport_rt = ['1:2']\n"

WRONG = (
    (VRF + "table = 7\n" + VRF_2 + "svi = 'br2'\ntable = 7", "vrf[1].table", "7 is already used by vrf[0]"),
    (VRF + VRF_2 + "svi = 'br1'", "vrf[1].svi", "br1 is already used by vrf[0]"),
    (VRF + 'redistribute_only = ["10.0.0.0/8 le"]', "vrf[0].redistribute_only", "is not PREFIX, or PREFIX with"),
    (VRF + 'redistribute_only = ["10.0.0.0/8 le 7"]', "vrf[0].redistribute_only", "7 is not a length from 8 to 32"),
    (VRF + 'redistribute_only = ["10.0.0.0/8 ge 24 le 16"]', "vrf[0].redistribute_only", "no length is at least 24"),
    (VRF + "metric = 0", "vrf[0].metric", "1"),
    (VRF + "metric = 4294967296", "vrf[0].metric", "4294967295"),
    (VRF + "max_prefixes = 0", "vrf[0].max_prefixes", "1"),
    (VRF + "redistribute = [229]", "vrf[0].redistribute", "229 is the protocol of the routes that vtep itself"),
    (VRF + VRF_2 + "svi = 'a b'", "vrf[1].svi", "'a b' cannot be the name of a device"),
    (VRF + "bridge = 'b'\nvlan = 10\n[[vni]]\nvni = 7\nimport_rt = ['1:7']\n" + BOUND_VLAN, "vrf[0].vlan",
     "VLAN 10 of b is already used by vni[0]"),
    ("text = ", "", "not valid TOML"),
    ("nodes = 1", "nodes", "unknown key (hint: did you mean node?)"),
    ("zzz = 1", "zzz", "unknown key (hint: known here: node, bgp, feed, duplicates, limits, api, vni, segment, vrf)"),
    ("[node]\nvtepp = 1", "node.vtepp", "unknown key (hint: did you mean vtep?)"),
    ("[[vni]]\nvni = 1\nbrigde = 'x'\nvtep = '10.0.0.9'\nimport_rt = ['1:1']", "vni[0].brigde", "did you mean bridge?"),
    ("[api]\ntls = { crt = '' }", "api.tls.crt", "did you mean cert?"),
    ("[bgp]\nasn = 1\nrouter_id = '1.1.1.1'\n[[bgp.neighbor]]\nadress = '1.1.1.1'\nasn = 1\naddress = '1.1.1.2'",
     "bgp.neighbor[0].adress", "did you mean address?"),
    ("node = 1", "node", "expected a table, got a number"),
    ("node = 1979-05-27", "node", "expected a table, got date"),
    ("[vni]\nvni = 1", "vni", "expected tables, got a table (hint: write [[vni]])"),
    ("[node]\nvtep = 7", "node.vtep", "7 is not text in quotes or a list of texts"),
    ("[node]\nvtep = ''", "node.vtep", "'' is not a valid IP address"),
    ("[node]\nvtep = ['10.0.0.9', '224.0.0.1']", "node.vtep[1]", "224.0.0.1 cannot be a tunnel address"),
    ("[node]\nstate_dir = 'run'", "node.state_dir", "'run' is not an absolute path"),
    ("[node]\non_stop = 'flush'", "node.on_stop", '"flush" is not one of "keep", "drain"'),
    ("[bgp]\nrouter_id = '1.1.1.1'", "bgp.asn", "missing"),
    ("[bgp]\nasn = 1", "bgp.router_id", "missing"),
    ("[bgp]\nasn = 0\nrouter_id = '1.1.1.1'", "bgp.asn", "0 is not a whole number from 1 to 4294967295"),
    ("[bgp]\nasn = 4294967296\nrouter_id = '1.1.1.1'", "bgp.asn", "4294967296 is not a whole number from 1 to 4294967295"),
    ("[bgp]\nasn = 1\nrouter_id = '::1'", "bgp.router_id", "::1 is not a router ID (an IPv4 address)"),
    ("[bgp]\nasn = 1\nrouter_id = '1.1.1.1'\nneighbor = [{ asn = 1 }]", "bgp.neighbor[0].address", "missing"),
    ("[bgp]\nasn = 1\nrouter_id = '1.1.1.1'\nneighbor = [{ address = '1.1.1.2' }]", "bgp.neighbor[0].asn", "missing"),
    ("[feed]\nsocket = 'x'", "feed.socket", "'x' is not an absolute path"),
    (f"[feed]\nsocket = '/{'x' * 103}'", "feed.socket", "a socket's path has 103 octets at most; choose a shorter one"),
    (f"[api]\nlisten = ['unix:/{'x' * 107}']", "api.listen", "a socket's path has 107 octets at most"),
    ("[feed]\nsocket_mode = '0888'", "feed.socket_mode", "'0888' is not a file mode (such as 0660)"),
    ("[feed]\npeers = ['10.0.0.1', 'ten']", "feed.peers[1]", "'ten' is not a valid IP address"),
    ("[feed]\npeers = [1]", "feed.peers", "1 is not text in quotes"),
    ("[feed]\ninitial_hold_s = -1", "feed.initial_hold_s", "-1 is not a number of 0 or more"),
    ("[feed]\non_deadline = 'never'", "feed.on_deadline", '"never" is not one of "auto", "keep", "complete"'),
    ("[feed]\npeer_down_hold_s = '3'", "feed.peer_down_hold_s", '"3" is not a number of 0 or more'),
    ("[feed]\nrestart_hold_max_s = -1", "feed.restart_hold_max_s", "-1 is not a number of 0 or more"),
    ("[duplicates]\nmoves = 1", "duplicates.moves", "1 is not a whole number from 2 to 1000"),
    ("[duplicates]\nwindow_s = 0", "duplicates.window_s", "0 is not a number from 1 to 86400"),
    ("[duplicates]\naction = 'drop'", "duplicates.action", '"drop" is not one of "warn", "freeze"'),
    ("[duplicates]\nrecover_s = -1", "duplicates.recover_s", "-1 is not a number of 0 or more"),
    ("[limits]\nroutes_per_peer = 0", "limits.routes_per_peer", "0 is not a whole number of 1 or more"),
    ("[limits]\nmacs_per_vni = 0", "limits.macs_per_vni", "0 is not a whole number of 1 or more"),
    ("[limits]\nvteps_per_vni = 0", "limits.vteps_per_vni", "0 is not a whole number of 1 or more"),
    ("[limits]\nroutes_per_mac = 1", "limits.routes_per_mac", "1 is not a whole number of 2 or more"),
    ("[node]\nvtep_prefixes = ['10.0.0.1/24']", "node.vtep_prefixes", "is not an IP prefix (such as 10.0.0.0/24)"),
    ("[node]\nvtep_prefixes = ['::/0', 'leaf']", "node.vtep_prefixes[1]", "is not an IP prefix"),
    ("[api]\nlisten = ['unix:vtep.sock']", "api.listen", "needs an absolute path"),
    ("[api]\nlisten = ['unix:/a', '0.0.0.0:1']", "api.listen[1]", "0.0.0.0:1 can be reached from outside"),
    ("[api]\nadmin = ['leaf.example:1']", "api.admin", "can be reached from outside (hint: set api.tls, or use unix:)"),
    ("[api]\nlisten = ['127.0.0.1']", "api.listen", "is not of the form host:port or unix:/path"),
    ("[api]\nmetrics = '127.0.0.1:70000'", "api.metrics", "is not of the form host:port"),
    ("[api]\ntls = { cert = 'c' }", "api.tls", "cert, key and client_ca belong together (hint: give all three or none)"),
    (VNI, "vni[0].import_rt", 'missing (hint: set import_rt = ["ASN:7"], or bgp.asn to derive it)'),
    ("[node]\nvtep = '10.0.0.9'\n[[vni]]\nimport_rt = ['1:1']", "vni[0].vni", "missing"),
    ("[[vni]]\nvni = 7\nimport_rt = ['1:1']", "vni[0].vtep", "no tunnel address"),
    ("[node]\nvtep = '10.0.0.9'\n[[vni]]\nvni = 0\nimport_rt = ['1:1']", "vni[0].vni", "0 is not a whole number from 1 to 16777215"),
    ("[node]\nvtep = '10.0.0.9'\n[[vni]]\nvni = 16777216\nimport_rt = ['1:1']", "vni[0].vni", "16777216 is not a whole number from 1 to 16777215"),
    (RT_VNI + "vtep = '127.0.0.1'", "vni[0].vtep", "127.0.0.1 cannot be a tunnel address"),
    (RT_VNI + "bridge = 'br7'", "vni[0].vxlan", "missing beside bridge (hint: give both, or none to only watch)"),
    (RT_VNI + "vxlan = 'vx7'", "vni[0].bridge", "missing beside vxlan"),
    (RT_VNI + "rd = '7'", "vni[0].rd", "'7' is not of the form ASN:number or IPv4:number"),
    (RT_VNI + "soo = '7'", "vni[0].soo", "'7' is not of the form ASN:number or IPv4:number"),
    (RT_VNI + "export_rt = ['7']", "vni[0].export_rt", "'7' is not of the form"),
    (RT_VNI + "tag = -1", "vni[0].tag", "-1 is not a whole number from 0 to 4294967295"),
    (RT_VNI + "flood = 'yes'", "vni[0].flood", '"yes" is not true or false'),
    (VNI + "import_rt = ['1:1', '*:x']", "vni[0].import_rt[1]", "'*:x' is not of the form *:number"),
    (VNI + "import_rt = ['*:4294967296']", "vni[0].import_rt", "is not of the form *:number"),
    (VNI + "import_rt = ['65536:65536']", "vni[0].import_rt", "65536 does not fit in 2 octets"),
    (RT_VNI + "[[vni]]\nvni = 7\nimport_rt = ['1:1']", "vni[1].vni", "7 is already used by vni[0]"),
    (RT_VNI + "bridge = 'b'\nvxlan = 'v'\n[[vni]]\nvni = 8\nimport_rt = ['1:1']\nbridge = 'c'\nvxlan = 'v'",
     "vni[1].vxlan", "v is already used by vni[0]"),
    (RT_VNI + "bridge = 'b'\nvxlan = 'vxlan-tenant-100'", "vni[0].vxlan", "a name has 15 characters at most"),
    (RT_VNI + "bridge = 'b r'\nvxlan = 'v'", "vni[0].bridge", "'b r' cannot be the name of a device"),
    (NODE + BGP + "[[bgp.neighbor]]\naddress = '10.0.0.99'\nasn = 1", "bgp.neighbor[0].address", "is an address of this leaf"),
    (NODE + BGP + 2 * NEIGHBOR, "bgp.neighbor[1].address", "10.0.0.1 is already used by bgp.neighbor[0]"),
    (NODE + BGP + NEIGHBOR + "[feed]\npeers = ['10.0.0.1', '10.0.0.2']", "feed.peers[1]", "10.0.0.2 is not a [[bgp.neighbor]]"),
    (RT_VNI + BOUND_VLAN + "[[vni]]\nvni = 8\nimport_rt = ['1:1']\nbridge = 'b'\nvxlan = 'w'\nvlan = 10", "vni[1].vlan", "VLAN 10 of b is already used by vni[0]"),
    (RT_VNI + BOUND_VLAN + "[[vni]]\nvni = 8\nimport_rt = ['1:1']\nbridge = 'b'\nvxlan = 'w'", "vni[1].bridge", "b is already used by vni[0]"),
    (RT_VNI + "vlan = 10", "vni[0].bridge", "missing beside vlan"),
    (RT_VNI + "vlan = 4095", "vni[0].vlan", "4095 is not a whole number from 1 to 4094"),
    (NODE + "segment = [{ }]", "segment[0].esi", "missing"),
    (NODE + "segment = [{ esi = '00:11' }]", "segment[0].esi", "an Ethernet segment identifier has 10 octets, not 2"),
    (NODE + "segment = [{ esi = 'es1' }]", "segment[0].esi", "'es1' is not hexadecimal"),
    (NODE + f"segment = [{{ esi = '{'00' * 10}' }}]", "segment[0].esi", "00:00:00:00:00:00:00:00:00:00 is reserved and does not"),
    (NODE + f"segment = [{{ esi = '{'ff' * 10}' }}]", "segment[0].esi", "is reserved and does not name an Ethernet segment"),
    (SEGMENT, "segment[0].vtep", "no tunnel address (hint: set node.vtep"),
    (NODE + SEGMENT + "vtep = '::1'", "segment[0].vtep", "::1 cannot be a tunnel address"),
    (NODE + SEGMENT + "algorithm = 'hrw'", "segment[0].algorithm", '"hrw" is not one of "modulo", "highest-random-weight", "highest-preference", "lowest-preference"'),
    (NODE + SEGMENT + "preference = 65536", "segment[0].preference", "65536 is not a whole number from 0 to 65535"),
    (NODE + SEGMENT + "port = 'es0'\nmode = 'single-active'\nfilter = 'none'", "segment[0].filter", "a port on standby would pass frames"),
    *((NODE + SEGMENT + text, f"segment[0].{text.split()[0]}", "it is about the port of the segment (hint: set port, or leave it out)")
      for text in ("df_wait_s = 1", "startup_delay_s = 1", "mac_hold_s = 1", "uplinks = ['eth0']", "filter = 'none'", "backup = false")),
    (NODE + SEGMENT + "forward = false", "segment[0].forward", "unknown key (hint: did you mean forwarding?)"),
    (NODE + SEGMENT + SEGMENT, "segment[1].esi", "00:11:22:33:44:55:66:77:88:99 is already used by segment[0]"),
)  # fmt: skip


@pytest.mark.parametrize(("text", "path", "what"), WRONG, ids=[f"{path}: {what}"[:70] for _, path, what in WRONG])
def test_a_problem_names_its_path_and_what_is_wrong(text: str, path: str, what: str) -> None:
    (problem,) = problems_of(text)

    assert problem.startswith(f"{path}: " if path else "not valid TOML")
    assert what in problem


def test_all_problems_are_listed_in_the_order_of_their_paths() -> None:
    problems = problems_of(
        """
        colour = "red"
        [feed]
        peers = ["x", "y"]
        socket_mode = "9"
        [bgp]
        [[vni]]
        vni = 10
        bridge = "b"
        [[vni]]
        vni = 10
        rd = "x"
        tunnel = 1
        """
    )

    assert [problem.split(": ")[0] for problem in problems] == [
        "bgp.asn",
        "bgp.router_id",
        "colour",
        "feed.peers[0]",
        "feed.peers[1]",
        "feed.socket_mode",
        "vni[0].import_rt",
        "vni[0].vtep",
        "vni[0].vxlan",
        "vni[1].import_rt",
        "vni[1].rd",
        "vni[1].tunnel",
        "vni[1].vni",
        "vni[1].vtep",
    ]


def test_the_tenth_vni_is_listed_after_the_second() -> None:
    text = 'node = { vtep = "10.0.0.9" }\n' + "".join(f"[[vni]]\nvni = {number}\n" for number in range(1, 13))

    assert [problem.split(".")[0] for problem in problems_of(text)] == [f"vni[{index}]" for index in range(12)]


def test_vnis_may_share_devices_if_each_has_a_vlan() -> None:
    more = "[[vni]]\nvni = 8\nimport_rt = ['1:1']\nbridge = 'b'\n"

    one_device = parse(RT_VNI + BOUND_VLAN + more + "vxlan = 'v'\nvlan = 20").vnis
    two_devices = parse(RT_VNI + BOUND_VLAN + more + "vxlan = 'w'\nvlan = 20").vnis

    assert [(vni.vlan, vni.shares_vxlan) for vni in one_device] == [(10, True), (20, True)]
    assert [(vni.vlan, vni.shares_vxlan) for vni in two_devices] == [(10, False), (20, False)]


def test_a_wrong_tunnel_address_is_one_problem_and_not_one_for_each_vni() -> None:
    assert problems_of(RT_VNI.replace("10.0.0.99", "x")) == ["node.vtep: 'x' is not a valid IP address"]


def test_a_value_that_is_not_a_table_is_the_first_problem() -> None:
    assert problems_of("vni = [1]")[0] == "vni[0]: expected a table, got a number"


def test_a_file_that_cannot_be_read_is_a_problem_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"# caf\xe9")

    with pytest.raises(ConfigError, match="nowhere: No such file or directory"):
        read(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="latin: not UTF-8 at octet 5"):
        read(tmp_path / "latin")


def test_each_problem_begins_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "leaf.toml"
    path.write_text("a = 1\n[node]\non_stop = 'x'\n[[vni]]\nvni = 7\nimport_rt = ['1:1']\n")

    with pytest.raises(ConfigError) as raised:
        read(path)

    assert [line.split(": ")[:2] for line in str(raised.value).splitlines()] == [
        [f"{path}:1", "a"],
        [f"{path}:3", "node.on_stop"],
        [f"{path}:4", "vni[0].vtep"],
    ]


def test_invalid_toml_is_reported_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "leaf.toml"
    path.write_text("[node]\non_stop = \n")

    with pytest.raises(ConfigError, match=r"leaf\.toml:2: not valid TOML: "):
        read(path)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_a_file_without_a_setting_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "leaf.toml").write_text(text)

    with pytest.raises(ConfigError, match=r"leaf\.toml: there is no setting in this file"):
        read(tmp_path / "leaf.toml")


def test_no_message_has_the_words_of_a_library() -> None:
    for text, _, _ in WRONG:
        assert not re.search(r"\b(int|str|array|float|enum|null|Expected)\b", " ".join(problems_of(text)))


def test_every_key_has_plain_words_for_what_it_may_be() -> None:
    def types(table: type[Struct]) -> Iterator[Any]:
        for field in msgspec.structs.fields(table):
            inner = shape._struct_in(field.type)
            yield from types(inner) if inner is not None else shape._choices(field.type)

    said = {shape._words(wanted) for wanted in types(file._File)}

    assert {"text in quotes", "true or false", "a list of texts"} <= said
    assert not [words for words in said if "of this type" in words or "None" in words]


def test_a_good_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "leaf.toml"
    path.write_text(REFERENCE)

    assert read(path) == parse(REFERENCE)


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        parse(text)
    return [str(problem) for problem in raised.value.problems]


def test_an_observer_has_vrfs_and_segments_without_a_port_and_advertises_nothing():
    vrf = '[[vrf]]\nname = "blue"\nvni = 4001\nvxlan = "vx4001"\nsvi = "br4001"\nimport_rt = ["*:4001"]\n'
    node = '[node]\nvtep = "10.0.0.1"\nmode = "observe"\n'
    segment = '[[segment]]\nesi = "03:00:00:00:00:00:01:00:00:01"\n'
    read = parse(f'{node}{vrf}redistribute = ["connected"]\n{segment}')

    assert [(one.name, one.redistribute) for one in read.vrfs] == [("blue", ())]
    assert len(read.segments) == 1
    for text, where in (
        (
            f'{node}{segment}port = "eth2"\n',
            "segment[0].port: the port of a segment cannot be observed, because FRR writes nothing",
        ),
        (f"{node}{vrf}manage = true\n", "node.manage"),
    ):
        with pytest.raises(ConfigError) as refused:
            parse(text)
        assert where in str(refused.value)
