"""Tests of `audit.integrity.chain`."""

from audit.integrity.chain import Broken, Kept, in_force, is_sealed, read_chain
from audit.integrity.record import Sealed, SealKind, sealed
from tests.builders.chains import KEY, KEYS, make_chain, make_record


def kept(chain: list[Sealed]) -> list[Kept]:
    """As the store has it."""
    return [
        Kept(each.record.seq, each.record.kind.value, each.record.partition, each.text, each.signature)
        for each in chain
    ]


def broken(rows: list[Kept], before: Sealed | None = None) -> list[tuple[int, str]]:
    """What is wrong with a chain."""
    return [(each.seq, each.what) for each in read_chain(rows, KEYS, before) if isinstance(each, Broken)]


def test_a_chain_that_holds() -> None:
    """Its records, in order; also from the middle."""
    chain = make_chain({}, {}, {})
    assert list(read_chain(kept(chain), KEYS)) == chain
    assert list(read_chain(kept(chain)[2:], KEYS, chain[1])) == chain[2:]
    assert list(read_chain([], KEYS)) == []


def test_what_is_missing_is_named_and_reading_goes_on() -> None:
    """One, or several; what stands behind the gap is believed for itself."""
    chain = make_chain({}, {}, {}, {})
    rows = kept(chain)
    assert broken(rows[1:]) == [(1, "seal 1 of the chain: taken away")]
    assert broken([rows[0], rows[3]]) == [(2, "seals 2 to 3 of the chain: taken away")]
    found = list(read_chain([rows[0], rows[2], rows[3]], KEYS))
    assert [type(each) for each in found] == [Sealed, Broken, Sealed, Sealed]
    assert broken(rows[3:], chain[1]) == [(3, "seal 3 of the chain: taken away")]


def test_a_record_that_does_not_hold_is_named() -> None:
    """Its signature, its place in the chain, and what it is kept as."""
    chain = make_chain({}, {}, {})
    rows = kept(chain)
    rows[1] = rows[1]._replace(signature=rows[0].signature)
    assert broken(rows) == [(2, "seal 2 does not bear its key's signature")]
    rows = kept(chain)
    rows[2] = kept([sealed(make_record(seq=3, previous="0" * 64), KEY)])[0]
    assert broken(rows) == [(3, "seal 3 does not follow the one before it")]
    for wrong in ({"kind": "drop"}, {"partition": "other"}):
        rows = kept(chain)
        rows[1] = rows[1]._replace(**wrong)
        assert broken(rows) == [(2, "seal 2 is kept as something else than it says")]
    rows = [kept(chain)[0], kept(chain)[0]._replace(seq=2), kept(chain)[2]]
    assert [seq for seq, _ in broken(rows)] == [2, 3]


def test_what_holds_of_a_partition_begins_behind_its_drop() -> None:
    """A drop stands alone until the partition is sealed anew; partitions come in the order of their bounds."""
    late = {"partition": "b", "from_id": "01990000-0000-7000-8000-000000000001"}
    chain = make_chain(late, {"partition": "a"}, {"partition": "a", "kind": SealKind.ADDENDUM})
    assert {name: [each.record.seq for each in held] for name, held in in_force(chain).items()} == {
        "a": [2, 3],
        "b": [1],
    }
    assert list(in_force(chain)) == ["a", "b"]
    dropped = make_chain({}, {"kind": SealKind.PURGE}, {"kind": SealKind.DROP})
    [held] = in_force(dropped).values()
    assert [each.record.seq for each in held] == [3]
    assert not is_sealed(held)
    anew = make_chain({}, {"kind": SealKind.DROP}, {})
    [held] = in_force(anew).values()
    assert [each.record.seq for each in held] == [3]
    assert is_sealed(held)
