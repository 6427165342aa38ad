"""The study's questions to ClickHouse: the engine in a wheel, one MergeTree on disk, in this process."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import chdb
import msgspec
from questions import GRAVE, PAGE, SECURITY, Name, Question, answer
from stream import START, chunk_file

from audit.event import Phase, Severity
from audit.severity import BY_RANK, RANK

_TABLE = """
CREATE TABLE audit_events (
  event_id FixedString(16), phase LowCardinality(String), tenant_id LowCardinality(String),
  occurred_at DateTime64(6, 'UTC'), event_type LowCardinality(String), kind LowCardinality(String), actor_id String,
  action LowCardinality(String), resource_type LowCardinality(String), resource_id String,
  service LowCardinality(String), decision LowCardinality(String), outcome LowCardinality(String), status UInt16,
  severity Int8, trace_id String, note String, body String CODEC(ZSTD(1)),
  INDEX by_trace trace_id TYPE bloom_filter GRANULARITY 1,
  INDEX by_actor actor_id TYPE bloom_filter GRANULARITY 1,
  INDEX by_resource resource_id TYPE bloom_filter GRANULARITY 1,
  INDEX by_severity severity TYPE minmax GRANULARITY 1,
  INDEX by_note note TYPE text(tokenizer = 'splitByNonAlpha')
) ENGINE MergeTree PARTITION BY toMonday(occurred_at) ORDER BY (tenant_id, event_id, phase)
"""
_SHAPE = (
    "Tuple(event_id String, phase String, tenant_id String, occurred_at String, event_type String, kind String,"
    " actor Tuple(id String), action String, resource Tuple(type String, id String), request Tuple(service String),"
    " decision Tuple(effect String), outcome String, status UInt16, severity String, trace_id String,"
    " details Tuple(note String))"
)
_WORDS = ", ".join(f"'{'' if each is Severity.INFO else each}'" for each in BY_RANK)  # `info` is left out of the bytes
_INSERT = f"""
INSERT INTO audit_events
SELECT UUIDStringToNum(e.event_id), e.phase, e.tenant_id, parseDateTime64BestEffort(e.occurred_at, 6, 'UTC'),
  e.event_type, e.kind, e.actor.id, e.action, e.resource.type, e.resource.id, e.request.service, e.decision.effect,
  e.outcome, e.status, indexOf([{_WORDS}], e.severity) - 1, e.trace_id, e.details.note, line
