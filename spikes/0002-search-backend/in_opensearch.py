"""The study's questions to OpenSearch: a real node, our own index template, and our own sink for the first records."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from questions import GRAVE, PAGE, SECURITY, Name, Question, answer
from stream import START, kept

from audit.event import Phase
from audit.ids import id_ms
from audit.settings import RedactionSettings
from audit.severity import BY_RANK, RANK
from audit.sinks import bulk
from audit.sinks.files import LineFiles, LinesRules
from audit.sinks.outward import Outward
from audit.sinks.search import Engine as Place
from audit.sinks.search import SearchSink
from audit.sinks.template import index_template
from tests.servers.opensearch.server import OpenSearchServer

_INDICES = "audit-events"
_EXPORT_ROWS = 10_000
_BUCKETS = 10_000
_WEEK_S = 7 * 86_400
_LEADS = {"terms": {"phase": [Phase.SINGLE, Phase.DECIDED]}}
_KEY_CHARS = 36


class OpenSearch:
    """See `engine.Engine`."""

    own_way = "`SearchSink.deliver`, 500 records a request, masked, gzip"

    def __init__(self, folder: Path, heap_mb: int = 2048) -> None:
        home = folder / "opensearch"
        home.mkdir()
        self._data = home
        self._server = OpenSearchServer(home, heap_mb=heap_mb, quick=heap_mb < 1024)
        self._server.start()
        self.pid = self._server.pid or 0
        self._http = httpx.Client(base_url=self._server.url, timeout=600, trust_env=False)
        version = self._http.get("/").json()["version"]
        self.version = str(version["number"])
        template = index_template(_INDICES, version)
        # The template's `details` are found by whole values; for words of the notes one field more is needed.
        template["template"]["mappings"]["properties"]["details"] = {"properties": {"note": {"type": "text"}}}
        self._put(f"/_index_template/{_INDICES}", template)
        self._loop = asyncio.new_event_loop()
        self._refused = LineFiles(folder / "refused", "refused", LinesRules())
        outward = Outward(RedactionSettings().paths, ("pii", "payment"))
        self._sink = SearchSink(Place(self._server.url, template=False), outward, self._refused)
        self.refused_folder = folder / "refused"

    def _put(self, path: str, body: dict[str, Any]) -> None:
        self._http.put(path, json=body).raise_for_status()

    def write(self, records: list[bytes]) -> None:
        """By our own sink."""
        for first in range(0, len(records), 500):
            self._loop.run_until_complete(self._sink.deliver(records[first : first + 500]))

    def load(self, folder: Path, first: int, beyond: int) -> None:
        """The same documents by two senders, not masked and not packed."""
        with ThreadPoolExecutor(2) as pool:
            for _ in pool.map(lambda number: self._sent(kept(folder, number)), range(first, beyond)):
                pass

    def _sent(self, records: list[bytes]) -> None:
        for first in range(0, len(records), 2500):
            body = b"".join(_document(record) for record in records[first : first + 2500])
            answered = self._http.post(
                "/_bulk?filter_path=errors", content=body, headers={"content-type": "application/x-ndjson"}
            )
            assert answered.json() == {"errors": False}, answered.text[:500]

    def settled(self) -> None:
        """What is written is made visible."""
        self._http.post(f"/{_INDICES}-*/_refresh").raise_for_status()

    def _search(self, body: dict[str, Any]) -> dict[str, Any]:
        answered = self._http.post(f"/{_INDICES}-*/_search", json={"track_total_hits": False, **body})
        if answered.status_code != 200:
            raise RuntimeError(answered.text[:500])
        found: dict[str, Any] = msgspec.json.decode(answered.content)
        return found

    def ask(self, question: Question) -> str:
        """One search each, and for an export one a page."""
        if question.name is Name.EXPORT:
            return answer(self._export(question))
        filters = [_LEADS, *_conditions(question)]
        query = {"bool": {"filter": filters}}
        if question.name is Name.STATS:
            return answer(self._stats(query))
        if question.name is Name.ACTORS:
            grouped = {"who": {"terms": {"field": "actor.id", "size": _BUCKETS}}}
            found = self._search({"size": 0, "query": query, "aggs": grouped})
            return answer(sorted(bucket["key"] for bucket in found["aggregations"]["who"]["buckets"]))
        order = "asc" if question.name is Name.TRACE else "desc"
        body: dict[str, Any] = {"size": PAGE, "query": query, "sort": [{"event_id": order}]}
        if question.name is Name.DEEP:
            body["search_after"] = [question.after]
        return answer([hit["_source"]["event_id"] for hit in self._search(body)["hits"]["hits"]])

    def _stats(self, query: dict[str, Any]) -> list[tuple[int, str, int]]:
        grouped = {
            "hour": {
                "date_histogram": {"field": "occurred_at", "fixed_interval": "1h", "min_doc_count": 1},
                "aggs": {"action": {"terms": {"field": "action", "size": 200}}},
            }
        }
        found = self._search({"size": 0, "query": query, "aggs": grouped})
        return sorted(
            (hour["key"] // 1000, action["key"], action["doc_count"])
            for hour in found["aggregations"]["hour"]["buckets"]
            for action in hour["action"]["buckets"]
        )

    def _export(self, question: Question) -> list[str]:
        body: dict[str, Any] = {
            "size": _EXPORT_ROWS,
            "query": {"bool": {"filter": [_LEADS, *_conditions(question)]}},
            "sort": [{"event_id": "asc"}],
        }
        ids: list[str] = []
        while True:
            hits = self._search(body)["hits"]["hits"]
            ids += [hit["_source"]["event_id"] for hit in hits]
            if len(hits) < _EXPORT_ROWS:
                return ids
            body["search_after"] = [ids[-1]]

    @contextmanager
    def reader(self) -> Iterator[Callable[[Question], str]]:
        """The client has a connection for each thread."""
        yield self.ask

    def seen(self, tenant: str, event_id: str) -> bool:
        """The newest of a tenant."""
        found = self._search(
            {
                "size": 1,
                "query": {"bool": {"filter": [{"term": {"tenant_id": tenant}}]}},
                "sort": [{"event_id": "desc"}],
            }
        )
        hits = found["hits"]["hits"]
        return bool(hits) and hits[0]["_source"]["event_id"] == event_id

    def disk(self) -> int:
        """Of the indices, as they are now; the log of what is not yet in a segment is not counted."""
        found = self._http.get(f"/{_INDICES}-*/_stats/store").json()
        return int(found["_all"]["primaries"]["store"]["size_in_bytes"])

    def _count(self, query: dict[str, Any]) -> int:
        self.settled()
        return int(self._http.post(f"/{_INDICES}-*/_count", json={"query": query}).json()["count"])

    def _delete(self, query: dict[str, Any]) -> None:
        self.settled()
        answered = self._http.post(
            f"/{_INDICES}-*/_delete_by_query?slices=2&scroll_size=5000&conflicts=abort", json={"query": query}
        )
        answered.raise_for_status()
        assert not answered.json()["failures"]

    def drop_week(self) -> int:
        """By query: our sink makes an index for each month."""
        beyond = int(START.timestamp() + _WEEK_S) * 1000
        self._delete({"range": {"occurred_at": {"lt": beyond, "format": "epoch_millis"}}})
        return self._count({"match_all": {}})

    def drop_tenant(self, tenant: str) -> int:
        """By query: documents are marked, and go when their segments are merged."""
        self._delete({"term": {"tenant_id": tenant}})
        return self._count({"term": {"tenant_id": tenant}})

    def stop(self) -> None:
        """The node, and who spoke to it."""
        self._loop.run_until_complete(self._sink.close())
        self._loop.close()
        self._http.close()
        self._server.stop()


def _document(record: bytes) -> bytes:
    start = record.index(b'"event_id":"') + 12
    event_id = record[start : start + _KEY_CHARS].decode()
    at = record.index(b'"phase":"') + 9
    phase = record[at : record.index(b'"', at)].decode()
    return bulk.document(_INDICES, f"{event_id}-{phase}", id_ms(event_id), record).lines


def _from(least: int) -> list[str]:
    """`info` is left out of the bytes and so is in no document; nothing we ask reaches down to it."""
    return [str(each) for each in BY_RANK if RANK[each] >= least]


def _conditions(question: Question) -> list[dict[str, Any]]:
    if question.name is Name.SECURITY:
        return [{"terms": {"severity": _from(RANK[SECURITY])}}]
    window = {
        "range": {
            "occurred_at": {
                "gte": int(question.since.timestamp() * 1000),
                "lt": int(question.until.timestamp() * 1000),
                "format": "epoch_millis",
            }
        }
    }
    more: dict[Name, list[dict[str, Any]]] = {
        Name.ACTOR: [{"term": {"actor.id": question.actor}}],
        Name.TRACE: [{"term": {"trace_id": question.trace}}],
        Name.RESOURCE: [
            {"term": {"resource.type": question.resource[0]}},
            {"term": {"resource.id": question.resource[1]}},
        ],
        Name.DENIALS: [{"term": {"decision.effect": "deny"}}, window],
        Name.GRAVE: [{"terms": {"severity": _from(RANK[GRAVE])}}],
        Name.TEXT: [{"match": {"details.note": {"query": " ".join(question.words), "operator": "and"}}}],
        Name.STATS: [window],
        Name.EXPORT: [window],
        Name.ACTORS: [window],
    }
    return [{"term": {"tenant_id": question.tenant}}, *more.get(question.name, [])]
