"""Which changed settings wait for a start."""

import pytest

from vtep.app.reload import needs_restart
from vtep.config.file import parse


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("feed.octets", "[feed]\noctets = false\n"),
        ("feed.socket_mode", '[feed]\nsocket_mode = "0600"\n'),
        ("feed.bmp", '[feed]\nbmp = "127.0.0.1:11019"\n'),
    ],
)
def test_a_key_that_takes_effect_at_a_start_is_named(key: str, text: str) -> None:
    node = '[node]\nvtep = "10.0.0.1"\n'

    assert needs_restart(parse(node), parse(node + text)) == [key]
    assert needs_restart(parse(node + text), parse(node + text)) == []
