"""No new handler without an event."""

from pathlib import Path

from lychgate.coverage.against import newly_uncovered
from lychgate.coverage.model import Report
from tests.builders.scanned import FASTAPI, scanned

OPEN = '@app.post("/{0}")\ndef {0}(db):\n    db.commit()\n    return "{0}"\n'
SHUT = '@app.post("/{0}")\ndef {0}(db):\n    with audit.recording("a.b.c", **WHO):\n        db.commit()\n'


def _report(folder: Path, *parts: str, file: str = "shop") -> Report:
    return scanned(folder / "shop", **{file: FASTAPI + "\n".join(parts)})


def _new(before: Report, now: Report) -> list[tuple[str, str]]:
    return [(it.handler.rpartition(".")[2], it.reason.partition(" (")[0]) for it in newly_uncovered(before, now)]


def test_what_was_uncovered_is_no_news(tmp_path: Path) -> None:
    """Only what is new, or was covered."""
    before = _report(tmp_path / "1", OPEN.format("a"), SHUT.format("b"))
    now = _report(tmp_path / "2", OPEN.format("a"), OPEN.format("b"), OPEN.format("c"), SHUT.format("d"))
    assert _new(before, now) == [("b", "was covered before"), ("c", "is new, and uncovered")]


def test_a_renamed_or_moved_handler_is_known_again(tmp_path: Path) -> None:
    """By its body where its name is another; by its route where its body is; but each former one once."""
    before = _report(tmp_path / "1", OPEN.format("a"))
    moved = _report(tmp_path / "2", OPEN.format("a"), file="other")
    assert _new(before, moved) == []
    renamed = _report(tmp_path / "3", OPEN.format("a").replace("def a(", "def z("))
    assert _new(before, renamed) == []
    rewritten = _report(tmp_path / "4", OPEN.format("a").replace("def a(", "def z(").replace("return", "x = 1; return"))
    assert _new(before, rewritten) == []
    twice = _report(tmp_path / "5", *(OPEN.format("a").replace("def a(", f"def {name}(") for name in "yz"))
    assert [reason for _, reason in _new(before, twice)] == ["is new, and uncovered"]


def test_a_covered_handler_that_is_moved_and_laid_bare_is_news(tmp_path: Path) -> None:
    """Moving is no excuse."""
    before = _report(tmp_path / "1", SHUT.format("a"))
    now = _report(tmp_path / "2", OPEN.format("a"), file="other")
    assert _new(before, now) == [("a", "was covered before")]


def test_what_begins_to_change_something_is_news(tmp_path: Path) -> None:
    """A reading or ignored handler that is uncovered now."""
    reading = OPEN.format("a").replace("post", "get").replace("    db.commit()\n", "")
    ignored = OPEN.format("b").replace('"/b")', '"/b")  # audit:ignore a probe')
    before = _report(tmp_path / "1", reading, ignored)
    now = _report(tmp_path / "2", OPEN.format("a"), OPEN.format("b"))
    assert _new(before, now) == [("a", "was reading before"), ("b", "was ignored before")]
