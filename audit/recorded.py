"""The decorator of `AuditProducer.recorded`: each call of a handler is an event, however it ends."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from audit.event import AuditEvent, Resource
from audit.recording import Failure, Recording, failure_of, refusal_in
from audit.statement import Free

Handler = TypeVar("Handler", bound=Callable[..., Any])


class Current:
    """Whose event is being made: a stack, because a handler may call another."""

    def __init__(self) -> None:
        self._record: ContextVar[Recording] = ContextVar("audit_recording")

    def get(self) -> Recording:
        """The innermost.

        Raises:
            LookupError: None is being made.
        """
        return self._record.get()

    @contextmanager
    def set(self, record: Recording) -> Iterator[None]:
        """It is this one within the block."""
        token = self._record.set(record)
        try:
            yield
        finally:
            self._record.reset(token)


class Keeper(Protocol):
    """Who makes the events of calls."""

    def begin(self, said: Free) -> int:
        """Take that a call begins, with what its arguments say; returns nanoseconds since the epoch."""

    def end(self, record: Recording, began_ns: int, said: Free, failure: Failure | None) -> AuditEvent | None:
        """Take how it ended; returns the event if it still has to be made durable."""

    async def keep(self, event: AuditEvent) -> None:
        """Make it durable, in a loop."""

    def keep_blocking(self, event: AuditEvent) -> None:
        """Make it durable, in a thread."""


class Arguments(NamedTuple):
    """Which parameters of a handler say something of its event.

    Attributes:
        resource_type: What it happens to.
        resource_id: The parameter with its id.
        caller: The parameter with the verified context.
    """

    resource_type: str | None
    resource_id: str | None
    caller: str | None

    def check(self, handler: Callable[..., Any], name: str) -> None:
        """See whether a handler has them.

        Raises:
            TypeError: It has not, or is a generator.
        """
        if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
            raise TypeError(f"{name} is a generator: it has answered long before it ends; record within it")
        if self.resource_id is not None and self.resource_type is None:
            raise TypeError(f"{name}: resource_id `{self.resource_id}` without a resource_type")
        parameters = inspect.signature(handler).parameters
        for wanted in (self.resource_id, self.caller):
            if wanted is not None and wanted not in parameters:
                raise TypeError(f"{name} has no parameter `{wanted}`")

    def said(self, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Free:
        """What a call says."""
        found: Free = {}
        values: dict[str, Any] = {}
        if self.resource_id is not None or self.caller is not None:
            bound = signature.bind_partial(*args, **kwargs)
            bound.apply_defaults()
            values = bound.arguments
        if self.resource_type is not None:
            of = values.get(self.resource_id) if self.resource_id is not None else None
            found["resource"] = Resource(self.resource_type, None if of is None else str(of))
        if self.caller is not None:
            found["caller"] = values.get(self.caller)
        return found


class Recorded:
    """The decorator.

    Args:
        keeper: Makes the events.
        current: Where the handler finds its record.
        arguments: What the handler's arguments say.
    """

    def __init__(self, keeper: Keeper, current: Current, arguments: Arguments) -> None:
        self._keeper = keeper
        self._current = current
        self._arguments = arguments

    def __call__(self, handler: Handler) -> Handler:
        """Wrap a handler.

        Raises:
            TypeError: It is a generator, or has no such parameter.
        """
        name = getattr(handler, "__qualname__", repr(handler))
        self._arguments.check(handler, name)
        if inspect.iscoroutinefunction(inspect.unwrap(handler)) or inspect.iscoroutinefunction(handler):
            return cast("Handler", self._awaiting(handler))
        return cast("Handler", self._calling(handler, name))

    def _awaiting(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(handler)

        @functools.wraps(handler)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            said = self._arguments.said(signature, args, kwargs)
            began_ns, record = self._keeper.begin(said), Recording()
            with self._current.set(record):
                try:
                    answer = await handler(*args, **kwargs)
                except BaseException as exc:
                    self._keeper.end(record, began_ns, said, failure_of(exc))
                    raise
            event = self._keeper.end(record, began_ns, said, refusal_in(answer))
            if event is not None:
                await self._keeper.keep(event)
            return answer

        return awaited

    def _calling(self, handler: Callable[..., Any], name: str) -> Callable[..., Any]:
        signature = inspect.signature(handler)

        @functools.wraps(handler)
        def called(*args: Any, **kwargs: Any) -> Any:
            said = self._arguments.said(signature, args, kwargs)
            began_ns, record = self._keeper.begin(said), Recording()
            with self._current.set(record):
                try:
                    answer = _answered(handler(*args, **kwargs), name)
                except BaseException as exc:
                    self._keeper.end(record, began_ns, said, failure_of(exc))
                    raise
            event = self._keeper.end(record, began_ns, said, refusal_in(answer))
            if event is not None:
                self._keeper.keep_blocking(event)
            return answer

        return called


def _answered(answer: Any, name: str) -> Any:
    """What a plain function returned, if that is an answer.

    Raises:
        TypeError: It is a promise of one: nothing has been done yet, and nothing can be recorded of it.
    """
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError(f"{name} returns an awaitable and is no coroutine function: nothing can be recorded of it")
    return answer
