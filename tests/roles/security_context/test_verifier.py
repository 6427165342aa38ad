"""Verifying: everything hostile is refused, for the right reason."""

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OKPKey

from roles.errors import ContextRejected
from roles.security_context.claims import LIMIT_BYTES, TYPE, SecurityContext, body_hash, target_hash
from roles.security_context.keys import TrustedKeys
from roles.security_context.verifier import ContextVerifier, Reason, check_binding
from tests.builders.contexts import ISSUER, NOW, make_context, real_signer

SIGNER = real_signer()
KEYS = SIGNER.trusted_keys("order")
KID = str(SIGNER.public_jwks()["keys"][0]["kid"])
TOKEN = SIGNER.sign(make_context())
VERIFIER = ContextVerifier(ISSUER, "order")


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def forge(header: Any, payload: Any = None, sign: Callable[[bytes], bytes] = lambda _: b"") -> str:
    """A token with this header, signed in any way or not at all."""
    body = msgspec.json.encode(make_context() if payload is None else payload)
    signing_input = f"{b64(json.dumps(header).encode())}.{b64(body)}"
    return f"{signing_input}.{b64(sign(signing_input.encode()))}"


def real_signature(data: bytes) -> bytes:
    """By the gateway's own key: what only a flaw in our own signer could make."""
    key = SIGNER._keys["*"]
    assert isinstance(key, OKPKey)
    return key.private_key.sign(data)  # type: ignore[union-attr]


def public_pem() -> bytes:
    """The public key in the form that careless libraries take for an HMAC secret."""
    key = SIGNER._keys["*"]
    assert isinstance(key, OKPKey)
    return key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def reason_of(token: str, keys: TrustedKeys = KEYS, now: float = NOW) -> str:
    """Why a token is rejected; always with the code that callers of an invalid one are told."""
    with pytest.raises(ContextRejected) as caught:
        VERIFIER.verify(token, keys, now)
    assert caught.value.code == "token_invalid"
    return caught.value.reason


def test_a_good_context_is_believed() -> None:
    """The forge below makes the same token, so what it changes is what is refused."""
    header = {"alg": "EdDSA", "kid": KID, "typ": TYPE}
    assert VERIFIER.verify(TOKEN, KEYS, NOW) == make_context()
    assert VERIFIER.verify(forge(header, sign=real_signature), KEYS, NOW) == make_context()


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": "none", "kid": KID, "typ": TYPE}, Reason.ALGORITHM),
        ({"alg": "None", "kid": KID, "typ": TYPE}, Reason.ALGORITHM),
        ({"alg": "HS256", "kid": KID, "typ": TYPE}, Reason.ALGORITHM),
        ({"alg": "ES256", "kid": KID, "typ": TYPE}, Reason.ALGORITHM),
        ({"alg": "Ed25519", "kid": KID, "typ": TYPE}, Reason.ALGORITHM),
        ({"alg": "EdDSA", "kid": "other", "typ": TYPE}, Reason.UNKNOWN_KEY),
        ({"alg": "EdDSA", "kid": KID, "typ": "JWT"}, Reason.TYPE),
        ({"alg": "EdDSA", "kid": KID}, Reason.MALFORMED),
        ({"alg": "EdDSA", "typ": TYPE}, Reason.MALFORMED),
        ({"alg": "EdDSA", "kid": 7, "typ": TYPE}, Reason.MALFORMED),
        ({"alg": "EdDSA", "kid": KID, "typ": TYPE, "crit": ["exp"]}, Reason.MALFORMED),
        ({"alg": "EdDSA", "kid": KID, "typ": TYPE, "crit": []}, Reason.MALFORMED),
        ({"alg": "EdDSA", "kid": KID, "typ": TYPE, "b64": False}, Reason.MALFORMED),
        ({"alg": "EdDSA", "kid": KID, "typ": TYPE, "jku": "http://x"}, Reason.MALFORMED),
        ({"alg": "EdDSA", "kid": KID, "typ": TYPE, "jwk": {}}, Reason.MALFORMED),
        ({"alg": "EdDSA", "kid": KID, "typ": TYPE, "zip": "DEF"}, Reason.MALFORMED),
        ([], Reason.MALFORMED),
        ("EdDSA", Reason.MALFORMED),
    ],
)
def test_a_hostile_header_is_refused_although_the_signature_holds(header: Any, reason: Reason) -> None:
    """`none`, another algorithm, another type, `crit` and every other parameter: before the signature is looked at."""
    assert reason_of(forge(header, sign=real_signature)) == reason


