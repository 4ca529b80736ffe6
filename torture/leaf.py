"""A leaf under churn that everything else breaks: rows that stay, rows that come, move and go, rows of somebody else.

    station 99 ── leaf (ExaBGP, relay, daemon) ══ remote1 10.0.0.1 ── station 1        stays: the packets go there
                        └── BGP ── speaker in the remote1's node: tells routes of 10.0.0.1, .2 and .3

Knows what BGP told last, and so what the kernel must hold. Does not know what is being broken.
"""

import contextlib
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.lab import overlay
from tests.lab.fabric import children
from tests.lab.namespaces import Lab, Process
from tests.lab.peers import EXABGP
from tests.lab.speaker import Speaker
from tests.lab.topology import BRIDGE, LEAF, VNI, VXLAN, Topology, address, introduce
from tests.lab.vtep import VNI_SECTION, Vtep, exabgp_with_relay, leaf_config
from tests.lab.wait import wait_until
from tests.lab.wire import Instance, Route

STAYING: Final = 500
MOVING: Final = 400
AT_ONCE: Final = 150
"""So many MACs change in one stroke of churn."""
FOREIGN: Final = 20
ROOM: Final = 1000
"""The device's `maxaddress`: enough for all of these."""
OPERATORS: Final = "10.0.0.77"
STATE: Final = "/run/state"
RECOVERED_S_MAX: Final = 60.0
REMOTES: Final = {number: Instance(address(number)) for number in (1, 2, 3)}

Row = tuple[str, str]


def macs(group: int, count: int) -> list[str]:
    return [f"02:{group:02x}:00:00:{number >> 8:02x}:{number & 255:02x}" for number in range(count)]


