"""What an endpoint has in hand: who asks, their tenant's data, and how a change is made and recorded.

In comes a request whose security context `roles.security_context` has verified; out goes a `Desk`. The tenant is the
context's and nothing else's: no endpoint reads one from a path, a query, a header or a body. Called by FastAPI for
every endpoint, through `AtDesk`.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, TypeVar, cast

from fastapi import Depends, Request

from audit.errors import SpoolUnavailable
from audit.event import Outcome, Resource, Severity
from audit.producer import AuditProducer
from audit.registry.typed import TypedEvent
from roles.security_context import RequestContext
from services.change import Change
from services.clock import Clock
from services.errors import ServiceError, Unrecorded
from services.onward import Onward
from services.store import Store, TenantData

E = TypeVar("E", bound=TypedEvent)


@dataclass(frozen=True, slots=True)
class Backend:
    """What one service stands on.

    Attributes:
        name: The service's name: the audience of the contexts it takes.
        store: The data, shared by all seven.
        audit: Where its domain events go.
        clock: What time it is.
        onward: How it calls other services; none where it calls none.
        heartbeat_s: How long a stream may be silent before it shows that it lives.
    """

    name: str
    store: Store
    audit: AuditProducer
    clock: Clock
    onward: Onward | None = None
    heartbeat_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Desk:
    """One request's place to work at.

    Attributes:
        caller: Who asks, as the gateway vouched for it.
        data: The caller's tenant's data; there is no way from here to another's.
        now: When the request was taken up.
        backend: What the service stands on.
    """

    caller: RequestContext
    data: TenantData
    now: datetime
    backend: Backend

    @asynccontextmanager
    async def changing(self, event: type[E], resource_id: str | None = None) -> AsyncIterator[Change[E]]:
        """Judge, record and make one change, with nobody else changing the tenant's data meanwhile.

        The block judges and stages. When it ends, the record is made durable and only then the change is made, so
        that a change nobody can account for never happens. When it raises, nothing is changed, and that is recorded as
        a failure with the code the caller is told; buffered, so that the disk's trouble cannot hide the caller's.

        Args:
            event: What happens, `OrderCreated`: names the past fact, the Cedar action that the gateway decided and the
                type of what is changed.
            resource_id: Its id; by default that of the first record the change touches.

        Raises:
            Unrecorded: Nothing was changed.
        """
        async with self.data.lock:
            change = Change[E]()
            try:
                async with self.backend.audit.changing(event, caller=self.caller) as record:
                    record.resource = _resource(event, resource_id)
                    try:
                        yield change
                    except ServiceError:
                        raise
                    except BaseException:
                        change.details["code"] = ServiceError.code
                        raise
                    finally:
                        record.crud, record.details = change.crud, {**change.details}
                    record.resource = _resource(event, resource_id or change.subject)
                    record.changes = tuple(change.values)
                    record.then(change.make)
            except SpoolUnavailable as exc:
                raise Unrecorded from exc

    @contextmanager
    def preparing(self, event: type[TypedEvent], resource_id: str | None = None) -> Iterator[None]:
        """Record what goes wrong before a change can be judged: while a feed is read, while another service is asked.

        The block holds no lock. When it ends well nothing is recorded yet: `changing` comes next, or was within.
        """
        try:
            yield
        except BaseException as exc:
            refused = isinstance(exc, ServiceError)
            self.backend.audit.emit(
                event.event_type,
                action=event.action or "",
                caller=self.caller,
                resource=_resource(event, resource_id),
                crud=event.crud,
                outcome=Outcome.FAILURE,
                details={"code": exc.code if isinstance(exc, ServiceError) else ServiceError.code},
                severity=Severity.NOTICE if refused else Severity.ERROR,
            )
            raise

    async def noting(self, event: TypedEvent, resource_id: str) -> None:
        """Record something that changes nothing and still has to be answered for, before it happens.

        Raises:
            Unrecorded: It must not happen.
        """
        try:
            await self.backend.audit.emit_durable(event, caller=self.caller, resource_id=resource_id, crud="r")
        except SpoolUnavailable as exc:
            raise Unrecorded from exc


def _resource(event: type[TypedEvent], resource_id: str | None) -> Resource | None:
    return Resource(type=event.resource_type, id=resource_id) if event.resource_type is not None else None


def at_desk(request: Request) -> Desk:
    """The desk of this request. Runs after the extractor, which has left the caller at the request."""
    backend = cast("Backend", request.app.state.backend)
    caller = cast("RequestContext", request.state.context)
    return Desk(caller, backend.store.tenant(caller.tenant_id), backend.clock(), backend)


AtDesk = Annotated[Desk, Depends(at_desk)]
