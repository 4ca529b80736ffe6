"""The waist: the candidates of a MAC, and rows that changed in the same way."""

from msgspec.structs import replace

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, RouteDistinguisher, Vni
from vtep.intent import NOTHING, Candidate, Direct, Intent, RemoteMac, RowChange, candidates_of, keys_of, row_changes
from vtep.store.table import Table

A, B = Ip.parse("10.0.0.1"), Ip.parse("10.0.0.2")
MAC = Mac.parse("02:00:00:00:00:01")
RD = RouteDistinguisher.parse("10.0.0.1:100")
E1 = Esi.parse("03:00:00:00:00:00:00:00:00:01")

ROW = RemoteMac(Vni(100), Direct(A), "only-path", seq=3, sticky=True, stale=True, peer=A, rd=RD, notes=("stale",))


def refused(vni: int) -> Candidate:
    return Candidate(
        vni=Vni(vni), vtep=A, verdict="refused", reason="rt-mismatch", seq=0, sticky=False, stale=False,
        peer=A, rd=RD, ip=None, esi=NO_SEGMENT, label=vni,
    )  # fmt: skip


def test_several_candidates_are_told_as_they_are() -> None:
    intent = Intent(judged=Table([(MAC, (refused(100), refused(200), refused(200)))]))

    assert candidates_of(intent, MAC) == (refused(100), refused(200), refused(200))
    assert keys_of(intent, MAC) == {(100, MAC), (200, MAC)}


def test_of_an_unknown_mac_nothing_is_told() -> None:
    assert (candidates_of(NOTHING, MAC), keys_of(NOTHING, MAC)) == ((), set())


def test_the_place_of_a_mac_is_its_segment_if_it_has_one() -> None:
    on_segment = RemoteMac(Vni(100), Direct(A), "same-es", 0, False, False, A, RD, segment=E1)

    assert (ROW.location, on_segment.location) == (A, E1)


def test_rows_that_share_their_values_before_and_after_changed_together() -> None:
    keys = [(Vni(100), Mac(bytes((2, 0, 0, 0, 0, number)))) for number in range(4)]
    moved = replace(ROW, via=Direct(B))
    before = Intent(macs=Table([(keys[0], ROW), (keys[1], ROW), (keys[2], moved)]))
    changes = {keys[0]: moved, keys[1]: moved, keys[2]: None, keys[3]: ROW}
    intent = Intent(macs=before.macs.changed(changes), touched=tuple(keys))

    assert row_changes(before, intent) == [
        RowChange(ROW, moved, keys[:2]), RowChange(moved, None, keys[2:3]), RowChange(None, ROW, keys[3:]),
    ]  # fmt: skip


def test_nothing_is_incomplete_and_says_why() -> None:
    assert (NOTHING.generation, NOTHING.complete, NOTHING.why) == (0, False, "no peer has sent its routes yet")
