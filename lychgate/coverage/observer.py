"""Sees which handlers run and what they emit, while a service's own tests run. For tests only.

    observer = Observer(Path("runs.jsonl"))
    producer = AuditProducer(observer.tapped(emitter), service="order")
    app = create_app(producer)
    observer.watch(app)                      # FastAPI and Starlette; others: handler = observer.watched(handler)
    ...
    $ lychgate audit coverage --observed runs.jsonl

Each run is one line, written at once: processes that test side by side may share the file.
"""

import asyncio
import functools
import inspect
import json
import os
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from starlette.routing import request_response

from audit.event import AuditEvent

F = TypeVar("F", bound=Callable[..., Any])
_REFUSAL = 400


class Emitting(Protocol):
    """What an `AuditProducer` stands on, as far as it is used here."""

    def stamp(self) -> Any:
        """The id and the number of an event."""

    def emit(self, event: AuditEvent) -> Any:
        """Record."""

    def emit_durable(self, event: AuditEvent) -> Any:
        """Record; done when it is safe."""

    def emit_and_wait(self, event: AuditEvent) -> Any:
        """The same for threads."""


class _Running:
    """A handler that runs: what it has emitted so far."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.refused = False


class Observer:
    """Writes a line for each run.

    Args:
        file: Where; none to keep the lines in `lines` only.

    Attributes:
        lines: Every run so far, as written.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._running: ContextVar[_Running | None] = ContextVar("running", default=None)
        self.lines: list[str] = []

    def tapped(self, emitter: Emitting) -> Any:
        """An emitter that is listened to; everything else of it is the emitter's own."""
        return _Tapped(emitter, self._running)

    def watch(self, app: Any) -> None:
        """Watch every endpoint of a FastAPI or Starlette application.

        Raises:
            LookupError: It has none: an observer that sees nothing would find nothing wrong.
        """
        if not self._watch(app.routes):
            raise LookupError("the application has no endpoint that can be watched")

    def _watch(self, routes: Any) -> int:
        """Watch these, and those that are included or mounted in them; how many there are."""
        count = 0
        for route in routes:
            dependant = getattr(route, "dependant", None)
            if dependant is not None:  # FastAPI asks what it has analysed, not the route's endpoint
                dependant.call = self.watched(dependant.call)
                count += 1
            elif (included := getattr(route, "effective_candidates", None)) is not None:
                count += self._watch(included())
            elif inspect.isfunction(getattr(route, "endpoint", None)):  # Starlette asks what it has made of it
                route.app = request_response(self.watched(route.endpoint))
                count += 1
            else:
                count += self._watch(getattr(route, "routes", None) or ())
        return count

    def watched(self, handler: F) -> F:
        """A handler whose runs are written down."""
        name = f"{handler.__module__}.{handler.__qualname__}".replace(".<locals>", "")

        if inspect.iscoroutinefunction(handler):

            @functools.wraps(handler)
            async def asked(*args: Any, **kwargs: Any) -> Any:
                token = self._running.set(running := _Running())
                failed = True
                try:
                    answer = await handler(*args, **kwargs)
                    failed = _is_refusal(answer)
                    return answer
                finally:
                    self._running.reset(token)
                    self._write(name, running, failed=failed)

            return cast("F", asked)

        @functools.wraps(handler)
        def called(*args: Any, **kwargs: Any) -> Any:
            token = self._running.set(running := _Running())
            failed = True
            try:
                answer = handler(*args, **kwargs)
                failed = _is_refusal(answer)
                return answer
            finally:
                self._running.reset(token)
                self._write(name, running, failed=failed)

        return cast("F", called)

    def _write(self, name: str, running: _Running, *, failed: bool) -> None:
        values = {"handler": name, "failed": failed, "events": running.events, "refused": running.refused}
        line = json.dumps(values, separators=(",", ":"))
        self.lines.append(line)
        if self._file is not None:
            descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, f"{line}\n".encode())  # one write, so that lines of two processes do not mix
            finally:
                os.close(descriptor)


class _Tapped:
    """An emitter with a listener."""

    def __init__(self, emitter: Emitting, running: ContextVar[_Running | None]) -> None:
        self._emitter = emitter
        self._current = running

    def __getattr__(self, name: str) -> Any:
        return getattr(self._emitter, name)

    def emit(self, event: AuditEvent, **more: Any) -> Any:
        """Record, and note that it was."""
        self._note(event)
        return self._emitter.emit(event, **more)

    def emit_and_wait(self, event: AuditEvent, **more: Any) -> Any:
        """The same, when it is safe."""
        running = self._current.get()
        try:
            answer = self._emitter.emit_and_wait(event, **more)
        except Exception:
            if running is not None:
                running.refused = True
            raise
        self._note(event)
        return answer

    def emit_durable(self, event: AuditEvent) -> "asyncio.Future[None]":
        """The same, for loops."""
        running = self._current.get()
        waited: asyncio.Future[None] = asyncio.ensure_future(self._emitter.emit_durable(event))

        def done(future: "asyncio.Future[None]") -> None:
            if running is None:
                return
            if future.cancelled() or future.exception() is not None:
                running.refused = True
            else:
                running.events.append((event.event_type, event.crud or "x"))

        if waited.done():
            done(waited)
        else:
            waited.add_done_callback(done)
        return waited

    def _note(self, event: AuditEvent) -> None:
        running = self._current.get()
        if running is not None:
            running.events.append((event.event_type, event.crud or "x"))


def _is_refusal(answer: Any) -> bool:
    status = getattr(answer, "status_code", getattr(answer, "status", None))
    return isinstance(status, int) and status >= _REFUSAL
