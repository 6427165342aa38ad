"""The oracle itself: a store that keeps every promise passes, and each way to break one is found by the rule for it.

The store is a real one: records of the product's own shape go through its own writer, are read back as a round reads
them, and are then tampered with by SQL.
"""

import json
import time
from dataclasses import replace
from typing import Any

import asyncpg
import msgspec

from audit.codec import encode, timestamp
from audit.event import (
    Actor,
    Aggregate,
    AuditEvent,
    Client,
    Decision,
    Kind,
    Outcome,
    Phase,
    Producer,
    Request,
    Resource,
)
from audit.ids import EventIds
from audit.store import Store
from tests.chaos import evidence as seen
from tests.chaos.books import NEAR_S
from tests.chaos.evidence import Disturbance, Evidence, Row, letter
from tests.chaos.oracle import FOLD_S, RULES, judge
from tests.chaos.shop import BROWSE, EXPORT, FORBIDDEN, LIST, SELL, STRANGER, Ask, Asked
from tests.chaos.tally import tally
from tests.servers.postgres import Logins

NOW = time.time()
KILLED_AT = NOW - 20.0
QUIET_AT = NOW - 60.0
W0, ORDER = ("chaos-w0", 1), ("svc-order", 1)


class House:
    """Requests and the records they left, as a gateway and a service would leave them."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.records: list[AuditEvent] = []
        self._seqs = {W0: 0, ORDER: 0}
        self._ids = EventIds()

    def ask(
        self, ask: Ask, status: int | None, code: str | None = None, at: float = QUIET_AT, address: str = "1.2.3.4"
    ) -> Asked:
        """A request that was answered so."""
        user = "cashier-acme-0" if ask.role is not None else None
        trace = f"{len(self.asked) + 1:032x}"
        tenant = "acme" if user is not None or ask is BROWSE else "-"
        asked = Asked(ask, trace, tenant, user, address, None, at, at, status, code)
        self.asked.append(asked)
        return asked

    def number(self, producer: tuple[str, int] = W0) -> Producer:
        """The next number."""
        self._seqs[producer] += 1
        return Producer(*producer, self._seqs[producer])

    def record(self, asked: Asked, phase: Phase, **changes: Any) -> AuditEvent:
        """A decision record of it."""
        completed = phase is Phase.COMPLETED
        event_id = changes.pop("event_id", asked.decision_id) or self._ids.next()
        if asked.ask is not STRANGER:
            asked.decision_id = event_id
        refused = asked.code is not None
        event = AuditEvent(
            event_id=event_id,
            phase=phase,
            event_type="authz.decision.evaluated",
            kind=Kind.DECISION,
            tenant_id=asked.tenant,
            occurred_at=timestamp(int(NOW * 1e9)),
            producer=self.number(),
            actor=None if completed else Actor(type="user", id=asked.user),
            client=None if completed else Client(ip=asked.address),
            action=None if completed else asked.ask.action,
            resource=Resource(*asked.ask.resource) if asked.ask.resource and not completed else None,
            decision=None if completed else Decision(effect="deny" if refused else "allow", code=asked.code),
            outcome=Outcome.SUCCESS,
            status=None if phase is Phase.DECIDED else asked.status,
            request=Request(method=asked.ask.method, route=asked.ask.route, service="order"),
            trace_id=asked.trace_id,
        )
        for name, value in changes.items():
            event = _with(event, name, value)
        self.records.append(event)
        return event

    def domain(self, asked: Asked) -> None:
        """The service's record of it."""
        self.records.append(
            AuditEvent(
                event_id=self._ids.next(),
                phase=Phase.SINGLE,
                event_type=asked.ask.domain or "",
                kind=Kind.DOMAIN,
                tenant_id=asked.tenant,
                occurred_at=timestamp(int(NOW * 1e9)),
                producer=self.number(ORDER),
                actor=Actor(type="user", id=asked.user),
                action=asked.ask.action,
                resource=Resource("Order", "o-1"),
                outcome=Outcome.SUCCESS,
                trace_id=asked.trace_id,
            )
        )

    def loss(self, first: int, last: int, **changes: Any) -> None:
        """A loss that names numbers of the worker."""
        details = {"producer": W0[0], "epoch": W0[1], "missing": [[first, last]], "count": last - first + 1}
        self.records.append(
            AuditEvent(
                event_id=self._ids.next(),
                phase=Phase.SINGLE,
                event_type="audit.loss",
                kind=Kind.SYSTEM,
                tenant_id="-",
                occurred_at=timestamp(int(NOW * 1e9)),
                producer=Producer(*W0, 0),
                details={**details, "reason": "killed", **changes},
            )
        )

    @property
    def taken(self) -> dict[tuple[str, int], int]:
        """What the counters would say."""
        return dict(self._seqs)


