"""The leaf is broken as leaves break, and the commands say where a MAC stopped, why, and what to do about it.

The real daemon on a real kernel, asked by the real commands from inside its node. The lines are brought to its feed
socket by hand, since some of these routes no peer of ours would send.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab import overlay
from tests.lab.broken import PORT, RESTART_S, A, B, C, Leaf, leaf_in_lab
from tests.lab.topology import BRIDGE, LEAF, VXLAN, address
from tests.lab.vtep import VTEP
from tests.lab.wait import wait_until
from tests.lab.wire import Instance

pytestmark = pytest.mark.root_netns

METRICS = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9479/metrics').read().decode())"

WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")


@pytest.fixture(scope="module")
def shared() -> Iterator[Leaf]:
    """One leaf for every test that mends what it breaks."""
    with leaf_in_lab() as leaf:
        yield leaf


@pytest.fixture
def leaf() -> Iterator[Leaf]:
    """A leaf of one's own, for what cannot be mended."""
    with leaf_in_lab() as leaf:
        yield leaf


def at(vtep: str) -> Instance:
    return Instance(vtep)


# Twelve ways


@dataclass(frozen=True)
class Way:
    """How a leaf is broken, and what is said of a MAC then."""

    name: str
    breaks: Callable[[Leaf, str], None]
    verdict: tuple[str, str]
    """The state and its reason; refused or unheard where nothing is wanted."""
    says: tuple[str, ...]
    advises: str
    mends: Callable[[Leaf, str], None] | None = None
    """None: what the advice says between backticks is typed in the node."""
    vtep: str = A
    """Where the MAC is in the end."""


def wrong_target(leaf: Leaf, mac: str) -> None:
    leaf.announce(A, Instance(A, targets=("65000:999",)).mac(mac))


def unknown_vni(leaf: Leaf, mac: str) -> None:
    leaf.announce(A, Instance(A, vni=555, rd=f"{A}:100", targets=("65000:555",)).mac(mac))


def own_next_hop(leaf: Leaf, mac: str) -> None:
    leaf.announce(A, Instance(address(LEAF), rd=f"{A}:100").mac(mac))


def right_route(leaf: Leaf, mac: str) -> None:
    leaf.announce(A, at(A).mac(mac))


def device_down(leaf: Leaf, mac: str) -> None:
    right_route(leaf, mac)
    leaf.node.ip(f"link set dev {VXLAN} down")


def device_gone(leaf: Leaf, mac: str) -> None:
    right_route(leaf, mac)
    leaf.node.ip(f"link del dev {VXLAN}", f"link del dev {BRIDGE}")


def devices_again(leaf: Leaf, _: str) -> None:
    leaf.make_devices()


def port_learns(leaf: Leaf, mac: str) -> None:
    right_route(leaf, mac)
    leaf.node.ip(f"link set dev {VXLAN} type bridge_slave learning on")


def device_learns(leaf: Leaf, mac: str) -> None:
    right_route(leaf, mac)
    leaf.node.ip(f"link set dev {VXLAN} type vxlan learning")


def static_entry(leaf: Leaf, mac: str) -> None:
    leaf.node.run("bridge", "fdb", "add", mac, "dev", PORT, "master", "static")
    right_route(leaf, mac)


def another_hand(leaf: Leaf, mac: str) -> None:
    leaf.node.run("bridge", "fdb", "add", mac, "dev", VXLAN, "dst", "10.0.0.7", "self", "permanent")
    right_route(leaf, mac)


def peer_down(leaf: Leaf, mac: str) -> None:
    leaf.announce(B, at(B).mac(mac))
    wait_until(lambda: (mac, B) in leaf.tunnels(), what="the row")
    leaf.go_down(B, "hold timer expired")


def peer_back(leaf: Leaf, mac: str) -> None:
    leaf.come_up(B)
    leaf.announce(B, at(B).mac(mac))


