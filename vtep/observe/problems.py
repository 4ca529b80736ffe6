"""What a person should mend on a leaf, grouped and with the worst first, and whether the leaf is ready or degraded.

Three words, which docs/operate.md explains to operators:

- *live*: the process gets on. This is a question about the daemon, not about the network; `/livez` answers it.
- *ready*: the routes are complete, at least one expected BGP session is established or within its hold, and the kernel has every row
  that it does not refuse. `Status.ready` decides it.
- *degraded*: ready, with something that a person should mend.

A problem has a weight. `NOT_READY`: it keeps the leaf from being ready. `DEGRADED`: the leaf forwards, and an operator should repair it.
`NOTICE`: a warning ahead of time; it makes no leaf degraded. Many problems alike are one problem with a count and the first five
names, because a list of 200 lines hides the one line that matters. Each says which command or which page helps.

Reads a `Status` and nothing else, so that every display has the same list in the same order.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from vtep.observe.model import PeerStatus, Status

NOT_READY, DEGRADED, NOTICE = "not-ready", "degraded", "notice"
READY: Final = "ready"
"""The state of a leaf is `ready`, `degraded` or `not-ready`."""

NAMED_MAX: Final = 5
"""How many VNIs or peers a problem names; the command that it names lists all of them."""

_WEIGHTS: Final = (NOT_READY, DEGRADED, NOTICE)

_ROW_STATES: Final = ("pending", "failed", "suppressed", "contested")

_WRONG_HERE: Final = frozenset(
    ("rt-mismatch", "rt-missing", "vni-mismatch", "tag-mismatch", "encap", "family-mismatch")
)
"""Refusals that say, for a VNI of this leaf, that two configurations do not fit. `unknown-vni` is not one of them: a leaf has a part
of the fabric's VNIs only. Neither is `self-vtep`, which our own routes have when a route reflector returns them."""

_WRONG_ANYWHERE: Final = frozenset(("bad-mac", "bad-vni", "bad-nexthop", "no-ir"))
"""Refusals of routes that no leaf can use. Which VNI they are for may not be known."""


_OF_VRFS: Final = frozenset(("vrf-limit", "svi-mtu"))
"""Notes about VRFs."""


class Problem(Struct, frozen=True):
    """One thing to mend, or many that are alike."""

    weight: str
    """not-ready, degraded or notice."""
    code: str
    """Which problem, for programs: it does not change with the wording."""
    text: str
    """A sentence with the names of what is concerned."""
    hint: str = ""
    """The command or the page that helps."""
    count: int = 1
    """How many rows, routes, VNIs or peers are concerned."""


class Refusals(Struct, frozen=True):
    """Routes that were received, and that may not win for one reason."""

    peer: str
    vni: int
    """Of this leaf, or 0: the routes of all other VNIs together."""
    reason: str
    """A code of docs/reasons.md."""
    routes: int
    """How many routes of this peer were refused for this reason in this VNI."""


class Returned(Struct, frozen=True):
    """Routes of a peer that have one of our tunnel addresses as next hop."""

    peer: str
    rd: str
    """Whose routes they are: each leaf has its own Route Distinguishers."""
    vtep: str
    """The tunnel address of ours that they name."""
    routes: int
    ours: bool
    """They have a Route Distinguisher of this leaf."""


def problems(status: "Status") -> tuple[Problem, ...]:
    """Return every problem, the worst first."""
    found = [
        *_of_feed(status),
        *_of_kernel(status),
        *_of_rows(status),
        *status.underlay,
        *status.segments,
        *_of_network(status),
        *_of_daemon(status),
    ]
    return tuple(sorted(found, key=lambda problem: _WEIGHTS.index(problem.weight)))


def state(ready: bool, found: Iterable[Problem]) -> str:
    """Return the word for a leaf that is ready or not, and has these problems. A notice alone leaves it ready."""
    if not ready:
        return NOT_READY
    return DEGRADED if any(problem.weight == DEGRADED for problem in found) else READY


def has_session(status: "Status") -> bool:
    """Return whether at least one expected session is established, or ended so recently that its routes are still kept."""
    return any((peer.up or peer.held) and peer.expected for peer in status.feed.peers)


