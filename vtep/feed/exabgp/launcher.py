"""`vtep exabgp`: runs the ExaBGP that is installed beside vtep, with EVPN commands and better answers to bad messages.

This module knows which releases are supported and how each is started. Every argument is ExaBGP's own. What is changed in
ExaBGP is in `plugin`, `guard` and `damping`, which are imported only after the release was found to be a supported one.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

from vtep.errors import UsageError


class Line(NamedTuple):
    """A line of releases: where its program begins, and which function of `plugin` changes it."""

    main: str
    """The module of ExaBGP whose `main` runs it."""
    register: str
    """The function of `plugin` that adds the commands to this line of releases."""


LINES: Final = {
    "4.2": Line("exabgp.application.bgp", "register_4_2"),
    "5.0": Line("exabgp.application.main", "register_5_0"),
}
"""Tested with 4.2.25 and 5.0.15. The insides of ExaBGP change between lines of releases, and seldom within one."""


def main(argv: Sequence[str]) -> int:
    """Run ExaBGP in this process, with our commands registered before it begins."""
    release = _release()
    line = LINES.get(".".join(release.split(".")[:2]))
    if line is None:
        known = ", ".join(f"{name}.x" for name in LINES)
        raise UsageError(
            f"ExaBGP {release} is not supported by `vtep exabgp` (it knows {known}); "
            "plain `exabgp` runs without its commands, and this leaf then receives only"
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
