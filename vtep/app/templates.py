"""The texts of a first leaf, for `vtep init`: its configuration, its devices, and the other side. Pure: values in, texts out.

Knows what a leaf that works looks like: devices that do not learn, an MTU that fits into the underlay, and for each session
one side that waits. Does not know this host (`init.py` asks it), and writes no file.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from vtep.addr import Ip

PeerKind = Literal["vtep", "frr", "frr-reflector", "gobgp"]
DeviceKind = Literal["ip", "networkd", "ifupdown2", "vtep"]

OUTER_OCTETS: Final = {False: 50, True: 70}
"""What VXLAN adds to a frame, by whether the underlay is IPv6: Ethernet, IP, UDP and VXLAN headers."""


@dataclass(frozen=True)
class FirstVni:
    """One VNI of the new leaf, with names for its devices."""

    number: int
    """The VNI, after which its devices are named: `br100`, `vxlan100`."""
    ports: tuple[str, ...] = ()
    """The ports of this host at which its stations are."""

    @property
    def bridge(self) -> str:
        return f"br{self.number}"

    @property
    def vxlan(self) -> str:
        return f"vxlan{self.number}"


@dataclass(frozen=True)
class FirstLeaf:
    """What a person said, and what the host said."""

    vtep: Ip
    """The tunnel address, which is also our address in the BGP sessions."""
    asn: int
    """The AS number of both sides: the sessions are iBGP."""
    peers: tuple[Ip, ...]
    """The other sides of the sessions: leaves or route reflectors."""
    peer_kind: PeerKind
    """What runs there. It decides which texts are written for the other side, and which side waits."""
    vnis: tuple[FirstVni, ...]
    router_id: Ip
    """An IPv4 address: the tunnel address, unless that is IPv6."""
    underlay_mtu: int
    """The MTU of the device that carries the tunnel address."""
    socket_group: str = ""
    """The group of ExaBGP's user; empty: this host has no such group."""

    @property
    def mtu(self) -> int:
        """The largest frame that fits into a packet of the underlay."""
        return self.underlay_mtu - OUTER_OCTETS[self.vtep.is_v6]

    def waits_for(self, peer: Ip) -> bool:
        """Of two leaves with ExaBGP the one with the lower address waits, because one must; others listen anyway."""
        return self.peer_kind == "vtep" and self.vtep < peer

    def seen_from(self, peer: Ip) -> "FirstLeaf":
        """Return the leaf at the other side, if it is made like this one."""
        return FirstLeaf(
            peer, self.asn, (self.vtep,), self.peer_kind, self.vnis, peer, self.underlay_mtu, self.socket_group
        )


# Our configuration


def configuration(leaf: FirstLeaf, kind: DeviceKind = "ip") -> str:
    return "\n".join(
        (
            _node(leaf, manages=kind == "vtep"),
            *(_neighbor(leaf, peer) for peer in leaf.peers),
            _feed(leaf),
            *map(_vni(leaf), leaf.vnis),
        )
    )


def _node(leaf: FirstLeaf, *, manages: bool) -> str:
    manage = (
        "manage = true                       # vtep makes the bridges and the VXLAN devices, and keeps them\n" * manages
    )
    return f"""# A leaf of vtep, written by `vtep init`. `vtep check --host` compares it with this host; docs/configure.md has every key.
# After a change: vtep check, then send SIGHUP to the daemon (systemctl reload vtep).

[node]
vtep = "{leaf.vtep}"                # our tunnel address: other VTEPs send frames to it
# on_stop = "keep"                  # keep: a restart of the daemon does not disturb traffic; drain: rows are removed
{manage}
[bgp]
asn = {leaf.asn}
router_id = "{leaf.router_id}"
"""


def _neighbor(leaf: FirstLeaf, peer: Ip) -> str:
    lines = [f'[[bgp.neighbor]]\naddress = "{peer}"\nasn = {leaf.asn}']
    if leaf.waits_for(peer):
        lines.append(
            "passive = true                      # we wait at port 179, and the peer connects: one side must wait"
        )
    lines.append(f'# password_file = "/etc/vtep/{peer}.password"')
    return "\n".join(lines) + "\n"


def _feed(leaf: FirstLeaf) -> str:
    peers = ", ".join(f'"{peer}"' for peer in leaf.peers)
    group = f'socket_group = "{leaf.socket_group}"\n' if leaf.socket_group else ""
    return f"[feed]\n{group}peers = [{peers}]                # whose End-of-RIB completes the picture\n"


