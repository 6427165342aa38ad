"""Questions to the real policies, as the gateway would ask them."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from policies.bundle import Bundle
from policies.engine import Engine
from policies.load import load_bundle
from policies.model import Entity, EntityUid, Json, Question
from roles.catalogue import Catalogue
from roles.entities import principal_entities
from roles.load import load_catalogue
from roles.model import Principal

ROOT = Path(__file__).parents[2]
NOW: Json = {"__extn": {"fn": "datetime", "arg": "2026-11-23T15:00:00.000Z"}}


@cache
def real_bundle() -> Bundle:
    """The policies of this repository."""
    return load_bundle(ROOT / "policies")


@cache
def real_engine() -> Engine:
    """An engine over them."""
    return Engine(real_bundle())


@cache
def real_catalogue() -> Catalogue:
    """The roles of this repository."""
    return load_catalogue((ROOT / "roles/roles.toml").read_text(encoding="utf-8"), "roles.toml")


def make_principal(roles: Iterable[str], tenant: str = "acme", sub: str = "u-1", issuer: str = "dev") -> Principal:
    """A caller with these roles of ours."""
    return Principal(issuer, tenant, sub, tuple(roles))


def make_question(
    principal: Principal,
    action: str,
    *,
    of: str | None = None,
    resource_type: str | None = None,
    resource_id: str = "r-1",
    context: dict[str, Json] | None = None,
) -> Question:
    """What `principal` asks about a resource of the tenant `of` (its own, when not given)."""
    kind = resource_type or real_bundle().resource_types(action)[0]
    resource = Entity(EntityUid(kind, resource_id), {"tenant": principal.tenant_id if of is None else of})
    return Question(
        principal=principal.uid,
        action=action,
        resource=resource.uid,
        context={"now": NOW, "cross_tenant": False, **(context or {})},
        entities=(*principal_entities(principal, real_catalogue()), resource),
    )
