"""Which decisions are chosen."""

from audit.codec import encode
from audit.ids import EventIds
from gateway.shadow.sample import Sample
from tests.builders.recorded import decided, ndjson

IDS = EventIds()


def records(count: int) -> list[bytes]:
    """With ids as a gateway makes them."""
    one = encode(decided("Cashier", "order:list"))
    at = one.index(b'"event_id":"') + len(b'"event_id":"')
    return [one[:at] + IDS.next().encode() + one[at + 36 :] for _ in range(count)]


def test_a_share_is_a_share() -> None:
    """None, all, and a fifth within four standard deviations, in any stretch."""
    made = records(5_000)
    assert Sample(0).chosen(made) == []
    assert Sample(1).chosen(made) == made
    for part in (made[:2_500], made[2_500:]):
        assert abs(len(Sample(0.2).chosen(part)) - 500) < 4 * (2_500 * 0.2 * 0.8) ** 0.5


def test_everybody_chooses_alike_and_a_larger_share_has_the_smaller() -> None:
    """Two gateways agree, whatever else is in the record; its end is chosen with a decision."""
    made = records(1_000)
    few, many = Sample(0.1).chosen(made), Sample(0.3).chosen(made)
    assert Sample(0.1).chosen([record.replace(b"acme", b"globex") for record in made]) == [
        record.replace(b"acme", b"globex") for record in few
    ]
    assert set(few) < set(many)


def test_what_is_no_record_is_not_chosen() -> None:
    """Whatever it begins with."""
    assert Sample(1).chosen([b"", b"{}", b"x" * 100, *ndjson([decided("Cashier", "order:list")]).splitlines()]) == (
        ndjson([decided("Cashier", "order:list")]).splitlines()
    )
