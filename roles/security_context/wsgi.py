"""The same before any WSGI application: Flask, Django, a bare callable. The rules are `acceptance`'s.

    app.wsgi_app = SecurityContextWsgi(app.wsgi_app, verifier, keys, clock=clock, exempt={"/healthz"})

What it found stands in `environ["lychgate.context"]` and is what `current_context()` says; the trace id stands in
`environ["lychgate.trace_id"]`.

WSGI (PEP 3333) hides two things that the rules need. The target as it was received is not among its keys: servers that
keep it say `RAW_URI` or `REQUEST_URI`, and behind one that does not (`wsgiref`) a bound context is refused, because
`PATH_INFO` is decoded and `/a%2Fb` and `/a/b` are one there. And fields become variables, in which `X_Security_Context`
and `X-Security-Context` are one; servers either drop the first (werkzeug, gunicorn) or join the two with a comma
(`wsgiref`), which counts as a repeated field and is refused.
"""

import io
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from roles.errors import ContextRejected
from roles.security_context import headers
from roles.security_context.acceptance import BODY_LIMIT_BYTES, Acceptance, Need, Received, drive_blocking
from roles.security_context.blocking_keys import BlockingKeySource
from roles.security_context.context import serving
from roles.security_context.keys import TrustedKeys
from roles.security_context.refusal import log, refusal, too_large
from roles.security_context.verifier import ContextVerifier, Reason

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CONTEXT_KEY: Final = "lychgate.context"
TRACE_ID_KEY: Final = "lychgate.trace_id"
_TARGETS: Final = ("RAW_URI", "REQUEST_URI")
_PIECE_BYTES: Final = 64 * 1024


class SecurityContextWsgi:
    """Lets nobody through to an application without a context that holds and fits.

    Args:
        app: The application.
        verifier: For this service.
        keys: What to believe; usable from several threads.
        clock: Seconds since the epoch.
        exempt: Paths that everybody may ask for, exactly as they are sent: `/healthz`. They get no context.
        reads: Paths whose endpoints change nothing whatever their method: a search by POST.
        body_limit_bytes: What is held of a body in order to compare it. A body that no context is bound to streams
            through, whatever its size.
    """

    def __init__(
        self,
        app: "WSGIApplication",
        verifier: ContextVerifier,
        keys: BlockingKeySource,
        *,
        clock: Callable[[], float],
        exempt: Collection[str] = (),
        reads: Collection[str] = (),
        body_limit_bytes: int = BODY_LIMIT_BYTES,
    ) -> None:
        self._app = app
        self._acceptance = Acceptance(verifier, clock)
        self._keys = keys
        self._exempt = frozenset(exempt)
        self._reads = frozenset(reads)
        self._limit_bytes = body_limit_bytes

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Serve."""
        for key in (CONTEXT_KEY, TRACE_ID_KEY):
            environ.pop(key, None)
        serving(None)
        path = _path(environ)
        if path in self._exempt:
            return self._app(environ, start_response)
        received = _received(environ, reads=path in self._reads)
        trace_id = received.sent_trace() or headers.new_trace_id()

        def answer(need: Need) -> TrustedKeys | bytes | None:
            if need is Need.KEYS:
                return self._keys.keys()
            if need is Need.FRESH_KEYS:
                return self._keys.refreshed()
            return _held(environ, self._limit_bytes)

        try:
            found = drive_blocking(self._acceptance.steps(received, trace_id), answer)
        except ContextRejected as exc:
            log(exc, trace_id)
            said = refusal(exc, trace_id)
            # `Connection` is the server's to say (PEP 3333, hop-by-hop).
            start_response(said.line, [field for field in said.fields if field[0] != "Connection"])
            return [] if received.method == "HEAD" else [said.body]
        environ[CONTEXT_KEY] = found
        environ[TRACE_ID_KEY] = found.trace_id
        serving(found)
        try:
            answered = self._app(environ, start_response)
        except BaseException:
            serving(None)
            raise
        return _Ending(answered)


class _Ending:
    """An answer, at whose end the thread serves nobody: it goes on to somebody else's request."""

    def __init__(self, answer: Iterable[bytes]) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        """Called by the server in any case."""
        try:
            close = getattr(self._answer, "close", None)
            if close is not None:
                close()
        finally:
            serving(None)


def _received(environ: dict[str, Any], *, reads: bool) -> Received:
    context = environ.get(_variable(headers.CONTEXT))
    return Received(
        method=environ["REQUEST_METHOD"],
        target=_target(environ),
        contexts=() if context is None else (context,),
        trace_id=environ.get(_variable(headers.TRACE_ID)),
        traceparent=environ.get(_variable(headers.TRACEPARENT)),
        decision_id=environ.get(_variable(headers.DECISION_ID), ""),
        reads=reads,
    )


def _variable(field: str) -> str:
    return "HTTP_" + field.upper().replace("-", "_")


def _target(environ: dict[str, Any]) -> bytes | None:
    """Path and query as received, if they are what will be served.

    None where the server does not say, or has put it together again; and where something between the server and us has
    rewritten it: a context for what was asked is none for what is done.
    """
    target = _raw(environ)
    if target is None:
        return None
    path, _, query = target.partition(b"?")
    served = _served(environ).encode("latin-1", "replace")
    same = unquote_to_bytes(path) == served and query == environ.get("QUERY_STRING", "").encode("latin-1", "replace")
    return target if same else None


def _raw(environ: dict[str, Any]) -> bytes | None:
    for name in _TARGETS:
        target = environ.get(name)
        if isinstance(target, str) and target.startswith("/"):
            try:
                return target.encode("latin-1")
            except UnicodeEncodeError:
                return None
    return None


def _served(environ: dict[str, Any]) -> str:
    """The path as the application will see it, decoded."""
    return str(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))


def _path(environ: dict[str, Any]) -> str | None:
    """The path, where it is plain: as received and as the application will see it; else None."""
    served, raw = _served(environ), _raw(environ)
    return served if raw is None or raw.partition(b"?")[0] == served.encode("latin-1", "replace") else None


def _held(environ: dict[str, Any], limit_bytes: int) -> bytes:
    """The body, read whole and put back for the application.

    Raises:
        ContextRejected: It is too large, or its end cannot be told.
    """
    stream, length = environ["wsgi.input"], environ.get("CONTENT_LENGTH", "")
    ends = environ.get("wsgi.input_terminated") is True
    if length:
        if not (length.isascii() and length.isdigit()):
            raise ContextRejected(Reason.BODY)
        wanted = int(length)
        if wanted > limit_bytes:
            raise ContextRejected(Reason.BODY_LIMIT, code=too_large())
        body = _read(stream, wanted)
        if len(body) != wanted:
            raise ContextRejected(Reason.BODY)
    elif ends:  # a chunked body, of which the server knows the end
        body = _read(stream, limit_bytes + 1)
        if len(body) > limit_bytes:
            raise ContextRejected(Reason.BODY_LIMIT, code=too_large())
    elif "HTTP_TRANSFER_ENCODING" in environ:
        raise ContextRejected(Reason.BODY)  # the server does not know the end, so nobody knows what the body is
    else:
        body = b""
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ["wsgi.input_terminated"] = True
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    return body


def _read(stream: Any, wanted: int) -> bytes:
    """So many bytes, or what there is until the end."""
    body = bytearray()
    while len(body) < wanted:
        piece = stream.read(min(wanted - len(body), _PIECE_BYTES))
        if not piece:
            break
        body += piece
    return bytes(body)
