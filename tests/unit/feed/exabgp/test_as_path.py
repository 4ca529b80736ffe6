"""How long an AS path is, which AS is next, and what else decides between routes to a prefix, in the form of each ExaBGP: 5.0 shows its segments, 4.2 its numbers and its sets apart."""

import pytest

from vtep.addr import Ip
from vtep.feed.exabgp.shapes import Attribute
from vtep.feed.exabgp.update import _attributes

SEQUENCE = {"element": "as-sequence", "value": [65001, 65002]}
SET = {"element": "as-set", "value": [65003, 65004, 65005]}


@pytest.mark.parametrize(
    ("as_path", "as_set", "length"),
    [
        (None, None, 0),
        ({}, None, 0),
        ({"0": SEQUENCE}, None, 2),
        ({"0": SEQUENCE, "1": SET}, None, 3),
        ([65001, 65002], None, 2),
        ([65001, 65002], [65003, 65004, 65005], 3),
        ({"0": "unexpected", "1": {"element": "as-sequence", "value": 7}}, None, 0),
        ("unexpected", None, 0),
    ],
)
def test_a_set_counts_as_one_as_number(as_path: object, as_set: object, length: int) -> None:
    found = _attributes(Ip.parse("10.0.0.2"), Attribute(as_path=as_path, as_set=as_set))

    assert found.as_path_length == length


@pytest.mark.parametrize(
    ("read", "found"),
    [
        ({}, (0, 0, 0)),
        ({"origin": "incomplete", "med": 7, "as_path": {"0": SEQUENCE, "1": SET}}, (2, 7, 65001)),
        ({"origin": "egp", "as_path": [65001, 65002]}, (1, 0, 65001)),
        ({"as_path": {"0": SET, "1": SEQUENCE}}, (0, 0, 0)),
        ({"origin": ["igp"], "med": "7", "as_path": {"0": {"value": ["x"]}}}, (0, 0, 0)),
    ],
)
def test_origin_med_and_the_neighboring_as_are_read(read: dict, found: tuple[int, int, int]) -> None:
    said = _attributes(Ip.parse("10.0.0.2"), Attribute(**read))

    assert (said.origin, said.med, said.neighbor_as) == found
