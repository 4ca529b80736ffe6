"""The demo's story, step by step: what a network engineer would do to see whether the product works, and look at.

    before ─▶ session, flood rows, first MAC ─▶ ping ─▶ move ─▶ sticky ─▶ (many more) ─▶ withdraw MAC, flood row

Every step checks what it tells; one that does not hold ends the story with `Untrue`. Everything on the leaf is the real
product: `vtep run`, ExaBGP configured by `vtep exabgp-config`, and the relay that it starts. The other side is the
lab's own BGP speaker. Knows neither arguments nor signals, and prints only through its `Teller`.
"""

import time
from collections.abc import Callable
from typing import Final

from tests.lab import overlay, probe
from tests.lab.demo_output import DemoOutput
from tests.lab.fdb_timing import FdbTimer
from tests.lab.namespaces import CommandFailed
from tests.lab.peers import ExaBgp
from tests.lab.speaker import Speaker
from tests.lab.topology import BRIDGE, LEAF, VNI, VXLAN, Topology, address
from tests.lab.vtep import FEED, VTEP, Vtep, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance

REMOTE1, REMOTE2 = address(1), address(2)
STICKY_MAC: Final = "02:00:00:00:00:51"
LATER_MAC: Final = "02:00:00:00:00:52"
SILENCE_S: Final = 0.3
"""How long a ping that must fail is tried."""
ROW_S: Final = 10.0
"""How long one row may take."""
STALL_S: Final = 60.0
"""How long many may stand still."""
CHUNK: Final = 1000
COUNT_S: Final = 1.0

DRAWING: Final = f"""\
station 172.16.0.99 --- leaf {address(LEAF)} ===VXLAN=== remote1 {REMOTE1} --- station 172.16.0.1
(VNI {VNI})               ExaBGP + vtep    \\==VXLAN=== remote2 {REMOTE2} --- station 172.16.0.2"""

BGP: Final = f"""
[bgp]
asn = 65000
router_id = "{address(LEAF)}"
[[bgp.neighbor]]
address = "{REMOTE1}"
asn = 65000
[[bgp.neighbor]]
address = "{REMOTE2}"
asn = 65000
"""


class StepFailed(Exception):  # noqa: N818 - what it is
    """Something that the story tells did not happen; the message says what, and what was seen instead."""