def _vni(leaf: FirstLeaf) -> Callable[[FirstVni], str]:
    def text(vni: FirstVni) -> str:
        return f"""[[vni]]
vni = {vni.number}
bridge = "{vni.bridge}"
vxlan = "{vni.vxlan}"
import_rt = ["{leaf.asn & 0xFFFF}:{vni.number}"]         # the routes that are for this VNI; all leaves of it use the same
"""

    return text


# Our devices


def devices(leaf: FirstLeaf, kind: DeviceKind) -> Mapping[str, str]:
    """Return the files that make the devices, by their names."""
    return {"ip": _ip_script, "networkd": _networkd, "ifupdown2": _ifupdown2, "vtep": _managed}[kind](leaf)


def _ip_script(leaf: FirstLeaf) -> Mapping[str, str]:
    head = f"""#!/bin/sh
# The devices of this leaf, written by `vtep init`. They do not survive a boot: run this at each one. It may run again.
# MTU: the underlay carries {leaf.underlay_mtu}, VXLAN takes {leaf.underlay_mtu - leaf.mtu}; stations behind this leaf must use {leaf.mtu} or less.
set -e
"""
    return {"devices.sh": head + "".join(_ip_commands(leaf, vni) for vni in leaf.vnis)}


def _ip_commands(leaf: FirstLeaf, vni: FirstVni) -> str:
    bridge, vxlan = vni.bridge, vni.vxlan
    ports = "".join(f"ip link set dev {port} master {bridge}\nip link set dev {port} up\n" for port in vni.ports)
    return f"""
# VNI {vni.number}. Without vlan_default_pvid 0 the bridge has each row twice. Neither device learns from the tunnel: BGP says who is where.
[ -e /sys/class/net/{bridge} ] || ip link add name {bridge} type bridge vlan_default_pvid 0
[ -e /sys/class/net/{vxlan} ] || ip link add name {vxlan} type vxlan id {vni.number} local {leaf.vtep} dstport 4789 nolearning{" udp6zerocsumrx" * leaf.vtep.is_v6}
ip link set dev {vxlan} mtu {leaf.mtu}
ip link set dev {bridge} mtu {leaf.mtu}
ip link set dev {vxlan} master {bridge}
ip link set dev {vxlan} type bridge_slave learning off neigh_suppress on
{ports}ip link set dev {bridge} up
ip link set dev {vxlan} up
"""


def _managed(leaf: FirstLeaf) -> Mapping[str, str]:
    """Return what devices of vtep need from others: their ports, and that other programs leave them alone.

    So must the ports be: NetworkManager takes a port that is up out of its bridge, to ask for an address.
    """
    names = [name for vni in leaf.vnis for name in (vni.bridge, vni.vxlan, *vni.ports)]
    networkd = f"""# /etc/systemd/network: written by `vtep init`. vtep's devices and their ports are left alone, also where another file matches all names.
[Match]
Name={" ".join(names)}

[Link]
Unmanaged=yes
"""
    network_manager = f"""# /etc/NetworkManager/conf.d: written by `vtep init`. vtep's devices and their ports are left alone.
[keyfile]
unmanaged-devices={";".join(f"interface-name:{name}" for name in names)}
"""
    return _ports_script(leaf) | {UNMANAGED[0]: networkd, UNMANAGED[1]: network_manager}


UNMANAGED: Final = ("unmanaged/05-vtep.network", "unmanaged/vtep.conf")
"""By which systemd-networkd and NetworkManager leave managed devices alone."""


def _ports_script(leaf: FirstLeaf) -> dict[str, str]:
    """Return a script that puts the access ports into the bridges, which are vtep's; nothing if no port was named."""
    lines = [
        f"ip link set dev {port} master {vni.bridge}\nip link set dev {port} up\n"
        for vni in leaf.vnis
        for port in vni.ports
    ]
    head = """#!/bin/sh
# Access ports, written by `vtep init`. vtep makes the bridges when it starts; run this once they are there, and at each boot.
set -e
"""
    return {"ports.sh": head + "".join(lines)} if lines else {}


