"""How a VNI is attached is known in one place: the kinds of rows ask the attachment, and know nothing of VLANs.

Two VNIs share one bridge and one VXLAN device: the VLAN tells the bridge rows apart, and the source VNI the VXLAN rows.
"""

from vtep.addr import ZERO_MAC, Ip, Mac, Vni
from vtep.linux.attachment import Attached, Ready
from vtep.linux.tables.fdb import FDB, FdbRow
from vtep.linux.tables.flood import FLOOD, FloodRow
from vtep.linux.wire.neighbor import NTF_EXT_LEARNED, NTF_SELF, NUD_REACHABLE, Entry
from vtep.reconcile.contract import Attachments, Change, Seen

BRIDGE, DEVICE = 2, 3
RED, BLUE, OTHER = Vni(1010), Vni(1020), Vni(1030)
MAC, VTEP, ELSEWHERE = Mac.parse("02:00:00:00:00:0a"), Ip.parse("10.0.0.2"), Ip.parse("10.0.0.3")
STATE = 0xC0
ATTACHMENTS = Attachments(
    Attached({
        RED: Ready(RED, BRIDGE, DEVICE, vlan=10, src_vni=RED),
        BLUE: Ready(BLUE, BRIDGE, DEVICE, vlan=20, src_vni=BLUE),
    }),
    {},
)  # fmt: skip


def bridge_row(vlan: int) -> Entry:
    return Entry(DEVICE, BRIDGE, MAC, NTF_EXT_LEARNED, NUD_REACHABLE, vlan=vlan)


def vxlan_row(vni: Vni, dst: Ip, mac: Mac = MAC) -> Entry:
    return Entry(DEVICE, None, mac, NTF_SELF | NTF_EXT_LEARNED, STATE, dst, src_vni=vni)


def test_the_rows_of_one_mac_in_two_vnis_of_one_device_are_told_apart() -> None:
    rows = [bridge_row(10), bridge_row(20), vxlan_row(RED, VTEP), vxlan_row(BLUE, ELSEWHERE)]

    assert FDB.recognise(rows, ATTACHMENTS) == {
        (RED, MAC): Seen(FdbRow(VTEP), marked=True),
        (BLUE, MAC): Seen(FdbRow(ELSEWHERE), marked=True),
    }


def test_the_floods_of_two_vnis_of_one_device_are_told_apart() -> None:
    rows = [vxlan_row(RED, VTEP, ZERO_MAC), vxlan_row(BLUE, VTEP, ZERO_MAC)]

    assert FLOOD.recognise(rows, ATTACHMENTS).keys() == {(RED, VTEP, RED), (BLUE, VTEP, BLUE)}


def test_rows_of_a_vni_that_is_not_ours_on_a_shared_device_are_seen_by_no_kind() -> None:
    rows = [bridge_row(30), vxlan_row(OTHER, VTEP), vxlan_row(OTHER, VTEP, ZERO_MAC)]

    assert FDB.recognise(rows, ATTACHMENTS) == {}
    assert FLOOD.recognise(rows, ATTACHMENTS) == {}


def test_every_message_of_a_kind_names_the_vlan_of_the_bridge_half_and_the_source_vni_of_the_other() -> None:
    written = [
        *FDB.spell(Change("create", [(BLUE, MAC)], FdbRow(VTEP)), ATTACHMENTS),
        *FDB.spell(Change("delete", [(BLUE, MAC)], FdbRow(VTEP)), ATTACHMENTS),
        *FLOOD.spell(Change("create", [(BLUE, VTEP, BLUE)], FloodRow()), ATTACHMENTS),
    ]

    messages = [message for turn in written for message in turn]
    assert len(messages) == 4
    assert {message.port for message in messages} == {DEVICE}
    assert [(message.vlan, message.src_vni) for message in messages] == [
        (20, BLUE),
        (20, None),
        (None, BLUE),
        (None, BLUE),
    ]
