"""Both engines over the same role model and questions: Cedar as the gateway asks it, Oso as its library does."""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from oso import Oso  # noqa: E402

from policies.bundle import Bundle  # noqa: E402
from policies.engine import Engine  # noqa: E402
from policies.load import load_bundle  # noqa: E402
from policies.model import Effect  # noqa: E402
from roles.catalogue import Catalogue  # noqa: E402
from roles.load import load_catalogue  # noqa: E402
from roles.tables.case import Case  # noqa: E402
from roles.tables.read import read_tables  # noqa: E402

POLAR = Path(__file__).with_name("retail.polar")
TABLES = ROOT / "tests" / "cases" / "decisions"


@dataclass(frozen=True)
class Tenant:
    """One tenant."""

    name: str


@dataclass(frozen=True)
class User:
    """Who asks, with the roles of the token; which roles come with which is the policy's to say."""

    issuer: str
    tenant: str
    sub: str
    roles: list[str] = field(hash=False)


@dataclass(frozen=True)
class Asked:
    """What is asked for, and what is said about the request."""

    action: str
    context: dict[str, Any] = field(hash=False)


@dataclass(frozen=True)
class Thing:
    """What is asked about."""

    id: str
    tenant: Tenant


KINDS: dict[str, type[Thing]] = {
    name: type(name, (Thing,), {})
    for name in (
        *("Product", "Order", "Stock", "LoyaltyAccount", "Payment", "Customer", "Integration", "AuditLog", "Gateway"),
    )
}


@cache
def bundle() -> Bundle:
    """The policies of the repository."""
    return load_bundle(ROOT / "policies")


@cache
def catalogue() -> Catalogue:
    """Its roles."""
    return load_catalogue((ROOT / "roles/roles.toml").read_text(encoding="utf-8"), "roles.toml")


@cache
def cases() -> tuple[Case, ...]:
    """Every case of its decision tables."""
    texts = [(str(file), file.read_text(encoding="utf-8")) for file in sorted(TABLES.glob("*.yaml"))]
    return tuple(read_tables(texts, bundle(), catalogue()))


def cedar() -> Engine:
    """Cedar, over the real policies."""
    return Engine(bundle())


def registered(kinds: Iterable[type[Any]] = tuple(KINDS.values())) -> Oso:
    """Oso, that knows the classes and no rules."""
    oso = Oso()
    for each in (Tenant, User, Asked, *kinds):
        oso.register_class(each)
    return oso


def polar() -> Oso:
    """Oso, over the same role model."""
    oso = registered()
    oso.load_str(POLAR.read_text(encoding="utf-8"))
    return oso


def asked(case: Case) -> tuple[User, Asked, Thing]:
    """A case's question as Oso takes it."""
    question, caller = case.question, case.caller
    if caller is None:
        raise ValueError(f"{case.place}: a principal without roles")
    attrs = next((it.attrs for it in question.entities if it.uid == question.resource), {})
    user = User(caller.issuer, caller.tenant_id, caller.sub, list(caller.roles))
    resource = KINDS[question.resource.type](question.resource.id, Tenant(str(attrs["tenant"])))
    context = {name: value for name, value in question.context.items() if name != "now"}
    return user, Asked(question.action, context), resource


def decided(oso: Oso, case: Case) -> bool:
    """Oso's answer."""
    return bool(oso.is_allowed(*asked(case)))


def mismatches(engine: Engine, oso: Oso) -> list[str]:
    """Every case that one of the two answers otherwise than the tables."""
    found = []
    for case in cases():
        said = {"Cedar": engine.decide(case.question).effect is Effect.ALLOW, "Oso": decided(oso, case)}
        wanted = case.expect is Effect.ALLOW
        found += [f"{name}: {case.name} ({case.place})" for name, answer in said.items() if answer != wanted]
    return found


def lines_of(text: str) -> int:
    """Lines that say something."""
    return sum(1 for line in text.splitlines() if line.strip() and not re.match(r"\s*(?:#|//)", line))
