"""The rules of the whole suite: with --no-skips, a skip that nobody expected fails the run; and Ctrl-C is what it always is.

Several runs may share the work: each takes the files that no other run took. What one run skipped, another may run.

Knows reasons and a list of them, one pattern a line, in expected-skips.txt. Does not know why a test skips.
"""

import os
import signal
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.lab.wait import PATIENCE

pytest_plugins = ["tests.interop.options"]

EXPECTED = Path(__file__).with_name("expected-skips.txt")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help=f"a skip whose reason is not in {EXPECTED.name} is a failure"
    )
    parser.addoption(
        "--bed",
        type=Path,
        metavar="DIR",
        help="run only what depends on the kernel, of files that no other run with DIR took",
    )
    parser.addoption("--share", type=Path, metavar="DIR", help="run only files that no other run with DIR took")
    parser.addoption(
        "--first", action="append", default=[], metavar="FILE", help="one of the files that take longest, to begin with"
    )
    parser.addoption(
        "--skipped-to", type=Path, metavar="FILE", help="write the tests that were skipped into this file, for @FILE"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Whoever starts the suite in the background has a shell that ignores SIGINT, and so would all that tests start."""
    if PATIENCE != 1:
        os.environ.setdefault("PYTEST_TIMEOUT", str(float(config.getini("timeout") or 0) * PATIENCE))
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a bed, leave out what no kernel can change, whatever else selects. The longest files come first, in random order."""
    first = config.getoption("first")
    items.sort(key=lambda item: item.location[0] not in first)
    if config.getoption("bed") is None:
        return
    left_out = [item for item in items if not _depends_on_kernel(item)]
    items[:] = [item for item in items if _depends_on_kernel(item)]
    config.hook.pytest_deselected(items=left_out)


def _depends_on_kernel(item: pytest.Item) -> bool:
    marks = {mark.name for mark in item.iter_markers()}
    return "root_netns" in marks and ("slow" not in marks or "every_kernel" in marks)


_TAKEN = pytest.StashKey[dict[str, bool]]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Pass over a test whose file another run took first."""
    shared = item.config.getoption("bed") or item.config.getoption("share")
    if shared is None:
        return None
    file = item.location[0]
    taken = item.config.stash.setdefault(_TAKEN, {})
    if file not in taken:
        try:
            # A directory, because making one is atomic on a file system of the host as well.
            (shared / file.replace("/", "-")).mkdir()
            taken[file] = True
        except FileExistsError:
            taken[file] = False
    if taken[file]:
        return None
    # The test before kept the fixtures that this one would have shared; the next one may share fewer.
    item.session._setupstate.teardown_exact(nextitem)
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("skipped_to"):
        skipped = {test: None for test, _ in _skipped(session.config)}
        session.config.getoption("skipped_to").write_text("".join(f"{test}\n" for test in skipped))
    if (
        session.config.getoption("no_skips")
        and session.exitstatus == pytest.ExitCode.OK
        and _unexpected(session.config)
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    unexpected = terminalreporter.config.getoption("no_skips") and _unexpected(terminalreporter.config)
    if unexpected:
        terminalreporter.section("skipped although --no-skips", red=True)
        terminalreporter.write_line("\n".join(unexpected))


def _unexpected(config: pytest.Config) -> list[str]:
    patterns = [line for line in EXPECTED.read_text().splitlines() if line and not line.startswith("#")]
    return [
        f"{test}: {reason}"
        for test, reason in _skipped(config)
        if not any(fnmatch(reason, pattern) for pattern in patterns)
    ]


def _skipped(config: pytest.Config) -> list[tuple[str, str]]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return [(report.nodeid, _reason(report)) for report in reporter.stats.get("skipped", [])]


def _reason(report: pytest.TestReport) -> str:
    longrepr = report.longrepr
    text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")
