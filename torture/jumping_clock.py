"""Runs the real daemon with a wall clock that jumps by up to a year, both ways: `jumping_clock.py vtep run ...`."""

import random
import sys
import time
from typing import Final

YEAR_S: Final = 365 * 86400.0
_chance = random.Random(6)
_wall = time.time
time.time = lambda: _wall() + _chance.uniform(-YEAR_S, YEAR_S)

from vtep.__main__ import main  # noqa: E402 - whoever takes the function by name takes this one

if __name__ == "__main__":
    sys.argv[0:2] = ["vtep"]
    sys.exit(main())
