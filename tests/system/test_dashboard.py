"""The dashboard and the alerts are evaluated by a real Prometheus, on what a real leaf tells before and during a failure."""

import contextlib
import http.client
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.lab.broken import FABRIC, A, B, C, Leaf, leaf_in_lab
from tests.lab.wait import wait_until
from tests.lab.wire import Instance

pytestmark = [pytest.mark.root_netns, pytest.mark.slow]

CONTRIB = Path(__file__).parents[2] / "contrib"
MAC = "02:00:00:00:00:0a"
READ = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:9479/metrics').read().decode())"
VARIABLES = {"$job": "vtep", "$instance": ".*", "$vni": ".*", "$__rate_interval": "5m"}
STEP_S, STEPS = 15, 40


def broken(leaf: Leaf) -> None:
    """Break the underlay, and have another leaf send a route that does not fit; a session is down as well."""
    leaf.announce(B, Instance(B, targets=("65000:999",)).mac(MAC))
    leaf.node.ip(f"route del {FABRIC}")
    leaf.go_down(C, "closing connection")
    wait_until(lambda: 'state="vtep-unreachable"} 1' in leaf.node.run("python3", "-c", READ), 20, "the metric")


def series(text: str, at: int) -> list[str]:
    """Return the samples of a scrape as they are stored: with the labels that a scrape adds, and the time."""
    found = [f'up{{job="vtep",instance="leaf1"}} 1 {at}']
    for name, labels, value in re.findall(r"^(\w+)(?:{(.*)})? (\S+)$", text, re.MULTILINE):
        found.append(f'{name}{{job="vtep",instance="leaf1"{"," if labels else ""}{labels}}} {value} {at}')
    return found


def ask(port: int, path: str, **parameters: object) -> Any:
    """Return the data of an answer. Prometheus answers with 503 as long as it starts."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as asking:
        asking.request("GET", f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        answer = json.loads(asking.getresponse().read())
    assert answer["status"] == "success", answer
    return answer["data"]


def test_every_panel_and_alert_is_answered_by_prometheus_and_the_failure_is_seen(tmp_path):
    if shutil.which("prometheus") is None:
        pytest.skip("needs promtool: install prometheus")
    with leaf_in_lab() as leaf:
        leaf.announce(A, Instance(A).mac(MAC))
        wait_until(lambda: leaf.installed(MAC, A), 20, "the row")
        before = leaf.node.run("python3", "-c", READ)
        broken(leaf)
        during = leaf.node.run("python3", "-c", READ)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    now = int(time.time())
    times = [now - (STEPS - step) * STEP_S for step in range(STEPS + 1)]
    samples = [line for at in times for line in series(before if at < times[STEPS // 2] else during, at)]
    (tmp_path / "samples").write_text("\n".join([*samples, "# EOF\n"]))
    (tmp_path / "empty.yml").write_text("{}")
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "samples", "data"], cwd=tmp_path, check=True,
        capture_output=True,
    )  # fmt: skip
    daemon = subprocess.Popen(
        ["prometheus", "--config.file=empty.yml", "--storage.tsdb.path=data", "--storage.tsdb.retention.time=10d",
         f"--web.listen-address=127.0.0.1:{port}"], cwd=tmp_path, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: ask(port, "query", query="up", time=now), 20, "an answer of prometheus")
        dashboard = json.loads((CONTRIB / "grafana/vtep.json").read_text())
        shown = {}
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                query = target["expr"]
                for name, value in VARIABLES.items():
                    query = query.replace(name, value)
                shown.setdefault(panel["title"], []).append(ask(port, "query", query=query, time=now)["result"])
        alerts = YAML(typ="safe").load(CONTRIB / "prometheus/vtep.rules.yml")["groups"][0]["rules"]
        firing = {one["alert"] for one in alerts if ask(port, "query", query=one["expr"], time=now)["result"]}
    finally:
        daemon.terminate()
        daemon.wait(20)

    # No MAC moved, and ExaBGP's part is played by hand, so nothing can be advertised.
    assert {title for title, results in shown.items() if not any(results)} <= {
        "MACs that moved",
        "Kernel refusals",
        "Neighbors",
    }
    assert {one["metric"]["code"] for one in shown["Problems"][0]} >= {"vtep-unreachable", "session-down"}
    assert [one["metric"]["state"] for one in shown["Underlay"][0]] == ["vtep-unreachable"]
    assert int(shown["Sessions down"][0][0]["value"][1]) == 1
    assert firing >= {"VtepUnderlay", "VtepDegraded", "VtepSessionDown"}
    assert "VtepNotReady" not in firing
