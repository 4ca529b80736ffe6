"""What is at which path, and the probes."""

import asyncio
import http.client
import json
import socket

import pytest
from msgspec.structs import replace

from tests.lab.figures import ONE, VNI_READY, row
from tests.lab.served import leaf, served
from vtep.api.http.server import Request
from vtep.api.http.site import ENTRIES_MAX, STUCK_S, Site, start
from vtep.errors import HostError
from vtep.observe.history import HistoryEntry


def site(source, fresh_s=0.0):
    return Site(source, lambda: source.now, fresh_s)


def answered(pages, path, **query):
    return asyncio.run(pages.answer(Request(path, query)))


def asked(source, path, **query):
    response = answered(site(source), path, **query)
    body = response.body if isinstance(response.body, str) else response.body.decode()
    return response.status, json.loads(body) if path.endswith(".json") else body


def test_a_ready_leaf_says_so_and_another_one_says_why_not():
    assert asked(leaf(troubled=False), "/readyz") == (200, "ready\n")

    status, text = asked(leaf(), "/readyz")

    assert status == 503
    assert "VNI 200 is not ready: device-down\n" in text


def test_a_daemon_that_waits_is_alive_and_one_whose_actor_is_stuck_is_not():
    source = leaf()
    source.counted = replace(source.counted, actor_alive=source.now - STUCK_S)
    waits = asked(source, "/livez")
    source.counted = replace(source.counted, actor_alive=source.now - STUCK_S - 1)
    stuck = asked(source, "/livez")
    source.counted = replace(source.counted, actor_alive=None)
    has_none = asked(source, "/livez")

    assert waits == (200, "ok\n")
    assert stuck == (503, "no sign of the actor for 181 s\n")
    assert has_none == (200, "ok\n")


def test_addresses_are_text_and_times_are_those_of_the_day():
    _, status = asked(leaf(), "/status.json")

    assert status["feed"]["peers"][0]["address"] == "10.0.0.1"
    assert status["feed"]["last_line"] == 1_790_003_599.0
    assert status["kinds"]["mac"]["pending"] == 2
    assert status["ready"] is False
    assert status["own_segments"] == {"forwarding": 1}


def test_every_vni_is_listed():
    _, told = asked(leaf(), "/vnis.json")

    assert [(vni["vni"], vni["state"]) for vni in told["vnis"]] == [
        (100, "ready"),
        (200, "not-ready"),
        (300, "unbound"),
    ]


def test_events_go_on_where_a_reader_left_off():
    source = leaf()
    _, first = asked(source, "/events.json")
    source.record(HistoryEntry("peer-down", text="gone"))
    _, then = asked(source, "/events.json", after=str(first["entries"][-1]["number"]))

    assert [entry["kind"] for entry in then["entries"]] == ["peer-down"]
    assert then["epoch"] == source.epoch


def test_of_very_many_events_the_latest_are_listed_and_the_others_are_counted():
    source = leaf()
    source.record(*(HistoryEntry("move", VNI_READY, row(number).mac) for number in range(ENTRIES_MAX)))

    _, told = asked(source, "/events.json")

    assert len(told["entries"]) == ENTRIES_MAX
    assert told["forgotten"] == 3
    assert told["entries"][-1]["number"] == ENTRIES_MAX + 3


@pytest.mark.parametrize("text", ["02:00:00:00:00:03", "0200.0000.0003", "02-00-00-00-00-03"])
def test_a_mac_is_explained_in_any_usual_notation(text):
    status, told = asked(leaf(), "/explain.json", mac=text)

    assert status == 200
    assert told["explanations"][0]["mac"] == "02:00:00:00:00:03"
    assert told["explanations"][0]["desired"]["sync"]["next_try"] == 1_790_003_604.0


def test_the_address_of_a_vtep_is_answered_with_what_each_vni_has_of_it():
    _, told = asked(leaf(), "/explain.json", ip=str(ONE))
    _, vteps = asked(leaf(), "/vteps.json")
    (listed,) = [one for one in vteps["vteps"] if one["vtep"] == str(ONE)]

    assert {one["vtep"] for one in told["as_vtep"]["vnis"]} == {str(ONE)}
    assert sum(one["macs"] for one in told["as_vtep"]["vnis"]) == listed["macs"]
    assert told["as_vtep"]["total"] == listed["vnis"]
    assert asked(leaf(), "/explain.json", ip="192.0.2.1")[1]["as_vtep"] == {"vnis": [], "total": 0}


@pytest.mark.parametrize(
    ("path", "query", "complaint"),
    [
        ("/explain.json", {}, "not a valid MAC address"),
        ("/explain.json", {"mac": "<b>"}, "not a valid MAC address"),
        ("/explain.json", {"mac": "02:00:00:00:00:03", "vni": "99999999"}, "vni is not a number"),
        ("/events.json", {"after": "-1"}, "after is not a number"),
        ("/events.json", {"after": "9" * 5000}, "after is not a number"),
    ],
    ids=["no MAC", "a MAC that is none", "a VNI that is none", "a negative number", "a very long number"],
)
def test_a_question_that_makes_no_sense_is_answered_with_what_is_wrong(path, query, complaint):
    status, told = asked(leaf(), path, **query)

    assert status == 400
    assert complaint in told["error"]


def test_another_path_is_answered_with_those_there_are():
    status, text = asked(leaf(), "/admin")

    assert status == 404
    assert "/metrics" in text


def test_a_long_answer_is_made_once_however_many_ask():
    source = leaf(troubled=False)
    pages = site(source, fresh_s=1.0)
    before = answered(pages, "/status.json").body
    source.become(generation=8)
    source.now += 0.5
    soon = answered(pages, "/status.json").body
    source.now += 0.6
    later = answered(pages, "/status.json").body

    assert soon is before
    assert json.loads(later)["generation"] == 8


def test_probes_are_never_old():
    source = leaf(troubled=False)
    pages = site(source, fresh_s=1.0)
    before = answered(pages, "/readyz").status
    source.become(complete=False)

    assert (before, answered(pages, "/readyz").status) == (200, 503)


def test_a_probe_is_answered_while_many_pages_are_made_in_turns():
    async def story():
        pages = site(leaf())
        making = [asyncio.create_task(pages.answer(Request("/events.json"))) for _ in range(50)]
        await asyncio.sleep(0)
        probed = await pages.answer(Request("/livez"))
        waiting = sum(not page.done() for page in making)
        answers = await asyncio.gather(*making)
        return probed.status, waiting, {answer.status for answer in answers}

    status, waiting, others = asyncio.run(story())

    assert (status, others) == (200, {200})
    assert waiting >= 48


def test_the_page_may_run_its_own_script_and_nothing_else():
    response = answered(site(leaf()), "/")
    policy = response.fields["Content-Security-Policy"]

    assert policy.count("'sha256-") == 2
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_an_address_that_is_taken_is_an_error_that_says_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(HostError) as refused:
            asyncio.run(start(address, site(leaf())))

    assert f"api.metrics: {address}: " in str(refused.value)
    assert 'metrics = ""' in str(refused.value)


@pytest.mark.parametrize(("address", "host"), [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1")])
def test_it_is_served_at_the_address_that_was_configured(address, host):
    with served(leaf(), address) as port:
        connection = http.client.HTTPConnection(host, port, timeout=5)
        connection.request("GET", "/livez")
        answer = connection.getresponse().read()
        connection.close()

    assert answer == b"ok\n"
