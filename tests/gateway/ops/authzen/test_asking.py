"""What a caller asks, as Cedar is asked it: beside the gateway's own policies, and about policies of their own."""

import re
from typing import Any

import pytest

from gateway.decide.question import ask
from gateway.ops.authzen.asking import Asking
from gateway.ops.authzen.message import read_evaluation
from gateway.ops.authzen.sheets import Names, Sheets
from gateway.snapshot import Snapshot, build_snapshot
from policies.entity_book import EntityBook, read_entities
from policies.load import read_folder
from policies.model import Effect
from policies.schema import Schema
from roles.model import Principal
from tests.builders import plane
from tests.builders.decisions import FIXTURE, question

NOW = "2026-11-26T12:00:00.123456Z"
SNAPSHOT = build_snapshot(plane.sources(9002))
LIVE = Sheets(Names(), EntityBook())
FIT = "the question does not fit the schema: .*"
NO_TYPE = "{}: null, a fraction or a number beyond 64 bits, for which Cedar has no type$"
ORDER = ("Order", "1", {"tenant": "acme"})
OUTSIDE = ("subject.id: not <issuer>/<tenant>/<sub>", "subject.id: not one that an issuer here may assert")


def own(names: Names | None = None) -> Sheets:
    """The sheets of the fixture."""
    entities = ("entities.json", (FIXTURE / "entities.json").read_text())
    return Sheets.build(names or Names(), ("", ""), read_folder(FIXTURE), entities, strict=False)


OWN = own()


def asked(body: dict[str, Any], sheets: Sheets = LIVE, snapshot: Snapshot = SNAPSHOT) -> Any:
    """What becomes of a question."""
    return Asking(sheets, snapshot, NOW).ask(read_evaluation(body))


def user(name: str = "dev/acme/u-17", **properties: Any) -> tuple[str, str, dict[str, Any]]:
    """A subject of the gateway's own world."""
    return ("User", name, properties)


# ---- the gateway's own policies


@pytest.mark.parametrize("role", ["Cashier", "Support", "Auditor", "Manager", "Admin", "Service"])
@pytest.mark.parametrize("tenant", ["acme", "globex"])
@pytest.mark.parametrize(
    ("action", "kind", "context"),
    [
        ("order:list", "Order", {}),
        ("order:read", "Order", {}),
        ("product:import", "Product", {}),
        ("payment:refund", "Payment", {"amount": 5000}),
        ("order:discount", "Order", {"percent": 20}),
        ("audit:view_masked", "AuditLog", {}),
    ],
)
def test_the_question_is_the_proxys(role: str, tenant: str, action: str, kind: str, context: dict[str, Any]) -> None:
    """The very same value that a request through the gateway becomes, so the same answer with the same reasons."""
    route = plane_route(action, kind)
    principal = Principal("dev", "acme", "u-17", (role,))
    expected = ask(
        route, {}, principal, SNAPSHOT.entities(principal), tenant, context, NOW, cross_tenant=SNAPSHOT.cross_tenant
    )
    found = asked(question(user(roles=[role]), action, (kind, "1", {"tenant": tenant}), context=context))
    assert found.question == expected
    assert found.answer == SNAPSHOT.engine.decide(expected)
    assert tenant == "acme" or found.answer.effect is Effect.DENY, "the wall between tenants stands here, too"


def plane_route(action: str, kind: str) -> Any:
    """A route as the table has them."""
    from gateway.model import Route

    return Route(
        id="r", method="GET", template="/", segments=(), params=(), service="s", action=action, resource_type=kind,
        resource_id="1",
    )  # fmt: skip