def _networkd(leaf: FirstLeaf) -> Mapping[str, str]:
    files: dict[str, str] = {}
    for vni in leaf.vnis:
        files |= {
            f"networkd/10-{vni.bridge}.netdev": f"""# /etc/systemd/network: written by `vtep init`. Without DefaultPVID=none the bridge has each row twice.
[NetDev]
Name={vni.bridge}
Kind=bridge
MTUBytes={leaf.mtu}

[Bridge]
DefaultPVID=none
STP=no
""",
            f"networkd/10-{vni.vxlan}.netdev": f"""# The underlay carries {leaf.underlay_mtu}; stations behind this leaf must use {leaf.mtu} or less.
[NetDev]
Name={vni.vxlan}
Kind=vxlan
MTUBytes={leaf.mtu}

[VXLAN]
VNI={vni.number}
Local={leaf.vtep}
DestinationPort=4789
{"UDP6ZeroChecksumRx=yes" + chr(10) if leaf.vtep.is_v6 else ""}MacLearning=no
Independent=yes
""",
            f"networkd/10-{vni.bridge}.network": f"""[Match]
Name={vni.bridge}

[Network]
LinkLocalAddressing=no
ConfigureWithoutCarrier=yes

[Link]
RequiredForOnline=no
""",
            f"networkd/10-{vni.vxlan}.network": f"""# BGP says who is behind the tunnel, so the port does not learn; the bridge answers ARP and ND for remote hosts.
[Match]
Name={vni.vxlan}

[Network]
Bridge={vni.bridge}
LinkLocalAddressing=no

[Bridge]
Learning=no
NeighborSuppression=yes
""",
        } | {
            f"networkd/10-{port}.network": f"""[Match]
Name={port}

[Network]
Bridge={vni.bridge}
LinkLocalAddressing=no
"""
            for port in vni.ports
        }
    return files


def _ifupdown2(leaf: FirstLeaf) -> Mapping[str, str]:
    text = f"# /etc/network/interfaces.d/vtep: written by `vtep init`. The underlay carries {leaf.underlay_mtu}; stations must use {leaf.mtu} or less.\n"
    for vni in leaf.vnis:
        text += f"""
auto {vni.vxlan}
iface {vni.vxlan}
    vxlan-id {vni.number}
    vxlan-local-tunnelip {leaf.vtep}
    vxlan-learning no
    mtu {leaf.mtu}
    bridge-learning off
    bridge-arp-nd-suppress on

auto {vni.bridge}
iface {vni.bridge}
    bridge-ports {" ".join((vni.vxlan, *vni.ports))}
    bridge-stp off
    mtu {leaf.mtu}
    # Without it the bridge has each row twice.
    post-up ip link set dev {vni.bridge} type bridge vlan_default_pvid 0
"""
    return {"ifupdown2": text}


# The other side


def other_side(leaf: FirstLeaf, peer: Ip, kind: DeviceKind = "ip") -> Mapping[str, str]:
    """Return the files for a peer, by their names; a leaf like this one makes its devices as this one does, if that is vtep."""
    other = leaf.seen_from(peer)
    if leaf.peer_kind == "frr":
        return {"frr.conf": _frr(leaf, peer), **_ip_script(other)}
    if leaf.peer_kind == "frr-reflector":
        return {"frr.conf": _frr_reflector(leaf, peer)}
    if leaf.peer_kind == "gobgp":
        return {"gobgpd.toml": _gobgp(leaf, peer)}
    kind = "vtep" if kind == "vtep" else "ip"
    return {"vtep.toml": configuration(other, kind), **devices(other, kind)}


def _frr(leaf: FirstLeaf, peer: Ip) -> str:
    return f"""! For the FRR at {peer} (bgpd on, and zebra): a leaf with the same VNIs.
router bgp {leaf.asn}
 bgp router-id {peer}
 no bgp default ipv4-unicast
 neighbor {leaf.vtep} remote-as {leaf.asn}
 address-family l2vpn evpn
  neighbor {leaf.vtep} activate
  advertise-all-vni
 exit-address-family
"""


def _frr_reflector(leaf: FirstLeaf, peer: Ip) -> str:
    return f"""! For the FRR at {peer} (bgpd on, and zebra): a route reflector. It needs no VNI and no device, and one line
! for each leaf: neighbor ADDRESS peer-group leaves
router bgp {leaf.asn}
 bgp router-id {peer}
 no bgp default ipv4-unicast
 bgp graceful-restart
 neighbor leaves peer-group
 neighbor leaves remote-as {leaf.asn}
 neighbor {leaf.vtep} peer-group leaves
 address-family l2vpn evpn
  neighbor leaves activate
  neighbor leaves route-reflector-client
 exit-address-family
"""


def _gobgp(leaf: FirstLeaf, peer: Ip) -> str:
    return f"""# For the GoBGP at {peer}: a route reflector for this leaf.
[global.config]
as = {leaf.asn}
router-id = "{peer}"

[[neighbors]]
  [neighbors.config]
  neighbor-address = "{leaf.vtep}"
  peer-as = {leaf.asn}
  [neighbors.transport.config]
  passive-mode = true
  [neighbors.route-reflector.config]
  route-reflector-client = true
  route-reflector-cluster-id = "{peer}"
  [neighbors.graceful-restart.config]
  enabled = true
  restart-time = 120
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
    afi-safi-name = "l2vpn-evpn"
    [neighbors.afi-safis.mp-graceful-restart.config]
    enabled = true
"""