class Leaf:
    """The network above with everything running, and what must hold in it."""

    def __init__(
        self,
        lab: Lab,
        chance: random.Random,
        *,
        more: str = "",
        executable: Path = EXABGP,
        launched: bool = False,
        reflectors: int = 1,
        state_kib: int = 0,
    ) -> None:
        """Make it all, without starting it.

        With `launched`, the ExaBGP of `executable` is started by `vtep exabgp`. Each reflector sends the same routes.
        With `state_kib`, the daemon's state is in STATE, a file system of that size.
        """
        self.network = Topology(lab, reflectors)
        self.node = self.network.leaf
        self.chance = chance
        self.more = more
        here, there = self.network.leaf_station, self.network.remote_station
        introduce(here, there)
        overlay.put_row(self.network.remote, VXLAN, here.mac, address(LEAF))
        self.staying: dict[str, str] = dict.fromkeys((there.mac, *macs(0x10, STAYING)), address(1))
        self.where: dict[str, int] = dict.fromkeys(macs(0x20, MOVING), 0)
        """The remote that each moving MAC is behind; 0 for none."""
        self._seq = 0
        self.node.ip(f"link del dev {VXLAN}")
        self.make_device()
        self.foreign_before = self.foreign_now()
        self._peers = [address(number) for number in range(1, reflectors + 1)]
        self._state = f'state_dir = "{STATE}"' if state_kib else ""
        if state_kib:
            self.node.run("mkdir", "-m", "0700", STATE)
            self.node.run("mount", "-t", "tmpfs", "-o", f"size={state_kib}k,mode=0700", "state", STATE)
        self.vtep = Vtep(self.node, leaf_config(peers=self._peers, node=self._state, more=more))
        self.exabgp = exabgp_with_relay(self.node, self._peers, executable=executable, announces=launched)
        self.speakers = [Speaker(node, peer) for node, peer in zip(self.network.remotes, self._peers, strict=True)]

    @property
    def speaker(self) -> Speaker:
        return self.speakers[0]

    @property
    def foreign(self) -> list[str]:
        return macs(0x30, FOREIGN)

    def make_device(self) -> None:
        """Make the VXLAN device, of limited room, with an operator's rows."""
        vxlan = f"type vxlan id {VNI} local {address(LEAF)} dstport 4789 nolearning maxaddress {ROOM}"
        # The kernel takes a namespace down after it is gone, and its devices with it; until then their VNIs are taken.
        make = ("ip", "link", "add", "name", VXLAN, *vxlan.split())
        wait_until(lambda: self.node.attempt(*make).returncode == 0, 20, "a device of this VNI")
        self.node.ip(
            f"link set dev {VXLAN} master {BRIDGE} up",
            f"link set dev {VXLAN} type bridge_slave learning off",
        )
        for mac in self.foreign:
            overlay.put_row(self.node, VXLAN, mac, OPERATORS)

    def start(self) -> None:
        """Bring everything up and wait until the kernel holds what BGP says."""
        self.announce(REMOTES[1].flood(), *(REMOTES[1].mac(mac) for mac in self.staying))
        self.vtep.start()
        self.exabgp.start()
        self.settle()

    def next_life(self, *wrapper: str) -> Process:
        """Kill the daemon and start another; return when that one serves, or is dead already."""
        assert self.vtep.process is not None
        self.vtep.process.kill()
        lives = self.vtep.process.log().count('"started"')
        process = self.vtep.start(*wrapper)
        wait_until(lambda: not process.alive or process.log().count('"started"') > lives, 20, "its start")
        return process

    def churn(self) -> None:
        """Have some MACs come, move or go, without waiting for it."""
        self.move({mac: self.chance.choice((0, 1, 2, 3)) for mac in self.chance.sample(sorted(self.where), AT_ONCE)})

    def move(self, some: dict[str, int]) -> None:
        """Have each of these MACs be behind its remote from now on, or nowhere (0), without waiting for it."""
        self._seq += 1
        before = {mac: self.where[mac] for mac in some}
        self.where |= some
        self.announce(*(REMOTES[at].mac(mac, seq=self._seq) for mac, at in some.items() if at))
        self.withdraw(*(REMOTES[at].mac(mac) for mac, at in before.items() if at and at != some[mac]))

    def announce(self, *routes: Route) -> None:
        for speaker in self.speakers:
            speaker.announce(*routes)

    def withdraw(self, *routes: Route) -> None:
        for speaker in self.speakers:
            speaker.withdraw(*routes)

    def wanted(self) -> set[Row]:
        """Return the rows that must be there, those of others included."""
        moving = {(mac, address(at)) for mac, at in self.where.items() if at}
        others = {(mac, OPERATORS) for mac in self.foreign}
        return moving | others | set(self.staying.items()) | {(overlay.FLOOD_MAC, address(1))}

    def rows(self) -> set[Row]:
        return overlay.tunnels(self.node, VXLAN)

    def moved(self) -> set[Row]:
        """Return the wanted rows whose MAC has a row already, of an earlier life, that points elsewhere."""
        there = {mac for mac, _ in self.rows()}
        return {row for row in self.wanted() if row[0] in there}

    def settle(self) -> float:
        """Return the seconds until the kernel held exactly what BGP says."""
        start = time.monotonic()

        def settled() -> bool:
            self.supervise()
            wrong = self.rows() ^ self.wanted()
            assert not wrong, f"{len(wrong)} rows are wrong, such as {sorted(wrong)[:5]}"
            return True

        wait_until(settled, RECOVERED_S_MAX, "the rows that BGP tells")
        return time.monotonic() - start

    def supervise(self) -> None:
        """Start again what died, as a supervisor does. An ExaBGP that lost its relay too often ends by itself."""
        assert self.vtep.process is not None
        assert self.exabgp.process is not None
        if not self.vtep.process.alive:
            self.vtep.start()
        if not self.exabgp.process.alive:
            self.exabgp.start()

    def relays(self) -> list[int]:
        assert self.exabgp.process is not None
        return children(self.exabgp.process.pid)

    def reload(self, *, announce: bool) -> None:
        """Write a configuration that differs in something harmless."""
        vnis = VNI_SECTION + f"announce = {'true' if announce else 'false'}\n"
        self.vtep.configure(leaf_config(peers=self._peers, node=self._state, vnis=vnis, more=self.more))

    def foreign_now(self) -> str:
        """Return every field of the operator's rows, as iproute2 shows them."""
        rows = [row for row in overlay.fdb(self.node, VXLAN) if row["mac"] in self.foreign]
        return json.dumps(rows, sort_keys=True)

    def close(self) -> None:
        for speaker in self.speakers:
            speaker.close()


@contextlib.contextmanager
def leaf(chance: random.Random, **settings: Any) -> Iterator[Leaf]:
    """Make a leaf with these settings and have it run."""
    with Lab() as lab:
        made = Leaf(lab, chance, **settings)
        try:
            made.start()
            yield made
        finally:
            made.close()
