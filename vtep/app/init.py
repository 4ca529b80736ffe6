"""`vtep init`: asks the host and the person, and writes the first files of a leaf.

Knows how to find what the host can say: the address and the device by which it reaches the peer, the MTU of that device, and
which ports are there. What neither the host nor an option says is asked for on a terminal. Writes new files only, all of them
or none, and nothing else: it makes no device and starts no program.
"""

import argparse
import grp
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from msgspec import structs

from vtep.addr import Ip, Vni
from vtep.app import observed
from vtep.app.templates import UNMANAGED, FirstLeaf, FirstVni, configuration, devices, other_side
from vtep.config.values import device_name, tunnel_address
from vtep.config.values import router_id as parse_router_id
from vtep.errors import KernelError, UsageError
from vtep.linux import inventory
from vtep.linux.kernel import Kernel
from vtep.logs import escaped

T = TypeVar("T")

MTU: Final = 1500
"""Of an underlay that the host does not know."""
EXABGP_GROUP: Final = "exabgp"
VTYSH_S_MAX: Final = 20.0


def init(options: argparse.Namespace) -> int:
    if options.observe:
        return _init_observer(options)
    leaf = _leaf(options)
    texts: dict[str, str] = {"vtep.toml": configuration(leaf, options.devices), **devices(leaf, options.devices)}
    for peer in leaf.peers:
        texts |= {f"peer-{peer}/{name}": text for name, text in other_side(leaf, peer, options.devices).items()}
    paths = {options.directory / name: text for name, text in texts.items()}
    _write(paths, replace=options.force)
    for path in paths:
        print(escaped(str(path)))
    for line in _next_steps(leaf, options):
        print(f"vtep: {escaped(line)}", file=sys.stderr)
    return 0


def _init_observer(options: argparse.Namespace) -> int:
    """Write the files of an observer, from the devices of this host and what FRR says."""
    for option, default in (("--vni", []), ("--router-id", None), ("--devices", "ip"), ("--peer-kind", "vtep")):
        if getattr(options, option[2:].replace("-", "_")) != default:
            raise UsageError(f"{option} does not go with --observe, which takes from the host what is observed")
    ask = _Asking(sys.stdin.isatty() and sys.stderr.isatty())
    peers = tuple(map(_parsed(Ip.parse, "--peer"), options.peer))
    with Kernel() as kernel:
        vnis = inventory.found(kernel.links())
    if not vnis:
        raise UsageError("this host has no VXLAN device in a bridge, so there is nothing to observe")
    frr = observed.said(_vtysh(observed.VNIS), _vtysh(observed.SUMMARY), _vtysh(observed.VRFS))
    frr = structs.replace(frr, peers=peers or frr.peers)
    vtep = options.vtep or observed.vtep_of(vnis) or ask("our tunnel address", "--vtep", tunnel_address, None)
    asn = _parsed(_as_number, "--asn")(options.asn) if options.asn else frr.asn
    asn = asn or ask("the AS number of FRR", "--asn", _as_number, None)
    where = options.directory
    texts = {"vtep.toml": observed.configuration(vtep, vnis, frr), "frr-bmp.conf": observed.frr_lines(asn)}
    _write({where / name: text for name, text in texts.items()}, replace=options.force)
    for name in texts:
        print(escaped(str(where / name)))
    unnamed = f"name the peers:     vtysh says none; with more than one, feed.peers in {where}/vtep.toml must have them"
    for line in (
        *([] if frr.peers else [unnamed]),
        "have bgpd load BMP: add -M bmp to bgpd_options in /etc/frr/daemons, and restart FRR once",
        f"have it report:     vtysh -f {where}/frr-bmp.conf",
        f"compare with host:  vtep check --host {where}/vtep.toml",
        f"observe:            vtep run --config {where}/vtep.toml",
    ):
        print(f"vtep: {escaped(line)}", file=sys.stderr)
    return 0


