"""What a decision costs: run `python load/decision.py`, alone on the machine.

Interleaved rounds, medians, so that a busy neighbour hurts every variant alike. ADR 0011 quotes it.
"""

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import cedarpy
import msgspec

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from policies.engine import Engine  # noqa: E402 - after the path
from policies.load import load_bundle  # noqa: E402
from policies.memo import Memo  # noqa: E402
from policies.model import Entity, EntityUid, Question  # noqa: E402
from roles.entities import principal_entities  # noqa: E402
from roles.load import load_catalogue  # noqa: E402
from roles.missing import missing_role  # noqa: E402
from roles.model import Principal  # noqa: E402
from roles.security_context.claims import SecurityContext, target_hash  # noqa: E402
from roles.security_context.keys import new_private_jwk  # noqa: E402
from roles.security_context.signer import ContextSigner  # noqa: E402
from roles.security_context.verifier import ContextVerifier  # noqa: E402

ROUNDS = 15
CALLS = 200
NOW = {"__extn": {"fn": "datetime", "arg": "2026-11-23T15:00:00.000Z"}}


def variants() -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    bundle = load_bundle(ROOT / "policies")
    catalogue = load_catalogue((ROOT / "roles/roles.toml").read_text(encoding="utf-8"), "roles.toml")
    engine = Engine(bundle)
    memo = Memo(engine)
    seller = catalogue.offered[0]
    resource = Entity(EntityUid("Payment", "p-1"), {"tenant": "acme"})
    context = {"now": NOW, "cross_tenant": False, "amount": 1999}
    cashier = Principal("dev", "acme", "u-2", (seller,))
    refused = Question(
        cashier.uid, "payment:refund", resource.uid, context, (*principal_entities(cashier, catalogue), resource)
    )
    enough = missing_role(refused, cashier, catalogue, engine.decide)
    assert enough is not None
    principal = Principal("dev", "acme", "u-1", (enough,))
    user = principal_entities(principal, catalogue)
    question = Question(principal.uid, "payment:refund", resource.uid, context, (*user, resource))
    request = {
        "principal": {"type": "User", "id": principal.uid.id},
        "action": {"type": "Action", "id": question.action},
        "resource": {"type": "Payment", "id": "p-1"},
        "context": msgspec.json.encode(context).decode(),
    }
    text = "\n".join(policy.text for policy in bundle.policies.values())
    whole = cedarpy.PolicySet.from_str(text)
    sliced = engine._slices[EntityUid("Action", question.action)]  # noqa: SLF001 - to measure a part of the engine
    entities = msgspec.json.encode(question.entities).decode()
    handle = cedarpy.Entities.from_json_str(entities)
    hierarchy = [
        Entity(principal.uid, user[0].attrs, (EntityUid("Role", enough),)),
        *(
            Entity(EntityUid("Role", role.name), {}, tuple(EntityUid("Role", name) for name in role.includes))
            for role in catalogue.roles
        ),
        resource,
    ]
    roles_as_entities = msgspec.structs.replace(question, entities=tuple(hierarchy))
    schema = bundle.schema.handle
    return {
        "policies and schema as text": lambda: cedarpy.is_authorized(request, text, entities, bundle.schema.text),
        "policies as text": lambda: cedarpy.is_authorized(request, text, entities, schema),
        f"all {len(bundle.policies)} policies, parsed": lambda: cedarpy.is_authorized(request, whole, entities, schema),
        "the engine: sliced by action": lambda: engine.decide(question),
        "the memo, a hit": lambda: memo.decide(question),
        "the engine, roles as entities": lambda: engine.decide(roles_as_entities),
        "sliced, entities parsed before": lambda: cedarpy.is_authorized(request, sliced, handle, schema),
        "a refusal": lambda: engine.decide(refused),
        "its missing role": lambda: missing_role(refused, cashier, catalogue, engine.decide),
        "principal_entities": lambda: principal_entities(principal, catalogue),
        **context_variants(),
    }


def context_variants() -> dict[str, Callable[[], object]]:
    """Signing and verifying a security context, by algorithm."""
    now = 1_795_000_000
    found: dict[str, Callable[[], object]] = {}
    for alg in ("EdDSA", "ES256", "HS256"):
        audience = "order" if alg == "HS256" else "*"
        signer = ContextSigner("lychgate", 60, {audience: new_private_jwk(alg)}, alg)
        claims = SecurityContext(
            iss="lychgate",
            aud="order",
            sub="u-1",
            tenant_id="acme",
            roles=("Role",),
            trace_id="a" * 32,
            policy_version="0" * 16,
            iat=now,
            exp=now + 60,
            jti="018f0000-0000-7000-8000-000000000001",
            htm="POST",
            htp=target_hash(b"/orders"),
        )
        token, keys, verifier = signer.sign(claims), signer.trusted_keys("order"), ContextVerifier("lychgate", "order")
        found[f"sign a context, {alg}"] = lambda signer=signer, claims=claims: signer.sign(claims)  # type: ignore[misc]
        found[f"verify a context, {alg}"] = lambda verifier=verifier, token=token, keys=keys: verifier.verify(  # type: ignore[misc]
            token, keys, now
        )
    return found


def main() -> None:
    """Measure, print a table, and with `--json` the figures as JSON."""
    measured: dict[str, list[float]] = {}
    chosen = variants()
    for _ in range(ROUNDS):
        for name, call in chosen.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                call()
            measured.setdefault(name, []).append((time.perf_counter() - start) / CALLS * 1e6)
    medians = {name: round(statistics.median(times), 1) for name, times in measured.items()}
    if "--json" in sys.argv:
        machine = {"python": platform.python_version(), "cedarpy": version("cedarpy"), "machine": platform.machine()}
        print(json.dumps({"unit": "us", "machine": machine, "medians": medians}))
        return
    for name, median in medians.items():
        print(f"{median:9.1f} us  {name}  (best {min(measured[name]):.1f})")


if __name__ == "__main__":
    main()
