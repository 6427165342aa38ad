"""What 100,000 recorded decisions cost to make again: run `python load/replay.py`, alone on the machine.

Three kinds of traffic, each decided by the shipped policies and read back from NDJSON in memory: `shop` (1,000 users of
20 tenants, 5,000 resources, the actions of a till), `distinct` (a context nobody had before in every decision, which no
memo helps with), and `clock` (the same with a policy that reads the time, so that nothing is remembered). ADR 0124
quotes it. The goal is about processor time, because a neighbour takes of the other. With `--count N` other than that,
with `--json` the figures as JSON.
"""

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from audit.codec import encode  # noqa: E402 - after the path
from audit.event import Actor, AuditEvent, Decision, Input, Kind, Phase, Producer, Request, Resource  # noqa: E402
from audit.ids import EventIds  # noqa: E402
from policies.engine import Engine  # noqa: E402
from policies.load import build_bundle, load_bundle, read_folder  # noqa: E402
from policies.memo import Memo  # noqa: E402
from policies.model import Entity, EntityUid, Json, Question  # noqa: E402
from policies.replay.decide import Replay  # noqa: E402
from policies.replay.record import Recorded, read  # noqa: E402
from policies.replay.tally import Tally  # noqa: E402
from roles.entities import principal_entities  # noqa: E402
from roles.load import load_catalogue  # noqa: E402
from roles.model import Principal  # noqa: E402

GOAL_S = 15.0
_USERS, _TENANTS, _RESOURCES = 1_000, 20, 5_000
_CLOCK = """
@id("office-hours") @reason("a policy that reads the time")
forbid (principal, action, resource) when { context.now < datetime("2000-01-01") };
"""


def lines(kind: str, count: int) -> Iterator[bytes]:
    """Recorded decisions."""
    bundle = load_bundle(ROOT / "policies")
    memo = Memo(Engine(bundle))
    catalogue = load_catalogue((ROOT / "roles/roles.toml").read_text(encoding="utf-8"), "roles.toml")
    dice, ids = random.Random(7), EventIds()
    actions = [name for name in bundle.actions if name.partition(":")[0] in {"order", "product", "inventory"}]
    plain = [name for name in actions if len(bundle.context_type(name)) == 2]
    for number in range(count):
        tenant = f"t-{dice.randrange(_TENANTS)}"
        user = Principal("dev", tenant, f"u-{dice.randrange(_USERS)}", (dice.choice(catalogue.offered),))
        action = "payment:refund" if kind == "distinct" else dice.choice(plain)
        resource = EntityUid(bundle.resource_types(action)[0], f"r-{dice.randrange(_RESOURCES)}")
        at = f"2026-11-23T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.{number % 1000:03}Z"
        context: dict[str, Json] = {"now": {"__extn": {"fn": "datetime", "arg": at}}, "cross_tenant": False}
        if kind == "distinct":
            context["amount"] = number
        entities = (*principal_entities(user, catalogue), Entity(resource, {"tenant": tenant}))
        question = Question(user.uid, action, resource, context, entities)
        answer, _ = memo.decide(question)
        yield encode(_event(question, user, answer.effect.value, answer.reasons, ids.next(), number, bundle.version))


def _event(
    question: Question, user: Principal, effect: str, reasons: tuple[str, ...], event_id: str, number: int, version: str
) -> AuditEvent:
    principal, resource = question.entities
    return AuditEvent(
        event_id=event_id,
        phase=Phase.SINGLE,
        event_type="authz.decision.evaluated",
        kind=Kind.DECISION,
        tenant_id=user.tenant_id,
        occurred_at="2026-11-23T15:00:00.000000Z",
        producer=Producer("gateway-w0", 1, number + 1),
        actor=Actor(type="user", id=user.sub, roles=user.roles, auth_method="bearer", issuer=user.issuer),
        action=question.action,
        crud="r",
        resource=Resource(question.resource.type, question.resource.id),
        decision=Decision(effect=effect, reasons=reasons, policy_version=version, duration_us=12),
        input=Input(
            principal={
                "type": principal.uid.type,
                "id": principal.uid.id,
                "attrs": dict(principal.attrs),
                "parents": [{"type": parent.type, "id": parent.id} for parent in principal.parents],
            },
            resource={"type": resource.uid.type, "id": resource.uid.id, "attrs": dict(resource.attrs)},
            context=dict(question.context),
            schema_version=load_version(),
        ),
        request=Request(method="GET", route="/orders/{id}", service="order"),
        trace_id=f"{number:032x}",
    )


def load_version() -> str:
    """The schema's."""
    return _VERSION


_VERSION = load_bundle(ROOT / "policies").schema_version


def replay(recorded: list[bytes], *, clock: bool) -> tuple[float, float, Tally]:
    """Decide them again as the command does; the seconds of processor and clock it took, loading included."""
    started, began = time.process_time(), time.perf_counter()
    files, schema = read_folder(ROOT / "policies")
    if clock:
        files.append(("clock.cedar", _CLOCK))
    deciding, tally = Replay(Memo(Engine(build_bundle(files, schema)))), Tally()
    for number, line in enumerate(recorded, 1):
        found = read(line)
        if not isinstance(found, Recorded):
            tally.left_out(found, number)
        elif tally.first_sight(found):
            tally.count(found, deciding.decide(found))
    return time.process_time() - started, time.perf_counter() - began, tally


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[sys.argv.index("--count") + 1]) if "--count" in sys.argv else 100_000
    figures = {}
    for kind in ("shop", "distinct", "clock"):
        recorded = list(lines("shop" if kind == "clock" else kind, count))
        seconds, passed, tally = replay(recorded, clock=kind == "clock")
        assert tally.same == count, (tally.same, tally.undecided()[:1])
        figures[kind] = {"cpu_s": round(seconds, 2), "wall_s": round(passed, 2), "us": round(seconds / count * 1e6, 1)}
        if "--json" not in sys.argv:
            verdict = "within" if seconds * 100_000 / count < GOAL_S else "beyond"
            each = seconds / count * 1e6
            took = f"{seconds:6.2f} s of processor ({passed:.2f} s passed), {each:6.1f} us each"
            print(f"{kind:9} {count} decisions in {took}: {verdict} the goal")
    if "--json" in sys.argv:
        print(json.dumps({"count": count, "goal_s": GOAL_S, "figures": figures}))


if __name__ == "__main__":
    main()
