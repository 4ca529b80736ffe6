"""What a peer can do to the lines that real ExaBGP prints: the text of its NOTIFICATION, and ADD-PATH, which shifts each NLRI."""

from pathlib import Path

import pytest

from tests.lab import wire
from tests.lab.fixtures import lab, network
from tests.lab.peers import EXABGP, EXABGP_4_2, ExaBgp, Recorder, exabgp_config
from tests.lab.speaker import Speaker
from tests.lab.topology import LEAF, address
from tests.lab.wait import wait_until
from tests.lab.wire import Offer
from vtep.evpn.event import Announced, Received, SessionClosed, SessionOpened
from vtep.feed.exabgp.answers import Answered
from vtep.feed.exabgp.lines import LineReader

__all__ = ["lab", "network"]

pytestmark = [pytest.mark.root_netns, pytest.mark.slow]

PEER = address(1)
ROUTE = wire.Instance(PEER).mac("02:00:00:00:00:01")
ADD_PATH = 69
EVPN_BOTH_WAYS = b"\x00\x19\x46\x03"


@pytest.fixture(params=[EXABGP, EXABGP_4_2], ids=["5.0", "4.2"])
def executable(request) -> Path:
    return request.param


@pytest.fixture
def recorder(network) -> Recorder:
    return Recorder(network.leaf)


def start(network, recorder, executable, speaker, *, announces=True, capability=""):
    config = exabgp_config(address(LEAF), [PEER], recorder.run)
    config = config.replace("route-refresh; }", f"route-refresh; {capability} }}")
    ExaBgp(network.leaf, config, executable=executable, announces=announces).start()
    return speaker.wait_established()


def read(recorder) -> tuple[list, list[Answered]]:
    """Return the events that the lines so far mean, and the answers among them."""
    answers: list[Answered] = []
    lines = (line.encode() for line in recorder.text())
    messages = [message for message in LineReader(answers.append).read(lines) if isinstance(message, Received)]
    return [event for message in messages for event in message.events], answers


def closed(recorder) -> list[SessionClosed]:
    return [event for event in read(recorder)[0] if isinstance(event, SessionClosed)]


@pytest.mark.parametrize("announces", [True, False], ids=["vtep-exabgp", "plain"])
@pytest.mark.parametrize(
    "text",
    [
        b"bye\ndone\nerror\nmore",
        b"\ndone",
        b"ends\n",
        b'a "quoted" } }\ndone\n',
        b"\xff\xfe\ndone",
        b"\x1b[2J\r\nerror",
    ],
    ids=["answers", "first", "last", "an-end-of-its-own", "not-text", "controls"],
)
def test_the_text_of_a_notification_loses_no_end_of_a_session_and_forges_no_answer(
    network, recorder, executable, announces, text
):
    with Speaker(network.remote, PEER) as speaker:
        start(network, recorder, executable, speaker, announces=announces)
        wait_until(lambda: any(isinstance(event, SessionOpened) for event in read(recorder)[0]), 10, "the session")

        speaker.notify(6, 9, text)

        wait_until(lambda: closed(recorder), 10, "its end")
        wait_until(lambda: len(speaker.established()) == 1, 30, "the next session")
        wait_until(lambda: sum(isinstance(e, SessionOpened) for e in read(recorder)[0]) == 2, 10, "its line")
    # Plain 4.2 prints the text as it came, so text that ends the line and begins another cannot be told from ExaBGP's own.
    if not (text.endswith(b"} }\ndone\n") and not announces and executable == EXABGP_4_2):
        assert read(recorder)[1] == []
    if announces:
        assert [line for line in recorder.text() if not line.startswith("{")] == []


def test_add_path_is_not_negotiated_for_evpn_whatever_is_configured_and_offered(network, recorder, executable):
    offer = Offer(more=((ADD_PATH, EVPN_BOTH_WAYS),))
    with Speaker(network.remote, PEER, offer) as speaker:
        session = start(network, recorder, executable, speaker, capability="add-path send/receive;")
        speaker.announce(ROUTE)

        wait_until(lambda: any(isinstance(event, Announced) for event in read(recorder)[0]), 10, "the route")
        assert EVPN_BOTH_WAYS[:3] not in session.open.capabilities.get(ADD_PATH, b"")
    (announced,) = [event for event in read(recorder)[0] if isinstance(event, Announced)]
    assert list(announced.routes) == [ROUTE.key]
