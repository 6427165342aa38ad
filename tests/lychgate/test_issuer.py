"""The development issuer's endpoints."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lychgate.issuer import create_app
from lychgate.tokens import ISS, DevelopmentIssuer
from tests.builders.development import clock, identified
from tests.builders.tokens import NOW

WANTED: dict[str, Any] = {"tenant": "acme", "user": "ann", "roles": ["Clerk"]}


@pytest.fixture
def issuer(tmp_path: Path) -> DevelopmentIssuer:
    """A fresh issuer."""
    return DevelopmentIssuer.open(tmp_path / "issuer", clock)


@pytest.fixture
async def client(issuer: DevelopmentIssuer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of its application."""
    transport = httpx.ASGITransport(create_app(issuer))
    async with httpx.AsyncClient(transport=transport, base_url=ISS) as client:
        yield client


async def test_the_key_set(client: httpx.AsyncClient, issuer: DevelopmentIssuer) -> None:
    """One public key, which may be kept for a minute."""
    answer = await client.get("/.well-known/jwks.json")
    assert answer.json() == issuer.jwks()
    assert answer.headers["content-type"] == "application/jwk-set+json"
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert set(answer.json()["keys"][0]) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


async def test_discovery_leads_to_the_other_two(client: httpx.AsyncClient) -> None:
    """What the configuration names is there."""
    configuration = (await client.get("/.well-known/openid-configuration")).json()
    assert configuration["issuer"] == ISS
    assert (await client.get(configuration["jwks_uri"])).status_code == 200
    assert (await client.post(configuration["token_endpoint"], json=WANTED)).status_code == 200


async def test_a_token_for_the_asking(client: httpx.AsyncClient, issuer: DevelopmentIssuer) -> None:
    """The answer has RFC 6749's form, nobody keeps a copy, and the token holds as long as it says."""
    answer = await client.post("/token", json={**WANTED, "ttl_s": 120})
    body = answer.json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 120)
    assert answer.headers["cache-control"] == "no-store"
    found = identified(body["access_token"], issuer)
    assert (found.principal.uid.id, found.principal.roles) == ("dev/acme/ann", ("Clerk",))
    assert found.expires_at == NOW + 120 + 30


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"tenant": None}, "tenant"),
        ({"tenant": "Not A Tenant"}, "tenant"),
        ({"user": ""}, "user"),
        ({"user": "a\x00"}, "user"),
        ({"roles": "Clerk"}, "roles"),
        ({"roles": [1]}, "roles"),
        ({"roles": ["r"] * 65}, "roles"),
        ({"ttl_s": 0}, "seconds"),
        ({"ttl_s": "60"}, "ttl_s"),
        ({"extra": 1}, "extra"),
    ],
)
async def test_what_cannot_be_given(client: httpx.AsyncClient, changes: dict[str, Any], named: str) -> None:
    """A bad request is answered in RFC 6749's form and says what is wrong."""
    answer = await client.post("/token", json={**WANTED, **changes})
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"
    assert named in answer.json()["error_description"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff"])
async def test_a_body_that_is_no_object(client: httpx.AsyncClient, body: bytes) -> None:
    """Anything else than a JSON object is a bad request, never a fault of ours."""
    answer = await client.post("/token", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400


async def test_nothing_else_is_there(client: httpx.AsyncClient) -> None:
    """No documentation pages, no schema: three addresses."""
    for path in ("/", "/docs", "/openapi.json", "/redoc"):
        assert (await client.get(path)).status_code == 404
    assert (await client.get("/token")).status_code == 405
