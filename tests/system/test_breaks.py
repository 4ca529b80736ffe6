"""A table of what breaks a leaf. Each row is told in the overview (status, /readyz, one metric) and by `vtep explain`.

The real daemon on a real kernel. A row breaks the leaf, waits until the status has the problem, reads what an operator and a monitoring
system would read, and mends it. The next row begins when the leaf is ready again, so no row hides behind another.
"""

import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import pytest

from tests.lab import overlay
from tests.lab.broken import FABRIC, PORT, UPLINK, A, B, C, Leaf, leaf_in_lab
from tests.lab.topology import BRIDGE, LEAF, VNI, VXLAN, address
from tests.lab.vtep import leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance, Route

pytestmark = [pytest.mark.root_netns, pytest.mark.slow]

READ: Final = """
import urllib.request, urllib.error
for path in ("readyz", "metrics"):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:9479/{path}") as answer:
            print(answer.status, answer.read().decode())
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode())
"""
LIMITS: Final = "[limits]\nroutes_per_peer = 400\nroutes_per_mac = 16\nmacs_per_vni = 200\nvteps_per_vni = 8\n"
CONFIG: Final = leaf_config(peers=[A], more=f"{LIMITS}[duplicates]\nmoves = 3\n")
MAC: Final = "02:00:00:00:00:0a"


def instance(vtep: str = A, **fields: object) -> Instance:
    return Instance(vtep, **fields)  # type: ignore[arg-type]


def twin() -> Instance:
    """Another leaf with the tunnel address of this one."""
    return instance(address(LEAF), rd=f"{B}:100")


def many(count: int, vtep: str = A) -> list[Route]:
    return [instance(vtep).mac(f"02:00:00:01:{number >> 8:02x}:{number & 255:02x}") for number in range(count)]


@dataclass(frozen=True)
class Break:
    """One way to break the leaf, how it is mended, and what is told."""

    name: str
    code: str
    """Of the problem."""
    text: str
    """In the sentence of the problem."""
    explained: str
    """In the explanation of MAC."""
    do: Callable[[Leaf], object]
    mend: Callable[[Leaf], object]
    ready: bool = True
    """It is degraded, and not not ready."""
    weight: str = ""
    """Of the problem, if it is not the state of the leaf."""
    routes: tuple[Route, ...] = field(default_factory=lambda: (instance().mac(MAC),))
    """What the peer A advertises meanwhile, so that MAC is concerned."""


def ip(*commands: str) -> Callable[[Leaf], object]:
    return lambda leaf: leaf.node.ip(*commands)


def made_again(**fields: str) -> Callable[[Leaf], object]:
    """Make the VXLAN device again with other properties."""
    usual = {"id": str(VNI), "local": address(LEAF), "dstport": "4789"}

    def do(leaf: Leaf) -> None:
        words = " ".join(f"{name} {value}" for name, value in (usual | fields).items())
        if leaf.node.has_link(VXLAN):
            leaf.node.ip(f"link del dev {VXLAN}")
        leaf.node.ip(
            f"link add name {VXLAN} type vxlan {words} nolearning",
            f"link set dev {VXLAN} master {BRIDGE} up",
            f"link set dev {VXLAN} type bridge_slave learning off neigh_suppress on",
        )

    return do


def refused(name: str, code: str, route: Route, explained: str = "", *, peer: str = B) -> Break:
    """Return the break that a route makes which may not win."""
    return Break(
        name, f"refused-{code}", f"refused ({code}) from peer {peer}", explained or f"({code})",
        lambda leaf: leaf.announce(peer, route), lambda leaf: leaf.withdraw(peer, route), routes=(),
    )  # fmt: skip


def session(name: str, peer: str, reason: str, text: str, code: str = "session-down", *, ready: bool = True) -> Break:
    return Break(
        name, code, text, MAC, lambda leaf: leaf.go_down(peer, reason), lambda leaf: leaf.come_up(peer), ready=ready,
    )  # fmt: skip


def flood_of(count: int) -> Callable[[Leaf], object]:
    return lambda leaf: [leaf.announce(A, instance(f"10.9.1.{number}").flood()) for number in range(1, count + 1)]


