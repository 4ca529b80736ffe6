"""The package on machines with systemd: installed, started, upgraded and removed by the commands of the guides, and by the Ansible role.

One leaf is made by hand, as docs/install.md has it, and the other by the role, which makes its devices with `manage = true`.
"""

import json
import os
import re
import shutil

import pytest

from tests.lab import probe
from tests.lab.fixtures import lab, skipped_if_missing
from tests.lab.machine import Machine, debian
from tests.lab.namespaces import link
from tests.lab.wait import wait_until
from tests.promises.test_readme import ROOT, blocks

__all__ = ["lab"]

pytestmark = [
    pytest.mark.root_netns,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        "VTEP_DEB" not in os.environ, reason="no package is named by VTEP_DEB; ./vtep-dev package makes one"
    ),
]
INVENTORY = {
    "leaves": {
        "vars": {
            "ansible_connection": "local",
            "vtep_asn": 65000,
            "vtep_manage": True,
            "vtep_vnis": [{"vni": 100, "bridge": "br100", "vxlan": "vxlan100", "import_rt": ["65000:100"]}],
        },
        "hosts": {"leaf2": {"vtep_address": "10.0.0.2", "vtep_peers": [{"address": "10.0.0.1", "passive": False}]}},
    }
}


@pytest.fixture
def leaves(lab, tmp_path):
    """Two machines with an underlay between them, a station behind each, and the package in the home of root."""
    with skipped_if_missing():
        below = debian(tmp_path / "debian")
    shutil.copy(os.environ["VTEP_DEB"], below / "root")
    shutil.copytree(ROOT / "packaging/ansible", below / "root/ansible")
    with skipped_if_missing():
        one, other = (Machine(f"leaf{number}", below, tmp_path / f"leaf{number}") for number in (1, 2))
        lab.nodes += (one, other)
    link(one, "uplink", other, "uplink")
    for number, leaf in enumerate((one, other), 1):
        station = lab.node(f"host{number}")
        link(station, "eth0", leaf, "swp1")
        leaf.ip(f"address add 10.0.0.{number}/24 dev uplink")
        station.ip(f"address add 172.16.0.{number}/24 dev eth0", "link set dev eth0 mtu 1450")
    return one, other


def test_a_leaf_by_hand_and_one_by_ansible_forward_through_upgrades_until_they_are_removed(lab, leaves):
    by_hand, by_ansible = leaves
    host = lab.nodes[2]
    (install,) = guide("install", "sh", "apt install ./vtep_")
    words = "vtep init --vtep 10.0.0.1 --peer 10.0.0.2 --asn 65000 --vni 100=swp1"
    by_hand.sh(install.replace("vtep init", words))
    assert play(by_ansible)["failed"] == 0, by_ansible.said
    by_ansible.sh("ip link set dev swp1 master br100 up")
    assert probe.ping(host, "172.16.0.2", 30) is not None, journal(by_hand) + journal(by_ansible)
    assert by_ansible.sh("vtep devices plan") == ""

    assert play(by_ansible)["changed"] == 0, by_ansible.said
    others_leave_alone(by_ansible)
    daemon, exabgp = (pid(by_ansible, unit) for unit in ("vtep", "vtep-exabgp"))
    with probe.Pings(host, "172.16.0.2") as pings:
        assert play(by_ansible, vtep_extra="unheard_of = true")["failed"] == 1
        assert "unheard_of" not in by_ansible.sh("cat /etc/vtep/vtep.toml")
        # The file, a reload and a restart; the last one alone makes another process.
        # As texts, which is how `--extra-vars vtep_restart=true` and the variables of an inventory in INI come.
        texts = {"vtep_restart": "true", "vtep_wait_s": "120", "vtep_asn": "65000"}
        more = {"vtep_extra": "[limits]\nroutes_per_peer = 1000", **texts}
        assert play(by_ansible, **more)["changed"] == 3, by_ansible.said
        assert pid(by_ansible, "vtep") not in (daemon, "0")
        assert '"reloaded"' in journal(by_ansible)

        # The next version, and the way back.
        old, new = by_hand.sh(NEXT_VERSION).split()
        upgrade, back, *_ = guide("lifecycle", "bash")
        by_hand.sh(upgrade.replace("vtep_NEW.deb", new))
        assert "9.9" in by_hand.sh("dpkg-query --show vtep")
        by_hand.sh(back.replace("vtep_OLD.deb", old))
        assert "9.9" not in by_hand.sh("dpkg-query --show vtep")
    assert (pings.lost, pid(by_ansible, "vtep-exabgp")) == (0, exabgp)

    *_, remove = guide("lifecycle", "bash")
    for leaf, devices in ((by_ansible, False), (by_hand, True)):
        leaf.sh(remove)
        assert leaf.sh("bridge fdb show | grep extern_learn || true") == ""
        assert leaf.has_link("vxlan100") is devices
        assert leaf.sh("ls /usr/bin/vtep /usr/lib/vtep /etc/vtep 2>/dev/null || true") == ""


