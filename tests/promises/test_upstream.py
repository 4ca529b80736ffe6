"""The changes that are offered to ExaBGP apply to the releases that are installed here, and are described."""

import shutil
from pathlib import Path

import pytest

from tests.lab.upstream import INSTALLED, PATCHES, apply, copied, release_of

MANUAL = Path(__file__).parents[2] / "docs/exabgp-upstream.md"


@pytest.mark.parametrize("release", INSTALLED)
def test_the_patches_apply_to_the_installed_release_one_after_the_other(release, tmp_path):
    if not INSTALLED[release].exists() or shutil.which("patch") is None:
        pytest.skip(f"ExaBGP {release} or the program `patch` is not installed")
    folder = copied(release, tmp_path)
    patches = [patch for patch in PATCHES if release_of(patch) == release]

    for patch in patches:
        apply(patch, folder)

    assert patches
    for file in folder.rglob("*.py"):
        compile(file.read_bytes(), file, "exec")


def test_each_patch_is_described_and_each_that_is_described_is_there():
    described = MANUAL.read_text()

    assert {release_of(patch) for patch in PATCHES} == set(INSTALLED)
    assert [patch.name for patch in PATCHES if f"`{patch.name}`" not in described] == []
    assert described.count(".patch`") == len(PATCHES)
