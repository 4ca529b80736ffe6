"""What is noted of the SVI of a VRF, with the command that mends it."""

from vtep.addr import Ip, Vni
from vtep.config.model import Targets, VrfConfig
from vtep.linux.devices import Link, Links
from vtep.linux.vrf import notes

VRF = VrfConfig("blue", Vni(4001), Ip.parse("10.0.0.1"), Targets(frozenset()), bridge="br0", vxlan="vx0", svi="br0.401")


def test_a_command_names_an_svi_with_a_dot_as_sysctl_does():
    svi = Link(7, "br0.401", "vlan", forwards=False, forwards_v6=False, v6_disabled=False)

    commands = [note.partition("run: ")[2] for note in notes(VRF, Links.of((svi,)))]

    assert commands == [f"sysctl -w net.{ip}.conf.br0/401.forwarding=1" for ip in ("ipv4", "ipv6")]
