"""What must hold when a round is over. Pure; knows the promises of DESIGN section 5, and none of the product's code.

Each rule returns what it found wrong, a line each, with the ids to find it by.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.chaos.books import AHEAD, DECISION, LOSS, Books, count_of, folded, lost_reads
from tests.chaos.evidence import Evidence, Row, canonical_hash
from tests.chaos.shop import FOLDED, Asked

UNRECORDED = "audit_unavailable"
FOLD_S = 2.5
"""How long before a kill a refusal may have been counted into a fold that died with it: a second, and the next tick."""
_SYSTEM = ("audit.", "gateway.", "policy.", "ops.")
UPSTREAM = {"upstream_unavailable", "upstream_invalid", "upstream_timeout"}
"""Answered by the gateway after the decision was on disk."""


COLUMNS: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in ("event_id", "phase", "tenant_id", "event_type", "kind", "action", "outcome")},
    **{name: (name,) for name in ("trace_id", "status")},
    "producer_id": ("producer", "id"),
    "producer_epoch": ("producer", "epoch"),
    "producer_seq": ("producer", "seq"),
    "actor_id": ("actor", "id"),
    "resource_type": ("resource", "type"),
    "resource_id": ("resource", "id"),
    "decision": ("decision", "effect"),
}
"""The typed columns, and where the body has the same."""

Rule = Callable[[Books], Iterator[str]]


def keys(books: Books) -> Iterator[str]:
    """A record is there once, whether in the store or set apart."""
    for key, times in Counter(row.key for row in books.visible).items():
        if times > 1:
            yield f"{'/'.join(key)} is there {times} times"
    for conflict in books.evidence.conflicts:
        yield f"conflict: {conflict} came with two contents"
    for row in books.evidence.dead:
        if not (books.evidence.ahead and row.dead == AHEAD):
            yield f"dead letter `{row.dead}` that nobody planned: {row}"


def one_event_each(books: Books) -> Iterator[str]:
    """A request has one event: one record, or the two phases of one."""
    for trace, rows in books.by_trace.items():
        asked = books.asked.get(trace)
        if asked is None:
            continue  # `nobody_caused` says so
        ids = {row.key[0] for row in rows}
        if len(ids) > 1:
            yield f"{asked.ask.name}, trace {trace}: {len(ids)} events: {', '.join(sorted(ids))}"
            continue
        phases = sorted(row.key[1] for row in rows)
        if phases not in (["single"], ["decided"], ["completed", "decided"]):
            if phases == ["completed"] and not asked.ask.durable and books.named_count:
                continue  # a read of many seconds, whose buffered first record was lost, and named
            yield f"{asked.ask.name}, trace {trace}: phases {phases}"


def durable_ones(books: Books) -> Iterator[str]:
    """Whoever was known and was answered on a durable route, or refused, has an event."""
    for asked in books.evidence.asked:
        if must_be_there(asked) and not books.by_trace.get(asked.trace_id):
            yield (
                f"no event of {asked.ask.name} by {asked.user}@{asked.tenant}, answered {asked.status}"
                f" {asked.code or ''} as {asked.decision_id}, trace {asked.trace_id}"
            )
        if asked.known and asked.ask.domain and asked.status is not None and asked.status < 300:
            found = [row for row in books.domain.get(asked.trace_id, ()) if row.at("outcome") == "success"]
            if len(found) != 1:
                yield f"{len(found)} records of the service for {asked.ask.name}, trace {asked.trace_id}"


def must_be_there(asked: Asked) -> bool:
    """Whether the client saw something that no record may be missing for."""
    if not asked.known or asked.status is None or asked.code == UNRECORDED:
        return False
    if asked.code is None or asked.code in UPSTREAM:
        return asked.ask.durable
    return asked.status in {403, 404, 405}


def right_payloads(books: Books) -> Iterator[str]:
    """What a record says of a request is what was sent and seen."""
    for trace, rows in books.by_trace.items():
        asked = books.asked.get(trace)
        if asked is not None:
            for row in rows:
                for what, is_, should in _differences(asked, row):
                    yield f"{what} is {is_!r} and should be {should!r}: {asked.ask.name}, {row}"


def _differences(asked: Asked, row: Row) -> Iterator[tuple[str, Any, Any]]:
    wanted = [*_as_sent(asked, row), *(_as_seen(asked, row) if _was_told(asked) else ())]
    for what, is_, should in wanted:
        if is_ != should:
            yield what, is_, should


def _was_told(asked: Asked) -> bool:
    """Whether the client saw what the record must say too: not where there was to be none."""
    return asked.status is not None and asked.code != UNRECORDED


def _as_sent(asked: Asked, row: Row) -> Iterator[tuple[str, Any, Any]]:
    """What the request settles: name, value, what it should be."""
    ask, phase = asked.ask, row.key[1]
    if asked.known or asked.ask.name in FOLDED:  # a stranger who looks round a shop may be booked to it or to nobody
        yield "tenant", row.at("tenant_id"), asked.tenant
    yield "method", row.at("request", "method"), ask.method
    yield "route", row.at("request", "route"), ask.route
    if phase == "completed":
        return
    yield "action", row.at("action"), ask.action
    yield "actor", row.at("actor", "id"), asked.user
    yield "client", row.at("client", "ip"), asked.address
    asked_cedar = row.at("decision", "effect") == "allow" or row.at("decision", "code") == "forbidden"
    if ask.resource is not None and (asked_cedar or row.at("resource") is not None):  # not while a body is awaited
        kind, fixed = ask.resource
        yield "resource", (row.at("resource", "type"), row.at("resource", "id")), (kind, fixed or asked.resource_id)


def _as_seen(asked: Asked, row: Row) -> Iterator[tuple[str, Any, Any]]:
    """What the answer settles."""
    refused = asked.code is not None and asked.code not in UPSTREAM
    if row.key[1] != "completed":
        yield "effect", row.at("decision", "effect"), "deny" if refused else "allow"
    if row.key[1] != "decided":
        yield "status", row.at("status"), asked.status
    if refused:
        yield "code", row.at("decision", "code"), asked.code
    if asked.decision_id is not None and asked.ask.name not in FOLDED:
        yield "event id", row.key[0], asked.decision_id


def completions(books: Books) -> Iterator[str]:
    """A durable allow that was answered says how it ended, unless its worker died, or lost its disk, about then."""
    for asked in books.evidence.asked:
        phases = {row.key[1] for row in books.by_trace.get(asked.trace_id, ())}
        if "decided" in phases and "completed" not in phases and not books.near(asked.ended_at):
            yield f"no completion of {asked.ask.name}, trace {asked.trace_id}, though nothing happened to the gateway"


def buffered_ones(books: Books) -> Iterator[str]:
    """What is missing of the others was lost to a fault, and there are names for as many."""
    missing = lost_reads(books)
    for asked in missing:
        if not books.near(asked.ended_at):
            yield f"no event of {asked.ask.name}, trace {asked.trace_id}, though nothing happened to the gateway"
    if len(missing) > books.named_count:
        yield f"{len(missing)} buffered records are missing, and {books.named_count} numbers named"


def numbers(books: Books) -> Iterator[str]:
    """Every number from 1 to the last that was taken is in the store, or named missing; none twice, none both."""
    present: dict[tuple[str, int], dict[int, list[Row]]] = defaultdict(dict)
    for row in books.visible:
        if row.seq:
            present[row.producer].setdefault(row.seq, []).append(row)
    for producer in sorted({*present, *books.named, *books.evidence.taken}):
        there, named = present.get(producer, {}), books.named.get(producer, {})
        last = max([books.evidence.taken.get(producer, 0), *there, *named])
        for found in _account(there, named, last):
            yield f"{producer[0]}/{producer[1]}: {found}"


def _account(there: Mapping[int, list[Row]], named: Mapping[int, list[Row]], last: int) -> Iterator[str]:
    """One producer's epoch."""
    for number, rows in there.items():
        if len(rows) > 1:
            yield f"number {number} is borne by {len(rows)} records: {'; '.join(map(str, rows))}"
        if number in named:
            yield f"number {number} is named missing and is there: {rows[0]}"
    for number, rows in named.items():
        if len(rows) > 1:
            yield f"number {number} is named missing by {len(rows)} records"
    holes = sorted(set(range(1, last + 1)) - set(there) - set(named))
    if holes:
        shown = ", ".join(map(str, holes[:12])) + (" ..." if len(holes) > 12 else "")
        yield f"of {last} numbers {len(holes)} are neither there nor named: {shown}"