def _vtysh(command: str) -> str:
    """Return what FRR says; nothing where there is none, or where it does not answer."""
    if shutil.which("vtysh") is None:
        return ""
    try:
        done = subprocess.run(
            ["vtysh", "-c", command], capture_output=True, text=True, timeout=VTYSH_S_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _leaf(options: argparse.Namespace) -> FirstLeaf:
    ask = _Asking(sys.stdin.isatty() and sys.stderr.isatty())
    peers = [*map(_parsed(Ip.parse, "--peer"), options.peer)]
    if not peers:
        peers = [ask("the address of the BGP peer", "--peer", Ip.parse, None)]
    vtep = options.vtep or ask("our tunnel address", "--vtep", tunnel_address, _address_towards(peers[0]))
    for peer in peers:
        if peer == vtep:
            raise UsageError(f"--peer {peer} is our own tunnel address; name the address of the peer")
    router_id = options.router_id or (None if vtep.is_v6 else vtep)
    return FirstLeaf(
        vtep=vtep,
        asn=_parsed(_as_number, "--asn")(options.asn)
        if options.asn
        else ask("the AS number", "--asn", _as_number, "65000"),
        peers=tuple(peers),
        peer_kind=options.peer_kind,
        vnis=tuple(map(_vni, options.vni or [ask("the VNI, as NUMBER or NUMBER=PORT,PORT", "--vni", str, "100")])),
        router_id=router_id or ask("the router id, an IPv4 address", "--router-id", parse_router_id, None),
        underlay_mtu=_mtu_of(vtep),
        socket_group=EXABGP_GROUP if _has_group(EXABGP_GROUP) else "",
    )


class _Asking:
    """Asks a person for what no option says; without a person, takes what the host says or names the option."""

    def __init__(self, is_person: bool) -> None:
        self._is_person = is_person

    def __call__(self, what: str, option: str, parse: Callable[[str], T], default: str | None) -> T:
        if self._is_person:
            shown = f" [{default}]" if default else ""
            print(f"{what} ({option}){shown}: ", end="", file=sys.stderr, flush=True)
            text = sys.stdin.readline().strip() or default
        else:
            text = default
        if not text:
            raise UsageError(f"{what} is missing; give it with {option}")
        return _parsed(parse, option)(text)


def _parsed(parse: Callable[[str], T], option: str) -> Callable[[str], T]:
    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise UsageError(f"{option}: {error}") from None

    return parsed


def _as_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 0xFFFF_FFFF):
        raise ValueError(f"{text!r} is not an AS number from 1 to 4294967295")
    return int(text)


def _vni(text: str) -> FirstVni:
    """Read NUMBER or NUMBER=PORT,PORT."""
    number, _, ports = text.partition("=")
    parsed = _parsed(_vni_number, "--vni")(number)
    return FirstVni(parsed, tuple(map(_parsed(device_name, "--vni"), filter(None, ports.split(",")))))


def _vni_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ValueError(f"{text!r} is not a VNI (1 to 16777215)")
    return Vni(int(text))


# What the host says


def _address_towards(peer: Ip) -> str | None:
    """Return our address in packets to the peer, as the kernel's routes have it; no packet is sent."""
    family = socket.AF_INET6 if peer.is_v6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as trial:
        try:
            trial.connect((str(peer), 4789))
        except OSError:
            return None
        return str(trial.getsockname()[0])


def _mtu_of(vtep: Ip) -> int:
    """Return the MTU of the device with our address; an address of `lo` says nothing of the way out."""
    try:
        with Kernel() as kernel:
            links, addresses = kernel.links(), kernel.addresses()
    except KernelError:
        return MTU
    ours = {address.device for address in addresses if address.ip == vtep}
    return next((link.mtu for link in links if link.index in ours and link.name != "lo" and link.mtu), MTU)


def _has_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


# Writing


def _write(paths: dict[Path, str], *, replace: bool) -> None:
    """Write all files or none: a file that is there already may be an operator's work."""
    there = [path for path in paths if path.exists()]
    if there and not replace:
        raise UsageError(f"{there[0]} is there already, and nothing was written; --force replaces it")
    for path, text in paths.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if path.suffix == ".sh":
                path.chmod(0o755)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None


def _next_steps(leaf: FirstLeaf, options: argparse.Namespace) -> list[str]:
    where = options.directory
    make = {
        "ip": f"sh {where}/devices.sh",
        "networkd": f"cp {where}/networkd/* /etc/systemd/network/ && networkctl reload",
        "vtep": f"vtep devices plan --config {where}/vtep.toml; the daemon makes them"
        + (f"; then sh {where}/ports.sh" if any(vni.ports for vni in leaf.vnis) else ""),
        "ifupdown2": f"cp {where}/ifupdown2 /etc/network/interfaces.d/vtep && ifreload -a",
    }[options.devices]
    alone = [
        f"leave them alone:  {where}/{file} is for {program}, if that runs here"
        for file, program in zip(UNMANAGED, ("/etc/systemd/network", "/etc/NetworkManager/conf.d"), strict=True)
        if options.devices == "vtep"
    ]
    others = ", ".join(f"{where}/peer-{peer}" for peer in leaf.peers)
    return [
        f"make the devices:  {make}",
        *alone,
        f"compare with host: vtep check --host {where}/vtep.toml",
        f"configure ExaBGP:  vtep exabgp-config --config {where}/vtep.toml --output {where}/exabgp.conf",
        f"the other side:    {others} has its files",
        f"MTU of stations:   {leaf.mtu} or less",
    ]
