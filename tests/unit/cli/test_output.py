"""Rows in an order that a person expects, and YAML that a parser reads as JSON does."""

import json

import pytest

from vtep.cli import output


def test_numbers_addresses_and_ages_sort_by_their_value():
    for wanted in (
        ["-", "9", "10", "1,000"],
        ["10.0.0.9", "10.0.0.10", "2001:db8::1"],
        ["-", "90 s", "2 min", "> 2 h", "3 h"],
    ):
        assert sorted([*wanted[1:], wanted[0]], key=output.natural) == wanted


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ({"a": 1, "b": None, "c": [], "d": {}}, "a: 1\nb: null\nc: []\nd: {}\n"),
        (
            {"macs": [{"mac": "02:00", "notes": ["x", "no"]}]},
            'macs:\n  - mac: "02:00"\n    notes:\n      - "x"\n      - "no"\n',
        ),
        ([[1], [2]], "-\n  - 1\n-\n  - 2\n"),
        ({"sync": {"state": "INSTALLED", "since": None}}, 'sync:\n  state: "INSTALLED"\n  since: null\n'),
        ("\x1b\U0001f600\n", '"\\u001b\\U0001f600\\n"\n'),
        (True, "true\n"),
    ],
    ids=json.dumps,
)
def test_yaml_is_in_block_style_and_quotes_every_text(content, wanted):
    assert output.yaml(content) == wanted