def no_flood_of(count: int) -> Callable[[Leaf], object]:
    return lambda leaf: [leaf.withdraw(A, instance(f"10.9.1.{number}").flood()) for number in range(1, count + 1)]


def move_often(leaf: Leaf) -> None:
    for seq in range(1, 6):
        vtep = (A, B)[seq % 2]
        leaf.announce(vtep, instance(vtep).mac(MAC, seq=seq))
        wait_until(lambda vtep=vtep: leaf.installed(MAC, vtep), 20, "the move")


def reload_with(config: str) -> Callable[[Leaf], object]:
    def do(leaf: Leaf) -> None:
        leaf.vtep.configure(config)
        assert leaf.vtep.process is not None
        leaf.vtep.process.signal(signal.SIGHUP)

    return do


def lower_the_link(leaf: Leaf) -> None:
    """Lower it after the daemon has seen by which device the VTEP is reached, because the route goes with the link."""
    wait_until(lambda: 'vtep_underlay_vteps{state="ok"} 1' in read(leaf)[2], 20, "a look at the underlay")
    leaf.node.ip(f"link set dev {UPLINK} down")


def put_by_hand(leaf: Leaf) -> None:
    overlay.put_row(leaf.node, VXLAN, MAC, "10.9.9.9")


def remove_by_hand(leaf: Leaf) -> None:
    leaf.node.attempt("bridge", "fdb", "del", MAC, "dev", VXLAN, "self")
    leaf.node.attempt("bridge", "fdb", "del", MAC, "dev", VXLAN, "master")


def pin(leaf: Leaf) -> None:
    leaf.node.run("bridge", "fdb", "replace", MAC, "dev", PORT, "master", "static")


def unpin(leaf: Leaf) -> None:
    leaf.node.run("bridge", "fdb", "del", MAC, "dev", PORT, "master")


