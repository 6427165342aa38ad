"""Spans to a collector: a bounded queue, and a thread that empties it.

Nothing waits for it. A collector that is slow, refuses or hangs costs spans, which are counted, and nothing else.
"""

import logging
import threading
from collections import deque
from typing import Final

import requests
import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from gateway.control import Told
from gateway.telemetry.metrics import TelemetryMetrics
from gateway.telemetry.spans import SpanMaker
from gateway.telemetry_settings import TelemetrySettings

_BATCH_SPANS: Final = 512
_FLUSH_S: Final = 1.0
_ANSWER_BYTES: Final = 64 * 1024
"""What of a collector's answer is read, so that its connection can be used again; nothing of it is needed."""

_log = structlog.get_logger(__name__)


class Exporter:
    """Sends what workers tell.

    Args:
        settings: Where to, and how much waits.
        maker: Makes spans.
        metrics: Where it is counted.
        headers: Fields that are sent along.
    """

    def __init__(
        self, settings: TelemetrySettings, maker: SpanMaker, metrics: TelemetryMetrics, headers: dict[str, str]
    ) -> None:
        self._settings = settings
        self._maker = maker
        self._metrics = metrics
        self._waiting: deque[ReadableSpan] = deque()
        self._wake = threading.Event()
        self._stopped = False
        self._failing = False
        self._in_hand = 0
        self._given_up = False
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it would log each refusal, with its text
        session = requests.Session()
        session.trust_env = False  # no proxy and no credential that nobody configured here
        session.stream = True
        session.hooks["response"] = [_glance]
        self._collector = OTLPSpanExporter(
            endpoint=settings.endpoint,
            certificate_file=str(settings.ca_file) if settings.ca_file is not None else None,
            headers=headers,
            timeout=settings.timeout_s,
            session=session,
        )
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def take(self, told: Told) -> None:
        """Queue what a worker tells."""
        if told.dropped:
            self._metrics.dropped.labels("worker").inc(told.dropped)
        for request in told.requests:
            for span in self._maker.of(request):
                if len(self._waiting) >= self._settings.queue_spans:
                    self._metrics.dropped.labels("queue").inc()
                else:
                    self._waiting.append(span)
        self._metrics.waiting.set(len(self._waiting))
        if len(self._waiting) >= _BATCH_SPANS:
            self._wake.set()

    def close(self) -> None:
        """Send what waits, for as long as one batch may take; what is left is counted as dropped."""
        self._stopped = True
        self._wake.set()
        self._thread.join(self._settings.timeout_s)
        self._given_up = True
        self._metrics.dropped.labels("queue").inc(len(self._waiting))
        if self._thread.is_alive():  # the collector has a batch that it neither takes nor refuses
            self._metrics.dropped.labels("collector").inc(self._in_hand)

    def _run(self) -> None:
        while True:
            self._wake.wait(_FLUSH_S)
            self._wake.clear()
            stopping = self._stopped
            while self._waiting and not self._given_up:
                self._send([self._waiting.popleft() for _ in range(min(_BATCH_SPANS, len(self._waiting)))])
                if stopping and self._failing:
                    return
            self._metrics.waiting.set(0)
            if stopping:
                return

    def _send(self, batch: list[ReadableSpan]) -> None:
        self._in_hand = len(batch)
        try:
            taken = self._collector.export(batch) is SpanExportResult.SUCCESS
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is the library's or the collector's
            _log.error("spans_unforeseen", error=type(exc).__name__)
            taken = False
        if self._given_up:
            return  # counted already
        if taken:
            self._metrics.exported.inc(len(batch))
        else:
            self._metrics.dropped.labels("collector").inc(len(batch))
        if taken is self._failing:  # said when it begins and when it ends, not for each batch
            self._failing = not taken
            _log.warning("spans_not_taken" if self._failing else "spans_taken_again", spans=len(batch))


def _glance(answer: requests.Response, **_: object) -> None:
    """Read no more of an answer than a collector has to say, and do not take being sent elsewhere for being heard."""
    answer.raw.read(_ANSWER_BYTES, decode_content=False)
    answer.close()
    if answer.is_redirect:
        raise requests.TooManyRedirects("the collector is elsewhere")