def stale(leaf: Leaf, mac: str) -> None:
    leaf.announce(C, at(C).mac(mac))
    wait_until(lambda: (mac, C) in leaf.tunnels(), what="the row")
    leaf.go_down(C, "closing connection")


def fresh_again(leaf: Leaf, mac: str) -> None:
    leaf.say(leaf.lines.opened(C, RESTART_S[C]), leaf.lines.up(C), leaf.lines.announce(C, at(C).mac(mac)))
    leaf.say(leaf.lines.end_of_rib(C))


def claimed_twice(leaf: Leaf, mac: str) -> None:
    """Each move is judged before the next one is said: a burst of them is one move."""
    for seq in range(1, 8):
        vtep = (A, B)[seq % 2]
        leaf.announce(vtep, at(vtep).mac(mac, seq=seq))
        wait_until(lambda: (mac, vtep) in leaf.tunnels(), what=f"move {seq}")  # noqa: B023 - used at once


WAYS = (
    Way(
        "wrong-route-target",
        wrong_target,
        ("REFUSED", "rt-mismatch"),
        (f"Peer {A} advertised it", "Route Targets 65000:999", "VNI 100 imports 65000:100"),
        "Compare `import_rt`",
        right_route,
    ),
    Way(
        "unknown-vni",
        unknown_vni,
        ("REFUSED", "unknown-vni"),
        (f"Peer {A} advertised it", "label 555", "Route Targets 65000:555"),
        "Add the VNI",
        right_route,
    ),
    Way(
        "device-down",
        device_down,
        ("PENDING", "not-ready"),
        ("VNI 100 on bridge br100 and device vxlan100", "the VXLAN device is down (device-down)"),
        "`ip link set dev vxlan100 up`",
    ),
    Way(
        "learning-on-the-port",
        port_learns,
        ("PENDING", "not-ready"),
        ("the bridge port learns from the tunnel (learning-on-port)",),
        "`bridge link set dev vxlan100 learning off`",
    ),
    Way(
        "learning-on-the-device",
        device_learns,
        ("PENDING", "not-ready"),
        ("the device learns from the tunnel", "(learning-on-device)"),
        "`ip link set dev vxlan100 type vxlan nolearning`",
    ),
    Way(
        "static-local-mac",
        static_entry,
        ("CONTESTED", "local-static"),
        ("a static entry on port99 has the row and keeps it",),
        "Remove the entry if the station is gone",
    ),
    Way(
        "foreign-row",
        another_hand,
        ("CONTESTED", "foreign"),
        ("iproute2 or an orchestrator to 10.0.0.7 has the row and keeps it",),
        "Remove it if it is a leftover",
    ),
    Way(
        "peer-down",
        peer_down,
        ("UNHEARD", ""),
        (f"Not received: peer {B} is down (hold timer expired)",),
        "Look at the BGP session",
        peer_back,
        vtep=B,
    ),
    Way(
        "stale",
        stale,
        ("STALE", ""),
        (
            f"Behind {C} (only-path): installed on vxlan100",
            f"and stale: peer {C}, which advertised it, is down (closing connection)",
        ),
        "Wait for the peer",
        fresh_again,
        vtep=C,
    ),
    Way(
        "duplicate",
        claimed_twice,
        ("INSTALLED", ""),
        ("Duplicate: it moved", f"between {A} and {B}"),
        f"Find the duplicate or the loop behind {A} and {B}",
        vtep=B,
    ),
    Way(
        "own-next-hop",
        own_next_hop,
        ("REFUSED", "self-vtep"),
        ("the next hop is one of our own tunnel addresses", f"next hop {address(LEAF)}"),
        "unless another leaf has our address",
        right_route,
    ),
    Way(
        "devices-missing",
        device_gone,
        ("PENDING", "not-ready"),
        ("(bridge-missing)", "(vxlan-missing)"),
        "Make the VXLAN device",
        devices_again,
    ),
)


