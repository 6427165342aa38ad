"""The whole stage: a field's bytes in, a caller or one word out."""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import Code
from gateway.identify.bearer import anonymous, identify
from gateway.identify.keyring import Keyring
from gateway.identify.refusal import Claimed, Reason, TokenRefused, UnknownKey
from gateway.sources import IssuerKeys
from tests.builders.tokens import (
    ALGORITHMS,
    ISSUER,
    NOW,
    SigningKey,
    bearer,
    catalogue,
    claims,
    encode,
    jwks,
    keyring,
    mint,
    sha256,
    sign,
    signing_key,
    source,
)

GOOD = mint()
CLAIMED = Claimed(ISSUER, "acme", "u-17")


def _refused(token: bytes, ring: Keyring | None = None, now: float = NOW) -> TokenRefused:
    with pytest.raises(TokenRefused) as caught:
        identify(bearer(token), ring or keyring(), catalogue(), now)
    return caught.value


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_good_token_of_every_algorithm(alg: str) -> None:
    """Each algorithm identifies its bearer, with the digest of what was signed and the key that verified it."""
    key = signing_key(alg)
    token = mint(key)
    found = identify(bearer(token), keyring([key]), catalogue(), NOW)
    assert (found.principal.sub, found.principal.tenant_id, found.principal.roles) == ("u-17", "acme", ("Clerk",))
    assert found.token_sha256 == sha256(token.rpartition(b".")[0])
    assert found.kid_ref == f"{ISSUER}#{key.key.thumbprint()}"


def _none(alg: str) -> bytes:
    return encode(json.dumps({"alg": alg, "kid": "k1"}).encode()) + b"." + encode(json.dumps(claims()).encode()) + b"."


def _hmac_with_public_key() -> bytes:
    """RFC 8725 s2.1: the public key's bytes as an HMAC secret."""
    rsa = signing_key("RS256")
    header = encode(b'{"alg":"HS256","kid":"k1"}')
    signed = header + b"." + encode(json.dumps(claims()).encode())
    return signed + b"." + encode(hmac.digest(rsa.key.as_pem(private=False), signed, hashlib.sha256))


def _header_jwk() -> bytes:
    """RFC 8725 s3.10: a token that brings the key it was signed with."""
    evil = signing_key("ES256", "k1", 9)
    return mint(evil, {"jwk": evil.public(), "jku": "https://evil.example/jwks.json"})


def _swapped_payload() -> bytes:
    head, _, signature = GOOD.split(b".")
    return b".".join((head, encode(json.dumps(claims(roles=["Boss"])).encode()), signature))


def _duplicate_claim() -> bytes:
    payload = json.dumps(claims())[:-1] + ',"tenant_id":"globex"}'
    return sign(signing_key(), payload.encode())


@pytest.mark.parametrize(
    ("token", "reason", "code", "claimed"),
    [
        (b"", Reason.MALFORMED, Code.TOKEN_INVALID, None),
        (b"not.a.token", Reason.MALFORMED, Code.TOKEN_INVALID, None),
        (_none("none"), Reason.ALGORITHM, Code.TOKEN_INVALID, None),
        (_none("None"), Reason.ALGORITHM, Code.TOKEN_INVALID, None),
        (_none("ES256"), Reason.SIGNATURE, Code.TOKEN_INVALID, None),
        (_hmac_with_public_key(), Reason.ALGORITHM, Code.TOKEN_INVALID, None),
        (_header_jwk(), Reason.SIGNATURE, Code.TOKEN_INVALID, None),
        (_swapped_payload(), Reason.SIGNATURE, Code.TOKEN_INVALID, None),
        (mint(signing_key("ES256", "k1", 1)), Reason.SIGNATURE, Code.TOKEN_INVALID, None),
        (mint(signing_key("ES256", "unknown")), Reason.UNKNOWN_KEY, Code.TOKEN_INVALID, None),
        (mint(signing_key("EdDSA")), Reason.ALGORITHM, Code.TOKEN_INVALID, None),
        (mint(header={"crit": ["exp"]}), Reason.HEADER, Code.TOKEN_INVALID, None),
        (mint(header={"typ": "id+jwt"}), Reason.HEADER, Code.TOKEN_INVALID, None),
        (mint(iss="https://evil.example"), Reason.ISSUER, Code.TOKEN_INVALID, None),
        (mint(iss=None), Reason.ISSUER, Code.TOKEN_INVALID, None),
        (sign(signing_key(), b"[]"), Reason.CLAIMS, Code.TOKEN_INVALID, None),
        (sign(signing_key(), b"plain text"), Reason.CLAIMS, Code.TOKEN_INVALID, None),
        (_duplicate_claim(), Reason.CLAIMS, Code.TOKEN_INVALID, None),
        (sign(signing_key(), b"[" * 5000), Reason.CLAIMS, Code.TOKEN_INVALID, None),
        (mint(tenant_id="globex"), Reason.TENANT, Code.TOKEN_INVALID, None),
        (mint(roles=["Boss"]), Reason.ROLE, Code.TOKEN_INVALID, CLAIMED),
        (mint(aud="another"), Reason.AUDIENCE, Code.TOKEN_INVALID, CLAIMED),
        (mint(nbf=NOW + 1000), Reason.NOT_YET, Code.TOKEN_INVALID, CLAIMED),
        (mint(exp=NOW - 1000), Reason.EXPIRED, Code.TOKEN_EXPIRED, CLAIMED),
    ],
)
def test_tokens_that_do_not_hold(token: bytes, reason: Reason, code: Code, claimed: Claimed | None) -> None:
    """Missing, malformed, expired, foreign, forged: the caller hears one code, the record the exact word."""
    ring = keyring(tenants=("acme",), roles=("Clerk",))
    refused = _refused(token, ring)
    assert (refused.reason, refused.code, refused.claimed) == (reason, code, claimed)
    assert refused.code.status == 401


