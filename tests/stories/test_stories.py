"""What real ExaBGPs wrote, and what became of it: every golden here was read by a person before it was kept.

    <version>/<capture>/           one recorded capture: events.jsonl and outcome.json
                                   (in leaf.toml, or in leaf-v6.toml for captures of IPv6 next hops)
    lives/<name>/story.txt         captures and waits, one a line, in one life: NN-outcome.json after each
    lives/<name>/leaf.toml         the leaf's configuration where it is not the common one beside this file

`./vtep-dev bless` (VTEP_BLESS=1) rewrites them to what comes out now; the diff is the review. The captures themselves
are in tests/captures and are not copied. Knows what is printed, not what it should be.
"""

import difflib
import json
import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest
from msgspec import Struct

from tests.lab.octets import as_octets
from vtep.addr import Esi, Ip, Mac, RouteDistinguisher, RouteTarget
from vtep.app.replay import Replay
from vtep.config import file as config
from vtep.errors import StreamError
from vtep.evpn.event import Announced, Withdrawn
from vtep.feed.exabgp.json import decode
from vtep.intent import candidates_of
from vtep.linux.wire.batch import singly
from vtep.linux.wire.neighbor import NTF_EXT_LEARNED, NTF_MASTER, NTF_SELF, NUD_NOARP, NUD_PERMANENT, Neighbor, Verb

STORIES = Path(__file__).parent
CAPTURES = STORIES.parent / "captures"
LIVES = sorted(path.parent.name for path in STORIES.glob("lives/*/story.txt"))
RECORDED = sorted(f"{path.parent.name}/{path.stem}" for path in CAPTURES.glob("*/*.jsonl"))
ONLY_PARSED = {"61-bad-ext-community-length", "80-launcher-announce-evpn-own-send-direction"}
"""No UPDATE can be rebuilt of them: one shows an error and not the octets, the other what ExaBGP itself sent."""
BLESS = os.environ.get("VTEP_BLESS") == "1"


def _lines_of(capture):
    return (CAPTURES / f"{capture}.jsonl").read_bytes().splitlines()


@pytest.mark.parametrize("name", RECORDED)
def test_a_capture_gives_its_golden_result(name):
    lines = _lines_of(name)
    run = _Run(STORIES / ("leaf-v6.toml" if "ipv6-nexthop" in name else "leaf.toml"))
    run.feed(lines)

    assert_golden(STORIES / name / "events.jsonl", _jsonl(_events(lines)))
    assert_golden(STORIES / name / "outcome.json", _one_row_a_line(run.outcome()))


@pytest.mark.parametrize("name", LIVES)
def test_a_recorded_life_gives_its_golden_result(name):
    story = STORIES / "lives" / name
    own = story / "leaf.toml"
    run = _Run(own if own.exists() else STORIES / "leaf.toml")

    for number, step in enumerate(_steps(story), 1):
        if step.startswith("wait "):
            run.wait(float(step.removeprefix("wait ")))
        else:
            run.feed(_lines_of(step))
        assert_golden(story / f"{number:02}-outcome.json", _one_row_a_line({"after": step} | run.outcome()))


@pytest.mark.parametrize("name", [name for name in RECORDED if any(b'"update": {' in line for line in _lines_of(name))])
def test_a_capture_gives_the_same_result_as_octets(name):
    """As if a tap had handed its UPDATEs on."""
    lines = _lines_of(name)
    octets = [as_octets(line) for line in lines]
    leaf = STORIES / ("leaf-v6.toml" if "ipv6-nexthop" in name else "leaf.toml")
    outcomes = []
    for form in (lines, octets):
        run = _Run(leaf)
        run.feed(form)
        outcomes.append(run.outcome())

    assert outcomes[1] == outcomes[0]
    assert octets != lines or name.partition("/")[2] in ONLY_PARSED


@pytest.mark.parametrize("untimed", [b"done", b"not a line"])
def test_time_starts_with_the_first_line_that_has_one(untimed):
    """A text answer before it is no reason to think that the time to wait for End-of-RIB is over."""
    run = _Run(STORIES / "leaf.toml")

    run.feed([untimed, *_lines_of("5.0.15/10-type2-mac-only-vni100-announce"), untimed])

    assert run.replay.playback.started().due == run.replay.playback.now + 120
    assert run.replay.playback.lines == 3


def test_every_golden_has_its_capture():
    expected = {STORIES / name / file for name in RECORDED for file in ("events.jsonl", "outcome.json")}
    for name in LIVES:
        story = STORIES / "lives" / name
        expected |= {story / f"{number:02}-outcome.json" for number, _ in enumerate(_steps(story), 1)}
    left = {path for pattern in ("*.jsonl", "*-outcome.json", "outcome.json") for path in STORIES.rglob(pattern)}

    assert left - expected == set()


def assert_golden(path, text):
    """Compare with what was kept; a difference is shown as a person would ask for it."""
    if BLESS:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return
    kept = path.read_text() if path.exists() else ""
    if text != kept:
        where = path.relative_to(STORIES)
        diff = difflib.unified_diff(
            kept.splitlines(), text.splitlines(), f"{where} as kept", f"{where} now", n=1, lineterm=""
        )
        pytest.fail("\n".join([*diff, "", "if this is what should come out: ./vtep-dev bless"]), pytrace=False)


