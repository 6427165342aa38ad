"""What the operations port answers with: JSON, refusals in the one body, and the trace id on everything."""

import json

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import BadRequest, GatewayError, Internal, MethodNotAllowed, NoRoute
from gateway.forward.trace import trace_id
from gateway.serve.refusal import body


class Traced:
    """ASGI middleware: takes or makes the trace id of each request, and tells it with the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["trace_id"] = trace_id([value for name, value in scope["headers"] if name == b"traceparent"])

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                trace: str = state["trace_id"]
                message["headers"] = [*message.get("headers", ()), (b"x-trace-id", trace.encode("ascii"))]
            await send(message)

        await self._app(scope, receive, told)


def add_refusals(app: FastAPI) -> None:
    """What goes wrong outside the endpoints has the same body."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, exc: HTTPException) -> Response:
        error: GatewayError
        if exc.status_code == MethodNotAllowed.code.status:
            allow = (exc.headers or {}).get("Allow", "").encode("latin-1")
            error = MethodNotAllowed("no such method here", headers=((b"allow", allow),))
        elif exc.status_code == NoRoute.code.status:
            error = NoRoute("nothing here")
        else:
            error = BadRequest("malformed request")
        return refusal(error, request.state.trace_id)

    @app.exception_handler(Exception)
    async def failed(request: Request, _: Exception) -> Response:
        # The server logs the exception: starlette hands it on after this answer.
        return refusal(Internal("failed"), request.state.trace_id)


def answer(value: object, status: int = 200) -> Response:
    """A JSON answer that nobody keeps."""
    content = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Response(content, status, {"cache-control": "no-store"}, "application/json")


def refusal(error: GatewayError, trace: str) -> Response:
    """`{code, missing_role, trace_id}` with the error's status and fields."""
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in error.headers}
    headers["cache-control"] = "no-store"
    return Response(body(error, trace), error.code.status, headers, "application/json")
