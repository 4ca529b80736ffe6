"""What of a batch is shown, and how far the first convergence is."""

import io
import json

import pytest

from vtep.cli.watch import Documents, Pace, PlainLines, Screen, yaml_text
from vtep.v1 import vtep_pb2 as pb


def status(installed, wanted=50_000, *, ready=False, ended=1):
    return pb.GetStatusResponse(
        version="0.1.0",
        ready=ready,
        problems=["1 row is failed"] * (not ready),
        feed=pb.Feed(peers=2, peers_ended=ended),
        kinds=[pb.KindCounts(kind="mac", wanted=wanted, installed=installed)],
    )


MAC = pb.Mac(
    vni=100, mac="02:00:00:00:00:03", vtep="10.0.0.1", reason="only-path",
    sync=pb.Sync(state=pb.SYNC_STATE_FAILED, reason="retrying", error="No buffer space available"),
)  # fmt: skip


def test_progress_has_the_count_the_rate_and_the_end_of_ribs():
    pace = Pace()
    pace.line(status(31_400), 10.0)

    assert pace.line(status(41_200), 11.0) == "macs 41,200/50,000 installed, 9.8k/s, EoR 1/2"


def test_two_figures_of_one_moment_say_nothing_about_a_rate():
    pace = Pace()
    pace.line(status(0), 10.0)
    pace.line(status(1000), 11.0)

    assert "1.0k/s" in pace.line(status(5000), 11.001)


def test_progress_ends_for_good_when_it_was_ready_once():
    pace = Pace()

    assert pace.line(status(50_000, ready=True), 10.0) == ""
    assert pace.line(status(49_999), 11.0) == ""


def told(*batches):
    out = io.StringIO()
    lines = Documents(out)
    for batch in batches:
        lines.take(batch)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_every_change_is_an_object_with_a_type():
    batch = pb.WatchResponse(
        macs=[MAC], gone=[pb.MacKey(vni=100, mac="02:00:00:00:00:01")], events=[pb.Event(number=7, kind="move")],
        status=status(1), mark=pb.WATCH_MARK_SYNCED, resume_token="t",
    )  # fmt: skip

    objects = told(batch)

    assert [one["type"] for one in objects] == ["mac", "gone", "event", "mark", "status"]
    assert objects[0]["sync"]["state"] == "FAILED"
    assert objects[1] == {"type": "gone", "vni": 100, "mac": "02:00:00:00:00:01"}
    assert objects[3] == {"type": "mark", "mark": "SYNCED"}


PREFIXES = pb.WatchResponse(
    prefixes=[
        pb.IpPrefix(
            vrf="blue", vni=4001, prefix="10.1.0.0/24", vteps=["10.0.0.1", "10.0.0.2"], reason="ecmp",
            sync=pb.Sync(state=pb.SYNC_STATE_INSTALLED),
        )
    ],
    gone_prefixes=[pb.PrefixKey(vrf="blue", vni=4001, prefix="10.2.0.0/24")],
    events=[pb.Event(kind="contested", vni=4001, key="10.3.0.0/24", reason="foreign-row")],
)  # fmt: skip


def test_prefixes_are_changes_as_macs_are():
    objects, lines, screen = told(PREFIXES), io.StringIO(), Screen(io.StringIO())
    PlainLines(lines).take(PREFIXES)
    screen.take(PREFIXES)

    assert [one["type"] for one in objects] == ["prefix", "gone-prefix", "event"]
    assert objects[1] == {"type": "gone-prefix", "vrf": "blue", "vni": 4001, "prefix": "10.2.0.0/24"}
    row, gone, event = lines.getvalue().splitlines()
    assert row == "row  blue 10.1.0.0/24 10.0.0.1 10.0.0.2 installed (ecmp)"
    assert gone == "gone  blue 10.2.0.0/24"
    assert "contested 4001 10.3.0.0/24" in event
    picture = "\n".join(screen.picture(100, 30, colours=False))
    assert all(prefix in picture for prefix in ("10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24"))


def test_lagged_comes_before_the_table_that_follows():
    objects = told(pb.WatchResponse(macs=[MAC], mark=pb.WATCH_MARK_LAGGED))

    assert [one["type"] for one in objects] == ["mark", "mac"]


def test_a_heartbeat_prints_no_line():
    assert told(pb.WatchResponse(resume_token="t")) == []


def test_lines_for_people_say_what_changed_and_progress_is_talk(capsys):
    out = io.StringIO()
    show = PlainLines(out)

    show.take(pb.WatchResponse(macs=[MAC], gone=[pb.MacKey(vni=100, mac="02:00:00:00:00:01")], status=status(5)))
    show.take(pb.WatchResponse(status=status(5)))

    assert out.getvalue().splitlines() == [
        "row  100 02:00:00:00:00:03 10.0.0.1 failed (retrying: No buffer space available)",
        "gone  100 02:00:00:00:00:01",
    ]
    assert capsys.readouterr().err.splitlines() == ["macs 5/50,000 installed, 0/s, EoR 1/2"]


@pytest.mark.parametrize(("columns", "lines_max"), [(79, 23), (40, 8), (200, 60)])
def test_the_picture_fits_however_much_happens(columns, lines_max):
    show = Screen(io.StringIO())
    batch = pb.WatchResponse(macs=[MAC] * 300, status=status(5))
    batch.status.problems.extend(["something is wrong " * 9] * 9)
    show.take(batch)

    picture = show.picture(columns, lines_max, colours=False)

    assert len(picture) <= lines_max
    assert max(map(len, picture)) <= columns


def test_the_picture_has_the_figures_the_progress_and_the_last_changes():
    show = Screen(io.StringIO())
    show.take(pb.WatchResponse(macs=[MAC], status=status(5)))

    text = "\n".join(show.picture(79, 23, colours=False))

    assert "vtep 0.1.0, not ready" in text
    assert "macs 5/50,000 installed" in text
    assert "02:00:00:00:00:03" in text


def test_a_redraw_goes_back_to_where_the_picture_began():
    out = io.StringIO()
    show = Screen(out)
    show.take(pb.WatchResponse(status=status(5)))
    height = out.getvalue().count("\n")

    show.take(pb.WatchResponse(status=status(6)))
    show.rest()

    assert f"\x1b[{height}F\x1b[J" in out.getvalue()


def test_yaml_has_a_document_for_each_object():
    out = io.StringIO()

    Documents(out, yaml_text).take(pb.WatchResponse(macs=[MAC], mark=pb.WATCH_MARK_SYNCED))

    first, second = out.getvalue().split("---\n")[1:]
    assert first.startswith('type: "mac"\nvni: 100\nmac: "02:00:00:00:00:03"\n')
    assert second == 'type: "mark"\nmark: "SYNCED"\n'
