"""The records' rules."""

import pytest
from pydantic import ValidationError

from services.records import Customer, Partner, Stock, new_id
from tests.builders.retail import NOON


def test_a_record_is_never_altered_in_place() -> None:
    """Whoever holds a record may rely on it: a change makes another one."""
    with pytest.raises(ValidationError):
        Stock(sku="ABC-1", shelf=1, backroom=0).shelf = 2  # type: ignore[misc] # that it is refused is the point


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x00b", "x" * 201])
def test_words_are_one_line(name: str) -> None:
    """Control characters would end in logs and records, and empty words say nothing."""
    with pytest.raises(ValidationError):
        Customer(id="c-1", name=name, email="a@example.com", since=NOON)


@pytest.mark.parametrize("email", ["", "a", "@b", "a@", "a b@c", "a@b@c", f"{'x' * 65}@b"])
def test_an_address_has_two_halves(email: str) -> None:
    """What cannot be an e-mail address is refused."""
    with pytest.raises(ValidationError):
        Customer(id="c-1", name="A", email=email, since=NOON)


def test_what_is_promised_is_not_available() -> None:
    """Available is what there is, less what is promised; it may be less than nothing after a loss."""
    assert Stock(sku="ABC-1", shelf=1, backroom=2, reserved=1).available == 2
    assert Stock(sku="ABC-1", shelf=0, backroom=0, reserved=1).available == -1


def test_a_partners_endpoint_is_https() -> None:
    """Messages of a tenant do not travel in the clear."""
    with pytest.raises(ValidationError):
        Partner(id="x-1", name="N", kind="k", endpoint="http://n.example/")


def test_ids_are_not_guessed() -> None:
    """A thousand ids differ, and each says what it is of."""
    made = {new_id("o") for _ in range(1_000)}
    assert len(made) == 1_000
    assert all(one.startswith("o-") for one in made)
