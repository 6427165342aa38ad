"""Reports for others to read."""

import json
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from lychgate.coverage.codes import KINDS
from lychgate.coverage.metrics import CoverageMetrics, write_textfile
from lychgate.coverage.model import Report
from lychgate.coverage.written import as_json, as_sarif, percent, read_report
from lychgate.errors import ConfigurationError
from tests.builders.scanned import FASTAPI, scanned

CODE = '@app.post("/a/{id}")\ndef a(db):\n    db.commit()\n\n@app.get("/b")\ndef b():\n    return 1\n'


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """One uncovered handler and one that reads."""
    return scanned(tmp_path / "a shop", shop=FASTAPI + CODE)


def test_the_json_has_its_shape(report: Report) -> None:
    """Every key that the guide promises, and no other."""
    values = as_json(report)
    assert set(values) == {"version", "total", "services", "handlers", "findings"}
    counts = {"ratio", "covered", "uncovered", "unknown", "ignored", "reading"}
    assert set(values["total"]) == counts
    assert set(values["services"][0]) == counts | {"service", "files", "excluded"}
    first, second = values["handlers"]
    assert set(first) == {
        "service", "handler", "file", "line", "framework", "routes", "state", "changes", "ignored", "fingerprint",
    }  # fmt: skip
    assert (first["handler"], first["state"], first["routes"]) == (
        "shop.a",
        "uncovered",
        [{"methods": ["POST"], "path": "/a/{id}"}],
    )
    assert second["state"] == "reading"
    (finding,) = values["findings"]
    assert set(finding) == {"file", "line", "code", "severity", "handler", "reason", "remedy"}
    assert (finding["file"], finding["code"], finding["severity"]) == ("shop.py", "no-event", "error")


def test_a_report_is_read_again(report: Report, tmp_path: Path) -> None:
    """What a comparison needs of it."""
    file = tmp_path / "report.json"
    file.write_text(json.dumps(as_json(report)))
    again = read_report(file)
    assert [(it.name, it.state, it.fingerprint, it.routes) for it in again.handlers] == [
        (it.name, it.state, it.fingerprint, it.routes) for it in report.handlers
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 2}', '{"version": 1, "handlers": [{}], "services": []}', "[" * 9999]
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    """By name, without a traceback."""
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ConfigurationError, match=r"report\.json"):
        read_report(tmp_path / "report.json")


def test_sarif_names_rule_place_and_remedy(report: Report) -> None:
    """The keys that SARIF 2.1.0 requires; every result's rule is listed; places are relative addresses."""
    log = as_sarif(report)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}
    assert set(rules) == set(KINDS)
    (result,) = run["results"]
    assert result["ruleId"] in rules
    assert result["level"] == "error"
    assert result["message"]["text"] == "shop.a: nothing is emitted on any path"
    place = result["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "shop.py"}, "region": {"startLine": 9, "startColumn": 1}}


def test_the_textfile_has_every_series(report: Report, tmp_path: Path) -> None:
    """The ratio by service, handlers by state; written whole."""
    file = tmp_path / "coverage.prom"
    write_textfile(file, report, 1.5)
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(file.read_text())
        for sample in family.samples
    }
    assert samples["audit_coverage_ratio", "a shop"] == 0.0
    assert samples["audit_coverage_handlers", "a shop", "uncovered"] == 1.0
    assert samples["audit_coverage_handlers", "a shop", "unknown"] == 0.0
    assert samples["audit_coverage_timestamp_seconds",] == 1.5
    assert [it.name for it in tmp_path.iterdir() if it.is_file()] == ["coverage.prom"]
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_textfile(tmp_path / "nowhere/x.prom", report, 1.5)


@pytest.mark.parametrize(
    ("ratio", "text"), [(1.0, "100.0%"), (0.9996, "99.9%"), (0.29, "29.0%"), (0.0, "0.0%"), (2 / 3, "66.6%")]
)
def test_a_ratio_is_never_rounded_up(ratio: float, text: str) -> None:
    """One handler of three thousand is not nothing."""
    assert percent(ratio) == text


def test_metrics_can_be_described_before_a_scan() -> None:
    """The reference page makes them without services."""
    CoverageMetrics(CollectorRegistry())
