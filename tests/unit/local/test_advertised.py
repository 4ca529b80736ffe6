"""The file of advertised routes: read back as it was written, however the process that wrote it ended."""

import os
import time

import pytest

from tests.lab.disk import full_disk
from vtep.addr import Esi, Ip, Mac, RouteDistinguisher, Vni
from vtep.errors import LedgerError
from vtep.evpn.advertise import (
    DEFAULT_GATEWAY,
    VXLAN,
    MacAdvertisement,
    MacRoute,
    Multicast,
    MulticastRoute,
    Pmsi,
    Withdrawal,
    mobility,
    target,
)
from vtep.local import advertised
from vtep.local.advertised import AdvertisedLedger, AdvertisedRoute, sequences
from vtep.store import journal

RD = RouteDistinguisher.parse("10.0.0.99:100")
VTEP = Ip.parse("10.0.0.99")
VTEP6 = Ip.parse("fd00::99")
PLAIN = MacAdvertisement(MacRoute(RD, Mac.parse("02:00:00:00:00:01")), VTEP, Vni(100))
FULL = MacAdvertisement(
    MacRoute(RD, Mac.parse("02:00:00:00:00:02"), Ip.parse("2001:db8::2"), 7),
    VTEP6,
    Vni(16777215),
    Vni(50000),
    Esi.parse("03:02:00:00:00:00:42:00:00:01"),
    (target("65000:100"), VXLAN, mobility(7, sticky=True), DEFAULT_GATEWAY),
)
FLOODS = Multicast(MulticastRoute(RD, VTEP6, 3), VTEP6, Pmsi(Vni(100), VTEP6), (target("65000:100"), VXLAN))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "announced"


def written(path, *announcements):
    """Return the octets of a file in which these are sure."""
    ledger = AdvertisedLedger(path)
    ledger.begin("here")
    ledger.ask(announcements)
    for announcement in announcements:
        ledger.confirm(announcement.route)
    ledger.close()
    return path.read_bytes()


def test_advertised_routes_are_read_back_with_which_of_them_are_sure(path):
    ledger = AdvertisedLedger(path)
    ledger.begin("here")
    ledger.ask([PLAIN, FULL, FLOODS])
    ledger.confirm(FULL.route)
    ledger.confirm(FLOODS.route)
    ledger.ask([Withdrawal(FLOODS.route)])

    again = AdvertisedLedger(path)

    expected = {
        PLAIN.route: AdvertisedRoute(PLAIN, False),
        FULL.route: AdvertisedRoute(FULL, True),
        FLOODS.route: AdvertisedRoute(FLOODS, False),
    }
    assert (again.advertised, again.sure, again.exabgp) == (expected, 1, "here")
    assert (ledger.advertised, ledger.sure) == (again.advertised, again.sure)
    assert AdvertisedLedger(path).advertised == expected


def test_a_forgotten_route_is_not_read_back(path):
    ledger = AdvertisedLedger(path)
    ledger.ask([PLAIN, FULL])
    ledger.confirm(PLAIN.route)
    ledger.forget(PLAIN.route)

    assert ledger.sure == 0
    assert set(AdvertisedLedger(path).advertised) == {FULL.route}


def test_another_exabgp_begins_with_no_advertised_route(path):
    written(path, PLAIN)

    ledger = AdvertisedLedger(path)
    ledger.begin("elsewhere")

    assert (ledger.advertised, ledger.sure) == ({}, 0)
    assert (AdvertisedLedger(path).advertised, AdvertisedLedger(path).exabgp) == ({}, "elsewhere")


def test_a_torn_tail_is_dropped_and_nothing_else(path):
    whole = written(path, PLAIN, FULL, FLOODS)
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for end in range(last, len(whole)):
        path.write_bytes(whole[:end])
        ledger = AdvertisedLedger(path)
        ledger.close()
        assert ledger.torn == end - last
        assert {route: entry.sure for route, entry in ledger.advertised.items()} == {
            PLAIN.route: True,
            FULL.route: True,
            FLOODS.route: False,
        }


def test_a_file_that_ends_in_its_header_is_torn(path):
    path.write_bytes(b'{"format": 1, "exa')

    assert (AdvertisedLedger(path).advertised, AdvertisedLedger(path).exabgp) == ({}, advertised.NOT_CONNECTED)


@pytest.mark.parametrize("damage", [b"x", b"\n", b""], ids=["another octet", "a line's end", "nothing"])
def test_any_other_damage_refuses_the_file(path, damage):
    whole = written(path, PLAIN, FULL)
    middle = whole.index(b"\n", whole.index(b"\n") + 1) - 5
    path.write_bytes(whole[:middle] + damage + whole[middle + 1 :])

    with pytest.raises(LedgerError, match="damaged"):
        AdvertisedLedger(path)
    assert path.exists()


