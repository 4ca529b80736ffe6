"""Rows of filters as elements of nftables: in memory, and the octets that the kernel is sent."""

import errno
from threading import Lock, Thread

import pytest

from vtep.addr import Ip, Mac
from vtep.linux.filters import FilterMessage, FilterTable, MacEntry, PortEntry
from vtep.linux.memory.events import Counts
from vtep.linux.memory.nftables import MemoryNftables
from vtep.linux.wire.neighbor import Verb
from vtep.linux.wire.nftables import BIAS, BLOCKED, JOINING, PEERS4, PEERS6, PORTS, Element, interface
from vtep.linux.wire.tlv import Answer

A, B, V6 = (Ip.parse(text) for text in ("10.0.0.1", "10.0.0.2", "2001:db8::1"))
MAC = Mac.parse("02:ce:00:00:00:01")


class Rig:
    def __init__(self) -> None:
        self.nft = MemoryNftables(Counts())
        self.table = FilterTable(self.nft, Lock())

    def write(self, *entries, verb=Verb.CREATE):
        return self.table.send([FilterMessage(verb, entry) for entry in entries])

    def again(self):
        """Return what another daemon reads."""
        return sorted(FilterTable(self.nft).entries(), key=repr)

    def sets(self):
        return sorted(element.set for element in self.nft.elements())


@pytest.fixture
def rig():
    return Rig()


def test_a_row_that_is_written_while_a_survey_reads_the_rows_is_known_and_goes_again(rig):
    rig.write(MacEntry("vx100", MAC, "es1"))
    entry, read = PortEntry("vx100", "es0", "non-df"), rig.nft.elements
    writing = Thread(target=rig.write, args=(entry,))

    def elements():
        found = read()
        if writing.ident is None:
            writing.start()
            writing.join(0.05)  # it waits for its turn, or is done before the survey takes what it has read
        return found

    rig.nft.elements = elements
    rig.table.entries()
    writing.join()

    rig.write(entry, verb=Verb.DELETE)
    assert rig.again() == [MacEntry("vx100", MAC, "es1")]


def test_a_transaction_whose_answer_was_lost_is_no_reason_to_write_nothing_later(rig):
    rig.write(PortEntry("vx100", "es0", "non-df"))
    transact = rig.nft.transact

    def lose(add, remove, *, make):
        transact(add, remove, make=make)
        return Answer(errno.ENOBUFS)

    rig.nft.transact = lose
    assert [refusal.errno for refusal in rig.write(PortEntry("vx100", "es0", "df"))] == [errno.ENOBUFS]
    rig.nft.transact = transact

    assert rig.write(PortEntry("vx100", "es0", "non-df")) == []
    assert rig.sets() == [BLOCKED, PORTS]


def test_a_port_that_joins_is_blocked_in_both_directions(rig):
    assert rig.write(PortEntry("vx100", "es0", "joining", (A, V6))) == []

    assert rig.sets() == sorted([PORTS, BLOCKED, JOINING, BIAS, BIAS, PEERS4, PEERS6])
    assert rig.again() == [PortEntry("vx100", "es0", "joining", (A, V6))]


@pytest.mark.parametrize(("state", "sets"), [("non-df", [BLOCKED, PORTS]), ("df", [PORTS])])
def test_the_state_of_a_port_is_read_back(rig, state, sets):
    rig.write(PortEntry("vx100", "es0", "joining"))
    rig.write(PortEntry("vx100", "es0", state), verb=Verb.REPLACE)

    assert rig.sets() == sets
    assert rig.again() == [PortEntry("vx100", "es0", state)]


def test_a_vtep_keeps_its_mark_while_any_port_needs_it(rig):
    rig.write(PortEntry("vx100", "es0", "df", (A, B)), PortEntry("vx200", "es0", "df", (B,)))
    before = {element.key: element.data for element in rig.nft.elements() if element.set == PEERS4}

    rig.write(PortEntry("vx100", "es0", "df", ()), verb=Verb.REPLACE)

    after = {element.key: element.data for element in rig.nft.elements() if element.set == PEERS4}
    assert after == {bytes(B): before[bytes(B)]}
    assert rig.again() == [PortEntry("vx100", "es0", "df"), PortEntry("vx200", "es0", "df", (B,))]


