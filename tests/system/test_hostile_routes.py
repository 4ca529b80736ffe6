"""What one peer's routes cannot do to the rows of a leaf: made-up VTEPs, a next hop of the other address family.

docs/security.md has a row for each of these.
"""

import json

from tests.lab import overlay
from tests.lab.feeder import Feeder
from tests.lab.fixtures import lab, network
from tests.lab.lines import Lines
from tests.lab.topology import BRIDGE, LEAF, VXLAN, address
from tests.lab.vtep import Vtep, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance

__all__ = ["lab", "network"]

MAC, OTHER_MAC = "02:00:00:00:01:01", "02:00:00:00:01:02"
PEER = address(1)
REMOTE = Instance(PEER)
HIJACKER = "10.0.0.66"
MADE_UP = [f"10.66.{number >> 8}.{number & 255}" for number in range(1, 301)]


def started(network, **options) -> Vtep:
    vtep = Vtep(network.leaf, leaf_config(**options))
    vtep.start()
    wait_until(lambda: '"started"' in vtep.process.log(), 20, "its start")
    return vtep


def alerts(vtep) -> list[tuple]:
    events = vtep.told("events")["events"]
    return [(event["vni"], event["reason"]) for event in events if event["kind"] == "alert"]


def test_made_up_vteps_stop_at_the_limit_and_the_real_one_keeps_its_row(network):
    vtep, lines = started(network, more="[limits]\nvteps_per_vni = 5\n"), Lines()

    with Feeder(network.leaf) as feeder:
        feeder.say(lines.opened(PEER, 120), lines.up(PEER), lines.announce(PEER, REMOTE.flood()))
        feeder.say(lines.end_of_rib(PEER))
        wait_until(lambda: overlay.floods(network.leaf, VXLAN) == {PEER}, what="the row of the real VTEP")
        feeder.say(*(lines.announce(PEER, Instance(made_up).flood()) for made_up in MADE_UP))
        feeder.say(lines.announce(PEER, REMOTE.mac(MAC)))
        wait_until(lambda: (MAC, PEER) in overlay.tunnels(network.leaf, VXLAN), 20, "what was said after them")
        flooded = overlay.floods(network.leaf, VXLAN)
        [vni] = vtep.told("vnis")["vnis"]
        feeder.say(*(lines.withdraw(PEER, Instance(made_up).flood().nlri) for made_up in MADE_UP))
        wait_until(lambda: overlay.floods(network.leaf, VXLAN) == {PEER}, 20, "the made-up ones to go")

    assert (len(flooded), PEER in flooded) == (5, True)
    assert "vtep-limit: 296 VTEPs have no flood row" in vni["notes"]
    assert alerts(vtep) == [(100, "near-vtep-limit"), (100, "vtep-limit")]


def test_only_addresses_in_vtep_prefixes_get_rows(network):
    vtep, lines = started(network, node='vtep_prefixes = ["10.0.0.0/24"]'), Lines()
    stranger = Instance(MADE_UP[0])

    with Feeder(network.leaf) as feeder:
        feeder.say(lines.up(PEER), lines.announce(PEER, stranger.flood()), lines.announce(PEER, REMOTE.flood()))
        feeder.say(lines.announce(PEER, stranger.mac(MAC, seq=9)), lines.announce(PEER, REMOTE.mac(MAC)))
        wait_until(lambda: (MAC, PEER) in overlay.tunnels(network.leaf, VXLAN), what="the row of the real VTEP")
        candidates = vtep.told("explain", MAC)["explanations"][0]["candidates"]

    assert overlay.floods(network.leaf, VXLAN) == {PEER}
    assert [(one["verdict"], one["reason"]) for one in candidates] == [
        ("won", "only-path"),
        ("refused", "unlisted-vtep"),
    ]


def test_a_next_hop_of_the_other_family_neither_wins_nor_makes_the_leaf_not_ready(network):
    vtep, lines = started(network), Lines()
    far = Instance("2001:db8::66", rd="65000:66")

    with Feeder(network.leaf) as feeder:
        feeder.say(lines.opened(PEER, 120), lines.up(PEER), lines.announce(PEER, REMOTE.mac(MAC)))
        feeder.say(lines.announce(PEER, far.mac(MAC, seq=9)), lines.announce(PEER, far.mac(OTHER_MAC)))
        feeder.say(lines.announce(PEER, far.flood()), lines.announce(PEER, REMOTE.flood()), lines.end_of_rib(PEER))
        wait_until(lambda: overlay.floods(network.leaf, VXLAN) == {PEER}, what="the flood row of the usable VTEP")
        health = vtep.ask("health", "--wait", "10")
        candidates = vtep.told("explain", MAC)["explanations"][0]["candidates"]

    assert overlay.tunnels(network.leaf, VXLAN) == {(MAC, PEER), (overlay.FLOOD_MAC, PEER)}
    assert health.returncode == 0
    assert [(one["verdict"], one["reason"]) for one in candidates] == [
        ("won", "only-path"),
        ("refused", "family-mismatch"),
    ]


