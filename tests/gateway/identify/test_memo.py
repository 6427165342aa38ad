"""Verified tokens are remembered, a bounded number of them, for as long as they hold."""

import gc
import sys
from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from gateway.identify.memo import TokenMemo
from gateway.model import Identity
from roles.model import Principal

NOW = 1000.0


def _identity(name: str, expires_at: float = NOW + 60, kid_ref: str = "dev#a") -> Identity:
    return Identity(Principal("dev", "acme", name, ()), "jwt", expires_at=expires_at, kid_ref=kid_ref)


def test_what_was_put_in_comes_out() -> None:
    """The same credential gives the same identity; another one gives none."""
    memo = TokenMemo()
    known = _identity("u")
    memo.put(b"Bearer a", known)
    assert memo.get(b"Bearer a", NOW) is known
    assert memo.get(b"Bearer b", NOW) is None
    assert (memo.hits, memo.misses) == (1, 1)


def test_nothing_outlives_its_time() -> None:
    """At the second it expires a token is forgotten, also when it was used a moment before."""
    memo = TokenMemo()
    memo.put(b"t", _identity("u", expires_at=NOW + 1))
    assert memo.get(b"t", NOW + 0.999) is not None
    assert memo.get(b"t", NOW + 1) is None
    assert len(memo) == 0


def test_a_key_that_leaves_takes_its_tokens_along() -> None:
    """Only tokens of keys that are still trusted stay."""
    memo = TokenMemo()
    memo.put(b"old", _identity("u", kid_ref="dev#old"))
    memo.put(b"new", _identity("v", kid_ref="dev#new"))
    memo.keep_keys({"dev#new", "dev#newer"})
    assert memo.get(b"old", NOW) is None
    assert memo.get(b"new", NOW) is not None


def test_no_capacity_remembers_nothing() -> None:
    """Zero switches the memo off."""
    memo = TokenMemo(0)
    memo.put(b"t", _identity("u"))
    assert memo.get(b"t", NOW) is None


def test_the_text_is_not_kept() -> None:
    """Nothing that the memo holds, and nothing it prints, contains the credential."""
    memo = TokenMemo()
    credential = b"Bearer " + b"needle-" * 20
    memo.put(credential, _identity("u"))
    assert b"needle" not in b"".join(key for key in memo._known)
    assert "needle" not in repr(memo)
    held = sys.getrefcount(credential)
    memo.get(credential, NOW)
    gc.collect()
    assert sys.getrefcount(credential) == held


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from(["put", "get"]), st.integers(0, 8)), max_size=60),
)
def test_least_recently_used_goes_first(capacity: int, steps: list[tuple[str, int]]) -> None:
    """Whatever the order of use, the memo holds what a plain LRU model holds and never more than its capacity."""
    memo, model = TokenMemo(capacity), OrderedDict[int, Identity]()
    for verb, number in steps:
        name = str(number).encode()
        if verb == "put":
            model[number] = identity = _identity(str(number))
            model.move_to_end(number)
            memo.put(name, identity)
            if len(model) > capacity:
                model.popitem(last=False)
        else:
            assert memo.get(name, NOW) is model.get(number)
            if number in model:
                model.move_to_end(number)
        assert len(memo) == len(model) <= capacity
