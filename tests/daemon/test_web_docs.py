"""What the documents say of the HTTP side is what it does."""

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from edge.daemon.settings import FieldSettings, HttpSettings
from edge.daemon.web.openapi import document
from edge.fields import FormField
from tests.daemon.web_daemon import page, running

DOCS = Path(__file__).parents[2] / "docs"
METRIC = re.compile(r"\bedge_digits_[a-z_]+")
FIELDS = tuple(
    FieldSettings(FormField(name, (0.0, 0.0, 1.0, 1.0), length=length)) for name, length in (("good", 7), ("bad", 9))
)


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    """Names of all samples."""
    with running(tmp_path_factory.mktemp("state")) as site:
        site.daemon.watched = replace(site.daemon.watched, fields=FIELDS)
        site.daemon.record(site.daemon.see(page()))
        lines = site.get("/metrics").body.decode().splitlines()
    return {METRIC.match(line)[0] for line in lines if METRIC.match(line)}


def test_every_metric_is_explained_and_no_other(metrics):
    explained = set(METRIC.findall((DOCS / "prometheus.md").read_text()))
    of_histograms = {name for name in metrics if name.endswith(("_bucket", "_sum", "_count", "_created"))}
    assert explained - {"edge_digits_read_seconds"} == metrics - of_histograms


def test_the_dashboard_asks_for_metrics_that_there_are(metrics):
    board = json.loads((DOCS / "grafana-dashboard.json").read_text())
    asked = {
        name for panel in board["panels"] for target in panel["targets"] for name in METRIC.findall(target["expr"])
    }
    assert asked
    assert asked <= metrics
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_the_addresses_of_the_document_are_those_of_the_api():
    said = set(re.findall(r"(?:GET|POST|PUT|:8347)\s?(/[a-z./_]+)", (DOCS / "http-api.md").read_text()))
    paths = set(document()["paths"])
    assert said <= paths
    assert {path for path in paths if path.startswith("/api/")} - said <= {"/api/logout"}


def test_the_configuration_of_the_document_is_one():
    (block,) = re.findall(r"```toml\n(.*?)```", (DOCS / "http-api.md").read_text(), re.S)
    assert HttpSettings(**tomllib.loads(block)["http"])