def verdict(explanation: dict[str, Any]) -> tuple[str, str]:
    wanted = explanation["desired"]
    if wanted is not None:
        return wanted["sync"]["state"], wanted["sync"]["reason"]
    candidates = explanation["candidates"]
    return ("REFUSED", candidates[0]["reason"]) if candidates else ("UNHEARD", "")


def mend(leaf: Leaf, way: Way, mac: str, advice: str) -> None:
    if way.mends is not None:
        way.mends(leaf, mac)
        return
    program, *words = re.findall(r"`([^`]+)`", advice)[-1].split()
    ran = leaf.ask(*words) if program == "vtep" else leaf.node.attempt(program, *words)
    assert ran.returncode == 0, (advice, ran.stderr)


def unwrapped(page: str) -> str:
    """Return the paragraph before the details, without the breaks of its lines."""
    return " ".join(page.split("\n\n", maxsplit=1)[0].split())


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_explain_names_the_cause_and_the_repair(shared: Leaf, way: Way) -> None:
    mac = shared.fresh_mac()

    def told() -> dict[str, Any]:
        explanation = shared.explanation(mac)
        assert verdict(explanation) == way.verdict
        assert all(words in explanation["summary"] for words in way.says), explanation["summary"]
        return explanation

    way.breaks(shared, mac)
    try:
        explanation = wait_until(told, what=f"the explanation of {way.name}")
        page = shared.ask("explain", mac)

        assert way.advises in explanation["advice"]
        assert page.returncode == 0
        assert max(map(len, page.stdout.splitlines())) <= 80
        # Ages go on between the two.
        assert re.sub(r"\d+ s ago", "", unwrapped(page.stdout)) == re.sub(
            r"\d+ s ago", "", f"{explanation['summary']} {explanation['advice']}"
        )
    finally:
        mend(shared, way, mac, shared.explanation(mac)["advice"])
    wait_until(lambda: shared.installed(mac, way.vtep), what="the row once it is mended")
    assert (mac, way.vtep) in shared.tunnels()
    after = shared.explanation(mac)
    assert after["summary"].startswith(f"Behind {way.vtep} (")
    assert "stale" not in after["summary"]
    assert "Duplicate" not in after["summary"]
    assert after["advice"] == ""


def test_a_daemon_that_may_not_write_says_which_right_it_lacks_until_it_has_it() -> None:
    with leaf_in_lab(*WITHOUT_RIGHTS) as leaf:
        mac = leaf.fresh_mac()
        right_route(leaf, mac)
        wait_until(lambda: verdict(leaf.explanation(mac)) == ("SUPPRESSED", "permanent-error"), what="the refusal")
        explanation = leaf.explanation(mac)
        status = leaf.vtep.told("status")
        refused = eperms(leaf)

        assert "(permanent-error): the kernel refused it: EPERM: CAP_NET_ADMIN is missing." in explanation["summary"]
        assert explanation["advice"] == "Give the daemon CAP_NET_ADMIN, and start it again."
        assert explanation["desired"]["sync"]["errno"] == 1
        assert (status["dataplane"]["state"], status["dataplane"]["reason"]) == ("off", "CAP_NET_ADMIN is missing")
        assert leaf.ask("health").returncode == 1

        assert leaf.ask("resync").returncode == 0
        wait_until(lambda: eperms(leaf) > refused, what="another try")

        leaf.stop()
        leaf.start()
        right_route(leaf, mac)
        wait_until(lambda: leaf.installed(mac, A), what="the row of a daemon that may")
        assert leaf.ask("health", "--wait", "5").returncode == 0


def eperms(leaf: Leaf) -> float:
    told = leaf.node.run(sys.executable, "-c", METRICS)
    return sum(float(line.split()[-1]) for line in told.splitlines() if "EPERM" in line and "_total{" in line)


# The other commands


