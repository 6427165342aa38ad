"""A described request as JSON in, the question and whose it is out. Pure.

The form is `roles.scenario.Scenario` with nothing else in it: what people give `policy explain` and `POST /explain`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from policies.bundle import Bundle
from policies.errors import UnknownAction
from policies.model import Json, Question
from roles.catalogue import Catalogue
from roles.model import NO_TENANT, Principal, is_tenant
from roles.scenario import Scenario, ScenarioError, caller, question


class _Described(Scenario, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly the fields of `Scenario`."""

    context: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it


def described(
    request: Json, bundle: Bundle, catalogue: Catalogue, now: str, *, cross_tenant: bool
) -> tuple[Question, Principal]:
    """Read a described request.

    Args:
        request: A JSON object: `action`, `roles` (ours, or other systems' names for them), `principal`, `resource`,
            `context`.
        bundle: Says which resource types an action has, and what its context holds.
        catalogue: Says which roles there are.
        now: The request's time where it does not say: RFC 3339, UTC, milliseconds.
        cross_tenant: The setting, where the request's context does not say.

    Raises:
        ScenarioError: It is not such an object, or names what is not there; the message says what there is.
    """
    try:
        scenario = msgspec.convert(request, _Described)
    except msgspec.ValidationError as exc:
        raise ScenarioError(f"request: {_lower(str(exc))}") from None
    for tenant in (scenario.principal.tenant, scenario.resource.tenant):
        if tenant is not None and tenant != NO_TENANT and not is_tenant(tenant):
            raise ScenarioError(f"`{tenant}` is not a tenant's name")
    given: Mapping[str, Json] = {"cross_tenant": cross_tenant, **scenario.context}
    try:
        declared = bundle.context_type(scenario.action)
        types = bundle.resource_types(scenario.action)
    except UnknownAction as exc:
        raise ScenarioError(str(exc)) from None
    if scenario.resource.type is not None and scenario.resource.type not in types:
        raise ScenarioError(f"`{scenario.action}` is about {', '.join(types)}, not `{scenario.resource.type}`")
    for name, attribute in declared.items():
        if attribute.required and name not in {"now", *given}:
            raise ScenarioError(f"`{scenario.action}` needs `{name}` ({attribute.type}) in its context")
    full = msgspec.structs.replace(
        scenario,
        roles=tuple(catalogue.foreign.get(name, name) for name in scenario.roles),
        context={name: value for name, value in given.items() if name in declared or name in scenario.context},
    )
    return question(full, bundle, catalogue, now), caller(full, catalogue)


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
