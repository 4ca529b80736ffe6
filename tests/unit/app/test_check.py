"""`vtep check` names the line of what is wrong, in the file and beside it."""

from pathlib import Path

import pytest

from vtep.__main__ import main
from vtep.addr import Ip, Vni
from vtep.app import check
from vtep.config.file import parse
from vtep.linux.attachment import survey
from vtep.linux.devices import Bridge, BridgePort, Link, Links, Vxlan

LEAF = """[node]
vtep = "10.0.0.99"

[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
import_rt = ["65000:100"]
rd = "10.0.0.99:100"
"""


def said(text, tmp_path, capsys, *words):
    file = tmp_path / "leaf.toml"
    file.write_text(text)
    status = main(["check", *words, str(file)])
    return status, capsys.readouterr().err.replace(f"{file}", "leaf.toml")


def test_a_group_that_is_not_there_is_refused(tmp_path, capsys):
    status, text = said(f'{LEAF}[feed]\nsocket_group = "no-such"\n', tmp_path, capsys)

    assert status == 2
    assert "leaf.toml:11: feed.socket_group: there is no group 'no-such' (hint: groupadd --system no-such" in text


def test_certificates_that_are_not_there_are_refused(tmp_path, capsys):
    tls = f'tls = {{ cert = "{tmp_path}/c", key = "{tmp_path}/k", client_ca = "{tmp_path}/a" }}'

    status, text = said(f"{LEAF}[api]\n{tls}\n", tmp_path, capsys)

    assert status == 2
    assert [line.split(": ")[2] for line in text.splitlines()] == ["api.tls.cert", "api.tls.key", "api.tls.client_ca"]
    assert text.count("No such file or directory") == 3


def test_a_file_for_another_host_is_judged_alone(tmp_path, capsys):
    status, text = said(f'{LEAF}[feed]\nsocket_group = "no-such"\n', tmp_path, capsys, "--file-only")

    assert (status, text) == (0, "leaf.toml: ok, 1 VNIs (1 bound to a bridge)\n")


def test_a_warning_has_its_line_and_refuses_nothing(tmp_path, capsys):
    status, text = said(f'{LEAF}[feed]\nsocket_mode = "0666"\n', tmp_path, capsys)

    assert status == 0
    assert text.startswith("leaf.toml:11: warning: feed.socket_mode: 0666: every user")


def test_devices_that_do_not_fit_are_named_with_the_command_that_mends_them():
    links = Links.of(
        (
            Link(1, "br100", "bridge", up=True, bridge=Bridge(False, 0)),
            Link(2, "vxlan100", "vxlan", master=1, up=False, vxlan=Vxlan(100, Ip.parse("10.0.0.99"), False, False, 4789),
                 bridge_port=BridgePort(learning=False)),
        )
    )  # fmt: skip

    (problem,) = check._devices("vni", [Vni(100)], survey(parse(LEAF).vnis, links).not_ready)

    assert (problem.path, problem.hint) == ("vni[0]", "ip link set dev vxlan100 up")
    assert problem.what.startswith("device-down: ")


def test_a_tunnel_address_that_is_on_no_device_is_named():
    (problem,) = check.tunnel_addresses(parse(LEAF), set())

    assert (problem.path, problem.hint) == ("node.vtep", "ip address add 10.0.0.99/32 dev lo")


def test_the_tunnel_address_of_a_vrf_is_looked_for_as_well():
    vrf = '[[vrf]]\nname = "blue"\nvni = 4001\nvxlan = "vx1"\nsvi = "br1"\nimport_rt = ["1:1"]\nvtep = "10.0.0.9"\n'

    (problem,) = check.tunnel_addresses(parse(LEAF + vrf), {Ip.parse("10.0.0.99")})

    assert str(problem).startswith("vrf[0].vtep: no device of this host has the address 10.0.0.9")


@pytest.mark.parametrize(
    ("name", "value", "count"), [("bridge-nf-call-iptables", "1", 1), ("bridge-nf-call-iptables", "0", 0)]
)
def test_a_bridge_that_passes_frames_to_iptables_is_told(name, value, count, tmp_path):
    (tmp_path / "net/bridge").mkdir(parents=True)
    (tmp_path / "net/bridge" / name).write_text(f"{value}\n")

    assert len(list(check.sysctls(Path(tmp_path)))) == count
