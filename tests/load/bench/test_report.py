"""How a result is shown, and that the README shows the one that is kept."""

import json
from pathlib import Path

import pytest

from load.bench import report

RESULT = {
    "ratio_to_envoy": 1.25,
    "cpu_ratio_to_envoy": 1.31,
    "when": "2026-11-25T21:27Z",
    "machine": {"cpu": "C", "cores": 2, "kernel": "6", "python": "3.11", "commit": "abc", "nginx": "1", "envoy": "2"},
    "how": {"rounds": 5, "seconds": 5.0, "quick": False},
    "lines": {
        "reads": {
            key: {
                "name": name,
                "per_second": rate,
                "core_share": 0.984,
                "cpu_us_front": 40.0,
                "cpu_us_whole": 60.0,
                "cpu_us_store": store,
                "peak_mib": 41.0,
            }
            for key, name, rate, store in (("envoy", "Envoy", 20_000, 0.0), ("lychgate", "Lychgate", 25_000, 27.0))
        }
    },
    "goals": [
        {"goal": "reads", "value": 1.25, "side": "at least", "bound": 1.2, "unit": "x", "met": True},
        {"goal": "latency", "value": 0.45, "side": "under", "bound": 0.3, "unit": "ms", "met": False},
    ],
}


def test_the_line_has_the_headline_first() -> None:
    """One line, whatever the order in the result."""
    text = report.line({"when": "now", "ratio_to_envoy": 1.25})
    assert text == '{"ratio_to_envoy":1.25,"when":"now"}'


def test_markdown_shows_the_ratio_and_by_how_much_a_goal_is_missed() -> None:
    """A goal that is not met says by how much; what was not measured is empty."""
    text = report.markdown(RESULT)
    assert "| Lychgate | 25,000 | 1.25 | 98% | 40.0 | 60.0 | 27.0 |  |  | 41 |" in text
    assert "1.25 times the requests a second of Envoy plain; 1.31 times by the processor time" in text
    assert "| reads | 1.25 x | at least 1.2 x | met |" in text
    assert "| latency | 0.45 ms | under 0.3 ms | not met, by 50% |" in text


def test_the_tables_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Names are not cut where nobody says how wide it may be."""
    report.show(RESULT)
    shown = capsys.readouterr().out
    assert "Lychgate" in shown
    assert "not met, by 50%" in shown


def test_what_is_kept_goes_between_the_marks(tmp_path: Path) -> None:
    """Only the part between the marks is written anew, and writing it twice changes nothing."""
    report.keep(RESULT, tmp_path)
    text = f"before\n\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    once = report.with_results(text, tmp_path)
    assert once.startswith("before\n\n")
    assert once.endswith(f"{report.END}\nafter\n")
    assert "old" not in once
    assert report.with_results(once, tmp_path) == once


def test_the_readme_shows_the_kept_result() -> None:
    """`make bench ARGS=--readme` would change nothing: no number was typed."""
    text = report.README.read_text(encoding="utf-8")
    assert report.with_results(text) == text, "run `make bench ARGS=--readme`"


def test_the_kept_result_is_a_measurement() -> None:
    """Not a quick look, and every goal is in it."""
    result = json.loads((report.RESULTS / "bench.json").read_text(encoding="utf-8"))
    assert result["how"]["quick"] is False
    assert result["goals"]
