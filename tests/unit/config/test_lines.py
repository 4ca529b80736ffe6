"""The line of a key: whatever TOML stands before it, and also for a key that is not there."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtep.config.lines import line_of, lines_of

TEXT = '''\
# a comment with [brackets] and = signs
[node]                                  # 2
vtep = [
    "10.0.0.1",                         # 4: the first ] is in "a text"
    "10.0.0.2",
]
note = """
[[vni]]
not = "a key" """                       # 9
"state.dir" = '/run'                    # 10
[api]
tls = { cert = "c", key = "k" }         # 12
limit.rows = 1.5                        # 13
since = 1979-05-27 07:32:00
[[vni]]                                 # 15
vni = 100
[[vni]]                                 # 17
vni = 200
import_rt = ["a", "b",
             "c"]                       # 20
[vni.sub]                               # 21
x = 1
[[bgp.neighbor]]                        # 23
address = "]"
[[bgp.neighbor]]
address = 'x"'                          # 26
[[bgp.neighbor.timer]]
s = 1                                   # 28
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("node", 2),
        ("node.vtep", 3),
        ("node.vtep[0]", 4),
        ("node.vtep[1]", 5),
        ("node.note", 7),
        ("node.state.dir", 10),
        ("api.tls", 12),
        ("api.tls.key", 12),
        ("api.limit.rows", 13),
        ("vni", 15),
        ("vni[0]", 15),
        ("vni[0].vni", 16),
        ("vni[1]", 17),
        ("vni[1].import_rt[1]", 19),
        ("vni[1].import_rt[2]", 20),
        ("vni[1].sub", 21),
        ("vni[1].sub.x", 22),
        ("bgp.neighbor[0]", 23),
        ("bgp.neighbor[1].address", 26),
        ("bgp.neighbor[1].timer[0].s", 28),
    ],
)
def test_each_key_has_its_line(path: str, line: int) -> None:
    tomllib.loads(TEXT)

    assert lines_of(TEXT)[path] == line


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("node.on_stop", 2),
        ("vni[1].rd", 17),
        ("vni[1].import_rt[9]", 19),
        ("api.tls.client_ca", 12),
        ("feed", 0),
        ("", 0),
    ],
)
def test_an_absent_key_has_the_line_of_its_table(path: str, line: int) -> None:
    assert line_of(path, lines_of(TEXT)) == line


VALUES = st.recursive(
    st.integers() | st.booleans() | st.text(st.characters(codec="ascii", exclude_characters="\r\x7f")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["k", "l", "m", "n"]), VALUES, min_size=1))
def test_every_key_and_item_of_any_text_is_found(table: dict[str, Any]) -> None:
    text = "".join(f"{key} = {spelled(value)}\n" for key, value in table.items())
    assert tomllib.loads(text) == table

    lines = lines_of(text)

    assert set(lines) == set(paths(table, ""))
    assert [text.splitlines()[lines[key] - 1].split(" ")[0] for key in table] == list(table)


def spelled(value: Any) -> str:
    """Spell a value as TOML, with a line for each item of a list."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in value) + '"'
    if isinstance(value, list):
        return "[" + "".join(f"\n  {spelled(item)}, # ]\n" for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {spelled(item)}" for key, item in value.items()) + "}"
    return str(value)


def paths(value: Any, path: str) -> list[str]:
    """Return the path of every key and list item."""
    if isinstance(value, dict):
        inner = [(f"{path}.{key}" if path else key, item) for key, item in value.items()]
    elif isinstance(value, list):
        inner = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        return []
    return [found for at, item in inner for found in (at, *paths(item, at))]