def test_a_port_stays_blocked_while_any_of_its_vnis_joins(rig):
    rig.write(PortEntry("vx100", "es0", "joining"), PortEntry("vx200", "es0", "joining"))
    rig.write(PortEntry("vx100", "es0", "df"), verb=Verb.REPLACE)

    assert Element(JOINING, interface("es0")) in rig.nft.elements()


def test_a_mac_is_behind_one_port(rig):
    rig.write(MacEntry("vx100", MAC, "es0"))
    rig.write(MacEntry("vx100", MAC, "es1"), verb=Verb.REPLACE)
    assert rig.again() == [MacEntry("vx100", MAC, "es1")]

    rig.write(MacEntry("vx100", MAC, "es1"), verb=Verb.DELETE)
    assert rig.nft.elements() == set()


def test_one_refused_element_undoes_all(rig):
    rig.nft.refuse = errno.EPERM
    refusals = rig.write(PortEntry("vx100", "es0", "df"), MacEntry("vx100", MAC, "es0"))

    assert [(refusal.index, refusal.errno) for refusal in refusals] == [(0, errno.EPERM), (1, errno.EPERM)]
    assert rig.again() == []


def test_rules_that_another_program_removed_are_made_again_with_every_element(rig):
    rig.write(PortEntry("vx100", "es0", "non-df", (A,)), MacEntry("vx100", MAC, "es0"))
    rig.nft.flush_rules()
    assert rig.table.entries() == []  # elements without rules have no effect

    rig.write(PortEntry("vx200", "es0", "df"))

    assert rig.again() == [
        MacEntry("vx100", MAC, "es0"),
        PortEntry("vx100", "es0", "non-df", (A,)),
        PortEntry("vx200", "es0", "df"),
    ]


def test_what_another_program_removed_does_not_stop_a_change(rig):
    """A deletion of an element that is gone would undo the whole transaction."""
    rig.write(PortEntry("vx100", "es0", "joining", (A,)), MacEntry("vx100", MAC, "es0"))
    rig.nft.take(Element(JOINING, interface("es0")))

    assert rig.write(PortEntry("vx100", "es0", "df", (A,)), verb=Verb.REPLACE) == []
    assert PortEntry("vx100", "es0", "df", (A,)) in rig.again()

    rig.nft.flush_ruleset()
    assert rig.write(PortEntry("vx100", "es0", "non-df", (A,)), verb=Verb.REPLACE) == []
    assert rig.again() == [MacEntry("vx100", MAC, "es0"), PortEntry("vx100", "es0", "non-df", (A,))]


def test_after_a_foreign_flush_the_first_write_makes_everything(rig):
    rig.write(PortEntry("vx100", "es0", "non-df", (A,)), MacEntry("vx100", MAC, "es0"))
    rig.nft.flush_ruleset()
    rig.write(PortEntry("vx200", "es0", "df"))
    known = [
        MacEntry("vx100", MAC, "es0"),
        PortEntry("vx100", "es0", "non-df", (A,)),
        PortEntry("vx200", "es0", "df"),
    ]
    assert rig.again() == known

    rig.nft.flush_ruleset()
    assert rig.table.entries() == []  # a survey sees that all is gone
    rig.write(PortEntry("vx200", "es0", "df"))
    assert rig.again() == known


def test_the_tables_go_with_the_last_row(rig):
    rig.write(PortEntry("vx100", "es0", "df"), MacEntry("vx100", MAC, "es0"))
    rig.write(PortEntry("vx100", "es0", "df"), verb=Verb.DELETE)
    assert rig.table.is_there()

    rig.write(MacEntry("vx100", MAC, "es0"), verb=Verb.DELETE)
    assert not rig.table.is_there()
    assert rig.write(MacEntry("vx100", MAC, "es0")) == []
    assert rig.again() == [MacEntry("vx100", MAC, "es0")]
