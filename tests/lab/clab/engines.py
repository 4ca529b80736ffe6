"""Deploys a topology as containers: by docker and our own wiring, or by containerlab, whose file it is.

Both need root and images that were built before (interop/containerlab/README.md says how); neither may run inside
namespaces of a lab's own, since the containers' processes are then out of reach.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.lab.clab.file import NodeSpec, TopologyFile
from tests.lab.clab.lab import ClabLab
from tests.lab.clab.machine import Machine, wire
from tests.lab.namespaces import Missing


def docker(topology: TopologyFile, scratch: Path, rootfs: Mapping[str, Path]) -> ClabLab:
    """Start containers without any network, and wire them as containerlab would."""
    del rootfs
    _needs("docker")
    names = [_container(topology, spec.name) for spec in topology.nodes]
    deployed = ClabLab("docker", {}, lambda: _remove(names))
    try:
        for spec in topology.nodes:
            _docker("run", "--detach", "--name", _container(topology, spec.name), *_options(spec))
            deployed.machines[spec.name] = _machine(topology, spec.name, scratch)
        for joined in topology.wires:
            wire(deployed.machines, joined)
        for spec in topology.nodes:
            for command in spec.exec:
                deployed.machines[spec.name].run(*command)
    except BaseException:
        deployed.close()
        raise
    return deployed


def containerlab(topology: TopologyFile, scratch: Path, rootfs: Mapping[str, Path]) -> ClabLab:
    del rootfs
    _needs("docker")
    _needs("containerlab")

    def run(*words: str) -> None:
        # Its own folder of the lab would otherwise come to lie in the working copy.
        where = {"CLAB_LABDIR_BASE": str(scratch)}
        _run(["env", *(f"{name}={value}" for name, value in where.items()), "containerlab", *words])

    file = str(topology.path.resolve())
    deployed = ClabLab("containerlab", {}, lambda: run("destroy", "--cleanup", "--topo", file))
    try:
        run("deploy", "--topo", file)
        for spec in topology.nodes:
            deployed.machines[spec.name] = _machine(topology, spec.name, scratch)
    except BaseException:
        deployed.close()
        raise
    return deployed


def _container(topology: TopologyFile, node: str) -> str:
    return f"clab-{topology.name}-{node}"


def _options(spec: NodeSpec) -> list[str]:
    options = ["--hostname", spec.name, "--network", "none"]
    options += [f"--cap-add={name}" for name in sorted(spec.capabilities)]
    options += [f"--sysctl={name}={value}" for name, value in spec.sysctls]
    options += [f"--env={name}={value}" for name, value in spec.env]
    options += [f"--volume={bind.source}:{bind.target}{':ro' if bind.read_only else ''}" for bind in spec.binds]
    if spec.entrypoint:
        options.append(f"--entrypoint={spec.entrypoint[0]}")
    return [*options, spec.image, *spec.entrypoint[1:], *spec.cmd]


def _machine(topology: TopologyFile, node: str, scratch: Path) -> Machine:
    container = _container(topology, node)
    pid = json.loads(_docker("inspect", container))[0]["State"]["Pid"]
    return Machine(node, pid, ("docker", "exec", "--interactive", container), scratch)


def _remove(names: list[str]) -> None:
    _docker("rm", "--force", *names)


def _docker(*words: str) -> str:
    return _run(["docker", *words])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _needs(program: str) -> None:
    if shutil.which(program) is None:
        raise Missing(f"{program} is not installed")
