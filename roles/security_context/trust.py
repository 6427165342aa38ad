"""Whose contexts a service believes, said once; and from it the guard for its kind of application.

trust = Trust("order", jwks_url="http://gateway:8081/.well-known/jwks.json")

app = FastAPI(dependencies=[Depends(trust.extractor())])   # FastAPI
app = trust.asgi(app, exempt={"/healthz"})                 # any ASGI application
app.wsgi_app = trust.wsgi(app.wsgi_app, exempt={"/healthz"})  # Flask, any WSGI application
"""

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from roles.errors import ContextUnusable
from roles.security_context.acceptance import BODY_LIMIT_BYTES
from roles.security_context.keys import TrustedKeys
from roles.security_context.verifier import ContextVerifier

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

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
        secret_file: For `context.alg: HS256` instead: a file with the `oct` JWK that it shares with the gateway.
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
        secret_file: Path | None = None,
        issuer: str = ISSUER,
        leeway_s: float = 5.0,
        clock: Callable[[], float] = wall_clock,
    ) -> None:
        if not service:
            raise ContextUnusable("a service without a name: whose contexts would it take?")
        if (jwks_url is None) == (secret_file is None):
            raise ContextUnusable(f"service {service}: give either jwks_url or secret_file")
        self._service = service
        self._jwks_url = jwks_url
        self._secret = None if secret_file is None else shared_secret(secret_file)
        self._verifier = ContextVerifier(issuer, service, leeway_s=leeway_s)
        self._clock = clock

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Trust({self._service!r}, {self._jwks_url or 'a shared secret'})"

    def extractor(self, *, reads: bool = False) -> "SecurityContextExtractor":
        """The FastAPI dependency; have `ContextRejected` answered by `refuse`."""
        from roles.security_context.extractor import SecurityContextExtractor

        return SecurityContextExtractor(self._verifier, self.keys(), clock=self._clock, reads=reads)

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
        from roles.security_context.key_source import JwksKeys, StaticKeys

        return StaticKeys(self._secret) if self._secret is not None else JwksKeys(self._jwks_url or "")

    def blocking_keys(self) -> "BlockingKeySource":
        """Where the keys come from, for threads."""
        from roles.security_context.blocking_keys import BlockingJwksKeys, BlockingStaticKeys

        return BlockingStaticKeys(self._secret) if self._secret is not None else BlockingJwksKeys(self._jwks_url or "")


def shared_secret(path: Path) -> TrustedKeys:
    """The secret that a service shares with the gateway, from a file.

    Raises:
        ContextUnusable: It cannot be read or is none; says where, never what.
    """
    try:
        return TrustedKeys.from_secret(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise ContextUnusable(f"the key in {path} cannot be read ({type(exc).__name__})") from exc
    except ContextUnusable as exc:
        raise ContextUnusable(f"the key in {path} cannot be used: {exc}") from exc
