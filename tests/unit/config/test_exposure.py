"""Settings that let more people reach the daemon than is usually wanted."""

import pytest

from vtep.config.exposure import exposures
from vtep.config.file import parse

TLS = 'tls = { cert = "c", key = "k", client_ca = "a" }\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", []),
        ('[api]\nlisten = ["127.0.0.1:1"]\nmetrics = "[::1]:2"', []),
        ('[api]\nmetrics = ""', []),
        ('[feed]\nsocket_mode = "0666"', ["feed.socket_mode: 0666: every user of this host can send routes"]),
        ('[api]\nmetrics = "0.0.0.0:9479"', ["api.metrics: 0.0.0.0:9479: every host that reaches it can read MACs"]),
        ('[api]\nmetrics = "[2001:db8::1]:9479"', ["api.metrics: [2001:db8::1]:9479: every host"]),
        ('[api]\nadmin = ["unix:/a", "localhost:1"]', ["api.admin[1]: localhost:1: every user of this host can run"]),
        (
            f'[api]\nadmin = ["10.0.0.1:1"]\nlisten = ["10.0.0.1:2"]\n{TLS}',
            ["api.admin: 10.0.0.1:1: every holder of a certificate of api.tls.client_ca, on any host, can run"],
        ),
    ],
)
def test_each_setting_that_opens_a_door_is_reported_with_what_to_set_instead(text: str, said: list[str]) -> None:
    found = exposures(parse(text))

    assert len(found) == len(said)
    assert all(sentence.startswith(start) and "; use " in sentence for sentence, start in zip(found, said, strict=True))