def others_leave_alone(leaf):
    """Start systemd-networkd, NetworkManager and ifupdown2 with the files of `vtep init`: the managed devices stay as they are."""
    looks = "for name in br100 vxlan100 swp1; do ip -d -j link show dev $name; done; ip -j address show dev br100"
    before = timeless(leaf.sh(looks))
    leaf.sh(BESIDE)
    wait_until(lambda: "unmanaged" in leaf.sh("networkctl list br100"), 30, "networkd sees the bridge")
    wait_until(lambda: "unmanaged" in leaf.sh("nmcli -g GENERAL.STATE device show br100"), 30, "NetworkManager sees it")
    assert timeless(leaf.sh(looks)) == before
    assert leaf.sh("vtep devices plan") == ""
    assert "device repaired" not in journal(leaf)
    # At its end, NetworkManager sets addrgenmode, also of a device that it left alone.
    leaf.sh("systemctl stop systemd-networkd NetworkManager")
    wait_until(
        lambda: leaf.attempt("vtep", "devices", "plan").returncode == 0, 30, "what NetworkManager set is repaired"
    )


def timeless(shown):
    """Leave out what counts down in what `ip` shows."""
    return re.sub(r'"[a-z_]*timer":[0-9.]+', "", shown)


BESIDE = """
vtep init --directory made --vtep 10.0.0.2 --peer 10.0.0.1 --asn 65000 --vni 100=swp1 --devices vtep
mkdir -p /etc/systemd/network /etc/NetworkManager/conf.d
printf '[Match]\\nName=br* vx*\\n[Network]\\nDHCP=ipv4\\n[Link]\\nMTUBytes=1300\\n' >/etc/systemd/network/90-all.network
cp made/unmanaged/05-vtep.network /etc/systemd/network
cp made/unmanaged/vtep.conf /etc/NetworkManager/conf.d
systemctl unmask --runtime NetworkManager
systemctl start systemd-networkd NetworkManager
ifreload -a
"""
"""The first file of networkd stands for one that matches too much."""
NEXT_VERSION = """
dpkg-deb --raw-extract vtep_*.deb next
sed -i 's/^Version: .*/Version: 9.9/' next/DEBIAN/control
dpkg-deb --root-owner-group -Zgzip -z1 --build next next_9.9.deb >&2
ls vtep_*.deb next_9.9.deb | sort -r
"""
"""Makes a package of a higher version, with the same program, and prints the names of both."""


def guide(page, language, having=""):
    """Return the blocks of a page for a machine; what `apt` asks a person is answered by its options."""
    found = [block for block in blocks((ROOT / f"docs/{page}.md").read_text(), language) if having in block]
    return [re.sub(r"^apt (\w+)", r"apt-get \1 --quiet=2 --yes", block, flags=re.MULTILINE) for block in found]


def play(leaf, **more):
    """Let the role configure a machine from within, and return what the last line counts."""
    leaf.write("/root/hosts.json", json.dumps(INVENTORY))
    package = next(leaf.path("/root").glob("vtep_*.deb")).name
    words = json.dumps({"vtep_package": f"/root/{package}", **more})
    play = f"cd ansible; ansible-playbook --inventory /root/hosts.json leaves.yml --extra-vars '{words}'"
    done = leaf.attempt("sh", "-ec", f"cd /root; {play}", deadline_s=300)
    leaf.said = done.stdout + done.stderr
    counted = re.findall(r"(\w+)=(\d+)", done.stdout.rpartition("PLAY RECAP")[2])
    assert counted, leaf.said
    return {name: int(number) for name, number in counted}


def pid(leaf, unit):
    return leaf.sh(f"systemctl show --value --property MainPID {unit}").strip()


def journal(leaf):
    return leaf.sh(
        "journalctl --no-pager --unit vtep --unit vtep-exabgp --lines 40; vtep status || true; ip link; bridge fdb"
    )
