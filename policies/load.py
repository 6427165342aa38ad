"""Policy files and a schema as text in, a checked `Bundle` out; the whole is refused on one error.

Called by the supervisor (from a folder) and by each worker (from the texts it was sent), because parsed policies cannot
be handed to another process.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePath
from typing import Final

import cedarpy

from policies.bundle import Bundle, Policy
from policies.depth import TOO_DEEP, TOO_MUCH, too_deep, too_deep_to_keep
from policies.errors import Finding, PolicyErrors
from policies.fit import refused
from policies.lexer import Statement, cut, locate
from policies.model import Effect, Json
from policies.pinpoint import pinpoint
from policies.schema import Schema

SCHEMA_FILE: Final = "schema.cedarschema"

# An id becomes part of messages, records and metrics, and is found again in Cedar's messages by its backticks.
_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_VALIDATION: Final = re.compile(r"^for policy `[^`]*`, ")
_IN_ACTION: Final = re.compile(r'Action::"(?:\\.|[^"\\])*"')

_UNKNOWN: Final = ("unknown-action", "unknown-entity-type")
_IMPOSSIBLE: Final = "impossible-scope"
_KINDS: Final = (
    ("unrecognized action", _UNKNOWN[0]),
    ("unrecognized entity type", _UNKNOWN[1]),
    ("unable to find an applicable action", _IMPOSSIBLE),
    ("access to optional attribute", "optional-attribute"),
    ("not found", "unknown-attribute"),
)
"""What Cedar's words about a policy that does not fit the schema contain, and the code of it."""

SourceText = tuple[str, str]
"""A file's name and its text."""


def load_bundle(folder: Path) -> Bundle:
    """Read and check a folder of policies.

    Raises:
        PolicyErrors: Something cannot be read, or as `build_bundle`.
    """
    return build_bundle(*read_folder(folder))


def read_folder(folder: Path) -> tuple[list[SourceText], SourceText]:
    """The `.cedar` files of a folder, sorted by name, and its schema.

    Raises:
        PolicyErrors: A file is missing or is not UTF-8, or there is no policy at all.
    """
    files: list[SourceText] = []
    findings: list[Finding] = []
    for path in [*sorted(folder.glob("*.cedar")), folder / SCHEMA_FILE]:
        try:
            files.append((path.name, path.read_text(encoding="utf-8")))
        except UnicodeDecodeError as exc:
            line = exc.object.count(b"\n", 0, exc.start) + 1
            findings.append(Finding(path.name, line, 0, "not UTF-8", "unreadable"))
        except OSError as exc:
            findings.append(Finding(path.name, 0, 0, f"cannot be read: {exc.strerror}", "unreadable"))
    if len(files) + len(findings) == 1:
        findings.append(Finding(str(folder), 0, 0, "no `.cedar` file here", "unreadable"))
    if findings:
        raise PolicyErrors(findings)
    *policies, schema = files
    return policies, schema


def build_bundle(files: Iterable[SourceText], schema: SourceText) -> Bundle:
    """Parse policies and check them, strictly, against their schema and against each other.

    Args:
        files: Name and text of each policy file; the stem of the name begins the ids of its policies.
        schema: Name and text of the schema.

    Returns:
        The bundle.

    Raises:
        PolicyErrors: One or more findings, each with its place.
    """
    parsed_schema = Schema(*schema)
    policies: list[tuple[Policy, Statement]] = []
    findings: list[Finding] = []
    seen: dict[str, Statement] = {}
    for name, text in files:
        for statement in cut(name, text):
            policy = _parsed(statement)
            if isinstance(policy, Finding):
                findings.append(policy)
            elif policy.id in seen:
                first = seen[policy.id]
                taken = f"the id `{policy.id}` is taken at {first.file}:{first.line}"
                findings.append(statement.finding(taken, code="policy-id"))
            else:
                seen[policy.id] = statement
                policies.append((policy, statement))
    findings.extend(_validation(policies, parsed_schema))
    if findings:
        raise PolicyErrors(findings)
    return Bundle((policy for policy, _ in policies), parsed_schema)


def policy_tree(text: str) -> dict[str, Json]:
    """One policy's text, which Cedar accepts, in Cedar's JSON form.

    Raises:
        ValueError: It is not the text of exactly one policy.
    """
    parsed: dict[str, dict[str, dict[str, Json]]] = json.loads(cedarpy.policies_to_json_str(text))
    (tree,) = parsed["staticPolicies"].values()
    return tree


