"""Which kernel rows an intent takes, and how they are spelled: one module for each table.

Pure. Knows the kernel's words and the intent's, not BGP's; no kind knows another.
"""

from typing import Final

from vtep.linux.tables.fdb import FDB
from vtep.linux.tables.flood import FLOOD
from vtep.linux.tables.neighbor import NEIGHBOR
from vtep.reconcile.contract import Kind

KINDS: Final[tuple[Kind, ...]] = (FDB, FLOOD, NEIGHBOR)
"""In dependency order: writes go down the list, deletions come up."""
