"""The rows of filters, in memory and in the kernel: what is written is what is read, and a transaction is all or nothing."""

import errno

import pytest

from vtep.addr import Ip, Mac
from vtep.errors import KernelError
from vtep.linux.filters import FilterMessage, MacEntry, PortEntry
from vtep.linux.wire.neighbor import Verb
from vtep.linux.wire.nftables import PORTS, Element, interface

A, V6 = Ip.parse("10.0.0.1"), Ip.parse("2001:db8::1")
MAC = Mac.parse("02:ce:00:00:00:01")


@pytest.fixture
def table(any_world):
    with any_world() as world:
        try:
            answer = world.raw.filters.nft.transact([], [], make=True)
        except KernelError as error:
            pytest.skip(f"this kernel has no nftables of family inet: {error}")
        if answer.errno == errno.EOPNOTSUPP:
            pytest.skip("this kernel has no nftables of family inet")
    with any_world() as world:
        table = world.raw.filters
        assert not table.is_there()
        yield table


def write(table, *entries, verb=Verb.CREATE):
    return table.send([FilterMessage(verb, entry) for entry in entries])


def rows(table):
    return sorted(table.entries(), key=repr)


@pytest.mark.parametrize("state", ["joining", "non-df", "df", "standby"])
def test_a_row_is_read_as_it_was_written_and_goes(table, state):
    port, mac = PortEntry("vx0", "es0", state, (A, V6)), MacEntry("vx0", MAC, "es0")
    assert write(table, port, mac) == []
    assert rows(table) == [mac, port]

    assert write(table, port, mac) == []  # once more does no harm
    assert write(table, port, mac, verb=Verb.DELETE) == []
    assert not table.is_there()
    assert write(table, port, mac, verb=Verb.DELETE) == []
    assert rows(table) == []


def test_a_row_is_changed_in_place(table):
    write(table, PortEntry("vx0", "es0", "joining", (A,)), MacEntry("vx0", MAC, "es0"))
    write(table, PortEntry("vx0", "es0", "df", (V6,)), MacEntry("vx0", MAC, "es1"), verb=Verb.REPLACE)

    assert rows(table) == [MacEntry("vx0", MAC, "es1"), PortEntry("vx0", "es0", "df", (V6,))]


def test_what_is_dropped_is_counted_while_the_tables_are_there(table):
    assert table.nft.dropped() == {}

    write(table, PortEntry("vx0", "es0", "joining"))

    assert table.nft.dropped() == {"blocked": 0, "bias": 0, "joining": 0, "standby": 0}


def test_the_bridge_forgets_what_it_learned_at_a_port_that_goes_on_standby(any_world):
    """It would send the frames of its hosts to a port that drops them."""
    with any_world() as world:
        world.station_sends(MAC, "h0")
        there = [row for row in world.rows() if row.mac == MAC]
        refused = world.raw.send([FilterMessage(Verb.CREATE, PortEntry("vx0", "h0", "standby"))])
        if refused:
            pytest.skip("this kernel has no nftables of family inet")
        assert (bool(there), [row for row in world.rows() if row.mac == MAC]) == (True, [])


def test_an_element_that_is_gone_undoes_a_transaction(table):
    port = PortEntry("vx0", "es0", "df")
    write(table, port)
    there, gone = (Element(PORTS, interface("vx0") + interface(name)) for name in ("es0", "es1"))

    answer = table.nft.transact([], [there, gone], make=False)

    assert answer.errno == errno.ENOENT
    assert rows(table) == [port]
