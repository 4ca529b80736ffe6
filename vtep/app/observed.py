"""The first files of an observer, for `vtep init --observe`: what this host has and FRR says, as vtep.toml and as lines for FRR.

    devices ──▶ linux.inventory ──▶ one `Attached` for each VNI ──┐
                                                                  ├──▶ configuration, frr_lines
    vtysh ──▶ said ──▶ AS, peers, Route Targets, VRFs ────────────┘

FRR derives the Route Target of a VNI from its AS number and the VNI, and imports such a target whatever the AS number is (`*:VNI`).
A target that an operator configured is imported as it is. The VNI of a VRF becomes a `[[vrf]]` where the SVI is in a VRF device.

This module is pure: it takes the texts that vtysh printed, and does not know how they were had.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from vtep.addr import Ip, RouteTarget, Vni
from vtep.linux.inventory import Attached

BMP_PORT: Final = 11019
VNIS: Final = "show bgp l2vpn evpn vni json"
SUMMARY: Final = "show bgp l2vpn evpn summary json"
VRFS: Final = "show vrf vni json"


class Said(Struct, frozen=True):
    """What FRR says; nothing where there is no vtysh."""

    asn: int = 0
    peers: tuple[Ip, ...] = ()
    targets: Mapping[int, tuple[str, ...]] = {}
    """What each VNI imports, as it is written here."""
    of_vrfs: frozenset[int] = frozenset()
    """The VNIs that are those of VRFs."""
    vrfs: Mapping[int, tuple[str, str]] = {}
    """The name of the VRF and its SVI, by VNI."""


def said(vnis: str, summary: str, vrfs: str = "") -> Said:
    """Read what vtysh printed for VNIS, SUMMARY and VRFS. What cannot be read counts as not said."""
    told, sessions = _json(vnis), _json(summary)
    asn, listed = sessions.get("as"), sessions.get("peers")
    asn = asn if type(asn) is int and 0 < asn <= 0xFFFF_FFFF else 0
    rows = [row for row in told.values() if isinstance(row, dict) and isinstance(row.get("vni"), int)]
    peers = [ip for name in listed if (ip := _ip(name)) is not None] if isinstance(listed, dict) else []
    return Said(
        asn,
        tuple(peers),
        {row["vni"]: tuple(_target(text, row["vni"], asn) for text in _texts(row)) for row in rows},
        frozenset(row["vni"] for row in rows if row.get("type") == "L3"),
        _vrfs(_json(vrfs)),
    )


def _vrfs(told: Mapping[str, Any]) -> dict[int, tuple[str, str]]:
    """Return the VRFs that zebra has, by VNI; it says None of a device that is not there."""
    listed = told.get("vrfs")
    found: dict[int, tuple[str, str]] = {}
    for row in listed if isinstance(listed, list) else ():
        if isinstance(row, dict) and type(row.get("vni")) is int:
            name, svi = row.get("vrf"), row.get("sviIntf")
            if isinstance(name, str) and isinstance(svi, str) and name and svi not in ("", "None"):
                found[row["vni"]] = name, svi
    return found


def _texts(row: Mapping[str, Any]) -> list[str]:
    """Return the Route Targets of a VNI that can be read."""
    listed = row.get("importRTs", [])
    return [text for text in listed if _is_target(text)] if isinstance(listed, list) else []


def _is_target(text: object) -> bool:
    try:
        RouteTarget.parse(str(text))
    except ValueError:
        return False
    return True


def _target(text: str, vni: int, asn: int) -> str:
    return f"*:{vni}" if text == f"{asn & 0xFFFF}:{vni}" else text


def _json(text: str) -> dict[str, Any]:
    try:
        read = msgspec.json.decode(text.encode())
    except msgspec.DecodeError:
        return {}
    return read if isinstance(read, dict) else {}


def _ip(text: str) -> Ip | None:
    """Return a peer's address; FRR names one without an address by its interface."""
    try:
        return Ip.parse(text)
    except ValueError:
        return None


def vtep_of(vnis: list[Attached]) -> Ip | None:
    """Return the tunnel address that most VXLAN devices have."""
    counted = Counter(one.vtep for one in vnis if one.vtep is not None)
    return max(counted, key=lambda ip: counted[ip]) if counted else None


def configuration(vtep: Ip, vnis: list[Attached], frr: Said) -> str:
    """Return vtep.toml."""
    peers = ", ".join(f'"{peer}"' for peer in frr.peers)
    vrfs = {one.vni: _vrf(one, vtep, frr) for one in vnis if _is_of_vrf(one, frr)}
    without = ", ".join(str(vni) for vni, text in vrfs.items() if not text)
    passed = f"# Not compared, because their VRF or their SVI is not known: {without}\n" if without else ""
    head = f"""# vtep beside FRR, read-only, written by `vtep init --observe`: it compares the rows of zebra with what bgpd reports.
# docs/observe.md has what FRR must say; `vtep check --host` compares this file with the host.

[node]
vtep = "{vtep}"
mode = "observe"                    # nothing is written

[feed]
bmp = "127.0.0.1:{BMP_PORT}"
peers = [{peers}]                # whose End-of-RIB completes the picture
{passed}"""
    l2 = [_vni(one, vtep, frr) for one in vnis if not _is_of_vrf(one, frr)]
    return "\n".join([head, *filter(None, vrfs.values()), *l2])


def _is_of_vrf(one: Attached, frr: Said) -> bool:
    return one.vni in frr.of_vrfs or (one.in_vrf and one.vni not in frr.targets)


def _vni(one: Attached, vtep: Ip, frr: Said) -> str:
    targets = frr.targets.get(one.vni) or (f"*:{one.vni}",)
    listed = ", ".join(f'"{target}"' for target in targets)
    vlan = f"vlan = {one.vlan}\n" if one.vlan is not None else ""
    own = f'vtep = "{one.vtep}"\n' if one.vtep not in (None, vtep) else ""
    return f"""[[vni]]
vni = {Vni(one.vni)}
bridge = "{one.bridge}"
vxlan = "{one.vxlan}"
{vlan}{own}import_rt = [{listed}]
"""


def _vrf(one: Attached, vtep: Ip, frr: Said) -> str:
    """Return the section of a VRF, or nothing if neither FRR nor the devices say which one it is."""
    name, svi = frr.vrfs.get(one.vni, (one.vrf, one.svi))
    if not name or not svi:
        return ""
    targets = ", ".join(f'"{target}"' for target in frr.targets.get(one.vni) or (f"*:{one.vni}",))
    vlan = f'bridge = "{one.bridge}"\nvlan = {one.vlan}\n' if one.vlan is not None else ""
    own = f'vtep = "{one.vtep}"\n' if one.vtep not in (None, vtep) else ""
    return f"""[[vrf]]
name = "{name}"
vni = {Vni(one.vni)}
svi = "{svi}"
vxlan = "{one.vxlan}"
{vlan}{own}import_rt = [{targets}]
"""


def frr_lines(asn: int) -> str:
    """Return what FRR must be told, for `vtysh -f`."""
    return f"""! What makes bgpd report its EVPN routes to vtep, written by `vtep init --observe`. bgpd must run with `-M bmp`.
! For neighbors with `soft-reconfiguration inbound`, add `bmp monitor l2vpn evpn pre-policy`: vtep then tells what a policy dropped.
router bgp {asn}
 bmp targets vtep
  bmp monitor l2vpn evpn post-policy
  bmp connect 127.0.0.1 port {BMP_PORT} min-retry 100 max-retry 1000
 exit
exit
"""
