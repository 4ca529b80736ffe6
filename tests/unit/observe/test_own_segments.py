"""What may be read of a segment of ours: its port, the designated forwarder and the filter of each VNI, and the words for its MACs."""

import argparse
import errno

import pytest
from msgspec import structs

from tests.lab.memory import MemoryLeaf
from tests.lab.wire import Instance
from vtep.addr import Esi, Mac, Vni
from vtep.api.grpc.segments import SegmentCalls
from vtep.cli.segments import own_cells, with_own
from vtep.evpn.station import Station
from vtep.local.segment_ports import FILTER_MISSING, PORT_DOWN, PortStatus
from vtep.observe import segments
from vtep.observe.problems import problems
from vtep.observe.turns import Turns
from vtep.projection.policy import DOWN, FORWARDING, WAITING, SegmentState
from vtep.v1 import vtep_pb2 as pb

ESI = Esi.parse("03:02:00:00:00:00:42:00:00:01")
PEER, MAC = "10.0.0.100", "02:ce:00:00:00:01"
CONFIG = f"""
[node]
vtep = "10.0.0.99"
[[vni]]
vni = 100
bridge = "br100"
vxlan = "vxlan100"
import_rt = ["65000:100"]
[[vni]]
vni = 201
bridge = "br201"
vxlan = "vxlan201"
import_rt = ["65000:100"]
[[segment]]
esi = "{ESI}"
port = "es0"
"""
PORTS = ((Vni(100), "es0.100"), (Vni(201), "es0.201"))


class Rig(MemoryLeaf):
    def be(self, state, why=""):
        self.leaf.set_segments({ESI: SegmentState(state, "es0", PORTS)})
        self.observer.segment_ports = (PortStatus(ESI, "es0", state, why),)
        self.judge()
        self.step()

    def announce_member(self, vtep="10.0.0.2"):
        one = Instance(vtep)
        self.receive(
            self.lines.announce(
                PEER,
                one.ethernet_ad(ESI, tag=0xFFFFFFFF),
                one.segment(ESI),
                one.mac(MAC, esi=ESI),
            )
        )

    def ask(self, **fields):
        call = SegmentCalls(self.observer, Turns()).handlers["ListSegments"]
        return self.wait_for(call(pb.ListSegmentsRequest(**fields), None))


@pytest.fixture
def rig():
    with Rig(CONFIG) as rig:
        rig.come_up(PEER)
        rig.leaf.set_advertising(frozenset({Vni(100), Vni(201)}))
        yield rig


def test_a_segment_of_ours_has_its_port_its_forwarder_and_its_filters(rig):
    rig.be(FORWARDING)
    rig.announce_member()

    [own] = rig.ask().own

    assert (own.esi, own.port, own.state, own.reason) == (str(ESI), "es0", "forwarding", "")
    assert list(own.vteps) == ["10.0.0.2"]
    forwarders = {one.vni: (one.port, one.forwarder, one.ours, one.filter, one.sync.state) for one in own.vnis}
    assert set(forwarders) == {100, 201}
    assert {ours for _, _, ours, _, _ in forwarders.values()} == {True, False}
    for port, forwarder, ours, state, sync in forwarders.values():
        assert port.startswith("es0.")
        assert (forwarder, state) == (("10.0.0.99", "df") if ours else ("10.0.0.2", "non-df"))
        assert sync == pb.SYNC_STATE_INSTALLED


def test_a_filter_that_the_kernel_refuses_is_not_confirmed(rig):
    rig.kernel.nft.refuse = errno.EPERM
    rig.be(FORWARDING)

    [own] = rig.ask(vni=100).own

    assert [one.vni for one in own.vnis] == [100]
    assert own.vnis[0].sync.state not in (pb.SYNC_STATE_INSTALLED, pb.SYNC_STATE_UNSPECIFIED)


@pytest.mark.parametrize("unavailable", [False, True])
def test_a_filter_that_vtep_is_not_to_write_keeps_no_segment_from_being_advertised(unavailable):
    with Rig(CONFIG + 'filter = "none"\n') as rig:
        rig.kernel.nft.refuse = errno.EOPNOTSUPP if unavailable else 0
        rig.be(FORWARDING)
        [own] = rig.ask(vni=100).own
    assert [(one.sync.state, one.sync.reason) for one in own.vnis] == [(pb.SYNC_STATE_SUPPRESSED, "filter-none")]


def test_only_what_was_asked_for_is_there(rig):
    rig.be(WAITING)

    assert len(rig.ask(esi=str(ESI)).own) == 1
    assert len(rig.ask(esi="03:00:00:00:00:00:00:00:00:09").own) == 0
    assert len(rig.ask(vni=300).own) == 0


def test_an_answer_has_a_bounded_number_of_vnis_and_counts_the_others(rig, monkeypatch):
    monkeypatch.setattr(segments, "OWN_VNIS_MAX", 1)
    rig.be(WAITING)

    [own] = rig.ask().own

    assert ([one.vni for one in own.vnis], own.vnis_left_out) == ([100], 1)


def test_a_port_that_is_down_says_why_the_segment_is_not_advertised(rig):
    rig.be(DOWN, PORT_DOWN)

    [own] = rig.ask().own

    assert (own.state, own.reason) == ("down", "segment-down")
    assert "carrier" in own.text


def test_a_mac_on_a_segment_that_is_not_advertised_is_explained_with_the_reason(rig):
    rig.be(FORWARDING)
    rig.announce_member()
    rig.observer.segment_ports = (PortStatus(ESI, "es0", "starting", FILTER_MISSING),)

    summary = rig.explain(MAC, 100).summary

    assert "It is not advertised (filter-missing): the filters of the port are not in the kernel." in summary


