"""What somebody with a superuser's rights, and without the key, may do to sealed rows: each is seen, the row named."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import msgspec
import pytest

from audit.codec import digest, encode
from audit.integrity.keys import load_seal_key, make_seal_key
from audit.integrity.leaf import BLOCK_LEAVES, Leaf, pack, unpack
from audit.integrity.record import SealKind, SealRecord, sealed, sign_block
from audit.verify.report import FindingKind
from tests.builders.seals import SealedStore, event_of, partition

OF = 3
PART = partition(OF)
FIRST, MIDDLE, LAST = (event_of(OF, at).event_id for at in (0, 150, 299))
TWO_ROWS = event_of(OF, 1000).event_id
_BODY = "UPDATE {part} SET body = jsonb_set(body, '{action}', '\"order:delete\"') WHERE event_id = $1"


@dataclass(frozen=True)
class Tampering:
    """One, and what has to be said of it.

    Attributes:
        does: Does it.
        kind: Of the first finding.
        row: The row it names.
        says: In its words.
        only: Whether it is the only finding.
    """

    does: Callable[[SealedStore], Awaitable[None]]
    kind: FindingKind
    row: str | None
    says: str
    only: bool = True


def sql(*statements: object) -> Callable[[SealedStore], Awaitable[None]]:
    """Statements, each with its arguments."""

    async def does(store: SealedStore) -> None:
        await store.tamper(*statements)  # type: ignore[arg-type]

    return does


_REWRITE = """
UPDATE {part} SET body = $2::jsonb, payload_hash = $3, tenant_id = $2::jsonb->>'tenant_id',
                  action = $2::jsonb->>'action'
