"""An explanation is for a person at three in the morning: what is so first, then what to do, then everything else."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from vtep.cli.explain import Page
from vtep.v1 import vtep_pb2 as pb

NOW = 1_790_000_000


def at(seconds):
    return Timestamp(seconds=NOW + seconds)


FAILED = pb.Explanation(
    vni=100,
    mac="02:00:00:00:00:03",
    summary="failed behind 10.0.0.1: No buffer space available",
    advice="tried again by itself; look how large the table may be",
    candidates=[
        pb.Candidate(
            vtep="10.0.0.1", verdict="won", reason="higher-seq", text="Its MAC mobility sequence is higher.", seq=4,
            peer="10.0.0.9", rd="10.0.0.1:100", label=100, route_targets=["65000:100"],
        ),
        pb.Candidate(vtep="10.0.0.2", verdict="refused", reason="rt-mismatch", text="Not ours.", peer="10.0.0.9"),
    ],
    desired=pb.Mac(
        vtep="10.0.0.1", reason="higher-seq", seq=4,
        sync=pb.Sync(
            state=pb.SYNC_STATE_FAILED, reason="retrying", error="No buffer space available", errno=105, next_try=at(4)
        ),
    ),
    ownership=pb.Ownership(state="claimed", since=at(-3)),
    kernel=pb.KernelRow(state="absent", seen=at(-1)),
    alerts=["dup-warn"], moves=5, duplicate_since=at(-300),
    vni_state="not-ready", vni_reasons=["device-down"],
    events=[pb.Event(time=at(-60), kind="move", vtep_before="10.0.0.2", vtep="10.0.0.1", reason="higher-seq")],
)  # fmt: skip


def shown(explanation, columns=80):
    return "\n".join(Page(columns, NOW).lines(explanation)).split("\n")


def test_the_summary_is_first_and_the_advice_second():
    assert shown(FAILED)[:3] == [FAILED.summary, FAILED.advice, ""]


@pytest.mark.parametrize(
    "line",
    [
        "MAC         02:00:00:00:00:03 in VNI 100",
        "VNI         not-ready: device-down",
        "won         10.0.0.1, higher-seq, seq 4",
        "            Its MAC mobility sequence is higher.",
        "            of peer 10.0.0.9, RD 10.0.0.1:100, label 100",
        "            route targets 65000:100",
        "refused     10.0.0.2, rt-mismatch",
        "wanted      behind 10.0.0.1, higher-seq, seq 4",
        "state       failed, retrying",
        "error       ENOBUFS (105): No buffer space available",
        "next try    in 4 s",
        "claim       claimed, but not seen in the kernel yet, since 3 s ago",
        "kernel      absent, seen 1 s ago",
        "alert       dup-warn",
        "moved       5 times within the window of duplicate detection",
        "duplicate   since 5 min ago",
    ],
)
def test_every_stage_is_shown(line):
    assert line in shown(FAILED)


def test_events_are_shown_last():
    assert shown(FAILED)[-1].endswith("move 10.0.0.2 -> 10.0.0.1, higher-seq")


def test_a_mac_that_no_peer_advertises_is_shown_in_a_few_lines():
    unheard = pb.Explanation(mac="02:00:00:00:00:09", summary="no peer advertises it", advice="look at the peers")

    assert shown(unheard) == [
        "no peer advertises it",
        "look at the peers",
        "",
        "MAC         02:00:00:00:00:09, in no VNI",
        "received    no route for it",
        "wanted      nothing",
        "claim       unknown",
        "kernel      unknown, not seen yet",
    ]


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_no_line_is_wider_than_the_terminal(columns):
    long = pb.Explanation()
    long.CopyFrom(FAILED)
    long.summary = "word " * 60
    long.kernel.holder = "somebody else who has a long name " * 3
    long.candidates[0].route_targets[:] = ["4200000001:65535"] * 20

    assert max(map(len, shown(long, columns))) <= columns


def test_what_a_peer_said_cannot_act_on_the_terminal():
    hostile = pb.Explanation(
        summary="\x1b[2Jnothing", advice="\x1b]0;x\x07", candidates=[pb.Candidate(verdict="\x1b[1m", text="a\x1bb\rc")],
        events=[pb.Event(kind="move", text="\x1b[2J\nroot#")], alerts=["\x9b2J"], vni=1, vni_reasons=["\x08\x08"],
    )  # fmt: skip

    assert all(line.isprintable() for line in shown(hostile))


def test_a_state_is_coloured_only_on_a_terminal_with_colours():
    coloured = "\n".join(Page(80, NOW, colours=True).lines(FAILED))

    assert "\x1b" not in "\n".join(shown(FAILED))
    assert "state       \x1b[31mfailed\x1b[0m, retrying" in coloured
    assert "VNI         \x1b[31mnot-ready\x1b[0m: device-down" in coloured


def test_candidates_that_are_not_shown_are_counted():
    explanation = pb.Explanation(mac="02:00:00:00:00:01", vni=100, candidates=[pb.Candidate()], candidates_left_out=7)

    assert "            7 more candidates are not shown" in list(Page(80, 0.0).lines(explanation))


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"since": at(-60)}, "received 60 s ago"),
        ({"received_before": at(-7200)}, "received more than 2 h ago"),
    ],
)
def test_a_candidate_says_how_long_it_has_been_as_it_is(more, line):
    explanation = pb.Explanation(candidates=[pb.Candidate(vtep="10.0.0.1", verdict="won", peer="10.0.0.9", **more)])
    assert any(one.endswith(line) for one in shown(explanation))
