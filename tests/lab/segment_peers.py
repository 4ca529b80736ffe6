"""A machine between a leaf of ours and another maker's leaf, both on its Ethernet segment, with one BGP session between them.

        machine ── c1 ──── es0  ours, any number                 FRR: es0 is a port of its bridge, and its kernel has rows
           │                 ║ iBGP
           └─ c2 ──── es0  theirs 10.0.0.100                     GoBGP: announces what it is told, and has no port

With bonds, as real machines have them, both ports are bonds and FRR's bridge filters VLANs, because FRR has Type-1 routes for no
other port. That takes a kernel with both. Debian's user-mode Linux has no nftables of family inet, so our leaf writes no filter there.
"""

import json
import re
import signal
from pathlib import Path
from typing import Any, Final

from tests.lab import overlay
from tests.lab.leaves import REFLECTOR, OurLeaf
from tests.lab.namespaces import Lab, Missing, Node, link
from tests.lab.peers import Frr, GoBgp, frr_config, gobgp_config
from tests.lab.segments import CE_MAC, ESI, need_filters, speak
from tests.lab.topology import BRIDGE, VNI, VXLAN, address, join, switch
from tests.lab.wait import wait_until

THEIRS: Final = address(REFLECTOR)
SYSTEM: Final = "02:00:00:00:00:42"
"""The system MAC within the ESI."""
REMOTE: Final = 3
"""A third leaf, ours, which has no port on the segment. It is there with bonds."""
VLAN: Final = 10
_EVERY: Final = 0xFFFFFFFF
"""The Ethernet tag of a Type-1 route for the whole segment."""


def by_preference(preference: int) -> str:
    """Return what a segment of ours asks for when FRR is on it too."""
    return f'algorithm = "highest-preference"\npreference = {preference}\n'


class Ours:
    """Our leaf, with the port of the segment."""

    def __init__(self, node: Node, number: int, machine: Node, election: str, *, bonds: bool) -> None:
        self.node, self.address = node, address(number)
        self._number, self._machine, self._bonds = number, machine, bonds
        overlay.bridge_vxlan(node, VNI, BRIDGE, VXLAN, self.address)
        self.leaf = OurLeaf(node, number, more=self._segment(election))

    def start(self) -> None:
        _port(self.node, self._machine, "c1", bond=self._bonds)
        self.leaf.start()

    def ask_for(self, election: str) -> None:
        """Have the running leaf ask for another election."""
        self.leaf.vtep.configure(OurLeaf(self.node, self._number, more=self._segment(election)).config())
        assert self.leaf.vtep.process is not None
        self.leaf.vtep.process.signal(signal.SIGHUP)

    def segment(self) -> dict[str, Any]:
        """Return what the leaf says of its segment."""
        found: list[dict[str, Any]] = self.leaf.vtep.told("segments", "--esi", ESI)["own"]
        return found[0]

    def forwarder(self) -> str:
        """Return the VTEP that the leaf holds for the designated forwarder, once its own port forwards accordingly."""
        own = self.segment()
        [vni] = own["vnis"]
        passes = {"df": True, "non-df": False}.get(vni["filter"])
        if own["state"] != "forwarding" or passes != (vni["forwarder"] == self.address):
            return ""
        return str(vni["forwarder"])

    def routes(self, mac: str) -> set[tuple[str, str]]:
        """Return (VTEP, ESI) of the routes that the leaf has heard for a MAC."""
        return {(row["vtep"], row["esi"]) for row in self.leaf.vtep.told("routes", "--mac", mac)["routes"]}

    def macs_at_the_port(self) -> set[str]:
        """Return the MACs that the bridge has at the port of the segment."""
        return {row["mac"] for row in overlay.fdb(self.node, "es0") if "master" in row}

    def _segment(self, election: str) -> str:
        more = 'filter = "none"\nuplinks = ["up1"]\n' if self._bonds else ""
        return f'[[segment]]\nesi = "{ESI}"\nport = "es0"\ndf_wait_s = 0.5\n{more}{election}'


