"""The sentences about one MAC: a table from the facts to the summary and the advice."""

from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from tests.lab.memory import CONFIG
from vtep.addr import Ip, Mac, RouteDistinguisher, RouteTarget, Vni
from vtep.config import file as config
from vtep.observe.model import (
    CandidateStatus,
    DataplaneStatus,
    Explanation,
    FeedStatus,
    KernelRow,
    MacStatus,
    PeerStatus,
    Status,
    Sync,
)
from vtep.observe.sentences import ExplainContext, age, summarize, verdict_text

VNI, MAC = Vni(100), Mac.parse("02:00:00:00:00:01")
A, B, OURS = Ip.parse("10.0.0.1"), Ip.parse("10.0.0.2"), Ip.parse("10.0.0.99")
RD = RouteDistinguisher.parse("10.0.0.1:100")
CONFIGURED = config.parse(CONFIG).vnis[0]
NOW = 1000.0


def peer(address: Ip, **fields: Any) -> PeerStatus:
    usual = {"up": True, "ended": True, "routes": 1, "stale": 0, "limited": 0, "refresh": "", "reason": ""}
    return PeerStatus(address, **(usual | fields))


FEED = FeedStatus(attached=True, peers=(peer(A), peer(B)))
UNPLUGGED = replace(FEED, attached=False)
A_DOWN = replace(FEED, peers=(peer(A, up=False, reason="hold timer expired"), peer(B)))
STATUS = Status(complete=True, why="every peer has sent all its routes", feed=FEED, dataplane=DataplaneStatus("on", ""))
WAITING = replace(STATUS, complete=False, why="waiting for End-of-RIB from 10.0.0.1")
NO_RIGHT = replace(STATUS, dataplane=DataplaneStatus("off", "CAP_NET_ADMIN is missing"))
CONTEXT = ExplainContext(STATUS, NOW, CONFIGURED)


def candidate(verdict: str, reason: str, vtep: Ip = A, *targets: str) -> CandidateStatus:
    routes = tuple(map(RouteTarget.parse, targets))
    return CandidateStatus(VNI, vtep, verdict, reason, "", 0, False, False, vtep, RD, label=100, targets=routes)


def station(verdict: str, reason: str, *, sticky: bool = False) -> CandidateStatus:
    text = verdict_text(verdict, reason, None, "swp1")
    return CandidateStatus(VNI, OURS, verdict, reason, text, 7, sticky, False, OURS, RD, label=100, port="swp1")


def unwanted(**fields: Any) -> Explanation:
    usual = {"candidates": (), "desired": None, "ownership": "none", "owned_since": None, "kernel": KernelRow("absent")}
    return Explanation(VNI, MAC, "", "", **(usual | fields))


def wanted(state: str, reason: str = "", text: str = "", *, alerts: tuple[str, ...] = (), **fields: Any) -> Explanation:
    inside = {name: fields.pop(name) for name in ("errno", "next_try") if name in fields}
    sync = Sync(state, reason, text, since=NOW - 300, **inside)
    won = fields.pop("won", "only-path")
    row = MacStatus(VNI, MAC, A, None, won, 0, False, False, A, RD, None, (), alerts, sync)
    kernel = KernelRow("ours", A, seen=NOW - 9)
    return unwanted(desired=row, kernel=kernel, ownership="owned", alerts=alerts, **fields)


def context(status: Status = STATUS, **fields: Any) -> ExplainContext:
    return replace(CONTEXT, status=status, **fields)


TWO = (candidate("won", "higher-seq", A), candidate("lost", "higher-seq", B))


@dataclass(frozen=True)
class Case:
    name: str
    explanation: Explanation
    summary: str
    advice: str = ""
    context: ExplainContext = CONTEXT


