"""Tests of `audit.verify.manifest`: the rows that should be there, from blocks in memory."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from audit.ids import id_floor
from audit.integrity.leaf import BLOCK_LEAVES, Leaf, pack
from audit.integrity.record import SealKind
from audit.verify.manifest import Block, Manifest, dropped_too_early
from tests.builders.chains import KEYS, OTHER_KEY, make_blocks, make_chain, make_leaf, make_record

AT = "2026-11-23T15:00:00.000000Z"


def manifest(*said: tuple[SealKind, Sequence[Leaf]], blocks: dict[int, list[Block]] | None = None) -> Manifest:
    """Of records with these leaves, whose blocks may be others."""
    made = {seq: make_blocks(seq, leaves) for seq, (_, leaves) in enumerate(said, 1)}
    chain = make_chain(
        *(
            {"kind": kind, "rows": len(leaves), "root": made[seq][1].hex(), "at": AT, "retention_days": 1}
            for seq, (kind, leaves) in enumerate(said, 1)
        )
    )
    kept = {seq: (blocks or {}).get(seq, found) for seq, (found, _) in made.items()}

    async def fetch(seq: int, first: int) -> Sequence[Block]:
        return [block for block in kept[seq] if block[0] >= first][:2]

    return Manifest(chain, fetch, KEYS)


async def read(of: Manifest) -> list[Leaf]:
    """The leaves that should be there."""
    return [expected.leaf async for expected in of.rows()]


_OPERATIONS = st.lists(
    st.tuples(st.sampled_from([SealKind.SEAL, SealKind.ADDENDUM, SealKind.PURGE]), st.sets(st.integers(0, 30))),
    max_size=5,
)


@given(_OPERATIONS)
async def test_records_add_up_in_the_order_of_the_chain(operations: list[tuple[SealKind, set[int]]]) -> None:
    """As sets would: what is sealed or late is there, what is purged is not."""
    model: set[int] = set()
    for kind, ats in operations:
        model = model - ats if kind is SealKind.PURGE else model | ats
    made = manifest(*((kind, [make_leaf(at) for at in sorted(ats)]) for kind, ats in operations))
    assert await read(made) == [make_leaf(at) for at in sorted(model)]
    assert made.findings == []


async def test_a_purge_takes_only_what_was_sealed() -> None:
    """The same key with another content stays."""
    made = manifest(
        (SealKind.SEAL, [make_leaf(1), make_leaf(2)]), (SealKind.PURGE, [make_leaf(1), make_leaf(2, content=9)])
    )
    assert await read(made) == [make_leaf(2)]
    assert made.purged == 1


async def test_a_purge_that_was_rewritten_excuses_nothing() -> None:
    """Somebody puts another row's leaf where a signed purge had one: both rows should be there."""
    leaves = [make_leaf(1), make_leaf(2)]
    [(number, _, signature)], _ = make_blocks(2, leaves[:1])
    made = manifest(
        (SealKind.SEAL, leaves),
        (SealKind.PURGE, leaves[:1]),
        blocks={2: [(number, pack(leaves[1:]), signature)]},
    )
    assert await read(made) == leaves
    assert ["block 0 was rewritten" in finding.what for finding in made.findings] == [True]


async def test_many_blocks_are_read_in_order() -> None:
    """More than are fetched at once, the last one not full."""
    leaves = [make_leaf(at) for at in range(5 * BLOCK_LEAVES + 3)]
    made = manifest((SealKind.SEAL, leaves))
    assert await read(made) == leaves
    assert made.findings == []


async def test_a_block_that_nobody_signed_is_named_and_not_trusted() -> None:
    """Changed, signed by another, or that of another place; what it says of its rows does not count."""
    leaves = [make_leaf(at) for at in range(3 * BLOCK_LEAVES)]
    whole, _ = make_blocks(1, leaves)
    theirs, _ = make_blocks(1, leaves, OTHER_KEY)
    for wrong in (
        (1, whole[1][1][:-1] + b"x", whole[1][2]),
        (1, whole[1][1], theirs[1][2]),
        (1, whole[2][1], whole[2][2]),
    ):
        made = manifest((SealKind.SEAL, leaves), blocks={1: [whole[0], wrong, whole[2]]})
        trusted = [expected async for expected in made.rows()]
        assert {each.leaf for each in trusted if each.trusted} == {*leaves[:BLOCK_LEAVES], *leaves[2 * BLOCK_LEAVES :]}
        [finding] = made.findings
        assert f"block 1 was rewritten; it stands for up to {BLOCK_LEAVES} rows" in finding.what


async def test_where_blocks_are_missing_nothing_is_said_of_rows() -> None:
    """At the start, between, at the end, all, or one that cannot be read: the range is named."""
    leaves = [make_leaf(at) for at in range(3 * BLOCK_LEAVES)]
    whole, _ = make_blocks(1, leaves)
    for left, gone in (([1, 2], 0), ([0, 2], 1), ([0, 1], 2)):
        made = manifest((SealKind.SEAL, leaves), blocks={1: [whole[at] for at in left]})
        await read(made)
        [finding] = made.findings
        assert "taken away" in finding.what
        for at, leaf in enumerate(leaves):
            inner = gone * BLOCK_LEAVES <= at < (gone + 1) * BLOCK_LEAVES
            assert made.is_blind(leaf[:2]) is inner
    made = manifest((SealKind.SEAL, leaves), blocks={1: []})
    assert await read(made) == []
    assert all(made.is_blind(leaf[:2]) for leaf in leaves)
    made = manifest((SealKind.SEAL, leaves), blocks={1: [whole[0], (1, b"x", b""), whole[2]]})
    await read(made)
    assert made.is_blind(leaves[BLOCK_LEAVES][:2])


async def test_blocks_must_add_up_to_the_root() -> None:
    """Also if each bears its signature."""
    leaves = [make_leaf(at) for at in range(3)]
    _, root = make_blocks(1, leaves[:2])
    blocks, _ = make_blocks(1, leaves)
    [chained] = make_chain({"rows": 3, "root": root.hex()})

    async def fetch(seq: int, first: int) -> Sequence[Block]:
        return blocks[first:]

    made = Manifest([chained], fetch, KEYS)
    await read(made)
    assert [finding.what for finding in made.findings] == ["the leaves of seal 1: their root is another"]


async def test_a_purge_of_what_was_young_is_a_finding() -> None:
    """Whoever signed it."""
    day_before = int(datetime.fromisoformat(AT).timestamp() * 1000) - 86_400_000
    old, young = (Leaf(UUID(id_floor(day_before + ms)).bytes, "single", b"h" * 32) for ms in (-1, 0))
    made = manifest((SealKind.SEAL, [old, young]), (SealKind.PURGE, [old, young]))
    await read(made)
    assert [(finding.kind, finding.event_id) for finding in made.findings] == [
        ("purge", str(UUID(bytes=young.event_id)))
    ]


def test_a_drop_must_have_been_due() -> None:
    """The partition's end, and the retention it was signed under, before it went."""
    late = make_record(kind=SealKind.DROP, purged_at="2035-01-01T00:00:00.000000Z", retention_days=30)
    assert not dropped_too_early(late)
    assert dropped_too_early(
        make_record(kind=SealKind.DROP, purged_at="2025-10-21T00:00:00.000000Z", retention_days=30)
    )
    assert dropped_too_early(make_record(kind=SealKind.DROP, purged_at=None, retention_days=30))
