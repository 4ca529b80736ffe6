"""Runs the real daemon and notes for how long each callback held its event loop: `watched.py FILE vtep run ...`.

Each that took five milliseconds or more is a line of the file at once. What is timed is the wall clock around every callback, so a
thread that kept the interpreter, the garbage collector and a busy machine count as well; beside it stands the CPU that
the loop's thread itself used meanwhile, which a busy machine does not lengthen by much.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from vtep.__main__ import main

NOTED_S = 0.005


def watch(path: Path) -> None:
    """Put a stopwatch around what the loop calls."""
    notes = path.open("w", buffering=1)
    run = asyncio.Handle._run

    def timed(handle: Any) -> None:
        start, cpu = time.perf_counter(), time.thread_time()
        run(handle)
        held_s = time.perf_counter() - start
        if held_s >= NOTED_S:
            notes.write(json.dumps((held_s, time.thread_time() - cpu, time.monotonic(), _named(handle))) + "\n")

    asyncio.Handle._run = timed  # type: ignore[method-assign, assignment]


def _named(handle: Any) -> str:
    callback = handle._callback
    task = getattr(callback, "__self__", None)
    return task.get_name() if isinstance(task, asyncio.Task) else getattr(callback, "__qualname__", repr(callback))


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
    sys.argv[0:3] = ["vtep"]
    sys.exit(main())