FROM (SELECT line, JSONExtract(line, '{_SHAPE}') AS e FROM file({{path:String}}, LineAsString, 'line String'))
"""  # noqa: S608 - constants of ours
_LEADS = f"phase <> '{Phase.COMPLETED}'"
_NEWEST = f"ORDER BY event_id DESC LIMIT {PAGE}"
_ID = "UUIDNumToString(event_id)"
_WINDOW = "occurred_at >= {since:DateTime64(6, 'UTC')} AND occurred_at < {until:DateTime64(6, 'UTC')}"
_OF = "tenant_id = {tenant:String}"


def _page(where: str, tail: str = _NEWEST) -> str:
    return f"SELECT {_ID}, body FROM audit_events WHERE {where} AND {_LEADS} {tail}"  # noqa: S608 - constants of ours


_STATEMENTS = {
    Name.NEWEST: _page(_OF),
    Name.ACTOR: _page(f"{_OF} AND actor_id = {{actor:String}}"),
    Name.TRACE: _page(f"{_OF} AND trace_id = {{trace:String}}", f"ORDER BY event_id LIMIT {PAGE}"),
    Name.RESOURCE: _page(f"{_OF} AND resource_type = {{type:String}} AND resource_id = {{id:String}}"),
    Name.DENIALS: _page(f"{_OF} AND decision = 'deny' AND {_WINDOW}"),
    Name.GRAVE: _page(f"{_OF} AND severity >= {RANK[GRAVE]}"),
    Name.TEXT: _page(f"{_OF} AND hasAllTokens(note, splitByChar(' ', {{words:String}}))"),
    Name.DEEP: _page(f"{_OF} AND event_id < UUIDStringToNum({{after:String}})"),
    Name.STATS: f"SELECT toUnixTimestamp(toStartOfHour(occurred_at)) AS hour, action, count() FROM audit_events"  # noqa: S608
    f" WHERE {_OF} AND {_LEADS} AND {_WINDOW} GROUP BY hour, action ORDER BY hour, action",
    Name.EXPORT: _page(f"{_OF} AND {_WINDOW}", "ORDER BY event_id"),
    Name.SECURITY: _page(f"severity >= {RANK[SECURITY]}"),
    Name.ACTORS: f"SELECT DISTINCT actor_id FROM audit_events WHERE {_OF} AND {_LEADS} AND {_WINDOW}"  # noqa: S608
    " AND actor_id <> '' ORDER BY actor_id",
}


class ClickHouse:
    """See `engine.Engine`."""

    own_way = "an INSERT of 10,000 records from a file of lines (there is no sink of ours for it)"

    def __init__(self, folder: Path) -> None:
        self.pid = os.getpid()
        self._folder = folder / "clickhouse"
        self._batch = folder / "batch.ndjson"
        self._connection = chdb.connect(str(self._folder))
        self._guard = threading.Lock()  # two threads with values each lose one's: the connection keeps them for itself
        self.version = str(self._rows("SELECT version()")[0][0])
        self._connection.query("SET max_threads = 2")
        self._connection.query(_TABLE)

    def _rows(self, statement: str, **values: Any) -> list[Any]:
        with self._guard:
            answered = self._connection.query(statement, "JSONCompactEachRow", params=values).data()
        return [msgspec.json.decode(line) for line in answered.splitlines()]

    def write(self, records: list[bytes]) -> None:
        """One part for each batch."""
        with self._guard:
            self._batch.write_bytes(b"\n".join(records) + b"\n")
            self._connection.query(_INSERT, params={"path": str(self._batch)})

    def load(self, folder: Path, first: int, beyond: int) -> None:
        """Straight from the files, ten chunks a statement."""
        for number in range(first, beyond, 10):
            several = "{" + ",".join(f"{each:06d}" for each in range(number, min(number + 10, beyond))) + "}"
            path = str(chunk_file(folder, 0)).replace("000000", several)
            self._connection.query(_INSERT, params={"path": path})

    def settled(self) -> None:
        """Nothing: parts are merged when they are."""

    def ask(self, question: Question) -> str:  # noqa: C901 - a case for each question
        """One statement each."""
        values: dict[str, Any] = {"tenant": question.tenant}
        match question.name:
            case Name.ACTOR:
                values["actor"] = question.actor
            case Name.TRACE:
                values["trace"] = question.trace
            case Name.RESOURCE:
                values["type"], values["id"] = question.resource
            case Name.TEXT:
                values["words"] = " ".join(question.words)
            case Name.DEEP:
                values["after"] = question.after
            case Name.SECURITY:
                values = {}
            case Name.DENIALS | Name.STATS | Name.EXPORT | Name.ACTORS:
                values["since"], values["until"] = _moment(question.since), _moment(question.until)
            case Name.NEWEST | Name.GRAVE:
                pass
        rows = self._rows(_STATEMENTS[question.name], **values)
        if question.name is Name.STATS:
            return answer([(hour, action, int(count)) for hour, action, count in rows])
        if question.name is Name.EXPORT:
            for row in rows:
                msgspec.json.decode(row[1])
        return answer([row[0] for row in rows])

    @contextmanager
    def reader(self) -> Iterator[Callable[[Question], str]]:
        """The one connection there is: the engine takes turns."""
        yield self.ask

    def seen(self, tenant: str, event_id: str) -> bool:
        """The newest of a tenant."""
        found = self._rows(_page(_OF, "ORDER BY event_id DESC LIMIT 1"), tenant=tenant)
        return bool(found) and found[0][0] == event_id

    def disk(self) -> int:
        """Of the parts that are in use."""
        found = self._rows("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'audit_events'")
        return int(found[0][0])

    def drop_week(self) -> int:
        """A partition."""
        self._connection.query(f"ALTER TABLE audit_events DROP PARTITION '{START:%Y-%m-%d}'")
        return int(self._rows("SELECT count() FROM audit_events")[0][0])

    def drop_tenant(self, tenant: str) -> int:
        """A mutation, waited for: every part that has rows of the tenant is written anew."""
        self._connection.query(
            "ALTER TABLE audit_events DELETE WHERE tenant_id = {tenant:String} SETTINGS mutations_sync = 2",
            params={"tenant": tenant},
        )
        return int(
            self._rows("SELECT count() FROM audit_events WHERE tenant_id = {tenant:String}", tenant=tenant)[0][0]
        )

    def stop(self) -> None:
        """Close it."""
        self._connection.close()


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"
