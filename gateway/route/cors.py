"""What pages of other origins may ask of a service, and read of its answers (the Fetch standard, s3.2). Pure.

CORS takes nothing away from anybody but pages: it tells a browser which answers a page may read. So an origin that is
not listed is not refused, it is told nothing. Origins are compared byte by byte (RFC 6454 s5 after s6.2: a browser
sends them in one form); `null`, which every sandboxed page may claim, a list, and a second `Origin` match nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from gateway.errors import GatewayError
from gateway.route.table import Table
from gateway.sources import CorsSource, ServiceSource
from gateway.wire.head import Head

Fields: TypeAlias = tuple[tuple[bytes, bytes], ...]

OWN_EXPOSED: Final = ("X-Trace-Id", "X-Decision-Id", "X-Redacted-Fields", "Retry-After", "WWW-Authenticate")
"""Answer fields that every page may read that may read the answer at all: the gateway's own words."""

_ORIGIN: Final = b"origin"
_METHOD: Final = b"access-control-request-method"
_ASKED: Final = b"access-control-request-headers"
_PREFIX: Final = b"access-control-"
_VARY: Final = (b"vary", b"Origin")
_VARY_PREFLIGHT: Final = (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
_ANY: Final = "*"


class Cors:
    """One service's settings, as the fields they become.

    Attributes:
        credentials: Whether a page may read answers to requests with cookies.
    """

    __slots__ = ("_any", "_exposed", "_granted", "_preflight", "credentials")

    def __init__(self, source: CorsSource) -> None:
        self.credentials = source.credentials
        exposed = ", ".join(dict.fromkeys((*OWN_EXPOSED, *source.expose))).encode()
        after: list[tuple[bytes, bytes]] = []
        if source.credentials:
            after.append((b"access-control-allow-credentials", b"true"))
        headers = [(b"access-control-allow-headers", ", ".join(source.headers).encode())] if source.headers else []
        self._preflight: Fields = (*after, *headers, (b"access-control-max-age", b"%d" % source.max_age_s))
        self._exposed: Fields = (*after, (b"access-control-expose-headers", exposed))
        self._any = _ANY in source.origins
        self._granted = {
            origin.encode(): (b"access-control-allow-origin", origin.encode()) for origin in source.origins
        }

    def grant(self, head: Head) -> tuple[bytes, bytes] | None:
        """The field that lets the page of this request read the answer; None where there is none that may."""
        origins = [value for name, value in head.headers if name == _ORIGIN]
        if len(origins) != 1:
            return None
        return self._granted.get(_ANY.encode() if self._any and origins[0] != b"" else origins[0])

    def answer(self, head: Head) -> Fields:
        """What is added to an answer, whoever gives it."""
        granted = self.grant(head)
        return (_VARY,) if granted is None else (granted, *self._exposed, _VARY)

    def preflight(self, head: Head, methods: Iterable[str]) -> tuple[Fields, bool]:
        """What a preflight is answered with, and whether its page may go on to ask.

        Args:
            head: Of the preflight.
            methods: That the service has routes for under this path.
        """
        granted = self.grant(head)
        if granted is None:
            return (_VARY_PREFLIGHT,), False
        allowed = (b"access-control-allow-methods", ", ".join(methods).encode())
        return (granted, allowed, *self._preflight, _VARY_PREFLIGHT), True


class CorsTable:
    """The settings of every service that has any.

    Attributes:
        services: By the service's name.
    """

    __slots__ = ("services",)

    def __init__(self, services: Iterable[ServiceSource]) -> None:
        self.services: Mapping[str, Cors] = {
            service.name: Cors(service.cors) for service in services if service.cors is not None
        }

    def __bool__(self) -> bool:
        return bool(self.services)

    def refusal(self, head: Head | None, service: str | None) -> Fields:
        """What is added to a refusal, so that the page can read why.

        Args:
            head: Of the request; None where it could not be read.
            service: Whose route it was; None where no route was found. Such an answer is the same for everybody, so any
                service's page may read it.
        """
        if head is None:
            return ()
        if service is not None:
            cors = self.services.get(service)
            return cors.answer(head) if cors is not None else ()
        granting = [cors for cors in self.services.values() if cors.grant(head) is not None]
        if not granting:
            return (_VARY,)
        return max(granting, key=lambda cors: cors.credentials).answer(head)


def is_preflight(head: Head) -> bool:
    """Whether a browser asks on behalf of a page (the Fetch standard, s3.2.2)."""
    names = [name for name, _ in head.headers]
    return head.method == b"OPTIONS" and _ORIGIN in names and _METHOD in names


def asked_method(head: Head) -> str | None:
    """The one method a preflight asks about; None where there are two, or two lists of fields."""
    methods = head.get_all(_METHOD)
    if len(methods) != 1 or len(head.get_all(_ASKED)) > 1:
        return None
    return methods[0].decode("latin-1")


def methods_for(table: Table, service: str, segments: tuple[str, ...]) -> list[str]:
    """The methods that a service has routes for under a path, HEAD with GET."""
    found: list[str] = []
    for method in table.methods(segments):
        try:
            match = table.match(method, segments)
        except GatewayError:
            continue
        if match.route.service == service:
            found.append(method)
    return found


def without_cors(headers: Fields) -> Fields:
    """An answer's fields without the service's own: two voices about one thing are one too many."""
    return tuple(pair for pair in headers if not pair[0].replace(b"_", b"-").startswith(_PREFIX))