@pytest.mark.parametrize("alg", ["none", "HS256", "EdDSA", "ES256"])
def test_the_public_key_is_no_secret(alg: str) -> None:
    """A token signed by HMAC with what everybody can fetch is refused, whatever it calls itself."""
    (jwk,) = SIGNER.public_jwks()["keys"]
    for secret in (public_pem(), json.dumps(jwk).encode(), str(jwk["x"]).encode()):
        header = {"alg": alg, "kid": KID, "typ": TYPE}
        token = forge(header, sign=lambda data, secret=secret: hmac.digest(secret, data, "sha256"))  # type: ignore[misc]
        assert reason_of(token) in {Reason.ALGORITHM, Reason.SIGNATURE}


def test_a_stripped_signature_is_refused() -> None:
    """Neither empty nor of the wrong length."""
    header, payload, _ = TOKEN.split(".")
    assert reason_of(f"{header}.{payload}.") == Reason.SIGNATURE
    assert reason_of(f"{header}.{payload}.{b64(b'x' * 63)}") == Reason.SIGNATURE


def test_another_gateway_s_signature_is_refused() -> None:
    """A key that is not known may be the gateway's next one, whatever it is for."""
    other = real_signer("ES256")
    assert reason_of(other.sign(make_context())) == Reason.UNKNOWN_KEY
    assert reason_of(TOKEN, other.trusted_keys("order")) == Reason.UNKNOWN_KEY
    assert reason_of(TOKEN, real_signer("HS256", "order").trusted_keys("order")) == Reason.UNKNOWN_KEY


@pytest.mark.parametrize("alg", ["EdDSA", "ES256", "HS256"])
@given(data=st.data())
def test_no_changed_character_is_accepted(alg: str, data: st.DataObject) -> None:
    """Every character is signed or checked: another one anywhere makes a token that is refused."""
    signer = real_signer(alg, "order")
    token, keys = signer.sign(make_context()), signer.trusted_keys("order")
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABab01-_.=+ é\x00").filter(lambda character: character != token[at]))
    with pytest.raises(ContextRejected):
        VERIFIER.verify(token[:at] + other + token[at + 1 :], keys, NOW)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_garbage_is_refused(text: str) -> None:
    """Whatever comes, it is a rejection and nothing else."""
    with pytest.raises(ContextRejected):
        VERIFIER.verify(text, KEYS, NOW)


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b", "a.b.c.d", f"{TOKEN}.", f"{TOKEN}=", f" {TOKEN}", f"{TOKEN}\n", f"{TOKEN}, {TOKEN}"],
)
def test_what_is_not_a_compact_jws_is_refused(token: str) -> None:
    """Three parts, base64url without padding, nothing around."""
    assert reason_of(token) == Reason.MALFORMED


