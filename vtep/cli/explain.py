"""`vtep explain`: where a MAC or an IP address is, or where it stopped on its way to the kernel; how a device is, and whose.

Knows in which order a person wants to read it. Every sentence comes from the daemon; empty parts are left out.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Final

from vtep.addr import Ip, Prefix
from vtep.cli import devices, routed, values
from vtep.cli.connection import client
from vtep.cli.listing import event_text, state_name
from vtep.cli.output import is_document, known_vni, print_value
from vtep.cli.text import (
    age,
    clock,
    has_colours,
    number_and_name,
    painted,
    plain,
    route_age,
    say,
    until,
    width,
    wrapped,
)
from vtep.errors import UsageError
from vtep.v1 import vtep_pb2 as pb

LABEL: Final = 12
"""The column at which values begin."""


def explain(options: argparse.Namespace) -> int:
    if isinstance(options.subject, str):
        return devices.explain(options)
    if options.vrf:
        return routed.explain(options)
    if isinstance(options.subject, Prefix):
        raise UsageError(f"{options.subject} is a prefix: name its VRF with --vrf")
    if isinstance(options.subject, Ip):
        return _explain_host(options)
    request = pb.ExplainMacRequest(mac=str(options.subject), vni=options.vni)
    with client(options) as daemon:
        known_vni(daemon, options.vni)
        answer = daemon.ask(request, pb.ExplainMacResponse)
    if is_document(options):
        print_value(options, values.value(answer))
        return 0
    page = Page(width(sys.stdout), time.time(), colours=has_colours(sys.stdout))
    print("\n\n".join("\n".join(page.lines(explanation)) for explanation in answer.explanations))
    if answer.left_out:
        say(f"{answer.left_out} more VNIs have this MAC; name one with --vni")
    return 0


def _explain_host(options: argparse.Namespace) -> int:
    with client(options) as daemon:
        known_vni(daemon, options.vni)
        answer = daemon.ask(pb.ExplainIpRequest(ip=str(options.subject), vni=options.vni), pb.ExplainIpResponse)
    if is_document(options):
        print_value(options, values.value(answer))
        return 0
    page = Page(width(sys.stdout), time.time(), colours=has_colours(sys.stdout))
    if answer.vtep:
        print(page.paragraph(answer.vtep), end="\n\n")
    print("\n\n".join("\n".join(page.host_lines(explanation)) for explanation in answer.explanations))
    if answer.routes_left_out:
        say(f"{answer.routes_left_out} more routes name this address: vtep routes --ip {options.subject}")
    if answer.left_out:
        say(f"{answer.left_out} more VNIs have this address; name one with --vni")
    return 0


class Page:
    """How one explanation is laid out, for a width and a present time."""

    def __init__(self, columns: int, now: float, *, colours: bool = False) -> None:
        self._columns = columns
        self._now = now
        self._colours = colours

    def lines(self, explanation: pb.Explanation) -> Iterator[str]:
        yield wrapped(explanation.summary, self._columns)
        if explanation.advice:
            yield wrapped(explanation.advice, self._columns)
        yield ""
        yield self._labelled("MAC", _name(explanation))
        if explanation.vni:
            yield self._labelled("VNI", _readiness(explanation), word=explanation.vni_state)
        yield from self._candidates(explanation)
        yield from self._station(explanation)
        yield from self._rows(explanation)
        yield from self._alerts(explanation)
        yield from self._events(explanation)

    def paragraph(self, text: str) -> str:
        return wrapped(text, self._columns)

    def host_lines(self, explanation: pb.HostExplanation) -> Iterator[str]:
        yield wrapped(explanation.summary, self._columns)
        if explanation.advice:
            yield wrapped(explanation.advice, self._columns)
        yield ""
        yield self._labelled(
            "address", f"{explanation.ip} in VNI {explanation.vni}" if explanation.vni else explanation.ip
        )
        reasons = ", ".join(explanation.vni_reasons)
        if explanation.vni:
            state = explanation.vni_state or "unknown"
            yield self._labelled("VNI", f"{state}: {reasons}" if reasons else state, word=state)
        where = f", behind {explanation.vtep}" if explanation.vtep else ""
        yield self._labelled("MAC", f"{explanation.mac}{where}" if explanation.mac else "none")
        if explanation.HasField("station"):
            station = explanation.station
            yield self._labelled("station", f"{station.mac} on port {station.port}, {station.state}")
        if explanation.HasField("neighbor"):
            sync = explanation.neighbor.sync
            yield self._labelled("neighbor", self._state(sync), word=state_name(sync.state))
            yield from self._pending(sync)
        else:
            yield self._labelled("neighbor", "no row is wanted")
        yield self._labelled("answers", explanation.answers)
        for route in explanation.routes:
            verdicts = ", ".join(
                f"{one.verdict} ({one.reason})" for one in route.verdicts if one.vni == explanation.vni
            )
            origin = [f"{route.mac} of peer {route.peer}", f"RD {route.rd}", f"next hop {route.vtep}"]
            yield self._labelled("route", f"{', '.join([*origin, *_received(route, self._now)])}: {verdicts}")
        for refused in explanation.refusals:
            yield self._labelled("refused", f"{refused.mac} of peer {refused.peer}: {refused.reason}")

    def _candidates(self, explanation: pb.Explanation) -> Iterator[str]:
        if not explanation.candidates:
            yield self._labelled("received", "no route for it")
        for candidate in explanation.candidates:
            yield self._labelled(candidate.verdict, _route(candidate))
            if candidate.text:
                yield self._labelled("", candidate.text)
            yield self._labelled("", _origin(candidate, self._now))
            if candidate.route_targets:
                yield self._labelled("", "route targets " + " ".join(candidate.route_targets))
        if explanation.candidates_left_out:
            yield self._labelled("", f"{explanation.candidates_left_out} more candidates are not shown")

    def _station(self, explanation: pb.Explanation) -> Iterator[str]:
        """Say what is advertised for a station of this leaf, and who knows it."""
        if not explanation.HasField("station"):
            return
        station = explanation.station
        parts = [f"port {station.port}"]
        parts += [f"VLAN {station.vlan}"] if station.vlan else []
        parts += [f"addresses {' '.join(station.ips)}"] if station.ips else []
        yield self._labelled("station", ", ".join(parts))
        known = [station.state, station.reason]
        known += [f"since {age(station.since, self._now)}"] if station.HasField("since") else []
        if station.state == "confirmed":
            known.append(f"to {', '.join(explanation.advertised_to) or 'no peer: no session is established'}")
        yield self._labelled("advertised", ", ".join(filter(None, known)), word=station.state)

    def _rows(self, explanation: pb.Explanation) -> Iterator[str]:
        if explanation.HasField("desired"):
            yield self._labelled("wanted", _wanted(explanation.desired))
            state = state_name(explanation.desired.sync.state)
            yield self._labelled("state", self._state(explanation.desired.sync), word=state)
            yield from self._pending(explanation.desired.sync)
        else:
            yield self._labelled("wanted", "nothing")
        yield self._labelled("claim", self._claim(explanation.ownership))
        yield self._labelled("kernel", self._kernel(explanation.kernel))

    def _state(self, sync: pb.Sync) -> str:
        parts = [state_name(sync.state)]
        parts += [sync.reason] if sync.reason else []
        parts += [f"in the kernel since {age(sync.since, self._now)}"] if sync.HasField("since") else []
        parts += [f"generation {sync.generation}"] if sync.generation else []
        return ", ".join(parts)

    def _pending(self, sync: pb.Sync) -> Iterator[str]:
        if sync.errno or sync.error:
            label = "holder" if sync.state == pb.SYNC_STATE_CONTESTED else "error" if sync.errno else "because"
            number = number_and_name(sync.errno) if sync.errno else ""
            yield self._labelled(label, ": ".join(filter(None, (number, sync.error))))
        if sync.HasField("next_try"):
            yield self._labelled("next try", until(sync.next_try, self._now))

    def _claim(self, ownership: pb.Ownership) -> str:
        words = {"owned": "ours", "claimed": "claimed, but not seen in the kernel yet", "none": "not ours"}
        said = words.get(ownership.state, ownership.state or "unknown")
        return f"{said}, since {age(ownership.since, self._now)}" if ownership.HasField("since") else said

    def _kernel(self, row: pb.KernelRow) -> str:
        parts = [row.state or "unknown"]
        parts += [f"behind {row.vtep}"] if row.vtep else []
        parts += [f"held by {row.holder}"] if row.holder else []
        parts += [f"seen {age(row.seen, self._now)}"] if row.HasField("seen") else ["not seen yet"]
        return ", ".join(parts)

    def _alerts(self, explanation: pb.Explanation) -> Iterator[str]:
        for alert in explanation.alerts:
            yield self._labelled("alert", alert)
        if explanation.moves:
            times = "once" if explanation.moves == 1 else f"{explanation.moves} times"
            yield self._labelled("moved", f"{times} within the window of duplicate detection")
        if explanation.HasField("duplicate_since"):
            yield self._labelled("duplicate", f"since {age(explanation.duplicate_since, self._now)}")

    def _events(self, explanation: pb.Explanation) -> Iterator[str]:
        if explanation.events:
            yield ""
        for event in explanation.events:
            indent = " " * (len(clock(event.time)) + 2)
            yield wrapped(f"{event.kind} {event_text(event)}", self._columns, f"{clock(event.time)}  ", indent)

    def _labelled(self, label: str, text: str, word: str = "") -> str:
        """Return a line, or more than one, with its label; the word of a state is colored."""
        shown = wrapped(text, self._columns, f"{plain(label):<{LABEL}}", " " * LABEL)
        if self._colours and word and shown[LABEL:].startswith(word):
            return shown[:LABEL] + painted(word, word) + shown[LABEL + len(word) :]
        return shown


def _name(explanation: pb.Explanation) -> str:
    return f"{explanation.mac} in VNI {explanation.vni}" if explanation.vni else f"{explanation.mac}, in no VNI"


def _readiness(explanation: pb.Explanation) -> str:
    state = explanation.vni_state or "unknown"
    return f"{state}: {', '.join(explanation.vni_reasons)}" if explanation.vni_reasons else state


def _route(candidate: pb.Candidate) -> str:
    parts = [candidate.vtep, candidate.reason]
    parts += [f"seq {candidate.seq}"] if candidate.seq else []
    parts += [word for word in ("sticky", "stale") if getattr(candidate, word) and word not in candidate.notes]
    return ", ".join(filter(None, [*parts, *candidate.notes]))


def _origin(candidate: pb.Candidate, now: float) -> str:
    parts = [f"of peer {candidate.peer}", f"RD {candidate.rd}", f"label {candidate.label}"]
    parts += [f"host {candidate.ip}"] if candidate.ip else []
    parts += [f"ESI {candidate.esi}"] if candidate.esi else []
    return ", ".join([*parts, *_received(candidate, now)])


def _received(route: pb.Candidate | pb.Route, now: float) -> list[str]:
    age = route_age(route, now).replace("> ", "more than ")
    return [f"received {age} ago"] if age else []


def _wanted(mac: pb.Mac) -> str:
    parts = [f"behind {mac.vtep}", mac.reason]
    parts += [f"with VNI {mac.vtep_vni}"] if mac.vtep_vni else []
    parts += [f"seq {mac.seq}"] if mac.seq else []
    parts += [word for word in ("sticky", "stale") if getattr(mac, word) and word not in mac.notes]
    parts += [f"ESI {mac.esi}"] if mac.esi else []
    return ", ".join(filter(None, [*parts, *mac.notes]))
