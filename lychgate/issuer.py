"""The development issuer as a small web application, for port 8084 of `lychgate up`.

Gives a token to whoever asks, so it listens on loopback and belongs to no production.
"""

import json
from typing import Annotated

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from lychgate.tokens import ALGORITHM, DEFAULT_TTL_S, CannotMint, DevelopmentIssuer

# Long enough that a page load does not cost a fetch, short enough that a new key is seen within a minute.
_JWKS_CACHE = "public, max-age=60"


class TokenRequest(BaseModel):
    """What `POST /token` takes.

    Attributes:
        tenant: The `tenant_id` claim.
        user: The `sub` claim.
        roles: The `roles` claim.
        ttl_s: How long the token holds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    tenant: str
    user: str
    roles: Annotated[list[str], Field(max_length=64)]
    ttl_s: int = DEFAULT_TTL_S


class TokenAnswer(BaseModel):
    """What it gives: the form of RFC 6749 s5.1.

    Attributes:
        access_token: The JWT.
        token_type: Always `Bearer`.
        expires_in: Seconds.
    """

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name
    expires_in: int


def create_app(issuer: DevelopmentIssuer) -> FastAPI:
    """Build the application.

    Args:
        issuer: Whose key signs.
    """
    app = FastAPI(title="Lychgate development issuer", docs_url=None, redoc_url=None, openapi_url=None)
    jwks = json.dumps(issuer.jwks()).encode()

    @app.get("/.well-known/jwks.json")
    async def keys() -> Response:
        """The public key (RFC 7517)."""
        return Response(jwks, media_type="application/jwk-set+json", headers={"cache-control": _JWKS_CACHE})

    @app.get("/.well-known/openid-configuration")
    async def configuration() -> dict[str, object]:
        """Where things are (OpenID Connect Discovery 1.0 s3), as far as they are there."""
        return {
            "issuer": issuer.iss,
            "jwks_uri": f"{issuer.iss}/.well-known/jwks.json",
            "token_endpoint": f"{issuer.iss}/token",
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
        }

    @app.post("/token")
    async def token(wanted: TokenRequest, response: Response) -> TokenAnswer:
        """A token for whoever asks."""
        response.headers["cache-control"] = "no-store"
        signed = issuer.mint(roles=wanted.roles, tenant=wanted.tenant, user=wanted.user, ttl_s=wanted.ttl_s)
        return TokenAnswer(access_token=signed, expires_in=wanted.ttl_s)

    @app.exception_handler(CannotMint)
    async def cannot_mint(_: Request, exc: CannotMint) -> JSONResponse:
        return _invalid_request(str(exc))

    @app.exception_handler(RequestValidationError)
    async def bad_request(_: Request, exc: RequestValidationError) -> JSONResponse:
        places = (".".join(str(part) for part in error["loc"]) + ": " + error["msg"] for error in exc.errors())
        return _invalid_request("; ".join(places))

    return app


def _invalid_request(description: str) -> JSONResponse:
    """RFC 6749 s5.2."""
    return JSONResponse({"error": "invalid_request", "error_description": description}, status_code=400)