CASES = (
    Case(
        "installed",
        wanted("installed"),
        "Behind 10.0.0.1 (only-path): installed on vxlan100 5 min ago, verified 9 s ago.",
    ),
    Case(
        "stale-peer-down",
        wanted("stale"),
        "Behind 10.0.0.1 (only-path): installed on vxlan100 5 min ago, verified 9 s ago, and stale: peer "
        "10.0.0.1, which advertised it, is down (hold timer expired).",
        "Wait for the peer, or find out why it does not come back.",
        context(replace(STATUS, feed=A_DOWN)),
    ),
    Case(
        "stale-peer-back",
        wanted("stale"),
        "Behind 10.0.0.1 (only-path): installed on vxlan100 5 min ago, verified 9 s ago, and stale: peer "
        "10.0.0.1 is back, and has not advertised it again yet.",
        "Wait for the peer, or find out why it does not come back.",
    ),
    Case(
        "stale-no-exabgp",
        wanted("stale"),
        "Behind 10.0.0.1 (only-path): installed on vxlan100 5 min ago, verified 9 s ago, and stale: ExaBGP is "
        "not connected to the feed socket, and peer 10.0.0.1 advertised it before.",
        "Wait for the peer, or find out why it does not come back.",
        context(replace(STATUS, feed=UNPLUGGED)),
    ),
    Case(
        "contested-by-a-port",
        wanted("contested", "local-static", "a static entry on port99"),
        "Behind 10.0.0.1 (only-path), but contested (local-static): a static entry on port99 has the row and keeps it.",
        "Remove the entry if the station is gone: `bridge fdb del 02:00:00:00:00:01 dev port99 master`.",
        context(port="port99"),
    ),
    Case(
        "contested-by-a-port-with-a-hostile-name",
        wanted("contested", "local-static", "a static entry on $(reboot)"),
        "Behind 10.0.0.1 (only-path), but contested (local-static): a static entry on $(reboot) has the row and "
        "keeps it.",
        "Remove the entry if the station is gone: `bridge fdb del 02:00:00:00:00:01 dev '$(reboot)' master`.",
        context(port="$(reboot)"),
    ),
    Case(
        "contested-by-a-port-without-a-name",
        wanted("contested", "local-static", "a static entry"),
        "Behind 10.0.0.1 (only-path), but contested (local-static): a static entry has the row and keeps it.",
        "Remove the entry if the station is gone.",
    ),
    Case(
        "contested-by-a-station",
        wanted("contested", "local-learned", "a learned station on port99"),
        "Behind 10.0.0.1 (only-path), but contested (local-learned): a learned station on port99 has the row and "
        "keeps it.",
        "",
        context(port="port99"),
    ),
    Case(
        "contested-by-a-row",
        wanted("contested", "foreign", "a row of another program to 10.0.0.7"),
        "Behind 10.0.0.1 (only-path), but contested (foreign): a row of another program to 10.0.0.7 has the row "
        "and keeps it.",
        "Remove it if it is a leftover: `bridge fdb del 02:00:00:00:00:01 dev vxlan100 self`.",
    ),
    Case(
        "failed",
        wanted("failed", "retrying", "No buffer space available", errno=105, next_try=NOW + 2.5),
        "Behind 10.0.0.1 (only-path), but failed (retrying): the kernel refused it: ENOBUFS: No buffer space available; "
        "next try in 2.5 s.",
        "Nothing, unless it lasts.",
    ),
    Case(
        "suppressed-without-a-capability",
        wanted("suppressed", "permanent-error", "CAP_NET_ADMIN is missing", errno=1),
        "Behind 10.0.0.1 (only-path), but suppressed (permanent-error): the kernel refused it: EPERM: CAP_NET_ADMIN is "
        "missing.",
        "Give the daemon CAP_NET_ADMIN, and start it again.",
        context(NO_RIGHT),
    ),
    Case(
        "suppressed-for-another-reason",
        wanted("suppressed", "permanent-error", "Address family not supported", errno=97),
        "Behind 10.0.0.1 (only-path), but suppressed (permanent-error): the kernel refused it: EAFNOSUPPORT: Address "
        "family not supported.",
        "Read the text: a capability or a kernel feature is missing, or the address family is not the one of the "
        "device. Then run `vtep resync`: it tries again.",
    ),
    Case(
        "unbound",
        wanted("suppressed", "unbound", "the VNI has no bridge"),
        "Behind 10.0.0.1 (only-path), but not programmed (unbound): VNI 100 has no bridge here.",
        "Set `bridge` and `vxlan` of `[[vni]]` 100.",
    ),
    Case(
        "device-down",
        wanted("pending", "not-ready", vni_reasons=("device-down",)),
        "Behind 10.0.0.1 (only-path), but pending: VNI 100 on bridge br100 and device vxlan100 is not ready: the VXLAN "
        "device is down (device-down).",
        "Run `ip link set dev vxlan100 up`.",
    ),
    Case(
        "two-things-wrong-with-a-device",
        wanted("pending", "not-ready", vni_reasons=("bridge-down", "wrong-vni")),
        "Behind 10.0.0.1 (only-path), but pending: VNI 100 on bridge br100 and device vxlan100 is not ready: the bridge is "
        "down (bridge-down); the device has another VNI (wrong-vni).",
        "Run `ip link set dev br100 up`. Correct `vni`, or the device.",
    ),
    Case(
        "held",
        wanted("pending", "held"),
        "Behind 10.0.0.1 (only-path), but held: its row stays as it was until the picture is complete (waiting for "
        "End-of-RIB from 10.0.0.1).",
        "Wait, or find the peer that has not sent End-of-RIB.",
        context(WAITING),
    ),
    Case("on-its-way", wanted("pending"), "Behind 10.0.0.1 (only-path), but pending: it is being written."),
    Case(
        "kernel-cannot-be-read",
        wanted("pending", "kernel-unreadable", "rows: EINTR"),
        "Behind 10.0.0.1 (only-path), but pending (kernel-unreadable): rows: EINTR.",
    ),
    Case(
        "duplicate",
        wanted("installed", alerts=("dup-warn",), candidates=TWO, moves=6),
        "Behind 10.0.0.1 (only-path): installed on vxlan100 5 min ago, verified 9 s ago. Duplicate: it moved 6 "
        "times recently, between 10.0.0.1 and 10.0.0.2.",
        "Find the duplicate or the loop behind 10.0.0.1 and 10.0.0.2, then run `vtep clear-duplicate "
        "02:00:00:00:00:01`.",
    ),
    Case(
        "frozen",
        wanted("installed", alerts=("dup-frozen",), candidates=TWO, moves=6, won="dup-frozen"),
        "Behind 10.0.0.1 (dup-frozen): installed on vxlan100 5 min ago, verified 9 s ago. Duplicate: frozen "
        "behind 10.0.0.1 after 6 moves, advertised by 10.0.0.1 and 10.0.0.2.",
        "Find the duplicate or the loop behind 10.0.0.1 and 10.0.0.2, then run `vtep clear-duplicate "
        "02:00:00:00:00:01`.",
    ),
    Case(
        "sticky-elsewhere",
        wanted("installed", alerts=("sticky-violation",)),
        "Behind 10.0.0.1 (only-path): installed on vxlan100 5 min ago, verified 9 s ago. A VTEP advertises a MAC "
        "that is sticky or a gateway elsewhere. (sticky-violation)",
        "Find the station at the VTEP that is named.",
    ),
    Case(
        "wrong-target",
        unwanted(candidates=(candidate("refused", "rt-mismatch", A, "65000:999"),)),
        "Refused (rt-mismatch): its label is a VNI of ours, but its Route Targets are not those of that VNI. "
        "Peer 10.0.0.1 advertised it with next hop 10.0.0.1, label 100, Route Targets 65000:999; VNI 100 imports "
        "65000:100.",
        "Compare `import_rt` with the peer's export.",
    ),
    Case(
        "refused-twice",
        unwanted(
            candidates=(candidate("refused", "self-vtep"), candidate("refused", "rt-missing", B)), ownership="owned"
        ),
        "Refused (self-vtep): the next hop is one of our own tunnel addresses. Peer 10.0.0.1 advertised it with "
        "next hop 10.0.0.1, label 100, Route Targets none. Also refused (rt-missing): it has no Route Target. "
        "Peer 10.0.0.2 advertised it with next hop 10.0.0.2, label 100, Route Targets none; VNI 100 imports "
        "65000:100. Its row is still held.",
        "Nothing, unless another leaf has our address. Look for a router that strips communities.",
    ),
    Case(
        "no-peer-advertises-it",
        unwanted(),
        "Not received: no peer advertises it.",
        "Check that the far end has learned it and advertises it.",
    ),
    Case(
        "peer-over-its-limit",
        unwanted(),
        "Not received, or refused because a peer exceeds `routes_per_peer`: 10.0.0.1 (7 routes).",
        "Look for a flood of routes, or raise `limits.routes_per_peer`.",
        context(replace(STATUS, feed=replace(STATUS.feed, peers=(peer(A, limited=7), *STATUS.feed.peers[1:])))),
    ),
    Case(
        "peer-down",
        unwanted(),
        "Not received: peer 10.0.0.1 is down (hold timer expired).",
        "Look at the BGP session: its peer may be the one that advertises the MAC.",
        context(replace(STATUS, feed=A_DOWN)),
    ),
    Case(
        "no-exabgp",
        unwanted(),
        "Not received: ExaBGP is not connected to the feed socket.",
        "Check that ExaBGP runs, and that its configuration starts `vtep relay`.",
        context(replace(STATUS, feed=UNPLUGGED)),
    ),
    Case("not-yet", unwanted(), "Not received yet: waiting for End-of-RIB from 10.0.0.1.", "", context(WAITING)),
    Case(
        "withdrawn-and-held",
        unwanted(ownership="owned"),
        "No longer advertised; its row is held until the picture is complete (waiting for End-of-RIB from 10.0.0.1).",
        "Wait, or find the peer that has not sent End-of-RIB.",
        context(WAITING),
    ),
    Case(
        "withdrawn-and-held-by-a-device",
        unwanted(ownership="owned", vni_state="not-ready", vni_reasons=("device-down",)),
        (
            "No longer advertised; its row is held until the VNI is ready: VNI 100 on bridge br100 and device vxlan100 "
            "is not ready: the VXLAN device is down (device-down)."
        ),
        "Run `ip link set dev vxlan100 up`.",
    ),
    Case(
        "a-station-of-ours",
        unwanted(kernel=KernelRow("foreign", holder="a learned station on port99")),
        "No peer advertises it: it is on a port of this leaf (a learned station on port99).",
        "",
        context(port="port99"),
    ),
    Case(
        "advertised",
        unwanted(candidates=(station("won", "higher-seq"), candidate("lost", "higher-seq"))),
        "Here, on port swp1 (higher-seq): to be advertised with sequence number 7.",
    ),
    Case(
        "advertised-as-sticky",
        unwanted(candidates=(station("won", "sticky", sticky=True),), alerts=("sticky-violation",)),
        "Here, on port swp1 (sticky): to be advertised as sticky. A VTEP advertises a MAC that is sticky or a "
        "gateway elsewhere. (sticky-violation)",
        "Find the station at the VTEP that is named.",
    ),
    Case(
        "advertised-though-frozen",
        unwanted(
            candidates=(station("won", "dup-frozen"), candidate("lost", "dup-frozen")), alerts=("dup-frozen",), moves=6
        ),
        "Here, on port swp1 (dup-frozen): to be advertised with sequence number 7. Duplicate: frozen here after "
        "6 moves, advertised by 10.0.0.1 and 10.0.0.99. Without that it would be behind 10.0.0.1.",
        "Find the duplicate or the loop behind 10.0.0.1 and 10.0.0.99, then run `vtep clear-duplicate "
        "02:00:00:00:00:01`.",
    ),
    Case(
        "a-station-that-lost",
        unwanted(candidates=(station("lost", "taken-over"),)),
        "Learned here on port swp1. A better route arrived after the bridge learned the station. The station "
        "counts again when the bridge learns it again. It is not advertised (taken-over).",
        "Nothing: a station that is here sends a frame soon.",
    ),
    Case(
        "a-row-of-another-program",
        unwanted(kernel=KernelRow("foreign", B, "a row of another program to 10.0.0.2")),
        "No peer advertises it, but the kernel has a row of another program to 10.0.0.2.",
    ),
    Case(
        "orphan",
        unwanted(kernel=KernelRow("foreign", B, "an orphan row with our signature to 10.0.0.2")),
        "No peer advertises it, but the kernel has an orphan row with our signature to 10.0.0.2.",
        "If it is not needed, run `vtep adopt`: it claims the row and removes it.",
        context(orphan=True),
    ),
    Case(
        "a-vni-that-is-not-configured",
        unwanted(),
        "VNI 100 is not configured here.",
        "Add the VNI if it belongs here.",
        context(vni=None),
    ),
    Case(
        "a-vni-that-is-not-configured-any-more",
        unwanted(ownership="owned"),
        "VNI 100 is not configured here. Its row is still held until the picture is complete (waiting for "
        "End-of-RIB from 10.0.0.1).",
        "Add the VNI if it belongs here.",
        context(WAITING, vni=None),
    ),
    Case(
        "a-route-of-a-vni-that-is-not-configured",
        unwanted(candidates=(candidate("refused", "unknown-vni"),)),
        "VNI 100 is not configured here. Refused (unknown-vni): neither its label nor its Route Targets belong "
        "to a VNI of ours. Peer 10.0.0.1 advertised it with next hop 10.0.0.1, label 100, Route Targets none.",
        "Add the VNI if it belongs here.",
        context(vni=None),
    ),
    Case(
        "no-vni-at-all",
        replace(unwanted(), vni=Vni(0)),
        "No VNI is configured here.",
        "Add the VNI if it belongs here.",
        context(vni=None),
    ),
    Case(
        "a-label-that-is-no-vni",
        replace(unwanted(candidates=(candidate("refused", "bad-vni"),)), vni=Vni(0)),
        "Refused (bad-vni): the label is 0, which is not a valid VNI. Peer 10.0.0.1 advertised it with next hop "
        "10.0.0.1, label 100, Route Targets none.",
        "Look at the peer that advertises it.",
        context(vni=None),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_said_of_a_mac(case):
    assert summarize(case.explanation, case.context) == (case.summary, case.advice)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("higher-seq", "10.0.0.2 has a higher sequence number: the MAC moved there later."),
        ("lower-vtep", "The sequence numbers are equal, and 10.0.0.2 is the lower address."),
        ("total-order", "A fixed order chose another route of the same location."),
    ],
)
def test_a_route_that_lost_names_the_one_that_won(reason, expected):
    assert verdict_text("lost", reason, B) == expected


def test_a_station_that_lost_names_its_port_and_the_winner():
    assert verdict_text("lost", "lower-vtep", A, "swp1") == (
        "Learned here on port swp1. The sequence numbers are equal, and 10.0.0.1 is the lower address."
    )


def test_a_route_that_won_has_the_rules_own_sentence():
    assert (
        verdict_text("won", "higher-seq", B) == "Its MAC mobility sequence number is higher: the MAC moved there last."
    )


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (None, "never"),
        (NOW + 5, "0 s ago"),
        (NOW - 119, "119 s ago"),
        (NOW - 120, "2 min ago"),
        (NOW - 7200, "2 h ago"),
        (NOW - 3 * 86_400, "3 d ago"),
    ],
)
def test_an_age_has_the_unit_that_fits(since, expected):
    assert age(since, NOW) == expected
