"""Whether the consumer (or the relay) gets on, told on a port of its own: `/healthz`, `/readyz`, `/internal/metrics`.

Served from a thread, so that a consumer whose loop is stuck can still be asked, and says so.
"""

import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

Part: TypeAlias = Literal["loop", "broker", "store"]

_SAID: dict[Part, str] = {
    "loop": "the consumer does not get on",
    "broker": "the broker does not answer",
    "store": "the store does not answer",
}


class Pulse:
    """When each part of the consumer last did something.

    Args:
        stuck_after_s: A part that has done nothing for so long is stuck.
        clock: Seconds, monotonic.
    """

    def __init__(self, stuck_after_s: float = 15.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._stuck_after_s = stuck_after_s
        self._clock = clock
        self._last: dict[Part, float] = {}

    def beat(self, part: Part) -> None:
        """It did something now."""
        self._last[part] = self._clock()

    def age_s(self, part: Part) -> float:
        """Seconds since it last did something; infinite if it never has."""
        last = self._last.get(part)
        return float("inf") if last is None else self._clock() - last

    def problem(self) -> str | None:
        """What keeps the consumer from being ready; None if nothing does."""
        for part in ("broker", "store", "loop"):
            if self.age_s(part) > self._stuck_after_s:
                return _SAID[part]
        return None


class Health:
    """The port.

    Args:
        port: Where; 0 for a free one.
        registry: What `/internal/metrics` shows.
        problem: Why it is not ready, or None.
        host: Loopback, unless somebody on another machine is to ask.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self, port: int, registry: CollectorRegistry, problem: Callable[[], str | None], *, host: str = "127.0.0.1"
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 5  # of a client that says nothing

            def do_GET(self) -> None:
                match self.path.partition("?")[0]:
                    case "/healthz":
                        self._answer(200, "application/json", b'{"alive":true}')
                    case "/readyz":
                        reason = problem()
                        body = {"ready": reason is None} if reason is None else {"ready": False, "reason": reason}
                        self._answer(200 if reason is None else 503, "application/json", json.dumps(body).encode())
                    case "/internal/metrics" | "/metrics":
                        encode, kind = choose_encoder(self.headers.get("Accept", ""))
                        self._answer(200, kind, encode(registry))
                    case _:
                        self._answer(404, "application/json", b'{"code":"route_unknown"}')

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing: a scrape is no news, and a path may hold anything."""

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
            daemon_threads = True

        self._server = Server((host, port), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let the port go."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(1.0)
