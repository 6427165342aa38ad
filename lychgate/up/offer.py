"""What a newcomer is given: a token per role, and three requests that show an allow, a refusal and the audit.

No role is named here. Who may what is found by asking the policies, so the three requests stay right when they change.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lychgate.errors import ConfigurationError
from lychgate.tokens import NAME, DevelopmentIssuer
from policies.engine import Engine
from policies.load import build_bundle
from policies.model import Entity, EntityUid, Json, Question
from policies.origin import Origin
from roles.catalogue import Catalogue
from roles.entities import principal_entities
from roles.missing import missing_role
from roles.model import PLATFORM_TENANT, Principal, Role

TENANT = "acme"
_SALE, _REFUND, _AUDIT = "order:create", "payment:refund", "audit:view_masked"
_INTENT = "pi-1001"
"""A payment of the sample data; a refusal says nothing about whether it is there."""


@dataclass(frozen=True, slots=True)
class Request:
    """One `curl` line: what it shows, and how it is made."""

    shows: str
    role: str
    path: str
    method: str = "GET"
    body: str = ""

    def line(self, gateway: str, token_file: Path) -> str:
        """As it is pasted into a shell."""
        url = shlex.quote(gateway + self.path)  # a question mark is a pattern to some shells
        how = f" -X {self.method} -H 'content-type: application/json' -d '{self.body}'" if self.body else ""
        return f'curl -sS -i{how} -H "authorization: Bearer $(cat {shlex.quote(str(token_file))})" {url}'


def subject(role: Role) -> str:
    """Who holds a role in the samples; a machine goes by its service's name."""
    return "integration" if role.machine else f"{role.name.lower()}-1"


def tokens(issuer: DevelopmentIssuer, catalogue: Catalogue, ttl_s: int) -> dict[str, str]:
    """One token per role that a token can carry, in catalogue order."""
    return {
        role.name: issuer.mint(
            roles=[role.name],
            tenant=PLATFORM_TENANT if role.cross_tenant else TENANT,
            user=subject(role),
            ttl_s=ttl_s,
        )
        for role in catalogue.roles
        if not role.anonymous
    }


def keep_tokens(folder: Path, given: Mapping[str, str]) -> dict[str, Path]:
    """Write the tokens where `curl` lines can take them from, for their owner only."""
    folder.mkdir(mode=0o700, exist_ok=True)
    files: dict[str, Path] = {}
    for role, token in given.items():
        files[role] = folder / role
        fresh = folder / f".{role}"
        fresh.touch(mode=0o600)
        fresh.write_text(token, encoding="ascii")
        fresh.rename(files[role])
    return files


def requests(policies: Origin, catalogue: Catalogue) -> tuple[Request, Request, Request]:
    """An allow, a refusal by the same person, and the audit of both.

    Raises:
        ConfigurationError: The policies let nobody do one of them, so there is nothing to show.
    """
    ask = _Asker(policies, catalogue)
    seller = ask.least(_SALE, {})
    reader = ask.least(_AUDIT, {})
    return (
        Request("an allow", seller, "/orders"),
        Request("a refusal", seller, f"/payments/intents/{_INTENT}/refunds", "POST", '{"amount": 1000}'),
        Request("the audit", reader, "/audit/events?limit=5"),
    )


class _Asker:
    """Asks the policies who may do something in the sample tenant."""

    def __init__(self, policies: Origin, catalogue: Catalogue) -> None:
        texts = policies.read()
        self._bundle = build_bundle(texts.policies, texts.schema)
        self._engine = Engine(self._bundle)
        self._catalogue = catalogue

    def least(self, action: str, context: Mapping[str, Json]) -> str:
        """The least role that is enough for an action: what somebody without any lacks."""
        nobody = Principal(NAME, TENANT, "nobody", ())
        resource = Entity(EntityUid(self._bundle.resource_types(action)[0], "*"), {"tenant": TENANT})
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")  # noqa: TID251
        question = Question(
            principal=nobody.uid,
            action=action,
            resource=resource.uid,
            context={"now": {"__extn": {"fn": "datetime", "arg": now}}, "cross_tenant": False, **context},
            entities=(*principal_entities(nobody, self._catalogue), resource),
        )
        role = missing_role(question, nobody, self._catalogue, self._engine.decide)
        if role is None:
            raise ConfigurationError(f"the policies let no role do {action}; there is nothing to show")
        return role
