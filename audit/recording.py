"""What a block of code may still say about the event it is recorded as, and how its failure is told. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from audit.event import Change, Outcome, Resource, Severity
from audit.registry.typed import TypedEvent
from audit.severity import RANK

_REFUSED, _FAILED, _BEYOND = 400, 500, 600
_CODE_CHARS: Final = 64

ERROR: Final = "error"
STATUS: Final = "status"
CODE: Final = "code"
INSTEAD_OF: Final = "instead_of"
TOLD_OF_FAILURE: Final = (ERROR, STATUS, CODE, INSTEAD_OF)
"""What the details of a failure hold besides the event's own: the exception's class, the answer's status, its code; and
the id of the record that says it was done, where it then was not."""


@dataclass(slots=True)
class Recording:
    """What a block may still say about the event it is recorded as.

    Attributes:
        event: The event with its fields, where only its type was known before.
        changes: What changed.
        details: Small, flat, free of secrets.
        outcome: How it ended, if not well.
        resource: To what.
        resource_id: To what, where the event's type says of which type it is.
        crud: One of c r u d x.
    """

    event: TypedEvent | None = None
    changes: tuple[Change, ...] = ()
    details: dict[str, Any] | None = None
    outcome: Outcome = Outcome.SUCCESS
    resource: Resource | None = None
    resource_id: str | None = None
    crud: str | None = None


@dataclass(slots=True)
class Changing(Recording):
    """A change that is staged in the block, and made when its record is safe."""

    _steps: list[Callable[[], object]] = field(default_factory=list)

    def then(self, step: Callable[[], object]) -> None:
        """Do this once the record is safe: at once, without waiting for anything."""
        self._steps.append(step)

    def make(self) -> None:
        """Do all that is staged."""
        for step in self._steps:
            step()


class Failure(NamedTuple):
    """How a failure is told.

    Attributes:
        details: A class's name, a status, a fixed word; never a message, which carries values.
        severity: `notice` for a refusal (4xx), `error` for anything else.
    """

    details: dict[str, Any]
    severity: Severity


def failure_of(exc: BaseException) -> Failure:
    """An exception, told. One that stands for an answer (Starlette's, Flask's, ours) says its status."""
    details: dict[str, Any] = {ERROR: type(exc).__name__}
    status = next((found for name in ("status_code", "status", "code") if (found := _status(exc, name))), None)
    if status is not None:
        details[STATUS] = status
    code = getattr(exc, "code", None)
    if isinstance(code, str) and code.isidentifier() and code.isascii() and len(code) <= _CODE_CHARS:
        details[CODE] = code
    return Failure(details, _severity(status))


def refusal_in(answer: object) -> Failure | None:
    """What a handler returned, if that is a refusal: a response, or Flask's pair, with a status of 400 or more."""
    status = _status(answer, "status_code") or _status(answer, "status")
    if status is None and isinstance(answer, tuple) and len(answer) in {2, 3}:
        status = _within(answer[1]) or _status(answer[0], "status_code")
    return None if status is None else Failure({STATUS: status}, _severity(status))


def graver(one: Severity | str, other: Severity) -> Severity | str:
    """The graver of two; a foreign word only where it is ours too."""
    if not isinstance(one, Severity):
        return other
    return max(one, other, key=lambda each: RANK[each])


def _status(of: object, name: str) -> int | None:
    return _within(getattr(of, name, None))


def _within(status: object) -> int | None:
    if isinstance(status, int) and not isinstance(status, bool) and _REFUSED <= status < _BEYOND:
        return int(status)
    return None


def _severity(status: int | None) -> Severity:
    return Severity.NOTICE if status is not None and status < _FAILED else Severity.ERROR