def test_diff_has_the_row_while_it_differs(shared: Leaf) -> None:
    mac = shared.fresh_mac()
    before = shared.ask("diff")
    static_entry(shared, mac)
    try:
        wait_until(lambda: shared.ask("diff").returncode == 1, what="a difference")
        table, told = shared.ask("diff"), shared.vtep.told("diff")["differences"]
    finally:
        shared.node.run("bridge", "fdb", "del", mac, "dev", PORT, "master")
    wait_until(lambda: shared.ask("diff").returncode == 0, 20, "no difference")

    assert (before.returncode, before.stdout) == (0, "")
    assert mac in table.stdout
    assert [(row["kind"], row["difference"], row["key"], row["reason"]) for row in told] == [
        ("mac", "contested", mac, "local-static")
    ]


def test_what_the_commands_list_is_what_the_kernel_has_row_by_row(shared: Leaf) -> None:
    macs = [shared.fresh_mac() for _ in range(6)]
    shared.announce(A, *(at(A).mac(mac, f"172.16.0.{number}") for number, mac in enumerate(macs[:3], 1)), at(A).flood())
    shared.announce(B, *(at(B).mac(mac) for mac in macs[3:]), at(B).flood())
    wait_until(lambda: shared.ask("health").returncode == 0, what="readiness")
    wait_until(lambda: len(shared.vtep.told("neighbors")["neighbors"]) == 3, what="the hosts")

    told = shared.vtep.told("macs")
    vteps = shared.vtep.told("vteps")["vteps"]
    neighbors = shared.vtep.told("neighbors")["neighbors"]
    [vni] = shared.vtep.told("vnis")["vnis"]
    status = shared.vtep.told("status")
    peers = {peer["address"]: peer for peer in shared.vtep.told("peers")["peers"]}

    rows, floods = set(), set()
    for mac, vtep in shared.tunnels():
        (floods if mac == overlay.FLOOD_MAC else rows).add((mac, vtep))
    assert {(row["mac"], row["vtep"]) for row in told["macs"] if row["sync"]["state"] == "INSTALLED"} == rows
    assert {(mac, A) for mac in macs[:3]} | {(mac, B) for mac in macs[3:]} <= rows
    assert told["total"] == len(rows)
    assert {row["vtep"] for row in vteps if row["flood"]} == {vtep for _, vtep in floods} == {A, B}
    assert {row["vtep"]: row["macs"] for row in vteps} == {
        vtep: sum(behind == vtep for _, behind in rows) for vtep in {behind for _, behind in rows}
    }
    assert {row["ip"]: row["mac"] for row in neighbors} == overlay.neighbors(shared.node, BRIDGE)
    assert (vni["state"], vni["macs"]["wanted"], vni["macs"]["installed"]) == ("ready", len(rows), len(rows))
    assert {kind["kind"]: kind["installed"] for kind in status["kinds"] if kind["wanted"]} == {
        "mac": len(rows),
        "flood": 2,
        "neighbor": 3,
    }
    assert {peer: told["up"] for peer, told in peers.items()} == {A: True, B: True, C: True}


def test_while_a_device_is_gone_no_command_calls_its_rows_installed(shared: Leaf) -> None:
    mac = shared.fresh_mac()
    right_route(shared, mac)
    wait_until(lambda: shared.installed(mac, A), what="the row")
    device_gone(shared, mac)
    try:
        wait_until(lambda: not shared.installed(mac, A), what="the loss")
        explanation = shared.explanation(mac)
        [vni] = shared.vtep.told("vnis")["vnis"]
        states = {row["sync"]["state"] for row in shared.vtep.told("macs")["macs"]}
        diff = shared.vtep.told("diff")["differences"]
    finally:
        devices_again(shared, mac)
    wait_until(lambda: shared.installed(mac, A), what="the row")

    assert explanation["kernel"]["state"] == "unknown"
    assert explanation["desired"]["sync"]["since"] is None
    assert vni["macs"]["installed"] == 0
    assert vni["macs"]["pending"] == vni["macs"]["wanted"] > 0
    assert states == {"PENDING"}
    assert ("missing", mac, "not-ready") in {(row["difference"], row["key"], row["reason"]) for row in diff}


