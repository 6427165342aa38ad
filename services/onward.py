"""Calls to other services in the caller's name.

A service holds no rights of its own over a tenant's data. To call another it proves who it is with its machine token
and shows the context it was given; the gateway decides whether the caller may do the onward thing, and answers with a
context for the next service, in which the caller, the trace and this service's name stand. Called by
`services.integration`; the other end verifies that context like any other.

INVARIANT: nobody calls onward while holding a tenant's lock: the other service may be in this very process.
"""

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar
from urllib.parse import quote, urlencode

import httpx
from pydantic import BaseModel, ValidationError

from roles.security_context import RequestContext
from roles.security_context.headers import TRACEPARENT, traceparent
from services.errors import Declined, TooSlow, Unreachable

Answer = TypeVar("Answer", bound=BaseModel)

_OWN_FAULT = frozenset({400, 401, 405, 415})
"""Statuses of the exchange that say something about us, not about the caller."""


class TokenSource(Protocol):
    """Where a service's own machine token comes from."""

    async def token(self) -> str:
        """A token that holds now."""
        ...

    def refused(self) -> None:
        """The token was not believed: get another next time."""
        ...


class Exchanged(BaseModel):
    """The gateway's answer to `POST /context/exchange`.

    Attributes:
        url: Where the request goes.
        headers: Everything the next service is to be sent about the caller.
    """

    url: str
    headers: Mapping[str, str]


class Refusal(BaseModel):
    """The body of every refusal, from the gateway and from services alike."""

    code: str
    missing_role: str | None = None


class Onward:
    """One service's way to the others."""

    def __init__(self, http: httpx.AsyncClient, exchange_url: str, tokens: TokenSource) -> None:
        self._http = http
        self._exchange_url = exchange_url
        self._tokens = tokens

    async def get(
        self,
        caller: RequestContext,
        segments: Sequence[str],
        answer: type[Answer],
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Read something of another service.

        Args:
            caller: Who asks: the context that came with the request in hand, and its trace.
            segments: Of the path, as a client of the gateway would ask for it, not yet encoded: an id that came from
                a caller stays one segment, whatever is in it.
            answer: What the other service answers with.
            query: Names and values.

        Raises:
            Declined: The caller may not do this, or the other service refused; its code goes on.
            Unreachable: The gateway or the other service could not be asked, or made no sense.
        """
        path = "".join(f"/{quote(segment, safe='')}" for segment in segments)
        if query:
            path += f"?{urlencode(query)}"
        return await self._call(caller, "GET", path, None, answer)

    async def post(
        self, caller: RequestContext, segments: Sequence[str], answer: type[Answer], body: BaseModel
    ) -> Answer:
        """Have another service do something. As `get`; the context it gets is bound to this path and body."""
        path = "".join(f"/{quote(segment, safe='')}" for segment in segments)
        return await self._call(caller, "POST", path, body.model_dump_json().encode(), answer)

    async def _call(
        self, caller: RequestContext, method: str, path: str, body: bytes | None, answer: type[Answer]
    ) -> Answer:
        next_hop = await self._exchange(caller, method, path, body)
        headers = dict(next_hop.headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        async with _translated():
            response = await self._http.request(method, next_hop.url, headers=headers, content=body)
        if response.is_error:
            raise _declined(response)
        return _parsed(response, answer)

    async def _exchange(self, caller: RequestContext, method: str, path: str, body: bytes | None) -> Exchanged:
        shown = {"context": caller.token, "method": method, "path": path}
        if body is not None:
            shown["body_sha256"] = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
        token = await self._tokens.token()
        async with _translated():
            # A context kept for reading may be of an earlier request; the trace is the one in hand.
            headers = {"Authorization": f"Bearer {token}", TRACEPARENT: traceparent(caller.trace_id)}
            response = await self._http.post(self._exchange_url, json=shown, headers=headers)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._tokens.refused()
        if response.status_code in _OWN_FAULT:
            raise Unreachable
        if response.is_error:
            raise _declined(response)
        return _parsed(response, Exchanged)


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """Httpx's exceptions as ours."""
    try:
        yield
    except httpx.TimeoutException as exc:
        raise TooSlow from exc
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise Unreachable from exc


def _declined(response: httpx.Response) -> Declined | Unreachable:
    """What the caller is told of somebody else's refusal: a 4xx goes on as it is, a 5xx is a gateway's 502."""
    if response.is_server_error:
        return Unreachable()
    try:
        refusal = Refusal.model_validate_json(response.content)
    except ValidationError:
        return Unreachable()
    return Declined(response.status_code, refusal.code, refusal.missing_role)


def _parsed(response: httpx.Response, shape: type[Answer]) -> Answer:
    try:
        return shape.model_validate_json(response.content)
    except ValidationError as exc:
        raise Unreachable from exc
