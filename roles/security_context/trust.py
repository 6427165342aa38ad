"""Whose contexts a service believes, said once; and from it the guard for its kind of application.

trust = Trust("order", jwks_url="http://gateway:8081/.well-known/jwks.json")

guarded = trust.guard(app).router()                           # FastAPI: @guarded.get(...), app.include_router(guarded)
app = trust.asgi(app, exempt={"/healthz"})                 # any ASGI application
app.wsgi_app = trust.wsgi(app.wsgi_app, exempt={"/healthz"})  # Flask, any WSGI application
"""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from roles.errors import ContextUnusable
from roles.security_context.acceptance import BODY_LIMIT_BYTES
from roles.security_context.verifier import ContextVerifier

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from fastapi import FastAPI

    from roles.security_context.asgi import App, SecurityContextMiddleware
    from roles.security_context.blocking_keys import BlockingKeySource
    from roles.security_context.extractor import SecurityContextExtractor
    from roles.security_context.key_source import KeySource
    from roles.security_context.wsgi import SecurityContextWsgi

ISSUER: Final = "lychgate"
"""The gateway's `context.issuer` unless it is configured otherwise."""


def wall_clock() -> float:
    """Seconds since the epoch."""
    return time.time_ns() / 1e9


class Trust:
    """What one service believes.

    Args:
        service: Its name in the gateway's routes: the audience of the contexts it takes.
        jwks_url: Where the gateway publishes the keys it signs with: `/.well-known/jwks.json` on its operations port.
        secret: For `context.alg: HS256` instead: reads the file of the secret it shares with the gateway, again as it
            is rotated: `partial(audit.private_file.read_private, path)`, which refuses one that others may read.
        issuer: The gateway's `context.issuer`.
        leeway_s: Clock difference allowed.
        clock: Seconds since the epoch.

    Raises:
        ContextUnusable: None or both of the two are given, or the secret cannot be used.
    """

    def __init__(
        self,
        service: str,
        *,
        jwks_url: str | None = None,
        secret: Callable[[], bytes] | None = None,
        issuer: str = ISSUER,
        leeway_s: float = 5.0,
        clock: Callable[[], float] = wall_clock,
    ) -> None:
        if not service:
            raise ContextUnusable("a service without a name: whose contexts would it take?")
        if (jwks_url is None) == (secret is None):
            raise ContextUnusable(f"service {service}: give either jwks_url or secret")
        self._service = service
        self._jwks_url = jwks_url
        self._secret = secret
        self._verifier = ContextVerifier(issuer, service, leeway_s=leeway_s)
        self._clock = clock
        if secret is not None:
            self.blocking_keys()  # a start without a secret to believe is none

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Trust({self._service!r}, {self._jwks_url or 'a shared secret'})"

    def guard(
        self, app: "FastAPI", *, reads: bool = False, body_limit_bytes: int = BODY_LIMIT_BYTES
    ) -> "SecurityContextExtractor":
        """The FastAPI dependency for the endpoints of an application, which answers refusals from now on."""
        guard = self.extractor(reads=reads, body_limit_bytes=body_limit_bytes)
        guard.install(app)
        return guard

    def extractor(self, *, reads: bool = False, body_limit_bytes: int = BODY_LIMIT_BYTES) -> "SecurityContextExtractor":
        """The FastAPI dependency alone; `guard` has an application answer what it raises."""
        from roles.security_context.extractor import SecurityContextExtractor

        return SecurityContextExtractor(
            self._verifier, self.keys(), clock=self._clock, reads=reads, body_limit_bytes=body_limit_bytes
        )

    def asgi(
        self,
        app: "App",
        *,
        exempt: Collection[str] = (),
        reads: Collection[str] = (),
        body_limit_bytes: int = BODY_LIMIT_BYTES,
    ) -> "SecurityContextMiddleware":
        """An ASGI application behind the rules; see `SecurityContextMiddleware`."""
        from roles.security_context.asgi import SecurityContextMiddleware

        return SecurityContextMiddleware(
            app,
            self._verifier,
            self.keys(),
            clock=self._clock,
            exempt=exempt,
            reads=reads,
            body_limit_bytes=body_limit_bytes,
        )

    def wsgi(
        self,
        app: "WSGIApplication",
        *,
        exempt: Collection[str] = (),
        reads: Collection[str] = (),
        body_limit_bytes: int = BODY_LIMIT_BYTES,
    ) -> "SecurityContextWsgi":
        """A WSGI application behind the rules; see `SecurityContextWsgi`."""
        from roles.security_context.wsgi import SecurityContextWsgi

        return SecurityContextWsgi(
            app,
            self._verifier,
            self.blocking_keys(),
            clock=self._clock,
            exempt=exempt,
            reads=reads,
            body_limit_bytes=body_limit_bytes,
        )

    def keys(self) -> "KeySource":
        """Where the keys come from, for a loop."""
        from roles.security_context.key_source import JwksKeys
        from roles.security_context.secret_file import SecretFileKeys

        if self._secret is None:
            return JwksKeys(self._jwks_url or "")
        with self._named():
            return SecretFileKeys(self._secret, clock=self._clock, monotonic=time.monotonic)

    def blocking_keys(self) -> "BlockingKeySource":
        """Where the keys come from, for threads."""
        from roles.security_context.blocking_keys import BlockingJwksKeys
        from roles.security_context.secret_file import BlockingSecretFileKeys

        if self._secret is None:
            return BlockingJwksKeys(self._jwks_url or "")
        with self._named():
            return BlockingSecretFileKeys(self._secret, clock=self._clock, monotonic=time.monotonic)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say whose secret it is that cannot be used, and never what it is."""
        try:
            yield
        except OSError as exc:
            raise ContextUnusable(f"service {self._service}: its secret cannot be read: {exc.strerror}") from exc
        except ContextUnusable as exc:
            raise ContextUnusable(f"service {self._service}: its secret cannot be used: {exc}") from exc
