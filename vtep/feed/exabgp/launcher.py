"""`vtep exabgp`: runs the ExaBGP that is installed beside vtep, with the EVPN commands added to it.

Knows which releases it may touch and how each is started. All words of the command line are ExaBGP's own. What is
added is in `exabgp_commands`, which is imported only after the release was found to be a known one.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

from vtep.errors import UsageError


class Line(NamedTuple):
    """A line of releases: where its program begins, and what registers our commands with it."""

    main: str
    register: str


LINES: Final = {
    "4.2": Line("exabgp.application.bgp", "register_4_2"),
    "5.0": Line("exabgp.application.main", "register_5_0"),
}
"""What was tried: 4.2.25 and 5.0.15. The insides of ExaBGP change between lines, seldom within one."""


def main(argv: Sequence[str]) -> int:
    release = _release()
    line = LINES.get(".".join(release.split(".")[:2]))
    if line is None:
        known = ", ".join(f"{name}.x" for name in LINES)
        raise UsageError(
            f"ExaBGP {release} is none that `vtep exabgp` can add commands to (it knows {known}); "
            "plain `exabgp` runs without them, and this leaf then receives only"
        )
    # ExaBGP finds its own folder by the place of its program, 5.0 as soon as it is imported.
    sys.argv = [str(Path(sys.executable).with_name("exabgp")), *argv]
    getattr(import_module("vtep.feed.exabgp.plugin"), line.register)()
    run: Callable[[], int | None] = import_module(line.main).main
    return run() or 0


def _release() -> str:
    try:
        from exabgp.version import release
    except ImportError:
        raise UsageError(f"there is no ExaBGP beside {sys.executable}: install exabgp 4.2 or 5.0 there") from None
    return str(release)
