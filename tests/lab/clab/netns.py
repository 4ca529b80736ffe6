"""Deploys a topology into namespaces of this machine: no images, no engine, and no root beyond a user namespace.

A node is a `Node`, and sees a copy of this machine's /etc in which anything may be changed (an overlay), empty folders
where daemons write, and this machine's programs. An image that has a root file system given for it is run from that
instead, by a changed root on a copy of it. Commands have the capabilities that docker gives, and those of `cap-add`.

Knows which images are ours and hence found in .venv; nothing of what the nodes do.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.lab.clab.file import NodeSpec, TopologyFile
from tests.lab.clab.lab import ClabLab
from tests.lab.clab.machine import Machine, wire
from tests.lab.namespaces import Lab, Missing, Node
from tests.lab.peers import FRR_FOLDERS
from tests.lab.wait import PATIENCE

DOCKERS_CAPABILITIES: Final = (
    "audit_write", "chown", "dac_override", "fowner", "fsetid", "kill", "mknod", "net_bind_service", "net_raw",
    "setfcap", "setgid", "setpcap", "setuid", "sys_chroot",
)  # fmt: skip

_BESIDE: Final = "vtep-observe"
"""The image that has vtep and a router: with a root file system, the router alone is run from that, below $FRR_ROOT."""
_PROGRAMS: Final = {
    "vtep-frr": ("FRR is not installed (Debian package frr)", tuple(folder / "bgpd" for folder in FRR_FOLDERS)),
    _BESIDE: ("FRR is not installed (Debian package frr)", tuple(folder / "bgpd" for folder in FRR_FOLDERS)),
    "vtep-gobgp": ("gobgpd is not installed (Debian package gobgpd)", (Path("/usr/bin/gobgpd"),)),
}
"""What this machine needs in an image's place, and where that is."""
_WRITTEN: Final = ("/var/log", "/var/lib/frr")
_ROOT: Final = "/run/rootfs"


def netns(topology: TopologyFile, scratch: Path, rootfs: Mapping[str, Path]) -> ClabLab:
    """Deploy; a root file system goes by the beginning of the image that it stands for."""
    for spec in topology.nodes:
        _refuse_what_is_missing(spec.image, rootfs)
    lab = Lab()
    deployed = ClabLab("netns", {}, lab.close)
    try:
        for spec in topology.nodes:
            tree = next((tree for image, tree in rootfs.items() if spec.image.startswith(image)), None)
            deployed.machines[spec.name] = _machine(spec, lab.node(spec.name), tree, scratch)
        for joined in topology.wires:
            wire(deployed.machines, joined)
        for spec in topology.nodes:
            for command in spec.exec:
                deployed.machines[spec.name].run(*command)
    except BaseException:
        deployed.close()
        raise
    return deployed


def _refuse_what_is_missing(image: str, rootfs: Mapping[str, Path]) -> None:
    why, places = _PROGRAMS.get(image.partition(":")[0], ("", ()))
    given = any(image.startswith(start) for start in rootfs)
    if why and not given and not any(place.exists() for place in places):
        raise Missing(why)


def _machine(spec: NodeSpec, node: Node, tree: Path | None, scratch: Path) -> Machine:
    is_beside = spec.image.startswith(_BESIDE) and tree is not None
    for root in (None, tree) if is_beside else (tree,):
        node.run("sh", "-e", "-c", _furniture(spec, root))
    path = f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
    inside = (
        *("nsenter", "-t", str(node.pid), "-n", "-m", "--wd=/", "--", "setpriv"),
        *(f"--bounding-set=-all,{_capabilities(spec)}", "--inh-caps=-all", "--"),
        *(("chroot", _ROOT) if tree and not is_beside else ()),
        *("env", f"PATH={path}", *((f"FRR_ROOT={_ROOT}",) if is_beside else ())),
        *(f"{name}={value}" for name, value in spec.env),
    )
    return Machine(spec.name, node.pid, inside, scratch)


def _capabilities(spec: NodeSpec) -> str:
    names = {*DOCKERS_CAPABILITIES, *(name.lower() for name in spec.capabilities)}
    return ",".join(f"+{name}" for name in sorted(names))


def _furniture(spec: NodeSpec, tree: Path | None) -> str:
    """Say how the node's view of this machine is made, line by line for a shell."""
    root = _ROOT if tree else ""
    lines = [_overlay("/run/layers/root", tree, _ROOT), *_devices()] if tree else []
    if not tree:
        # This checkout may be in /var/tmp, so that an empty folder in its place would hide what is to be run.
        lines += [_overlay(f"/run/layers{folder}", folder, folder) for folder in ("/etc", "/var/tmp")]
    lines += [f"[ ! -e {root}{folder} ] || mount -t tmpfs -o mode=1777 lab {root}{folder}" for folder in _WRITTEN]
    # FRR changes to the user `frr`, which cannot be done where there is one user only: here frr is that one.
    lines += [
        f"printf '%s\\n' root:x:0:0::/:/bin/sh frr:x:0:0::/:/bin/false nobody:x:0:0::/:/bin/false >{root}/etc/passwd.lab",
        f"printf '%s\\n' root:x:0: frr:x:0: frrvty:x:0:frr >{root}/etc/group.lab",
        *(f"mount --bind {root}/etc/{name}.lab {root}/etc/{name}" for name in ("passwd", "group")),
        f"[ ! -e {root}/etc/frr ] || mount -t tmpfs lab {root}/etc/frr",
    ]
    for bind in spec.binds:
        target = f"{root}{bind.target}"
        lines += [f"mkdir -p $(dirname {target})", f"touch {target}"]
        if PATIENCE != 1 and bind.target.endswith("/vtep.toml"):
            # In a slow kernel, ExaBGP and its peers take longer to meet again as well.
            longer = f"s/^initial_hold_s = \\(.*\\)/echo initial_hold_s = $((\\1 * {round(PATIENCE)}))/e"
            lines.append(f"sed '{longer}' {bind.source} >{target}")
            continue
        lines.append(f"mount --bind {bind.source} {target}")
        lines += [f"mount -o remount,bind,ro {target}"] if bind.read_only else []
    lines += [f"echo {value} >/proc/sys/{name.replace('.', '/')}" for name, value in spec.sysctls]
    return "\n".join(lines)


def _overlay(layers: str, lower: Path | str | None, at: str) -> str:
    # `userxattr` is what a user namespace may use; it serves root as well.
    options = f"userxattr,lowerdir={lower},upperdir={layers}/upper,workdir={layers}/work"
    return f"mkdir -p {layers}/upper {layers}/work {at}\nmount -t overlay -o {options} overlay {at}"


def _devices() -> list[str]:
    return [
        f"mount --rbind /proc {_ROOT}/proc",
        f"mount --rbind /dev {_ROOT}/dev",
        f"mount --rbind /sys {_ROOT}/sys",
        f"mount -t tmpfs -o mode=0755 lab {_ROOT}/run",
    ]
