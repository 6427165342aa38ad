"""Tables that are wrong are refused whole, and each message says where and why."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.errors import TableErrors
from roles.tables.read import read_tables
from roles.tables.run import run
from tests.builders.questions import ROOT, real_bundle, real_catalogue, real_engine
from tests.builders.tables import cases_of, shipped_cases

BROKEN = ROOT / "tests/cases/broken_tables"
SHAPE = "a table is a list of cases, or a mapping with `roles` and `decisions`"
ROLES = "Admin, Anonymous, Auditor, Cashier, InventoryClerk, Manager, Service, SuperAdmin, Support"
KINDS = "Customer, Integration, LoyaltyAccount, Order, Payment, Product, Stock"

EXPECTED = {
    "cedar.json": [
        '2: `User::a` is not an entity\'s name (Type::"id")',
        "3: the schema declares no action `order:raed`; the nearest is `order:read`",
        "4: `num_errors` is a number",
        "5: `decision` is allow or deny, not `Deny`",
        "6: a request needs `resource`",
        "7: a case needs `request`",
        "8: the action's context needs `cross_tenant` (Boolean)",
    ],
    "context.yaml": [
        "2: the action's context needs `percent` (Long)",
        "3: `percent` in the action's context is a Long",
        "4: the action's context has no `percent`; it has cross_tenant, now",
        "5: `cross_tenant` in the action's context is a Boolean",
    ],
    "country.yaml": [
        "4: `NO` can be read in two ways; quote it, or write true, false or a plain number",
    ],
    "empty.yaml": [f"1: {SHAPE}"],
    "keys.yaml": [
        "2: a case has no key `nam`; the nearest is `name`",
        "3: a case needs `name`",
        "4: `name` is a text, here it is empty",
        "5: `name` is a text, here it is a number",
        "6: a case is a mapping, here it is a text",
        "7: a case needs `roles`",
        "8: `roles` is a list, here it is a text",
        "9: `roles` is a list of texts, one of them is a number",
        "10: `Manager` stands twice in `roles`",
        "11: `expect` is allow or deny, not `no way`",
        "12: `expect` is allow or deny, not true",
        "13: a case needs `expect`",
        "14: `context` is a mapping, here it is a list",
        "15: nothing stands here, and Cedar has no null",
        "16: nothing stands here, and Cedar has no null",
        "17: `policies` is a list of texts, one of them is empty",
        "19: the name `same` is taken in line 18",
        "24: a case has no key `polices`; the nearest is `policies`",
    ],
    "lost_context.yaml": ["4: `context` has no key `order:discuont`; the nearest is `order:discount`"],
    "mapping.yaml": ["1: a role table has no key `cases`; there are context, decisions, resource, roles, tenant"],
    "names.yaml": [
        "2: the schema declares no action `order:raed`; the nearest is `order:read`",
        "3: `action` is a text, here it is a list",
        "4: the schema declares no action `read`",
        "5: there is no role `Manger`; the nearest is `Manager`",
        f"6: there is no role `Boss`; there are {ROLES}",
        "7: no refusal names `SuperAdmin`; it may name Cashier, Support, InventoryClerk, Auditor, Manager, Admin",
        "8: an allow misses no role",
        f"9: the action is about {KINDS}: say which",
        f"10: the action is about {KINDS}: say which",
        "11: the action is not about a `Payment`; it is about Order",
        "12: a resource has a `tenant` or `attrs`, not both",
        "13: a resource has no key `owner`; there are attrs, id, parents, tenant, type",
        "14: a principal has no key `tennant`; the nearest is `tenant`",
        "15: a principal that is given as an entity has its roles among its `parents`",
        "16: a principal that is given as an entity has no roles of the catalogue",
        "17: a principal needs `id`",
        '18: the entity `Order::"x"` is there twice',
        "19: an entity's name needs `id`",
        "20: an entity's name is a mapping, here it is a text",
        "21: an entity has no key `id`; the nearest is `uid`",
        '22: `Order::"x"` is described twice, here and as the principal or resource',
    ],
    "no_rows.yaml": ["1: a role table has at least one role and one action"],
    "not.json": ["1: not JSON: expecting property name enclosed in double quotes"],
    "role_context.yaml": [
        "7: the action's context needs `percent` (Long)",
        "8: the action's context has no `percent`; it has cross_tenant, now",
    ],
    "role_names.yaml": ["3: there is no role `Manger`; the nearest is `Manager`"],
    "roles.yaml": [
        "8: `order:list` needs 2 decisions, one a role; here are 1",
        "9: the schema declares no action `order:raed`; the nearest is `order:read`",
        "10: `order:read` is allow or deny, not `maybe`",
        "11: `order:cancel` needs 2 decisions, one a role; here are 0",
        "12: `payment:read` is not about a `Order`; it is about Payment",
        "13: `order:create` needs 2 decisions, one a role; here are 0",
        "15: `loyalty:adjust` is not about a `Order`; it is about LoyaltyAccount",
    ],
    "text.yaml": [f"1: {SHAPE}"],
    "twice.yaml": ["5: `expect` stands twice, first in line 4"],
    "unasked.yaml": [
        "2: `a` does not fit the schema: ",
        "3: `b` does not fit the schema: ",
    ],
}


@pytest.mark.parametrize("name", sorted(file.name for file in BROKEN.iterdir()))
def test_every_broken_table_is_refused(name: str) -> None:
    """With the line and the reason of each thing that is wrong, and nothing else."""
    with pytest.raises(TableErrors) as refused:
        run(
            read_tables([(name, (BROKEN / name).read_text(encoding="utf-8"))], real_bundle(), real_catalogue()),
            real_engine(),
            real_catalogue(),
        )
    lines = str(refused.value).splitlines()
    assert len(lines) == len(EXPECTED[name])
    for line, expected in zip(lines, EXPECTED[name], strict=True):
        assert line.startswith(f"{name}:{expected}")
        assert line == f"{name}:{expected}" or expected.endswith(": ")


def test_one_bad_case_refuses_all_and_every_file_is_looked_at() -> None:
    """A run of a part would look green."""
    good = "- {name: a, roles: [], action: order:read, expect: deny}"
    with pytest.raises(TableErrors) as refused:
        read_tables([("one.yaml", good), ("two.yaml", "- 1"), ("three.yaml", "")], real_bundle(), real_catalogue())
    assert [finding.file for finding in refused.value.findings] == ["three.yaml", "two.yaml"]


def test_a_name_is_unique_in_its_file_only() -> None:
    """Two tables may both have `a`."""
    good = "- {name: a, roles: [], action: order:read, expect: deny}"
    assert len(read_tables([("one.yaml", good), ("two.yaml", good)], real_bundle(), real_catalogue())) == 2


def test_the_shipped_tables_have_their_places() -> None:
    """A case of a list starts where its dash is, one of a table where its row is."""
    places = {case.name: case.place for case in shipped_cases()}
    text = (ROOT / "tests/cases/decisions/order.yaml").read_text(encoding="utf-8").splitlines()
    assert text[int(places["order:read-Support"].rpartition(":")[2]) - 1].lstrip().startswith("order:read:")
    text = (ROOT / "tests/cases/decisions/conditions.yaml").read_text(encoding="utf-8").splitlines()
    assert text[int(places["two roles add up"].rpartition(":")[2]) - 1] == "- name: two roles add up"


def test_what_is_not_said_is_not_expected() -> None:
    """No `policies`, no `missing_role`: any will do. `errors` are expected to be none."""
    (case,) = cases_of("- {name: a, roles: [], action: order:read, expect: deny}")
    assert case.policies is None
    assert case.missing_role is not None  # unset, which is another thing than none
    assert case.errors == frozenset()


_WORDS = st.sampled_from(
    [
        *("name", "roles", "principal", "action", "resource", "context", "entities", "expect", "policies", "errors"),
        *("missing_role", "request", "decision", "reason", "num_errors", "decisions", "tenant", "type", "id", "attrs"),
        *("parents", "uid", "__entity", "__extn", "fn", "arg", "order:read", "order:discount", "percent", "now"),
        *("allow", "deny", "Manager", "User", "Order", "acme", "tags", "cross_tenant", 'User::"a"', "Action"),
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | _WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS | st.text(max_size=3), inner, max_size=8),
    max_leaves=25,
)


@given(st.text() | _VALUES.map(json.dumps), st.sampled_from(["t.yaml", "t.json"]))
def test_whatever_is_in_a_file_it_is_read_or_refused(text: str, name: str) -> None:
    """Nothing else comes out of the reader, and every finding has a line."""
    try:
        cases = read_tables([(name, text)], real_bundle(), real_catalogue())
    except TableErrors as exc:
        assert all(finding.line >= 1 for finding in exc.findings)  # noqa: PT017 -- either way is right
    else:
        assert cases or text.strip() == "[]"


_CASES = st.fixed_dictionaries(
    {"name": st.just("a"), "action": st.sampled_from(["order:read", "order:discount", "data:see_pii"])},
    optional={
        "roles": st.lists(st.sampled_from(["Manager", "Admin", "Boss"]), max_size=2) | _VALUES,
        "principal": st.dictionaries(st.sampled_from(["type", "id", "tenant", "attrs", "parents"]), _VALUES) | _VALUES,
        "resource": st.dictionaries(st.sampled_from(["type", "id", "tenant", "attrs", "parents"]), _VALUES) | _VALUES,
        "context": st.dictionaries(st.sampled_from(["percent", "now", "cross_tenant"]), _VALUES) | _VALUES,
        "entities": st.lists(st.dictionaries(st.sampled_from(["uid", "attrs", "parents", "tags"]), _VALUES)) | _VALUES,
        "expect": st.sampled_from(["allow", "deny"]) | _VALUES,
        "missing_role": st.sampled_from(["Admin", None, "Service"]) | _VALUES,
    },
)


@given(_CASES)
def test_whatever_a_case_says_it_runs_or_is_refused(case: dict[str, object]) -> None:
    """Cedar's refusals are findings, too."""
    try:
        run(
            read_tables([("t.yaml", json.dumps([case]))], real_bundle(), real_catalogue()),
            real_engine(),
            real_catalogue(),
        )
    except TableErrors as exc:
        assert all(finding.line >= 1 for finding in exc.findings)  # noqa: PT017 -- either way is right
