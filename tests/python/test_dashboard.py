"""What operators are given fits what the server exports: the dashboard, the alerts, the table in docs/operations.md."""
import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from client import score, texts
from metrics import page
from predictions import predict
from server import REPOSITORY

DASHBOARD = json.loads((REPOSITORY / "deploy/grafana/textflight.json").read_text())
ALERTS = (REPOSITORY / "deploy/prometheus/alerts.yaml").read_text()
TABLE = (REPOSITORY / "docs/operations.md").read_text()


@pytest.fixture(scope="module")
def exported(server):
    """Every metric that a server exports which has been asked over both ports, by its name in the table."""
    from conftest import connect

    with connect(server) as client:
        score(client, texts("a"))
    predict(server, ["a"])
    page(server)
    found = {}
    for family in text_string_to_metric_families(page(server)[1]):
        found[f"{family.name}_total" if family.type == "counter" else family.name] = family
    return found


def expressions():
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def named(text):
    return set(re.findall(r"\b(?:textflight|process)_[a-z_]+", text))


def test_every_query_names_what_is_exported(exported):
    samples = {sample.name for family in exported.values() for sample in family.samples}
    alerts = re.findall("expr: (.*)", ALERTS)
    assert len(expressions()) > 30 and len(alerts) > 5
    for expression in [*expressions(), *alerts]:
        names = named(expression)
        assert names and names <= samples, (expression, names - samples)


def test_all_that_is_exported_is_on_the_dashboard(exported):
    shown = {re.sub("_(bucket|sum|count)$", "", name) for name in named(" ".join(expressions()))}
    assert set(exported) == shown


def test_queries_ask_for_labels_that_there_are(exported):
    labels = {label for family in exported.values() for sample in family.samples for label in sample.labels}
    for text in [*expressions(), ALERTS]:
        for by in re.findall(r"by \(([^)]*)\)", text):
            assert set(re.split(", *", by)) <= labels | {"instance"}, text


def test_panels_are_of_the_chosen_source_and_do_not_overlap():
    places = set()
    for panel in DASHBOARD["panels"]:
        assert all(part["datasource"]["uid"] == "${datasource}" for part in [panel, *panel["targets"]]), panel["title"]
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not places & cells, panel["title"]
        places |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_the_table_is_the_servers(exported):
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \| (.*) \|$", TABLE, re.MULTILINE)
    assert {name: (kind, text) for name, kind, text in rows} == {
        name: (family.type, family.documentation.removesuffix(".")) for name, family in exported.items()
    }
