"""Real BGP programs in a node: ExaBGP of any version, FRR with zebra, GoBGP. Configured by text, started and ended here.

Everything they write is below the node's own /run. A program that is not installed is `Missing`. Knows nothing of what
the programs are used to prove.
"""

import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.lab import recorder
from tests.lab.namespaces import Missing, Node, Process
from tests.lab.wait import wait_until

EXABGP: Final = Path(sys.executable).with_name("exabgp")
EXABGP_4_2: Final = Path(sys.prefix) / "exabgp-4.2" / "bin" / "exabgp"
"""The older line of releases, in an environment of its own."""
ROOT: Final = Path(__file__).parents[2]
FRR_FOLDERS: Final = (Path("/usr/lib/frr"), Path("/usr/libexec/frr"))


class ExaBgp:
    """One ExaBGP. It dials its neighbors, at first at once and then every few seconds, so let them listen before."""

    def __init__(
        self,
        node: Node,
        config: str,
        *,
        executable: Path = EXABGP,
        env: Mapping[str, str] | None = None,
        announces: bool = False,
    ) -> None:
        """With `announces` the same ExaBGP is started by `vtep exabgp`."""
        if not executable.exists():
            raise Missing(f"there is no ExaBGP at {executable}")
        self.node = node
        self.config_path = "/run/exabgp/exabgp.conf"
        self.process: Process | None = None
        self._command = _launched(executable) if announces else [str(executable)]
        self._env: dict[str, str] = {
            "exabgp_daemon_user": "root",
            # Without this an ExaBGP whose child died stays up and never dials again.
            "exabgp_api_terminate": "true",
            "exabgp_api_cli": "false",
            # What plain ExaBGP has; `vtep exabgp` has it log warnings only, and tests read the rest.
            "exabgp_log_level": "INFO",
            "exabgp_reactor_speed": "1.0",
            **({"PYTHONPATH": str(ROOT)} if announces else {}),
            **(env or {}),
        }
        self.configure(config)

    def configure(self, config: str) -> None:
        """Write the configuration; a running ExaBGP reads it at SIGUSR1."""
        self.node.write(self.config_path, config)

    def start(self, *wrapper: str) -> Process:
        """Start it, or start it again; a wrapper comes before the command, to take rights away for example."""
        command = (*wrapper, *self._command, self.config_path)
        self.process = self.node.start(*command, env=self._env, log="/run/log/exabgp.log")
        return self.process


def _launched(executable: Path) -> list[str]:
    """Run `vtep exabgp` where an ExaBGP is: vtep itself need not be installed there, it is found by PYTHONPATH."""
    return [str(executable.with_name("python")), "-m", "vtep", "exabgp"]


class Recorder:
    """What an ExaBGP tells its child, and a way to tell it something, when no product is there to do either."""

    def __init__(self, node: Node, folder: str = "/run/recorder") -> None:
        self._lines = node.path(f"{folder}/lines")
        self._commands = node.path(f"{folder}/commands")
        self._lines.parent.mkdir(parents=True, exist_ok=True)
        self.run = f"{sys.executable} -I -S {Path(recorder.__file__)} {folder}/lines {folder}/commands"
        """For ExaBGP's `run`."""

    def text(self) -> list[str]:
        """Return the whole lines that came so far."""
        written = self._lines.read_text() if self._lines.exists() else ""
        return written[: written.rfind("\n") + 1].splitlines()

    def lines(self, kind: str = "") -> list[dict[str, Any]]:
        """Return the JSON lines so far, all or those of one type."""
        parsed = [json.loads(line, strict=False) for line in self.text() if line.startswith("{")]
        return [line for line in parsed if kind in ("", line.get("type"))]

    def command(self, text: str) -> None:
        """Have the child say this to ExaBGP, as soon as there is a child."""
        wait_until(self._commands.is_fifo, 20, "the pipe of ExaBGP's child")
        with self._commands.open("w") as commands:
            commands.write(text + "\n")


def exabgp_config(
    local: str,
    neighbors: Iterable[str],
    run: str,
    *,
    asn: int = 65000,
    router_id: str = "",
    hold_s: int = 180,
    restart_s: int | None = 120,
    families: tuple[str, ...] = ("l2vpn evpn",),
    more: str = "",
) -> str:
    """Write a configuration with one process for all neighbors, all of our own AS number.

    Without graceful restart FRR sends no End-of-RIB; the Adj-RIB-In of ExaBGP is wrong for EVPN and only costs memory.
    """
    restart = f"graceful-restart {restart_s};" if restart_s is not None else ""
    sections = [f"process feed {{ run {run}; encoder json; }}"]
    sections += [
        f"""neighbor {neighbor} {{
  router-id {router_id or local}; local-address {local}; local-as {asn}; peer-as {asn};
  hold-time {hold_s};
  adj-rib-in false;
  capability {{ {restart} route-refresh; }}
  family {{ {" ".join(f"{family};" for family in families)} }}
  api feed{number} {{
    processes [ feed ];
    neighbor-changes;
    receive {{ parsed; open; update; notification; refresh; }}
  }}
  {more}
}}"""
        for number, neighbor in enumerate(neighbors)
    ]
    return "\n".join(sections) + "\n"


_CHECKOUT = Path(__file__).parents[2]


