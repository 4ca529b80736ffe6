"""A child of ExaBGP that only records: each line it gets goes to a file, what others write to a pipe goes to ExaBGP.

Started by ExaBGP as `python recorder.py LINES COMMANDS`; ends when ExaBGP does. Standard library only, so that it
starts quickly.
"""

import os
import select
import sys


def main(lines: str, commands: str) -> None:
    record = os.open(lines, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    if not os.path.exists(commands):
        os.mkfifo(commands)
    # Read and write, so that a writer's end is not the pipe's end.
    asked = os.open(commands, os.O_RDWR)
    while True:
        ready, _, _ = select.select([0, asked], [], [])
        if 0 in ready:
            octets = os.read(0, 1 << 20)
            if not octets:
                return
            os.write(record, octets)
        if asked in ready:
            os.write(1, os.read(asked, 1 << 16))


if __name__ == "__main__":
    main(*sys.argv[1:])