def named(names: Sequence[object]) -> str:
    """Return the first names, and how many more there are."""
    shown = ", ".join(map(str, names[:NAMED_MAX]))
    more = len(names) - NAMED_MAX
    return f"{shown} and {more} more" if more > 0 else shown


def _of_feed(status: "Status") -> Iterator[Problem]:
    """Yield what is wrong with the feed and its sessions.

    A leaf without its feed is only degraded as long as it is ready: its routes are held, so it still forwards.
    """
    feed = status.feed
    weight = DEGRADED if status.ready else NOT_READY
    if feed.is_router_away:
        text = f"no router reports by BMP at {feed.bmp}"
        yield Problem(weight, "router-away", text, "vtysh -c 'show bmp'; docs/observe.md")
    if feed.is_exabgp_away:
        hint = 'start ExaBGP with `vtep exabgp`, or see docs/operate.md: "Alerts", VtepFeedDetached'
        yield Problem(weight, "exabgp-away", "ExaBGP is not connected to the feed socket", hint)
    if not status.complete:
        yield Problem(NOT_READY, "routes-incomplete", status.why, "vtep peers")
    yield from _of_sessions(status)
    for peer in feed.peers:
        yield from _of_peer(peer)


def _of_sessions(status: "Status") -> Iterator[Problem]:
    """Say which sessions are down: one line for those that are alike.

    Without any session the leaf is not ready. It is a problem of its own only if the picture is complete, because an
    incomplete picture is a problem already and has the same cause. With one session left, the others make it degraded.
    """
    peers = status.feed.peers
    down = [peer for peer in peers if not peer.up]
    if not has_session(status):
        if status.complete:
            what = f"no BGP session is established ({len(down)} down)" if down else "no BGP peer is known"
            why = next((f": {peer.address}: {_why(peer)}" for peer in down if _why(peer)), "")
            yield Problem(NOT_READY, "no-session", f"{what}{why}", "vtep peers", max(1, len(down)))
        return
    if len(down) == 1:
        [peer] = down
        kept = "; its routes are kept as stale for a while" if peer.held and peer.stale else ""
        why = f": {_why(peer)}" if _why(peer) else ""
        yield Problem(DEGRADED, "session-down", f"peer {peer.address} is down{why}{kept}", "vtep peers")
    elif down:
        which = named([peer.address for peer in down])
        text = f"{len(down)} of {len(peers)} BGP sessions are down: {which}"
        yield Problem(DEGRADED, "session-down", text, "vtep peers", len(down))


def _why(peer: "PeerStatus") -> str:
    """Return why a session is down: in words where they are known, otherwise as ExaBGP has it."""
    return peer.error or peer.reason


def _of_peer(peer: "PeerStatus") -> Iterator[Problem]:
    if peer.refused_mac is not None:
        what = f"{peer.refused} routes of {peer.refused_mac} and such MACs are not kept"
        text = f"peer {peer.address}: {what}, because it has as many of one MAC as limits.routes_per_mac allows"
        yield Problem(DEGRADED, "mac-limit", text, f"vtep explain {peer.refused_mac}", peer.refused)
    if peer.limited:
        text = f"peer {peer.address}: {peer.limited} routes are refused, because it has as many as limits.routes_per_peer allows"
        yield Problem(DEGRADED, "limit", text, "vtep peers", peer.limited)
    if peer.reset:
        text = f"peer {peer.address}: {peer.reset}; routes that it does not send again are kept as stale for a while"
        yield Problem(DEGRADED, "session-reset", text, "vtep events, and the log of ExaBGP")


