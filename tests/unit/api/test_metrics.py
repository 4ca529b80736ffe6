"""What a scrape says of a scripted source, read back by Prometheus' own parser."""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from tests.lab.served import leaf
from vtep.addr import Ip, Vni
from vtep.api.grpc.messages import get_status_response
from vtep.api.metrics import VNI_SERIES_MAX, Metrics
from vtep.observe.model import VrfStatus
from vtep.store.histogram import Histogram

LABELS = {
    "vtep_build_info": {"version", "python"},
    "vtep_ready": set(),
    "vtep_degraded": set(),
    "vtep_problems": {"weight", "code"},
    "vtep_routes_refused": {"peer", "reason"},
    "vtep_managed_devices_amiss": {"reason"},
    "vtep_complete": set(),
    "vtep_generation": set(),
    "vtep_generation_applied": set(),
    "vtep_bgp_session_up": {"peer"},
    "vtep_routes": {"type", "state"},
    "vtep_routes_over_limit": {"peer"},
    "vtep_routes_over_mac_limit": {"peer"},
    "vtep_bgp_session_reset": {"peer"},
    "vtep_rows": {"kind", "state"},
    "vtep_macs": {"vni", "state"},
    "vtep_macs_over_limit": {"vni"},
    "vtep_vteps_over_limit": {"vni"},
    "vtep_vteps_limit_used_ratio": {"vni"},
    "vtep_remote_vteps": {"vni"},
    "vtep_neighbors": {"vni", "family"},
    "vtep_vnis": {"state"},
    "vtep_vni_ready": {"vni"},
    "vtep_vrfs": {"state"},
    "vtep_vrf_prefixes": {"vrf"},
    "vtep_vrf_nexthops": {"vrf"},
    "vtep_vrf_router_mac_conflicts": {"vrf"},
    "vtep_vrf_prefixes_over_limit": {"vrf"},
    "vtep_kernel_ops_total": {"op", "result"},
    "vtep_kernel_op_seconds": set(),
    "vtep_reconcile_seconds": set(),
    "vtep_install_latency_seconds": set(),
    "vtep_drift_repaired_total": {"kind"},
    "vtep_foreign_rows": {"vni"},
    "vtep_underlay_vteps": {"state"},
    "vtep_orphan_rows": set(),
    "vtep_segments": {"state"},
    "vtep_segment_vnis": {"esi", "filter"},
    "vtep_filter_dropped_frames_total": {"filter"},
    "vtep_listeners_closed": set(),
    "vtep_ledger_octets": {"file"},
    "vtep_ledger_records": {"file"},
    "vtep_ledger_writable": {"file"},
    "vtep_mac_moves_total": {"vni"},
    "vtep_duplicate_macs": {"vni"},
    "vtep_netlink_overruns_total": set(),
    "vtep_observe_differences": {"kind", "reason"},
    "vtep_bmp_routers": set(),
    "vtep_bmp_ignored_messages_total": {"why"},
    "vtep_peers_forgotten_total": set(),
    "vtep_input_backlog": set(),
    "vtep_feed_attached": set(),
    "vtep_announce_able": set(),
    "vtep_announce_routes": {"state"},
    "vtep_announce_since_timestamp_seconds": set(),
    "vtep_lines_total": set(),
    "vtep_bad_lines_total": set(),
    "vtep_last_update_timestamp_seconds": set(),
    "vtep_config_reload_success_timestamp_seconds": set(),
    "vtep_config_last_reload_successful": set(),
}
"""Each metric, and its labels: none of them is a MAC, a route distinguisher or a remote VTEP."""
ROOT = Path(__file__).parents[3]