def losses_add_up(books: Books) -> Iterator[str]:
    """A loss counts what it names."""
    for row in books.visible:
        if row.at("event_type") == LOSS:
            named = sum(last - first + 1 for first, last in row.at("details", "missing"))
            if named != row.at("details", "count"):
                yield f"names {named} numbers and counts {row.at('details', 'count')}: {row}"


FoldOf = tuple[str, str]
"""What strangers were after, and the network they came from."""


def folds(books: Books) -> Iterator[str]:
    """Strangers' refusals add up, code by code and network by network; only those of a lost fold may be missing."""
    seen: dict[FoldOf, list[Asked]] = defaultdict(list)
    perhaps: Counter[FoldOf] = Counter()
    for asked in books.evidence.asked:
        if asked.ask.name in FOLDED and asked.status is None:
            perhaps[asked.ask.name, asked.network] += 1
        elif asked.ask.name in FOLDED and asked.code is not None and asked.status in {401, 404}:
            seen[asked.ask.name, asked.network].append(asked)
    counted: Counter[FoldOf] = Counter()
    for first, row in folded(books):
        counted[first.ask.name, first.network] += count_of(row)
    for key in sorted({*seen, *counted}):
        have, low = counted[key], len(seen[key])
        losable = sum(books.near(asked.ended_at, FOLD_S) for asked in seen[key])
        if have > low + perhaps[key]:
            yield f"{key}: {have} refusals counted, {low} seen and {perhaps[key]} perhaps"
        elif low > have and (not books.named_count or low - have > losable):
            yield f"{key}: {have} refusals counted of {low} seen; folds of {losable} may have been lost"


