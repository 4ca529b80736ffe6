"""The live screen says how fast it is, when it will be done, and which VNIs are worst."""

from vtep.cli.top import Figures
from vtep.v1 import vtep_pb2 as pb


def status(installed, wanted=1000, lines=0):
    macs = pb.KindCounts(kind="mac", wanted=wanted, installed=installed)
    return pb.WatchResponse(status=pb.GetStatusResponse(kinds=[macs], feed=pb.Feed(lines=lines)))


def test_the_progress_has_a_rate_and_an_end():
    seen = Figures()
    seen.take(status(100, lines=10), 0.0)
    seen.take(status(300, lines=50), 2.0)

    assert seen.rates() == (100.0, 0.0, 20.0)
    picture = "\n".join(seen.picture(100, 30, colours=False))
    assert "[#########.....................] 300 of 1,000 MACs, done in 7 s" in picture
    assert "installed 100/s, changed 0/s, lines 20/s" in picture


def test_a_rate_forgets_what_is_long_ago():
    seen = Figures()
    for second in range(100):
        seen.take(status(min(1000, second * 100)), float(second))

    assert seen.rates()[0] == 0.0
    assert len(seen.samples) < 15


def test_the_worst_vnis_are_not_ready_or_miss_most():
    seen = Figures()
    seen.vnis = [
        pb.Vni(vni=1, state="ready", macs=pb.KindCounts(wanted=5, installed=5)),
        pb.Vni(vni=2, state="ready", macs=pb.KindCounts(wanted=5, installed=4)),
        pb.Vni(vni=3, state="not-ready", macs=pb.KindCounts(wanted=1)),
        pb.Vni(vni=4, state="ready", macs=pb.KindCounts(wanted=50, installed=4)),
    ]

    assert [vni.vni for vni in seen.worst()] == [3, 4, 2]


def test_the_picture_fits_any_terminal():
    seen = Figures()
    seen.take(status(1), 0.0)
    seen.vnis = [pb.Vni(vni=n, state="not-ready", reasons=["device-down"]) for n in range(20)]
    for event in range(300):
        seen.events.append(("2026-09-21 20:42:50+0530", "move", "100", "02:00:00:00:00:01", f"from {event}"))

    for columns, lines in ((40, 10), (80, 24), (200, 60)):
        picture = seen.picture(columns, lines, colours=False)
        assert len(picture) <= lines
        assert max(map(len, picture)) <= columns