def _with(event: AuditEvent, name: str, value: Any) -> AuditEvent:
    return msgspec.structs.replace(event, **{name: value})


def house() -> House:
    """A little of everything, and one kill: a sale, an export, refusals, reads, strangers, a lost read, a lost fold."""
    built = House()
    for ask in (SELL, EXPORT):
        sold = built.ask(ask, 201 if ask is SELL else 200)
        built.record(sold, Phase.DECIDED)
        built.domain(sold)
        built.record(sold, Phase.COMPLETED)
    built.record(built.ask(FORBIDDEN, 403, "forbidden"), Phase.SINGLE)
    built.record(built.ask(LIST, 200), Phase.SINGLE)
    built.record(built.ask(BROWSE, 200), Phase.SINGLE)
    strangers = [built.ask(STRANGER, 401, "unauthenticated", address=f"9.9.9.{n}") for n in range(4)]
    first, last = (timestamp(int(at * 1e9)) for at in (QUIET_AT, QUIET_AT + 1))
    built.record(
        strangers[0],
        Phase.SINGLE,
        aggregate=Aggregate(4, first, last),
        details={"trace_ids": [each.trace_id for each in strangers]},
    )
    built.record(built.ask(STRANGER, 401, "unauthenticated", address="8.8.8.1"), Phase.SINGLE)
    built.ask(SELL, None)  # never answered, and never written
    cut = built.ask(SELL, 201, at=KILLED_AT)  # answered, and the worker killed before it could say so
    built.record(cut, Phase.DECIDED)
    built.domain(cut)
    built.ask(LIST, 200, at=KILLED_AT)
    built.ask(STRANGER, 401, "unauthenticated", at=KILLED_AT - 1, address="7.7.7.7")
    lost = [built.number().seq for _ in range(2)]
    built.loss(lost[0], lost[-1])
    built.ask(SELL, 503, "audit_unavailable")
    return built


async def observed(logins: Logins, built: House) -> Evidence:
    """Write everything, and read it back."""
    store = Store(logins.writer)
    written = await store.write([encode(event) for event in built.records])
    await store.close()
    assert written.rows == len(built.records)
    return _evidence(built, *await seen.stored(logins.owner))


def _evidence(built: House, rows: list[Row], dead: list[Row], conflicts: list[str]) -> Evidence:
    killed = Disturbance("kill worker", KILLED_AT, KILLED_AT)
    return Evidence(built.asked, rows, dead, conflicts, built.taken, frozenset(built.taken), [killed])


def broken(evidence: Evidence) -> set[str]:
    """The rules that are broken."""
    _, found = judge(evidence)
    return {line.partition(":")[0] for line in found}


async def test_a_store_that_keeps_every_promise_passes(migrated_database: Logins) -> None:
    """Losses that a kill explains and names that say so are none; the tally counts them."""
    evidence = await observed(migrated_database, house())
    books, found = judge(evidence)
    assert found == []
    lines = "\n".join(tally(books))
    for said in (
        "15 requests", "1 outcomes unknown", "2 numbers named missing: 2 killed", "1 buffered records missing",
        "5 strangers' refusals counted in 2 records, 6 seen",
    ):  # fmt: skip
        assert said in lines, lines


_ONE = "WHERE event_id = (SELECT event_id FROM audit_events WHERE {} ORDER BY event_id LIMIT 1) AND phase = '{}'"


def _body(where: str, phase: str, path: str, value: Any) -> str:
    """Change a value in a body."""
    chosen = _ONE.format(where, phase)
    return f"UPDATE audit_events SET body = jsonb_set(body, '{{{path}}}', '{json.dumps(value)}') {chosen}"  # noqa: S608


_AGAIN = (
    "INSERT INTO audit_events (event_id, phase, tenant_id, event_type, kind, occurred_at, producer_id, producer_epoch,"
    " producer_seq, severity, trace_id, payload_hash, body) SELECT id, phase, tenant_id, event_type, kind, occurred_at,"
    " producer_id, producer_epoch, producer_seq, severity, {}, payload_hash, body || jsonb_build_object('event_id', id)"
    " || {} FROM audit_events, (SELECT audit_id_floor(now()) AS id) AS other "
)