WHERE event_id = $1
"""
_PURGE = """
WITH gone AS (DELETE FROM audit_events WHERE event_id = $1 RETURNING *)
INSERT INTO audit_purged_leaves SELECT event_id, phase, payload_hash, now() FROM gone
"""


async def _rewrite(store: SealedStore, row: str, **fields: object) -> None:
    """A row written anew, all its columns and its hash agreeing: what a careful forger does."""
    forged = encode(msgspec.structs.replace(event_of(OF, 150, tenant_id="globex"), event_id=row, **fields))  # type: ignore[arg-type]
    await store.tamper((_REWRITE, UUID(row), forged.decode(), digest(forged)))


async def _body_and_hash(store: SealedStore) -> None:
    await _rewrite(store, MIDDLE, action="order:delete")


async def _moved_with_its_body(store: SealedStore) -> None:
    await _rewrite(store, MIDDLE, tenant_id="acme")


async def _body_hash_and_leaf(store: SealedStore) -> None:
    """The forger rewrites the block, too, and cannot sign it."""
    await _rewrite(store, MIDDLE, action="order:delete")
    [row] = await store.fetch("SELECT payload_hash FROM {part} WHERE event_id = $1", UUID(MIDDLE))
    [seal] = await store.fetch("SELECT seq FROM audit_seals WHERE partition = $1", PART)
    [block] = await store.fetch("SELECT leaves FROM audit_seal_blocks WHERE seq = $1 AND block = 0", seal["seq"])
    leaves = [
        Leaf(leaf.event_id, leaf.phase, row["payload_hash"]) if leaf.event_id == UUID(MIDDLE).bytes else leaf
        for leaf in unpack(block["leaves"])
    ]
    await store.tamper(
        ("UPDATE audit_seal_blocks SET leaves = $2 WHERE seq = $1 AND block = 0", seal["seq"], pack(leaves))
    )


async def _leaf_alone(store: SealedStore) -> None:
    """A block that was rewritten accuses no row."""
    [block] = await store.fetch(
        "SELECT b.seq, b.leaves FROM audit_seal_blocks b JOIN audit_seals s USING (seq)"
        " WHERE s.partition = '{part}' AND block = 0"
    )
    leaves = [leaf._replace(payload_hash=b"x" * 32) for leaf in unpack(block["leaves"])]
    await store.tamper(
        ("UPDATE audit_seal_blocks SET leaves = $2 WHERE seq = $1 AND block = 0", block["seq"], pack(leaves))
    )


async def _wider(store: SealedStore) -> None:
    """The partition swallows the next week, and a row of it."""
    row = encode(event_of(2, 5000))
    bounds = {each["name"]: each for each in await store.fetch("SELECT * FROM audit_partitions()")}
    lowest, beyond = bounds[PART]["lowest"], bounds[partition(2)]["beyond"]
    await store.tamper(
        "ALTER TABLE audit_events DETACH PARTITION " + partition(2),
        "ALTER TABLE audit_events DETACH PARTITION {part}",
        (_INSERT, *_as_row(row)),
        f"ALTER TABLE audit_events ATTACH PARTITION {{part}} FOR VALUES FROM ('{lowest}') TO ('{beyond}')",
    )


async def _added(store: SealedStore) -> None:
    await store.tamper((_INSERT, *_as_row(encode(event_of(OF, 5000)))))


_INSERT = (
    "INSERT INTO {part} (event_id, phase, tenant_id, event_type, kind, occurred_at, producer_id, producer_epoch,"
    " producer_seq, severity, payload_hash, body) SELECT $1, b->>'phase', b->>'tenant_id', b->>'event_type',"
    " b->>'kind', (b->>'occurred_at')::timestamptz, 'test', 1, 1, 1, $3, b FROM (SELECT $2::jsonb AS b) x"
)


def _as_row(payload: bytes) -> tuple[UUID, str, bytes]:
    return UUID(msgspec.json.decode(payload)["event_id"]), payload.decode(), digest(payload)


async def _added_and_called_late(store: SealedStore) -> None:
    """With the trigger at work: it says by which login the row came."""
    await store.tamper("SET session_replication_role = origin", (_INSERT, *_as_row(encode(event_of(OF, 5000)))))


async def _again_without_the_key(store: SealedStore) -> None:
    """The primary key is dropped and a row is there twice."""
    await store.tamper(
        "ALTER TABLE audit_events DROP CONSTRAINT audit_events_pkey CASCADE",
        ("INSERT INTO {part} SELECT * FROM {part} WHERE event_id = $1", UUID(MIDDLE)),
    )


async def _swapped(store: SealedStore) -> None:
    await store.tamper(
        "ALTER TABLE audit_events DROP CONSTRAINT audit_events_phase_check CASCADE",
        ("UPDATE {part} SET phase = 'x' WHERE event_id = $1 AND phase = 'decided'", UUID(TWO_ROWS)),
        ("UPDATE {part} SET phase = 'decided' WHERE event_id = $1 AND phase = 'completed'", UUID(TWO_ROWS)),
        ("UPDATE {part} SET phase = 'completed' WHERE event_id = $1 AND phase = 'x'", UUID(TWO_ROWS)),
    )


async def _seal_replaced_by_another_key(store: SealedStore) -> None:
    """Who has no key makes one, and signs a chain of his own over what he made of the rows."""
    await store.tamper((_BODY, UUID(MIDDLE)))
    other = store.settings.checkpoint_file.with_name("other.pem")
    make_seal_key(other)
    key = load_seal_key(other)
    [row] = await store.fetch("SELECT seq, record FROM audit_seals WHERE partition = $1", PART)
    record = msgspec.structs.replace(msgspec.json.decode(row["record"], type=SealRecord), key_id=key.key_id)
    forged = sealed(record, key)
    await store.tamper(
        ("UPDATE audit_seals SET record = $2, signature = $3 WHERE seq = $1", row["seq"], forged.text, forged.signature)
    )


async def _purge_forged(store: SealedStore) -> None:
    """A row is deleted and called purged; it is younger than any tenant's rows may be purged."""
    young = event_of(2, 150).event_id
    await store.tamper((_PURGE, UUID(young)))
    await store.seal()  # the keeper signs no such thing
    assert store.count("audit_integrity_failures_total", reason="young_purge") == 1