BREAKS: Final = [
    # Devices
    Break("the VXLAN device is down", "vni-not-ready", "device-down", "device-down",
          ip(f"link set dev {VXLAN} down"), ip(f"link set dev {VXLAN} up"), ready=False),
    Break("the bridge is down", "vni-not-ready", "bridge-down", "bridge-down",
          ip(f"link set dev {BRIDGE} down"), ip(f"link set dev {BRIDGE} up"), ready=False),
    Break("the VXLAN device is gone", "vni-not-ready", "vxlan-missing", "vxlan-missing",
          ip(f"link del dev {VXLAN}"), made_again(), ready=False),
    Break("the VXLAN device is not in the bridge", "vni-not-ready", "not-enslaved", "not-enslaved",
          ip(f"link set dev {VXLAN} nomaster"), made_again(), ready=False),
    Break("the bridge port learns", "vni-not-ready", "learning-on-port", "learning-on-port",
          ip(f"link set dev {VXLAN} type bridge_slave learning on"),
          ip(f"link set dev {VXLAN} type bridge_slave learning off"), ready=False),
    Break("the device learns", "vni-not-ready", "learning-on-device", "learning-on-device",
          ip(f"link set dev {VXLAN} type vxlan id {VNI} learning"),
          ip(f"link set dev {VXLAN} type vxlan id {VNI} nolearning"), ready=False),
    Break("the device has another VNI", "vni-not-ready", "wrong-vni", "wrong-vni", made_again(id="999"), made_again(),
          ready=False),
    Break("the device has another local address", "vni-not-ready", "wrong-local-address", "wrong-local-address",
          made_again(local="10.99.99.99"), made_again(), ready=False),
    Break("the bridge has two VXLAN ports", "vni-not-ready", "second-vxlan-port", "second-vxlan-port",
          ip(f"link add name other type vxlan id 777 local {address(LEAF)} dstport 4790 nolearning",
             f"link set dev other master {BRIDGE} up"), ip("link del dev other"), ready=False),
    # The underlay
    Break("the tunnel address is gone", "tunnel-address-missing", f"no device of this host has the tunnel address {address(LEAF)}",
          "tunnel-address-missing", ip(f"addr del {address(LEAF)}/32 dev lo"), ip(f"addr add {address(LEAF)}/32 dev lo")),
    Break("the remote VTEP has no route", "vtep-unreachable", f"there is no route to VTEP {A} from {address(LEAF)}",
          "vtep-unreachable", ip(f"route del {FABRIC}"), Leaf.make_underlay),
    Break("the routing of the underlay discards", "vtep-unreachable", "the route is of type blackhole", "vtep-unreachable",
          ip(f"route add blackhole {A}/32"), ip(f"route del blackhole {A}/32")),
    Break("the link of the underlay has no carrier", "underlay-down", f"is reached by {UPLINK}, which has no carrier",
          "underlay-down", ip("link set dev spine down"), ip("link set dev spine up")),
    Break("the link of the underlay is down", "underlay-down", f"was reached by {UPLINK}, which is down",
          "underlay-down", lower_the_link, Leaf.make_underlay),
    Break("the underlay carries less than a full packet", "underlay-mtu",
          f"{VXLAN} takes frames of 1500, which are packets of 1550, and the route to VTEP {A} by {UPLINK} carries 1500",
          "underlay-mtu", ip(f"link set dev {UPLINK} mtu 1500"), Leaf.make_underlay),
    Break("a router reported a smaller MTU on the way", "underlay-mtu", f"the route to VTEP {A} by {UPLINK} carries 1400",
          "underlay-mtu", ip(f"route add {A}/32 dev {UPLINK} mtu 1400"), ip(f"route del {A}/32 dev {UPLINK}")),
    Break("the remote VTEP is an address of this host", "vtep-is-local", f"VTEP {A} is an address of this host",
          "vtep-is-local", ip(f"addr add {A}/32 dev lo"), ip(f"addr del {A}/32 dev lo")),
    Break("another leaf has our tunnel address", "vtep-in-use",
          f"another leaf has our tunnel address {address(LEAF)} (RD {B}:100, from peer {B})", "(self-vtep)",
          lambda leaf: leaf.announce(B, twin().mac(MAC)), lambda leaf: leaf.withdraw(B, twin().mac(MAC)), routes=()),
    Break("the device sends to another UDP port", "dstport", f"{VXLAN} sends to UDP port 8472", MAC,
          made_again(dstport="8472"), made_again(), weight="notice"),
    Break("the device sends with a small TTL", "ttl", f"packets of {VXLAN} have TTL 1", MAC,
          made_again(ttl="1"), made_again(), weight="notice"),
    # Peers
    session("one of three sessions is down", B, "closing connection", f"peer {B} is down: the TCP connection was lost"),
    session("the peer was shut down", B, "notification received (6,2)", "Administrative Shutdown (6/2)"),
    session("the hold timer expired", B, "notification sent (4,0)", "Hold Timer Expired (4/0)"),
    session("the peer does not know this leaf", B, "notification received (6,5)", "Connection Rejected (6/5)"),
    session("the peer has too many routes", B, "notification received (6,1)", "Maximum Number of Prefixes Reached"),
    session("this side ended a session for a bad UPDATE", B, "notification sent (3,5)", "an UPDATE that it could not read",
            "session-reset"),
    session("the only expected session is down", A, "closing connection", "no BGP session is established", "no-session",
            ready=False),
    # Routes of a VNI of this leaf that do not fit it
    refused("another leaf exports another Route Target", "rt-mismatch", instance(B, targets=("65000:999",)).mac(MAC)),
    refused("another leaf exports no Route Target", "rt-missing", instance(B, targets=()).mac(MAC)),
    refused("another leaf has another VNI", "vni-mismatch", instance(B, vni=555).mac(MAC)),
    refused("another leaf has an Ethernet tag", "tag-mismatch", instance(B, tag=7).mac(MAC)),
    refused("another leaf has MPLS", "encap", instance(B, encapsulation=10).mac(MAC)),
    refused("another leaf has an IPv6 VTEP", "family-mismatch", instance("2001:db8::9", rd=f"{B}:100").mac(MAC)),
    refused("the label is 0", "bad-vni", instance(B, vni=0, rd=f"{B}:100").mac(MAC)),
    refused("the next hop is not a VTEP", "bad-nexthop", instance("224.0.0.5", rd=f"{B}:100").mac(MAC)),
    # What other leaves and programs do
    Break("a MAC moves too often", "duplicate", "1 MAC is a duplicate: VNI 100", "dup-warn",
          move_often, lambda leaf: leaf.ask("clear-duplicate", MAC), routes=()),
    Break("another program has the row", "rows-contested", "1 row is contested", "(foreign)", put_by_hand, remove_by_hand,
          routes=()),
    Break("an operator's static entry has the MAC", "rows-contested", "1 row is contested", f"{PORT} has the row", pin,
          unpin, routes=()),
    # Limits
    Break("a peer has too many routes for this leaf", "limit", "limits.routes_per_peer", MAC,
          lambda leaf: leaf.announce(C, *many(450, C)), lambda leaf: leaf.withdraw(C, *many(450, C))),
    Break("a VNI has too many VTEPs", "vtep-limit", "VTEPs have no flood row", MAC, flood_of(12), no_flood_of(12)),
    Break("a MAC has too many routes", "mac-limit", "limits.routes_per_mac", "mac-limit",
          lambda leaf: leaf.announce(B, *(instance(B, rd=f"{B}:{n}").mac(MAC) for n in range(1, 25))),
          lambda leaf: leaf.withdraw(B, *(instance(B, rd=f"{B}:{n}").mac(MAC) for n in range(1, 25))), routes=()),
    # The daemon
    Break("a reload is refused", "reload-refused", "the changed configuration was refused", MAC,
          reload_with("[node]\nvtep = 7\n"), reload_with(CONFIG)),
]  # fmt: skip


