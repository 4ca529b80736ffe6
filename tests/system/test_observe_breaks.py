"""A leaf whose rows FRR 8.4 writes, broken in many ways, each mended again: what `vtep explain` says of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest

from tests.lab.fixtures import lab, network, skipped_if_missing
from tests.lab.speaker import Speaker
from tests.lab.topology import BRIDGE, LEAF, VXLAN, address
from tests.lab.wait import wait_until
from tests.lab.wire import Instance
from tests.system.test_observe import differences, frr_that_reports, observer

__all__ = ["lab", "network"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow, pytest.mark.timeout(300)]

REMOTE: Final = Instance(address(1))
ELSEWHERE: Final = Instance(address(2))
MAC: Final = "02:00:00:00:00:0a"
NEW: Final = "02:00:00:00:00:0b"
FROM_ME: Final = Instance(address(LEAF), rd=f"{address(1)}:100")
UNREACHED: Final = "02:00:00:00:00:0c"
FAR: Final = Instance("192.0.2.1")
OTHER_TARGET: Final = Instance(address(1), vni=200, targets=("65000:200",))


@dataclass(frozen=True)
class Break:
    """One way to break the leaf, how it is mended, and what is told."""

    name: str
    explained: tuple[str, ...]
    """In what explain says."""
    mend: str = ""
    """A command that explain must name, and that mends it."""
    run: str = ""
    """What breaks it, in a shell of the leaf."""
    undo: str = ""
    mac: str = MAC
    zebra_sleeps: bool = False
    is_over: bool = True
    """Nothing differs after it was mended."""
    tell: Callable[[Speaker], None] = lambda _: None
    take_back: Callable[[Speaker], None] = lambda _: None


def fdb(what: str) -> str:
    return f"bridge fdb {what}"


WRITE: Final = f"bridge fdb replace {MAC} dev {VXLAN} dst {address(1)} self master extern_learn"

# fmt: off
BREAKS: Final = (
    Break("half a row", ("Half a row for", "VXLAN device lacks its part", "FRR does not try again"), WRITE,
          fdb(f"del {MAC} dev {VXLAN} self")),
    Break("another VTEP", ("Elsewhere in the kernel for", "leads to 10.0.0.77"), WRITE,
          fdb(f"replace {MAC} dev {VXLAN} dst 10.0.0.77 self extern_learn")),
    Break("an orchestrator's static row", ("leads to 10.0.0.77, in a row as iproute2 or an orchestrator writes it",), "",
          fdb(f"replace {MAC} dev {VXLAN} dst 10.0.0.77 self static"), WRITE),
    Break("a row that nothing wants", ("Stale: no route wants it", "10.0.0.77", "FRR #21473"),
          f"bridge fdb del {NEW} dev {VXLAN} dst 10.0.0.77 self master",
          fdb(f"add {NEW} dev {VXLAN} dst 10.0.0.77 self master extern_learn"), mac=NEW),
    Break("a VXLAN device that is down", ("not ready", "device-down"), f"ip link set dev {VXLAN} up",
          f"ip link set dev {VXLAN} down"),
    Break("a bridge that is down", ("not ready", "bridge-down"), f"ip link set dev {BRIDGE} up",
          f"ip link set dev {BRIDGE} down"),
    Break("a VXLAN device outside its bridge", ("not ready", "not-enslaved"),
          f"ip link set dev {VXLAN} master {BRIDGE}", f"ip link set dev {VXLAN} nomaster",
          f"bridge link set dev {VXLAN} learning off"),
    Break("a port that learns", ("not ready", "learning-on-port"), f"bridge link set dev {VXLAN} learning off",
          f"bridge link set dev {VXLAN} learning on"),
    Break("a static entry at a local port", ("Elsewhere in the kernel for", "the bridge has it at port99"), f"bridge fdb del {MAC} dev port99 master",
          fdb(f"replace {MAC} dev port99 master static"),
          WRITE),
    Break("a write of zebra that is lost", ("Received, and not in the kernel for", "no program has written its row",
                                            f"show evpn mac vni 100 mac {NEW}"), mac=NEW, zebra_sleeps=True,
          tell=lambda speaker: speaker.announce(REMOTE.mac(NEW)),
          take_back=lambda speaker: speaker.withdraw(REMOTE.mac(NEW))),
    Break("a withdrawal that zebra does not carry out", ("Stale: no route wants it", "in a row as zebra writes it"),
          zebra_sleeps=True,
          tell=lambda speaker: speaker.withdraw(REMOTE.mac(MAC)),
          take_back=lambda speaker: speaker.announce(REMOTE.mac(MAC))),
    Break("a move that zebra does not carry out", ("Elsewhere in the kernel", "behind 10.0.0.2", "leads to 10.0.0.1"),
          zebra_sleeps=True, is_over=False,
          tell=lambda speaker: speaker.announce(ELSEWHERE.mac(MAC, seq=1)),
          take_back=lambda speaker: speaker.withdraw(ELSEWHERE.mac(MAC, seq=1))),
    # What FRR 8.4 leaves of the one before: the best route has a lower sequence number now.
    Break("a sequence number that falls", ("Elsewhere in the kernel", "behind 10.0.0.1", "leads to 10.0.0.2", "#10468"),
          WRITE),
    Break("a route of another VNI", ("Refused (unknown-vni)", "Route Targets 65000:200"), mac=NEW,
          tell=lambda speaker: speaker.announce(OTHER_TARGET.mac(NEW)),
          take_back=lambda speaker: speaker.withdraw(OTHER_TARGET.mac(NEW))),
    Break("a route that leads back here", ("not accepted: its table after policy withdraws",), mac=NEW,
          tell=lambda speaker: speaker.announce(FROM_ME.mac(NEW)),
          take_back=lambda speaker: speaker.withdraw(FROM_ME.mac(NEW))),
    Break("a next hop that is not reachable", ("not accepted: its table after policy withdraws", "show ip nht"), mac=UNREACHED,
          tell=lambda speaker: speaker.announce(FAR.mac(UNREACHED)),
          take_back=lambda speaker: speaker.withdraw(FAR.mac(UNREACHED))),
    Break("a MAC that no peer advertises", ("Not received: no peer's post-policy table has it", "a policy (`route-map"),
          mac="02:00:00:00:00:0d"),
    Break("a bgpd that no longer reports", ("no router reports by BMP, and peer 10.0.0.1 advertised it before",), "",
          "vtysh -c 'configure terminal' -c 'router bgp 65000' -c 'bmp targets vtep' "
          "-c 'no bmp connect 127.0.0.1 port 11019 min-retry 100 max-retry 1000'",
          "vtysh -c 'configure terminal' -c 'router bgp 65000' -c 'bmp targets vtep' "
          "-c 'bmp connect 127.0.0.1 port 11019 min-retry 100 max-retry 1000'"),
)
# fmt: on


def rows_of_zebra(leaf):
    rows = leaf.run("bridge", "fdb", "show", "dev", VXLAN)
    return all(f"dst {there}" in rows for there in (address(1), address(2))) and MAC in rows


def test_each_break_is_explained_and_mended(network):
    leaf = network.leaf
    with skipped_if_missing():
        frr = frr_that_reports(leaf, "post-policy")
    vtep = observer(leaf)
    failed = {}
    with Speaker(network.remote, address(1)) as speaker:
        frr.start()
        speaker.wait_established()
        speaker.announce(REMOTE.flood(), ELSEWHERE.flood(), REMOTE.mac(MAC))
        # Until bgpd has resolved the next hop, it reports these routes as withdrawn, and it never corrects that.
        wait_until(lambda: rows_of_zebra(leaf), 20, "zebra has written its rows")
        vtep.start()
        wait_until(lambda: vtep.told("status")["ready"] and differences(vtep) == {}, 40, "it is in sync")

        for broken in BREAKS:
            told = ""

            def explains(broken=broken):
                nonlocal told
                told = " ".join(vtep.ask("explain", broken.mac, "--vni", "100").stdout.split())
                return all(words in told for words in (*broken.explained, broken.mend))

            if broken.zebra_sleeps:
                leaf.run("kill", "-STOP", str(frr.zebra.pid))
            try:
                if broken.run:
                    leaf.run("sh", "-c", broken.run)
                broken.tell(speaker)
                wait_until(explains, 15, broken.name)
            except Exception:
                failed[broken.name] = told[:900]
            finally:
                if broken.zebra_sleeps:
                    leaf.run("kill", "-CONT", str(frr.zebra.pid))
                broken.take_back(speaker)
                for command in filter(None, (broken.mend, broken.undo)):
                    leaf.run("sh", "-c", command)
            if not broken.is_over:
                continue
            try:
                wait_until(lambda: differences(vtep) == {}, 8, "it is in sync again")
            except Exception:
                failed[f"{broken.name}, mended"] = str(differences(vtep)) + told[:300]
    for name, told in failed.items():
        print(name, "::", told)
    assert list(failed) == []
    assert len(BREAKS) >= 15


DROPPED, RAISED, AS_SENT, NOT_SENT = (f"02:00:00:00:00:1{number}" for number in range(4))
POLICY: Final = f"""mac access-list dropped seq 5 permit {DROPPED}
mac access-list raised seq 5 permit {RAISED}
route-map from-remote deny 10
 match mac address dropped
