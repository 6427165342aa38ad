"""The format stage: what is a token at all."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code
from gateway.identify.jws import MAX_TOKEN_BYTES, bearer_token, read
from gateway.identify.refusal import Reason, TokenRefused
from tests.builders.tokens import encode, mint

TOKEN = mint()


def _token(header: object, payload: bytes = b"{}", signature: bytes = b"s") -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return b".".join(encode(part) for part in (raw, payload, signature))


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER ", b"bEaReR    "])
def test_the_scheme_is_known_in_any_case(scheme: bytes) -> None:
    """RFC 9110 s11.1: schemes are case-insensitive, and one or more spaces follow."""
    assert bearer_token(scheme + TOKEN) == TOKEN


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (b"", Reason.MISSING),
        (b"Basic dTpw", Reason.SCHEME),
        (b"Bearerer " + TOKEN, Reason.SCHEME),
        (b"Bearer\t" + TOKEN, Reason.SCHEME),
        (TOKEN, Reason.SCHEME),
        (b"Bearer", Reason.MALFORMED),
        (b"Bearer ", Reason.MALFORMED),
        (b"Bearer " + TOKEN + b" ", Reason.MALFORMED),
        (b"Bearer " + TOKEN + b"\n", Reason.MALFORMED),
        (b"Bearer " + TOKEN + b" " + TOKEN, Reason.MALFORMED),
        (b"Bearer " + TOKEN + b",Bearer " + TOKEN, Reason.MALFORMED),
        (b"Bearer " + TOKEN + b".x", Reason.MALFORMED),
        (b"Bearer " + TOKEN + b"=", Reason.MALFORMED),
        (b"Bearer a.b", Reason.MALFORMED),
        (b"Bearer .b.c", Reason.MALFORMED),
        (b"Bearer a.b.c.d.e", Reason.MALFORMED),
        (b'Bearer {"payload":"","signatures":[]}', Reason.MALFORMED),
        (b"Bearer a.b.\xc3\xa9", Reason.MALFORMED),
        (b"Bearer a.b." + b"c" * MAX_TOKEN_BYTES, Reason.TOO_LONG),
    ],
)
def test_exactly_one_compact_token(authorization: bytes, reason: Reason) -> None:
    """Anything but the Bearer scheme and one compact JWS is refused, each with its word."""
    with pytest.raises(TokenRefused) as caught:
        bearer_token(authorization)
    assert caught.value.reason == reason
    assert caught.value.code is (Code.UNAUTHENTICATED if reason is Reason.MISSING else Code.TOKEN_INVALID)


def test_a_token_of_the_largest_size_is_read() -> None:
    """The limit itself is still a token."""
    token = b"a.b." + b"c" * (MAX_TOKEN_BYTES - 4)
    assert bearer_token(b"Bearer " + token) == token


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"", Reason.MALFORMED),
        (b"[]", Reason.MALFORMED),
        (b'{"alg":"ES256","alg":"none"}', Reason.MALFORMED),
        ({}, Reason.MALFORMED),
        ({"alg": 5}, Reason.MALFORMED),
        ({"alg": None}, Reason.MALFORMED),
        ({"alg": ["ES256"]}, Reason.MALFORMED),
        ({"alg": "ES256", "kid": 5}, Reason.MALFORMED),
        ({"alg": "ES256", "kid": "k" * 257}, Reason.MALFORMED),
        ({"alg": "ES256", "typ": 5}, Reason.MALFORMED),
        ({"alg": "ES256", "typ": "id+jwt"}, Reason.HEADER),
        ({"alg": "ES256", "typ": "logout+jwt"}, Reason.HEADER),
        ({"alg": "ES256", "typ": "JOSE"}, Reason.HEADER),
        ({"alg": "ES256", "crit": []}, Reason.HEADER),
        ({"alg": "ES256", "crit": ["exp"]}, Reason.HEADER),
        ({"alg": "ES256", "crit": None}, Reason.HEADER),
        ({"alg": "ES256", "b64": False}, Reason.HEADER),
        ({"alg": "ES256", "b64": False, "crit": ["b64"]}, Reason.HEADER),
    ],
)
def test_headers_that_are_not_taken(header: object, reason: Reason) -> None:
    """A header that is no strict object, has a member of the wrong type, or asks for an extension is refused."""
    with pytest.raises(TokenRefused) as caught:
        read(_token(header))
    assert caught.value.reason == reason


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt"])
def test_types_of_access_tokens(typ: str) -> None:
    """RFC 7519 and RFC 9068 types are taken, in any case, with or without the prefix."""
    assert read(_token({"alg": "ES256", "typ": typ})).alg == "ES256"


def test_the_parts_come_out_as_they_went_in() -> None:
    """Header, payload and signature are decoded; the signed bytes are the token's own, not a new encoding."""
    token = _token({"alg": "ES256", "kid": "k1", "jku": "https://evil.example"}, b"\x00pay", b"\xffsig")
    jws = read(token)
    assert (jws.alg, jws.kid, jws.payload, jws.signature) == ("ES256", "k1", b"\x00pay", b"\xffsig")
    assert token.startswith(jws.signed + b".")


def test_an_empty_payload_is_a_format_like_any_other() -> None:
    """RFC 7515 allows it; it fails later, at its claims."""
    assert read(_token({"alg": "ES256"}, b"")).payload == b""


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("tail", [b"A", b"AB", b"AAB"])
def test_only_canonical_base64url(part: int, tail: bytes) -> None:
    """Impossible lengths and set unused bits are refused in every part: one token has one text."""
    parts = [encode(b'{"alg":"ES256"}'), encode(b"{}x"), encode(b"abc")]
    parts[part] += tail
    with pytest.raises(TokenRefused) as caught:
        read(b".".join(parts))
    assert caught.value.reason == Reason.MALFORMED


@given(st.binary(max_size=300))
def test_any_field_is_read_or_refused(raw: bytes) -> None:
    """No bytes after the scheme raise anything but a refusal."""
    with contextlib.suppress(TokenRefused):
        read(bearer_token(b"Bearer " + raw))
