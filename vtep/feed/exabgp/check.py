"""What is wrong for vtep in an ExaBGP configuration that someone else wrote, for `vtep check FILE.conf`. Pure: text in, problems out.

`vtep exabgp-config` writes a configuration that has all that vtep needs; many sites have one of their own. This module reads
its statements and sections, and compares each neighbor that has `l2vpn evpn` with what vtep needs:

    add-path            must be off: ExaBGP cannot read EVPN routes with path identifiers
    adj-rib-in false    because ExaBGP's own copy never forgets an EVPN withdraw, and grows
    graceful-restart    without it, peers send no End-of-RIB
    route-refresh       without it, a lost line cannot be made good
    api                 a process that gets `parsed`, `open`, `update`, `refresh` and `neighbor-changes` as JSON

It knows only these statements, and nothing of the others. A neighbor that inherits from templates has their statements too.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Problem: TypeAlias = str

_TOKEN: Final = re.compile(r'#[^\n]*|"(?:[^"\\\n]|\\.)*"?|[{};]|[^\s{};"#]+')
DEPTH_MAX: Final = 16
INHERITED_MAX: Final = 16


@dataclass
class Section:
    """The words before a brace, and what is between the braces."""

    words: list[str]
    statements: list[list[str]] = field(default_factory=list)
    sections: list["Section"] = field(default_factory=list)

    def named(self, name: str) -> Iterator["Section"]:
        return (section for section in self.sections if section.words[:1] == [name])

    def has(self, *words: str) -> bool:
        """Tell whether a statement begins with these words."""
        return any(statement[: len(words)] == list(words) for statement in self.statements)

    def inside(self, name: str) -> "Section":
        """Return the sections of one name as one."""
        every = list(self.named(name))
        return Section(
            [name],
            [statement for one in every for statement in one.statements],
            [section for one in every for section in one.sections],
        )


def check(text: str) -> list[Problem]:
    """Return what is wrong for vtep, for each neighbor that has EVPN; a configuration without one is a problem too."""
    try:
        root = _parse(text)
    except ValueError as error:
        return [f"cannot be read: {error}"]
    templates = {section.words[1]: section for part in (root, *root.named("template")) for section in _templates(part)}
    neighbors = [_whole(section, templates) for section in root.named("neighbor")]
    with_evpn = [neighbor for neighbor in neighbors if neighbor.inside("family").has("l2vpn", "evpn")]
    if not with_evpn:
        return ["no neighbor has `family { l2vpn evpn; }`"]
    json_processes = {
        section.words[1] for section in root.named("process") if section.words[1:] and section.has("encoder", "json")
    }
    return [
        f"neighbor {' '.join(neighbor.words[1:])}: {problem}"
        for neighbor in with_evpn
        for problem in _problems(neighbor, json_processes)
    ]


def _problems(neighbor: Section, json_processes: set[str]) -> Iterator[Problem]:
    """Yield what in a neighbor's section loses routes or forgets withdrawals, each with what to write instead."""
    capability = neighbor.inside("capability")
    paths = [statement[1:] for statement in capability.statements if statement[0] == "add-path"]
    families = neighbor.inside("add-path")
    if any(words not in ([], ["disable"], ["disabled"]) for words in paths) and (
        not families.statements or families.has("l2vpn", "evpn")
    ):
        yield "add-path is on for l2vpn evpn; take `add-path` out of `capability`, or name other families in `add-path { }`"
    if not neighbor.has("adj-rib-in", "false"):
        yield "ExaBGP's own Adj-RIB-In never forgets an EVPN withdraw; add `adj-rib-in false;`"
    if not capability.has("graceful-restart"):
        yield "peers send no End-of-RIB; add `graceful-restart 120;` to `capability`"
    if not capability.has("route-refresh"):
        yield "a lost line cannot be made good; add `route-refresh;` to `capability`"
    yield from _api_problems(list(neighbor.named("api")), json_processes)


def _api_problems(apis: list[Section], json_processes: set[str]) -> Iterator[Problem]:
    """Any of the neighbor's `api` sections may be the one of the relay."""
    found = [list(_missing(api, json_processes)) for api in apis]
    if not found:
        yield "no `api` section: vtep receives nothing; `vtep exabgp-config` prints one"
    elif all(found):
        missing = min(found, key=len)
        yield f"the `api` section lacks {', '.join(missing)}"


def _missing(api: Section, json_processes: set[str]) -> Iterator[str]:
    """Yield what an `api` section lacks so that every event of the session comes to vtep."""
    processes = {word for statement in api.statements if statement[0] == "processes" for word in statement[1:]}
    if processes.isdisjoint(json_processes):
        yield "a process with `encoder json`"
    if not api.has("neighbor-changes"):
        yield "`neighbor-changes`"
    receive = api.inside("receive")
    yield from (f"`{word}` in `receive`" for word in ("parsed", "open", "update", "refresh") if not receive.has(word))


def _templates(part: Section) -> Iterator[Section]:
    """5.0 has `template { neighbor NAME { … } }`, and 4.2 the same."""
    if part.words[:1] == ["template"]:
        yield from (section for section in part.named("neighbor") if section.words[1:])


def _whole(neighbor: Section, templates: dict[str, Section]) -> Section:
    """Return a neighbor with what it inherits."""
    whole = Section(neighbor.words, list(neighbor.statements), list(neighbor.sections))
    names = [word for statement in neighbor.statements if statement[0] == "inherit" for word in statement[1:]]
    for name in [name for name in names if name in templates][:INHERITED_MAX]:
        whole.statements += templates[name].statements
        whole.sections += templates[name].sections
    return whole


def _parse(text: str) -> Section:
    """Read statements and sections. A ValueError says where the braces do not fit."""
    root = Section([])
    open_sections, words, line = [root], list[str](), 1
    at = 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", at, match.start())
        at = match.start()
        part = match[0]
        if part.startswith("#"):
            continue
        if part == "{":
            if len(open_sections) > DEPTH_MAX:
                raise ValueError(f"line {line}: more than {DEPTH_MAX} sections in each other")
            open_sections[-1].sections.append(section := Section(words))
            open_sections.append(section)
            words = []
        elif part == "}":
            if len(open_sections) == 1:
                raise ValueError(f"line {line}: a brace closes what is not open")
            open_sections.pop()
            words = []
        elif part == ";":
            if words:
                open_sections[-1].statements.append(words)
            words = []
        elif part not in "[],":
            words.append(part.strip("[],"))
    if len(open_sections) > 1:
        raise ValueError(f"`{' '.join(open_sections[-1].words)}` is not closed")
    return root
