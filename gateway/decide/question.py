"""Route, identity and extracted values in, a `Question` out. Pure."""

import re
from collections.abc import Mapping
from typing import Final

from gateway.model import Route
from policies.model import Entity, EntityUid, Json, Question
from roles.model import Principal

_PARAM: Final = re.compile(r"\{([a-z_][a-z0-9_]*)\}")


def ask(
    route: Route,
    params: Mapping[str, str],
    principal: Principal,
    principal_entities: tuple[Entity, ...],
    tenant_id: str,
    context: Mapping[str, Json],
    now: str,
    *,
    cross_tenant: bool,
) -> Question:
    """Build the question a request asks.

    Args:
        route: Names action, resource type and the resource id's template.
        params: What the path's parameters stand for.
        principal: The caller.
        principal_entities: The caller as Cedar sees them, roles included.
        tenant_id: The tenant the resource is taken to belong to.
        context: What the route extracted, already of the right types.
        now: The request's time, RFC 3339 in UTC with microseconds.
        cross_tenant: The setting `tenancy.cross_tenant`.

    Returns:
        A question whose context holds `now` (Cedar's datetime: milliseconds) and `cross_tenant` beside `context`.
    """
    resource = EntityUid(route.resource_type, resource_id(route, params))
    entity = Entity(resource, {"tenant": tenant_id})
    full: dict[str, Json] = {
        **context,
        "now": {"__extn": {"fn": "datetime", "arg": now[:23] + "Z"}},
        "cross_tenant": cross_tenant,
    }
    return Question(principal.uid, route.action, resource, full, (*principal_entities, entity))


def resource_id(route: Route, params: Mapping[str, str]) -> str:
    """The id a route gives its resource in one request."""
    if "{" not in route.resource_id:
        return route.resource_id
    return _PARAM.sub(lambda found: params[found[1]], route.resource_id)
