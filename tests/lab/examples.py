"""How many random examples a test tries: all in one run of CI, and fewer where a run repeats another, or the kernel is a slow process."""

import os
from typing import Final

from tests.lab.wait import PATIENCE

SHARE: Final = float(os.environ.get("VTEP_LAB_EXAMPLES", "1"))
"""The part of them that this run tries."""


def examples(count: int) -> int:
    return max(1, round(count * SHARE / PATIENCE))
