"""The dashboard and the alert rules ask for metrics that there are, and their documents name what there is."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from tests.lab.served import leaf
from vtep.api.metrics import Metrics

ROOT = Path(__file__).parents[2]
RULES = ROOT / "contrib/prometheus/vtep.rules.yml"
DASHBOARD = ROOT / "contrib/grafana/vtep.json"
MANUAL = ROOT / "docs/operate.md"
METRIC = re.compile(r"\b(?:vtep|process)_[a-z_]+\b")
SELECTOR = re.compile(r"\b((?:vtep|process)_[a-z_]+)\{([^}]*)\}")


def rules():
    (group,) = YAML(typ="safe").load(RULES)["groups"]
    return group["rules"]


def panels():
    return json.loads(DASHBOARD.read_text())["panels"]


def expressions():
    dashboard = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    variables = [each["definition"] for each in json.loads(DASHBOARD.read_text())["templating"]["list"][1:]]
    return dashboard + variables + [rule["expr"] for rule in rules()]


@pytest.fixture(scope="module")
def scraped():
    """The labels of every sample there is, by its name; a scrape adds job and instance."""
    found = {}
    for family in text_string_to_metric_families(Metrics(leaf()).text().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {"job", "instance"}).update(sample.labels)
    return found


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_that_is_asked_for_is_there_with_the_labels_that_are_asked_for(expression, scraped):
    names = set(METRIC.findall(expression))
    labels = {name: set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", inner)) for name, inner in SELECTOR.findall(expression)}

    assert names - scraped.keys() == set()
    assert {name: asked - scraped[name] for name, asked in labels.items() if asked - scraped[name]} == {}


def test_panels_lie_side_by_side_and_each_is_of_the_chosen_data_source():
    taken = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = (
            {(place["x"] + right, place["y"] + down) for right in range(place["w"]) for down in range(place["h"])}
            if panel["type"] != "row"
            else {(column, place["y"]) for column in range(24)}
        )
        assert not cells & taken, panel["title"]
        assert max(column for column, _ in cells) < 24
        taken |= cells
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${datasource}"


def test_no_two_panels_have_one_number():
    numbers = [panel["id"] for panel in panels()]

    assert len(numbers) == len(set(numbers))


def test_the_manual_explains_every_alert_and_no_other():
    section = MANUAL.read_text().partition("\n## Alerts\n")[2].partition("\n## ")[0]

    assert re.findall(r"^\| <a id=\"vtep\w+\"></a>(Vtep\w+) \|", section, re.MULTILINE) == sorted(
        (rule["alert"] for rule in rules()), key=section.index
    )


def test_every_alert_has_a_case_in_which_it_fires():
    cases = (RULES.parent / "vtep.rules.test.yml").read_text()
    fires = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n", cases))

    assert {rule["alert"] for rule in rules()} <= fires


def test_every_runbook_names_a_section_that_there_is():
    for rule in rules():
        path, section = re.match(r'(docs/\w+\.md), "([^"]+)"', rule["annotations"]["runbook"]).groups()
        headings = re.findall(r"^##+ (.+)$", (ROOT / path).read_text(), re.MULTILINE)
        assert section in headings, rule["alert"]


def anchors(page):
    """Return where a link may lead in a page: its headings, as GitHub and others name them, and what has an id."""
    text = page.read_text()
    headings = re.findall(r"^##+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings} | set(
        re.findall(r'<a id="([^"]+)">', text)
    )


def test_every_runbook_url_leads_to_a_place_that_there_is_below_a_base_that_can_be_set():
    base = re.escape('{{ or $externalLabels.vtep_docs "file:///usr/share/doc/vtep" }}')
    for rule in rules():
        page, anchor = re.fullmatch(rf"{base}/(\w+\.md)#([\w-]+)", rule["annotations"]["runbook_url"]).groups()
        assert anchor in anchors(ROOT / "docs" / page), rule["alert"]


@pytest.mark.parametrize("words", [("check", "rules", "vtep.rules.yml"), ("test", "rules", "vtep.rules.test.yml")])
def test_prometheus_itself_takes_the_rules_and_they_fire_when_they_should(words):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool: install prometheus")

    done = subprocess.run([promtool, *words], cwd=RULES.parent, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr
