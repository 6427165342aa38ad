"""The study of search engines in its short form: the real three give the same answers, and the README is its own."""

import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec
import pytest

from audit.event import AuditEvent
from tests.builders.studies import ROOT, imported, needed, results, run
from tests.servers.opensearch.server import classpath

STUDY = "0002-search-backend"
ENGINES = {"postgres", "clickhouse", "opensearch"}


@pytest.fixture(scope="module")
def modules() -> Iterator[list[ModuleType]]:
    """`run` and `stream`."""
    with imported(STUDY, "run", "stream") as found:
        yield found


@pytest.fixture
def script(modules: list[ModuleType]) -> ModuleType:
    """Its command."""
    return modules[0]


@pytest.fixture
def stream(modules: list[ModuleType]) -> ModuleType:
    """Its events."""
    return modules[1]


def test_the_engines_agree() -> None:
    """Twelve questions, a week dropped, a tenant deleted: one answer from PostgreSQL, ClickHouse and OpenSearch."""
    needed(None if classpath() else "there is no OpenSearch here; run `.ci/programs`")
    done = run(STUDY, "--quick", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["different"] == []
    assert set(found["engines"]) == ENGINES
    for name, engine in found["engines"].items():
        at = engine["at"]["3000"]
        assert len(at["asked"]) == 12, name
        assert all(each["times"] >= 2 and 0 < each["p50_ms"] <= each["p95_ms"] for each in at["asked"].values()), name
        assert (at["records"], at["loaded"], engine["own"]["records"]) == (3000, 2000, 1000), name
        assert at["disk"] > 100 * 3000, name
        assert engine["deleted"]["tenant_left"] == 0, name
        assert engine["together"]["records"] > 0, name
        assert engine["together"]["reads_s"] > 0, name
        assert engine["fresh_s"], name
    assert found["engines"]["opensearch"]["refused"] == 0  # our own sink's documents, to the last


def test_what_cannot_be_measured_is_refused() -> None:
    """Too few events for a curve, and times of a short run in the README: usage errors."""
    few = run(STUDY, "--events", "10")
    assert (few.returncode, "at least 50,000" in few.stderr) == (2, True)
    kept = run(STUDY, "--quick", "--write")
    assert (kept.returncode, "--write" in kept.stderr) == (2, True)


def test_the_readme_is_what_the_script_found(script: ModuleType) -> None:
    """Every table of the page is made from the results beside it."""
    page = (ROOT / "spikes" / STUDY / "README.md").read_text(encoding="utf-8")
    measured = pytest.importorskip("spikes.measured")
    for name, body in script.tables(results(STUDY)).items():
        assert measured.between(page, name, body) == page, name
    assert results(STUDY)["different"] == []


def test_events_are_the_same_for_everybody(stream: ModuleType) -> None:
    """A chunk is made from its number alone, is ours in every field, and follows the one before it."""
    plan = stream.Plan(2500, 1000)
    chunks = [stream.chunk(plan, number) for number in range(plan.chunks + 1)]
    assert [len(each) for each in chunks] == [1000, 1000, 500, 1000]
    assert chunks[1] == stream.chunk(plan, 1)
    events = [msgspec.json.decode(record, type=AuditEvent) for each in chunks for record in each]
    ids = [(event.event_id, event.phase) for event in events]
    assert len(set(ids)) == len(ids)
    leading = [event.event_id for event in events if event.phase != "completed"]
    assert leading == sorted(leading)
    ends = {event.event_id for event in events if event.phase == "completed"}
    assert ends == {event.event_id for event in events if event.phase == "decided"}
    assert ends
    of = [event.tenant_id for event in events]
    assert of[:1000] != of[1000:2000]  # each chunk has dice of its own
    assert of.count(stream.tenant(0)) > 10 * max(1, of.count(stream.tenant(150)))
    assert {event.event_id for event in events[2500:]}.isdisjoint(event.event_id for event in events[:2500])


@pytest.mark.parametrize(
    ("curve", "other", "told"),
    [
        ({100: 1.0, 1000: 10.0}, {100: 2.0, 1000: 5.0}, "320"),  # between the points
        ({100: 3.0, 1000: 10.0}, {100: 2.0, 1000: 5.0}, "always"),
        ({100: 1.0, 1000: 10.0}, 80.0, "~8,000"),  # drawn on
        ({100: 1.0, 1000: 1.1}, 100.0, "-"),  # too far to be said
        ({100: 5.0, 1000: 1.0}, 10.0, "-"),  # it falls
        ({100: 9.0, 1000: 1.0, 10_000: 9.0}, 3.0, "3,200"),  # from where on it stays above
        ({100: 1.0}, 5.0, "-"),
        ({100: 9.0}, 5.0, "always"),
    ],
)
def test_a_crossing(script: ModuleType, curve: dict[int, float], other: Any, told: str) -> None:
    """Where a curve passes another one, or a value."""
    assert script.when(script.crossing(curve, other)) == told


def test_engines_that_do_not_agree_are_a_finding(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1, each question named, and the page stays as it is."""
    told = {**results(STUDY)}
    told["engines"] = {name: {**each, "answers": {"newest": name[0]}} for name, each in told["engines"].items()}
    monkeypatch.setattr(script, "measured", lambda *_, **__: told)
    monkeypatch.setattr(script, "write", lambda *_: pytest.fail("written"))
    monkeypatch.setattr("sys.argv", ["run.py", "--events", "50000", "--write"])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == 1
    assert "do not agree: newest: postgres p, clickhouse c, opensearch o" in capsys.readouterr().err