def test_foreign_roles_mean_what_they_mean_in_a_token() -> None:
    """Ours, and named; what means nothing is dropped and told."""
    found = asked(question(user(roles=["POS_OPERATOR", "offline_access"]), "order:read", ORDER))
    assert found.allows
    assert found.dropped_roles == ("offline_access",)


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        (user("u-17"), OUTSIDE[0]),
        (user("dev/acme"), OUTSIDE[0]),
        (user("dev//u"), OUTSIDE[0]),
        (user("dev/ACME/u"), OUTSIDE[0]),
        (user("/acme/u"), OUTSIDE[0]),
        (user("other/acme/u"), OUTSIDE[1]),
        (user("dev/-/u"), OUTSIDE[1]),
        (user("dev/acme/" + "u" * 257), OUTSIDE[1]),
        (user("dev/acme/u\n"), OUTSIDE[1]),
        (user(tenant="globex"), "subject.properties.tenant: not what subject.id says"),
        (user(issuer=1), "subject.properties.issuer: not what subject.id says"),
        (user(sub="u-18"), "subject.properties.sub: not what subject.id says"),
        (user(roles="Cashier"), "subject.properties.roles: not an array of strings"),
        (user(roles=["Cashier", 1]), "subject.properties.roles: not an array of strings"),
        (user(roles=["SuperAdmin"]), "subject.properties.roles: not one that this issuer may assert"),
        (
            user("-/-/anonymous", roles=["Cashier"]),
            "subject.properties.roles: not a role of a caller without a credential",
        ),
    ],
)
def test_a_subject_that_no_token_could_make(subject: Any, reason: str) -> None:
    """The decision API believes no more of anybody than the proxy does."""
    found = asked(question(subject, "order:read", ORDER))
    assert (found.word, found.problem, found.question) == ("error", reason, None)


def test_an_issuer_bounds_what_is_said_of_its_subjects() -> None:
    """Tenants and roles it may not assert in a token it does not have here either."""
    import msgspec

    sources = plane.sources(9002)
    issuer = msgspec.structs.replace(sources.issuers[0], tenants=("acme",), roles=("Cashier",))
    bounded = build_snapshot(msgspec.structs.replace(sources, issuers=(issuer,)))
    assert asked(question(user(roles=["Cashier"]), "order:read", ORDER), snapshot=bounded).allows
    refused = asked(question(user(roles=["Manager"]), "order:read", ORDER), snapshot=bounded)
    assert refused.problem == "subject.properties.roles: not one that this issuer may assert"
    elsewhere = asked(question(user("dev/globex/u"), "order:read", ORDER), snapshot=bounded)
    assert elsewhere.problem == OUTSIDE[1]


def test_nobody_may_be_asked_about() -> None:
    """A caller without a credential sees the public catalogue, here as there."""
    goods = ("Product", "*", {"tenant": "acme"})
    assert asked(question(user("-/-/anonymous"), "product:browse", goods)).allows
    assert asked(question(user("-/-/anonymous", roles=["Anonymous"]), "product:browse", goods)).allows
    assert asked(question(user("-/-/anonymous"), "product:list", goods)).word == "deny"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (question(user(roles=["Cashier"]), "order:read", ("Order", "1")), FIT + "to have attribute `tenant`"),
        (question(user(roles=["Cashier"]), "order:read", ("Order", "1", {"tenant": 1})), FIT + "type mismatch"),
        (
            question(user(roles=["Cashier"]), "order:read", ("Order", "1", {"tenant": None})),
            NO_TYPE.format("resource.properties.tenant"),
        ),
        (question(user(roles=["Cashier"]), "order:discount", ORDER), FIT + "failed to build request"),
        (
            question(user(roles=["Cashier"]), "order:discount", ORDER, context={"percent": 1.5}),
            NO_TYPE.format("context.percent"),
        ),
        (
            question(user(roles=["Cashier"]), "order:discount", ORDER, context={"percent": 2**63}),
            NO_TYPE.format("context.percent"),
        ),
        (
            question(user(roles=["Cashier"]), "order:read", ("Spaceship", "1")),
            FIT + "which is not declared in the schema",
        ),
        (question(("Spaceship", "1"), "order:read", ORDER), FIT + "which is not declared in the schema"),
    ],
)
def test_what_does_not_fit_the_schema_is_a_deny_with_its_reason(body: Any, reason: str) -> None:
    """Nothing is made up for what is missing, and nothing bent that is of another type."""
    found = asked(body)
    assert found.word == "error"
    assert not found.allows
    assert re.search(f"^{reason}", found.problem), found.problem


def test_an_unknown_action_is_a_deny() -> None:
    """And there is no question to be recorded."""
    found = asked(question(user(), "order:burn", ORDER))
    assert (found.problem, found.action) == ("action.name: the schema declares no such action, or several", None)


