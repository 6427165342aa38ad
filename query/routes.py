"""The endpoints: parse, ask, answer. Everything they know of the reader comes from the security context."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from query.errors import BadQuery
from query.filters import LISTING, ONE, TRACE, Listing, Order, listing
from query.history import timestamp
from query.log import AuditLog, Page
from query.record import Read
from query.schemas import Event, EventPage, Refusal
from roles.model import Principal
from roles.security_context.context import RequestContext
from roles.security_context.extractor import SecurityContextExtractor

_EVENT_ID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_JSON: Final = "application/json"
_NO_STORE: Final = {"Cache-Control": "private, no-store"}
"""Who may see a reply changes with every policy; no cache on the way may decide that."""

_REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": Refusal, "description": "The query cannot be understood; `detail` says why."},
    401: {"model": Refusal, "description": "No security context that holds."},
    403: {"model": Refusal, "description": "Not allowed; `missing_role` would be."},
    503: {"model": Refusal, "description": "The store or the spool is not there."},
}
_UNKNOWN: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": Refusal, "description": "No such event among those you may see."},
}


def audit_routes(log: AuditLog, extractor: SecurityContextExtractor) -> APIRouter:
    """The audit's endpoints, all of them behind the security context.

    Args:
        log: Whom to ask.
        extractor: Says who asks.
    """
    router = APIRouter(dependencies=[Depends(extractor)])
    Reader = Annotated[RequestContext, Depends(extractor)]  # noqa: N806 - a type, made from this router's extractor

    async def events(request: Request, caller: Reader) -> Response:
        """Events, newest first unless asked otherwise, filtered and page by page."""
        wanted = listing(_query(request), LISTING)
        return _paged(await log.page(_read(request, caller, "events", "/audit/events", wanted), wanted))

    async def event(request: Request, caller: Reader, event_id: str) -> Response:
        """One event."""
        wanted = listing(_query(request), ONE)
        if _EVENT_ID.fullmatch(event_id) is None:
            raise BadQuery("the event id is not a UUID")
        key = UUID(event_id)
        read = _read(request, caller, "event", "/audit/events/{event_id}", wanted, target=str(key))
        return _answer(await log.one(read, wanted, key))

    async def trace(request: Request, caller: Reader, trace_id: str) -> Response:
        """Everything that happened under one trace id, oldest first."""
        wanted = listing(_query(request), TRACE, order=Order.ASC, trace_id=trace_id)
        return _paged(await log.page(_read(request, caller, "trace", "/audit/trace/{trace_id}", wanted), wanted))

    def add(path: str, endpoint: Callable[..., Awaitable[Response]], model: type, more: dict[int | str, Any]) -> None:
        responses = {200: {"model": model}, **_REFUSALS, **more}
        router.add_api_route(path, endpoint, methods=["GET"], responses=responses, response_class=Response)
        router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)

    add("/audit/events", events, EventPage, {})
    add("/audit/events/{event_id}", event, Event, _UNKNOWN)
    add("/audit/trace/{trace_id}", trace, EventPage, {})
    return router


def _query(request: Request) -> bytes:
    """The query string as it came: the framework's own reading replaces what is no UTF-8."""
    query: bytes = request.scope["query_string"]
    return query


def _read(
    request: Request, caller: RequestContext, endpoint: str, template: str, wanted: Listing, *, target: str = "*"
) -> Read:
    return Read(
        reader=Principal(caller.idp, caller.tenant_id, caller.sub, caller.roles),
        trace_id=caller.trace_id,
        endpoint=endpoint,
        template=template,
        method=request.method,
        asked=wanted.asked,
        target=target,
    )


def _paged(page: Page) -> Response:
    return _answer(
        {
            "data": page.data,
            "has_more": page.has_more,
            "next_cursor": page.next_cursor,
            "complete_through": None if page.complete_through is None else timestamp(page.complete_through),
        }
    )


def _answer(content: object) -> Response:
    return Response(msgspec.json.encode(content), media_type=_JSON, headers=_NO_STORE)
