"""The doors on the operations port: in front of its application, because they are asked once a request of somebody's.

A door needs the bytes of a path, which FastAPI decodes; and FastAPI's way to an endpoint that does nothing costs 60 %
of a whole question here.
"""

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.doors import asked, envoy, forward
from gateway.doors.asked import Allowed, Asked, Denied
from gateway.doors.checks import Checks
from gateway.model import Peer
from gateway.serve.hops import TrustedHops

_NOBODY: Final = ("unknown", 0)

Answer = Callable[[Allowed | Denied], tuple[int, list[tuple[bytes, bytes]], bytes]]


class HttpDoors:
    """An ASGI application: forward-auth and ext_authz over HTTP, and whatever stands behind them.

    Args:
        behind: Takes every other request.
        checks: Answers.
        hops: Whom proxies speak for: they and the hops in front of them.
        prefix: Of ext_authz, without a slash at its end.
    """

    def __init__(self, behind: ASGIApp, checks: Checks, hops: TrustedHops, prefix: str) -> None:
        self._behind = behind
        self._checks = checks
        self._hops = hops
        self._prefix = prefix.encode("ascii")
        self._beginning = self._prefix + b"/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        path: bytes = scope.get("raw_path") or b"" if scope["type"] == "http" else b""
        if path == forward.PATH:
            await self._told(scope, send, asked.FORWARD, self._forward(scope), forward.answer)
        elif path.startswith(self._beginning):
            await self._told(scope, send, asked.ENVOY_HTTP, self._envoy(scope, path), envoy.answer)
        else:
            await self._behind(scope, receive, send)

    def _forward(self, scope: Scope) -> Callable[[Peer], Asked]:
        headers = tuple(scope["headers"])
        return lambda proxy: forward.read(proxy, headers, self._hops.client)

    def _envoy(self, scope: Scope, path: bytes) -> Callable[[Peer], Asked]:
        headers = tuple(scope["headers"])
        query: bytes = scope["query_string"]
        target = path[len(self._prefix) :] + (b"?" + query if query else b"")
        return lambda proxy: envoy.read(proxy, scope["method"], target, headers, self._hops.client)

    async def _told(self, scope: Scope, send: Send, door: str, read: Callable[[Peer], Asked], answer: Answer) -> None:
        status, fields, content = answer(await self._checks.check(door, scope.get("client") or _NOBODY, read))
        fields.append((b"content-length", b"%d" % len(content)))
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": content})
