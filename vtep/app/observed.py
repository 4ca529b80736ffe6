"""The first files of an observer, for `vtep init --observe`: what this host has and FRR says, as vtep.toml and as lines for FRR.

    devices ──▶ linux.inventory ──▶ one `Attached` for each VNI ──┐
                                                                  ├──▶ configuration, frr_lines
    vtysh ──▶ said ──▶ AS, peers, Route Targets, L3VNIs ──────────┘

FRR derives the Route Target of a VNI from its AS number and the VNI, and imports such a target whatever the AS number is (`*:VNI`).
A target that an operator configured is imported as it is. The VNIs of VRFs are named in a comment.

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


class Said(Struct, frozen=True):
    """What FRR says; nothing where there is no vtysh."""

    asn: int = 0
    peers: tuple[Ip, ...] = ()
    targets: Mapping[int, tuple[str, ...]] = {}
    """What each VNI imports, as it is written here."""
    of_vrfs: frozenset[int] = frozenset()
    """The VNIs that are those of VRFs."""


def said(vnis: str, summary: str) -> Said:
    """Read what vtysh printed for VNIS and SUMMARY. What cannot be read counts as not said."""
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
    )


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
    of_vrfs = [one.vni for one in vnis if _is_of_vrf(one, frr)]
    passed = f"# Not compared, because they are the VNIs of VRFs: {', '.join(map(str, of_vrfs))}\n" if of_vrfs else ""
    head = f"""# vtep beside FRR, read-only, written by `vtep init --observe`: it compares the rows of zebra with what bgpd reports.
# docs/observe.md has what FRR must say; `vtep check --host` compares this file with the host.

[node]
vtep = "{vtep}"
mode = "observe"                    # nothing is written

[feed]
bmp = "127.0.0.1:{BMP_PORT}"
peers = [{peers}]                # whose End-of-RIB completes the picture
{passed}"""
    return "\n".join([head, *(_vni(one, vtep, frr) for one in vnis if not _is_of_vrf(one, frr))])


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


def frr_lines(asn: int) -> str:
    """Return what FRR must be told, for `vtysh -f`."""
    return f"""! What makes bgpd report its EVPN routes to vtep, written by `vtep init --observe`. bgpd must run with `-M bmp`.
router bgp {asn}
 bmp targets vtep
  bmp monitor l2vpn evpn post-policy
  bmp connect 127.0.0.1 port {BMP_PORT} min-retry 100 max-retry 1000
 exit
exit
"""
