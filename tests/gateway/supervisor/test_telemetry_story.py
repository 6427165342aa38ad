"""Spans of a running gateway, at a collector of the protocol's own making; and at one that hangs."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.gateway.supervisor.process import Gateway, sections, started, token
from tests.gateway.supervisor.test_live import metric
from tests.gateway.supervisor.test_reload import Caller, calling
from tests.servers.postgres import Logins
from tests.servers.upstream import upstream

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.fixture
def store(migrated_database: Logins) -> Iterator[str]:
    """The writer's DSN of a fresh store."""
    return migrated_database.writer


class Collector:
    """Takes spans over OTLP/HTTP.

    Attributes:
        spans: What came, with the attributes of its resource.
        fields: Of each request.
    """

    def __init__(self) -> None:
        self.spans: list[tuple[dict[str, Any], Span]] = []
        self.fields: list[dict[str, str]] = []
        taken = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                taken.fields.append({name.lower(): value for name, value in self.headers.items()})
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    about = attributes(resource.resource)
                    taken.spans += [(about, span) for scope in resource.scope_spans for span in scope.spans]
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Not on the test's output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1/traces"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def of(self, trace_id: str) -> dict[str, Span]:
        """The spans of a trace, by kind."""
        kinds = Span.SpanKind
        return {kinds.Name(span.kind): span for _, span in self.spans if span.trace_id.hex() == trace_id}


def attributes(holder: Any) -> dict[str, Any]:
    """Of a span or a resource."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in holder.attributes}


def telemetry(endpoint: str, **changes: Any) -> dict[str, Any]:
    """The section."""
    return {"endpoint": endpoint, "sample_ratio": 1.0, "timeout_s": 1, **changes}


async def settled(gateway: Gateway, collector: Collector, count: int) -> None:
    """Wait until so many spans came."""

    async def came() -> bool:
        return len(collector.spans) >= count

    await gateway.until(f"{count} spans", came)


async def test_a_request_is_a_trace(tmp_path: Path, store: str) -> None:
    """The caller's trace is joined, the service is told of the span that is its parent; nothing personal is in any."""
    headers = tmp_path / "headers"
    headers.touch(0o600)
    headers.write_text("X-Collector-Key: hunter2\n")
    with Collector() as collector:
        async with upstream() as service:
            section = telemetry(collector.url, headers_file=str(headers), service_name="front")
            configuration = sections(tmp_path, store, service.port, telemetry=section)
            async with started(configuration, tmp_path) as gateway:
                await gateway.until_ready()
                asked = {**token("Cashier"), "traceparent": f"00-{TRACE}-{PARENT}-01"}
                assert (await gateway.public.get("/orders/o-4711?secret=1", headers=asked)).status_code == 200
                sent = service.fields()["traceparent"]
                await settled(gateway, collector, 3)
                spans = collector.of(TRACE)
                server, client, decide = (spans[f"SPAN_KIND_{kind}"] for kind in ("SERVER", "CLIENT", "INTERNAL"))
                assert sent == f"00-{TRACE}-{client.span_id.hex()}-01"
                assert server.parent_span_id.hex() == PARENT
                assert client.parent_span_id == decide.parent_span_id == server.span_id
                assert (server.name, client.name, decide.name) == ("GET /orders/{order_id}", "GET", "decide")
                assert attributes(server) == {
                    "http.request.method": "GET",
                    "url.scheme": "http",
                    "network.protocol.version": "1.1",
                    "http.response.status_code": 200,
                    "http.route": "/orders/{order_id}",
                    "lychgate.service": "order",
                    "lychgate.action": "order:read",
                    "lychgate.decision.effect": "allow",
                    "lychgate.decision.remembered": False,
                }
                assert attributes(client)["server.port"] == service.port
                assert server.start_time_unix_nano <= decide.start_time_unix_nano <= client.start_time_unix_nano
                assert client.end_time_unix_nano <= server.end_time_unix_nano
                assert 0 < server.end_time_unix_nano - server.start_time_unix_nano < 5e9
                # Known by now: judged from memory, and told of all the same.
                again = {**token("Cashier"), "traceparent": f"00-{TRACE[::-1]}-{PARENT}-00"}
                for _ in range(2):
                    await gateway.public.get("/orders/o-4711?secret=1", headers=again)
                refused = {**token("Cashier"), "traceparent": f"00-{'a' * 32}-{PARENT}-01"}
                assert (await gateway.public.get("/nowhere", headers=refused)).status_code == 404
                await settled(gateway, collector, 8)
                assert set(collector.of(TRACE[::-1])) >= {"SPAN_KIND_SERVER", "SPAN_KIND_CLIENT"}
                nowhere = collector.of("a" * 32)["SPAN_KIND_SERVER"]
                assert (nowhere.name, attributes(nowhere)["error.type"]) == ("GET", "route_unknown")
                metrics = (await gateway.ops.get("/internal/metrics")).text
                assert metric(metrics, "lychgate_spans_exported_total") >= 8
                assert await gateway.stop() == 0
    about = {tuple(sorted(about.items())) for about, _ in collector.spans}
    [only] = about
    assert dict(only)["service.name"] == "front"
    assert collector.fields[0]["x-collector-key"] == "hunter2"
    everything = "".join(str(span) for _, span in collector.spans)
    for word in ("acme", "o-4711", "secret", "127.0.0.2", "eyJ", "u-1"):
        assert word not in everything
    assert "hunter2" not in gateway.log


@contextlib.contextmanager
def hanging() -> Iterator[str]:
    """A collector that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1/traces"


async def test_a_collector_that_hangs_harms_nothing(tmp_path: Path, store: str) -> None:
    """Requests are answered, what is dropped is counted, the log says it once, and a stop does not wait for it."""
    with hanging() as endpoint:
        async with upstream() as service:
            section = telemetry(endpoint, queue_spans=20, timeout_s=0.5)
            configuration = sections(tmp_path, store, service.port, telemetry=section)
            async with started(configuration, tmp_path) as gateway:
                await gateway.until_ready()
                callers = [Caller(configuration["gateway"]["port"]) for _ in range(2)]
                async with calling(*callers):

                    async def counted() -> bool:
                        text = (await gateway.ops.get("/internal/metrics")).text
                        return all(
                            metric(text, f'lychgate_spans_dropped_total{{reason="{reason}"}}') > 0
                            for reason in ("queue", "collector")
                        )

                    await gateway.until("drops are counted", counted)
                assert [caller.lost for caller in callers] == [[], []]
                assert set(callers[0].statuses) == {200}
                assert gateway.log.count("spans_not_taken") == 1
                began = time.monotonic()
                assert await gateway.stop() == 0
                assert time.monotonic() - began < 10
