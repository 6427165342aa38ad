"""The dashboards: made from one file, of metrics that there are, in units that fit. Drawn by no Grafana here.

Whether each panel shows something is seen in `tests/deploy/compose/test_run_story.py`, by a real Prometheus.
"""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from lychgate.reference.metrics import described
from tests.servers.composed import project
from tests.servers.panels import FOLDER, boards, draws, named

ROOT = Path(__file__).parents[2]
BACKLOG = (
    "audit_emit_latency_seconds",
    "audit_queue_depth",
    "audit_events_ingested_total",
    "audit_events_redacted_total",
    "audit_coverage_ratio",
    "auth_regression_incidents",
)
"""The dashboard figures of the programme's backlog, under our names."""
UNITS = {"ms", "s", "short", "cps", "reqps", "percentunit", "bytes"}


def _make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("grafana_make", ROOT / "deploy" / "grafana" / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_they_are_up_to_date() -> None:
    """`python deploy/grafana/make.py` would change nothing."""
    assert _make().texts() == {file.name: file.read_text() for file in sorted(FOLDER.glob("*.json"))}


def test_every_figure_of_the_backlog_is_drawn() -> None:
    """The emit latency as the 95th percentile, in milliseconds."""
    drawn = {name for draw in draws() for name in named(draw.expr)}
    assert set(BACKLOG) - drawn == set()
    (latency,) = [draw for draw in draws() if "audit_emit_latency_seconds_bucket" in draw.expr]
    assert latency.unit == "ms"
    assert latency.expr.startswith("histogram_quantile(0.95")
    assert latency.expr.endswith("* 1000")


def test_only_metrics_that_there_are_are_drawn() -> None:
    """A panel over a name that nobody counts is empty for ever and looks like health."""
    kinds = {metric.name: metric for metrics in described().values() for metric in metrics}
    for draw in draws():
        for name in named(draw.expr):
            assert name in kinds, f"{draw.title}: {name}"


def test_what_the_gateways_alerts_are_about_is_drawn() -> None:
    """Whoever is woken opens the dashboard first."""
    groups = yaml.safe_load((ROOT / "deploy/prometheus/gateway.rules.yml").read_text(encoding="utf-8"))["groups"]
    drawn = {name for draw in draws() for name in named(draw.expr)}
    rules = [rule for group in groups for rule in group["rules"]]
    about = {name for rule in rules for name in named(re.sub(r"\w+:lychgate_\w+:\w+", "", rule["expr"]))}
    assert {name for name in about - drawn if not name.endswith("_begins_timestamp_seconds")} == set()


def test_counters_are_drawn_as_rates_and_gauges_are_not() -> None:
    """A counter by itself is a number since some start; but for what must never be more than nothing."""
    kinds = {metric.name: metric.kind for metrics in described().values() for metric in metrics}
    for draw in draws():
        for name in named(draw.expr):
            raw = re.search(rf"(?:rate|increase)\({name}(?:_bucket)?[\[{{]", draw.expr) is None
            if kinds[name] in {"counter", "histogram"}:
                assert not raw or draw.title == "Signs of tampering", draw.title
            else:
                assert raw, draw.title


def test_labels_are_ones_the_metric_has() -> None:
    """What a panel groups by or selects, or it would be one line of everything."""
    scraped = {"job", "instance", "exported_job", "le"}
    labels = {metric.name: set(metric.labels) for metrics in described().values() for metric in metrics}
    for draw in draws():
        allowed = scraped.union(*(labels[name] for name in named(draw.expr)))
        grouped = {word for group in re.findall(r"by \(([^)]*)\)", draw.expr) for word in re.findall(r"\w+", group)}
        selected = set(re.findall(r"[{,](\w+)!?=", draw.expr))
        assert grouped | selected <= allowed, draw.title
        assert set(re.findall(r"{{(\w+)}}", draw.legend)) <= (grouped or allowed), draw.title


def test_units_fit_what_is_drawn() -> None:
    """Seconds are drawn as seconds, bytes as bytes, shares as shares, rates a second."""
    for draw in draws():
        assert draw.unit in UNITS, draw.title
        (last, *_) = sorted(named(draw.expr), reverse=True)
        rate = "rate(" in draw.expr and "histogram_quantile" not in draw.expr and "/" not in draw.expr
        assert rate == (draw.unit in {"cps", "reqps"}), draw.title
        if last.endswith("_bytes"):
            assert draw.unit == "bytes", draw.title
        if last.endswith("_seconds") and not rate:
            assert draw.unit in {"s", "ms"}, draw.title
        if last.endswith("_ratio"):
            assert draw.unit == "percentunit", draw.title


def test_a_dashboard_is_one_that_grafana_takes() -> None:
    """As far as that can be said without one: ids, uids, places and references are unique and in order."""
    uids = [board["uid"] for board in boards().values()]
    assert len(set(uids)) == len(uids)
    for name, board in boards().items():
        panels: list[dict[str, Any]] = board["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels), name
        assert board["templating"]["list"][0]["type"] == "datasource"
        taken: set[tuple[int, int]] = set()
        for panel in panels:
            place = panel["gridPos"]
            columns = range(place["x"], place["x"] + place["w"])
            cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
            assert not cells & taken, panel["title"]
            assert max(x for x, _ in cells) < 24
            taken |= cells
            if panel["type"] != "row":
                refs = [target["refId"] for target in panel["targets"]]
                assert len(set(refs)) == len(refs)
                assert panel["description"]
        titles = [panel["title"] for panel in panels if panel["type"] != "row"]
        assert len(set(titles)) == len(titles), name


def test_what_can_be_less_than_nothing_is_drawn_there_too() -> None:
    """A clock that is behind, a certificate that has ended; everything else begins at 0, so that heights compare."""
    signed = {
        panel["title"]
        for board in boards().values()
        for panel in board["panels"]
        if panel["type"] != "row" and panel["fieldConfig"]["defaults"].get("min") != 0
    }
    below = {d.title for d in draws() if "clock_skew" in d.expr or d.expr.endswith("- time()")}
    assert signed == below
    assert len(signed) == 3


def test_no_data_source_is_wired_in() -> None:
    """Each panel and each target takes the one that its reader has chosen."""
    for board in boards().values():
        for panel in board["panels"]:
            if panel["type"] != "row":
                for each in (panel, *panel["targets"]):
                    assert each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_grafana_is_told_where_they_are() -> None:
    """The provisioning names the folder that is mounted, and a Prometheus that is there."""
    folder = ROOT / "deploy" / "grafana" / "provisioning"
    found = project()["services"]
    mounts = {mount["target"]: mount["source"] for mount in found["grafana"]["volumes"]}
    (provider,) = yaml.safe_load((folder / "dashboards" / "lychgate.yml").read_text())["providers"]
    assert Path(mounts[provider["options"]["path"]]) == FOLDER
    assert Path(mounts["/etc/grafana/provisioning"]) == folder
    (source,) = yaml.safe_load((folder / "datasources" / "lychgate.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert set(found["grafana"]["networks"]) & set(found["prometheus"]["networks"])
