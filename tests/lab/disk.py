"""A disk that is full, without a disk: the kernel refuses to let a file of this process grow, and nothing else changes."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def full_disk(path: Path | None = None) -> Iterator[None]:
    """Let no file grow beyond the first line of this one, which can be written in place; without one, not at all."""
    header = 0 if path is None else len(path.read_bytes().partition(b"\n")[0]) + 1
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (header, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