def test_time_and_the_open_door_are_not_the_callers_to_say() -> None:
    """`now` and `cross_tenant` come from the gateway, whatever the request says."""
    said = {"now": "2000-01-01", "cross_tenant": True}
    found = asked(question(user("dev/platform/u", roles=["SuperAdmin"]), "order:read", ORDER, context=said))
    assert found.question.context == {
        "now": {"__extn": {"fn": "datetime", "arg": "2026-11-26T12:00:00.123Z"}},
        "cross_tenant": False,
    }
    assert found.answer.reasons == ("tenancy.wall",)
    through = build_snapshot(plane.sources(9002, cross_tenant=True))
    opened = asked(question(user("dev/platform/u", roles=["SuperAdmin"]), "order:read", ORDER), snapshot=through)
    assert opened.allows


def test_the_file_says_who_somebody_is() -> None:
    """Roles and attributes that the file states are not the request's to change; what differs is told."""
    text = """[
      {"uid": {"type": "User", "id": "dev/acme/u-17"},
       "attrs": {"issuer": "dev", "tenant": "acme", "sub": "u-17"}, "parents": [{"type": "Role", "id": "Cashier"}]},
      {"uid": {"type": "Order", "id": "1"}, "attrs": {"tenant": "globex"}, "parents": []}
    ]"""
    schema = ("schema.cedarschema", (plane.ROOT / "policies" / "schema.cedarschema").read_text())
    sheets = Sheets(Names(), read_entities("e.json", text, Schema(*schema)))
    found = asked(question(user(roles=["Admin"]), "order:list", ("Order", "2", {"tenant": "acme"})), sheets)
    assert (
        found.question.entities[0].parents
        == SNAPSHOT.entities(Principal("dev", "acme", "u-17", ("Cashier",)))[0].parents
    )
    assert found.overruled == ("subject.roles",)
    assert asked(question(user(), "order:list", ("Order", "2", {"tenant": "acme"})), sheets).allows
    moved = asked(question(user(roles=["Cashier"]), "order:read", ORDER), sheets)
    assert (moved.answer.reasons, moved.overruled) == (("tenancy.wall",), ("resource.tenant",))


def test_names_are_the_callers() -> None:
    """A table leads from what callers call things to what the schema calls them."""
    sheets = Sheets(Names({"user": "User", "order": "Order"}, {"view": "order:read"}), EntityBook())
    body = question(("user", "dev/acme/u-17", {"roles": ["Cashier"]}), "view", ("order", "1", {"tenant": "acme"}))
    assert asked(body, sheets).allows


# ---- policies of their own


def vault(**changes: Any) -> dict[str, Any]:
    """The keeper opens the vault."""
    parts: dict[str, Any] = {
        "subject": ("user", "keeper"),
        "action": "open",
        "resource": ("vault", "v-1"),
        "context": {"pin": 7},
        **changes,
    }
    return question(parts["subject"], parts["action"], parts["resource"], context=parts["context"])


def test_what_the_policies_name_themselves_is_looked_up() -> None:
    """That the house is open stands in the file, and neither subject nor resource leads to it."""
    assert asked(vault(), OWN).answer.reasons == ("vault.open",)


def test_what_a_context_names_is_looked_up() -> None:
    """The deputy's groups stand in the file."""
    deputy = {"pin": 7, "deputy": {"type": "user", "id": "keeper"}}
    assert asked(vault(subject=("user", "alice"), context=deputy), OWN).answer.reasons == ("vault.deputy",)
    stranger = {"pin": 7, "deputy": {"type": "user", "id": "bob"}}
    assert asked(vault(subject=("user", "alice"), context=stranger), OWN).word == "deny"


def test_a_caller_cannot_put_anybody_into_a_group() -> None:
    """What somebody is in only the file can say."""
    said = {"parents": [{"type": "group", "id": "keepers"}], "group": "keepers", "groups": ["keepers"]}
    assert asked(vault(subject=("user", "mallory", said)), OWN).word == "deny"


def test_the_file_holds_where_a_caller_says_otherwise() -> None:
    """What it says beside is taken, what it contradicts is not."""
    body = question(("user", "bob", {"role": "clerk", "email": "b@x"}), "write", ("record", "record-2", {"owner": "o"}))
    found = asked(body, OWN)
    assert found.allows
    assert found.overruled == ("subject.role",)
    assert found.question.entities[0].attrs == {"role": "admin", "email": "b@x"}
    assert asked(question(("user", "alice", {"role": "admin"}), "write", ("record", "record-2")), OWN).allows
    made_active = asked(question(("user", "alice"), "write", ("record", "record-2", {"status": "active"})), OWN)
    assert (made_active.word, made_active.overruled) == ("deny", ("resource.status",))


