"""Cases as people write them become the questions they describe."""

import msgspec
import pytest

from policies.engine import Engine
from policies.model import Effect, Entity, EntityUid
from roles.tables.case import TaggedEntity
from roles.tables.run import run
from tests.builders.questions import real_catalogue
from tests.builders.tables import cases_of, checked, documents


def test_a_role_an_action_and_a_decision_are_enough() -> None:
    """The rest is as the gateway would have it."""
    (case,) = cases_of("- {name: a, roles: [Manager, Cashier], action: order:read, expect: allow}")
    assert (case.name, case.place, case.expect) == ("a", "table.yaml:1", Effect.ALLOW)
    assert case.caller is not None
    assert case.caller.roles == ("Cashier", "Manager")
    assert case.question.principal == EntityUid("User", "dev/acme/somebody")
    assert case.question.resource == EntityUid("Order", "*")
    assert case.question.entities[-1] == Entity(EntityUid("Order", "*"), {"tenant": "acme"})
    assert set(case.question.context) == {"now", "cross_tenant"}
    assert case.missing_role is msgspec.UNSET


def test_everything_can_be_said() -> None:
    """Who, what, whose, when."""
    (case,) = cases_of("""
- name: a
  principal: {tenant: globex, sub: u, issuer: okta}
  roles: [Manager]
  action: order:discount
  resource: {type: Order, id: o-1, tenant: acme}
  context: {percent: 5, cross_tenant: true, now: 2026-02-03T04:05:06.000Z}
  entities: [{uid: {type: Role, id: Extra}, parents: [{type: Role, id: Admin}]}]
  expect: deny
  policies: [tenancy.wall]
  missing_role: null
  errors: []
""")
    assert case.question.principal == EntityUid("User", "okta/globex/u")
    assert case.question.context["percent"] == 5
    assert case.question.context["now"] == {"__extn": {"fn": "datetime", "arg": "2026-02-03T04:05:06.000Z"}}
    assert Entity(EntityUid("Order", "o-1"), {"tenant": "acme"}) in case.question.entities
    assert case.question.entities[-1] == Entity(EntityUid("Role", "Extra"), {}, (EntityUid("Role", "Admin"),))
    assert (case.policies, case.missing_role) == (frozenset({"tenancy.wall"}), None)


def test_a_resource_can_be_an_entity_of_the_list() -> None:
    """Where nothing else is said of it, what stands among `entities` counts."""
    (case,) = cases_of("""
- name: a
  roles: [Manager]
  action: order:read
  resource: {id: o-1}
  entities: [{uid: {__entity: {type: Order, id: o-1}}, attrs: {tenant: globex}, tags: {}}]
  expect: deny
""")
    assert [entity.attrs for entity in case.question.entities if entity.uid == case.question.resource] == [
        {"tenant": "globex"}
    ]


@pytest.mark.parametrize(
    "described",
    [
        "principal: {type: Person, id: p, attrs: {level: 3}}\n  resource: {id: d, attrs: OWNED}",
        """principal: {type: Person, id: p}
  resource: {id: d}
  entities:
    - {uid: {type: Person, id: p}, attrs: {level: 3}, parents: []}
    - {uid: {type: Doc, id: d}, attrs: OWNED}""",
    ],
)
def test_policies_with_a_schema_of_their_own(described: str) -> None:
    """Principal and resource are given as entities, in the case or beside it."""
    owned = "{owner: {__entity: {type: Person, id: p}}, public: false}"
    text = f"""
- name: a
  {described.replace("OWNED", owned)}
  action: edit
  context: {{hour: 3}}
  expect: allow
  policies: [doc.owner]
"""
    bundle = documents()
    (case,) = cases_of(text, bundle)
    assert case.caller is None
    assert run([case], Engine(bundle), real_catalogue())[0].passed


def test_an_action_of_a_namespace_is_given_in_parts() -> None:
    """A bare id is of the type `Action`."""
    schema = "namespace N { entity P, D; action a appliesTo { principal: [P], resource: [D] }; }"
    bundle = checked('@id("x") @reason("y") permit (principal, action == N::Action::"a", resource);', schema)
    (case,) = cases_of(
        "- {name: a, principal: {type: N::P, id: p}, action: {type: N::Action, id: a}, expect: allow}", bundle
    )
    assert case.action == EntityUid("N::Action", "a")
    assert run([case], Engine(bundle), real_catalogue())[0].passed


def test_tags_are_kept() -> None:
    """Entities may have them; those the gateway makes have none."""
    (case,) = cases_of("""
- {name: a, roles: [], action: order:read, entities: [{uid: {type: Role, id: X}, tags: {a: 1}}], expect: deny}
""")
    assert case.question.entities[-1] == TaggedEntity(EntityUid("Role", "X"), {}, (), tags={"a": 1})