def test_another_spelling_of_the_same_signature_is_refused() -> None:
    """The spare bits of the last character are not signed; only zero is taken."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(TOKEN[-1])
    assert last % 16 == 0
    for spare in range(1, 16):
        assert reason_of(TOKEN[:-1] + alphabet[last + spare]) == Reason.MALFORMED


def test_an_oversized_context_is_refused_unread() -> None:
    """More than 4 KiB is not even decoded, although it is signed."""
    header = {"alg": "EdDSA", "kid": KID, "typ": TYPE}
    token = forge(header, make_context(sub="x" * LIMIT_BYTES), real_signature)
    assert reason_of(token) == Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "other"}, Reason.ISSUER),
        ({"aud": "payment"}, Reason.AUDIENCE),
        ({"aud": "Order"}, Reason.AUDIENCE),
        ({"exp": int(NOW) - 5}, Reason.EXPIRED),
        ({"exp": 0}, Reason.EXPIRED),
        ({"iat": int(NOW) + 6}, Reason.NOT_YET),
    ],
)
def test_claims_that_do_not_hold_are_refused(claims: dict[str, Any], reason: Reason) -> None:
    """Another issuer, another service, too late, too early."""
    header = {"alg": "EdDSA", "kid": KID, "typ": TYPE}
    assert reason_of(forge(header, make_context(**claims), real_signature)) == reason


def test_clocks_may_differ_a_little() -> None:
    """Five seconds either way, and not one more."""
    assert VERIFIER.verify(TOKEN, KEYS, NOW + 64.9) == make_context()
    assert reason_of(TOKEN, now=NOW + 65) == Reason.EXPIRED
    assert VERIFIER.verify(TOKEN, KEYS, NOW - 5) == make_context()
    assert reason_of(TOKEN, now=NOW - 5.1) == Reason.NOT_YET


@pytest.mark.parametrize(
    "change",
    [
        {"aud": ["order"]},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": 1e400},
        {"roles": "Admin"},
        {"tenant_id": None},
        {"sub": 7},
        {"act": "x"},
    ],
)
def test_claims_of_another_type_are_refused(change: dict[str, Any]) -> None:
    """A list of audiences, a time as text, a role as text: none of them is ours, although it is signed."""
    header = {"alg": "EdDSA", "kid": KID, "typ": TYPE}
    payload = json.loads(msgspec.json.encode(make_context())) | change
    assert reason_of(forge(header, payload, real_signature)) == Reason.MALFORMED


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "tenant_id", "roles", "iat", "exp", "jti"])
def test_a_missing_claim_is_refused(claim: str) -> None:
    """There is no default for who someone is, nor for how long."""
    header = {"alg": "EdDSA", "kid": KID, "typ": TYPE}
    payload = json.loads(msgspec.json.encode(make_context()))
    del payload[claim]
    assert reason_of(forge(header, payload, real_signature)) == Reason.MALFORMED


def bound(method: str = "POST", target: bytes = b"/orders?a=1", body: bytes | None = b"{}") -> SecurityContext:
    """A context for one request."""
    return make_context(htm=method, htp=target_hash(target), htb=None if body is None else body_hash(body))


FITTING: dict[str, Any] = {"method": "POST", "target": b"/orders?a=1", "body": b"{}"}


def test_a_bound_context_fits_its_request() -> None:
    """Method, path, query and body are what the gateway forwarded."""
    check_binding(bound(), **FITTING)
    check_binding(bound(body=None), **{**FITTING, "body": None})
    check_binding(bound("GET"), **{**FITTING, "method": "GET"})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"method": "PUT"}, Reason.METHOD),
        ({"method": "post"}, Reason.METHOD),
        ({"target": b"/orders"}, Reason.TARGET),
        ({"target": b"/orders?a=2"}, Reason.TARGET),
        ({"target": b"/orders/?a=1"}, Reason.TARGET),
        ({"target": b"/%6frders?a=1"}, Reason.TARGET),
        ({"body": b"{ }"}, Reason.BODY),
        ({"body": b""}, Reason.BODY),
        ({"body": None}, Reason.BODY),
    ],
)
@pytest.mark.parametrize("reads", [False, True])
def test_a_bound_context_fits_no_other(change: dict[str, Any], reason: Reason, reads: bool) -> None:
    """Replayed with another method, path, query or body it is refused, also where the endpoint only reads."""
    with pytest.raises(ContextRejected) as caught:
        check_binding(bound(), **{**FITTING, **change}, reads=reads)
    assert caught.value.reason == reason


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "ANYTHING"])
def test_a_context_for_reading_changes_nothing(method: str) -> None:
    """It may be used again and again, so it is good for GET and HEAD alone, or where the endpoint says it reads."""
    with pytest.raises(ContextRejected) as caught:
        check_binding(make_context(), method=method, target=b"/", body=None)
    assert caught.value.reason == Reason.NOT_BOUND
    check_binding(make_context(), method=method, target=b"/", body=None, reads=True)
    for safe in ("GET", "HEAD"):
        check_binding(make_context(), method=safe, target=b"/", body=None)


@pytest.mark.parametrize("claims", [{"htm": "POST"}, {"htp": target_hash(b"/orders?a=1")}, {"htb": body_hash(b"{}")}])
def test_a_context_that_is_bound_by_half_fits_nothing(claims: dict[str, str]) -> None:
    """Method and target are both needed."""
    for method in ("GET", "POST"):
        with pytest.raises(ContextRejected):
            check_binding(make_context(**claims), **{**FITTING, "method": method})
