"""Which backend a name means on this machine. Knows none of their insides."""

import functools
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.lab.clab.engines import containerlab, docker
from tests.lab.clab.file import TopologyFile
from tests.lab.clab.lab import ClabLab
from tests.lab.clab.netns import netns

Deploy = Callable[[TopologyFile, Path, Mapping[str, Path]], ClabLab]

_BACKENDS: dict[str, Deploy] = {"netns": netns, "docker": docker, "containerlab": containerlab}


def backend(wanted: str) -> Deploy:
    return _BACKENDS[chosen(wanted)]


@functools.cache
def chosen(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    return "containerlab" if shutil.which("containerlab") and _docker_answers() else "netns"


def _docker_answers() -> bool:
    return shutil.which("docker") is not None and not subprocess.run(["docker", "info"], capture_output=True).returncode
