"""Advertising: what `vtep exabgp` needs for each route that this leaf advertises, one command a MAC and one for many.

A child of ExaBGP gives the commands as the daemon does, at most as many unanswered. Wall runs from the first command to the
last route at the peer, which counts the UPDATEs; memory is what ExaBGP's process grew by.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench import machine
from bench.figures import Figure, Limit, transposed
from bench.leaf import nodes
from bench.routes import SPEAKER, mac
from tests.lab.peers import ExaBgp, exabgp_config
from tests.lab.speaker import Speaker
from tests.lab.topology import LEAF, address
from tests.lab.wait import wait_until
from vtep.addr import Ip, Mac, RouteDistinguisher, Vni
from vtep.evpn.advertise import VXLAN, MacAdvertisement, MacRoute, group_of, grouped, target
from vtep.feed.exabgp.dialog import GROUP_MAX, LINES_MAX, ROUTES_MAX
from vtep.feed.exabgp.grammar import spell, spell_group

TELLER: Final = Path(__file__).with_name("teller.py")
DEADLINE_S: Final = 300.0
ALONE, TOGETHER = "one command a MAC", "one command for many"


def measure(macs: int, runs: int) -> list[Figure]:
    found: dict[str, list[dict[str, float]]] = {ALONE: [], TOGETHER: []}
    for _ in range(runs):
        found[ALONE].append(_advertised(macs, together=False))
        found[TOGETHER].append(_advertised(macs, together=True))
    sides = {side: transposed(side_runs) for side, side_runs in found.items()}
    limits = {
        "CPU of ExaBGP": Limit(TOGETHER, ALONE, 0.15, fails_at=0.3),
        "memory of ExaBGP": Limit(TOGETHER, ALONE, 0.3, fails_at=0.6),
        "UPDATEs": Limit(TOGETHER, "", 15),
    }
    return [
        Figure(
            f"Advertising {macs:,} MACs",
            what,
            unit,
            {side: figures[what] for side, figures in sides.items()},
            limits.get(what),
        )
        for what, unit in (
            ("wall", "s"),
            ("CPU of ExaBGP", "us/route"),
            ("memory of ExaBGP", "B/route"),
            ("UPDATEs", "a thousand routes"),
        )
    ]


def _commands(macs: int, *, together: bool) -> Iterator[str]:
    vtep, rd = Ip.parse(address(LEAF)), RouteDistinguisher.parse(f"{address(LEAF)}:100")
    communities = (target("65000:100"), VXLAN)
    routes = (
        MacAdvertisement(MacRoute(rd, Mac.parse(mac(number))), vtep, Vni(100), communities=communities)
        for number in range(macs)
    )
    if not together:
        yield from map(spell, routes)
        return
    for group in grouped(routes, GROUP_MAX):
        yield spell_group(group_of(group))


def _advertised(macs: int, *, together: bool) -> dict[str, float]:
    with nodes() as (leaf, node), Speaker(node, SPEAKER) as speaker:
        commands, noted = leaf.path("/run/teller/commands"), leaf.path("/run/teller/noted")
        commands.parent.mkdir(parents=True)
        commands.write_text("".join(f"{line}\n" for line in _commands(macs, together=together)))
        unanswered = ROUTES_MAX // GROUP_MAX if together else LINES_MAX
        run = f"{sys.executable} -I -S {TELLER} {commands} {unanswered} {noted}"
        exabgp = ExaBgp(leaf, exabgp_config(address(LEAF), [SPEAKER], run), announces=True)
        pid = exabgp.start().pid
        session = speaker.wait_established(deadline_s=30)
        cpu_s, resident = machine.cpu_s(pid), machine.resident_kib(pid)
        wait_until(lambda: len(session.heard) >= macs, DEADLINE_S, "all routes at the peer")
        heard_at = time.monotonic()
        wait_until(noted.exists, DEADLINE_S, "the last answer")
        begun, _, errors = map(float, noted.read_text().split())
        if errors:
            raise RuntimeError(f"ExaBGP refused {errors:.0f} commands")
        return {
            "wall": heard_at - begun,
            "CPU of ExaBGP": (machine.cpu_s(pid) - cpu_s) / macs * 1e6,
            "memory of ExaBGP": (machine.resident_kib(pid) - resident) * 1024 / macs,
            "UPDATEs": session.updates_heard / macs * 1000,
        }
