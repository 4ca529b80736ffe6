"""A child of ExaBGP that gives it commands: `python teller.py COMMANDS UNANSWERED FILE`, once a session is up.

It has at most so many commands unanswered, and notes in FILE when the first was sent, when the last was answered, and how many
answers were not `done`.
"""

import os
import sys
import time
from pathlib import Path


def main(commands: str, unanswered: str, path: str) -> None:
    lines = Path(commands).read_bytes().splitlines(keepends=True)
    seen = b""
    while b'"state": "up"' not in seen:
        seen = seen[-100:] + os.read(0, 1 << 20)
    begun, sent, done, errors, tail = time.monotonic(), 0, 0, 0, b""
    while done + errors < len(lines):
        until = min(len(lines), done + errors + int(unanswered))
        if until > sent:
            os.write(1, b"".join(lines[sent:until]))
            sent = until
        *answers, tail = (tail + os.read(0, 1 << 20)).split(b"\n")
        done += answers.count(b"done")
        errors += answers.count(b"error")
    new = Path(f"{path}.new")
    new.write_text(f"{begun!r} {time.monotonic()!r} {errors}")
    new.rename(path)
    while os.read(0, 1 << 20):
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