class FrrPeer:
    """FRR. Version 8.4 takes a veth for the port of a segment only if it is configured before the device is there."""

    def __init__(self, node: Node, ours: list[str], machine: Node, *, bonds: bool, tree: Path | None) -> None:
        """It reflects the routes of each of our leaves to the others."""
        self.node = node
        self._machine, self._bonds = machine, bonds
        overlay.bridge_vxlan(node, VNI, BRIDGE, VXLAN, THEIRS)
        if bonds:
            node.ip(f"link set dev {BRIDGE} type bridge vlan_filtering 1 vlan_default_pvid 0")
            node.run("bridge", "vlan", "add", "dev", VXLAN, "vid", str(VLAN), "pvid", "untagged")
        zebra = f"evpn mh startup-delay 0\ninterface es0\n evpn mh es-id 1\n evpn mh es-sys-mac {SYSTEM}\nexit\n"
        zebra += "interface up1\n evpn mh uplink\nexit\n"
        reflects = "\n".join(f"neighbor {one} route-reflector-client" for one in ours)
        bgp = frr_config(THEIRS, ours, more=reflects) + "router bgp 65000\ncoalesce-time 50\n"
        bgp += "".join(f"neighbor {one} timers connect 1\nneighbor {one} advertisement-interval 0\n" for one in ours)
        self.frr = Frr(node, bgp, zebra, tree=tree)

    def start(self) -> None:
        self.frr.start()
        _port(self.node, self._machine, "c2", bond=self._bonds)
        if self._bonds:
            self.node.run("bridge", "vlan", "add", "dev", "es0", "vid", str(VLAN), "pvid", "untagged")

    def is_forwarder(self) -> bool | None:
        """Return whether FRR holds itself for the designated forwarder."""
        found = re.search(r"DF status: (\S+)", self.frr.vtysh(f"show evpn es {ESI}"))
        return None if found is None else found[1] == "df"

    def segment(self) -> dict[str, Any]:
        """Return what bgpd has of the segment."""
        return dict(self.frr.json(f"show bgp l2vpn evpn es {ESI}"))

    def peers(self) -> dict[str, set[str]]:
        """Return which routes of the segment each other VTEP has: Type-4 as `esr`, Type-1 of the segment as `active`."""
        return {vtep["vtep_ip"]: set(vtep["flags"]) for vtep in self.segment().get("vteps", ())}

    def vni_peers(self) -> dict[str, set[str]]:
        """Return which Type-1 routes each other VTEP has that count in the VNI."""
        [found] = (one for one in self.frr.json(f"show bgp l2vpn evpn es-evi vni {VNI}") if one["esi"] == ESI)
        return {vtep["vtep_ip"]: set(vtep["flags"]) for vtep in found.get("vteps", ())}

    def protodown(self) -> list[str]:
        """Return why zebra holds the ports of segments down."""
        return list(self.frr.json("show evpn").get("protodownReasons", ()))

    def prefer(self, preference: int) -> None:
        self.frr.configure("interface es0", f"evpn mh es-df-pref {preference}")

    def mac(self, mac: str) -> dict[str, Any]:
        """Return what zebra has of a MAC."""
        return dict(json.loads(self.frr.vtysh(f"show evpn mac vni {VNI} mac {mac} json")).get(mac, {}))