async def _purge_record_forged(store: SealedStore) -> None:
    """The purge is written into the chain itself, with another key."""
    other = store.settings.checkpoint_file.with_name("other.pem")
    make_seal_key(other)
    key = load_seal_key(other)
    rows = await store.fetch("SELECT seq, record FROM audit_seals ORDER BY seq DESC LIMIT 1")
    last = msgspec.json.decode(rows[0]["record"], type=SealRecord)
    leaf = Leaf(UUID(MIDDLE).bytes, "single", digest(encode(event_of(OF, 150, tenant_id="globex"))))
    forged = sealed(
        msgspec.structs.replace(
            last, seq=last.seq + 1, kind=SealKind.PURGE, partition=PART, rows=1, root=leaf.hashed().hex(),
            retention_days=1, purged_at=last.at, key_id=key.key_id,
        ),
        key,
    )  # fmt: skip
    packed = pack([leaf])
    await store.tamper(
        ("DELETE FROM {part} WHERE event_id = $1", UUID(MIDDLE)),
        ("INSERT INTO audit_seals VALUES ($1, 'purge', $2, $3, $4)", last.seq + 1, PART, forged.text, forged.signature),
        (
            "INSERT INTO audit_seal_blocks VALUES ($1, 0, $2, $3)",
            last.seq + 1,
            packed,
            sign_block(key, last.seq + 1, 0, packed),
        ),
    )


async def _drop_forged(store: SealedStore) -> None:
    store.part = partition(2)
    await store.tamper(
        "INSERT INTO audit_purged_partitions SELECT name, lowest, beyond, 300, now() FROM audit_partitions()"
        " WHERE name = '{part}'",
        "DROP TABLE {part}",
    )
    await store.seal()


