"""Errors to answers: one shape for all of them, nothing internal in any. Installed by `query.app.create_app`."""

from http import HTTPStatus
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from query.errors import QueryError
from roles.errors import ContextRejected
from roles.security_context.extractor import refuse
from roles.security_context.headers import new_trace_id

_LOG: Final = structlog.get_logger(__name__)
_CODES: Final = {HTTPStatus.NOT_FOUND: "route_unknown", HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed"}


def install(app: FastAPI) -> None:
    """Answer every error in our shape."""
    app.add_exception_handler(ContextRejected, refuse)
    app.add_exception_handler(QueryError, _refused)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _fault)


def trace_id(request: Request) -> str:
    """The request's trace id, made where none is known yet."""
    known: str | None = getattr(request.state, "trace_id", None)
    return known or new_trace_id()


async def _refused(request: Request, exc: Exception) -> JSONResponse:
    if not isinstance(exc, QueryError):
        return await _fault(request, exc)
    if exc.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        await _LOG.aerror("read_failed", code=exc.code, reason=exc.detail, trace_id=trace_id(request))
    body = _body(request, exc.code, exc.missing_role)
    if exc.status == HTTPStatus.BAD_REQUEST:
        body["detail"] = exc.detail
    return JSONResponse(body, status_code=exc.status)


async def _framework(request: Request, exc: Exception) -> JSONResponse:
    """No such path, or not with this method."""
    if not isinstance(exc, HTTPException):
        return await _fault(request, exc)
    status = HTTPStatus(exc.status_code)
    code = _CODES.get(status, "bad_request" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "internal")
    return JSONResponse(_body(request, code, None), status_code=status, headers=exc.headers)


async def _fault(request: Request, exc: Exception) -> JSONResponse:
    """Our own fault: the log says which, the caller does not. The server's own log has the traceback."""
    await _LOG.aerror("read_broken", error=type(exc).__name__, trace_id=trace_id(request))
    return JSONResponse(_body(request, "internal", None), status_code=HTTPStatus.INTERNAL_SERVER_ERROR)


def _body(request: Request, code: str, missing_role: str | None) -> dict[str, str | None]:
    return {"code": code, "missing_role": missing_role, "trace_id": trace_id(request)}
