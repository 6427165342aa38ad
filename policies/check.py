"""What `lychgate policy check` finds: everything `policies.load` refuses, and what only the whole shows."""

from collections.abc import Collection
from pathlib import Path

from policies.bundle import Bundle, Policy
from policies.errors import Finding, PolicyErrors
from policies.lexer import Statement, locate
from policies.load import load_bundle


def check_folder(folder: Path, roles: Collection[str] | None = None) -> list[Finding]:
    """Check a folder of policies.

    Args:
        folder: With `*.cedar` files and `schema.cedarschema`.
        roles: The names of the role catalogue; None where there is none to compare with.

    Returns:
        Every finding, sorted by place; empty when all is well.
    """
    try:
        bundle = load_bundle(folder)
    except PolicyErrors as exc:
        return list(exc.findings)
    return check_roles(bundle, roles) if roles is not None else []


def check_roles(bundle: Bundle, roles: Collection[str]) -> list[Finding]:
    """Roles the policies name and the catalogue does not: such a policy would never apply, and nobody would notice."""
    return sorted(
        _mention(policy, role) for policy in bundle.policies.values() for role in policy.roles.difference(roles)
    )


def _mention(policy: Policy, role: str) -> Finding:
    """Where a policy names a role; its start where the name is spelled oddly."""
    statement = Statement(policy.file, policy.text, 0, len(policy.text))
    found = locate(statement, f'`Role::"{role}"`', str)
    return Finding(policy.file, policy.line + found.line - 1, found.column, f"`{role}` is not a role of the catalogue")