def _of_kernel(status: "Status") -> Iterator[Problem]:
    """Yield what keeps rows from the kernel: it cannot be read or written, a state file fails, or devices are not fit.

    A VNI that is not ready makes the whole leaf not ready only if rows wait for it. If none does, nothing is lost yet.
    """
    dataplane = status.dataplane
    if dataplane.state == "unreadable":
        yield Problem(NOT_READY, "kernel-unreadable", f"the kernel cannot be read: {dataplane.why}", "the log of vtep")
    elif dataplane.state == "off" and (status.macs or dataplane.not_ready):
        text = f"nothing is written to the kernel: {dataplane.why}"
        hint = "run it as root or with CAP_NET_ADMIN, as packaging/systemd does"
        yield Problem(NOT_READY, "kernel-off", text, hint)
    for file in status.state_files:
        if file.trouble:
            mend = "make room on the disk of `state_dir`, or make it writable"
            text = f"{file.trouble}; nothing new is written without its entry there: {mend}"
            yield Problem(DEGRADED, "state-file", text, "df")
    alike: dict[tuple[bool, tuple[str, ...]], list[int]] = defaultdict(list)
    for vni, reasons in sorted(dataplane.not_ready.items()):
        alike[vni in dataplane.of_vrfs, tuple(reasons)].append(vni)
    weight = NOT_READY if dataplane.troubles.get("pending") else DEGRADED
    for (is_of_vrf, reasons), vnis in alike.items():
        why = ", ".join(reasons)
        text = f"VNI {vnis[0]} is not ready: {why}"
        if len(vnis) == 1 and (mended_by := dataplane.mends.get(vnis[0])):
            text += f" ({mended_by})"
        elif len(vnis) > 1:
            text = f"{len(vnis)} VNIs are not ready: {why}: VNI {named(vnis)}"
        if is_of_vrf:
            hint = 'vtep vrfs, and docs/reasons.md: "Why a VRF is not ready"'
        else:
            hint = 'vtep vnis, and docs/operate.md: "Why a VNI is not ready"'
        yield Problem(weight, "vni-not-ready", text, hint, len(vnis))


def _of_rows(status: "Status") -> Iterator[Problem]:
    """Yield the rows that are not as wanted, one problem for each state.

    Only pending rows, and an intent that is being written, keep the leaf from being ready. A row that is refused or
    that another program has may stay so for weeks, and all other rows forward meanwhile (decision 0014).
    """
    dataplane = status.dataplane
    if dataplane.state == "observing":
        for (kind, reason), count in sorted(dataplane.differences.items()):
            text = f"{count} {kind} row{'s differ' if count > 1 else ' differs'} from what is wanted ({reason})"
            yield Problem(DEGRADED, "rows-differ", text, "vtep diff --older-than 5s", count)
        return
    for row_state in _ROW_STATES:
        if count := dataplane.troubles.get(row_state, 0):
            weight = NOT_READY if row_state == "pending" else DEGRADED
            text = f"{count} row{'s are' if count > 1 else ' is'} {row_state}"
            yield Problem(weight, f"rows-{row_state}", text, f"vtep macs --state {row_state}", count)
    if blocked := dataplane.troubles.get("blocked", 0):
        text = f"{blocked} row{'s wait' if blocked > 1 else ' waits'} for another row"
        yield Problem(DEGRADED, "rows-blocked", text, "vtep diff", blocked)
    if dataplane.state == "on" and dataplane.generation != status.generation:
        text = f"generation {status.generation} is being written, {dataplane.generation} is there"
        yield Problem(NOT_READY, "writing", text)


def _of_network(status: "Status") -> Iterator[Problem]:
    """Say what other leaves do that a person should look at."""
    for code, notes in (*status.limits.items(), *status.silent.items()):
        weight = NOTICE if code.startswith("near-") or code in status.silent else DEGRADED
        vni, note = next(iter(notes.items()))
        text = f"VNI {vni}: {note}"
        if len(notes) > 1:
            text = f"{len(notes)} VNIs have the note {code}: VNI {named(list(notes))}"
        yield Problem(weight, code, text, "vtep vrfs" if code in _OF_VRFS else "vtep vnis", len(notes))
    if duplicates := {vni: count for vni, count in status.duplicates.items() if count}:
        count = sum(duplicates.values())
        macs = "MAC is a duplicate" if count == 1 else "MACs are duplicates"
        text = f"{count} {macs}: VNI {named(sorted(duplicates))}"
        yield Problem(DEGRADED, "duplicate", text, "vtep events; then vtep clear-duplicate MAC", count)
    yield from _of_refusals(status.refusals)
    yield from _of_returned(status.returned)