class Frr:
    """zebra and bgpd, in the foreground.

    They change to the user `frr`, which cannot be done where only one user exists. So the node is given a user list in
    which frr is that one user, whoever runs the lab; all folders that FRR writes to are replaced for this node too.
    """

    _OWN_FOLDERS = ("/etc/frr", "/var/tmp", "/var/lib/frr", "/var/log/frr")

    _ROOT = "/run/rootfs"

    def __init__(
        self,
        node: Node,
        bgpd_config: str,
        zebra_config: str = "",
        *,
        zebra_buffer: int = 1_000_000,
        bmp: bool = False,
        tree: Path | None = None,
    ) -> None:
        """With `bmp`, bgpd can report by BMP. With `tree` it is the FRR of this root file system, by a changed root on a copy."""
        folders = FRR_FOLDERS if tree is None else [tree / str(one)[1:] for one in FRR_FOLDERS]
        folder = next((folder for folder in folders if (folder / "bgpd").exists()), None)
        if folder is None or (tree is None and shutil.which("vtysh") is None):
            raise Missing("FRR is not installed (Debian package frr)")
        self.node = node
        self._inside: tuple[str, ...] = ()
        self._root = ""
        if tree is not None:
            folder = Path("/") / folder.relative_to(tree)
            self._inside, self._root = ("chroot", self._ROOT), self._ROOT
            layers = "/run/layers"
            options = f"userxattr,lowerdir={tree},upperdir={layers}/upper,workdir={layers}/work"
            lines = [
                f"mkdir -p {layers}/upper {layers}/work {self._ROOT}",
                f"mount -t overlay -o {options} overlay {self._ROOT}",
            ]
            lines += [f"mount --rbind /{name} {self._ROOT}/{name}" for name in ("proc", "dev", "sys")]
            lines += [f"mount -t tmpfs -o mode=0755 lab {self._ROOT}/run"]
            node.run("sh", "-e", "-c", "\n".join(lines))
        self.zebra: Process | None = None
        self.bgpd: Process | None = None
        self._folder = folder
        self._zebra_buffer = zebra_buffer
        self._bgpd_options = ("-M", "bmp") if bmp else ()
        self._configs = {"zebra": zebra_config, "bgpd": bgpd_config}
        self._be_one_user()

    def start(self) -> None:
        """Start both, and return when both take commands."""
        if self._has_mgmtd:
            self._start("mgmtd")
        self.zebra = self._start("zebra", "-s", str(self._zebra_buffer))
        self.start_bgpd()

    def start_bgpd(self) -> None:
        """Start bgpd, or start it again under the zebra that is there."""
        self.bgpd = self._start("bgpd", *self._bgpd_options)
        if self._has_mgmtd:
            self.node.write(f"{self._root}/run/frr/frr.conf", self._configs["zebra"] + self._configs["bgpd"])
            self.node.run(*self._inside, "vtysh", "-f", "/run/frr/frr.conf")

    @property
    def _has_mgmtd(self) -> bool:
        """FRR 10 has its configuration in a program of its own, which vtysh tells."""
        return (self.node.path(self._root) / str(self._folder)[1:] / "mgmtd").exists()

    def vtysh(self, command: str) -> str:
        return self.node.run(*self._inside, "vtysh", "-c", command)

    def vtysh_file(self, path: str) -> None:
        """Have all programs take the lines of a file."""
        self.node.run(*self._inside, "vtysh", "-f", path)

    def configure(self, *lines: str) -> None:
        """Have all programs take these lines of configuration."""
        commands = (word for line in ("configure terminal", *lines) for word in ("-c", line))
        self.node.run(*self._inside, "vtysh", *commands)

    def json(self, command: str) -> Any:
        return json.loads(self.vtysh(f"{command} json"))

    def session(self, neighbor: str) -> dict[str, Any]:
        """Return what bgpd says about its session with a neighbor."""
        told: dict[str, Any] = self.json(f"show bgp neighbors {neighbor}")[neighbor]
        return told

    def macs(self) -> set[tuple[str, str]]:
        """Return (MAC, VTEP) of the best path of every Type-2 route in `show bgp l2vpn evpn`."""
        tables = [table for table in self.json("show bgp l2vpn evpn").values() if isinstance(table, dict)]
        entries = [entry for table in tables for entry in table.values() if isinstance(entry, dict)]
        return {
            (path["mac"], path["nexthops"][0]["ip"])
            for entry in entries
            for path in _each(entry["paths"])
            if path["routeType"] == 2 and path.get("bestpath")
        }

    def vteps(self, vni: int) -> set[str]:
        """Return the remote VTEPs of `show evpn vni`, to which zebra floods. FRR 8.4 lists them where a number should be."""
        return set(self.json(f"show evpn vni {vni}").get("numRemoteVteps") or ())

    def stop(self) -> None:
        """End both as a shutdown would: bgpd first, so that it says goodbye."""
        for process in (self.bgpd, self.zebra):
            if process is not None:
                process.stop()

    def kill(self) -> None:
        """End both without asking."""
        for process in (self.bgpd, self.zebra):
            if process is not None:
                process.kill()

    def _start(self, program: str, *options: str) -> Process:
        config = f"/run/frr/{program}.conf"
        self.node.write(f"{self._root}{config}", self._configs.get(program, ""))
        file = () if self._has_mgmtd else ("-f", config)
        process = self.node.start(
            *self._inside, f"{self._folder}/{program}", *file, "-i", f"/run/frr/{program}.pid", "-A", "127.0.0.1",
            "--log", "stdout", *options, log=f"/run/log/{program}.log",
        )  # fmt: skip
        wait_until(
            lambda: self.node.run(*self._inside, "vtysh", "-d", program, "-c", "show version"),
            20,
            f"{program} taking commands",
        )
        return process

    def _be_one_user(self) -> None:
        root = self._root
        self.node.write(f"{root}/run/frr/users/passwd", "root:x:0:0::/:/bin/sh\nfrr:x:0:0::/:/bin/false\n")
        self.node.write(f"{root}/run/frr/users/group", "root:x:0:\nfrr:x:0:\nfrrvty:x:0:frr\n")
        # A user namespace may mount, but not look into folders of users it does not have.
        script = [f"mount --bind {root}/run/frr/users/{name} {root}/etc/{name}" for name in ("passwd", "group")]
        folders = [f"[ ! -e {root}{folder} ] || mount -t tmpfs lab {root}{folder}" for folder in self._OWN_FOLDERS]
        if not root and any(_CHECKOUT.is_relative_to(folder) for folder in self._OWN_FOLDERS):
            # An empty folder in its place would hide what the node runs beside FRR.
            kept = "/run/frr/checkout"
            folders = [
                f"mkdir {kept} && mount --rbind {_CHECKOUT} {kept}",
                *folders,
                f"mkdir -p {_CHECKOUT} && mount --rbind {kept} {_CHECKOUT}",
            ]
        script += folders
        script += [f"touch {root}/etc/frr/vtysh.conf"]
        self.node.run("sh", "-e", "-c", "\n".join(script))