def test_the_table_has_a_line_for_each_vni_or_one_for_a_segment_without_any():
    up = pb.OwnSegment(
        esi=str(ESI),
        port="es0",
        state="forwarding",
        vteps=["10.0.0.2"],
        vnis=[
            pb.OwnSegmentVni(
                vni=100, port="es0", forwarder="10.0.0.99", ours=True, filter="df",
                sync=pb.Sync(state=pb.SYNC_STATE_INSTALLED),
            ),
            pb.OwnSegmentVni(
                vni=200, port="es0", forwarder="10.0.0.2", filter="non-df",
                sync=pb.Sync(state=pb.SYNC_STATE_SUPPRESSED, reason="no-filters"),
            ),
        ],
    )  # fmt: skip
    down = pb.OwnSegment(esi=str(ESI), port="es1", state="down", reason="segment-down")

    assert own_cells([up, down]) == [
        (str(ESI), "es0", "forwarding", "100", "this leaf", "df", "installed", "10.0.0.2", ""),
        (str(ESI), "es0", "forwarding", "200", "10.0.0.2", "non-df", "suppressed", "10.0.0.2", "no-filters"),
        (str(ESI), "es1", "down", "-", "-", "-", "-", "-", "segment-down"),
    ]


@pytest.mark.parametrize(("output", "printed"), [("table", 1), ("json", 0)])
def test_our_segments_are_printed_once_and_every_page_names_them(output, printed, capsys):
    own = pb.OwnSegment(esi=str(ESI), port="es0", state="down", reason="segment-down")
    answers = [pb.ListSegmentsResponse(own=[own], next_page_token="x"), pb.ListSegmentsResponse()]

    pages = list(with_own(argparse.Namespace(output=output), answers))

    assert [len(page.own) for page in pages] == [1, 1]
    assert capsys.readouterr().out.count("segment-down") == printed


def test_a_mac_on_our_segment_is_explained_with_the_others_and_the_forwarder(rig):
    rig.be(FORWARDING)
    rig.announce_member()
    forwarders = {one.vni: "this leaf" if one.ours else one.forwarder for one in rig.ask().own[0].vnis}

    summary = rig.explain(MAC, 100).summary

    assert f"Ethernet segment {ESI} is here, on port es0 (forwarding), and behind 10.0.0.2; " in summary
    assert f"{forwarders[100]} is the designated forwarder of VNI 100." in summary


def test_a_mac_on_our_segment_says_that_no_flood_passes_while_the_port_joins(rig):
    rig.be(WAITING)
    rig.announce_member()

    assert "no flooded frame of VNI 100 passes yet." in rig.explain(MAC, 100).summary


def test_the_counters_of_the_filters_are_there_when_the_tables_are(rig):
    assert rig.observer.filter_drops() == {}

    rig.be(FORWARDING)
    assert rig.observer.filter_drops() == {"blocked": 0, "bias": 0, "joining": 0, "standby": 0}
    assert rig.observer.figures().segments == {"forwarding": 1}
    assert sum(rig.observer.figures().segment_vnis.values()) == 2
    rig.be(WAITING)
    assert rig.observer.figures().segment_vnis == {(str(ESI), "joining"): 2}

    rig.kernel.nft.flush_ruleset()
    assert rig.observer.filter_drops() == {}


def test_the_row_below_a_mac_of_ours_counts_while_another_vtep_is_on_its_segment(rig):
    rig.kernel.add_port("es0.100", "br100")
    rig.leaf.learn_stations([Station(Vni(100), Mac.parse(MAC), "es0.100")])
    rig.be(FORWARDING)

    def counted():
        overall = rig.observer.status().kinds["mac"]
        [of_vni] = (vni.macs for vni in rig.observer.vnis() if vni.vni == 100)
        return (overall.wanted, overall.pending), (of_vni.wanted, of_vni.pending)

    assert counted() == ((0, 0), (0, 0))
    rig.announce_member()
    rig.receive(rig.lines.announce(PEER, Instance("10.0.0.2").ethernet_ad(ESI, tag=0, label=100)))
    rig.step()
    assert counted() == ((1, 0), (1, 0))


def test_a_vni_whose_device_takes_no_group_makes_a_leaf_with_a_segment_degraded(rig):
    rig.be(FORWARDING)
    assert "nexthops-unsafe" not in [one.code for one in problems(rig.observer.status())]

    vxlan = rig.kernel.links().by_name["vxlan100"].vxlan
    rig.kernel.change("vxlan100", vxlan=structs.replace(vxlan, proxy=True))
    rig.actor.look_around()
    rig.step()
    [found] = [one for one in problems(rig.observer.status()) if one.code == "nexthops-unsafe"]
    assert (found.weight, found.text.split(":")[0]) == ("degraded", "VNI 100")


def test_a_mac_that_another_vtep_has_seen_is_explained_and_listed_with_the_stations(rig):
    rig.be(FORWARDING)
    rig.announce_member()
    rig.judge()
    rig.step()

    explanation = rig.explain(MAC, 100)
    assert "Another VTEP of it has seen the MAC, so it has a row at port es0.100" in explanation.summary
    assert "this leaf advertises it as a proxy until the machine speaks here." in explanation.summary
    page = rig.wait_for(rig.observer.stations(Vni(100), None, 10))
    assert [(one.mac, one.port) for one in page.rows] == [(Mac.parse(MAC), "es0.100")]
