"""MACs that another VTEP of our segment has seen, on the kernel in memory and on the real one: the row at our port, and who yields."""

import pytest

from tests.contract.grouped import CONFIG, A, C, M, grouped_leaf, per_segment, type2
from tests.contract.test_backups import FORWARDS, SEGMENT, BackedUp, up
from tests.contract.worlds import ip, send_frame
from tests.lab.wait import wait_until
from vtep.addr import NO_SEGMENT, Vni
from vtep.evpn.station import Station
from vtep.linux.wire.neighbor import (
    FDB_NOTIFY,
    FDB_NOTIFY_INACTIVE,
    NTF_MASTER,
    NUD_NOARP,
    NUD_REACHABLE,
    Half,
    Lookup,
    Neighbor,
    Verb,
)
from vtep.local.stations import Location, accesses, location_of
from vtep.projection.policy import DOWN, FORWARDING

KEY = (Vni(100), M)
SILENT = FDB_NOTIFY | FDB_NOTIFY_INACTIVE


class Synced(BackedUp):
    def row(self):
        """Return the bridge row of the MAC."""
        links = self.leaf.kernel.links()
        return self.leaf.kernel.get_many([Lookup(links.by_name["vx100"].index, M, Half.BRIDGE)])[0]

    def at(self) -> tuple[str, int, int]:
        """Return the port of the row, its state, and whether the bridge tells of frames."""
        row = self.row()
        return ("", 0, 0) if row is None else (self.leaf.kernel.links().by_index[row.port].name, row.state, row.notify)

    def location(self) -> Location | None:
        """Return where the row has a station of this leaf, if it counts as one."""
        kernel = self.leaf.kernel
        [access] = accesses(self.leaf.config.vnis, kernel.links(), ()).values()
        return location_of(self.row(), access)

    def is_station(self) -> bool:
        return self.location() is not None

    def look(self) -> None:
        """Tell the leaf whether the MAC is a station, as the daemon does at its start and after an event."""
        at = self.location()
        stations = () if at is None else [Station(*KEY, at.port, static=at.static, synced=at.synced)]
        self.leaf.leaf.learn_stations(stations, [KEY] if at is None else ())

    def speak(self) -> None:
        """A frame comes from the machine."""
        if self.world == "memory":
            self.leaf.kernel.station_sends(M, "es0")
        else:
            wait_until(self._speaks, 5, "the bridge notes the frame")

    def _speaks(self) -> bool:
        send_frame("ce0", M)
        return self.is_station()

    def fall_silent(self) -> None:
        """No frame comes for the ageing time of the bridge."""
        if self.world == "memory":
            self.leaf.kernel.station_expires(M, "br100")
            return
        ip("link set br100 type bridge ageing_time 100")
        wait_until(lambda: not self.is_station(), 10, "the bridge notes the silence")

    def write(self, name: str, flags: int, state: int) -> None:
        if self.world == "namespace" and name == "h0":
            ip("link set ce1 up")
            forwards = lambda: self.leaf.kernel.links().by_name["h0"].bridge_port.state == FORWARDS
            wait_until(forwards, 5, "a port that forwards")
        port = self.leaf.kernel.links().by_name[name].index
        assert not self.leaf.kernel.send([Neighbor(Verb.REPLACE, port, M, flags | NTF_MASTER, state)])


ADVERTISING = CONFIG.replace("vni = 100", 'vni = 100\nrd = "10.0.0.1:100"\nexport_rt = ["65000:100"]') + SEGMENT


@pytest.fixture(params=["memory", "namespace"])
def rig(request):
    with grouped_leaf(request.param, ADVERTISING) as leaf:
        yield Synced(leaf, request.param)


def ready(rig, *more):
    rig.leaf.advertise(*up(A), *more)
    rig.leaf.end()
    rig.leaf.pass_(survey=True)


def test_a_mac_that_another_vtep_has_seen_is_at_our_port_before_it_speaks_here(rig):
    ready(rig, type2(A))
    assert (rig.halves(), rig.at()) == (("es0", [A]), ("es0", NUD_NOARP, SILENT))
    assert (rig.is_station(), rig.leaf.troubles()) == (False, [])

    report = rig.leaf.pass_(survey=True)
    assert (report.created, report.replaced, report.deleted) == (0, 0, 0)

    rig.leaf.withdraw(type2(A))
    rig.leaf.pass_()
    assert (rig.halves(), rig.leaf.troubles()) == (("", []), [])


def test_the_bridge_tells_when_the_machine_speaks_and_when_it_is_silent(rig):
    ready(rig, type2(A))
    rig.speak()
    assert rig.at() == ("es0", NUD_NOARP, FDB_NOTIFY)
    assert rig.is_station()

    rig.fall_silent()
    assert rig.at() == ("es0", NUD_NOARP, SILENT)
    assert not rig.is_station()
    assert rig.leaf.pass_(survey=True).replaced == 0


