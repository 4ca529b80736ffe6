"""The kinds of rows that are written. A kind is added here, by one word, and in no other list.

A kind is pure. It knows the words of the kernel and of the intent, not those of BGP, and no kind knows another.
"""

from typing import Final

from vtep.linux.tables.fdb import FDB
from vtep.linux.tables.fdb_nexthop import FDB_GROUP, FDB_NEXTHOP
from vtep.linux.tables.flood import FLOOD
from vtep.linux.tables.neighbor import NEIGHBOR
from vtep.linux.tables.nexthop import NEXTHOP, NEXTHOP_GROUP
from vtep.linux.tables.port_backup import PORT_BACKUP
from vtep.linux.tables.port_filter import PORT_FILTER, SEGMENT_MAC
from vtep.linux.tables.route import ROUTE
from vtep.linux.tables.router_mac import ROUTER_MAC, ROUTER_NEIGHBOR
from vtep.linux.tables.synced_mac import SYNCED_MAC
from vtep.reconcile.contract import Kind

KINDS: Final[tuple[Kind, ...]] = (
    FDB,
    FLOOD,
    NEIGHBOR,
    ROUTER_MAC,
    ROUTER_NEIGHBOR,
    NEXTHOP,
    NEXTHOP_GROUP,
    ROUTE,
    PORT_FILTER,
    SEGMENT_MAC,
    FDB_NEXTHOP,
    FDB_GROUP,
    PORT_BACKUP,
    SYNCED_MAC,
)
"""The ledger has the places of this list, so a kind is added at its end."""

WRITTEN: Final[tuple[Kind, ...]] = (FDB, SYNCED_MAC, *(kind for kind in KINDS if kind not in (FDB, SYNCED_MAC)))
"""Rows are written down this list and deleted up, but for those that need rows of a kind further down, which come after it.

A MAC that comes back to our port leaves the tunnel by a message of `fdb`. Until that of `synced_mac` the bridge floods its frames, so
nothing comes between the two."""