def scraped(source):
    """Return every sample by its name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(Metrics(source).text().decode())
        for sample in family.samples
    }


def labels_of(source):
    found = {}
    for name, *labels in scraped(source):
        plain = re.sub(r"_(bucket|sum|count)$", "", name)
        found.setdefault(plain, set()).update(label for label, _ in labels if label != "le")
    return {name: labels for name, labels in found.items() if name.startswith("vtep_")}


def test_every_metric_is_there_with_its_labels_and_no_other():
    source = leaf()
    source.become(devices={"br100": "device-not-ours"})
    source.routed = (vrf("blue", 4001),)

    assert labels_of(source) == LABELS


def vrf(name, vni, state="ready", prefixes=0):
    return VrfStatus(
        name, Vni(vni), Ip.parse("10.0.0.99"), f"vx{vni}", f"br{vni}", state, (), (), vni, None, prefixes, 3, 2, 1
    )


def test_each_vrf_has_its_figures_and_very_many_have_their_sums():
    source = leaf()
    source.routed = (vrf("blue", 4001, prefixes=7), vrf("red", 4002, "not-ready"))
    seen = scraped(source)
    assert seen["vtep_vrfs", ("state", "ready")] == seen["vtep_vrfs", ("state", "not-ready")] == 1
    assert (seen["vtep_vrf_prefixes", ("vrf", "blue")], seen["vtep_vrf_prefixes", ("vrf", "red")]) == (7, 0)
    assert seen["vtep_vrf_router_mac_conflicts", ("vrf", "blue")] == 1

    source.routed = tuple(vrf(f"customer{number}", number, prefixes=2) for number in range(1, 502))
    seen = scraped(source)
    assert seen["vtep_vrf_prefixes", ("vrf", "all")] == 1002
    assert ("vtep_vrf_prefixes", ("vrf", "customer1")) not in seen


def test_every_metric_is_in_the_operators_table_and_no_other():
    documented = set(re.findall(r"^\| `(vtep_\w+)`", (ROOT / "docs/reference.md").read_text(), re.MULTILINE))

    assert documented == set(LABELS)


def test_the_process_itself_is_measured():
    assert scraped(leaf())["process_open_fds",] > 0


def test_no_label_has_a_mac_or_a_route_distinguisher():
    labels = [label for _, *found in scraped(leaf(macs=100)) for label in found]
    # The segments of this leaf are configured, so the operator decides how many there are.
    values = " ".join(value for name, value in labels if name != "esi")

    assert not re.search(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", values)
    assert "10.0.0.1:100" not in values


def test_a_hundred_macs_more_are_no_series_more():
    assert scraped(leaf(macs=100)).keys() == scraped(leaf()).keys()


def test_the_states_of_macs_add_up_to_what_is_wanted():
    source = leaf(macs=10)
    seen = scraped(source)

    macs = {key[1][1]: value for key, value in seen.items() if key[0] == "vtep_macs" and ("vni", "100") in key}
    assert macs == {"installed": 13, "stale": 1, "pending": 1, "failed": 1, "contested": 1, "suppressed": 1}
    assert sum(macs.values()) == source.vnis()[0].macs.wanted


def test_readiness_and_the_feed_are_those_of_the_status():
    source = leaf(troubled=False)
    before = scraped(source)
    source.become(complete=False, feed=replace(source.status().feed, attached=False, last_line=None))
    after = scraped(source)

    assert (before["vtep_ready",], after["vtep_ready",]) == (1, 0)
    assert (before["vtep_feed_attached",], after["vtep_feed_attached",]) == (1, 0)
    assert before["vtep_last_update_timestamp_seconds",] == source.wall(source.now - 1)
    assert ("vtep_last_update_timestamp_seconds",) not in after


def test_managed_devices_that_are_not_as_wanted_are_counted_and_listed():
    source = leaf()
    source.become(devices={"vxlan100": "permanent-error", "br100": "device-not-ours", "br200": "device-not-ours"})

    seen = scraped(source)
    listed = get_status_response(source.status(), source.wall).devices

    assert seen["vtep_managed_devices_amiss", ("reason", "device-not-ours")] == 2
    assert seen["vtep_managed_devices_amiss", ("reason", "permanent-error")] == 1
    assert [(one.device, one.reason) for one in listed][::2] == [
        ("br100", "device-not-ours"),
        ("vxlan100", "permanent-error"),
    ]


def test_the_segments_of_this_leaf_have_states_and_drops():
    seen = scraped(leaf())

    assert seen["vtep_segments", ("state", "forwarding")] == 1
    assert seen["vtep_segment_vnis", ("esi", "03:02:00:00:00:00:42:00:00:01"), ("filter", "df")] == 1
    assert seen["vtep_filter_dropped_frames_total", ("filter", "blocked")] == 7


def test_buckets_of_a_histogram_are_cumulative_and_end_with_everything():
    source = leaf()
    histogram = Histogram((0.1, 1.0))
    for value in (0.05, 0.5, 0.5, 7.0):
        histogram.observe(value)
    source.counted = replace(source.counted, install_s=histogram.snapshot())

    seen = scraped(source)

    name = "vtep_install_latency_seconds"
    assert [seen[f"{name}_bucket", ("le", le)] for le in ("0.1", "1.0", "+Inf")] == [1, 3, 4]
    assert seen[f"{name}_count",] == 4
    assert seen[f"{name}_sum",] == pytest.approx(8.05)


def test_an_unbound_vni_is_neither_ready_nor_not():
    seen = scraped(leaf())

    assert seen["vtep_vni_ready", ("vni", "100")] == 1
    assert seen["vtep_vni_ready", ("vni", "200")] == 0
    assert ("vtep_vni_ready", ("vni", "300")) not in seen
    assert seen["vtep_vnis", ("state", "unbound")] == 1


def test_a_leaf_with_very_many_vnis_has_sums_in_place_of_series():
    source = leaf()
    plain = source.vnis()[0]
    source.seen_vnis = [replace(plain, vni=Vni(1000 + number)) for number in range(VNI_SERIES_MAX + 1)]
    many = scraped(source)
    source.seen_vnis = source.seen_vnis[:VNI_SERIES_MAX]
    most = scraped(source)

    assert {key[-1][1] for key in many if ("vni" in dict(key[1:]))} == {"all"}
    assert many["vtep_remote_vteps", ("vni", "all")] == 2 * (VNI_SERIES_MAX + 1)
    assert many["vtep_mac_moves_total", ("vni", "all")] == 5
    assert "vtep_vni_ready" not in {key[0] for key in many}
    assert most["vtep_remote_vteps", ("vni", "1000")] == 2