route-map from-remote permit 20
 match mac address raised
 set local-preference 300
route-map from-remote permit 30
"""


def test_what_a_policy_drops_and_changes_is_told_where_both_tables_come(network):
    more = f"neighbor {address(1)} soft-reconfiguration inbound\nneighbor {address(1)} route-map from-remote in"
    with skipped_if_missing():
        frr = frr_that_reports(network.leaf, "pre-policy", "post-policy", more=more, policy=POLICY)
    vtep = observer(network.leaf)

    def explained(mac, *words):
        wait_until(
            lambda: all(one in " ".join(vtep.ask("explain", mac, "--vni", "100").stdout.split()) for one in words),
            10,
            words[0],
        )

    with Speaker(network.remote, address(1)) as speaker:
        frr.start()
        speaker.wait_established()
        speaker.announce(REMOTE.flood(), REMOTE.mac(AS_SENT), REMOTE.mac(DROPPED), REMOTE.mac(RAISED))
        wait_until(lambda: AS_SENT in network.leaf.run("bridge", "fdb", "show", "dev", VXLAN), 20, "rows of zebra")
        vtep.start()
        wait_until(lambda: vtep.told("status")["ready"] and differences(vtep) == {}, 40, "it is in sync")

        explained(DROPPED, "Sent by 10.0.0.1, and dropped by the router", "Route Targets 65000:100", "route-map ... in")
        explained(RAISED, "in sync", "policy changed what peer 10.0.0.1 sent: local preference 100 became 300")
        explained(NOT_SENT, "Not sent: no peer's table before policy has it")
        network.leaf.run("bridge", "fdb", "del", AS_SENT, "dev", VXLAN, "self")
        explained(AS_SENT, "Half a row", "peer 10.0.0.1 advertises it (post-policy, as the peer sent it)")

        frr.configure("no route-map from-remote deny 10")
        frr.vtysh("clear bgp l2vpn evpn * soft in")
        explained(DROPPED, "in sync")
        speaker.withdraw(REMOTE.mac(DROPPED))
        explained(DROPPED, "Not sent: no peer's table before policy has it")
