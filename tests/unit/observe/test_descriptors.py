"""What readers show of each kind is public: scripts, dashboards and log queries go by it."""

import pytest

from vtep.addr import Ip, Mac, Vni
from vtep.intent import Direct, Flood, Intent
from vtep.linux.tables.all import KINDS
from vtep.linux.tables.fdb import FdbRow
from vtep.linux.tables.flood import FloodRow
from vtep.linux.tables.neighbor import NeighborRow
from vtep.store.table import Table

VNI, MAC, VTEP, HOST = Vni(100), Mac.parse("02:00:00:00:00:01"), Ip.parse("10.0.0.1"), Ip.parse("172.16.0.1")
OF = {kind.name: kind.descriptor for kind in KINDS}
KEYS = {"fdb": (VNI, MAC), "flood": (VNI, VTEP, VNI), "neighbor": (VNI, HOST)}
ROWS = {"fdb": FdbRow(VTEP), "flood": FloodRow(), "neighbor": NeighborRow(MAC)}


def test_no_two_kinds_share_a_public_name():
    assert [kind.descriptor.public for kind in KINDS] == [
        "mac",
        "flood",
        "neighbor",
        "router-mac",
        "router-neighbor",
        "nexthop",
        "nexthop-group",
        "route",
        "port-filter",
        "segment-mac",
        "fdb-nexthop",
        "fdb-group",
        "port-backup",
        "synced-mac",
    ]


@pytest.mark.parametrize(
    ("kind", "key_name", "row", "mac"),
    [("fdb", "mac", "to 10.0.0.1", MAC), ("flood", "vtep", "there", None), ("neighbor", "ip", str(MAC), None)],
)
def test_a_key_and_a_row_have_their_words(kind, key_name, row, mac):
    descriptor = OF[kind]

    assert (descriptor.key_name, descriptor.in_words(ROWS[kind])) == (key_name, row)
    assert descriptor.mac_of(KEYS[kind]) == mac


def test_only_a_flood_row_is_about_a_vtep_without_a_route_for_it():
    assert [OF[kind].vtep_of(Intent(), key) for kind, key in KEYS.items()] == [None, VTEP, None]


def test_the_floods_of_a_vtep_in_many_vnis_are_counted_in_one_walk():
    """A search of the VTEP's list for each flood would hold the event loop for a second in 4,000 VNIs."""
    floods = tuple(Flood(Vni(100 + number), Direct(VTEP), VTEP, None) for number in range(3))
    intent = Intent(floods=Table([(VTEP, floods)]), touched_floods=tuple(flood.key for flood in floods))

    assert OF["flood"].wanted_by_vni(intent) == {100: 1, 101: 1, 102: 1}