class _Run:
    """A replay, and the words that it had for the kernel since somebody last asked."""

    def __init__(self, leaf):
        self.replay = Replay(config.read(leaf))
        self.told: list[str] = []
        self._heard: list[Neighbor] = []
        kernel = self.replay.kernel
        self.names = {link.index: link.name for link in kernel.links()}
        send = kernel.send

        def overheard(messages):
            self._heard += singly(messages)
            return send(messages)

        kernel.send = overheard

    def feed(self, lines):
        for number, line in enumerate(lines, 1):
            self.replay.feed(line)
            self._take(f"line {number}: ")

    def wait(self, seconds):
        self.replay.wait(seconds)
        self._take()

    def _take(self, when=""):
        """Sort within each run of creations or deletions: among equals a pass has no order, but between them it has."""
        heard, self._heard = self._heard, []
        for _, run in groupby(heard, key=lambda message: message.verb is Verb.DELETE):
            ordered = sorted(run, key=lambda message: (message.port, message.mac))
            self.told += [when + _spelled(message, self.names) for message in ordered]

    def outcome(self):
        """What `vtep replay` prints, and beside it what it leaves out: losers, troubles, peers, and the words for the kernel."""
        told, self.told = self.told, []
        result = self.replay.result()
        leaf = self.replay.playback.started()
        intent = leaf.intent
        candidates = [(mac, candidate) for mac in intent.judged for candidate in candidates_of(intent, mac)]
        return {
            **{name: result[name] for name in ("generation", "complete")},
            "why": intent.why,
            **{name: value for name, value in result.items() if name not in ("generation", "complete")},
            "lost": [
                {"vni": candidate.vni, "mac": _plain(mac)}
                | {name: _plain(getattr(candidate, name)) for name in _LOSERS_WORDS}
                for mac, candidate in candidates
                if candidate.verdict == "lost"
            ],
            "troubles": [
                {"kind": kind, "vni": key[0], "mac": str(key[1]), "state": trouble.state, "reason": trouble.reason}
                for (kind, key), trouble in sorted(self.replay.engine.troubles.items())
            ],
            "peers": [
                {"peer": str(address), "up": peer.up, "ended": peer.ended}
                | {"routes": len(peer), "stale": len(peer.stale), "reason": peer.reason}
                for address, peer in leaf.rib.peers.items()
            ],
            "kernel": told,
        }


_LOSERS_WORDS = ("vtep", "reason", "seq", "peer", "rd", "ip")


# What is read


def _steps(story):
    lines = (line.strip() for line in (story / "story.txt").read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


# What is written


def _events(lines) -> Iterator[dict]:
    for number, line in enumerate(lines, 1):
        try:
            heard = decode(line)
        except StreamError as error:
            yield {"line": number, "bad line": str(error)}
            continue
        for event in (*heard.events, *([heard.answer] if heard.answer else [])):
            for told in _told(event):
                yield {"line": number} | told
        for bad in heard.bad_nlris:
            yield {"line": number, "bad nlri": bad}


def _told(event) -> Iterator[dict]:
    """One line for one route; any other event is one line."""
    match event:
        case Announced(routes=routes):
            for route in routes.values():
                yield {"announced": type(route).__name__} | _plain(route)
        case Withdrawn(peer=peer, keys=keys):
            for key in keys:
                yield {"withdrawn": _NAMES[key[0]], "peer": str(peer)} | _key_words(key)
        case _:
            yield {"event": type(event).__name__} | _plain(event)


_NAMES = {1: "EthernetAd", 2: "MacIp", 3: "Imet", 4: "Segment", 5: "IpPrefix"}


def _key_words(key):
    """Spell a route's identity; what follows the RD depends on the route's type (RFC 7432 7, RFC 9136 3)."""
    rd, rest = {"rd": str(RouteDistinguisher(key[1:9]))}, key[9:]
    tag = {"tag": int.from_bytes(rest[:4])}
    match key[0]:
        case 1:
            return rd | {"esi": str(Esi(rest[:10])), "tag": int.from_bytes(rest[10:])}
        case 2:
            host = {"ip": str(Ip.unpack(rest[12:]))} if rest[11] else {}
            return rd | tag | {"mac": str(Mac(rest[5:11]))} | host
        case 3:
            return rd | tag | {"originator": str(Ip.unpack(rest[5:]))}
        case 4:
            return rd | {"esi": str(Esi(rest[:10])), "originator": str(Ip.unpack(rest[11:]))}
    return rd | tag | {"network": rest[5:].hex(), "length": rest[4]}


def _plain(value):
    """A struct without the fields that say nothing, in words that a person reads."""
    if isinstance(value, Struct):
        fields = value.__struct_fields__
        defaults = dict(zip(reversed(fields), reversed(value.__struct_defaults__), strict=False))
        told = {name: getattr(value, name) for name in fields}
        plain = {name: _plain(said) for name, said in told.items() if name not in defaults or said != defaults[name]}
        return plain | plain.pop("attributes", {})
    if isinstance(value, Mac | Ip | RouteDistinguisher | RouteTarget | Esi):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


_FLAGS = {NTF_SELF: "self", NTF_MASTER: "master", NTF_EXT_LEARNED: "extern_learn"}
_STATES = {NUD_NOARP: "noarp", NUD_PERMANENT: "permanent"}


def _spelled(message, names):
    """One message in iproute2's words."""
    words = [message.verb.name.lower(), str(message.mac), "dev", names[message.port]]
    words += ["dst", str(message.dst)] if message.dst else []
    words += ["vni", str(message.vni)] if message.vni else []
    words += [name for flag, name in _FLAGS.items() if message.flags & flag]
    words += [name for state, name in _STATES.items() if message.state & state]
    return " ".join(words)


def _jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def _one_row_a_line(outcome):
    """JSON whose lists have one row a line, so that a diff shows rows."""
    parts = []
    for name, value in outcome.items():
        if isinstance(value, list) and value:
            rows = ",\n".join(f"  {json.dumps(row)}" for row in value)
            parts.append(f"{json.dumps(name)}: [\n{rows}\n]")
        else:
            parts.append(f"{json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