class Verdicts:
    """One telling, in a network that is up, with a speaker at each remote."""

    def __init__(
        self, network: Topology, speakers: tuple[Speaker, Speaker], timer: FdbTimer, output: DemoOutput
    ) -> None:
        self.network = network
        self.here = network.leaf_station
        self.there = network.remote_station
        self._first, self._second = speakers
        self._at_first, self._at_second = Instance(REMOTE1), Instance(REMOTE2)
        self._timer = timer
        self._output = output

    def tell(self, macs: int = 0) -> str:
        """Tell all of it, with so many more MACs, and return the result's sentence."""
        self._nothing_before()
        first_s = self._first_mac()
        self._ping("ping across VXLAN")
        move_s = self._move()
        self._sticky()
        if macs:
            self._many(macs)
        gone_s = self._withdraw()
        self._withdraw_flood()
        return (
            f"ping across VXLAN worked; first MAC {first_s:.2f} s after ExaBGP's start, "
            f"move in {_ms(move_s)}, withdraw in {_ms(gone_s)}"
        )

    def restore(self) -> None:
        """Announce the moved station again, for whoever wants to look around."""
        self._second.announce(self._at_second.flood(), self._at_second.mac(self.there.mac, seq=1))
        self._wait_row(self.there.mac, REMOTE2)

    # The steps

    def _nothing_before(self) -> None:
        nodes = len(self.network.lab.nodes)
        self._output.step(f"lab up: {nodes} network namespaces; stations know nothing of each other, learning is off")
        self._no_ping("ping before BGP")
        # Otherwise the stations would ask again only when their second is over.
        self._forget_neighbors()

    def _first_mac(self) -> float:
        """Start the product; the first MAC waits at remote1 for the session."""
        vtep = Vtep(self.network.leaf, leaf_config(peers=[REMOTE1, REMOTE2], more=BGP))
        daemon = vtep.start()
        feed = self.network.leaf.path(FEED)
        wait_until(lambda: feed.exists() or not daemon.alive, 10, "the daemon's feed socket")
        self._check(daemon.alive, "`vtep run` runs")
        self._output.step(f"`vtep run` is up and waits for ExaBGP at {FEED}")
        config = self.network.leaf.run(str(VTEP), "exabgp-config", "--config", "/run/vtep.toml")
        self._first.announce(self._at_first.flood(), self._at_first.mac(self.there.mac))
        self._second.announce(self._at_second.flood())

        started_at = time.monotonic()
        ExaBgp(self.network.leaf, config).start()
        seen_at = self._wait_row(self.there.mac, REMOTE1)
        up_at = [speaker.wait_established().established_at or 0.0 for speaker in (self._first, self._second)]

        self._output.step(
            f"ExaBGP, configured by `vtep exabgp-config`: both sessions up {max(up_at) - started_at:.2f} s after its start"
        )
        self._output.step(
            f"remote1 announces {self.there.mac}: in the kernel {seen_at - started_at:.2f} s after ExaBGP's start"
        )
        self._output.below([f"leaf# bridge fdb show dev {VXLAN}"])
        self._show_rows(self.there.mac, REMOTE1)
        self._wait_floods({REMOTE1, REMOTE2})
        self._output.step(
            "both remotes announce that they want broadcasts (Type-3): two flood rows, so ARP questions cross"
        )
        self._output.below(f"  {line}" for line in _lines_of(overlay.FLOOD_MAC, self._fdb()))
        return seen_at - started_at

    def _move(self) -> float:
        """Carry the station's wire to the other remote, which says so with a higher sequence (RFC 7432 15)."""
        self.there.unplug()
        self.there.plug(self.network.remotes[1])
        asked_at = time.monotonic()
        self._second.announce(self._at_second.mac(self.there.mac, seq=1))
        passed = self._timer.until(self.there.mac, REMOTE2, ROW_S)
        self._check(bool(passed), f"the row of {self.there.mac} went to {REMOTE2}")
        self._check(all(sighting.there for sighting in passed), "the row never was away during the move")
        self._first.withdraw(self._at_first.mac(self.there.mac))

        move_s = passed[-1].at - asked_at
        self._output.step(
            f"the station moves to remote2, which announces it with sequence 1: row moved in {_ms(move_s)}"
        )
        self._show_rows(self.there.mac, REMOTE2)
        self._ping("ping follows")
        return move_s

    def _sticky(self) -> None:
        """A sticky MAC stays, whatever sequence another VTEP claims (RFC 7432 7.7, 15.2)."""
        self._first.announce(self._at_first.mac(STICKY_MAC, sticky=True))
        self._wait_row(STICKY_MAC, REMOTE1)
        self._second.announce(self._at_second.mac(STICKY_MAC, seq=7))
        # Announced behind the claim in the same session: when it is there, the claim was judged.
        self._second.announce(self._at_second.mac(LATER_MAC))
        self._wait_row(LATER_MAC, REMOTE2)
        self._check((STICKY_MAC, REMOTE1) in self._rows(), f"the sticky {STICKY_MAC} stayed at {REMOTE1}")
        self._output.step(f"sticky {STICKY_MAC} of remote1, claimed by remote2 with sequence 7: stays at remote1")

    def _many(self, count: int) -> None:
        macs = [
            f"02:01:{number >> 24 & 255:02x}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
            for number in range(count)
        ]
        routes = [self._at_first.mac(mac) for mac in macs]
        missing = set(macs)
        asked_at = time.monotonic()
        for start in range(0, count, CHUNK):
            self._first.announce(*routes[start : start + CHUNK])
            self._strike_out(missing, 0.0)
            self._progress(min(count, start + CHUNK), count, missing)
        seen_at = self._wait_all(missing, count)
        took_s = seen_at - asked_at
        how = ", counted once a second" if self._timer.overrun else ""
        self._output.step(
            f"remote1 announces {count} more: all in the kernel after {took_s:.2f} s ({count / took_s:.0f} a second{how})"
        )

    def _wait_all(self, missing: set[str], count: int) -> float:
        """Return when the last one was there. Changes that were never told are counted in the table instead."""
        seen_at = moved_at = time.monotonic()
        while missing:
            before = len(missing)
            seen_at = self._strike_out(missing, COUNT_S) or seen_at
            if self._timer.overrun:
                missing -= {mac for mac, _ in self._rows()}
                seen_at = time.monotonic()
            if len(missing) < before:
                moved_at = time.monotonic()
            there = f"{count - len(missing)} of {count} MACs in the kernel"
            self._check(
                time.monotonic() < moved_at + STALL_S, f"all rows came ({there}, then none for {STALL_S:.0f} s)"
            )
            self._progress(count, count, missing)
        return seen_at

    def _withdraw(self) -> float:
        self._check(bool(self._half("self") and self._half("master")), f"both halves of {self.there.mac} can be seen")
        asked_at = time.monotonic()
        self._second.withdraw(self._at_second.mac(self.there.mac))
        passed = self._timer.until(self.there.mac, "", ROW_S)
        self._check(bool(passed), f"the row of {self.there.mac} went")
        gone_s = passed[-1].at - asked_at
        self._check(not self._half("self"), f"the tunnel's half of the row of {self.there.mac} is gone")
        self._check(not self._half("master"), f"the bridge's half of the row of {self.there.mac} is gone")
        flooded_s = probe.ping(self.here.node, self.there.ip)
        self._check(flooded_s is not None, "a ping of a MAC that is unknown again goes by the flood rows", self._fdb)
        self._output.step(
            f"remote2 withdraws {self.there.mac}: both halves gone in {_ms(gone_s)}, floods still reach it"
        )
        return gone_s

    def _withdraw_flood(self) -> None:
        """The station is behind remote2, so the other flood row does not reach it."""
        asked_at = time.monotonic()
        self._second.withdraw(self._at_second.flood())
        passed = self._timer.until(overlay.FLOOD_MAC, "", ROW_S)
        self._check(bool(passed), "a flood row went")
        self._wait_floods({REMOTE1})
        gone_s = passed[-1].at - asked_at
        self._output.step(f"remote2 withdraws its Type-3 route: its flood row gone in {_ms(gone_s)}, remote1's stays")
        self._no_ping("ping after it")

    # What the steps look with

    def _ping(self, what: str) -> None:
        took_s = probe.ping(self.here.node, self.there.ip)
        self._check(took_s is not None, f"{what}: {self.there.ip} answers {self.here.ip}", self._fdb)
        self._output.step(f"{what}, {self.here.ip} to {self.there.ip}: answered in {_ms(took_s or 0.0)}")

    def _no_ping(self, what: str) -> None:
        took_s = probe.ping(self.here.node, self.there.ip, SILENCE_S)
        self._check(took_s is None, f"{what}: no answer from {self.there.ip}", self._fdb)
        self._output.step(f"{what}, {self.here.ip} to {self.there.ip}: no answer, as it should be")

    def _wait_row(self, mac: str, vtep: str) -> float:
        passed = self._timer.until(mac, vtep, ROW_S)
        self._check(bool(passed), f"the row of {mac} came, with dst {vtep}", self._fdb)
        return passed[-1].at

    def _wait_floods(self, vteps: set[str]) -> None:
        wanted = {(overlay.FLOOD_MAC, vtep) for vtep in vteps}
        wait_until(
            lambda: {row for row in self._rows() if row[0] == overlay.FLOOD_MAC} == wanted, ROW_S, "those flood rows"
        )

    def _forget_neighbors(self) -> None:
        for station in (self.here, self.there):
            station.node.run("ip", "neigh", "flush", "dev", "eth0")

    def _show_rows(self, mac: str, vtep: str) -> None:
        """Show both halves as an operator sees them, and check the marks."""
        lines = _lines_of(mac, self._fdb())
        tunnel, bridge = f"{mac} dst {vtep} self extern_learn permanent", f"{mac} extern_learn master {BRIDGE}"
        # The order of the words differs between versions of iproute2.
        both = sorted(sorted(line.split()) for line in lines) == sorted(sorted(row.split()) for row in (tunnel, bridge))
        self._check(both, f"both halves of the row of {mac} are there and bear extern_learn", lambda: "\n".join(lines))
        self._output.below(f"  {line}" for line in lines)

    def _strike_out(self, missing: set[str], within_s: float) -> float | None:
        """Strike out what has come, and return when the last of them came; ends early when nothing is missing."""
        seen_at = None
        for sighting in self._timer.take(within_s):
            if sighting.there and sighting.mac in missing:
                missing.discard(sighting.mac)
                seen_at = sighting.at
                if not missing:
                    break
        return seen_at

    def _progress(self, announced: int, count: int, missing: set[str]) -> None:
        self._output.progress(f"announced {announced} of {count}, in the kernel {count - len(missing)}")

    def _rows(self) -> set[tuple[str, str]]:
        words = [line.split() for line in self._fdb().splitlines()]
        return {(line[0], line[2]) for line in words if line[1] == "dst"}

    def _fdb(self) -> str:
        return self.network.leaf.run("bridge", "fdb", "show", "dev", VXLAN, deadline_s=120)

    def _half(self, which: str) -> str:
        """Look up one half of the station's row; a dump would take seconds where there are many."""
        try:
            return self.network.leaf.run("bridge", "fdb", "get", self.there.mac, "dev", VXLAN, which)
        except CommandFailed:
            return ""

    def _check(self, holds: bool, what: str, look: Callable[[], str] = str) -> None:
        if not holds:
            raise StepFailed("\n    ".join([f"this should be so: {what}", *look().splitlines()]))


def prepare(network: Topology) -> None:
    """What is there before the story: everything but the product and BGP."""
    # A bridge gives its ports VLAN 1 unless told otherwise, and then shows each of its rows twice.
    network.leaf.ip(f"link set dev {BRIDGE} type bridge vlan_default_pvid 0")
    # Until the leaf announces anything, what its peers would do about that is done by hand.
    for remote in network.remotes:
        overlay.put_flood_row(remote, VXLAN, address(LEAF))
        overlay.put_row(remote, VXLAN, network.leaf_station.mac, address(LEAF))


def _lines_of(mac: str, fdb: str) -> list[str]:
    return sorted(line.strip() for line in fdb.splitlines() if line.startswith(mac))


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
