"""What the endpoints depend on."""

from contextlib import asynccontextmanager, contextmanager
from functools import wraps

from audit.event import Actor, Outcome
from audit.producer import AuditProducer

WHO = {"tenant_id": "t", "actor": Actor(type="user", id="u"), "action": "x:write"}
_audit = AuditProducer(None, service="shop")


def get_audit() -> AuditProducer:
    return _audit


def get_session():
    from sqlalchemy.orm import Session

    with Session() as session:
        yield session


def recorded_request():
    """A dependency that records the request whatever becomes of it."""
    try:
        yield
    except BaseException:
        _audit.emit("shop.request.made", outcome=Outcome.FAILURE, **WHO)
        raise
    _audit.emit("shop.request.made", **WHO)


def recorded_success():
    """A dependency that forgets failures."""
    yield
    _audit.emit("shop.request.made", **WHO)


@contextmanager
def trail(name):
    """Both ends."""
    with _audit.recording(name, **WHO):
        yield


@asynccontextmanager
async def half_trail(name):
    """The good end only."""
    yield
    _audit.emit(name, **WHO)


@asynccontextmanager
async def quiet_trail(name):
    """Both ends, and the exception goes no further."""
    try:
        yield
        _audit.emit(name, **WHO)
    except Exception:
        _audit.emit(name, outcome=Outcome.FAILURE, **WHO)


class Trail:
    """Both ends, as a class."""

    def __enter__(self):
        return self

    def __exit__(self, kind, exc, trace):
        _audit.emit("shop.thing.done", **WHO)


class LeakyTrail:
    """Only where nothing was raised."""

    def __enter__(self):
        return self

    def __exit__(self, kind, exc, trace):
        if exc is None:
            _audit.emit("shop.thing.done", **WHO)


def audited(name):
    """A decorator of our own that records both ends."""

    def outer(endpoint):
        @wraps(endpoint)
        async def inner(*args, **kwargs):
            with _audit.recording(name, **WHO):
                return await endpoint(*args, **kwargs)

        return inner

    return outer


def audited_after(endpoint):
    """A decorator that records what went well."""

    @wraps(endpoint)
    def inner(*args, **kwargs):
        result = endpoint(*args, **kwargs)
        _audit.emit("shop.thing.done", **WHO)
        return result

    return inner


def timed(endpoint):
    """A decorator that has nothing to do with the audit."""

    @wraps(endpoint)
    def inner(*args, **kwargs):
        return endpoint(*args, **kwargs)

    return inner


def admins_only(endpoint):
    """Refuses before the endpoint is asked."""

    @wraps(endpoint)
    async def inner(request, *args, **kwargs):
        if not request.user.is_admin:
            raise PermissionError
        return await endpoint(request, *args, **kwargs)

    return inner


def note(name):
    _audit.emit(name, **WHO)


def one(name):
    two(name)


def two(name):
    three(name)


def three(name):
    note(name)