BAD_HOSTS = ["0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255", "::1", "ff02::1", "ff02::5"]
GATEWAY, BROADCAST, HOST = "172.16.0.254", "172.16.0.255", "172.16.0.77"


def neighbors(network) -> set[str]:
    """Return the addresses of our neighbor rows on the bridge."""
    shown = network.leaf.run("ip", "-j", "neigh", "show", "dev", BRIDGE, "proto", "229")
    return {row["dst"] for row in json.loads(shown or "[]")}


def test_addresses_that_no_remote_host_can_have_never_become_neighbor_rows(network):
    """Otherwise the leaf's own packets to 224.0.0.5 leave as unicast to whom the route names."""
    network.leaf.ip(f"link set dev {VXLAN} type bridge_slave neigh_suppress on", f"addr add {GATEWAY}/24 dev {BRIDGE}")
    vtep, lines = started(network), Lines()

    with Feeder(network.leaf) as feeder:
        feeder.say(lines.opened(PEER, 120), lines.up(PEER))
        for ip in (*BAD_HOSTS, address(LEAF), GATEWAY, BROADCAST, HOST):
            feeder.say(lines.announce(PEER, REMOTE.mac(MAC, ip)))
        feeder.say(lines.end_of_rib(PEER))
        wait_until(lambda: neighbors(network) == {HOST}, what="the one address that a host can have")
        candidates = vtep.told("explain", MAC)["explanations"][0]["candidates"]

        network.leaf.ip(f"addr del {GATEWAY}/24 dev {BRIDGE}")
        wait_until(lambda: neighbors(network) == {HOST, GATEWAY, BROADCAST}, what="the address that the bridge gave up")
        network.leaf.ip(f"addr add {HOST}/32 dev {BRIDGE}")
        wait_until(
            lambda: neighbors(network) == {GATEWAY, BROADCAST}, what="the row of an address that is ours now to go"
        )

    notes = {one["ip"]: [note for note in one["notes"] if note.endswith("-host")] for one in candidates}
    assert notes == {
        **{ip: ["bad-host"] for ip in BAD_HOSTS},
        **{ip: ["gateway-host"] for ip in (GATEWAY, BROADCAST)},
        address(LEAF): ["self-host"],
        HOST: [],
    }


def test_a_freeze_ends_with_the_hijack_that_caused_it(network):
    """The row must not point to the hijacker after it has withdrawn the MAC."""
    vtep, lines = started(network, more='[duplicates]\nmoves = 2\nwindow_s = 4\naction = "freeze"\n'), Lines()
    hijacker = Instance(HIJACKER)

    with Feeder(network.leaf) as feeder:
        feeder.say(lines.opened(PEER, 120), lines.up(PEER), lines.end_of_rib(PEER))
        for seq, vtep_ in enumerate((hijacker, REMOTE, hijacker, REMOTE)):
            feeder.say(lines.announce(PEER, vtep_.mac(MAC, seq=seq)))
            wait_until(lambda: overlay.tunnels(network.leaf, VXLAN), what="a row")
            wait_until(lambda seq=seq: sequence(vtep, MAC) == seq, what="the verdict")
        frozen = overlay.tunnels(network.leaf, VXLAN)
        explained = vtep.told("explain", MAC)["explanations"][0]
        feeder.say(lines.withdraw(PEER, hijacker.mac(MAC).nlri))
        wait_until(lambda: overlay.tunnels(network.leaf, VXLAN) == {(MAC, PEER)}, 15, what="the row to follow")
        ended = vtep.told("explain", MAC)["explanations"][0]

    assert frozen == {(MAC, HIJACKER)}
    assert f"frozen behind {HIJACKER}" in explained["summary"]
    assert f"Without that it would be behind {PEER}." in explained["summary"]
    assert (explained["alerts"], ended.get("alerts", [])) == (["dup-frozen"], [])


def sequence(vtep, mac: str) -> int:
    """Return the highest sequence number that was judged for a MAC."""
    found = [one["seq"] for one in vtep.told("explain", mac)["explanations"][0]["candidates"]]
    return max(map(int, found), default=-1)