def _gone(where: str, phase: str) -> str:
    """Take a row away."""
    return "DELETE FROM audit_events " + _ONE.format(where, phase)  # noqa: S608 - our own words


def _again(where: str, phase: str, trace: str = "trace_id", more: str = "'{}'") -> str:
    """The row again, under an id of its own."""
    return _AGAIN.format(trace, more) + _ONE.format(where, phase)


_DECIDED = "action = 'order:create' AND phase = 'decided'"
_READ = "action = 'order:list' AND decision = 'allow'"
_FOLD = "body ? 'aggregate'"

TAMPERED = {
    "a decision is gone": (_gone(_DECIDED, "decided"), {"one_event_each", "numbers"}),
    "a refusal is gone": (
        _gone("status = 403", "single"), {"durable_ones", "numbers"},
    ),
    "a completion is gone": (
        _gone(_DECIDED, "completed"), {"completions", "numbers"},
    ),
    "a read is gone": (_gone(_READ, "single"), {"buffered_ones", "numbers"}),
    "a service's record is gone": (
        _gone("kind = 'domain'", "single"), {"durable_ones", "numbers"},
    ),
    "a loss is hidden": (
        _gone("event_type = 'audit.loss'", "single"),
        {"numbers", "buffered_ones", "folds"},
    ),
    "a fold is gone": (_gone(_FOLD, "single"), {"numbers", "folds"}),
    "a fold counts too little": (_body(_FOLD, "single", "aggregate,count", 3), {"folds", "whole_folds", "columns"}),
    "a fold counts too much": (_body(_FOLD, "single", "aggregate,count", 5), {"folds", "columns"}),
    "a fold ends too early": (
        _body(_FOLD, "single", "aggregate,last_at", "2020-01-01T00:00:00.000000Z"), {"whole_folds", "columns"},
    ),
    "a fold has another's trace": (
        _body(_FOLD, "single", "details,trace_ids", [f"{1:032x}"]), {"whole_folds", "columns"},
    ),
    "a loss counts wrong": (
        _body("event_type = 'audit.loss'", "single", "details,count", 7), {"losses_add_up", "columns"},
    ),
    "a decision twice, under another id": (
        _again(_DECIDED, "decided"),
        {"one_event_each", "numbers", "right_payloads", "columns"},
    ),
    "a service's record twice": (
        _again("kind = 'domain'", "single"),
        {"durable_ones", "services_say_it_once", "numbers", "columns"},
    ),
    "a decision nobody asked for": (
        _again(_DECIDED, "decided", "repeat('e', 32)", "jsonb_build_object('trace_id', repeat('e', 32))"),
        {"nobody_caused", "numbers", "columns"},
    ),
    "another effect": (_body(_DECIDED, "decided", "decision,effect", "deny"), {"right_payloads", "columns"}),
    "another tenant": (_body(_DECIDED, "decided", "tenant_id", "globex"), {"right_payloads", "columns"}),
    "another actor": (_body(_DECIDED, "decided", "actor,id", "somebody"), {"right_payloads", "columns"}),
    "another address": (_body(_DECIDED, "decided", "client,ip", "1.1.1.1"), {"right_payloads", "columns"}),
    "another route": (_body(_DECIDED, "completed", "request,route", "/x"), {"right_payloads", "columns"}),
    "another resource": (_body(_DECIDED, "decided", "resource,id", "o-2"), {"right_payloads", "columns"}),
    "another status": (_body(_DECIDED, "completed", "status", 200), {"right_payloads", "columns"}),
    "another code": (_body("status = 403", "single", "decision,code", "x"), {"right_payloads", "columns"}),
    "another's change": (_body("kind = 'domain'", "single", "actor,id", "x"), {"nobody_caused", "columns"}),
    "an unknown type": (
        "UPDATE audit_events SET kind = 'system', event_type = 'x.y',"  # noqa: S608 - our own words
        " body = body || '{\"kind\": \"system\", \"event_type\": \"x.y\"}' " + _ONE.format("kind = 'domain'", "single"),
        {"durable_ones", "nobody_caused", "columns"},
    ),
    "a column that lies": (
        "UPDATE audit_events SET tenant_id = 'globex' " + _ONE.format(_DECIDED, "decided"),  # noqa: S608 - our own words
        {"columns"},
    ),
    "a value nobody looks at": (_body(_READ, "single", "latency_us", 1), {"columns"}),
    "a conflict": (
        "INSERT INTO audit_conflicts (event_id, phase, payload_hash, payload)"  # noqa: S608 - our own words
        " SELECT event_id, phase, payload_hash, ''::bytea FROM audit_events " + _ONE.format(_READ, "single"),
        {"keys"},
    ),
    "a dead letter": (
        "INSERT INTO audit_dead_letters (reason, error, payload, payload_hash) VALUES ('schema', '', '{}', '')",
        {"keys"},
    ),
}  # fmt: skip


