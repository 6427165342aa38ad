"""Every refusal of a service in the one shape `{code, missing_role, trace_id}`, whatever raised it.

Nothing of our inside is told: no exception's text, no input repeated, no stack. A request that fails validation gets
FastAPI's list of places and reasons as `detail` beside the three. Installed on every application by `services.app`.
"""

import json
from collections.abc import Mapping
from typing import cast

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from roles.security_context.headers import TRACE_ID, new_trace_id, usable_trace_id
from services.errors import ServiceError

_LOG = structlog.get_logger(__name__)

_CODES: Mapping[int, str] = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    415: "unsupported_media_type",
    422: "unprocessable",
}
"""What the framework's own refusals are called here."""


def install(app: FastAPI) -> None:
    """Have every exception of the application answered here, but the guard's, which answers in the same shape."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ServiceError, _refused)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _broken)


def _refused(request: Request, exc: Exception) -> Response:
    refusal = cast("ServiceError", exc)
    return _answer(request, refusal.status, refusal.code, missing_role=refusal.missing_role)


def _invalid(request: Request, exc: Exception) -> Response:
    errors = cast("RequestValidationError", exc).errors()
    detail = [{"loc": error["loc"], "msg": error["msg"], "type": error["type"]} for error in errors]
    return _answer(request, 422, "unprocessable", detail=detail)


def _framework(request: Request, exc: Exception) -> Response:
    refusal = cast("HTTPException", exc)
    code = _CODES.get(refusal.status_code, "internal" if refusal.status_code >= 500 else "bad_request")  # noqa: PLR2004 - the class of HTTP statuses
    return _answer(request, refusal.status_code, code, headers=refusal.headers)


def _gone(request: Request, _exc: Exception) -> Response:
    """The sender broke off in the middle of a body: nobody reads this, and it is no fault of ours."""
    return _answer(request, 400, "bad_request")


async def _broken(request: Request, exc: Exception) -> Response:
    await _LOG.aerror("request_failed", error=type(exc).__name__, trace_id=_trace_id(request))
    return _answer(request, 500, "internal")


def _answer(
    request: Request,
    status: int,
    code: str,
    *,
    missing_role: str | None = None,
    detail: list[dict[str, object]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    body: dict[str, object] = {"code": code, "missing_role": missing_role, "trace_id": _trace_id(request)}
    if detail is not None:
        body["detail"] = detail
    # not JSONResponse: it cannot write a lone surrogate, which a place named after a key of the caller's may contain
    return Response(json.dumps(body, separators=(",", ":")).encode(), status, headers, "application/json")


def _trace_id(request: Request) -> str:
    known: str | None = getattr(request.state, "trace_id", None)
    return known or usable_trace_id(request.headers.get(TRACE_ID)) or new_trace_id()
