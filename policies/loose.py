"""Policies from anywhere in, a `Bundle` out: neither ids nor reasons are asked for, and they need not fit their schema.

For `lychgate policy decide`, which answers what somebody else's policies would. The gateway never loads policies like
this: `policies.load` does, which refuses what is let through here.
"""

from collections.abc import Iterable

from policies.bundle import Bundle, Policy
from policies.errors import Finding, PolicyErrors
from policies.lexer import Statement, cut
from policies.load import SourceText, parse
from policies.model import Effect
from policies.schema import Schema


def loose_bundle(files: Iterable[SourceText], schema: SourceText) -> Bundle:
    """Parse policies and their schema.

    Args:
        files: Name and text of each policy file, in order.
        schema: Name and text of the schema.

    Returns:
        The bundle. A policy's id is its `@id`; where it has none `policy<n>`, n being its place over all files, from 0,
        as Cedar numbers them.

    Raises:
        PolicyErrors: Something does not parse, is a template, or two policies have one id.
    """
    parsed = Schema(*schema)
    statements = [statement for name, text in files for statement in cut(name, text)]
    policies: dict[str, Policy] = {}
    findings: list[Finding] = []
    for number, statement in enumerate(statements):
        policy = _parsed(number, statement)
        if isinstance(policy, Finding):
            findings.append(policy)
        elif policy.id in policies:
            first = policies[policy.id]
            findings.append(statement.finding(f"the id `{policy.id}` is taken at {first.file}:{first.line}"))
        else:
            policies[policy.id] = policy
    if findings:
        raise PolicyErrors(findings)
    return Bundle(policies.values(), parsed)


def _parsed(number: int, statement: Statement) -> Policy | Finding:
    """One statement as a policy, or what is wrong with it."""
    tree = parse(statement)
    if isinstance(tree, Finding):
        return tree
    annotations = tree.get("annotations")
    written = annotations.get("id") if isinstance(annotations, dict) else None
    reason = annotations.get("reason") if isinstance(annotations, dict) else None
    return Policy(
        id=written if isinstance(written, str) and written else f"policy{number}",
        effect=Effect.ALLOW if tree["effect"] == "permit" else Effect.DENY,
        reason=reason if isinstance(reason, str) else "",
        file=statement.file,
        line=statement.line,
        text=statement.text,
        tree=tree,
    )
