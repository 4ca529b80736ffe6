"""JSON has every field of the proto, by its name, and docs/json.md says which."""

import json
import re
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from vtep.cli import values
from vtep.v1 import admin_pb2
from vtep.v1 import vtep_pb2 as pb

JSON_MD = (Path(__file__).parents[3] / "docs" / "json.md").read_text()
SHOWN = [
    message
    for module in (pb, admin_pb2)
    for name, message in module.DESCRIPTOR.message_types_by_name.items()
    if not name.endswith("Request") and name not in {"WatchResponse", "MacKey", "PrefixKey"}  # told by `watch` alone
]


def test_an_empty_message_has_all_its_fields():
    mac = values.value(pb.Mac())

    assert list(mac) == [field.name for field in pb.Mac.DESCRIPTOR.fields]
    assert mac["sync"] is None
    assert mac["notes"] == []
    assert mac["seq"] == 0
    assert mac["sticky"] is False


def test_states_have_no_prefix_and_an_unspecified_one_is_null():
    assert values.value(pb.Sync(state=pb.SYNC_STATE_INSTALLED))["state"] == "INSTALLED"
    assert values.value(pb.Sync())["state"] is None
    assert values.enum_name(pb.WatchMark.DESCRIPTOR, pb.WATCH_MARK_LAGGED) == "LAGGED"


def test_a_state_of_a_newer_daemon_is_its_number():
    assert values.value(pb.Sync.FromString(b"\x08\x2a"))["state"] == "42"


def test_every_state_can_be_typed_as_it_is_shown():
    from vtep.cli import options

    shown = [values.enum_name(pb.SyncState.DESCRIPTOR, number) for number in pb.SyncState.values() if number]

    assert [name.lower() for name in shown] == list(options.STATES)


def test_times_are_rfc_3339_and_an_absent_one_is_null():
    event = pb.Event(time=Timestamp(seconds=1_790_000_000, nanos=250_000_000))

    assert values.value(event)["time"] == "2026-09-21T14:13:20.250000Z"
    assert values.value(pb.Event())["time"] is None
    assert values.value(pb.Event(time=Timestamp(seconds=1 << 60)))["time"] is None


def test_large_numbers_are_numbers():
    status = pb.GetStatusResponse(generation=(1 << 64) - 1)

    assert json.loads(values.line(values.value(status)))["generation"] == (1 << 64) - 1


def test_a_line_has_nothing_that_a_terminal_acts_on():
    line = values.line(values.value(pb.Peer(reason="\x1b[2J\x07\x7f\x9b\n漢")))

    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["reason"] == "\x1b[2J\x07\x7f\x9b\n漢"


@pytest.mark.parametrize("message", SHOWN, ids=lambda message: message.name)
def test_the_document_lists_the_fields(message):
    """On failure: the fields that docs/json.md should list are in the message."""
    wanted = [(field.name, kind(message, field)) for field in message.fields if field.name != values.PAGE_TOKEN]

    section = re.search(rf"^### {re.escape(title(message))}\n(.*?)(?=^##|\Z)", JSON_MD, re.MULTILINE | re.DOTALL)

    assert section, f"docs/json.md has no section {title(message)}"
    assert re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", section[1], re.MULTILINE) == wanted


def title(message):
    return {
        "GetStatusResponse": "status",
        "ListVnisResponse": "vnis",
        "ListMacsResponse": "macs",
        "ListVtepsResponse": "vteps",
        "ListNeighborsResponse": "neighbors",
        "ListPeersResponse": "peers",
        "ExplainMacResponse": "explain",
        "ListEventsResponse": "events",
        "DiffResponse": "diff",
        "AdoptResponse": "adopt",
        "ResyncResponse": "resync",
        "ClearDuplicateResponse": "clear-duplicate",
        "SetLogLevelResponse": "log-level",
    }.get(message.name, message.name)


def kind(message, field):
    """Say what a field's value is, in JSON's words."""
    empty = getattr(pb if message.file is pb.DESCRIPTOR else admin_pb2, message.name)()
    if field.enum_type:
        one = "state or null"
    elif field.message_type:
        name = field.message_type.name
        one = "time or null" if name == "Timestamp" else name
    else:
        one = {field.TYPE_STRING: "text", field.TYPE_BOOL: "true or false"}.get(field.type, "number")
    if values.is_list(getattr(empty, field.name)):
        return f"list of {one}"
    return one if one.endswith("null") or not field.message_type else f"{one} or null"
