"""The events of the study: ours, by our own encoder, the same for everybody who asks for as many.

They come in chunks that can be made in any order and by any process: a chunk's dice are seeded with its number. Time
runs evenly over four weeks; tenants, actors and words are as uneven as they are in life.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate
from pathlib import Path

from audit.codec import encode, timestamp
from audit.event import (
    Actor,
    AuditEvent,
    Client,
    Decision,
    Kind,
    Outcome,
    Phase,
    Producer,
    Request,
    Resource,
    Severity,
)
from audit.ids import id_at

START = datetime(2025, 1, 6, tzinfo=UTC)
"""A Monday: the store's partitions begin there."""
WEEKS = 4
TENANTS = 200
_ACTORS = 400
_RESOURCES = 20_000
_PAIRED = 0.12
"""So many events are two records: the decision, and how the request ended."""
_SERVICES = ("orders", "payments", "customers", "inventory", "reports")
_NOUNS = ("order", "payment", "customer", "article", "report")
_VERBS = (
    ("read", "r", 60),
    ("list", "r", 20),
    ("update", "u", 9),
    ("create", "c", 8),
    ("delete", "d", 2),
    ("export", "x", 1),
)
_SEVERITIES = (
    (Severity.INFO, 900),
    (Severity.NOTICE, 60),
    (Severity.WARN, 25),
    (Severity.ERROR, 10),
    (Severity.SECURITY, 4),
    (Severity.CRITICAL, 1),
)
_AGENTS = ("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0", "python-httpx/0.28", "okhttp/4.12.0")
_SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "wu", "ze")
WORDS = tuple(a + b + c for a in _SYLLABLES for b in _SYLLABLES for c in _SYLLABLES[:8])
"""What notes are made of: 2,048 words, the first ones often."""


@dataclass(frozen=True)
class Plan:
    """How many records, and how they lie in time.

    Attributes:
        records: In all.
        chunk: In one chunk.
    """

    records: int
    chunk: int = 10_000

    @property
    def end(self) -> datetime:
        """The moment after the last."""
        return START + timedelta(weeks=WEEKS)

    @property
    def chunks(self) -> int:
        """How many chunks there are; the last may be shorter."""
        return -(-self.records // self.chunk)

    def at_ms(self, number: int) -> int:
        """When the record with this number was written, milliseconds since the epoch; after the last, one each."""
        start, weeks = int(START.timestamp() * 1000), WEEKS * 7 * 86_400_000
        return (
            start + number * weeks // self.records if number < self.records else start + weeks + number - self.records
        )


@cache
def _skewed(count: int, by: float) -> list[float]:
    """Cumulative weights, one over the rank to a power."""
    return list(accumulate(1 / rank**by for rank in range(1, count + 1)))


def tenant(rank: int) -> str:
    """A tenant by how much it does; 0 does the most."""
    return f"tenant-{rank:03d}"


def chunk(plan: Plan, number: int) -> list[bytes]:
    """The records of a chunk, encoded, in the order they were written; beyond the last number they come later."""
    dice = random.Random(number)  # noqa: S311 - to be had again
    names = [tenant(rank) for rank in range(TENANTS)]
    records: list[bytes] = []
    size = plan.chunk
    beyond = min(size, plan.records - number * size) if number < plan.chunks else size
    while len(records) < beyond:
        at = (number * size if number < plan.chunks else plan.records + (number - plan.chunks) * size) + len(records)
        of = dice.choices(names, cum_weights=_skewed(TENANTS, 0.9))[0]
        records += _event(dice, of, at, plan.at_ms(at), pair=len(records) + 1 < beyond and dice.random() < _PAIRED)
    return records


def _event(dice: random.Random, of: str, seq: int, ms: int, *, pair: bool) -> Iterator[bytes]:
    """One event: a record, or two."""
    kind = dice.randrange(len(_SERVICES))
    verb, crud, _ = dice.choices(_VERBS, weights=[each[2] for each in _VERBS])[0]
    severity = dice.choices([each[0] for each in _SEVERITIES], weights=[each[1] for each in _SEVERITIES])[0]
    who = dice.choices(range(_ACTORS), cum_weights=_skewed(_ACTORS, 0.8))[0]
    what = int(_RESOURCES * dice.random() ** 3)
    denied = dice.random() < 0.03
    words = [WORDS[int(len(WORDS) * dice.random() ** 2.5)] for _ in range(dice.randrange(4, 14))]
    key = id_at(ms, (seq & 0xFFF).to_bytes(2, "big") + dice.randbytes(8))
    actor = Actor(
        type="user",
        id=f"{of}:user-{who:03d}",
        roles=("staff",),
        auth_method="jwt",
        issuer="https://idp.example.com",
    )
    client = Client(ip=f"10.{who % 250}.{kind}.{who % 199}", user_agent=_AGENTS[who % len(_AGENTS)])
    common = {
        "event_id": key,
        "event_type": "authz.decision.evaluated",
        "kind": Kind.DECISION,
        "tenant_id": of,
        "occurred_at": timestamp(ms * 1_000_000),
        "actor": actor,
        "client": client,
        "action": f"{_SERVICES[kind]}:{_NOUNS[kind]}:{verb}",
        "crud": crud,
        "resource": Resource(_NOUNS[kind], f"{_NOUNS[kind]}-{what:05d}"),
        "request": Request(
            method="GET" if crud == "r" else "POST",
            route=f"/{_NOUNS[kind]}s/{{id}}",
            service=_SERVICES[kind],
            size_bytes=what % 4096,
        ),
        "trace_id": f"{dice.getrandbits(128):032x}",
        "severity": severity,
    }  # fmt: skip
    decision = Decision(
        effect="deny" if denied else "allow",
        reasons=("no-permit",) if denied else (f"permit-{_NOUNS[kind]}-{verb}",),
        code="missing_role" if denied else None,
        policy_version="2025-01-03.1",
        duration_us=40 + who,
    )
    details = {"note": " ".join(words), "amount_cents": what * 7, "channel": ("web", "shop", "api")[who % 3]}
    ended = {
        "outcome": Outcome.FAILURE if denied else Outcome.SUCCESS,
        "status": 403 if denied else 200,
        "latency_us": 900 + what,
    }
    producer = Producer(f"gw-{kind}", 1_736_121_600, seq)
    if not pair:
        yield encode(
            AuditEvent(phase=Phase.SINGLE, producer=producer, decision=decision, details=details, **common, **ended)
        )
        return
    yield encode(AuditEvent(phase=Phase.DECIDED, producer=producer, decision=decision, details=details, **common))
    yield encode(
        AuditEvent(phase=Phase.COMPLETED, producer=Producer(producer.id, producer.epoch, seq + 1), **common, **ended)
    )


def chunk_file(folder: Path, number: int) -> Path:
    """Where a chunk is kept, one record a line."""
    return folder / f"{number:06d}.ndjson"


def keep(task: tuple[Path, Plan, int]) -> int:
    """Make a chunk and keep it; returns its size in bytes."""
    folder, plan, number = task
    lines = b"\n".join(chunk(plan, number)) + b"\n"
    chunk_file(folder, number).write_bytes(lines)
    return len(lines)


def kept(folder: Path, number: int) -> list[bytes]:
    """The records of a chunk that was kept."""
    return chunk_file(folder, number).read_bytes().splitlines()