def _of_refusals(refusals: Iterable[Refusals]) -> Iterator[Problem]:
    """Say which peers send routes of our VNIs that do not fit our configuration: one line for each peer and reason."""
    alike: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for refused in refusals:
        if refused.reason in _WRONG_ANYWHERE or (refused.vni and refused.reason in _WRONG_HERE):
            alike[refused.peer, refused.reason][refused.vni] = refused.routes
    by_reason: dict[str, dict[str, dict[int, int]]] = defaultdict(dict)
    for (peer, reason), vnis in alike.items():
        by_reason[reason][peer] = vnis
    for reason, peers in sorted(by_reason.items()):
        count = sum(sum(vnis.values()) for vnis in peers.values())
        routes = "1 route is" if count == 1 else f"{count} routes are"
        where = sorted({vni for of_peer in peers.values() for vni in of_peer if vni})
        who = f"{len(peers)} peers ({named(sorted(peers))})" if len(peers) > 1 else f"peer {next(iter(peers))}"
        text = f"{routes} refused ({reason}) from {who}{f', in VNI {named(where)}' if where else ''}"
        yield Problem(DEGRADED, f"refused-{reason}", text, f"vtep routes --refused --reason {reason}", count)


def _of_returned(returned: Sequence[Returned]) -> Iterator[Problem]:
    """Say who else has our tunnel address. Our own routes, which a reflector returns, can only be told by their RD."""
    others = [one for one in returned if not one.ours]
    ours = [one for one in returned if one.ours]
    hint = "vtep routes --refused --reason self-vtep"
    if others:
        count, first = sum(one.routes for one in others), others[0]
        rds = named(list(dict.fromkeys(one.rd for one in others)))
        text = (
            f"another leaf has our tunnel address {first.vtep} (RD {rds}, from peer {first.peer}), so that each gets packets of "
            "the other"
        )
        yield Problem(DEGRADED, "vtep-in-use", text, f"{hint}; then give one of the leaves another `node.vtep`", count)
    if ours:
        count, first = sum(one.routes for one in ours), ours[0]
        text = (
            f"peer {first.peer} sends {count} routes with our own tunnel address {first.vtep} and RD {first.rd}: it returns "
            "what we advertise, or another leaf has a copy of our configuration"
        )
        yield Problem(NOTICE, "own-routes-returned", text, hint, count)


def _of_daemon(status: "Status") -> Iterator[Problem]:
    if status.reload_error:
        text = f"the changed configuration was refused, and the old one is in force: {status.reload_error}"
        yield Problem(DEGRADED, "reload-refused", text, "vtep check FILE")
    if status.devices:
        count = len(status.devices)
        devices = "1 managed device is" if count == 1 else f"{count} managed devices are"
        shown = named([f"{name} ({why})" for name, why in sorted(status.devices.items())])
        yield Problem(DEGRADED, "devices", f"{devices} not as wanted: {shown}", "vtep devices plan", count)
    for trouble in status.closed:
        text = f"the daemon cannot listen: {trouble}; it is tried again"
        yield Problem(DEGRADED, "not-listening", text, "docs/reference.md")
    yield from _of_advertising(status)


def _of_advertising(status: "Status") -> Iterator[Problem]:
    advertising = status.announcing
    if advertising.state == "unable" and advertising.wanted:
        text = f"nothing of this leaf is advertised: {advertising.why}"
        yield Problem(DEGRADED, "not-advertising", text, 'docs/advertise.md: "When something is not announced"')
    if advertising.refused:
        routes = "1 route" if advertising.refused == 1 else f"{advertising.refused} routes"
        text = f"ExaBGP refused to advertise {routes}: {advertising.error}"
        yield Problem(DEGRADED, "advertising-refused", text, "vtep routes --advertised --refused", advertising.refused)
    if status.feed.attached and advertising.told and not any(peer.up for peer in status.feed.peers):
        text = f"{advertising.told} routes of this leaf reach no peer, because no session is established"
        yield Problem(DEGRADED, "no-peer-to-advertise-to", text, "vtep peers", advertising.told)


def texts(found: Iterable[Problem]) -> tuple[str, ...]:
    """Return the sentences alone."""
    return tuple(problem.text for problem in found)


def summed(refusals: Iterable[Refusals], by: str) -> Mapping[str, int]:
    """Count the refused routes by a field: peer, reason or vni."""
    sums: dict[str, int] = defaultdict(int)
    for refused in refusals:
        sums[str(getattr(refused, by))] += refused.routes
    return sums
