"""Our search sink on a real OpenSearch: its template is taken, its documents are found, and none counts twice."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit.event import Actor, Client, Phase, Resource, Severity
from audit.sinks.files import LineFiles, LinesRules
from audit.sinks.search import Engine, SearchSink
from tests.builders.patience import PATIENCE_S
from tests.builders.sinks import outward, record, records
from tests.servers.opensearch.server import OpenSearchServer


@pytest.fixture
async def sink(opensearch: OpenSearchServer, tmp_path: Path) -> AsyncIterator[SearchSink]:
    """A sink into indices of this test's own."""
    refused = LineFiles(tmp_path / "refused", "refused", LinesRules())
    indices = tmp_path.name.replace("_", "-").lower()
    made = SearchSink(Engine(opensearch.url, indices=indices), outward(), refused)
    yield made
    await made.close()


class Searched:
    """What a person at the engine would ask, of this test's indices."""

    def __init__(self, url: str, indices: str) -> None:
        self._url, self._indices = url, indices

    def count(self, query: dict[str, Any] | None = None) -> int:
        """Documents that match."""
        return len(self.found(query or {"match_all": {}}))

    def found(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        """The documents themselves."""
        httpx.post(f"{self._url}/{self._indices}-*/_refresh", timeout=PATIENCE_S).raise_for_status()
        answered = httpx.post(
            f"{self._url}/{self._indices}-*/_search", json={"query": query, "size": 1000}, timeout=PATIENCE_S
        )
        assert answered.status_code == 200, answered.text
        return [hit["_source"] for hit in answered.json()["hits"]["hits"]]

    def mappings(self) -> dict[str, Any]:
        """Of the one index there is."""
        [only] = httpx.get(f"{self._url}/{self._indices}-*/_mapping", timeout=PATIENCE_S).json().values()
        found: dict[str, Any] = only["mappings"]
        return found


@pytest.fixture
def searched(opensearch: OpenSearchServer, tmp_path: Path) -> Searched:
    """Looks into this test's indices."""
    return Searched(opensearch.url, tmp_path.name.replace("_", "-").lower())


def refusals(tmp_path: Path) -> int:
    """Lines in the files of refusals."""
    return sum(len(path.read_text().splitlines()) for path in (tmp_path / "refused").glob("refused-*"))


async def test_documents_are_found_by_what_the_template_names(sink: SearchSink, searched: Searched) -> None:
    """By tenant, time, severity, resource and a value in the details; what is personal went there masked."""
    wanted = record(
        tenant_id="hotel-3",
        severity=Severity.ERROR,
        actor=Actor(type="user", id="u-7"),
        client=Client(ip="192.0.2.7"),
        resource=Resource("order", "o-17"),
        details={"channel": "web"},
    )
    await sink.deliver([*records(20), wanted])
    assert searched.count() == 21
    conditions: list[dict[str, Any]] = [
        {"term": {"tenant_id": "hotel-3"}},
        {"term": {"severity": "error"}},
        {"term": {"resource.id": "o-17"}},
        {"range": {"occurred_at": {"lte": "now+1d"}}},
        {"term": {"details.channel": "web"}},
    ]
    [only] = searched.found({"bool": {"filter": conditions}})
    assert only["resource"] == {"type": "order", "id": "o-17"}
    assert "192.0.2.7" not in str(only)
    mappings = searched.mappings()
    assert mappings["dynamic"] == "false"
    assert mappings["properties"]["details"]["type"] == "flat_object"


async def test_what_is_sent_again_is_there_once(sink: SearchSink, searched: Searched, tmp_path: Path) -> None:
    """A batch that is delivered twice, and one that overlaps: the engine's own conflicts are as good as taken."""
    some = records(30)
    await sink.deliver(some)
    await sink.deliver(some)
    await sink.deliver([*some[10:], *records(5)])
    assert (searched.count(), refusals(tmp_path)) == (35, 0)


async def test_both_records_of_an_event_are_documents(sink: SearchSink, searched: Searched) -> None:
    """The decision and the end share their id, and neither takes the other's place."""
    key = "0194c916-ea00-7694-806a-6cb681a06a68"
    await sink.deliver([record(event_id=key, phase=phase) for phase in (Phase.DECIDED, Phase.COMPLETED)])
    assert searched.count({"term": {"event_id": key}}) == 2


def nested(depth: int) -> dict[str, Any]:
    """An object in an object."""
    made: dict[str, Any] = {"end": 1}
    for _ in range(depth):
        made = {"in": made}
    return made


async def test_no_shape_of_details_makes_a_field(sink: SearchSink, searched: Searched, tmp_path: Path) -> None:
    """Names with dots, empty names, mixed lists, two thousand keys, a hundred deep: taken, and the mapping stays."""
    await sink.deliver(records(1))
    before = searched.mappings()
    strange: list[dict[str, Any]] = [
        {"a.b": 1, "a": {"b": 2}},
        {"": 1},
        {"a": None},
        {"a": [1, "x", {"b": 2}]},
        {f"k{number}": number for number in range(2000)},
        nested(100),
        {"n": "\x00\x01\ufffe"},
    ]
    await sink.deliver([record(details=each) for each in strange])
    assert (searched.count(), refusals(tmp_path)) == (1 + len(strange), 0)
    assert searched.mappings() == before


async def test_a_value_no_index_holds_costs_no_document(sink: SearchSink, searched: Searched, tmp_path: Path) -> None:
    """The engine's longest term is 32,766 bytes, path and all: what is longer is cut, also where it is a name."""
    long: list[dict[str, Any]] = [
        {"note": "x" * 32_740},
        {"note": "x" * 200_000},
        {"note": "\u20ac" * 20_000},
        {"k" * 40_000: 1},
        {"a" * 20_000: {"b" * 20_000: 1}},
        {"a": [{"b" * 16_000: "x" * 16_750}] * 2},
    ]
    await sink.deliver([record(tenant_id="hotel-9", details=each) for each in long])
    assert (searched.count({"term": {"tenant_id": "hotel-9"}}), refusals(tmp_path)) == (len(long), 0)
