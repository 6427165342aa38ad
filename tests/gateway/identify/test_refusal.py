"""What a refusal carries."""

import pytest

from gateway.errors import Code, NotIdentified
from gateway.identify.refusal import Claimed, Reason, TokenRefused, UnknownKey


@pytest.mark.parametrize(
    ("code", "challenge"),
    [
        (Code.UNAUTHENTICATED, b'Bearer realm="lychgate"'),
        (
            Code.TOKEN_EXPIRED,
            b'Bearer realm="lychgate", error="invalid_token", error_description="The access token expired"',
        ),
        (Code.TOKEN_INVALID, b'Bearer realm="lychgate", error="invalid_token"'),
    ],
)
def test_every_refusal_challenges(code: Code, challenge: bytes) -> None:
    """RFC 6750 s3: each 401 says how to do better, and names an error only where something was sent."""
    refused = TokenRefused(Reason.EXPIRED, code=code)
    assert refused.headers == ((b"www-authenticate", challenge),)
    assert refused.code.status == 401


def test_a_refusal_is_the_gateways_own_error() -> None:
    """Whoever catches `NotIdentified` catches it, with a plain word for the record."""
    refused = TokenRefused(Reason.UNKNOWN_KEY, claimed=Claimed("dev", "acme", "u"), unknown_key=UnknownKey("dev", "k9"))
    assert isinstance(refused, NotIdentified)
    assert refused.reason == "unknown_key"
    assert refused.code is Code.TOKEN_INVALID
    assert refused.unknown_key == UnknownKey("dev", "k9")
    assert refused.claimed == Claimed("dev", "acme", "u")


def test_words_are_words() -> None:
    """Reasons are lower-case words that can be counted and never hold a value."""
    assert all(reason.value.replace("_", "").isalpha() and reason.value.islower() for reason in Reason)
