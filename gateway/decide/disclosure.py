"""Which classes of fields a caller is not shown in an answer: Cedar's word for each class, for every request. Pure."""

from collections.abc import Callable
from typing import Final

import msgspec

from gateway.errors import BadRequest
from gateway.model import Route, Sensitive
from gateway.wire.head import Head
from policies.model import Answer, PolicyError, Question

_COMMON: Final = ("now", "cross_tenant")
_READS: Final = frozenset({b"GET", b"HEAD"})
_PRECONDITIONS: Final = frozenset({b"if-match", b"if-none-match", b"if-unmodified-since"})


def withheld(
    route: Route, question: Question, decide: Callable[[Question], Answer]
) -> tuple[tuple[Sensitive, ...], tuple[PolicyError, ...]]:
    """The fields of a route that the caller of an allowed request may not see.

    Args:
        route: Names the fields by class.
        question: As the request was allowed; each class is asked about the same resource.
        decide: Asks the policies.

    Returns:
        Those fields, and the policies that could not be evaluated on the way.

    Raises:
        NoDecision: Whatever `decide` raises: who is not judged sees nothing.
    """
    context = {name: question.context[name] for name in _COMMON}
    hidden: list[Sensitive] = []
    errors: list[PolicyError] = []
    for item in route.redact:
        answer = decide(msgspec.structs.replace(question, action=item.data_class.action, context=context))
        errors += answer.errors
        if not answer.allows:
            hidden.append(item)
    return tuple(hidden), tuple(errors)


def check_conditions(head: Head) -> None:
    """Refuse a change that hangs on a condition, where the service may not be sent conditions.

    A read without its condition is answered whole, which its caller can take. A change without it would be made when
    its caller said it must not; with it, the service's yes or no would tell whether a guess at a hidden field is right.

    Raises:
        BadRequest: It has one.
    """
    if head.method in _READS:
        return
    if any(name.replace(b"_", b"-") in _PRECONDITIONS for name, _ in head.headers):
        raise BadRequest("redaction: a change on a condition")
