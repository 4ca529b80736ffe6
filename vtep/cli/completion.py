"""Completion scripts for bash, zsh and fish, made from the parser, so that no word is written twice.

Knows the actions of argparse and the languages of three shells. Completes commands, options, arguments that are a closed
list, and file names where an option takes a file. The VNIs, MACs, VTEPs, peers and devices come from the running daemon, which
`vtep complete` asks when the Tab key is pressed.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Final


@dataclass(frozen=True, slots=True)
class Word:
    """An option or an argument, as a shell must know it."""

    flags: tuple[str, ...]
    """Empty for an argument."""
    help: str
    """Its help on one line, for the shells that show one."""
    takes_value: bool
    """A value follows; True for every argument."""
    choices: tuple[str, ...]
    """All the values that it takes; empty: it is not a closed list."""
    is_file: bool
    """The shell completes file names."""
    live: str = ""
    """What to ask the daemon for."""


_LIVE: Final = {"vni": "vnis", "mac": "macs", "prefix": "macs", "vtep": "vteps", "peer": "peers",
         "names": "devices", "subject": "subjects"}  # fmt: skip
"""By the name of the option or argument."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command, with all that may follow it."""

    name: str
    help: str
    words: tuple[Word, ...]
    """Options and arguments, in the order of `--help`."""