def test_nothing_sent_is_said_so() -> None:
    """Without the field the caller is asked for a credential."""
    with pytest.raises(TokenRefused) as caught:
        identify(b"", keyring(), catalogue(), NOW)
    assert (caught.value.code, caught.value.reason) == (Code.UNAUTHENTICATED, Reason.MISSING)


def test_an_unknown_key_names_what_to_fetch() -> None:
    """The worker can tell the supervisor which issuer's keys have moved on."""
    assert _refused(mint(signing_key("ES256", "next"))).unknown_key == UnknownKey(ISSUER, "next")


def test_claims_of_a_forged_token_are_never_booked() -> None:
    """An expired token with a bad signature is nobody's: it must not write into a tenant's audit."""
    refused = _refused(mint(signing_key("ES256", "k1", 1), exp=1))
    assert (refused.reason, refused.claimed, refused.code) == (Reason.SIGNATURE, None, Code.TOKEN_INVALID)


def test_an_unlisted_algorithm_is_refused_though_the_key_could() -> None:
    """The configuration, not the token, says how to verify."""
    key = signing_key("RS256")
    published = IssuerKeys(ISSUER, jwks(key.public(alg=None)))
    ring = Keyring.build([source(algorithms=("PS256",))], [published])
    assert _refused(mint(key), ring).reason == Reason.ALGORITHM


def test_one_issuer_cannot_speak_as_another() -> None:
    """A token signed with the key of one issuer that names the other is held against the other's keys."""
    mine, theirs = signing_key("ES256", "k1", 1), signing_key("ES256", "k1", 2)
    other = source(name="other", iss="https://other.example")
    published = [IssuerKeys(ISSUER, jwks(mine.public())), IssuerKeys("other", jwks(theirs.public()))]
    ring = Keyring.build([source(), other], published)
    assert identify(bearer(mint(mine)), ring, catalogue(), NOW).principal.issuer == ISSUER
    found = identify(bearer(mint(theirs, iss=other.iss)), ring, catalogue(), NOW)
    assert found.principal.uid.id == "other/acme/u-17"
    assert _refused(mint(theirs), ring).reason == Reason.SIGNATURE


def test_refusals_do_not_repeat_the_token() -> None:
    """Neither message nor repr of a refusal holds any part of what was sent."""
    token = mint(sub="needle-in-the-token", aud="another")
    refused = _refused(token)
    for text in (str(refused), repr(refused), repr(refused.headers)):
        assert "needle" not in text
        assert token.decode() not in text
        assert base64.urlsafe_b64encode(b"needle").decode()[:6] not in text


def test_nobody_is_always_the_same() -> None:
    """A caller without a credential has the anonymous role, no tenant, and no token that could expire."""
    nobody = anonymous(catalogue())
    assert nobody == anonymous(catalogue())
    assert nobody.principal.uid.id == "-/-/anonymous"
    assert (nobody.principal.roles, nobody.auth_method, nobody.token_sha256) == (("Nobody",), "anonymous", b"")


def _mutations(key: SigningKey) -> None:
    ring, token = keyring([key]), mint(key)

    @given(st.integers(0, len(token) - 1), st.integers(1, 255))
    @example(0, 1)
    def refused(position: int, mask: int) -> None:
        mutated = token[:position] + bytes([token[position] ^ mask]) + token[position + 1 :]
        with pytest.raises(TokenRefused):
            identify(bearer(mutated), ring, catalogue(), NOW)

    refused()


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
def test_no_changed_byte_is_accepted(alg: str) -> None:
    """Whichever byte of a token changes, in whichever way, it does not hold any more."""
    _mutations(signing_key(alg))


def test_every_last_character_counts() -> None:
    """The unused bits at the end of each part, which lenient readers ignore, are part of the token."""
    parts = GOOD.split(b".")
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for index, part in enumerate(parts):
        for last in alphabet:
            if last != part[-1]:
                changed = [*parts[:index], part[:-1] + bytes([last]), *parts[index + 1 :]]
                _refused(b".".join(changed))


@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "zip", "jwk", "x"]), st.text() | st.integers())
)
def test_any_header_under_a_good_signature(header: dict[str, Any]) -> None:
    """A signed token with an arbitrary header is somebody or refused; nothing else can happen."""
    try:
        found = identify(bearer(mint(header=header)), keyring(), catalogue(), NOW)
    except TokenRefused:
        return
    assert found.principal.sub == "u-17"


def test_a_worker_stays_lean() -> None:
    """Importing the stage brings none of the control side's libraries into a worker."""
    heavy = ("asyncpg", "aiokafka", "fastapi", "httpx", "pydantic", "rich", "structlog", "typer")
    code = "import sys, gateway.identify.bearer, gateway.identify.memo; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert [name for name in heavy if f"'{name}'" in loaded] == []