class GoBgpPeer:
    """GoBGP, which takes part in no election: its routes are all that others see of it."""

    def __init__(self, node: Node, ours: str) -> None:
        self.gobgp = GoBgp(node, gobgp_config(THEIRS, [ours]))

    def start(self) -> None:
        self.gobgp.start()
        self.join()

    def join(self, verb: str = "add") -> None:
        """Announce what a leaf on the segment does, or with `del` take it back."""
        esi = f"esi MAC {SYSTEM} 1"
        every = f"rd {THEIRS}:1 rt 65000:{VNI} encap vxlan"
        for route in (
            f"esi {THEIRS} {esi} {every}",
            f"a-d {esi} etag {_EVERY} label 0 {every} esi-label 0",
            f"a-d {esi} etag 0 label {VNI} rd {THEIRS}:{VNI} rt 65000:{VNI} encap vxlan",
        ):
            self.gobgp.command("global", "rib", verb, "-a", "evpn", *route.split())

    def leave(self) -> None:
        self.join("del")

    def has(self, kind: str, vtep: str) -> bool:
        """Tell whether GoBGP has a route of this kind (`esi` is Type 4) from a VTEP."""
        lines = self.gobgp.command("global", "rib", "-a", "evpn").splitlines()
        return any(f"[type:{kind}]" in line and f"[rd:{vtep}:" in line for line in lines)


class Beside:
    """The network as drawn, with FRR or GoBGP, not yet started."""

    def __init__(
        self,
        lab: Lab,
        peer: str,
        *,
        number: int = 1,
        election: str = "",
        bonds: bool = False,
        tree: Path | None = None,
    ) -> None:
        underlay = switch(lab)
        node = join(lab, underlay, "ours", number)
        if bonds:
            _need_bonds(node)
        else:
            need_filters(node)
        self.machine = lab.node("machine")
        self.ours = Ours(node, number, self.machine, election, bonds=bonds)
        theirs = join(lab, underlay, "theirs", REFLECTOR)
        self.frr = self.gobgp = self.remote = None
        if bonds:
            for leaf, name in ((node, "ours"), (theirs, "theirs")):
                link(underlay, f"up-{name}", leaf, "up1")
            self.remote = OurLeaf(join(lab, underlay, "remote", REMOTE), REMOTE)
            overlay.bridge_vxlan(self.remote.node, VNI, BRIDGE, VXLAN, address(REMOTE))
            self.underlay = underlay
        if peer == "frr":
            ours = [address(number), *([address(REMOTE)] if bonds else [])]
            self.frr = FrrPeer(theirs, ours, self.machine, bonds=bonds, tree=tree)
        else:
            self.gobgp = GoBgpPeer(theirs, address(number))

    def group(self) -> list[str]:
        """Return the VTEPs that the third leaf sends to."""
        assert self.remote is not None
        return [vtep for one in self.remote.vtep.told("segments", "--esi", ESI)["segments"] for vtep in one["vteps"]]

    def speak(self, end: str, mac: str = CE_MAC) -> None:
        """Have the machine speak at one of its links, c1 or c2."""
        speak(self.machine, end, mac)


def _port(node: Node, machine: Node, end: str, *, bond: bool) -> None:
    """Give a leaf the port of the segment, with the machine at its other end."""
    name = "es0m" if bond else "es0"
    machine.ip(f"link add name {end} type veth peer name {name} netns {node.pid}", f"link set dev {end} up")
    if bond:
        node.ip(
            "link add name es0 type bond mode balance-xor miimon 20",
            "link set dev es0m master es0",
            "link set dev es0m up",
        )
    node.ip(f"link set dev es0 master {BRIDGE} up")


def _need_bonds(node: Node) -> None:
    for kind, what in (("bond mode balance-xor", "bonds"), ("bridge vlan_filtering 1", "VLAN filtering")):
        if node.attempt("ip", "link", "add", "name", "trial", "type", *kind.split()).returncode:
            raise Missing(f"this kernel has no {what}")
        node.ip("link del dev trial")


def wait_for(network: Beside, forwarder: str, deadline_s: float = 30.0) -> None:
    """Wait until both leaves hold this VTEP for the designated forwarder."""
    wanted = (forwarder, None if network.frr is None else forwarder == THEIRS)
    wait_until(
        lambda: (network.ours.forwarder(), network.frr and network.frr.is_forwarder()) == wanted,
        deadline_s,
        f"{forwarder} as the forwarder",
    )
