"""When keys are asked for, and what becomes of what comes."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identify.feed import Feed
from gateway.identify.keyset import KeySetRefused
from gateway.sources import IssuerKeys
from tests.builders.tokens import jwks, signing_key

FIRST = jwks(signing_key("ES256", "a").public())
SECOND = jwks(signing_key("ES256", "b", 1).public())


def _feed() -> Feed:
    return Feed("dev", refresh_s=300.0, unknown_kid_interval_s=5.0)


def test_the_first_attempt_is_due_at_once() -> None:
    """A gateway that starts waits for nothing but the answer."""
    assert _feed().wait_s(1000.0, 1.0) == 0.0


def test_a_good_set_rests_until_the_refresh() -> None:
    """Then it is asked for again, a little earlier or later than the others."""
    feed = _feed()
    feed.attempt(1000.0)
    feed.take(FIRST, 1.0)
    assert feed.wait_s(1000.0, 1.1) == pytest.approx(330.0)
    assert feed.wait_s(1100.0, 1.0) == pytest.approx(200.0)
    assert feed.wait_s(9999.0, 1.0) == 0.0


def test_failures_are_retried_soon_and_then_less_often() -> None:
    """Each failure in a row doubles the pause, up to half a minute; success ends it."""
    feed = _feed()
    pauses = []
    for _ in range(10):
        feed.attempt(1000.0)
        feed.fail("down")
        pauses.append(feed.wait_s(1000.0, 1.0))
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    feed.take(FIRST, 1.0)
    assert feed.wait_s(1000.0, 1.0) == 300.0


def test_a_short_refresh_bounds_the_pause_after_failures() -> None:
    """Failing never makes an issuer be asked less often than succeeding."""
    feed = Feed("dev", refresh_s=1.0, unknown_kid_interval_s=5.0)
    for _ in range(2000):
        feed.attempt(0.0)
        feed.fail("down")
    assert feed.wait_s(0.0, 1.0) == 1.0


def test_unknown_keys_hurry_it_but_not_too_much() -> None:
    """However many tokens ask, the next attempt is one interval after the last, and answers them all."""
    feed = _feed()
    feed.attempt(1000.0)
    feed.take(FIRST, 1.0)
    for _ in range(100):
        feed.want()
    assert feed.wait_s(1001.0, 1.0) == pytest.approx(4.0)
    assert feed.wait_s(1006.0, 1.0) == 0.0
    feed.attempt(1006.0)
    assert feed.wait_s(1006.0, 1.0) == pytest.approx(300.0)


@given(st.lists(st.sampled_from(["want", "fail", "take", "wait"]), max_size=60))
def test_attempts_for_unknown_keys_keep_their_distance(steps: list[str]) -> None:
    """In whatever order things happen, two attempts of a feed that does not fail are an interval apart."""
    feed, now, attempts = _feed(), 0.0, [0.0]
    feed.attempt(now)
    feed.take(FIRST, now)
    for step in steps:
        if step == "want":
            feed.want()
        now += feed.wait_s(now, 1.0) if step == "wait" else 0.5
        if feed.wait_s(now, 1.0) == 0.0:
            feed.attempt(now)
            feed.take(FIRST, now)
            attempts.append(now)
    assert all(later - earlier >= 5.0 - 1e-9 for earlier, later in itertools.pairwise(attempts))


def test_only_other_keys_are_a_change() -> None:
    """The first set and a different one are news; the same keys in another order, or spaced out, are not."""
    feed = _feed()
    assert feed.take(FIRST, 1.0)
    assert not feed.take(json.dumps(json.loads(FIRST), indent=4), 2.0)
    assert feed.keys == IssuerKeys("dev", FIRST)
    assert feed.take(SECOND, 3.0)
    assert feed.keys == IssuerKeys("dev", SECOND)
    both = [*json.loads(FIRST)["keys"], *json.loads(SECOND)["keys"]]
    assert feed.take(jwks(*both), 4.0)
    assert not feed.take(jwks(*reversed(both)), 5.0)


def test_another_key_under_the_same_name_is_a_change() -> None:
    """What counts is the key, not what it is called."""
    feed = _feed()
    feed.take(FIRST, 1.0)
    assert feed.take(jwks(signing_key("ES256", "a", 7).public()), 2.0)


def test_a_bad_set_leaves_the_last_good_one() -> None:
    """Whatever is published after it, the keys that were good stay until others are."""
    feed = _feed()
    feed.take(FIRST, 1.0)
    with pytest.raises(KeySetRefused):
        feed.take('{"keys":[{"kty":"oct","k":"x"}]}', 2.0)
    assert feed.keys == IssuerKeys("dev", FIRST)
    assert (feed.status.key_count, feed.status.confirmed_at) == (1, 1.0)


def test_an_empty_set_takes_the_keys_away() -> None:
    """An issuer that withdraws its keys is obeyed at once."""
    feed = _feed()
    feed.take(FIRST, 1.0)
    assert feed.take('{"keys":[]}', 2.0)
    assert feed.status.key_count == 0


def test_its_state_can_be_told() -> None:
    """Status names the last problem, the age of the set and what of it is not used; news is only what changed."""
    feed = _feed()
    assert feed.fail("down")
    assert not feed.fail("down")
    assert feed.fail("slow")
    assert (feed.status.problem, feed.status.confirmed_at) == ("slow", 0.0)
    feed.take(jwks(signing_key("ES256", "a").public(), signing_key("ES256", "b", 1).public(use="enc")), 7.0)
    status = feed.status
    assert (status.issuer, status.key_count, status.confirmed_at, status.problem) == ("dev", 1, 7.0, "")
    assert status.ignored == ("b: use is not sig",)


def test_how_long_it_fails_is_told_from_the_first_failure_on() -> None:
    """By attempts, so that neither a long refresh nor a clock that is set looks like a failure; success ends it."""
    feed = _feed()
    assert feed.failing_s(1000.0) == 0
    for now in (1000.0, 1000.25, 1060.0):
        feed.attempt(now)
        feed.fail("down")
    assert feed.failing_s(1090.0) == 90
    feed.attempt(1090.0)
    feed.take(FIRST, 1.0)
    assert feed.failing_s(9999.0) == 0
    feed.attempt(9999.0)
    feed.fail("down")
    assert feed.failing_s(10_000.0) == 1
