"""One case of a list, as people write it, in; a `Case` out. Pure.

    - name: a Manager does not give more than half
      roles: [Manager]
      action: order:discount
      context: {percent: 51}
      expect: deny
      policies: []
      missing_role: Admin

Who asks is described by roles, and the gateway's entities are made of it (`roles.scenario`); or it is given as the
entity that it is, `principal: {type, id, attrs, parents}`, for policies with a schema of their own.
"""

from typing import Final

import msgspec

from policies.bundle import Bundle
from policies.errors import UnknownAction
from policies.model import Effect, Entity, EntityUid, Json, Question
from policies.schema_reader import ActionType
from roles.catalogue import Catalogue
from roles.entities import principal_entities
from roles.model import Principal
from roles.scenario import Scenario, Who, caller, filled
from roles.tables.case import Case
from roles.tables.context import misfit
from roles.tables.document import Node, Refused
from roles.tables.fields import Fields, entities, nearest, uid

KEYS: Final = (
    *("name", "roles", "principal", "action", "resource", "context", "entities"),
    *("expect", "policies", "missing_role", "errors"),
)
"""What a case may say; docs/guides/decision-tables.md has what each means."""
_ENTITY: Final = ("type", "id", "attrs", "parents")
_WHO: Final = ("tenant", "sub", "issuer")
_WHAT: Final = ("type", "id", "tenant", "attrs", "parents")


def read_case(file: str, node: Node, bundle: Bundle, catalogue: Catalogue) -> Case:
    """Read one case.

    Raises:
        Refused: It is not one, or is about an action, a role or a type of resource that is not there.
    """
    fields = Fields(file, node, "a case", KEYS)
    name = fields.text("name")
    action = action_of(fields, bundle)
    asked, principal = _asked(fields, action, bundle, catalogue)
    expect = fields.effect("expect")
    return Case(
        name=name,
        file=file,
        line=node.line,
        action=action,
        question=asked,
        caller=principal,
        expect=expect,
        policies=frozenset(fields.texts("policies")) if "policies" in fields else None,
        missing_role=_missing_role(fields, expect, principal, catalogue),
        errors=frozenset(fields.texts("errors")),
    )


def action_of(fields: Fields, bundle: Bundle) -> EntityUid:
    """The action of a case: its id, or `{type, id}` where the schema has a namespace.

    Raises:
        Refused: The schema does not declare it.
    """
    node = fields.node("action")
    found = uid(fields.file, node) if isinstance(node.value, dict) else EntityUid("Action", fields.text("action"))
    return known_action(fields.file, node, found, bundle)


def known_action(file: str, node: Node, action: EntityUid, bundle: Bundle) -> EntityUid:
    """An action that the schema declares.

    Raises:
        Refused: It does not.
    """
    if action not in bundle.schema.actions:
        raise Refused(file, node, f"{UnknownAction(action.id)}{nearest(action.id, bundle.actions)}")
    return action


def known_roles(file: str, node: Node, names: tuple[str, ...], catalogue: Catalogue) -> tuple[str, ...]:
    """Roles of the catalogue.

    Raises:
        Refused: One is not.
    """
    for name in names:
        if catalogue.get(name) is None:
            raise Refused(file, node, f"there is no role `{name}`{nearest(name, catalogue.names)}")
    return names


def _asked(
    fields: Fields, action: EntityUid, bundle: Bundle, catalogue: Catalogue
) -> tuple[Question, Principal | None]:
    """The question, and whose it is where that is known by roles."""
    given = fields.members("principal")
    about = bundle.schema.actions[action]
    if "type" in given or "id" in given:
        if "roles" in fields:
            fields.refuse("roles", "a principal that is given as an entity has its roles among its `parents`")
        said = Fields(fields.file, fields.node("principal"), "a principal", _ENTITY)
        who = Entity(EntityUid(said.text("type"), said.text("id")), said.json("attrs"), _parents(said))
        resource, described = _resource(fields, about, None)
        context = context_of(fields, about)
        principal_made = _Made(who, described="attrs" in said or "parents" in said)
        return Question(who.uid, action.id, resource, context, _entities([principal_made, described], fields)), None
    names = known_roles(fields.file, fields.node("roles"), fields.texts("roles"), catalogue)
    principal = caller(Scenario(action=action.id, roles=names, principal=_who(fields)), catalogue)
    resource, described = _resource(fields, about, principal.tenant_id)
    made = [*(_Made(entity, described=True) for entity in principal_entities(principal, catalogue)), described]
    context = context_of(fields, about)
    return Question(principal.uid, action.id, resource, context, _entities(made, fields)), principal


