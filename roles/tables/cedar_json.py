r"""One case of a file for `cedar run-tests` in, a `Case` out. Pure.

    {"name": "...", "request": {"principal": "User::"alice"", "action": "...", "resource": "...", "context": {}},
     "entities": [...], "decision": "allow", "reason": ["doc.owner"], "num_errors": 0}

Nothing is filled in: such a file says everything. Policies are named as here, `<file>.<@id>`; the bare `@id` will do
where only one policy has it.
"""

import re
from typing import Final

from policies.bundle import Bundle
from policies.lexer import unquoted
from policies.model import EntityUid, Question
from roles.tables.case import Case
from roles.tables.case_list import known_action
from roles.tables.context import misfit
from roles.tables.document import Node, Refused
from roles.tables.fields import Fields, entities, uid

_KEYS: Final = ("name", "request", "entities", "decision", "reason", "num_errors")
_REQUEST: Final = ("principal", "action", "resource", "context")
_UID: Final = re.compile(r'((?:[A-Za-z_][A-Za-z0-9_]*::)+)("(?:\\.|[^"\\])*")', re.DOTALL)


def read_cedar_case(file: str, node: Node, number: int, bundle: Bundle) -> Case:
    """Read one case.

    Args:
        file: For messages.
        node: The case.
        number: Its place in the list, from 1; its name where it has none.
        bundle: Says which actions and policies there are.

    Raises:
        Refused: It is not one, or is about an action that is not there.
    """
    fields = Fields(file, node, "a case", _KEYS)
    request = Fields(file, fields.node("request"), "a request", _REQUEST)
    action = known_action(file, request.node("action"), _uid(request, "action"), bundle)
    principal, resource = _uid(request, "principal"), _uid(request, "resource")
    context = request.json("context")
    if reason := misfit(context, bundle.schema.actions[action].context):
        request.refuse("context", reason)
    errors = fields.node("num_errors").value if "num_errors" in fields else 0
    if not isinstance(errors, int) or isinstance(errors, bool):
        fields.refuse("num_errors", "`num_errors` is a number")
    asked = Question(
        principal=principal,
        action=action.id,
        resource=resource,
        context=context,
        entities=entities(file, fields.nodes("entities")),
    )
    reasons = frozenset(_full(name, bundle) for name in fields.texts("reason")) if "reason" in fields else None
    return Case(
        name=fields.text("name", f"case {number}"),
        file=file,
        line=node.line,
        action=action,
        question=asked,
        caller=None,
        expect=fields.effect("decision"),
        policies=reasons,
        errors=errors,
    )


def _uid(fields: Fields, key: str) -> EntityUid:
    """`Type::"id"` as one text, or in parts."""
    node = fields.node(key)
    if not isinstance(node.value, str):
        return uid(fields.file, node)
    found = _UID.fullmatch(node.value)
    if found is None:
        raise Refused(fields.file, node, f'`{node.value}` is not an entity\'s name (Type::"id")')
    return EntityUid(found[1].removesuffix("::"), unquoted(found[2]))


def _full(name: str, bundle: Bundle) -> str:
    """A policy's id, by its `@id` alone where that is enough."""
    same = [full for full in bundle.policies if full.partition(".")[2] == name]
    return same[0] if len(same) == 1 and name not in bundle.policies else name
