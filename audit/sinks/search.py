"""Events into a search engine, masked, each under its own id.

A document that the engine will never take is written, by its id and without its content, to a file of refusals; the
main sink has the record. Everything else that goes wrong is a sink that is down, and says why without a secret in it.
"""

import asyncio
import base64
import gzip
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import httpx
import msgspec
import structlog
from prometheus_client import CollectorRegistry

from audit.codec import timestamp
from audit.errors import SinkUnavailable, SpoolBusy
from audit.metrics import RelayMetrics
from audit.sinks import bulk
from audit.sinks.bulk import Document, Refusal
from audit.sinks.files import LineFiles
from audit.sinks.fit import fitted
from audit.sinks.outward import Outward
from audit.sinks.port import Watermark
from audit.sinks.template import index_template

_ANSWER_BYTES: Final = 16 << 20
_ROUNDS: Final = 3
"""How often what was answered 429 is sent again before the relay's own pauses take over."""
_ROUND_PAUSE_S: Final = 0.1
_ALL_REFUSED: Final = 50
"""So many documents, and the engine will have none of them: it is not made for us, and nothing is set apart."""
_JSON: Final = {"content-type": "application/json"}

_log = structlog.get_logger("audit.sinks")


class Engine(NamedTuple):
    """Where the engine is and how it is spoken to.

    Attributes:
        url: `https://host:port`.
        indices: Start of the indices' names.
        authorization: Gives user and password, or `""` and an API key, or None; asked again when it was refused.
        verify: Whom to believe.
        template: Whether to put the index template.
        timeout_s: Of one request, from connect to the last byte.
        max_body_bytes: Largest request, before compression.
        compress: Whether requests are sent gzipped.
    """

    url: str
    indices: str = "audit-events"
    authorization: Callable[[], tuple[str, str] | None] = lambda: None
    verify: ssl.SSLContext | bool = True
    template: bool = True
    timeout_s: float = 20.0
    max_body_bytes: int = 5 << 20
    compress: bool = True


