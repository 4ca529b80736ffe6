"""`vtep exabgp`: runs the ExaBGP that is installed beside vtep, with EVPN commands and better answers to bad messages.

This module knows which releases are supported and how each is started. Every argument is ExaBGP's own. Unless an operator chose
otherwise, ExaBGP logs warnings and errors only, because its usual lines look like errors to a newcomer, and at rest it turns its loop
less often. It looks for the pipes of `exabgpcli` only where they are, because otherwise it logs twenty errors on how to make them.
What is changed in ExaBGP is in `plugin`, `guard` and `damping`, which are imported only after the release was found to be a supported one.
"""

import contextlib
import os
import sys
from collections.abc import Callable, MutableMapping, Sequence
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

DEFAULTS: Final = {"exabgp_log_level": "WARNING", "exabgp_reactor_speed": "10"}
"""Settings of ExaBGP's environment, which win over those of its file."""
MORE_LOGGED: Final = (
    *("all", "configuration", "reactor", "daemon", "processes", "network", "statistics", "packets", "rib", "message"),
    *("timers", "routes", "parser"),
)
"""What ExaBGP logs if `exabgp_log_NAME` is true. An operator who asks for one of them wants to see it, whatever its level is."""
TRUE: Final = {"1", "yes", "on", "enable", "true"}
"""How ExaBGP writes that a setting is on."""
PIPES: Final = ("/run/exabgp", "/run/{user}", "/run", "/var/run/exabgp", "/var/run/{user}", "/var/run")
"""Where ExaBGP looks for the pipes of `exabgpcli`: here, and then the same below the folder of its Python."""
FILES: Final = ("etc/exabgp/exabgp.env", "/etc/exabgp/exabgp.env")
"""Where an operator has the settings of ExaBGP, the first of them below the folder of its Python."""
FILE_NAMED: Final = ("-e", "--env", "-f", "--root")
"""Arguments that begin so say where the file of settings is: `--env-file` is that of 5.0."""
FILE_NAMES: Final = {"EXABGP_ENVFILE", "EXABGP_ROOT"}
"""The same in the environment of 5.0."""
VERBOSE: Final = {"-d", "--debug", "-v", "--verbose"}
"""With these ExaBGP logs everything, whatever the settings are."""


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
    if set_defaults(argv, os.environ) and any(Path(word).is_file() for word in argv):
        more = "it logs warnings and errors; exabgp_log_level=INFO in its environment has it log the rest"
        print(f"vtep: ExaBGP {release} runs with the commands of vtep; {more}", file=sys.stderr, flush=True)
    run: Callable[[], int | None] = import_module(line.main).main
    return run() or 0


def set_defaults(argv: Sequence[str], environment: MutableMapping[str, str], prefix: str = sys.prefix) -> bool:
    """Set what no operator set, in the environment or in a file of settings; return whether the log is shortened by it."""
    has_file = any(Path(prefix, file).exists() for file in FILES) or not FILE_NAMES.isdisjoint(environment)
    if has_file or any(word.startswith(FILE_NAMED) or word in VERBOSE for word in argv):
        return False
    chosen = {name.replace(".", "_"): value for name, value in environment.items()}
    missing = {name: value for name, value in DEFAULTS.items() if name not in chosen}
    if any(chosen.get(f"exabgp_log_{name}", "").lower() in TRUE for name in MORE_LOGGED):
        missing.pop("exabgp_log_level", None)
    if "exabgp_api_cli" not in chosen and not _has_pipes(chosen.get("exabgp_api_pipename", "exabgp"), prefix):
        missing["exabgp_api_cli"] = "false"
    environment.update(missing)
    return "exabgp_log_level" in missing


def _has_pipes(name: str, prefix: str) -> bool:
    """Tell whether the pipes of `exabgpcli` are there. Who uses it has made them, because ExaBGP does not."""
    places = [folder.format(user=os.getuid()) for folder in PIPES]
    pairs = ((f"{root}{place}/{name}.in", f"{root}{place}/{name}.out") for root in ("", prefix) for place in places)
    return any(all(map(_is_pipe, pair)) for pair in pairs)


def _is_pipe(path: str) -> bool:
    """Tell whether a pipe is there. In a folder that we may not read is none for us, nor for ExaBGP."""
    with contextlib.suppress(OSError):
        return Path(path).is_fifo()
    return False


def _release() -> str:
    try:
        from exabgp.version import release
    except ImportError:
        raise UsageError(f"there is no ExaBGP beside {sys.executable}: install exabgp 4.2 or 5.0 there") from None
    return str(release)
