"""What the policies of an action can read, found in their parsed form."""

import pytest

from policies.load import build_bundle
from policies.model import EntityUid
from policies.reach import Reach, Read, reach
from tests.builders.questions import real_bundle

SCHEMA = (
    "schema.cedarschema",
    """
entity Role; entity Team;
entity User in [Role, Team] = { tenant: String, name: String, boss?: User };
entity Doc in [Doc] = { tenant: String, owner: User, team: Team };
action "doc:read" appliesTo {
  principal: [User], resource: [Doc],
  context: { now: datetime, n: Long, s?: String, r?: { a: Long, b?: Long }, u?: User }
};
action "doc:write" appliesTo { principal: [User], resource: [Doc], context: { now: datetime, n: Long } };
""",
)
NOTHING = Read()
WHOLE = Read(whole=True)
WHO = Read(identity=True)
WHOSE = Read(identity=True, attributes=frozenset({"owner"}))


def attributes(*names: str) -> Read:
    """Only these attributes are read."""
    return Read(attributes=frozenset(names))


def reach_of(condition: str = "true", principal: str = "principal", resource: str = "resource") -> Reach:
    """The reach of one policy about reading."""
    text = (
        f'@id("p") @reason("r") permit ({principal}, action == Action::"doc:read", {resource}) when {{ {condition} }};'
    )
    return reach(build_bundle([("p.cedar", text)], SCHEMA), EntityUid("Action", "doc:read"))


@pytest.mark.parametrize(
    ("condition", "principal", "resource", "context"),
    [
        ("true", NOTHING, NOTHING, NOTHING),
        ("principal.tenant == resource.tenant", attributes("tenant"), attributes("tenant"), NOTHING),
        ("context.n < 5", NOTHING, NOTHING, attributes("n")),
        ('context has s && context.s like "a*"', NOTHING, NOTHING, attributes("s")),
        ("context has r && context.r.a == 1", WHOLE, WHOLE, WHOLE),
        ("context has r && context.r has b", WHOLE, WHOLE, WHOLE),
        ("context == context", NOTHING, NOTHING, WHOLE),
        ("[context.n].contains(1)", NOTHING, NOTHING, attributes("n")),
        ('{ Value: principal.name, Var: context.n }.Value == "x"', WHOLE, WHOLE, WHOLE),
        ('{ Value: principal.name, Var: 1 } == { Value: "x", Var: context.n }',
         attributes("name"), NOTHING, attributes("n")),
        ('if principal.name == "x" then context.n == 1 else !(resource.tenant == "y")',
         attributes("name"), attributes("tenant"), attributes("n")),
        ('principal in Role::"R"', NOTHING, WHO, NOTHING),
        ('principal in [Role::"R", Role::"S"]', NOTHING, WHO, NOTHING),
        ('principal in User::"u"', WHO, WHO, NOTHING),
        ('principal in [User::"u", User::"v"]', WHO, WHO, NOTHING),
        ('principal in [User::"u", resource.owner]', WHO, WHOSE, NOTHING),
        ("principal in resource.team", WHO, Read(identity=True, attributes=frozenset({"team"})), NOTHING),
        ('principal == User::"u"', WHO, NOTHING, NOTHING),
        ('principal != User::"u"', WHO, NOTHING, NOTHING),
        ("resource.owner == principal", WHO, attributes("owner"), NOTHING),
        ('resource.owner.name == "x"', WHOLE, WHOLE, WHOLE),
        ('User::"u".name == "x"', WHOLE, WHOLE, WHOLE),
        ("principal has boss", attributes("boss"), NOTHING, NOTHING),
        ('resource in Doc::"folder"', NOTHING, WHO, NOTHING),
        ('[principal].contains(User::"u")', WHOLE, NOTHING, NOTHING),
        ("principal is User", NOTHING, NOTHING, NOTHING),
        ("resource.owner is User", NOTHING, attributes("owner"), NOTHING),
        ("context has u && context.u in resource.team",
         WHO, Read(identity=True, attributes=frozenset({"team"})), attributes("u")),
        ('["x"].containsAny([principal.name, resource.tenant])', attributes("name"), attributes("tenant"), NOTHING),
        ('ip("127.0.0.1").isLoopback() || context.n + -context.n == 0', NOTHING, NOTHING, attributes("n")),
        ('principal is User in Role::"R"', NOTHING, WHO, NOTHING),
        ('principal is User in User::"u"', WHO, WHO, NOTHING),
        ('resource.owner in Role::"R"', WHO, WHOSE, NOTHING),
        ('User::"u" in Role::"R"', WHO, WHO, NOTHING),
        ('action == Action::"doc:read"', NOTHING, NOTHING, NOTHING),
        ('action in [Action::"doc:read"]', NOTHING, NOTHING, NOTHING),
    ],
)  # fmt: skip
def test_the_reach_of_a_condition(condition: str, principal: Read, resource: Read, context: Read) -> None:
    """Each form of an expression reads what it says; where that cannot be told, everything."""
    assert reach_of(condition) == Reach(principal, resource, context)