def parse_findings(name: str, text: str) -> list[Finding]:
    """What Cedar cannot read in a policy file, schema or not."""
    return [found for statement in cut(name, text) if (found := _unreadable(statement)) is not None]


def _unreadable(statement: Statement) -> Finding | None:
    """Why Cedar cannot read a statement, or must not be shown it; None when it can."""
    if (deep := too_deep(statement.text)) is not None:
        return statement.finding(TOO_DEEP, deep.start, "too-deep")
    message = _refusal(statement.text)
    return locate(statement, message, _refusal) if message else None


def parse(statement: Statement) -> dict[str, Json] | Finding:
    """One statement in Cedar's JSON form of a policy, or why it is none."""
    if (found := _unreadable(statement)) is not None:
        return found
    parsed: dict[str, dict[str, dict[str, Json]]] = json.loads(cedarpy.policies_to_json_str(statement.text))
    if parsed["templates"]:
        return statement.finding("a template decides nothing; write the policy out", code="template")
    (tree,) = parsed["staticPolicies"].values()
    return statement.finding(TOO_MUCH, code="too-deep") if too_deep_to_keep(tree) else tree


def _parsed(statement: Statement) -> Policy | Finding:
    """One statement as a policy, or what is wrong with it by itself."""
    tree = parse(statement)
    if isinstance(tree, Finding):
        return tree
    annotations = tree.get("annotations", {})
    local_id, reason = (annotations.get(key) for key in ("id", "reason")) if isinstance(annotations, dict) else ("", "")
    stem = PurePath(statement.file).stem
    if not isinstance(local_id, str) or not local_id:
        return statement.finding("a policy without an `@id`", code="policy-id")
    if not _ID.fullmatch(local_id) or not _ID.fullmatch(stem):
        wrong = f"`{stem}.{local_id}` is not a policy id ({_ID.pattern} on both sides of the dot)"
        return statement.finding(wrong, code="policy-id")
    if not isinstance(reason, str) or not reason:
        return statement.finding(f"the policy `{local_id}` has no `@reason`", code="policy-reason")
    return Policy(
        id=f"{stem}.{local_id}",
        effect=Effect.ALLOW if tree["effect"] == "permit" else Effect.DENY,
        reason=reason,
        file=statement.file,
        line=statement.line,
        text=statement.text,
        tree=tree,
        column=statement.finding("").column,
    )


def _validation(policies: Sequence[tuple[Policy, Statement]], schema: Schema) -> Iterable[Finding]:
    """What the schema has against the policies. Only where it has something is it asked for all of it at once."""
    if not refused([(policy.text, policy.scope_actions) for policy, _ in policies], schema):
        return
    text = "\n".join(policy.text for policy, _ in policies)
    result = cedarpy.validate_policies(text, schema.handle, release_gil=True)
    grouped: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    for error in result.errors:
        message = _VALIDATION.sub("", error.error)
        number = int(error.policy_id.removeprefix("policy"))  # Cedar numbers policies in the order of the text
        grouped[number, _kind(error.error)].append(message)
    unknown = {number for (number, kind) in grouped if _code(kind) in _UNKNOWN}
    for (number, kind), messages in grouped.items():
        if number in unknown and _code(kind) == _IMPOSSIBLE:
            continue  # because of the name that nobody knows
        # A policy over many actions fails in each: the first in the alphabet speaks for all.
        others = f" (and {len(messages) - 1} more like it)" if len(messages) > 1 else ""
        policy, statement = policies[number]
        found = locate(statement, min(messages), _refusal)
        if (found.line, found.column) == (policy.line, policy.column):
            found = statement.finding(found.reason, pinpoint(policy.text, policy.tree, _refuses(schema, kind)))
        yield Finding(found.file, found.line, found.column, found.reason + others, _code(kind))


def _refuses(schema: Schema, kind: str) -> Callable[[str], bool]:
    """Whether the schema has the same against another policy."""

    def refuses(text: str) -> bool:
        errors = cedarpy.validate_policies(text, schema.handle, release_gil=True).errors
        return any(_kind(error.error) == kind for error in errors)

    return refuses


def _kind(message: str) -> str:
    """A message without the policy and the action it is about."""
    return _IN_ACTION.sub("", _VALIDATION.sub("", message))


def _code(message: str) -> str:
    """The kind of what the schema has against a policy. Cedar's library tells it by its words only."""
    return next((code for words, code in _KINDS if words in message), "type")


def _refusal(text: str) -> str | None:
    """Why a text is not a list of policies, or None."""
    try:
        cedarpy.PolicySet.from_str(text)
    except ValueError as exc:
        return str(exc)
    return None
