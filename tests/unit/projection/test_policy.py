"""What a leaf imports, looked up and remembered."""

import pytest

from vtep.addr import Ip, RouteTarget
from vtep.config import file as config
from vtep.evpn.attributes import Attributes
from vtep.projection import policy
from vtep.projection.imports import may_import
from vtep.projection.policy import Policy, is_wildcard_only

LEAF = """
node = { vtep = "10.0.0.99" }
[[vni]]
vni = 100
import_rt = ["65000:100", "*:7"]
[[vni]]
vni = 200
import_rt = ["65000:100", "65000:200"]
"""


def targets(*texts: str) -> tuple[RouteTarget, ...]:
    return tuple(map(RouteTarget.parse, texts))


@pytest.mark.parametrize(
    ("texts", "vnis"),
    [
        ((), set()),
        (("65000:9",), set()),
        (("65000:100",), {100, 200}),
        (("65000:9", "65000:200"), {200}),
        (("1:7",), {100}),
        (("1:7", "65000:200"), {100, 200}),
    ],
    ids=str,
)
def test_a_vni_imports_what_matches_any_of_its_targets(texts: tuple[str, ...], vnis: set[int]) -> None:
    ours = Policy(config.parse(LEAF))

    assert ours.imports(targets(*texts)) == vnis
    assert ours.imports(targets(*texts)) == vnis


def test_a_route_target_is_read_once_however_many_vnis_there_are() -> None:
    """A leaf may have 4,000 VNIs, each with a Route Target of its own."""

    class Read(RouteTarget):
        times = 0

        @property
        def assigned(self) -> int:
            Read.times += 1
            return super().assigned

    ours = Policy(config.parse(LEAF))

    assert (ours.imports((Read(RouteTarget.parse("1:7")),)), Read.times) == ({100}, 1)


def test_an_exact_match_beside_a_wildcard_is_exact() -> None:
    imports = config.parse(LEAF).vnis[0].imports

    assert is_wildcard_only(imports, targets("1:7"))
    assert not is_wildcard_only(imports, targets("1:7", "65000:100"))


def test_the_memory_is_bounded_and_answers_stay_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "REMEMBERED_MAX", 2)
    ours = Policy(config.parse(LEAF))
    hops = [Ip.parse(f"10.0.0.{number}") for number in (98, 99, 100)] * 2

    assert [ours.refused_next_hop(hop) for hop in hops] == ["", "self-vtep", ""] * 2
    assert len(ours._next_hops) <= 2


def test_many_route_targets_take_the_room_of_many_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer may send 480 in one route, and others in the next one."""
    monkeypatch.setattr(policy, "REMEMBERED_MAX", 100)
    ours = Policy(config.parse(LEAF))
    for number in range(10):
        many = targets(*(f"{number}:{other}" for other in range(480)), "65000:200")
        assert may_import(Attributes(Ip.parse("10.0.0.1"), many), Ip.parse("10.0.0.1"), 200, 0, ours)[0].refusal == ""

    assert sum(map(len, ours._imports)) <= 2 * 481


BUNDLE = """
node = { vtep = "10.0.0.99" }
[[vni]]
vni = 1010
tag = 10
import_rt = ["65000:1"]
[[vni]]
vni = 1020
tag = 20
import_rt = ["65000:1"]
"""


@pytest.mark.parametrize(
    ("label", "tag", "verdicts"),
    [
        (1010, 10, {1010: ""}),
        (1020, 20, {1020: ""}),
        (1010, 20, {1010: "tag-mismatch"}),
        (1010, 0, {1010: "tag-mismatch"}),
        (1030, 10, {1010: "vni-mismatch", 1020: "vni-mismatch"}),
    ],
)
def test_of_a_bundle_with_one_target_each_route_is_for_the_vni_with_its_label_and_tag(
    label: int, tag: int, verdicts: dict[int, str]
) -> None:
    """As rustbgpd has VLAN-aware bundles: one Route Target for all VLANs, the VNI in the label and the VLAN in the tag."""
    attributes = Attributes(Ip.parse("10.0.0.1"), targets("65000:1"))

    found = may_import(attributes, attributes.next_hop, label, tag, Policy(config.parse(BUNDLE)))

    assert {verdict.vni: verdict.refusal for verdict in found} == verdicts