# Doc can be in Doc: whatever is asked whether it is in something may be so by way of the resource.
@pytest.mark.parametrize(
    ("principal", "resource", "expected"),
    [
        ('principal in Role::"R"', "resource", (NOTHING, WHO)),
        ('principal == User::"u"', "resource", (WHO, NOTHING)),
        ('principal in User::"u"', "resource", (WHO, WHO)),
        ("principal is User", "resource is Doc", (NOTHING, NOTHING)),
        ('principal is User in Team::"t"', 'resource is Doc in Doc::"d"', (NOTHING, WHO)),
        ("principal", 'resource == Doc::"d"', (NOTHING, WHO)),
    ],
)
def test_the_reach_of_a_scope(principal: str, resource: str, expected: tuple[Read, Read]) -> None:
    """A role in the scope reads parents; a name of the caller's own type reads who it is."""
    found = reach_of(principal=principal, resource=resource)
    assert (found.principal, found.resource) == expected


def test_who_can_stand_between_nobody_is_not_read() -> None:
    """Where nothing can be in the resource's type, asking for the caller's role does not read which resource it is."""
    name, schema = SCHEMA
    text = '@id("p") @reason("r") permit (principal in Role::"R", action, resource) when { principal in Team::"t" };'
    bundle = build_bundle([("p.cedar", text)], (name, schema.replace("entity Doc in [Doc]", "entity Doc")))
    assert reach(bundle, EntityUid("Action", "doc:read")) == Reach(NOTHING, NOTHING, NOTHING)


def test_the_time_is_noticed() -> None:
    """However it is read: as an attribute or with the whole context."""
    late = '@id("p") @reason("r") permit (principal, action, resource) when { context.now < datetime("2030-01-01") };'
    found = reach(build_bundle([("p.cedar", late)], SCHEMA), EntityUid("Action", "doc:write"))
    assert found.reads_time
    assert reach_of("context == context").reads_time
    assert not reach_of("context.n == 1").reads_time


def test_only_the_policies_of_the_action_count() -> None:
    """What is read when writing does not matter when reading."""
    write = '@id("w") @reason("r") permit (principal, action == Action::"doc:write", resource) when { context.n == 1 };'
    bundle = build_bundle([("p.cedar", write)], SCHEMA)
    assert reach(bundle, EntityUid("Action", "doc:read")) == Reach(NOTHING, NOTHING, NOTHING)
    assert reach(bundle, EntityUid("Action", "doc:write")).context == attributes("n")


def test_the_real_policies_read_little() -> None:
    """Who asks and for which id matter to no action but the audit's, and the time to none: nearly all is remembered."""
    for action in real_bundle().actions:
        found = reach(real_bundle(), EntityUid("Action", action))
        assert found.principal == attributes("tenant")
        assert found.resource.attributes == {"tenant"}
        assert found.resource.identity == action.startswith("audit:")
        assert found.context.attributes <= {"cross_tenant", "amount", "percent", "points"}
        assert not found.resource.whole
        assert not found.reads_time
