"""The values of a question and its answer."""

import pytest

from policies.model import Answer, Effect


def test_an_allow_needs_a_reason() -> None:
    """Nothing is allowed without a policy that says so."""
    with pytest.raises(ValueError, match="without a reason"):
        Answer(Effect.ALLOW)


def test_a_deny_needs_none() -> None:
    """The default deny rests on nothing."""
    assert not Answer(Effect.DENY).allows
    assert Answer(Effect.ALLOW, ("a.b",)).allows
