"""The deliberately broken set, `tests/cases/broken`: every kind of finding, with its place and exact reason."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lychgate.findings import Routes, policy_findings
from policies.lint.codes import CODES

CASES = Path(__file__).parents[1] / "cases/broken"
SCHEMA = """
entity Role in [Role];
entity Shelf = { tenant: String };
entity User in [Role] = { issuer: String, tenant: String, sub: String };
entity Doc = { tenant: String, owner: User, shelf: Shelf };
action "doc:read", "doc:burn" appliesTo {
  principal: [User], resource: [Doc], context: { now: datetime, cross_tenant: Bool, size?: Long }
};
action "doc:write" appliesTo { principal: [User], resource: [Doc], context: {
  now: datetime, cross_tenant: Bool, title: String, pages: Long, price: Long, size?: Long, delay?: duration
} };
"""
BASE = """
@id("read") @reason("r")
permit (principal in Role::"Reader", action == Action::"doc:read", resource);
@id("write") @reason("r")
permit (principal in Role::"Writer", action == Action::"doc:write", resource);
"""
ROLES = """
[[role]]
name = "Nobody"
description = "Without a credential."
offered = false
anonymous = true
[[role]]
name = "Reader"
description = "Reads."
[[role]]
name = "Writer"
description = "Writes, and reads what was written."
includes = ["Reader"]
"""
ROUTES = """
[[route]]
id = "read"
method = "GET"
path = "/docs/{doc}"
service = "docs"
action = "doc:read"
resource = { type = "Doc", id = "{doc}" }
[[route]]
id = "write"
method = "PUT"
path = "/docs/{doc}"
service = "docs"
action = "doc:write"
resource = { type = "Doc", id = "{doc}" }
[route.context]
title = { from = "body", pointer = "/title" }
pages = { from = "body", pointer = "/pages" }
price = { from = "body", pointer = "/price" }
"""
DEEP = '@id("a") @reason("r") permit (principal, action == Action::"doc:read", resource) when {{ {}true{} }};'


def cases() -> list[Any]:
    """Every case of the set."""
    found = [case for file in sorted(CASES.glob("*.yaml")) for case in yaml.safe_load(file.read_text())]
    return [pytest.param(case, id=case["name"]) for case in found]


def found_in(case: dict[str, Any], folder: Path) -> list[str]:
    """What a check says, with the folder taken out."""
    policies = folder / "policies"
    policies.mkdir()
    (policies / "schema.cedarschema").write_text(case.get("schema", SCHEMA))
    if case.get("with_base"):
        (policies / "base.cedar").write_text(BASE)
    if "policies" in case:
        (policies / "p.cedar").write_text(case["policies"])
    if "deep" in case:
        brackets = ("(" * case["deep"], ")" * case["deep"])
        (policies / "p.cedar").write_text(DEEP.format(*brackets))
    if "bytes" in case:
        (policies / "p.cedar").write_bytes(case["bytes"].encode("latin-1"))
    roles, routes = folder / "roles.toml", folder / "routes.toml"
    roles.write_text(ROLES + case.get("roles", ""))
    routes.write_text(ROUTES + case.get("routes", ""))
    findings = policy_findings(policies, roles, Routes(routes, {"docs": None}))
    return [f"{name(it.file, policies)}:{it.line}:{it.column} {it.code}: {it.reason}" for it in findings]


def name(file: str, policies: Path) -> str:
    """A file's name; `FOLDER` for the policies' folder."""
    return "FOLDER" if Path(file) == policies else Path(file).name


@pytest.mark.parametrize("case", cases())
def test_a_broken_set_is_found_to_be(case: dict[str, Any], tmp_path: Path) -> None:
    """All findings and no other, word for word."""
    assert found_in(case, tmp_path) == case["expect"]


def test_the_set_has_every_kind_of_finding() -> None:
    """A new kind comes with its case."""
    seen = {line.split(" ")[1].rstrip(":") for case in cases() for line in case.values[0]["expect"]}
    assert seen == CODES
