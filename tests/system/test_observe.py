"""A leaf whose rows FRR's zebra writes, and vtep beside it that only looks: it finds nothing, or what is broken and since when."""

import re
from pathlib import Path

import pytest

from tests.lab.fixtures import lab, network, skipped_if_missing
from tests.lab.peers import Frr, bmp_targets, frr_config
from tests.lab.speaker import Speaker
from tests.lab.topology import LEAF, VXLAN, address
from tests.lab.vtep import VTEP, Vtep, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance
from torture.observe import soak

__all__ = ["lab", "network"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow]

REMOTE = Instance(address(1))
MACS = [f"02:00:00:00:02:{number:02x}" for number in range(20)]
README = Path(__file__).parents[2] / "README.md"
STRAY = "02:00:00:00:09:09"
READ_METRICS = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9479/metrics').read().decode())"


def differences(vtep):
    """Return the reason of each row that is not as wanted."""
    return {row["key"]: row["reason"] for row in vtep.told("diff")["differences"]}


def installed(vtep):
    counts = {row["kind"]: row["installed"] for row in vtep.told("status")["kinds"]}
    return counts["mac"], counts["flood"]


def frr_that_reports(node, *tables, more="", policy=""):
    config = policy + frr_config(address(LEAF), [address(1)], more=more)
    return Frr(node, config.replace("address-family", bmp_targets(*tables) + "address-family", 1), bmp=True)


def observer(node, more=""):
    return Vtep(node, leaf_config(peers=[address(1)], node='mode = "observe"', more=f'bmp = "127.0.0.1:11019"\n{more}'))


def test_rows_of_zebra_are_in_sync_and_a_broken_one_is_found(network):
    leaf = network.leaf
    with skipped_if_missing():
        frr = frr_that_reports(leaf, "post-policy")
    vtep = observer(leaf)
    with Speaker(network.remote, address(1)) as speaker:
        frr.start()
        speaker.wait_established()
        speaker.announce(REMOTE.flood(), *(REMOTE.mac(mac) for mac in MACS))
        vtep.start("capsh", "--drop=cap_net_admin", "--", "-c", 'exec "$0" "$@"')
        wait_until(lambda: vtep.told("status")["ready"], 30, "it is ready")
        wait_until(lambda: differences(vtep) == {}, 20, "no difference")
        wait_until(lambda: installed(vtep) == (len(MACS), 1), 20, "all rows, and the flood row in the next dump")
        status, of_one = vtep.ask("status").stdout, vtep.ask("explain", MACS[0]).stdout
        told = frr.macs()

        leaf.run("bridge", "fdb", "del", MACS[3], "dev", VXLAN, "self")
        leaf.run("bridge", "fdb", "replace", MACS[4], "dev", VXLAN, "dst", "10.0.0.77", "self", "extern_learn")
        leaf.run("bridge", "fdb", "add", STRAY, "dev", VXLAN, "dst", "10.0.0.77", "self", "master", "extern_learn")
        broken = {MACS[3]: "observed-half", MACS[4]: "observed-different", STRAY: "observed-unwanted"}
        wait_until(lambda: differences(vtep) == broken, 10, "all that is broken")
        young = vtep.ask("diff", "--older-than", "60s")
        wait_until(lambda: vtep.told("status")["state"] == "degraded", 20, "the differences are older than 5 s")
        problems = vtep.told("status")["problems"]
        metrics = leaf.run("python3", "-c", READ_METRICS)
        told_of = {mac: " ".join(vtep.ask("explain", mac).stdout.split()) for mac in broken}
        for mac in broken:
            leaf.run("sh", "-c", told_of[mac].split("run `")[1].split("`")[0])
        wait_until(lambda: differences(vtep) == {}, 20, "it is mended by the commands of explain")

    assert "observing" in status
    assert "in sync: zebra has it on vxlan100" in of_one
    assert {mac for mac, _ in told} >= set(MACS)  # bgpd heard of none of this
    assert (young.returncode, young.stdout.count(MACS[3])) == (0, 0)
    assert [text for text in problems if "mac row" in text] == [
        f"1 mac row differs from what is wanted (observed-{word})" for word in ("different", "half", "unwanted")
    ]
    assert 'vtep_observe_differences{kind="mac",reason="observed-half"} 1.0' in metrics
    assert "Half a row" in told_of[MACS[3]]
    assert "leads to 10.0.0.77" in told_of[MACS[4]]
    assert "Stale" in told_of[STRAY]
    assert not list(vtep.node.path("/run/vtep").glob("ledger*"))


def test_rows_that_frr_changes_all_the_time_are_no_differences():
    with skipped_if_missing():
        found = soak(300, 4.0)

    assert found.false == []
    assert found.changes > 100
    assert found.answers > 1


def test_init_writes_what_frr_and_vtep_need(network):
    leaf = network.leaf
    with skipped_if_missing():
        frr = Frr(leaf, frr_config(address(LEAF), [address(1)]), bmp=True)
    with Speaker(network.remote, address(1)) as speaker:
        frr.start()
        speaker.wait_established()
        wait_until(lambda: frr.json("show bgp l2vpn evpn vni")["numL2Vnis"] == 1, 20, "the VNI in bgpd")
        leaf.run(str(VTEP), "init", "--observe", "--directory", "/run/made")
        frr.vtysh_file("/run/made/frr-bmp.conf")
        speaker.announce(REMOTE.flood(), REMOTE.mac(MACS[0]))
        vtep = Vtep(leaf, leaf.path("/run/made/vtep.toml").read_text())
        vtep.start()
        wait_until(lambda: vtep.told("status")["ready"] and differences(vtep) == {}, 40, "it is in sync")
        wait_until(lambda: installed(vtep) == (1, 1), 20, "both rows")

    assert 'import_rt = ["*:100"]' in leaf.path("/run/made/vtep.toml").read_text()


def test_what_the_readme_says_about_a_leaf_beside_frr(network):
    """Its blocks are used as they are: what FRR must say, the file, and the commands."""
    section = README.read_text().split("## Beside FRR, read-only")[1].split("\n## ")[0]
    frr_says, toml, commands = (
        re.search(rf"```{kind}\n(.*?)```", section, re.DOTALL)[1] for kind in ("frr", "toml", "sh")
    )
    with skipped_if_missing():
        frr = Frr(network.leaf, frr_config(address(LEAF), [address(1)]), bmp=True)
    vtep = Vtep(network.leaf, toml)
    with Speaker(network.remote, address(1)) as speaker:
        frr.start()
        speaker.wait_established()
        speaker.announce(REMOTE.flood(), REMOTE.mac("02:00:00:00:00:01"))
        network.leaf.run(
            "vtysh", *(word for line in ("configure terminal", *frr_says.splitlines()) for word in ("-c", line))
        )
        vtep.start()
        answers = [vtep.ask(*command.split()[1:]) for command in commands.splitlines()]

    assert [answer.returncode for answer in answers] == [0, 0, 0], answers
    assert "in sync: zebra has it" in " ".join(answers[-1].stdout.split())
