"""What `lychgate policy check` finds: everything `policies.load` refuses, and what only the whole shows."""

from collections.abc import Collection, Iterator
from pathlib import Path

from policies.bundle import Bundle
from policies.errors import Finding, PolicyErrors
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
    return sorted(finding for role in bundle.roles - set(roles) for finding in _mentions(bundle, role))


def _mentions(bundle: Bundle, role: str) -> Iterator[Finding]:
    literal = f'Role::"{role}"'
    for policy in bundle.policies.values():
        offset = policy.text.find(literal)
        if offset >= 0:
            line = policy.line + policy.text.count("\n", 0, offset)
            column = offset - (policy.text.rfind("\n", 0, offset) + 1) + 1
            yield Finding(policy.file, line, column, f"`{role}` is not a role of the catalogue")
