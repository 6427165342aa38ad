"""The claims and the hashes that bind them."""

import json
from base64 import urlsafe_b64decode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.security_context.claims import Actor, SecurityContext, body_hash, target_hash
from tests.builders.contexts import make_context


def test_the_hash_is_sha_256_in_base64url_without_padding() -> None:
    """The form a foreign implementation can check against."""
    assert body_hash(b"") == "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    assert target_hash(b"/orders?limit=5") == "HQivzNY3kzk2KZ9OTTtA0j9YxzcdLS3FD1Ri4TGMpuU"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"/orders?", b"/orders", True),
        (b"/orders?a=1", b"/orders?a=1", True),
        (b"/orders", b"/orders/", False),
        (b"/orders?a=1", b"/orders?a=2", False),
        (b"/orders?a=1", b"/orders?a=1&", False),
        (b"/orders?a=?", b"/orders?a=", False),
        (b"/orders??", b"/orders?", False),
        (b"/a%2Fb", b"/a/b", False),
    ],
)
def test_a_target_is_its_bytes(one: bytes, other: bytes, same: bool) -> None:
    """Nothing is decoded or put in order; only an empty query counts as none."""
    assert (target_hash(one) == target_hash(other)) is same


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_two_bodies_have_two_hashes(one: bytes, other: bytes) -> None:
    """A hash stands for its bytes, and decodes to 32 of them."""
    assert (body_hash(one) == body_hash(other)) == (one == other)
    assert len(urlsafe_b64decode(body_hash(one) + "=")) == 32


def test_a_context_that_reads_has_no_binding_claims_on_the_wire() -> None:
    """Claims that are not there take no room."""
    claims = json.loads(msgspec.json.encode(make_context()))
    assert set(claims) == {
        "iss", "aud", "sub", "tenant_id", "roles", "trace_id", "policy_version", "iat", "exp", "jti",
    }  # fmt: skip


@pytest.mark.parametrize("claim", ["htm", "htp", "htb"])
def test_any_binding_claim_binds(claim: str) -> None:
    """A context that is bound to anything cannot pass for one that is not."""
    assert make_context(**{claim: "x"}).bound
    assert not make_context().bound


def test_actors_nest() -> None:
    """A chain of services is written from the newest inwards (RFC 8693)."""
    context = make_context(act=Actor("integration", Actor("partner")))
    claims = json.loads(msgspec.json.encode(context))
    assert claims["act"] == {"sub": "integration", "act": {"sub": "partner"}}
    assert msgspec.json.decode(json.dumps(claims), type=SecurityContext) == context


def test_a_newer_gateway_may_say_more() -> None:
    """A claim that is not known here is passed over."""
    claims = json.loads(msgspec.json.encode(make_context())) | {"new": 1}
    assert msgspec.json.decode(json.dumps(claims), type=SecurityContext) == make_context()
