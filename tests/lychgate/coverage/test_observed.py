"""Runs against claims."""

from pathlib import Path

import pytest

from lychgate.coverage.model import Report
from lychgate.coverage.observed import Run, check, read_runs
from lychgate.errors import ConfigurationError
from tests.builders.scanned import FASTAPI, scanned

CODE = """
@app.post("/a")
def covered(db):
    with audit.recording("a.b.c", **WHO):
        db.commit()
@app.post("/b")
def lacking(db):
    db.commit()
@app.get("/c")
def reading():
    return 1
@app.get("/d")
def sometimes(q, db):
    if q:
        with audit.recording("a.b.c", **WHO):
            db.commit()
@app.post("/e")  # audit:ignore a probe
def ignored():
    return 1
"""
EVENT = (("a.b.c", "u"),)


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """A service with a handler of each kind."""
    return scanned(tmp_path, shop=FASTAPI + CODE)


@pytest.mark.parametrize(
    ("runs", "codes"),
    [
        ([Run("shop.covered", failed=False, events=EVENT)], []),
        ([Run("shop.covered", failed=False, events=())], ["observed-silent"]),
        ([Run("shop.covered", failed=True, events=())], ["observed-silent"]),
        ([Run("shop.covered", failed=True, events=(), refused=True)], []),
        ([Run("shop.lacking", failed=False, events=())], []),
        ([Run("shop.lacking", failed=False, events=EVENT)], []),
        ([Run("shop.lacking", failed=flag, events=EVENT) for flag in (True, False)], ["observed-emitting"]),
        ([Run("shop.lacking", failed=False, events=EVENT), Run("shop.lacking", failed=True, events=())], []),
        ([Run("shop.reading", failed=False, events=(("a.b.read", "r"),))], []),
        ([Run("shop.reading", failed=False, events=EVENT)], ["observed-changing"]),
        ([Run("shop.sometimes", failed=False, events=())], []),
        ([Run("shop.ignored", failed=False, events=())], []),
        ([Run("shop.nobody", failed=False, events=())], ["observed-unknown"]),
    ],
)
def test_a_contradiction_is_a_finding(report: Report, runs: list[Run], codes: list[str]) -> None:
    """And nothing else is."""
    assert [it.code for it in check(report, runs).findings] == codes


def test_what_was_not_seen_is_told(report: Report) -> None:
    """Which changing handler ran well only, or not at all."""
    found = check(report, [Run("shop.covered", failed=False, events=EVENT)])
    assert found.unseen == (
        "shop.covered: failure",
        "shop.lacking: success and failure",
        "shop.sometimes: success and failure",
    )


@pytest.mark.parametrize(
    "line", ["", "{}", "[]", '{"handler": "x", "failed": true, "events": [1], "refused": false}', "\ud800"]
)
def test_a_line_that_is_no_run_is_named(tmp_path: Path, line: str) -> None:
    """With its file and number."""
    good = '{"handler":"x","failed":false,"events":[],"refused":false}'
    (tmp_path / "runs.jsonl").write_bytes(f"{good}\n{line}\n".encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigurationError, match=r"runs\.jsonl"):
        list(read_runs([tmp_path]))