def whole_folds(books: Books) -> Iterator[str]:
    """A fold's traces are of requests that are alike, not more than it counts, and it begins before it ends."""
    for first, row in folded(books):
        traces = row.at("details", "trace_ids") or ()
        spans = row.at("aggregate") or {"first_at": "", "last_at": ""}
        if len(traces) > count_of(row) or (row.at("aggregate") is not None and count_of(row) < 2):
            yield f"a fold of {count_of(row)} with {len(traces)} traces: {row}"
        if books.evidence.steady and spans["first_at"] > spans["last_at"]:
            yield f"a fold that ends before it begins: {row}"
        for trace in traces:
            other = books.asked.get(trace)
            if other is None or (other.ask.name, other.network) != (first.ask.name, first.network):
                yield f"a fold that counts another's refusal, trace {trace}: {row}"


def nobody_caused(books: Books) -> Iterator[str]:
    """Every row belongs to a request that was sent, or is the audit's own."""
    for row in books.visible:
        trace = str(row.at("trace_id"))
        if row.at("kind") in {"decision", "domain"}:
            asked = books.asked.get(trace)
            if asked is None:
                yield f"nobody caused {row}"
            elif row.at("kind") == "domain" and not _of_its_request(asked, row):
                yield f"a service's record that does not fit its request ({asked.ask.name}): {row}"
            elif row.at("kind") == "decision" and row.at("event_type") != DECISION:
                yield f"nobody asked for {row}"
        elif not str(row.at("event_type")).startswith(_SYSTEM):
            yield f"nobody knows {row}"


def _of_its_request(asked: Asked, row: Row) -> bool:
    return bool(
        asked.ask.domain is not None
        and row.at("event_type") == asked.ask.domain
        and row.at("tenant_id") == asked.tenant
        and row.at("actor", "id") == asked.user
        and row.at("action") == asked.ask.action
    )


def services_say_it_once(books: Books) -> Iterator[str]:
    """A request changes something at most once."""
    for trace, rows in books.domain.items():
        done = [row for row in rows if row.at("outcome") == "success"]
        if len(done) > 1:
            yield f"done {len(done)} times under trace {trace}: {'; '.join(map(str, done))}"


def columns(books: Books) -> Iterator[str]:
    """The columns that are searched say what the body says, and the body is what was hashed."""
    for row in books.evidence.rows:
        for name, path in COLUMNS.items():
            if row.columns[name] != row.at(*path):
                yield f"column {name} is {row.columns[name]!r}, the body says {row.at(*path)!r}: {row}"
        if row.hash != canonical_hash(row.body):
            yield f"the body is not what was hashed: {row}"


def complete_through(books: Books) -> Iterator[str]:
    """What a reader was promised to be complete stayed so. Not asked of rounds in which the clock is moved."""
    if not books.evidence.steady:
        return
    promised = sorted(books.evidence.promised)
    for row in books.evidence.rows:
        if not row.seq and row.at("event_type") != LOSS:
            continue  # the keeper's own have no number, and nobody waits for them
        event_id = row.key[0]
        at = int(event_id[:8] + event_id[9:13], 16) / 1000
        for said_at, through in promised:
            if said_at < row.ingested_at and at < through:
                yield f"came {row.ingested_at - said_at:.3f} s after readers were told that all before was there: {row}"
                break


def ended(books: Books) -> Iterator[str]:
    """The store knows of every epoch's end: nothing is under way any more."""
    newest: dict[str, int] = {}
    for producer, epoch in books.evidence.taken:
        newest[producer] = max(epoch, newest.get(producer, 0))
    for producer, epoch in sorted(newest.items()):
        if (producer, epoch) not in books.evidence.ended:
            yield f"{producer}/{epoch} has not ended in the store"


RULES: tuple[Rule, ...] = (
    keys, one_event_each, durable_ones, right_payloads, completions, buffered_ones, numbers, losses_add_up, folds,
    whole_folds, nobody_caused, services_say_it_once, columns, complete_through, ended,
)  # fmt: skip


def judge(evidence: Evidence) -> tuple[Books, list[str]]:
    """Everything that is wrong, each line beginning with the rule it breaks."""
    books = Books(evidence)
    return books, [f"{rule.__name__}: {found}" for rule in RULES for found in rule(books)]
