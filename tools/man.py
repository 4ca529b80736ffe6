"""Man pages from the commands' help, so that no text is written twice: vtep(1), and vtep-COMMAND(1) for each command.

    .venv/bin/python -m tools.man DIRECTORY

Knows argparse and the few requests of man(7) that a page needs.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from vtep import __version__
from vtep.app.commands import parser

PLAIN = "See docs/ in /usr/share/doc/vtep, above all operate.md."


def pages() -> dict[str, str]:
    """Return the text of each page by the name of its file."""
    whole = parser()
    (commands,) = (action for action in whole._actions if isinstance(action, argparse._SubParsersAction))
    helps = {choice.dest: choice.help or "" for choice in commands._choices_actions}
    found = {"vtep.1": "\n".join(_overview(whole, helps)) + "\n"}
    for name, command in commands.choices.items():
        found[f"vtep-{name}.1"] = "\n".join(_page(f"vtep-{name}", helps.get(name, ""), command)) + "\n"
    return found


def _overview(whole: argparse.ArgumentParser, helps: dict[str, str]) -> Iterator[str]:
    yield from _page("vtep", whole.description or "", whole)
    yield ".SH COMMANDS"
    for name, text in helps.items():
        yield from (".TP", rf"\fBvtep\-{_text(name)}\fR(1)", _text(text))
    yield from (".SH FILES", ".TP", "/etc/vtep/vtep.toml", "The configuration of the daemon.")
    yield from (
        ".TP",
        "/run/vtep/vtep.sock",
        "Where the commands find the daemon, unless $VTEP_ADDRESS says otherwise.",
    )


def _page(name: str, summary: str, command: argparse.ArgumentParser) -> Iterator[str]:
    yield f'.TH "{name.upper()}" 1 "" "vtep {__version__}" "vtep"'
    yield from (".SH NAME", rf"{_text(name)} \- {_text(summary.rstrip('.'))}")
    usage = command.format_usage().removeprefix("usage: ")
    yield from (".SH SYNOPSIS", _text(" ".join(usage.split())))
    if command.description:
        yield from (".SH DESCRIPTION", _text(" ".join(command.description.split())))
    words = [action for action in command._actions if not isinstance(action, argparse._SubParsersAction)]
    if words:
        yield ".SH OPTIONS"
    for action in words:
        yield from (".TP", _name(action), _text(_help(action)))
    if command.epilog:
        yield from _epilog(command.epilog)
    if name != "vtep":
        yield from (".SH SEE ALSO", r"\fBvtep\fR(1)")
    else:
        yield from (".SH SEE ALSO", _text(PLAIN))


def _name(action: argparse.Action) -> str:
    value = (
        ""
        if action.nargs == 0
        else str(action.metavar or (action.dest if not action.option_strings else action.dest.upper()))
    )
    if not action.option_strings:
        return rf"\fI{_text(value)}\fR"
    return ", ".join(rf"\fB{_text(flag)}\fR" for flag in action.option_strings) + (
        rf" \fI{_text(value)}\fR" if value else ""
    )


def _help(action: argparse.Action) -> str:
    text = " ".join((action.help or "").split()).replace("%%", "%")
    choices = ", ".join(map(str, action.choices or ()))
    return f"{text} ({choices})" if choices and choices not in text else text or "An argument."


def _epilog(text: str) -> Iterator[str]:
    """Lines that are indented are examples, and stay as they are."""
    yield ".SH NOTES"
    for line in text.splitlines():
        if line.startswith("  "):
            yield from (".RS", ".nf", _text(line.strip()), ".fi", ".RE")
        elif line.strip():
            yield from (".PP", _text(line.strip()))


def _text(text: str) -> str:
    r"""Escape what man(7) would act on: backslashes, dashes that are typed, and a dot or quote at the beginning."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def main(arguments: list[str]) -> int:
    directory = Path(arguments[0])
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (directory / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
