"""One deployed lab as a scenario sees it: our leaf's kernel and log, its peers, and MACs that come and go behind them.

Reads the kernel by `bridge` and `ip` alone, so that the product is not its own witness. Does not know which backend it
stands on, and judges nothing but whether a scenario left everything as it found it.
"""

import contextlib
import json
import signal
from collections.abc import Iterator
from typing import Any, Final

from tests.lab import overlay
from tests.lab.clab.lab import ClabLab
from tests.lab.clab.machine import Machine
from tests.lab.fdb_monitor import FdbMonitor
from tests.lab.namespaces import CommandFailed
from tests.lab.wait import wait_until, wait_until_it_stays

LEAF: Final = "10.0.0.99"
VTEP_PID: Final = "/run/lab/vtep.pid"
EXABGP_PID: Final = "/run/lab/exabgp.pid"
BGPD_PID: Final = "/run/frr/bgpd.pid"

BOTH_HALVES: Final = (True, True)

Rows = dict[str, set[tuple[str, str]]]


class Scene:
    def __init__(self, lab: ClabLab) -> None:
        self.usable = True
        self.backend = lab.backend
        self.machines = lab.machines
        self.leaf = lab.machines["leaf"]
        self.close = lab.close
        self.vxlans = [
            link["ifname"] for link in json.loads(self.leaf.run("ip", "-j", "-d", "link", "show", "type", "vxlan"))
        ]
        self.peer = self._peer()
        self._found: Rows | None = None

    def begin(self) -> None:
        """Wait for the lab's first picture; later, for the same."""
        if self._found is None:
            wait_until(lambda: '"routes complete"' in self.log(), 30, "a complete picture")
            if self.peer.startswith("FRR"):
                # FRR announces its VNIs unasked, and a fresh lab has nothing but their floods.
                wait_until_it_stays(lambda: all(self.floods(vxlan) for vxlan in self.vxlans), 15, "flood rows")
            self._found = self._settled()
        self.wait_as_found()

    def wait_as_found(self) -> None:
        wait_until_it_stays(lambda: self.leaf_rows() == self._found, 30, f"the rows as they were found, {self._found}")

    def leaf_rows(self) -> Rows:
        return {vxlan: overlay.tunnels(self.leaf, vxlan) for vxlan in self.vxlans}

    def _settled(self) -> Rows:
        seen = [self.leaf_rows()]

        def same() -> bool:
            seen.append(self.leaf_rows())
            return seen[-1] == seen[-2]

        wait_until_it_stays(same, 15, "no change of rows")
        return seen[-1]

    def _peer(self) -> str:
        for machine in self.machines.values():
            with contextlib.suppress(Exception):
                if "gobgp" in machine.name:
                    return f"GoBGP {machine.run('gobgpd', '--version').split()[-1]}"
                if "frr" in machine.name or machine.name == "spine":
                    return f"FRR {machine.run('vtysh', '-c', 'show version').split()[1]}"
        return "nobody"

    # The leaf's kernel

    def macs(self, vxlan: str = "vxlan100") -> dict[str, str]:
        """Return the VTEP of each MAC."""
        return {mac: vtep for mac, vtep in overlay.tunnels(self.leaf, vxlan) if mac != overlay.FLOOD_MAC}

    def floods(self, vxlan: str = "vxlan100") -> set[str]:
        return overlay.floods(self.leaf, vxlan)

    def row(self, mac: str, vxlan: str = "vxlan100") -> list[dict[str, Any]]:
        return [row for row in overlay.fdb(self.leaf, vxlan) if row["mac"] == mac]

    def halves(self, mac: str, vxlan: str = "vxlan100") -> tuple[bool, bool]:
        """Tell whether the tunnel's half and the bridge's half are there, each with our mark."""
        marked = [row for row in self.row(mac, vxlan) if "extern_learn" in row["flags"]]
        return any("dst" in row for row in marked), any("master" in row for row in marked)

    def is_at(self, mac: str, vtep: str, vxlan: str = "vxlan100") -> bool:
        rows = self.row(mac, vxlan)
        return [row["dst"] for row in rows if "dst" in row] == [vtep] and self.halves(mac, vxlan) == BOTH_HALVES

    def wait_at(self, mac: str, vtep: str, deadline_s: float = 10.0, vxlan: str = "vxlan100") -> None:
        wait_until_it_stays(lambda: self.is_at(mac, vtep, vxlan), deadline_s, f"{mac} at {vtep}")

    def wait_gone(self, *macs: str, deadline_s: float = 10.0, vxlan: str = "vxlan100") -> None:
        wait_until_it_stays(lambda: not any(self.row(mac, vxlan) for mac in macs), deadline_s, f"the end of {macs}")

    def monitor_fdb(self, vxlan: str = "vxlan100") -> FdbMonitor:
        return FdbMonitor(self.leaf, vxlan, beside="eth1")

    # The leaf's programs

    def log(self) -> str:
        return self.leaf.read("/run/lab/vtep.log")

    def log_since(self, mark: str) -> str:
        return self.log()[len(mark) :]

    def start_vtep(self, config: str = "") -> None:
        """Start the daemon, with another configuration if one is given."""
        if config:
            self.leaf.write("/run/lab/vtep.toml", config)
        self.leaf.run("sh", "/etc/lab/start.sh", "vtep", *(("/run/lab/vtep.toml",) if config else ()))

    def end_vtep(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.leaf.kill(VTEP_PID, number)
        wait_until(lambda: not self.leaf.runs(VTEP_PID), 15, "the daemon's end")

    def start_exabgp(self) -> None:
        self.leaf.run("sh", "/etc/lab/start.sh", "exabgp")

    def end_exabgp(self) -> None:
        self.leaf.kill(EXABGP_PID)
        wait_until(lambda: not self.leaf.runs(EXABGP_PID), 15, "ExaBGP's end")

    @contextlib.contextmanager
    def configured(self, change: tuple[str, str]) -> Iterator[None]:
        """Run the daemon with one thing in its configuration replaced."""
        text = self.leaf.read("/etc/vtep/vtep.toml")
        assert change[0] in text
        self._restart_vtep(text.replace(*change))
        yield
        self._restart_vtep("")

    def _restart_vtep(self, config: str) -> None:
        """Return when nothing is held any more. A peer without enhanced route refresh lets the hold time pass."""
        log = self.log()
        self.end_vtep(signal.SIGTERM)
        self.start_vtep(config)
        wait_until(lambda: '"routes complete"' in self.log_since(log), 20, "a complete picture")

    # What the leaf says of itself

    def vtep(self, *words: str) -> Any:
        return json.loads(self.leaf.run("vtep", *words, "-o", "json"))

    def differences(self) -> dict[str, str]:
        """Return the reason of each row that `vtep diff` lists, which ends with 1 then."""
        listed = json.loads(self.leaf.shell("vtep diff -o json || [ $? = 1 ]"))
        return {row["key"]: row["reason"] for row in listed["differences"]}

    def watch(self) -> "Watch":
        return Watch(self.leaf)

    def health(self) -> int:
        """Return the exit status of `vtep health`."""
        try:
            self.leaf.run("vtep", "health")
        except CommandFailed as failed:
            return failed.status
        return 0

    def reasons(self, mac: str) -> set[str]:
        """Return the reason of each candidate that `vtep explain` lists."""
        explained = self.vtep("explain", mac)["explanations"]
        return {candidate["reason"] for one in explained for candidate in one["candidates"]}

    # FRR

    def learn(self, vtep: str, *macs: str, port: str = "eth2") -> None:
        """Have an FRR's bridge know these MACs at a local port."""
        self.machines[vtep].shell("\n".join(f"bridge fdb replace {mac} dev {port} master dynamic" for mac in macs))

    def forget(self, vtep: str, *macs: str, port: str = "eth2") -> None:
        self.machines[vtep].shell("\n".join(f"bridge fdb del {mac} dev {port} master" for mac in macs))

    def vtysh(self, vtep: str, *lines: str) -> str:
        return self.machines[vtep].run("vtysh", *(word for line in lines for word in ("-c", line)))

    def evpn(self, vtep: str, *lines: str) -> None:
        """Configure within address-family l2vpn evpn."""
        self.vtysh(vtep, "configure terminal", "router bgp 65000", "address-family l2vpn evpn", *lines)

    def session(self, vtep: str, neighbor: str = LEAF) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.vtysh(vtep, f"show bgp neighbors {neighbor} json"))[neighbor]
        return told

    def knows(self, vtep: str, mac: str, via: str) -> bool:
        """Tell whether an FRR has the MAC as one of a remote VTEP."""
        return (mac, via) in overlay.tunnels(self.machines[vtep], "vxlan100")

    # GoBGP

    def announce(self, speaker: str, mac: str, *, vni: int = 100, target: str = "65000:100", more: str = "") -> None:
        """Have a GoBGP announce a MAC as its own, or with another next hop by `more`."""
        self.gobgp(speaker, "global", "add", f"{_mac_ip(mac, vni, speaker)} rt {target} encap vxlan {more}")

    def withdraw(self, speaker: str, mac: str, *, vni: int = 100) -> None:
        self.gobgp(speaker, "global", "del", _mac_ip(mac, vni, speaker))

    def gobgp(self, speaker: str, where: str, verb: str, route: str) -> None:
        self.machines[speaker].run("gobgp", *f"{where} rib {verb} -a evpn {route}".split())


class Watch:
    """A `vtep watch` on the leaf, which has to outlive the daemon that it watches."""

    _FILE: Final = "/run/lab/watch"

    def __init__(self, leaf: Machine) -> None:
        self._leaf = leaf
        leaf.shell(f"setsid vtep watch -o json >{self._FILE} 2>/dev/null </dev/null & echo $! >{self._FILE}.pid")
        wait_until(self.mark, 10, "the beginning of the watch")

    def mark(self) -> int:
        """Return how much it has told so far."""
        return len(self._leaf.read(self._FILE))

    def wait_for(self, mac: str, mark: int = 0) -> None:
        wait_until(lambda: mac in self._leaf.read(self._FILE)[mark:], 15, f"{mac} in the watch")

    def end(self) -> None:
        self._leaf.kill(f"{self._FILE}.pid")


def _mac_ip(mac: str, vni: int, speaker: str) -> str:
    return f"macadv {mac} 0.0.0.0 etag 0 label {vni} rd 10.0.0.{speaker[-1]}:{vni}"