def context_of(fields: Fields, about: ActionType) -> dict[str, Json]:
    """The context, with what the gateway would add.

    Raises:
        Refused: It is not one of the action's.
    """
    context = filled(about.context, fields.json("context"))
    if reason := misfit(context, about.context):
        fields.refuse("context", reason)
    return context


def _who(fields: Fields) -> Who:
    if "principal" not in fields:
        return Who()
    said = Fields(fields.file, fields.node("principal"), "a principal", _WHO)
    return Who(**{key: said.text(key) for key in _WHO if key in said})


class _Made(msgspec.Struct, frozen=True):
    """An entity made of the case's own words; one that nothing was said of gives way to one of `entities`."""

    entity: Entity
    described: bool


def _resource(fields: Fields, action: ActionType, home: str | None) -> tuple[EntityUid, _Made]:
    """What is asked about.

    Args:
        fields: The case.
        action: What the action is about.
        home: The tenant it has where nothing is said; None where it has nothing then.
    """
    types = action.resource_types
    said = Fields(fields.file, fields.node("resource"), "a resource", _WHAT) if "resource" in fields else None
    kind = said.optional_text("type") if said else None
    if kind is None and len(types) != 1:
        fields.refuse("resource", f"the action is about {', '.join(types)}: say which")
    if kind is not None and kind not in types:
        fields.refuse("resource", f"the action is not about a `{kind}`; it is about {', '.join(types)}")
    resource = EntityUid(kind or types[0], said.text("id", "*") if said else "*")
    if said is None:
        return resource, _Made(Entity(resource, _tenant(home)), described=False)
    if "tenant" in said and "attrs" in said:
        fields.refuse("resource", "a resource has a `tenant` or `attrs`, not both")
    attrs = said.json("attrs") if "attrs" in said else _tenant(said.optional_text("tenant") or home)
    described = any(key in said for key in ("tenant", "attrs", "parents"))
    return resource, _Made(Entity(resource, attrs, _parents(said)), described=described)


def _tenant(name: str | None) -> dict[str, Json]:
    return {} if name is None else {"tenant": name}


def _parents(fields: Fields) -> tuple[EntityUid, ...]:
    return tuple(uid(fields.file, node) for node in fields.nodes("parents"))


def _entities(made: list[_Made], fields: Fields) -> tuple[Entity, ...]:
    """The entities of the case and those beside it; one that is described twice could not be told apart."""
    nodes = fields.nodes("entities")
    extra = entities(fields.file, nodes)
    described = {each.entity.uid for each in made if each.described}
    for node, entity in zip(nodes, extra, strict=True):
        if entity.uid in described:
            name = f'{entity.uid.type}::"{entity.uid.id}"'
            raise Refused(fields.file, node, f"`{name}` is described twice, here and as the principal or resource")
    beside = {entity.uid for entity in extra}
    kept = (each.entity for each in made if each.entity.uid not in beside)
    return (*(entity for entity in kept if entity.attrs or entity.parents), *extra)


def _missing_role(
    fields: Fields, expect: Effect, principal: Principal | None, catalogue: Catalogue
) -> str | msgspec.UnsetType | None:
    """The role that a refusal names; `null` says that it names none."""
    if "missing_role" not in fields:
        return msgspec.UNSET
    node = fields.node("missing_role")
    name = None if node.value is None else fields.text("missing_role")
    if expect is Effect.ALLOW:
        fields.refuse("missing_role", "an allow misses no role")
    if principal is None:
        fields.refuse("missing_role", "a principal that is given as an entity has no roles of the catalogue")
    if name is not None:
        known_roles(fields.file, node, (name,), catalogue)
        if name not in catalogue.offered:
            fields.refuse("missing_role", f"no refusal names `{name}`; it may name {', '.join(catalogue.offered)}")
    return name
