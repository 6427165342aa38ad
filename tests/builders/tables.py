"""Decision tables against the policies of this repository, or against ones made up on the spot."""

from functools import cache
from pathlib import Path

from policies.bundle import Bundle
from policies.load import build_bundle
from roles.tables.case import Case
from roles.tables.read import read_tables
from tests.builders.questions import ROOT, real_bundle, real_catalogue

DECISIONS = "tests/cases/decisions"

SCHEMA = """
entity Team; entity Person in [Team] = { level: Long }; entity Doc = { owner: Person, public: Bool };
action view, edit appliesTo { principal: [Person], resource: [Doc], context: { hour: Long } };
"""
"""A schema that knows neither our users nor our roles."""

POLICIES = """
@id("public") @reason("what is public is seen by all")
permit (principal, action == Action::"view", resource) when { resource.public };
@id("owner") @reason("an owner does everything")
permit (principal, action in [Action::"view", Action::"edit"], resource)
when { resource.owner == principal }
unless { principal.level < 2 };
@id("night") @reason("nobody edits at night")
forbid (principal, action == Action::"edit", resource)
when { context.hour + 9223372036854775785 == 9223372036854775807 };
"""
"""`doc.night` applies at 22, and cannot be evaluated after it: the sum is beyond 64 bits."""


def documents() -> Bundle:
    """The made-up policies."""
    return checked(POLICIES, SCHEMA)


def checked(policies: str, schema: str) -> Bundle:
    """Policies as they would be loaded."""
    return build_bundle([("doc.cedar", policies)], ("schema.cedarschema", schema))


def shipped_texts() -> list[tuple[str, str]]:
    """The tables of this repository."""
    files = sorted((ROOT / DECISIONS).glob("*.yaml"))
    return [(f"{DECISIONS}/{file.name}", file.read_text(encoding="utf-8")) for file in files]


@cache
def shipped_cases() -> tuple[Case, ...]:
    """Their cases."""
    return read_tables(shipped_texts(), real_bundle(), real_catalogue())


def cases_of(text: str, bundle: Bundle | None = None, name: str = "table.yaml") -> tuple[Case, ...]:
    """The cases of one table."""
    return read_tables([(name, text)], bundle or real_bundle(), real_catalogue())


def folder_of(tmp_path: Path, policies: str, schema: str) -> Path:
    """A folder that can be loaded."""
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "doc.cedar").write_text(policies, encoding="utf-8")
    (folder / "schema.cedarschema").write_text(schema, encoding="utf-8")
    return folder
