"""Every kind of finding, by its code: how grave it is, what it means, what to do. The one list of them."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec


class Severity(StrEnum):
    """What becomes of files with a finding."""

    ERROR = "error"
    """The gateway refuses them, too."""
    WARNING = "warning"
    """Only a check names it."""


class Kind(msgspec.Struct, frozen=True, gc=False):
    """One kind of finding.

    Attributes:
        severity: Whether the gateway refuses it.
        meaning: What is wrong, in a sentence.
        remedy: What to do, in a sentence.
    """

    severity: Severity
    meaning: str
    remedy: str


def _error(meaning: str, remedy: str) -> Kind:
    return Kind(Severity.ERROR, meaning, remedy)


def _warning(meaning: str, remedy: str) -> Kind:
    return Kind(Severity.WARNING, meaning, remedy)


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "unreadable": _error(
            "A file is missing, cannot be read or is not UTF-8, or there is no policy at all.",
            "Name the right folder, or save the file as UTF-8.",
        ),
        "schema": _error(
            "The schema is not one: it does not parse, or names a type that is not there.",
            "Correct the word at the place named.",
        ),
        "syntax": _error(
            "Cedar cannot read the policy.",
            "Correct the word at the place named; what may stand where is Cedar's grammar.",
        ),
        "too-deep": _error(
            "A policy or the schema nests so deep, by brackets or operators in a row, that reading it would be a risk.",
            "Ask a set, `principal in [...]` or `[...].contains(context.x)`, or write two policies.",
        ),
        "template": _error(
            "A template decides nothing.",
            "Write the policy out, with a principal and a resource instead of `?principal` and `?resource`.",
        ),
        "policy-id": _error(
            "A policy has no `@id`, one of another form, or one that is taken in the same file.",
            "Give it an `@id` of lower-case letters, digits, `-` and `_`, once a file.",
        ),
        "policy-reason": _error(
            "A policy does not say why it is there.",
            "Add `@reason`, a sentence for whoever is refused by it or reads the audit.",
        ),
        "unknown-action": _error(
            "A policy names an action that the schema does not declare.",
            "Correct the name, or declare the action.",
        ),
        "unknown-entity-type": _error(
            "A policy names an entity type that the schema does not declare.",
            "Correct the name, or declare the type.",
        ),
        "unknown-attribute": _error(
            "A policy reads an attribute that the schema does not declare there.",
            "Correct the name, declare the attribute, or narrow the scope to actions that have it.",
        ),
        "optional-attribute": _error(
            "A policy reads an attribute that may be absent, and does not ask first.",
            "Write `x has a && x.a …`.",
        ),
        "impossible-scope": _error(
            "No action applies to the principal and the resource of the scope.",
            "Change the scope, or what the action applies to.",
        ),
        "type": _error(
            "An expression has another type than its place needs.",
            "Compare like with like; conditions are Booleans.",
        ),
        "routes": _error(
            "The routes file is not one, or an entry in it cannot even refuse its path.",
            "Correct the entry; `docs/reference/routes.md` has every key.",
        ),
        "route": _error(
            "A route cannot be used: the gateway answers its paths with 503.",
            "Correct the entry, or the schema it is held against.",
        ),
        "same-routes": _error(
            "Two routes match exactly the same requests.",
            "Remove one, or tell them apart by method or by a literal segment.",
        ),
        "crossing-routes": _warning(
            "A request matches two routes, neither of which is the narrower one; the left-most literal segment wins.",
            "Add a route for the path in common, or rename a segment.",
        ),
        "unknown-role": _error(
            "A policy names a role that is not in the catalogue: nobody can have it, so it is a typing error.",
            "Correct the name, or add the role to `roles.toml`.",
        ),
        "idle-role": _warning(
            "No policy names the role or one that comes with it.",
            "Write the policy, or take the role out of the catalogue.",
        ),
        "never-applies": _warning(
            "The conditions can never hold together, whatever is asked.",
            "Correct the condition: a permit like this gives nothing, a forbid protects nothing.",
        ),
        "shadowed": _warning(
            "Whatever the policy says, another says already.",
            "Remove it, or make it say what it was meant to.",
        ),
        "overruled": _warning(
            "Whatever the permit gives, a forbid takes.",
            "Remove it, or narrow the forbid.",
        ),
        "forbid-can-fail": _warning(
            "A forbid that cannot be evaluated denies: with certain values it denies what it was not written for.",
            "Bound the values first (`x.a < 1000 && …`), or compare without arithmetic.",
        ),
        "entity-not-given": _warning(
            "An attribute of an entity is read that is neither principal nor resource: the gateway gives Cedar no "
            "other, so that the evaluation fails.",
            "Ask `x.owner has name` first, or put the value into the context or the resource.",
        ),
        "unreached-policy": _warning(
            "No route, and nothing that the gateway or the query API asks by itself, can make the policy apply.",
            "Add the route, or remove the policy.",
        ),
        "route-without-permit": _warning(
            "No permit can ever allow the route, whichever roles the caller has.",
            "Write the permit, or remove the route.",
        ),
        "anonymous-never-passes": _warning(
            "The route lets callers without a credential ask, and no permit can ever allow them.",
            "Write a permit for the anonymous role, or take `anonymous` out of the route.",
        ),
        "bad-suppression": _warning(
            "A comment that should silence a finding cannot: no reason, a code that is unknown or that the gateway "
            "refuses, or no policy or route directly below.",
            "Write `// lychgate: allow CODE why it is right`, in the lines above the policy.",
        ),
        "idle-suppression": _warning(
            "A comment silences a finding that is not there.",
            "Remove the comment.",
        ),
    }
)
"""In the order of the way from file to request."""

CODES: Final = frozenset(KINDS)
