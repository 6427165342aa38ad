"""Policies that nest too deep to be read."""

import json

import cedarpy
import pytest

from policies.check import check_bundle
from policies.depth import LIMIT, TOO_MUCH, too_deep, too_deep_to_keep
from policies.engine import Engine
from policies.errors import PolicyErrors
from policies.layout import laid_out
from policies.load import build_bundle, policy_tree
from tests.builders.conditions import SCHEMA
from tests.builders.questions import ROOT


def policy(condition: str) -> str:
    """With a condition."""
    return f'@id("a") @reason("r") permit (principal is User, action == Action::"r", resource) when {{ {condition} }};'


def chain(operator: str, terms: int) -> str:
    """Terms in a row."""
    return f" {operator} ".join(f"context.l != {number}" for number in range(terms))


NESTED = {
    "brackets": lambda depth: "(" * depth + "true" + ")" * depth,
    "and": lambda depth: chain("&&", depth),
    "or": lambda depth: chain("||", depth),
    "else": lambda depth: "if context.b then true else " * depth + "false",
    "sum": lambda depth: " + ".join(["1"] * depth) + " == 0",
    "path": lambda depth: "principal" + ".boss" * depth + ".n == 1",
    "index": lambda depth: "principal" + '["boss"]' * depth + ".n == 1",
    "clauses": lambda depth: "true } when { " * depth + "true",
    "mixed": lambda depth: "(context.b && " * (depth // 2) + "true" + ")" * (depth // 2),
}


@pytest.mark.parametrize("kind", NESTED)
def test_what_nests_too_deep_is_refused_where_it_does(kind: str) -> None:
    """Before Cedar sees it, which would not survive it; in the file's words and not as a Python error."""
    for depth in (LIMIT + 1, 5_000, 50_000):
        with pytest.raises(PolicyErrors) as caught:
            build_bundle([("p.cedar", policy(NESTED[kind](depth)))], SCHEMA)
        (found,) = caught.value.findings
        assert (found.line, found.code) == (1, "too-deep")
        assert found.reason == f"nested more than {LIMIT} deep; many values are a set, and a policy may be two"
        assert found.column > 80


@pytest.mark.parametrize("kind", NESTED)
@pytest.mark.parametrize("depth", [30, LIMIT - 10])
def test_what_is_taken_goes_all_the_way(kind: str, depth: int) -> None:
    """Through Cedar, the engine, the checks and the layout; what Cedar would not take back is a finding at once."""
    text = policy(NESTED[kind](depth))
    assert too_deep(text) is None
    try:
        bundle = build_bundle([("p.cedar", text)], SCHEMA)
    except PolicyErrors as exc:
        (found,) = exc.findings
        refused = (found.line, found.code, found.reason) == (1, "too-deep", TOO_MUCH)
        if not refused or depth < LIMIT - 10:
            raise
        return
    Engine(bundle)
    check_bundle(bundle, [("p.cedar", text)])
    assert laid_out(laid_out(text)) == laid_out(text)


def test_what_stands_beside_does_not_nest() -> None:
    """A long list of values, many clauses, many policies."""
    values = ", ".join(f'Role::"{number}"' for number in range(1_000))
    assert too_deep(policy(f"principal in [{values}]")) is None
    clauses = " ".join(f"when {{ context.l != {number} }}" for number in range(100))
    assert too_deep(f"permit (principal, action, resource) {clauses};") is None
    for file in (ROOT / "policies").glob("*.cedar"):
        assert too_deep(file.read_text()) is None


@pytest.mark.parametrize("kind", NESTED)
def test_the_limit_is_cedars(kind: str) -> None:
    """The deepest that is not refused here, Cedar takes back."""
    kept = [depth for depth in range(1, LIMIT - 10) if not too_deep_to_keep(policy_tree(policy(NESTED[kind](depth))))]
    tree = policy_tree(policy(NESTED[kind](max(kept))))
    document = {"staticPolicies": {"p": tree}, "templates": {}, "templateLinks": []}
    assert cedarpy.PolicySet.from_json_str(json.dumps(document))
