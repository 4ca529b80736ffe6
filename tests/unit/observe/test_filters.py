"""Which rows a reader gets who asks for those of one peer, or of MACs that begin alike."""

import pytest

from tests.lab.memory import MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Ip
from vtep.observe.source import MacQuery

A, B = "10.0.0.1", "10.0.0.2"
MACS = ("02:00:5e:00:00:01", "02:00:5f:00:00:02", "06:00:5e:00:00:03")


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (MacQuery(), [0, 1, 2]),
        (MacQuery(peer=Ip.parse(B)), [1]),
        (MacQuery(prefix="02005"), [0, 1]),
        (MacQuery(prefix="02005e"), [0]),
        (MacQuery(peer=Ip.parse(A), prefix="02"), [0]),
    ],
)
def test_rows_are_filtered_where_they_are(query, wanted):
    with MemoryLeaf() as rig:
        rig.step()
        rig.come_up(A, B)
        for number, mac in enumerate(MACS):
            peer = (A, B)[number == 1]
            rig.receive(rig.lines.announce(peer, Instance(peer).mac(mac, ip=f"172.16.0.{number + 1}")))
        rig.wait_for(rig.observer.prepare())

        assert [str(row.mac) for row in rig.observer.macs(query, None, 10).rows] == [MACS[number] for number in wanted]
        hosts = rig.observer.neighbors(query, None, 10).rows
        assert [str(row.mac) for row in hosts] == [MACS[number] for number in wanted]
