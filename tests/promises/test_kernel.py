"""What tools/kernel.py and `--kernel` promise before any kernel runs: clear words about what is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools.kernel import allow_mappings

ROOT = Path(__file__).parents[2]
KERNEL = str(ROOT / "tools" / "kernel.py")


def run(*arguments: str, path: Path, cache: Path) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": str(path), "VTEP_CI_CACHE": str(cache)}
    return subprocess.run(
        [sys.executable, KERNEL, *arguments], env=environment, capture_output=True, text=True, timeout=60
    )


def programs(folder: Path, *names: str, script: str = "exit 0") -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("there", "missing", "package"),
    [
        ((), "apt-get", "apt"),
        (("apt-get",), "dpkg-deb", "dpkg"),
        (("apt-get", "dpkg-deb"), "patchelf", "patchelf"),
        (("apt-get", "dpkg-deb", "patchelf"), "modprobe", "kmod"),
    ],
)
def test_a_program_that_is_missing_is_named_with_its_package(tmp_path, there, missing, package):
    done = run("6.1", "true", path=programs(tmp_path / "bin", *there), cache=tmp_path / "cache")

    assert done.returncode == 125
    assert done.stderr.startswith(f"kernel: {missing} is missing: run apt-get install {package} ")


def test_a_machine_without_a_mirror_is_told_what_to_do(tmp_path):
    path = programs(tmp_path / "bin", "apt-get", "dpkg-deb", "patchelf", "modprobe")

    done = run("6.1", "true", path=path, cache=tmp_path / "cache")

    assert done.returncode == 125
    assert "this machine's apt names no mirror of Debian; run apt-get update" in done.stderr


def test_a_failed_download_says_what_apt_said_and_keeps_nothing(tmp_path):
    script = 'case "$*" in *indextargets*) echo "Debian http://mirror.example bookworm" ;; *) echo "no route" >&2; exit 100 ;; esac'
    path = programs(tmp_path / "bin", "apt-get", "dpkg-deb", "patchelf", "modprobe", script=script)

    done = run("6.1", "true", path=path, cache=tmp_path / "cache")

    assert done.returncode == 125
    assert "apt-get -qq update ended with 100: no route" in done.stderr
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["kernel-bookworm.lock"]


def test_a_kernel_that_nobody_has_is_refused_with_the_list(tmp_path):
    done = run("5.4", "true", path=tmp_path, cache=tmp_path)

    assert done.returncode == 2
    assert "6.1" in done.stderr
    assert "newest" in done.stderr


def test_the_limit_of_mappings_is_raised_and_that_is_said(tmp_path):
    limit = tmp_path / "max_map_count"
    limit.write_text("65530\n")

    said = allow_mappings(limit)

    assert said == "set vm.max_map_count of this machine from 65530 to 1048576 until its next boot"
    assert allow_mappings(limit) == ""


def test_who_may_not_raise_the_limit_of_mappings_is_told_the_command():
    # The kernel lets nobody write this file, not even root.
    said = allow_mappings(Path("/proc/sys/kernel/ngroups_max"))

    assert said.startswith("this machine allows 65,536 mappings for each process")
    assert said.endswith("Run as root: sysctl -w vm.max_map_count=1048576")