def completion(options: argparse.Namespace) -> int:
    print(script(options.whole, options.shell), end="")
    return 0


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script for a shell."""
    commands = tuple(_commands(parser))
    lines = {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](commands)
    return "\n".join(lines) + "\n"


# What the parser knows


def _commands(parser: argparse.ArgumentParser) -> Iterator[Command]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, command in action.choices.items():
                yield Command(name, helps.get(name, ""), tuple(map(_word, command._actions)))


def _word(action: argparse.Action) -> Word:
    return Word(
        flags=tuple(action.option_strings),
        help=" ".join((action.help or "").split()),
        takes_value=action.nargs != 0,
        choices=tuple(map(str, action.choices or ())),
        is_file=action.metavar in {"FILE", "PATH", "CAPTURE"},
        live=_LIVE.get(action.dest, "") if action.nargs != 0 else "",
    )


def _options(words: Sequence[Word]) -> list[Word]:
    return [word for word in words if word.flags]


def _arguments(words: Sequence[Word]) -> list[Word]:
    return [word for word in words if not word.flags]


# bash


def _bash(commands: Sequence[Command]) -> Iterator[str]:
    yield "# bash completion for vtep: source <(vtep completion bash)"
    yield "_vtep() {"
    yield '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" words="" files="" live=""'
    yield "    local line typed i"
    # Bash breaks a MAC into words at its colons; the line has it whole.
    yield '    line="${COMP_LINE:0:COMP_POINT}"'
    yield "    if [[ $line == *:* && ${line##*[ =]} == *:* ]]; then"
    yield '        word="${line##*[ =]}" typed="${line%"$word"}" typed="${typed%[ =]}" before="${typed##* }"'
    yield "    fi"
    yield '    if [ "$COMP_CWORD" -eq 1 ]; then'
    yield f"        words={quote(' '.join(['--help', '--version', *(command.name for command in commands)]))}"
    yield "    else"
    yield '        case "${COMP_WORDS[1]}" in'
    for command in commands:
        yield f"        {command.name})"
        yield '            case "$before" in'
        for word in _options(command.words):
            if word.takes_value:
                yield f"            {'|'.join(word.flags)}) {_bash_value(word)} ;;"
        others = " ".join(flag for word in _options(command.words) for flag in word.flags)
        choices = " ".join(choice for word in _arguments(command.words) for choice in word.choices)
        files = " files=yes" if any(word.is_file for word in _arguments(command.words)) else ""
        live = "".join(f" live={word.live}" for word in _arguments(command.words) if word.live)
        yield f"            *) words={quote(f'{others} {choices}'.strip())}{files}{live} ;;"
        yield "            esac ;;"
    yield "        esac"
    yield "    fi"
    yield '    COMPREPLY=($(compgen -W "$words" -- "$word"))'
    yield '    if [ -n "$live" ] && [[ $word != -* ]]; then'
    yield '        words="$("${COMP_WORDS[0]}" complete "$live" "$word" "$COMP_LINE" 2>/dev/null)"'
    yield '        COMPREPLY+=($(compgen -W "$words" -- "$word"))'
    yield "        if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then"
    yield '            for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]="${COMPREPLY[i]#"${word%"${word##*:}"}"}"; done'
    yield "        fi"
    yield "    fi"
    yield '    if [ -n "$files" ]; then COMPREPLY+=($(compgen -f -- "$word")); fi'
    yield "}"
    yield "complete -F _vtep vtep"


def _bash_value(word: Word) -> str:
    if word.is_file:
        return "files=yes"
    if word.live:
        return f"live={word.live}"
    return f"words={quote(' '.join(word.choices))}"


# zsh


def _zsh(commands: Sequence[Command]) -> Iterator[str]:
    yield "#compdef vtep"
    yield "# zsh completion for vtep: vtep completion zsh > a directory of $fpath, as _vtep"
    yield "_vtep_live() {"
    yield "    local -a found"
    yield '    found=(${(f)"$(vtep complete $1 "$PREFIX" "$BUFFER" 2>/dev/null)"})'
    yield "    compadd -a found"
    yield "}"
    yield "_vtep() {"
    yield "    local -a commands"
    yield "    commands=("
    for command in commands:
        yield f"        {quote(f'{command.name}:{command.help}')}"
    yield "    )"
    yield "    if (( CURRENT == 2 )); then"
    yield "        _describe command commands"
    yield "        return"
    yield "    fi"
    yield '    case "$words[2]" in'
    for command in commands:
        yield f"    {command.name})"
        yield "        shift words; (( CURRENT-- ))"
        specs = " ".join(quote(spec) for word in command.words for spec in _zsh_specs(word))
        yield f"        _arguments {specs} ;;"
    yield "    esac"
    yield "}"
    yield 'if [ "$funcstack[1]" = "_vtep" ]; then _vtep "$@"; else compdef _vtep vtep; fi'


def _zsh_specs(word: Word) -> Iterator[str]:
    value = "_files" if word.is_file else f"({' '.join(word.choices)})" if word.choices else " "
    # The blank keeps _arguments from adding words of its own to the call.
    value = f" _vtep_live {word.live}" if word.live else value
    if not word.flags:
        yield f"*::argument:{value}"
    about = word.help.replace("[", "(").replace("]", ")").replace(":", r"\:")
    for flag in word.flags:
        yield f"{flag}[{about}]" + (f":value:{value}" if word.takes_value else "")


# fish


def _fish(commands: Sequence[Command]) -> Iterator[str]:
    yield "# fish completion for vtep: vtep completion fish > ~/.config/fish/completions/vtep.fish"
    yield "complete -c vtep -f"
    for command in commands:
        yield f"complete -c vtep -n __fish_use_subcommand -a {command.name} -d {_fish_quote(command.help)}"
        for word in command.words:
            yield from _fish_word(command.name, word)


def _fish_word(command: str, word: Word) -> Iterator[str]:
    start = f"complete -c vtep -n '__fish_seen_subcommand_from {command}'"
    live = f" -a '(vtep complete {word.live} (commandline -ct) (commandline -p | string collect))'" if word.live else ""
    values = (
        live or f" -a {_fish_quote(' '.join(word.choices))}" if live or word.choices else " -F" if word.is_file else ""
    )
    if not word.flags:
        if values:
            yield start + values
        return
    names = "".join(f" -l {flag[2:]}" if flag.startswith("--") else f" -s {flag[1:]}" for flag in word.flags)
    needs = " -r" if word.takes_value else ""
    yield f"{start}{names}{needs}{values} -d {_fish_quote(word.help)}"


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
