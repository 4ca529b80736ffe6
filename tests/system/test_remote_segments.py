"""The daemon, a remote Ethernet segment, and another program that flushes the nexthops."""

import re

import pytest

from tests.lab.feeder import Feeder
from tests.lab.fixtures import lab, network
from tests.lab.lines import Lines
from tests.lab.topology import VXLAN, address
from tests.lab.vtep import Vtep
from tests.lab.wait import wait_until
from tests.lab.wire import Instance
from vtep.addr import Esi

__all__ = ["lab", "network"]

pytestmark = pytest.mark.root_netns

ESI = Esi(bytes.fromhex("03000000000001000001"))
MACS = [f"02:00:00:00:01:{number:02x}" for number in range(100)]
A, B = address(1), address(2)


def test_rows_that_another_program_flushes_with_their_group_are_back_within_two_seconds(network):
    def rows():
        return len(re.findall(r"nhid \d+ self", network.leaf.run("bridge", "fdb", "show", "dev", VXLAN)))

    vtep = Vtep(network.leaf)
    vtep.start()
    lines = Lines()
    with Feeder(network.leaf) as feeder:
        for vtep_address in (A, B):
            one = Instance(vtep_address)
            routes = [one.ethernet_ad(ESI, tag=0xFFFFFFFF), one.ethernet_ad(ESI, tag=0, label=100)]
            macs = [one.mac(mac, esi=ESI) for mac in (MACS if vtep_address == A else ())]
            feeder.say(
                lines.up(vtep_address), lines.announce(vtep_address, *routes, *macs), lines.end_of_rib(vtep_address)
            )
        wait_until(lambda: rows() == len(MACS), what="rows by a group")
        [segment] = vtep.told("segments")["segments"]
        asked = vtep.ask("explain", MACS[0])
        explained = asked.stdout + asked.stderr

        network.leaf.ip("nexthop flush proto 229")
        wait_until(lambda: rows() == len(MACS), deadline_s=2.0, what="the rows again")

    assert (segment["vteps"], segment["macs"], segment["sync"]["state"]) == ([A, B], 100, "INSTALLED")
    assert f"On segment {ESI}, behind {A} and {B}, which share the frames" in " ".join(explained.split())
    assert vtep.told("diff")["differences"] == []
    # The flush was over before the group was made again, so that it was not refused for lack of its members.
    assert vtep.process is not None
    assert "Invalid nexthop id" not in vtep.process.log()
