"""`vtep init` writes a leaf that `vtep check` accepts, and its other side, and replaces no file unasked."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from vtep.__main__ import main
from vtep.addr import Ip
from vtep.app import init
from vtep.app.templates import FirstLeaf, FirstVni, configuration, devices, other_side
from vtep.config.file import parse, read
from vtep.linux.inventory import Attached

WORDS = ("init", "--vtep", "10.0.0.1", "--peer", "10.0.0.2", "--asn", "65000", "--vni", "100=swp1")


def leaf(peer_kind="vtep", vtep="10.0.0.1", peers=("10.0.0.2",), mtu=1500):
    address = Ip.parse(vtep)
    vnis = (FirstVni(100, ("swp1", "swp2")), FirstVni(16777215))
    router_id = Ip.parse("10.0.0.1") if address.is_v6 else address
    return FirstLeaf(address, 65000, tuple(map(Ip.parse, peers)), peer_kind, vnis, router_id, mtu)


def test_both_sides_are_files_that_the_check_accepts(tmp_path, capsys):
    assert main([*WORDS, "--directory", str(tmp_path)]) == 0
    said = capsys.readouterr()

    for file in ("vtep.toml", "peer-10.0.0.2/vtep.toml"):
        assert main(["check", str(tmp_path / file)]) == 0
    ours, theirs = read(tmp_path / "vtep.toml"), read(tmp_path / "peer-10.0.0.2/vtep.toml")
    assert theirs.bgp.neighbors[0].address == ours.node.vteps[0]
    assert [ours.bgp.neighbors[0].passive, theirs.bgp.neighbors[0].passive] == [True, False]
    assert said.out.splitlines() == [
        f"{tmp_path}/{name}"
        for name in ("vtep.toml", "devices.sh", "peer-10.0.0.2/vtep.toml", "peer-10.0.0.2/devices.sh")
    ]
    assert f"sh {tmp_path}/devices.sh" in said.err


def test_devices_that_vtep_makes_are_managed_on_both_sides_and_only_the_ports_are_left(tmp_path, capsys):
    assert main([*WORDS, "--directory", str(tmp_path), "--devices", "vtep"]) == 0
    said = capsys.readouterr()

    for file in ("vtep.toml", "peer-10.0.0.2/vtep.toml"):
        assert main(["check", str(tmp_path / file)]) == 0
        assert [vni.manage for vni in read(tmp_path / file).vnis] == [True]
    assert "link set dev swp1 master br100" in (tmp_path / "ports.sh").read_text()
    assert not (tmp_path / "devices.sh").exists()
    guide = (Path(__file__).parents[3] / "docs/devices.md").read_text()
    for name in ("05-vtep.network", "vtep.conf"):
        text = (tmp_path / "unmanaged" / name).read_text().split("\n", 1)[1]
        assert text in guide
        assert f"{tmp_path}/unmanaged/{name} is for /etc/" in said.err
    assert f"vtep devices plan --config {tmp_path}/vtep.toml" in said.err


def test_no_file_is_replaced_without_force(tmp_path, capsys):
    (tmp_path / "devices.sh").write_text("mine")

    assert main([*WORDS, "--directory", str(tmp_path)]) == 2
    assert "devices.sh is there already, and nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["devices.sh"]
    assert main([*WORDS, "--directory", str(tmp_path), "--force"]) == 0
    assert (tmp_path / "devices.sh").read_text() != "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--vtep", "10.0.0.1"), "the address of the BGP peer is missing; give it with --peer"),
        (("--vtep", "10.0.0.1", "--peer", "10.0.0.1"), "is our own tunnel address"),
        (("--vtep", "10.0.0.1", "--peer", "10.0.0.2", "--vni", "x"), "--vni: 'x' is not a VNI"),
        (("--vtep", "10.0.0.1", "--peer", "10.0.0.2", "--vni", "1=a/b"), "cannot be the name of a device"),
        (("--vtep", "10.0.0.1", "--peer", "10.0.0.2", "--asn", "-1"), "'-1' is not an AS number"),
        (("--vtep", "2001:db8::1", "--peer", "2001:db8::2"), "give it with --router-id"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_missing_or_wrong_names_its_option(words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    assert main(["init", *words, "--directory", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_person_is_asked_and_may_take_what_the_host_says(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("10.0.0.7\n\n"))
    ask = init._Asking(is_person=True)

    assert ask("our tunnel address", "--vtep", Ip.parse, "10.0.0.1") == Ip.parse("10.0.0.7")
    assert ask("the AS number", "--asn", init._as_number, "65000") == 65000
    assert "the AS number (--asn) [65000]: " in capsys.readouterr().err


def test_the_script_of_the_devices_is_a_script(tmp_path):
    script = devices(leaf(), "ip")["devices.sh"]

    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    assert "mtu 1450" in script
    assert "ip link set dev swp2 master br100" in script


@pytest.mark.parametrize(
    ("vtep", "peer", "mtu"), [("10.0.0.1", "10.0.0.2", 8950), ("2001:db8::1", "2001:db8::2", 8930)]
)
def test_the_mtu_leaves_room_for_vxlan(vtep, peer, mtu):
    assert f"mtu {mtu}\n" in devices(leaf(vtep=vtep, peers=(peer,), mtu=9000), "ip")["devices.sh"]


def test_networkd_gets_a_file_for_each_device_and_port():
    files = devices(leaf(), "networkd")

    assert {name.rpartition("/")[2] for name in files} == {
        "10-br100.netdev", "10-br100.network", "10-vxlan100.netdev", "10-vxlan100.network", "10-swp1.network",
        "10-swp2.network", "10-br16777215.netdev", "10-br16777215.network", "10-vxlan16777215.netdev",
        "10-vxlan16777215.network",
    }  # fmt: skip
    assert "Learning=no" in files["networkd/10-vxlan100.network"]


def test_a_peer_that_is_frr_or_gobgp_waits_by_itself():
    for kind, file in (("frr", "frr.conf"), ("frr-reflector", "frr.conf"), ("gobgp", "gobgpd.toml")):
        assert not parse(configuration(leaf(kind))).bgp.neighbors[0].listen
        assert "10.0.0.1" in other_side(leaf(kind), Ip.parse("10.0.0.2"))[file]


VNI_100 = Attached(100, "br100", "vxlan100", Ip.parse("10.0.0.1"))


@pytest.mark.parametrize("word", ["--vni=100", "--router-id=10.0.0.1", "--devices=vtep", "--peer-kind=frr"])
def test_an_observer_refuses_what_it_takes_from_the_host(word, tmp_path, capsys):
    assert main(["init", "--observe", word, "--asn", "65000", "--directory", str(tmp_path)]) == 2
    assert f"{word.partition('=')[0]} does not go with --observe" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(("words", "peers"), [((), ["10.0.0.2"]), (("--peer", "10.0.0.3"), ["10.0.0.3"])])
def test_an_observer_waits_for_the_peers_that_are_named_or_else_those_of_frr(words, peers, tmp_path, monkeypatch):
    monkeypatch.setattr(init.inventory, "found", lambda links: [VNI_100])
    monkeypatch.setattr(init, "_vtysh", lambda command: '{"as": 65000, "peers": {"10.0.0.2": {}}}')

    assert main(["init", "--observe", *words, "--directory", str(tmp_path)]) == 0
    assert [*map(str, read(tmp_path / "vtep.toml").feed.peers)] == peers


def test_an_observer_without_a_peer_is_told_where_to_name_them(tmp_path, monkeypatch, capsys):
    """vtysh is not there, or may not be asked."""
    monkeypatch.setattr(init.inventory, "found", lambda links: [VNI_100])
    monkeypatch.setattr(init, "_vtysh", lambda command: "")

    assert main(["init", "--observe", "--asn", "65000", "--directory", str(tmp_path)]) == 0
    assert f"feed.peers in {tmp_path}/vtep.toml" in capsys.readouterr().err
