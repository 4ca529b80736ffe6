"""What `vtep init` writes for systemd-networkd makes devices that `vtep check --host` accepts."""

import json
import pwd
from pathlib import Path

import pytest

from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.namespaces import Missing, link
from tests.lab.vtep import VTEP
from tests.lab.wait import wait_until

__all__ = ["lab"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow]

NETWORKD = Path("/lib/systemd/systemd-networkd")
FILES = "/run/systemd/network"


def test_networkd_makes_the_devices_of_a_leaf(lab):
    with skipped_if_missing():
        if not NETWORKD.exists():
            raise Missing("systemd-networkd is not here")
        if Path("/proc/self/uid_map").read_text().split()[2] == "1":
            raise Missing("one user alone cannot become another")
        leaf, host = lab.node("leaf"), lab.node("host")
    link(leaf, "uplink", host, "uplink")
    link(leaf, "swp1", host, "eth0")
    leaf.ip("addr add 10.0.0.1/24 dev uplink", "link set swp1 down")
    words = ("--peer", "10.0.0.2", "--asn", "65000", "--vni", "100=swp1", "--devices", "networkd")
    leaf.run(str(VTEP), "init", *words, "--directory", "/run/made")
    user = pwd.getpwnam("systemd-network")
    leaf.run(
        "sh",
        "-ec",
        f"mkdir -p {FILES} /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp; cp /run/made/networkd/* {FILES}; chown -R {user.pw_uid}:{user.pw_gid} /run/systemd/netif",
    )
    # There is no udev here; where /sys is read only, networkd does not wait for it.
    leaf.run("mount", "-o", "bind,remount,ro", "/sys")

    leaf.start(str(NETWORKD), log="/run/log/networkd.log")

    def said():
        return leaf.attempt(str(VTEP), "check", "--host", "/run/made/vtep.toml").stderr

    wait_until(lambda: "and this host is ready for it" in said(), 20, said())
    assert "master br100" in leaf.run("ip", "link", "show", "dev", "swp1")

    managed = leaf.path("/run/made/vtep.toml")
    managed.write_text(managed.read_text().replace("[node]", "[node]\nmanage = true"))
    steps = json.loads(
        leaf.attempt(str(VTEP), "devices", "plan", "--config", "/run/made/vtep.toml", "-o", "json").stdout
    )
    changes = {(step["device"], step["act"], step["text"].split()[0]) for step in steps["steps"]}
    assert {("br100", "adopt", "another"), ("vxlan100", "adopt", "another")} <= changes
    assert {what for _, act, what in changes if act != "adopt"} <= {"mcast_snooping", "link_local"}
