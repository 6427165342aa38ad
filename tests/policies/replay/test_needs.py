"""What policies look at, and whether a record has it."""

import pytest

from policies.bundle import Bundle
from policies.load import build_bundle
from policies.model import Entity, EntityUid, Json, Question
from policies.replay.needs import needs, unrecorded

SCHEMA = """
entity Role in [Role];
entity Team { lead: User, size: Long };
entity User in [Role, Team] { tenant: String, manager?: User, team?: Team };
entity Order in [Order] { tenant: String, owner: User, address?: { city?: String } } tags String;
action "read" appliesTo {
  principal: [User], resource: [Order],
  context: { percent?: Long, who?: User, card?: { kind?: String } }
};
"""
USER, ORDER, OTHER = EntityUid("User", "u"), EntityUid("Order", "o"), {"__entity": {"type": "User", "id": "x"}}
SELF: Json = {"__entity": {"type": "User", "id": "u"}}


def bundle(condition: str, scope: str = "principal, action, resource") -> Bundle:
    """One policy."""
    return build_bundle(
        [("a.cedar", f'@id("a") @reason("r") permit ({scope}) when {{ {condition} }};')], ("s.cedarschema", SCHEMA)
    )


def question(
    context: dict[str, Json] | None = None,
    user: dict[str, Json] | None = None,
    order: dict[str, Json] | None = None,
    roles: tuple[EntityUid, ...] = (EntityUid("Role", "r"),),
) -> Question:
    """As recorded: principal and resource."""
    entities = (
        Entity(USER, {"tenant": "t", **(user or {})}, roles),
        Entity(ORDER, {"tenant": "t", "owner": SELF, **(order or {})}),
    )
    return Question(USER, "read", ORDER, context or {}, entities)


def missing(
    condition: str, asked: Question, *, same: bool, absent: frozenset[str] = frozenset(), **scope: str
) -> str | None:
    """What is not recorded."""
    found = bundle(condition, **scope)
    wanted = needs(found, EntityUid("Action", "read"))
    declared = frozenset(found.context_type("read"))
    reason = unrecorded(wanted, asked, same_schema=same, absent=absent, declared=declared)
    if same and wanted.near:
        assert reason is None, "what is near is never missing under the same schema"
    return reason


@pytest.mark.parametrize(
    ("condition", "asked", "reason"),
    [
        ("principal.tenant == resource.tenant", question(), None),
        ("context has percent && context.percent > 1", question({"percent": 1}), None),
        ("context has percent && context.percent > 1", question(), "context.percent was not recorded"),
        ("principal has team", question(), "principal.team was not recorded"),
        ("resource has address && resource.address has city", question(), "resource.address was not recorded"),
        (
            "resource has address && resource.address has city",
            question(order={"address": {}}),
            "resource.address.city was not recorded",
        ),
        (
            "context has card && context.card has kind",
            question({"card": {}}),
            "context.card.kind was not recorded",
        ),
        ('principal in Role::"q"', question(), None),
        ('principal in Team::"q"', question(), "whether principal is in a Team was not recorded"),
        ('principal in [Team::"q", Team::"r"]', question(), "whether principal is in a Team was not recorded"),
        ('resource in Order::"q"', question(), None),
        ("context == context", question(), "context.card was not recorded"),
        ('principal.tenant like "a*" && principal is User', question(), None),
        ('if principal.tenant == "t" then true else context has who', question(), "context.who was not recorded"),
        ("[principal].contains(resource.owner)", question(), None),
    ],
)
def test_under_another_schema_absence_is_not_known(condition: str, asked: Question, reason: str | None) -> None:
    """An attribute that is not in the record may not have been recorded; under the same schema it was absent."""
    assert missing(condition, asked, same=False) == reason
    assert missing(condition, asked, same=True) is None


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize(
    ("condition", "asked", "reason"),
    [
        (
            'resource.owner.tenant == "t"',
            question(order={"owner": OTHER}),
            "resource.owner is another entity, whose attributes were not recorded",
        ),
        ('resource.owner.tenant == "t"', question(), None),
        (
            'principal has team && principal.team.lead.tenant == "t"',
            question(user={"team": {"__entity": {"type": "Team", "id": "a"}}}),
            "principal.team is another entity, whose attributes were not recorded",
        ),
        (
            'resource.owner in Role::"r"',
            question(order={"owner": OTHER}),
            "the parents of resource.owner were not recorded",
        ),
        ('resource.owner in Role::"r"', question(), None),
        ('User::"x".tenant == "t"', question(), "a policy reads what cannot be followed to the record"),
        ('resource.hasTag("a")', question(), "a policy reads what cannot be followed to the record"),
        (
            '(if true then principal else principal).tenant == "t"',
            question(),
            "a policy reads what cannot be followed to the record",
        ),
        ('User::"x" in Team::"t"', question(), "a policy reads what cannot be followed to the record"),
    ],
)
def test_another_entity_is_never_in_the_record(
    condition: str, asked: Question, reason: str | None, *, same: bool
) -> None:
    """Of all entities but the principal and the resource a record has the name only, whatever the schema."""
    assert missing(condition, asked, same=same) == reason


def test_scopes_look_at_parents_too() -> None:
    """`principal in` and `principal is User in` in the scope of a policy."""
    for scope in ('principal in Team::"a", action, resource', 'principal is User in Team::"a", action, resource'):
        assert missing("true", question(), same=False, scope=scope) == "whether principal is in a Team was not recorded"
    for scope in ('principal == User::"u", action, resource', "principal is User, action, resource is Order"):
        assert missing("true", question(), same=False, scope=scope) is None


def test_what_the_schema_of_then_declares_was_absent() -> None:
    """Where the schema of then is known, an optional attribute that is not there was not there."""
    condition = "context has percent && context.percent > 1"
    assert missing(condition, question(), same=False, absent=frozenset({"percent"})) is None


def test_what_no_request_can_have_is_not_missed() -> None:
    """A policy over all actions may ask for an attribute that this action's context can never have."""
    schema = SCHEMA + 'action "write" appliesTo { principal: [User], resource: [Order], context: {} };'
    found = build_bundle(
        [("a.cedar", '@id("a") @reason("r") permit (principal, action, resource) when { context has percent };')],
        ("s.cedarschema", schema),
    )
    wanted = needs(found, EntityUid("Action", "write"))
    assert unrecorded(wanted, question(), same_schema=False, absent=frozenset(), declared=frozenset()) is None