def test_what_the_bridge_has_learned_is_taken_over_and_still_counts_as_seen(rig):
    ready(rig)
    rig.station()
    rig.leaf.advertise(type2(A))
    rig.leaf.pass_()
    assert (rig.at(), rig.leaf.troubles()) == (("es0", NUD_NOARP, FDB_NOTIFY), [])
    assert rig.is_station()

    rig.leaf.withdraw(type2(A))  # the row stays: the machine speaks here
    rig.leaf.pass_()
    assert (rig.halves(), rig.at()) == (("es0", [A]), ("es0", NUD_NOARP, FDB_NOTIFY))
    rig.fall_silent()
    rig.leaf.leaf.learn_stations((), [KEY])
    rig.leaf.pass_()
    assert (rig.halves(), rig.leaf.troubles()) == (("", []), [])


def test_a_station_that_the_others_see_no_more_keeps_its_row_when_the_daemon_restarts(rig):
    ready(rig, type2(A))
    rig.speak()
    rig.begin(rig.leaf.restarted(ADVERTISING))
    rig.look()
    report = rig.leaf.pass_(survey=True)
    assert (rig.leaf.intent.synced[KEY].port, report.deleted) == ("es0", 0)
    rig.leaf.advertise(*up(A))
    rig.leaf.end()
    rig.leaf.pass_(survey=True)
    assert (rig.halves(), rig.at(), rig.leaf.troubles()) == (("es0", [A]), ("es0", NUD_NOARP, FDB_NOTIFY), [])

    rig.fall_silent()
    rig.look()
    rig.leaf.pass_()
    assert (rig.halves(), rig.leaf.troubles()) == (("", []), [])


def test_the_row_goes_into_the_tunnel_while_the_port_is_down_and_comes_back(rig):
    ready(rig, type2(A))
    for _ in range(2):
        rig.be(DOWN)
        rig.leaf.pass_()
        assert (rig.halves(), rig.leaf.troubles()) == (("vx100", [A]), [])
        assert rig.leaf.pass_(survey=True).replaced == 0
        rig.be(FORWARDING)
        rig.leaf.pass_()
        assert (rig.halves(), rig.leaf.troubles()) == (("es0", [A]), [])
        assert not rig.is_station()


def test_the_mac_moves_off_the_segment_and_back(rig):
    ready(rig, type2(A))
    rig.leaf.advertise(type2(C, NO_SEGMENT, seq=7))
    rig.leaf.pass_()
    assert (rig.halves(), rig.leaf.troubles()) == (("vx100", [C]), [])

    rig.leaf.withdraw(type2(C, NO_SEGMENT, seq=7))
    rig.leaf.pass_()
    assert (rig.halves(), rig.leaf.troubles()) == (("es0", [A]), [])


@pytest.mark.parametrize(
    ("name", "flags", "state", "reason"),
    [
        ("es0", 0, NUD_NOARP, "local-static"),
        ("vx100", 0, NUD_NOARP, "foreign"),
        ("h0", 0, NUD_REACHABLE, "local-learned"),
    ],
)
def test_a_row_of_another_hand_stays(rig, name, flags, state, reason):
    rig.write(name, flags, state)
    ready(rig, type2(A))
    for _ in range(2):
        assert rig.at() == (name, state, 0)
        assert ("synced-mac", f"contested {reason}") in rig.leaf.troubles()
        rig.leaf.pass_(survey=True)

    rig.leaf.withdraw(type2(A))
    rig.leaf.pass_(survey=True)
    assert (rig.at(), rig.leaf.troubles()) == ((name, state, 0), [])


def test_a_row_that_another_program_removes_is_made_again(rig):
    ready(rig, type2(A))
    port = rig.leaf.kernel.links().by_name["es0"].index
    assert not rig.leaf.kernel.send([Neighbor(Verb.DELETE, port, M, NTF_MASTER, 0)])
    report = rig.leaf.pass_(hinted={"synced-mac": [KEY]})
    assert (rig.at(), report.repaired) == (("es0", NUD_NOARP, SILENT), 1)


def test_the_next_daemon_removes_the_row_if_no_route_says_so_any_more(rig):
    ready(rig, type2(A))
    before = rig.leaf
    rig.leaf = before.restarted()
    rig.leaf.target = before.target
    rig.leaf.engine = type(before.engine)(before.engine.kinds, before.target, rig.leaf.ledger)
    rig.leaf.pass_(survey=True)
    assert rig.at()[0] == "es0"
    rig.leaf.end()
    rig.leaf.pass_(survey=True)
    assert (rig.at(), rig.leaf.troubles()) == (("", 0, 0), [])


def test_a_station_at_the_port_is_advertised_as_one_and_not_for_others(rig):
    ready(rig, type2(A))
    assert rig.leaf.intent.own[*KEY, None].proxy
    rig.leaf.leaf.learn_stations([Station(*KEY, "es0")])
    rig.leaf.pass_()
    assert not rig.leaf.intent.own[*KEY, None].proxy
    rig.leaf.withdraw(per_segment(A))
    rig.leaf.pass_()
    assert rig.at()[0] == "es0"


@pytest.mark.parametrize("survey", [True, False])
def test_the_row_goes_with_its_segment(rig, survey):
    ready(rig, type2(A))
    rig.leaf.target.reconfigure(rig.leaf.config.vnis)
    rig.leaf.leaf.set_segments({})
    rig.leaf.engine.suspect_attachments()
    rig.leaf.pass_(survey=survey)
    rig.leaf.pass_(survey=True)
    assert rig.at()[0] != "es0"
    assert len(rig.leaf.ledger.claims("synced-mac")) == 0
