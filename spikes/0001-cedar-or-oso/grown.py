"""Role models of any size, of the same shape in both languages.

Kinds of resources, each with reading, writing, a limit and a rule that overrides, behind one wall between tenants.
"""

from dataclasses import dataclass
from typing import Any

from world import Asked, Tenant, Thing, User, catalogue, registered

from policies.bundle import Bundle
from policies.engine import Engine
from policies.load import build_bundle
from policies.model import Entity, EntityUid, Question
from roles.entities import principal_entities
from roles.model import Principal

PER_KIND, COMMON = 4, 2
NOW = {"__extn": {"fn": "datetime", "arg": "2026-11-23T15:00:00.000Z"}}


@dataclass(frozen=True)
class Model:
    """One size.

    Attributes:
        policies: How many Cedar policies it has.
        kinds: How many types of resource.
        schema: In Cedar.
        cedar: The policies, in Cedar.
        polar: The same in Polar.
        classes: What Oso has to be told of.
    """

    policies: int
    kinds: int
    schema: str
    cedar: str
    polar: str
    classes: tuple[type[Thing], ...]


@dataclass(frozen=True)
class Both:
    """One question, as each takes it."""

    cedar: Question
    oso: tuple[User, Asked, Thing]


def role_names() -> tuple[str, str]:
    """Who reads and who writes: two roles of which the second comes with the first."""
    for role in catalogue().roles:
        if role.includes:
            return role.includes[0], role.name
    raise LookupError("no role includes another")


def model(policies: int) -> Model:
    """A model of so many policies."""
    kinds = max(1, (policies - COMMON) // PER_KIND)
    low, high = role_names()
    schema = ["entity Role; entity User in [Role] = { issuer: String, tenant: String, sub: String };"]
    cedar = [
        '@id("wall") @reason("r") forbid (principal, action, resource) when { principal.tenant != resource.tenant };',
        '@id("support") @reason("r") permit (principal, action, resource) when { principal.sub == "root" };',
    ]
    polar = [
        (
            "allow(actor: User, asked: Asked, resource) if\n"
            "  not forbidden(actor, asked.action, resource, asked.context) and\n"
            "  permitted(actor, asked.action, resource, asked.context);"
        ),
        "permitted(actor: User, action: String, resource, _: Dictionary) if has_permission(actor, action, resource);",
        (
            'permitted(actor: User, _: String, resource, _: Dictionary) if actor.sub = "root" and\n'
            "  actor.tenant = resource.tenant.name;"
        ),
        "actor User {}",
        f'resource Tenant {{ roles = ["{low}", "{high}"]; "{low}" if "{high}"; }}',
        "has_role(user: User, name: String, tenant: Tenant) if user.tenant = tenant.name and name in user.roles;",
    ]
    by_high = f'permit (principal in Role::"{high}"'
    for n in range(kinds):
        schema.append(
            f'entity Kind{n} = {{ tenant: String }};\naction "k{n}:list", "k{n}:read", "k{n}:write" appliesTo {{ '
            f"principal: [User], resource: [Kind{n}], context: {{ now: datetime, cross_tenant: Bool }} }};\n"
            f'action "k{n}:change" appliesTo {{ principal: [User], resource: [Kind{n}], '
            "context: { now: datetime, cross_tenant: Bool, amount: Long } };"
        )
        cedar += [
            (
                f'@id("k{n}-read") @reason("r") permit (principal in Role::"{low}", '
                f'action in [Action::"k{n}:list", Action::"k{n}:read"], resource);'
            ),
            f'@id("k{n}-write") @reason("r") {by_high}, action == Action::"k{n}:write", resource);',
            (
                f'@id("k{n}-change") @reason("r") {by_high}, action == Action::"k{n}:change", resource) '
                "when { context.amount <= 50000 };"
            ),
            (
                f'@id("k{n}-bounds") @reason("r") forbid (principal, action == Action::"k{n}:change", resource) '
                "when { context.amount <= 0 };"
            ),
        ]
        polar += [
            (
                f"resource Kind{n} {{\n"
                f'  permissions = ["k{n}:list", "k{n}:read", "k{n}:write", "k{n}:change"];\n'
                "  relations = { tenant: Tenant };\n"
                f'  "k{n}:list" if "{low}" on "tenant";\n  "k{n}:read" if "{low}" on "tenant";\n'
                f'  "k{n}:write" if "{high}" on "tenant";\n}}'
            ),
            f'has_relation(tenant: Tenant, "tenant", it: Kind{n}) if tenant = it.tenant;',
            (
                f'permitted(user: User, "k{n}:change", it: Kind{n}, context: Dictionary) if\n'
                f'  has_role(user, "{high}", it.tenant) and context.amount <= 50000;'
            ),
            f'forbidden(_: User, "k{n}:change", _: Kind{n}, context: Dictionary) if context.amount <= 0;',
        ]
    classes = tuple(type(f"Kind{n}", (Thing,), {}) for n in range(kinds))
    return Model(kinds * PER_KIND + COMMON, kinds, "\n".join(schema), "\n".join(cedar), "\n".join(polar), classes)


def cedar_bundle(grown: Model) -> Bundle:
    """Its policies, parsed, checked against the schema and frozen."""
    return build_bundle([("grown.cedar", grown.cedar)], ("grown.cedarschema", grown.schema))


def cedar_engine(grown: Model) -> Engine:
    """All that has to be done before the first question."""
    return Engine(cedar_bundle(grown))


def oso_engine(grown: Model) -> Any:
    """The same for Oso."""
    oso = registered(grown.classes)
    oso.load_str(grown.polar)
    return oso


def questions(grown: Model, count: int) -> list[Both]:
    """Questions spread over the kinds: some allowed by role, some by a limit, some denied by each rule there is."""
    low, high = role_names()
    asked = []
    for n in range(count):
        kind = (n * 7919) % grown.kinds
        role = (low, high, high, low)[n % 4]
        verb = ("list", "write", "change", "change")[n % 4]
        amount = (100, 60_000, 0)[n % 3]
        home, of = "acme", "globex" if n % 5 == 0 else "acme"
        context: dict[str, Any] = {"now": NOW, "cross_tenant": False}
        said: dict[str, Any] = {"cross_tenant": False}
        if verb == "change":
            context["amount"] = said["amount"] = amount
        principal = Principal("dev", home, f"u-{n}", (role,))
        resource = Entity(EntityUid(f"Kind{kind}", f"r-{n}"), {"tenant": of})
        action = f"k{kind}:{verb}"
        asked.append(
            Both(
                Question(
                    principal=principal.uid,
                    action=action,
                    resource=resource.uid,
                    context=context,
                    entities=(*principal_entities(principal, catalogue()), resource),
                ),
                (
                    User("dev", home, f"u-{n}", [role]),
                    Asked(action, said),
                    grown.classes[kind](f"r-{n}", Tenant(of)),
                ),
            )
        )
    return asked
