"""A described request in, the question it asks out: how people write down who wants to do what. Pure.

Decision tables, `policy explain` and the role matrix say a role, an action and a few values; everything else that Cedar
must be given is filled in here as the gateway would (`gateway.decide.question`).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from policies.bundle import Bundle
from policies.model import Entity, EntityUid, Json, Question
from policies.schema_reader import ContextAttribute
from policies.typed import typed
from roles.catalogue import Catalogue
from roles.entities import principal_entities
from roles.model import NO_TENANT, PLATFORM_TENANT, Principal

NOON: Final = "2026-01-15T12:00:00.000Z"
"""The time of a request that does not say when: fixed, so that a table says the same tomorrow."""

_ANYTHING: Final = "*"
_DEFAULT_TENANT: Final = "acme"


class ScenarioError(ValueError):
    """A description that no question can be made of; the message says what and what there is instead."""


class Who(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The caller.

    Attributes:
        tenant: Its tenant; where not given `platform` for a role that crosses tenants, `-` for a caller without a
            credential, `acme` for anybody else.
        sub: The issuer's name for it.
        issuer: The configured name of the issuer.
    """

    tenant: str | None = None
    sub: str = "somebody"
    issuer: str = "dev"


class What(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it wants to act on.

    Attributes:
        type: The resource's type; not needed where the action has only one.
        id: Its id; `*` for the whole collection.
        tenant: Whose it is; the caller's where not given.
    """

    type: str | None = None
    id: str = _ANYTHING
    tenant: str | None = None


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A described request.

    Attributes:
        action: The id of a Cedar `Action`.
        roles: The caller's, by our names.
        principal: Who asks.
        resource: To what.
        context: The action's context; `now` and `cross_tenant` are filled in. Times, addresses and decimals are
            written as plain text.
    """

    action: str
    roles: tuple[str, ...] = ()
    principal: Who = Who()
    resource: What = What()
    context: Mapping[str, Json] = MappingProxyType({})


def caller(scenario: Scenario, catalogue: Catalogue) -> Principal:
    """Who asks.

    Raises:
        ScenarioError: A role is not in the catalogue.
    """
    unknown = [name for name in scenario.roles if catalogue.get(name) is None]
    if unknown:
        raise ScenarioError(f"there is no role `{unknown[0]}`; there are {', '.join(catalogue.names)}")
    tenant = scenario.principal.tenant or _home(scenario.roles, catalogue)
    ordered = tuple(name for name in catalogue.names if name in scenario.roles)
    return Principal(scenario.principal.issuer, tenant, scenario.principal.sub, ordered)


def question(scenario: Scenario, bundle: Bundle, catalogue: Catalogue, now: str = NOON) -> Question:
    """The question a described request asks.

    Args:
        scenario: The description.
        bundle: Says which resource types an action has, and what its context holds.
        catalogue: Says which roles come with which.
        now: The request's time where the description does not say: RFC 3339, UTC, milliseconds.

    Raises:
        UnknownAction: The schema does not declare the action.
        ScenarioError: A role is unknown, or the resource's type is not given and the action has several.
    """
    principal = caller(scenario, catalogue)
    types = bundle.resource_types(scenario.action)
    if scenario.resource.type is None and len(types) != 1:
        raise ScenarioError(f"`{scenario.action}` is about {', '.join(types)}: say which")
    resource = EntityUid(scenario.resource.type or types[0], scenario.resource.id)
    tenant = scenario.resource.tenant or principal.tenant_id
    context = filled(bundle.context_type(scenario.action), scenario.context, now)
    entities = (*principal_entities(principal, catalogue), Entity(resource, {"tenant": tenant}))
    return Question(principal.uid, scenario.action, resource, context, entities)


def filled(declared: Mapping[str, ContextAttribute], given: Mapping[str, Json], now: str = NOON) -> dict[str, Json]:
    """A context as Cedar takes it.

    Args:
        declared: What the action's context holds.
        given: What the description says of it.
        now: As `question` takes it.

    Returns:
        What is given, and what the gateway would add where the action declares it.
    """
    whole: dict[str, Json] = {"now": now, "cross_tenant": False, **given}
    return {
        name: typed(value, declared[name].type if name in declared else "")
        for name, value in whole.items()
        if name in declared or name in given
    }


def _home(roles: tuple[str, ...], catalogue: Catalogue) -> str:
    """The tenant in which somebody with these roles lives unless it is said."""
    held = [role for role in map(catalogue.get, roles) if role is not None]
    if any(role.cross_tenant for role in held):
        return PLATFORM_TENANT
    return NO_TENANT if any(role.anonymous for role in held) else _DEFAULT_TENANT