class SearchSink:
    """Speaks `_bulk`. See `audit.sinks.Sink`.

    Args:
        engine: Whom to speak to.
        outward: Masks what goes there.
        refused: Where refusals are written.
        metrics: Where they are counted.
    """

    name = "search"

    def __init__(
        self, engine: Engine, outward: Outward, refused: LineFiles, metrics: RelayMetrics | None = None
    ) -> None:
        self._engine = engine
        self._outward = outward
        self._refused = refused
        self._metrics = metrics or RelayMetrics(CollectorRegistry())
        self._client: httpx.AsyncClient | None = None
        self._ready = False
        self._busy = threading.Lock()

    async def deliver(self, records: Sequence[bytes]) -> None:
        """Index events.

        Raises:
            SinkUnavailable: some or none were taken; sending them all again is harmless.
        """
        try:
            await self._prepare()
            documents = await asyncio.to_thread(self._documents, records)
            refused: list[Refusal] = []
            for first, beyond in bulk.requests(documents, self._engine.max_body_bytes):
                await self._send(documents[first:beyond], refused)
            if refused:
                await asyncio.to_thread(self._set_apart, refused)
        except SinkUnavailable:
            self._ready = False  # template and credentials are looked at again
            raise

    async def report(self, marks: Sequence[Watermark]) -> None:
        """A search engine is told nothing of completeness."""

    async def ping(self) -> None:
        """Ask for the engine, and put the template.

        Raises:
            SinkUnavailable: not now.
        """
        self._ready = False
        await self._prepare()

    async def close(self) -> None:
        """Give the connections up."""
        client, self._client = self._client, None
        if self._busy.acquire(blocking=False):  # else the disk hangs: what is still at it keeps its file
            self._refused.close()
            self._busy.release()
        if client is not None:
            try:
                async with asyncio.timeout(1):
                    await client.aclose()
            except (TimeoutError, httpx.HTTPError, OSError):
                _log.debug("audit_search_not_closed")

    def _documents(self, records: Sequence[bytes]) -> list[Document]:
        documents: list[Document] = []
        for payload in records:
            going = self._outward.of(payload)
            try:
                if going is not None:
                    documents.append(bulk.document(self._engine.indices, going.key, going.at_ms, fitted(going.body)))
            except ValueError:
                going = None
            if going is None:  # the main sink has it among its dead letters
                self._metrics.sink_refused.labels(self.name, "unreadable").inc()
        return documents

    async def _send(self, documents: Sequence[Document], refused: list[Refusal]) -> None:
        """Send until all are taken or refused for good."""
        for round_ in range(_ROUNDS):
            if round_:
                await asyncio.sleep(_ROUND_PAUSE_S * round_)
            body = b"".join(each.lines for each in documents)
            status, answer = await self._ask("POST", f"/_bulk?filter_path={bulk.FILTER}", body)
            if status == bulk.TOO_LARGE:
                await self._send_halves(documents, refused)
                return
            self._check(status)
            found = bulk.outcome(documents, answer)
            if found.denied:
                raise SinkUnavailable(found.denied)
            if len(found.refused) == len(documents) >= _ALL_REFUSED:
                raise SinkUnavailable(f"search: every document is refused ({found.refused[0][1].kind})")
            refused += [refusal for _, refusal in found.refused]
            documents = [documents[at] for at in found.again]
            if not documents:
                return
        raise SinkUnavailable(f"search: {len(documents)} documents not taken now")

    async def _send_halves(self, documents: Sequence[Document], refused: list[Refusal]) -> None:
        if len(documents) == 1:
            refused.append(Refusal(documents[0].key, bulk.TOO_LARGE, "too_large"))
            return
        middle = len(documents) // 2
        await self._send(documents[:middle], refused)
        await self._send(documents[middle:], refused)

    async def _prepare(self) -> None:
        """Have a client that knows the credentials, and the template in its place."""
        if self._ready:
            return
        try:
            if self._client is None:
                timeout = self._engine.timeout_s
                self._client = httpx.AsyncClient(
                    base_url=self._engine.url,
                    verify=self._engine.verify,
                    timeout=timeout,
                    follow_redirects=False,  # what we send would go to whoever we are told
                    trust_env=False,
                    headers={"accept-encoding": "identity"},  # what is unpacked has no bound
                    limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
                )
            self._client.headers.pop("authorization", None)
            if (header := _header(self._engine.authorization())) is not None:
                self._client.headers["authorization"] = header
        except (OSError, ValueError) as exc:
            raise SinkUnavailable(f"search: what is sent to log in cannot be read: {type(exc).__name__}") from None
        status, answer = await self._ask("GET", "/")
        self._check(status)
        if self._engine.template:
            body = msgspec.json.encode(index_template(self._engine.indices, _version(answer)))
            status, _ = await self._ask("PUT", f"/_index_template/{self._engine.indices}", body, compress=False)
            if status in (bulk.FORBIDDEN, 401):
                raise SinkUnavailable(
                    f"search: we may not put the index template ({status}): put it, and set `template` to false"
                )
            self._check(status)
        self._ready = True

    async def _ask(self, method: str, path: str, body: bytes = b"", *, compress: bool = True) -> tuple[int, bytes]:
        """One request, bounded in time and in what is read.

        Raises:
            SinkUnavailable: no whole answer in time.
        """
        client = self._client
        if client is None:
            raise SinkUnavailable("search: closed")
        headers = dict(_JSON) if path.startswith("/_index") else {"content-type": "application/x-ndjson"}
        if body and compress and self._engine.compress:
            body = await asyncio.to_thread(gzip.compress, body, 1)
            headers["content-encoding"] = "gzip"
        try:
            async with (
                asyncio.timeout(self._engine.timeout_s),
                client.stream(method, path, content=body or None, headers=headers if body else None) as answer,
            ):
                parts, size = [], 0
                async for part in answer.aiter_raw():
                    size += len(part)
                    if size > _ANSWER_BYTES:
                        raise SinkUnavailable("search: the answer does not end")
                    parts.append(part)
                return answer.status_code, b"".join(parts)
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, ssl.SSLError, OSError, TimeoutError) as exc:
            # By its class: the text may quote the address with what stands in it.
            raise SinkUnavailable(f"search: {type(exc).__name__}") from None

    def _check(self, status: int) -> None:
        """Raise for any answer that is not a success."""
        if status in (200, 201):
            return
        if status in (401, bulk.FORBIDDEN):
            raise SinkUnavailable(f"search: our credentials are refused ({status})")
        if 300 <= status < 400:  # noqa: PLR2004  # redirections
            raise SinkUnavailable(f"search: it sends us elsewhere ({status}), which is not followed")
        raise SinkUnavailable(f"search: answered {status}")

    def _set_apart(self, refused: Sequence[Refusal]) -> None:
        now = timestamp(time.time_ns())
        lines = [msgspec.json.encode({"at": now, "id": r.key, "status": r.status, "type": r.kind}) for r in refused]
        if not self._busy.acquire(blocking=False):  # a write that was given up is still at it
            raise SinkUnavailable("search: the last refusals are still being written")
        try:
            self._refused.append([line + b"\n" for line in lines])
        except (OSError, SpoolBusy) as exc:
            raise SinkUnavailable(f"search: refusals cannot be written: {exc}") from exc
        finally:
            self._busy.release()
        for each in refused:
            reason = "too_large" if each.status == bulk.TOO_LARGE else "mapping"
            self._metrics.sink_refused.labels(self.name, reason).inc()
        _log.error("audit_documents_refused", sink=self.name, count=len(refused), type=refused[0].kind)


def _header(authorization: tuple[str, str] | None) -> str | None:
    if authorization is None:
        return None
    user, secret = authorization
    if not user:
        return f"ApiKey {secret}"
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


def _version(answer: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(answer, type=dict[str, Any]).get("version")
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}