CHANGED, ADDED, REMOVED = FindingKind.CHANGED, FindingKind.ADDED, FindingKind.REMOVED
SEAL, LEAVES, PARTITION = FindingKind.SEAL, FindingKind.LEAVES, FindingKind.PARTITION
_DELETE = "DELETE FROM {part} WHERE event_id = $1"
TAMPERINGS = {
    "the body": Tampering(sql((_BODY, UUID(MIDDLE))), CHANGED, MIDDLE, "the body"),
    "the body and the hash": Tampering(_body_and_hash, CHANGED, MIDDLE, "the body, and the hash with it"),
    "the body, the hash and the leaf": Tampering(
        _body_hash_and_leaf, LEAVES, FIRST, f"block 0 was rewritten; it stands for up to {BLOCK_LEAVES} rows"
    ),
    "the hash": Tampering(
        sql(("UPDATE {part} SET payload_hash = sha256('') WHERE event_id = $1", UUID(MIDDLE))),
        CHANGED, MIDDLE, "column `payload_hash`",
    ),
    "who may read it": Tampering(
        sql(("UPDATE {part} SET tenant_id = 'acme' WHERE event_id = $1", UUID(MIDDLE))),
        CHANGED, MIDDLE, "column `tenant_id`: not as in the body",
    ),
    "when it was": Tampering(
        sql(("UPDATE {part} SET occurred_at = occurred_at - interval '1 us' WHERE event_id = $1", UUID(MIDDLE))),
        CHANGED, MIDDLE, "column `occurred_at`",
    ),
    "whose it is, all of it": Tampering(_moved_with_its_body, CHANGED, MIDDLE, "the body, and the hash with it"),
    "a row added": Tampering(_added, ADDED, event_of(OF, 5000).event_id, "no seal knows it", only=False),
    "a row added, seen by the trigger": Tampering(
        _added_and_called_late, ADDED, event_of(OF, 5000).event_id, "` inserted it", only=False
    ),
    "a row twice": Tampering(_again_without_the_key, ADDED, MIDDLE, "no seal knows it"),
    "the first row removed": Tampering(sql((_DELETE, UUID(FIRST))), REMOVED, FIRST, "is gone"),
    "a row removed": Tampering(sql((_DELETE, UUID(MIDDLE))), REMOVED, MIDDLE, "is gone"),
    "the last row removed": Tampering(
        sql((f"{_DELETE} AND phase = 'decided'", UUID(TWO_ROWS))), REMOVED, TWO_ROWS, "is gone"
    ),
    "phases swapped": Tampering(_swapped, CHANGED, TWO_ROWS, "the body", only=False),
    "a body that is none": Tampering(
        sql(("UPDATE {part} SET body = '[]' WHERE event_id = $1", UUID(MIDDLE))), CHANGED, MIDDLE, "no event any more"
    ),
    "a leaf alone": Tampering(_leaf_alone, LEAVES, FIRST, "block 0 was rewritten"),
    "a partition with other bounds": Tampering(_wider, PARTITION, None, "has other bounds", only=False),
    "all rows": Tampering(sql("TRUNCATE {part}"), REMOVED, FIRST, "is gone", only=False),
    "a partition dropped": Tampering(sql("DROP TABLE {part}"), PARTITION, FIRST, "was sealed and is gone"),
    "a partition detached": Tampering(
        sql("ALTER TABLE audit_events DETACH PARTITION {part}"), PARTITION, FIRST, "was sealed and is detached"
    ),
    "a partition renamed": Tampering(
        sql("ALTER TABLE {part} RENAME TO audit_events_other"), PARTITION, FIRST, "has another name", only=False
    ),
    "a seal rewritten": Tampering(
        sql("UPDATE audit_seals SET record = replace(record, '302', '301') WHERE partition = '{part}'"),
        SEAL, None, "does not bear its key's signature", only=False,
    ),
    "a seal called something else": Tampering(
        sql("UPDATE audit_seals SET partition = 'other' WHERE partition = '{part}'"),
        SEAL, None, "is kept as something else than it says",
    ),
    "a seal with another key": Tampering(
        _seal_replaced_by_another_key, SEAL, None, "which is not one of yours", only=False
    ),
    "the newest seal taken away": Tampering(
        sql("DELETE FROM audit_seals WHERE seq = (SELECT max(seq) FROM audit_seals)"),
        SEAL, None, "was published: taken away", only=False,
    ),
    "a seal between taken away": Tampering(
        sql("DELETE FROM audit_seals WHERE partition = '{part}'"), SEAL, None, "of the chain: taken away", only=False
    ),
    "all seals taken away": Tampering(
        sql("DELETE FROM audit_seals"), SEAL, None, "was published: taken away", only=False
    ),
    "a block taken away": Tampering(
        sql("DELETE FROM audit_seal_blocks b USING audit_seals s WHERE s.seq = b.seq AND s.partition = '{part}'"
            " AND block = 0"),
        LEAVES, None, "taken away, from the first to",
    ),
    "the last block taken away": Tampering(
        sql("DELETE FROM audit_seal_blocks b USING audit_seals s WHERE s.seq = b.seq AND s.partition = '{part}'"
            " AND block = 1"),
        LEAVES, None, "to the last",
    ),
    "a block cut": Tampering(
        sql("UPDATE audit_seal_blocks b SET leaves = substr(leaves, 1, 49) FROM audit_seals s WHERE s.seq = b.seq"
            " AND s.partition = '{part}' AND block = 1"),
        LEAVES, event_of(OF, 256).event_id, "block 1 was rewritten", only=False,
    ),
    "a purge forged": Tampering(_purge_forged, REMOVED, event_of(2, 150).event_id, "its purge holds no water"),
    "a purge forged into the chain": Tampering(_purge_record_forged, SEAL, None, "not one of yours", only=False),
    "a drop forged": Tampering(_drop_forged, PARTITION, event_of(2, 0).event_id, "was sealed and is gone"),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERINGS)
async def test_each_is_seen_and_the_row_named(sealed_store: SealedStore, name: str) -> None:
    """The first finding says what was done, and to which row."""
    tampering = TAMPERINGS[name]
    assert (await sealed_store.verify()).findings == []
    await tampering.does(sealed_store)
    report = await sealed_store.verify()
    assert report.findings, "nothing was seen"
    first = report.findings[0]
    assert (first.kind, first.event_id) == (tampering.kind, tampering.row), report.findings[:5]
    assert tampering.says in first.what
    if name == "a partition with other bounds":
        assert any("outside its partition's bounds" in each.what for each in report.findings)
    if tampering.only:
        assert report.count == 1, report.findings
