"""A kernel whose writes are timed counts a time for every message, and changes nothing else."""

from itertools import count

import pytest

from vtep.addr import Ip, Mac
from vtep.linux.memory.kernel import MemoryKernel
from vtep.linux.timed import Timed
from vtep.linux.wire.neighbor import Neighbor, Verb

MACS = [Mac(b"\2\0\0\0\0" + bytes([place])) for place in range(6)]


def test_each_of_many_alike_took_its_part_of_the_time() -> None:
    kernel = MemoryKernel()
    kernel.add_vxlan("vxlan100", 100, Ip.parse("10.0.0.1"))
    seconds = count(0, 3)
    timed = Timed(kernel, lambda: next(seconds))
    port = kernel.links().by_name["vxlan100"].index

    refusals = timed.send(
        [
            Neighbor(Verb.CREATE, port, MACS[0], 0x12, 0xC0, Ip.parse("10.0.0.2"), also=tuple(MACS[1:5])),
            Neighbor(Verb.CREATE, 99, MACS[5], 0x12, 0xC0, Ip.parse("10.0.0.2")),
        ]
    )
    timed.send([])

    assert [refusal.index for refusal in refusals] == [5]
    assert (timed.message_s.snapshot().count, timed.message_s.snapshot().sum) == (6, pytest.approx(3.0))
