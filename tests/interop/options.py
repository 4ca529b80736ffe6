"""The command line of the interop suite. Known to the whole suite, since pytest takes options only from above."""

from pathlib import Path

import pytest

from tests.lab.clab.backends import chosen


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("interop")
    group.addoption(
        "--lab",
        choices=("auto", "containerlab", "docker", "netns"),
        default="netns",
        help="what deploys the topologies; auto is containerlab where it and docker answer, else netns",
    )
    group.addoption(
        "--frr-rootfs",
        type=Path,
        metavar="DIR",
        help="with --lab=netns: run FRR from this root file system instead of from this machine",
    )
    group.addoption(
        "--matrix", type=Path, metavar="FILE", help="enter what was run, when, and how it ended into this table"
    )


def pytest_report_header(config: pytest.Config) -> str:
    return f"interop lab: {chosen(config.getoption('lab'))}"