@pytest.mark.parametrize("header", [b"what\n", b"{}\n", b'{"format": 2, "exabgp": "here"}\n', b"[1]\n"])
def test_a_file_of_something_else_is_refused(path, header):
    path.write_bytes(header)

    with pytest.raises(LedgerError):
        AdvertisedLedger(path)


def test_a_command_that_cannot_be_written_leaves_file_and_memory_as_they_were(path, monkeypatch):
    ledger = AdvertisedLedger(path)
    ledger.ask([PLAIN])
    before = path.read_bytes()
    write = os.pwrite
    written_so_far = []

    def half(file, data, offset):
        if written_so_far:
            raise OSError(28, "No space left on device")
        written_so_far.append(write(file, data[:9], offset))
        return 9

    monkeypatch.setattr(os, "pwrite", half)
    error = ledger.ask([FULL])
    monkeypatch.undo()

    assert "No space" in str(error)
    assert path.read_bytes() == before
    assert set(ledger.advertised) == {PLAIN.route}


def test_a_file_that_cannot_be_replaced_stays_that_of_the_exabgp_before(path, monkeypatch):
    ledger = AdvertisedLedger(path)
    ledger.begin("here")
    ledger.ask([PLAIN])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        ledger.begin("elsewhere")
    monkeypatch.undo()
    ledger.confirm(PLAIN.route)

    assert (ledger.exabgp, ledger.sure) == ("here", 1)
    assert AdvertisedLedger(path).advertised == {PLAIN.route: AdvertisedRoute(PLAIN, True)}


def test_the_file_of_a_route_that_changes_all_the_time_stays_small(path, monkeypatch):
    monkeypatch.setattr(journal, "OCTETS_MIN", 10_000)
    monkeypatch.setattr(journal, "LOOK_OCTETS", 0)
    ledger = AdvertisedLedger(path)
    for seq in range(1000):
        changed = MacAdvertisement(PLAIN.route, VTEP, Vni(100), communities=(mobility(seq),))
        ledger.ask([changed])
        ledger.confirm(PLAIN.route)

    assert path.stat().st_size <= 10_000 + 500
    assert AdvertisedLedger(path).advertised == {PLAIN.route: AdvertisedRoute(changed, True)}


def test_the_sequences_of_an_earlier_life_are_known():
    ledger = AdvertisedLedger()
    ledger.ask([PLAIN, FULL, FLOODS])

    assert list(sequences(ledger.advertised)) == [(Vni(16777215), FULL.route.mac, 7)]


CHANGED = MacAdvertisement(PLAIN.route, VTEP, Vni(100), communities=(mobility(9),))


def test_on_a_full_disk_changes_and_withdrawals_are_noted_in_memory_and_new_routes_are_not(path):
    written(path, PLAIN, FULL)
    ledger = AdvertisedLedger(path)
    with full_disk(path):
        error = ledger.ask([CHANGED, Withdrawal(FULL.route), FLOODS])
        ledger.confirm(PLAIN.route)
        ledger.forget(FULL.route)

        assert "File too large" in str(error)
        assert ledger.advertised == {PLAIN.route: AdvertisedRoute(CHANGED, True)}
        assert [ledger.covers(one.route) for one in (PLAIN, FULL, FLOODS)] == [True, True, False]
        assert ledger.status().trouble == f"{path} cannot be written: File too large"
    ledger.close()


def test_after_a_crash_on_a_full_disk_no_announcement_of_the_file_is_relied_on(path):
    written(path, PLAIN, FULL)
    ledger = AdvertisedLedger(path)
    with full_disk(path):
        ledger.ask([CHANGED])
        ledger.close()

    again = AdvertisedLedger(path)
    again.close()

    assert {route: entry.sure for route, entry in again.advertised.items()} == {PLAIN.route: False, FULL.route: False}
    assert (again.sure, again.exabgp) == (0, "here")


def test_when_there_is_room_again_the_file_of_routes_says_all_by_itself(path):
    written(path, PLAIN, FULL)
    ledger = AdvertisedLedger(path)
    with full_disk(path):
        ledger.ask([CHANGED])
        ledger.forget(FULL.route)
    ledger._journal._clock = lambda: time.monotonic() + journal.RETRY_S
    for _ in range(5):
        ledger.tend()
    ledger.close()

    assert ledger.status().trouble == ""
    assert AdvertisedLedger(path).advertised == {PLAIN.route: AdvertisedRoute(CHANGED, False)}
