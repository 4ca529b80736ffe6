"""The program: picks the command, and turns what it raises into a sentence and an exit code.

Each command imports only what it needs, so that `vtep --help` starts at once.
"""

import os
import sys

from vtep.errors import ConfigError, HostError, KernelError, LedgerError, StateError, UnreachableError, VtepError


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    try:
        if words[:1] == ["relay"]:  # ExaBGP starts it: nothing else is imported
            from vtep.feed.exabgp import relay

            return relay.main(words[1:])
        if words[:1] == ["exabgp"]:  # all further words are ExaBGP's
            from vtep.feed.exabgp import launcher

            return launcher.main(words[1:])
        if words[:1] == ["complete"]:  # the completion scripts call it at each press of the Tab key
            from vtep.cli import candidates

            return candidates.main(words[1:])
        from vtep.app import commands

        return commands.main(words)
    except ConfigError as error:
        for text in error.texts:
            _say(text)
        return 2
    except UnreachableError as error:
        _say(str(error))
        return 3
    except (HostError, KernelError, LedgerError, StateError) as error:
        _say(str(error))
        return 1  # this host is in the way, and not the file: a supervisor tries again
    except VtepError as error:
        _say(str(error))
        return 2
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130
    finally:
        _end_output()


def _say(text: str) -> None:
    """Talk to the person. What is wrong with a file or an answer is said in its own words, which may be anybody's."""
    from vtep.logs import escaped

    print(f"vtep: {escaped(text)}", file=sys.stderr)


def _end_output() -> None:
    """Write what is left in the buffer, or drop it if no reader is left: the interpreter would complain at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
