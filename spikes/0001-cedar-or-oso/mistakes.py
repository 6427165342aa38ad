"""What a newcomer is told: the same nine mistakes in both languages, what each engine says, and when.

The engines as they come: what Lychgate's own loading adds to Cedar's messages (places, nearest names) is left out.
"""

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cedarpy
from grown import NOW, role_names
from world import KINDS, Asked, Tenant, User, bundle, registered

PRELUDE = """
allow(actor: User, asked: Asked, resource) if permitted(actor, asked.action, resource, asked.context);
has_role(user: User, name: String, tenant: Tenant) if user.tenant = tenant.name and name in user.roles;
"""
SHOWN = 200


@dataclass(frozen=True)
class Mistake:
    """One mistake.

    Attributes:
        name: What was done.
        cedar: The policy.
        polar: The rule.
        context: What the request says, besides the time and the setting.
    """

    name: str
    cedar: str
    polar: str
    context: Mapping[str, Any]


@dataclass(frozen=True)
class Said:
    """What came of it.

    Attributes:
        when: `load`, `validation`, `decision` or `never`.
        text: The message, on one line and cut.
    """

    when: str
    text: str


def mistakes() -> list[Mistake]:
    """All of them."""
    low, _ = role_names()
    permit = f'permit (principal in Role::"{low}", action == Action::"order:discount", resource)'
    rule = 'permitted(user: User, "order:discount", order: Order, context: Dictionary) if'
    holds = f'has_role(user, "{low}", order.tenant)'
    five: dict[str, Any] = {"percent": 5}
    return [
        Mistake(
            "an action misspelt",
            permit.replace("discount", "discuont") + ";",
            f"{rule.replace('discount', 'discuont').replace('context:', '_context:')} {holds};",
            five,
        ),
        Mistake(
            "a role misspelt",
            permit.replace(f'"{low}"', f'"{low}s"') + ";",
            f"{rule.replace('context:', '_context:')} {holds.replace(low, low + 's')};",
            five,
        ),
        Mistake(
            "an attribute misspelt",
            f"{permit} when {{ context.percnt <= 10 }};",
            f"{rule} {holds} and context.percnt <= 10;",
            five,
        ),
        Mistake(
            "a type misspelt",
            permit.replace("resource)", "resource is Ordr)") + ";",
            f"{rule.replace('order: Order', 'order: Ordr').replace('context:', '_context:')} {holds};",
            five,
        ),
        Mistake(
            "a number compared with a text",
            f'{permit} when {{ context.percent <= "10" }};',
            f'{rule} {holds} and context.percent <= "10";',
            five,
        ),
        Mistake("no semicolon at the end", permit, f"{rule.replace('context:', '_context:')} {holds}", five),
        Mistake(
            "a bracket not closed",
            permit.replace("resource)", "resource") + ";",
            f"{rule.replace('context:', '_context:')} {holds.removesuffix(')')};",
            five,
        ),
        Mistake(
            "an attribute misspelt in a rule that overrides",
            f"{permit}; forbid (principal, action, resource) when {{ context.percnt > 10 }};",
            f'{rule} not over("order:discount", context) and {holds};\n'
            "over(_: String, context: Dictionary) if context.percnt > 10;",
            {"percent": 90},
        ),
        Mistake(
            "a request without what the rule reads",
            f"{permit} when {{ context.percent <= 10 }};",
            f"{rule} {holds} and context.percent <= 10;",
            {},
        ),
    ]


def cedar_says(mistake: Mistake) -> Said:
    """Parse, check against the schema, ask: the first that complains."""
    try:
        policies = cedarpy.PolicySet.from_str(mistake.cedar)
    except ValueError as exc:
        return Said("load", _line(str(exc)))
    checked = cedarpy.validate_policies(mistake.cedar, bundle().schema.text)
    if not checked.validation_passed:
        return Said("validation", _line("; ".join(str(error.error) for error in checked.errors)))
    low, _ = role_names()
    context = {"now": NOW, "cross_tenant": False, **mistake.context}
    request = {
        "principal": 'User::"u"',
        "action": 'Action::"order:discount"',
        "resource": 'Order::"o"',
        "context": context,
    }
    entities: list[dict[str, Any]] = [
        {
            "uid": {"type": "User", "id": "u"},
            "attrs": {"issuer": "dev", "tenant": "acme", "sub": "u"},
            "parents": [{"type": "Role", "id": low}],
        },
        {"uid": {"type": "Order", "id": "o"}, "attrs": {"tenant": "acme"}, "parents": []},
    ]
    answer = cedarpy.is_authorized(request, policies, entities, bundle().schema.handle)
    if answer.diagnostics.errors:
        return Said("decision", _line(f"{answer.decision.name}: {'; '.join(answer.diagnostics.errors)}"))
    return Said("never", answer.decision.name)


def oso_says(mistake: Mistake) -> Said:
    """Load, ask: the first that complains. What it prints counts."""
    low, _ = role_names()
    oso = registered()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            oso.load_str(PRELUDE + mistake.polar)
        except Exception as exc:  # noqa: BLE001 - whatever it raises is what is looked at
            return Said("load", _line(f"{type(exc).__name__}: {exc}"))
        if printed.getvalue():
            return Said("load", _line(printed.getvalue()))
        user, order = User("dev", "acme", "u", [low]), KINDS["Order"]("o", Tenant("acme"))
        try:
            allowed = oso.is_allowed(user, Asked("order:discount", dict(mistake.context)), order)
        except Exception as exc:  # noqa: BLE001 - likewise
            return Said("decision", _line(f"{type(exc).__name__}: {exc}"))
    return Said("never", "Allow" if allowed else "Deny")


def table() -> list[dict[str, str]]:
    """Each mistake, and what the two say."""
    rows = []
    for mistake in mistakes():
        cedar, oso = cedar_says(mistake), oso_says(mistake)
        rows.append(
            {
                "mistake": mistake.name,
                "Cedar when": cedar.when,
                "Cedar says": cedar.text,
                "Oso when": oso.when,
                "Oso says": oso.text,
            }
        )
    return rows


def _line(text: str) -> str:
    low, _ = role_names()
    line = " ".join(text.split()).replace(low, "ROLE")  # names of roles stand in the catalogue only
    return line if len(line) <= SHOWN else line[: SHOWN - 3] + "..."
