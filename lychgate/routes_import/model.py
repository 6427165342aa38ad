"""What an import finds out: routes to write, and questions for people."""

from enum import StrEnum
from typing import Final

import msgspec

from gateway.model import Route

UNDECIDED: Final = "undecided"
"""The action of a route that waits for a decision: in no schema, so the gateway refuses the route's requests."""


class About(StrEnum):
    """What a question is about."""

    ACTION = "action"
    ANONYMOUS = "anonymous"
    ANSWER = "answer"
    BODY = "body"
    CONTEXT = "context"
    DEPRECATED = "deprecated"
    LEFT = "left"
    METHOD = "method"
    NO_ENDPOINT = "no-endpoint"
    OPERATIONS = "operations"
    OVERLAP = "overlap"
    PATH = "path"
    READS = "reads"
    REDACT = "redact"
    RESOURCE = "resource"
    SERVER = "server"
    SERVICE = "service"
    TENANT = "tenant"
    WEBSOCKET = "websocket"


class Question(msgspec.Struct, frozen=True):
    """Something only a person can decide.

    Attributes:
        where: `GET /orders/{order_id}`, a place in a file, or the document.
        about: What it is about.
        text: The question, with what was written meanwhile.
        closed: Whether the endpoint is out of reach until it is decided. Where not, the narrower choice was written.
    """

    where: str
    about: About
    text: str
    closed: bool


class Taken(msgspec.Struct, frozen=True):
    """Where a value of the context is read.

    Attributes:
        source: `path`, `query`, `header` or `body`.
        key: The name there, or the pointer into the body.
        optional: Whether a request may lack it.
    """

    source: str
    key: str
    optional: bool = False


class Proposal(msgspec.Struct, kw_only=True):
    """One route, as it would be written.

    Attributes:
        id: Of the route.
        method: GET, POST, PUT, PATCH or DELETE.
        template: The path, parameters named as routes name them.
        segments: Of it; None where a parameter stands.
        service: Where it leads.
        action: What its action would be called.
        resource_type: The Cedar type, as far as it can be told.
        resource_id: Text with parameters in it.
        place: The endpoint's number in the document, from 0.
        tenant_param: The parameter that names a tenant.
        tenant_pointers: Where the body names one.
        context: What of the request Cedar is told.
        changes: Where the method does not say it.
        redact: Pointers to fields of the answer, by class.
        questions: What is open about it.
    """

    id: str
    method: str
    template: str
    segments: tuple[str | None, ...]
    service: str
    action: str
    resource_type: str
    resource_id: str
    place: int
    tenant_param: str | None = None
    tenant_pointers: tuple[str, ...] = ()
    context: dict[str, Taken] = {}
    changes: bool | None = None
    redact: dict[str, tuple[str, ...]] = {}
    questions: list[Question] = []

    @property
    def where(self) -> str:
        """Method and path."""
        return f"{self.method} {self.template}"

    @property
    def closed(self) -> bool:
        """Whether more is open than that the schema lacks the action, which closes a route by itself."""
        return any(it.closed and it.about is not About.ACTION for it in self.questions)

    @property
    def written_action(self) -> str:
        """The action that stands in the file."""
        return UNDECIDED if self.closed else self.action

    def ask(self, about: About, text: str, *, closed: bool) -> None:
        """Have a person decide something."""
        self.questions.append(Question(self.where, about, text, closed))

    def route(self) -> Route:
        """As the gateway compares routes."""
        return Route(
            id=self.id,
            method=self.method,
            template=self.template,
            segments=self.segments,
            params=(),
            service=self.service,
            action=self.written_action,
            resource_type=self.resource_type,
            resource_id=self.resource_id,
        )