def test_the_journal_has_the_move_the_holder_the_repair_and_the_peer(shared: Leaf) -> None:
    moving, held, struck = (shared.fresh_mac() for _ in range(3))
    shared.announce(A, at(A).mac(moving, seq=1), at(A).mac(struck))
    wait_until(lambda: {(moving, A), (struck, A)} <= shared.tunnels(), what="the rows")
    shared.announce(B, at(B).mac(moving, seq=2))
    static_entry(shared, held)
    try:
        shared.node.run("bridge", "fdb", "del", struck, "dev", VXLAN, "self")
        shared.go_down(C, "hold timer expired")
        wait_until(lambda: "repaired" in shared.events(struck), what="the repair")
        wait_until(lambda: "contested" in shared.events(held), what="the contest")
        wait_until(lambda: "move" in shared.events(moving), what="the move")
    finally:
        shared.node.run("bridge", "fdb", "del", held, "dev", PORT, "master")
        shared.come_up(C)
    wait_until(lambda: "recovered" in shared.events(held), what="the end of the contest")

    told = shared.vtep.told("events")["events"]
    move = next(event for event in told if event["mac"] == moving and event["kind"] == "move")
    contest = next(event for event in told if event["mac"] == held and event["kind"] == "contested")
    assert (move["vtep_before"], move["vtep"], move["reason"]) == (A, B, "higher-seq")
    assert move["generation"] > 0
    assert move["time"]
    assert "a static entry on port99" in json.dumps(contest)
    assert ("peer-down", C, "hold timer expired") in {(event["kind"], event["peer"], event["reason"]) for event in told}
    assert "peer-up" in {event["kind"] for event in told if event["peer"] == C}
    assert (struck, A) in shared.tunnels()


def test_rows_whose_claim_was_lost_are_shown_first_and_taken_by_adopt(leaf: Leaf) -> None:
    """The ledger went, with a disk or a person: the rows bear our mark, and the next life does not know them."""
    lost, wanted = leaf.fresh_mac(), leaf.fresh_mac()
    leaf.announce(A, at(A).mac(lost), at(A).mac(wanted))
    wait_until(lambda: {(lost, A), (wanted, A)} <= leaf.tunnels(), what="the rows")
    leaf.stop()
    leaf.node.path("/run/vtep/ledger").unlink()
    leaf.start()
    leaf.announce(A, at(A).mac(wanted))
    wait_until(lambda: leaf.installed(wanted, A), what="the row that is wanted still")

    explanation = leaf.explanation(lost)
    dry = leaf.vtep.told("adopt", "--dry-run")
    there_after_dry = (lost, A) in leaf.tunnels()
    ran = leaf.ask("adopt")
    wait_until(lambda: leaf.tunnels() == {(wanted, A)}, what="the end of the orphan")

    assert (
        explanation["summary"] == f"No peer advertises it, but the kernel has an orphan row with our signature to {A}."
    )
    assert "`vtep adopt`" in explanation["advice"]
    assert dry["rows"] == [f"100 {lost} {A}"]
    assert there_after_dry
    assert ran.returncode == 0
    assert leaf.vtep.told("adopt", "--dry-run")["rows"] == []
    assert "adopted" in leaf.events()