def _each(paths: Any) -> Iterable[dict[str, Any]]:
    """FRR 8.4 lists what a path came by in a list of its own, but not its own paths."""
    return (path for one in paths for path in (one if isinstance(one, list) else [one]))


def bmp_targets(*tables: str, to: str = "127.0.0.1", port: int = 11019) -> str:
    """Write what `router bgp` needs to report EVPN by BMP."""
    monitor = "\n".join(f"bmp monitor l2vpn evpn {table}" for table in tables)
    return f"bmp targets vtep\n{monitor}\nbmp connect {to} port {port} min-retry 100 max-retry 1000\nexit\n"


def frr_config(local: str, neighbors: Iterable[str], *, asn: int = 65000, more: str = "") -> str:
    """Write what bgpd needs to announce every VNI it finds on its node to neighbors of our own AS number."""
    each = [(f"neighbor {neighbor} remote-as {asn}", f"neighbor {neighbor} activate") for neighbor in neighbors]
    return "\n".join(
        [
            f"router bgp {asn}",
            f"bgp router-id {local}",
            "no bgp default ipv4-unicast",
            *(remote for remote, _ in each),
            "address-family l2vpn evpn",
            *(activate for _, activate in each),
            "advertise-all-vni",
            more,
            "exit-address-family",
            "",
        ]
    )


class GoBgp:
    """gobgpd and its command line."""

    def __init__(self, node: Node, config: str) -> None:
        for program in ("gobgpd", "gobgp"):
            if shutil.which(program) is None:
                raise Missing(f"{program} is not installed (Debian package gobgpd)")
        self.node = node
        self.process: Process | None = None
        node.write("/run/gobgp/gobgpd.conf", config)

    def start(self) -> Process:
        """Start it, and return when it takes commands."""
        self.process = self.node.start(
            "gobgpd", "-t", "toml", "-f", "/run/gobgp/gobgpd.conf", "--pprof-disable", "--api-hosts", "127.0.0.1:50051",
            log="/run/log/gobgpd.log",
        )  # fmt: skip
        wait_until(lambda: self.command("global"), 10, "gobgpd taking commands")
        return self.process

    def command(self, *words: str) -> str:
        return self.node.run("gobgp", *words)

    def json(self, *words: str) -> Any:
        return json.loads(self.command("-j", *words))


def gobgp_config(local: str, neighbors: Iterable[str], *, asn: int = 65000, reflects: bool = False) -> str:
    """Write what gobgpd needs to wait for neighbors of our own AS number, and to reflect their routes if asked to."""
    client = "true" if reflects else "false"
    sections = [f'[global.config]\nas = {asn}\nrouter-id = "{local}"\nlocal-address-list = ["{local}"]\n']
    sections += [
        f"""[[neighbors]]
  [neighbors.config]
  neighbor-address = "{neighbor}"
  peer-as = {asn}
  [neighbors.transport.config]
  passive-mode = true
  [neighbors.route-reflector.config]
  route-reflector-client = {client}
  route-reflector-cluster-id = "{local}"
  [neighbors.graceful-restart.config]
  enabled = true
  restart-time = 120
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
    afi-safi-name = "l2vpn-evpn"
    [neighbors.afi-safis.mp-graceful-restart.config]
    enabled = true
"""
        for neighbor in neighbors
    ]
    return "\n".join(sections)