@pytest.fixture(scope="module")
def leaf() -> Iterator[Leaf]:
    with leaf_in_lab(config=CONFIG) as leaf:
        yield leaf


def problem(leaf: Leaf, code: str) -> "dict[str, str] | None":
    return next((one for one in leaf.vtep.told("status")["problem_list"] if one["code"] == code), None)


def read(leaf: Leaf) -> tuple[int, str, str]:
    """Return the code and the text of /readyz, and the metrics."""
    text = leaf.node.run("python3", "-c", READ)
    ready, metrics = re.split(r"^200 # ", text, maxsplit=1, flags=re.MULTILINE)
    code, _, body = ready.partition(" ")
    return int(code), body, metrics


@pytest.mark.parametrize("way", BREAKS, ids=lambda way: way.name.replace(" ", "-"))
def test_each_break_is_told_in_the_overview_and_explained(leaf, way):
    wait_until(lambda: leaf.vtep.told("status")["state"] == "ready", 20, "a leaf that is ready")
    if way.routes:
        leaf.announce(A, *way.routes)
        wait_until(lambda: leaf.installed(MAC, A), 20, "the row")
    elif "contested" in way.code:
        way.do(leaf)
        leaf.announce(A, instance().mac(MAC))
    if "contested" not in way.code:
        way.do(leaf)
    try:
        found = wait_until(lambda: problem(leaf, way.code), 20, f"the problem {way.code}")
        wanted = "ready" if way.weight == "notice" else "degraded" if way.ready else "not-ready"
        state = wait_until(lambda: (told := leaf.vtep.told("status")["state"]) == wanted and told, 20, "the state")
        code, body, _ = read(leaf)
        shown = re.compile(rf'^vtep_problems{{code="{way.code}",weight="{way.weight or state}"}} [1-9]', re.MULTILINE)
        # The text of the metrics is kept for a second, so it may be older than the answers above.
        wait_until(lambda: shown.search(read(leaf)[2]), 20, "the problem in the metrics")
        strict, health = leaf.ask("health", "--strict").returncode, leaf.ask("health").returncode
        explained = leaf.ask("explain", MAC).stdout
    finally:
        way.mend(leaf)
        leaf.withdraw(A, instance().mac(MAC), instance(A).mac(MAC, seq=8))
        leaf.withdraw(B, instance(B).mac(MAC))

    assert way.text in found["text"]
    assert found["hint"]
    weight = way.weight or state
    assert found["weight"] == weight
    assert (code, way.text in body) == (200 if way.ready else 503, weight != "notice")
    assert (health, strict) == ((0, 4 if state == "degraded" else 0) if way.ready else (1, 1))
    assert way.explained in " ".join(explained.split())
    wait_until(lambda: problem(leaf, way.code) is None, 20, f"the end of the problem {way.code}")