async def test_what_is_done_to_the_store_is_found(migrated_database: Logins) -> None:
    """Each by the rules it breaks, and no other."""
    built = house()
    await observed(migrated_database, built)
    found = {}
    connection = await asyncpg.connect(migrated_database.owner)
    try:
        for what, (change, _) in TAMPERED.items():
            transaction = connection.transaction()
            await transaction.start()
            changed = await connection.execute(change)
            assert changed.rpartition(" ")[2] == "1", what
            found[what] = broken(_evidence(built, *await seen.read(connection)))
            await transaction.rollback()
    finally:
        await connection.close()
    assert found == {what: rules for what, (_, rules) in TAMPERED.items()}


def test_every_rule_is_broken_by_something() -> None:
    """Or it might as well not be there. Two are broken by evidence that is no row."""
    found = {rule for _, rules in TAMPERED.values() for rule in rules} | {"complete_through", "ended"}
    assert found == {rule.__name__ for rule in RULES}


async def test_what_the_counters_and_the_clients_say_is_held_against_the_store(migrated_database: Logins) -> None:
    """Numbers taken after the last that is there, faults too long ago, promises, ends, letters."""
    evidence = await observed(migrated_database, house())

    def with_(**changes: Any) -> set[str]:
        return broken(replace(evidence, **changes))

    assert with_(taken={**evidence.taken, W0: evidence.taken[W0] + 1}) == {"numbers"}
    assert with_(ended=frozenset({W0})) == {"ended"}
    long_ago = Disturbance("kill worker", KILLED_AT - NEAR_S - 60, KILLED_AT - NEAR_S - 60)
    assert with_(disturbed=[long_ago]) == {"completions", "buffered_ones", "folds"}
    late_kill = Disturbance("kill worker", KILLED_AT - 1 + FOLD_S + 0.1, KILLED_AT + 2)
    assert with_(disturbed=[late_kill]) == {"folds"}
    soon = time.time() + 60  # later than every row, however long ago this module was loaded
    first_seen = min(row.ingested_at for row in evidence.rows)
    assert with_(promised=[(first_seen - 1, soon)]) == {"complete_through"}
    assert with_(promised=[(first_seen - 1, soon)], steady=False) == set()
    assert with_(promised=[(first_seen - 1, NOW - 60)]) == set()
    assert with_(promised=[(first_seen + 60, soon)]) == set()

    row = next(row for row in evidence.rows if row.key[1] == "decided")
    dead = letter("out_of_range", json.dumps(row.body).encode())
    others = [each for each in evidence.rows if each is not row]
    assert with_(rows=others, dead=[dead], ahead=True) == set()
    assert with_(rows=others, dead=[dead]) == {"keys", "numbers", "one_event_each"}
    assert with_(dead=[dead], ahead=True) == set()  # taken while its clock was believed, delivered again when not
    other = Row({}, {**dead.body, "status": 299}, dead="out_of_range")
    assert "keys" in with_(dead=[other], ahead=True)


async def test_an_answer_that_was_never_seen_binds_to_nothing_but_once_and_right(migrated_database: Logins) -> None:
    """A request that was cut off may be recorded; twice, or wrongly, it may not."""
    built = house()
    unseen = next(asked for asked in built.asked if asked.status is None)
    built.record(unseen, Phase.DECIDED)
    evidence = await observed(migrated_database, built)
    assert broken(evidence) == {"completions"}  # decided, and nothing happened then that explains the silence
    unseen.ended_at = KILLED_AT
    assert broken(evidence) == set()
    unseen.user = "another"
    assert broken(evidence) == {"right_payloads"}


async def test_a_refusal_that_could_not_be_recorded_needs_no_record(migrated_database: Logins) -> None:
    """`audit_unavailable` is the gateway saying so; any other answer is a promise."""
    built = house()
    evidence = await observed(migrated_database, built)
    refused = next(asked for asked in built.asked if asked.code == "audit_unavailable")
    refused.code = "upstream_unavailable"
    assert broken(evidence) == {"durable_ones"}
    refused.code, refused.status = "overloaded", 503
    assert broken(evidence) == set()