def test_watch_shows_a_move_and_continues_in_the_next_life_of_the_daemon(leaf: Leaf) -> None:
    mac = leaf.fresh_mac()
    leaf.announce(A, at(A).mac(mac, seq=1))
    watcher = leaf.node.start(str(VTEP), "watch", "-o", "json", log="/run/log/watch.log")

    def told(kind: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in watcher.log().splitlines() if line.startswith("{")]
        return [line for line in lines if line["type"] == kind]

    def behind(vtep: str) -> bool:
        return any((row["mac"], row["vtep"]) == (mac, vtep) for row in told("mac"))

    wait_until(lambda: [line for line in told("mark") if line["mark"] == "SYNCED"], what="the mark of a full picture")
    leaf.announce(B, at(B).mac(mac, seq=2))
    wait_until(lambda: behind(B), what="the move")
    wait_until(lambda: "move" in {event["kind"] for event in told("event")}, what="its event")
    leaf.stop()
    wait_until(lambda: "the daemon is gone" in watcher.log(), what="the watcher's word of it")
    leaf.start()
    # It tells changes, and no row that was there when it came back.
    wait_until(lambda: "the daemon is back" in watcher.log(), deadline_s=15, what="the watcher's return")
    leaf.announce(C, at(C).mac(mac, seq=3))
    wait_until(lambda: behind(C), what="what happened in the next life")

    assert watcher.stop() != 0 or not watcher.alive


def test_health_waits_until_the_devices_are_fit(shared: Leaf) -> None:
    mac = shared.fresh_mac()
    device_down(shared, mac)
    try:
        wait_until(lambda: shared.ask("health").returncode == 1, what="unreadiness")
        said = shared.ask("health").stderr
    finally:
        shared.node.ip(f"link set dev {VXLAN} up")
    waited = shared.ask("health", "--wait", "10")

    assert "VNI 100 is not ready: device-down" in said
    assert (waited.returncode, waited.stdout) == (0, "ready\n")


def test_a_mac_that_was_withdrawn_leaves_nothing_behind_and_is_explained_as_not_received(shared: Leaf) -> None:
    mac = shared.fresh_mac()
    right_route(shared, mac)
    wait_until(lambda: (mac, A) in shared.tunnels(), what="the row")
    shared.withdraw(A, at(A).mac(mac))
    wait_until(lambda: verdict(shared.explanation(mac)) == ("UNHEARD", ""), what="the withdrawal")

    explanation = shared.explanation(mac)
    assert (explanation["ownership"]["state"], explanation["kernel"]["state"]) == ("none", "absent")
    assert not [row for device in (VXLAN, PORT) for row in overlay.fdb(shared.node, device) if row["mac"] == mac]


def test_a_mac_of_this_host_is_never_taken_for_a_remote_one(shared: Leaf) -> None:
    [link] = json.loads(shared.node.run("ip", "-j", "link", "show", "dev", PORT))
    shared.announce(A, at(A).mac(link["address"]))
    wait_until(lambda: verdict(shared.explanation(link["address"])) == ("REFUSED", "self-mac"), what="the refusal")

    explanation = shared.explanation(link["address"])
    assert "the MAC belongs to a device of this host" in explanation["summary"]
    assert explanation["advice"] == "Nothing, unless another host has the same MAC."
    shared.withdraw(A, at(A).mac(link["address"]))


def test_a_vtep_that_no_flood_reaches_and_a_tunnel_that_is_too_narrow_are_reported(shared: Leaf) -> None:
    mac = shared.fresh_mac()
    shared.announce(C, at(C).mac(mac))
    shared.node.ip(f"link set dev {VXLAN} mtu 1400", f"link set dev {BRIDGE} mtu 1500")
    try:
        wait_until(lambda: shared.installed(mac, C), what="the row")
        [vtep] = [row for row in shared.vtep.told("vteps")["vteps"] if row["vtep"] == C]
        told = wait_until(
            lambda: [note for note in shared.vtep.told("vnis")["vnis"][0]["notes"] if note.startswith("mtu:")],
            what="the note about the MTU",
        )
    finally:
        shared.node.ip(f"link set dev {VXLAN} mtu 1450", f"link set dev {BRIDGE} mtu 1450")
    shared.withdraw(C, at(C).mac(mac))

    assert (vtep["flood"], vtep["notes"]) == (False, ["rt2-without-imet"])
    assert "1400" in told[0]