def test_time_is_the_gateways_where_nobody_says() -> None:
    """A schema of its own may leave the time to callers; then theirs counts."""
    assert asked(vault(), OWN).question.context["now"]["__extn"]["arg"] == "2026-11-26T12:00:00.123Z"
    early = asked(vault(context={"pin": 7, "now": "1999-12-31"}), OWN)
    assert early.word == "deny"


def test_what_is_said_of_an_action_goes_into_the_context() -> None:
    """As if it stood there; twice with two values is a contradiction."""
    assert asked(vault(action=("open", {"pin": 7}), context={}), OWN).allows
    assert asked(vault(action=("open", {"pin": 7, "shoe": 44})), OWN).allows
    found = asked(vault(action=("open", {"pin": 8})), OWN)
    assert found.problem == "context.pin: action.properties says otherwise"


@pytest.mark.parametrize(
    "properties",
    [{}, {"level": 1}, {"level": "1", "seal": {"colour": "red"}, "opens": "2020-01-01"}],
)
def test_required_attributes_are_not_made_up(properties: dict[str, Any]) -> None:
    """A resource that the file does not know must bring what the schema requires."""
    assert asked(vault(resource=("vault", "v-2", properties)), OWN).word == "error"


def test_typed_values_of_every_kind() -> None:
    """Longs, records, times, addresses, entities and sets come from JSON as the schema declares them."""
    whole = {"level": 1, "seal": {"colour": "red", "broken": False}, "opens": "2020-01-01"}
    context = {"pin": 7, "from": "10.0.0.1"}
    assert asked(vault(resource=("vault", "v-2", whole), context=context), OWN).allows
    assert asked(vault(context={"pin": 7, "from": "ten"}), OWN).word == "error"
    route = question(("identity", "jwt-sub", {"scopes": ["todos:read"]}), "GET", ("route", "/todos/{todoId}"))
    assert asked(route, OWN).allows
    assert asked({**route, "action": {"name": "POST"}}, OWN).word == "deny"


def test_a_forbid_that_cannot_be_evaluated_denies() -> None:
    """Cedar would skip it and allow."""
    huge = {"level": 2**62, "seal": {"colour": "red"}, "opens": "2020-01-01"}
    found = asked(vault(resource=("vault", "v-2", huge)), OWN)
    assert (found.word, found.answer.reasons) == ("deny", ("vault.overflow",))
    assert [error.policy_id for error in found.answer.errors] == ["vault.overflow"]


def test_somebody_may_be_asked_about_themselves() -> None:
    """One entity is both, and is given to Cedar once."""
    rick = "CiRmZDA2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs"
    assert asked(question(("user", rick), "can_read_user", ("user", rick)), OWN).allows


def test_text_that_is_no_time_is_never_remembered_as_one() -> None:
    """An attribute no policy reads must hold all the same: the memo may not answer for one that does not."""
    good, bad = (vault(subject=("user", "keeper-2", {"since": since})) for since in ("2020-01-01", "soon"))
    assert asked(good, OWN).word == "deny"
    assert asked(good, OWN).word == "deny"
    assert asked(bad, OWN).word == "error"


def test_actions_of_a_namespace() -> None:
    """By id where only one namespace has it, else by the full name; nothing is remembered of them."""
    schema = """
    namespace A { entity U; action go, stop appliesTo { principal: [U], resource: [U] }; }
    namespace B { entity U; action go appliesTo { principal: [U], resource: [U] }; }
    """
    files = [("p.cedar", '@id("all") @reason("r") permit (principal, action, resource);')]
    sheets = Sheets.build(Names(), ("", ""), (files, ("s.cedarschema", schema)), None, strict=False)

    def answer(name: str, kind: str = "A::U") -> str:
        return str(asked(question((kind, "1"), name, (kind, "2")), sheets).word)

    assert [answer("stop"), answer("A::stop"), answer("A::go"), answer("go")] == ["allow", "allow", "allow", "error"]
    assert [answer("B::go", "B::U"), answer("B::go", "A::U")] == ["allow", "error"]
    assert sheets.court(SNAPSHOT).actions("A::U", "A::U", Names()) == ["A::go", "stop"]
