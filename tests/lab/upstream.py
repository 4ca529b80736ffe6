"""ExaBGP with the changes that are offered upstream: contrib/exabgp/*.patch on a copy of an installed release."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.lab.peers import EXABGP, EXABGP_4_2

PATCHES: Final = sorted((Path(__file__).parents[2] / "contrib/exabgp").glob("*.patch"))
INSTALLED: Final = {"5.0": EXABGP, "4.2": EXABGP_4_2}
"""By the beginning of a patch's name."""


def release_of(patch: Path) -> str:
    return patch.name.partition("-")[0]


def copied(release: str, folder: Path) -> Path:
    """Copy the package of an installed release; return the folder for PYTHONPATH."""
    (package,) = INSTALLED[release].parents[1].glob("lib/python3*/site-packages/exabgp")
    shutil.copytree(package, folder / "exabgp", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def apply(patch: Path, folder: Path) -> None:
    """Apply a patch, whose paths begin with the folder that upstream has the package in. An error has what `patch` says."""
    command = ["patch", "--batch", "--fuzz=0", "-p2", "-d", str(folder), "-i", str(patch)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{patch.name}: {done.stdout}{done.stderr}")
