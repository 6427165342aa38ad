"""Page tokens."""

import base64

import pytest

from gateway.errors import BadRequest
from gateway.ops.authzen.page import PageSeal, Place

SEAL = PageSeal()
OTHER = "page.token: not made for this search; leave it out to begin again"


@pytest.mark.parametrize("place", [Place("record-1", 50), Place(None, 0), Place("ä" * 1024, 1000)])
def test_a_token_leads_back_to_its_place(place: Place) -> None:
    """For the search it was made for."""
    assert SEAL.open(SEAL.seal(place, b"one"), b"one") == place


def test_a_token_tells_nothing() -> None:
    """Neither where it leads nor that it leads to the same place as another."""
    one, two = (SEAL.seal(Place("record-1", 50), b"one") for _ in range(2))
    assert one != two
    assert b"record" not in base64.urlsafe_b64decode(one)
    assert "key=..." in repr(SEAL)


@pytest.mark.parametrize("token", ["", "!", "ä", "A" * 8193, "AAAAA"])
def test_what_is_no_token(token: str) -> None:
    """Not base64url, too long, or nothing at all."""
    with pytest.raises(BadRequest) as caught:
        SEAL.open(token, b"one")
    assert caught.value.reason == "page.token: not one of ours"


@pytest.mark.parametrize("token", ["AAAA", base64.urlsafe_b64encode(bytes(12)).decode(), "AAAA" * 20])
def test_what_was_never_sealed(token: str) -> None:
    """Well-formed, and worth nothing."""
    with pytest.raises(BadRequest, match=r"^page\.token: "):
        SEAL.open(token, b"one")


def test_a_fleet_shares_a_key() -> None:
    """What one gateway gave another opens."""
    one, two = PageSeal(bytes(32)), PageSeal(bytes(32))
    assert two.open(one.seal(Place("a", 1), b"one"), b"one") == Place("a", 1)


def test_a_token_is_for_one_search_of_one_process() -> None:
    """Not for another question or caller, not after a restart, and not with a bit changed."""
    token = SEAL.seal(Place("record-1", 50), b"one")
    for seal, changed, bound in (
        (SEAL, token, b"two"),
        (PageSeal(), token, b"one"),
        (SEAL, token[:20] + ("A" if token[20] != "A" else "B") + token[21:], b"one"),
    ):
        with pytest.raises(BadRequest) as caught:
            seal.open(changed, bound)
        assert caught.value.reason == OTHER
