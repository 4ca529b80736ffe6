"""The waist: what is told of a MAC, whether the row alone says it or a list does."""

from vtep.addr import NO_SEGMENT, Esi, Ip, Mac, RouteDistinguisher, Vni
from vtep.intent import NOTHING, Candidate, Direct, Intent, RemoteMac, candidates_of, keys_of
from vtep.store.table import Table

A = Ip.parse("10.0.0.1")
MAC = Mac.parse("02:00:00:00:00:01")
RD = RouteDistinguisher.parse("10.0.0.1:100")
E1 = Esi.parse("03:00:00:00:00:00:00:00:00:01")

ROW = RemoteMac(Vni(100), MAC, Direct(A), "only-path", seq=3, sticky=True, stale=True, peer=A, rd=RD, notes=("stale",))


def refused(vni: int) -> Candidate:
    return Candidate(
        vni=Vni(vni), mac=MAC, vtep=A, verdict="refused", reason="rt-mismatch", seq=0, sticky=False, stale=False,
        peer=A, rd=RD, ip=None, esi=NO_SEGMENT, label=vni,
    )  # fmt: skip


def test_a_row_that_says_it_all_is_told_as_its_only_candidate() -> None:
    intent = Intent(judged=Table([(MAC, ROW)]))

    assert candidates_of(intent, MAC) == (
        Candidate(
            vni=Vni(100), mac=MAC, vtep=A, verdict="won", reason="only-path", seq=3, sticky=True, stale=True,
            peer=A, rd=RD, ip=None, esi=NO_SEGMENT, label=100, notes=("stale",),
        ),
    )  # fmt: skip
    assert keys_of(intent, MAC) == {(100, MAC)}


def test_several_candidates_are_told_as_they_are() -> None:
    intent = Intent(judged=Table([(MAC, (refused(100), refused(200), refused(200)))]))

    assert candidates_of(intent, MAC) == (refused(100), refused(200), refused(200))
    assert keys_of(intent, MAC) == {(100, MAC), (200, MAC)}


def test_of_an_unknown_mac_nothing_is_told() -> None:
    assert (candidates_of(NOTHING, MAC), keys_of(NOTHING, MAC)) == ((), set())


def test_the_place_of_a_mac_is_its_segment_if_it_has_one() -> None:
    on_segment = RemoteMac(Vni(100), MAC, Direct(A), "same-es", 0, False, False, A, RD, segment=E1)

    assert (ROW.location, on_segment.location, ROW.key) == (A, E1, (100, MAC))


def test_nothing_is_incomplete_and_says_why() -> None:
    assert (NOTHING.generation, NOTHING.complete, NOTHING.why) == (0, False, "no peer has sent its routes yet")
