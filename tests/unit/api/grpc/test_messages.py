"""What a status value looks like as a message. Every field of a message is filled from somewhere."""

import asyncio

from google.protobuf.json_format import MessageToDict

from tests.lab.figures import BORN_AT, NOW, TROUBLED, TWO, figures, row
from vtep.addr import Mac, Vni
from vtep.api.grpc import messages
from vtep.observe.history import HistoryEntry
from vtep.observe.model import CONTESTED, FAILED, INSTALLED, PENDING, STALE, SUPPRESSED, Sync
from vtep.v1 import vtep_pb2 as pb


def wall(time: float) -> float:
    return BORN_AT + time


def told(message) -> dict:
    return MessageToDict(message, preserving_proto_field_name=True)


def test_a_failed_row_says_what_the_kernel_said_and_when_it_is_tried_again():
    failed = row(3, FAILED, sync=Sync(FAILED, "retrying", "No buffer space available", 105, NOW + 4.25))

    assert told(messages.mac(failed, wall)) == {
        "vni": 100,
        "mac": "02:00:00:00:00:03",
        "vtep": "10.0.0.1",
        "reason": "only-path",
        "peer": "10.0.0.1",
        "rd": "10.0.0.1:100",
        "sync": {
            "state": "SYNC_STATE_FAILED",
            "reason": "retrying",
            "error": "No buffer space available",
            "errno": 105,
            "next_try": "2026-09-21T15:13:24.250Z",
        },
    }


def test_a_time_that_never_was_is_absent():
    assert not messages.mac(row(1, PENDING), wall).sync.HasField("since")


def test_every_state_of_a_row_has_its_number():
    states = {PENDING: 1, INSTALLED: 2, FAILED: 3, CONTESTED: 4, STALE: 5, SUPPRESSED: 6}

    assert states == messages.STATES
    assert set(states.values()) == set(pb.SyncState.values()) - {0}


def test_a_row_on_a_segment_with_a_vni_of_its_own_says_both():
    message = messages.mac(TROUBLED[6], wall)

    assert (message.esi, message.vtep_vni, message.sticky) == ("00:00:00:00:00:00:00:00:00:07", 5000, True)


def test_the_screen_counts_peers_and_says_what_is_wrong():
    message = messages.get_status_response(figures().status(), wall)

    assert (message.feed.peers, message.feed.peers_up, message.feed.peers_ended) == (2, 1, 1)
    assert not message.ready
    assert "VNI 200 is not ready: device-down" in message.problems
    assert [(kinds.kind, kinds.wanted) for kinds in message.kinds] == [("mac", 9), ("flood", 2), ("neighbor", 9)]


def test_what_is_announced_is_counted_and_a_refusal_has_its_reason():
    announcing = messages.get_status_response(figures().status(), wall).announcing

    assert told(announcing) == {
        "state": "able",
        "wanted": 7,
        "told": 4,
        "waiting": 2,
        "refused": 1,
        "error": "no neighbor matches",
        "since": "2026-09-21T15:12:20Z",
        "left_out": ["VNI 300 announces nothing without one (rd)"],
    }


def test_an_explanation_without_a_route_has_no_desired_row():
    (unheard,) = asyncio.run(figures().explain(Mac.parse("02:00:00:00:0f:ff"), None)).explanations

    message = messages.explanation(unheard, [], wall)

    assert not message.HasField("desired")
    assert (message.summary, message.kernel.state, list(message.candidates)) == (
        "no peer advertises it",
        "absent",
        [],
    )


def test_an_event_says_where_a_mac_was_before():
    entry = HistoryEntry("move", Vni(100), row(2).mac, TWO, row(2).vtep, TWO, "higher-seq", "", NOW, 7, 12)

    assert told(messages.event(entry, wall)) == {
        "number": "12",
        "time": "2026-09-21T15:13:20Z",
        "generation": "7",
        "kind": "move",
        "vni": 100,
        "mac": "02:00:00:00:00:02",
        "vtep": "10.0.0.2",
        "vtep_before": "10.0.0.1",
        "peer": "10.0.0.2",
        "reason": "higher-seq",
    }


def test_an_adopted_row_is_spelled_in_words():
    assert messages.orphan((Vni(100), row(1).mac, TWO)) == "100 02:00:00:00:00:01 10.0.0.2"
