"""The process that emits: `python -m load.audit.emitting FOLDER COUNT RATE`.

Events are of four tenants in turn, 970 bytes each, of which nearly every value differs. When it is done it prints
one line of JSON and waits for its input to end, so that its memory can be looked at; the time of each event is left in
`emitted.bin` beside the folder, eight bytes of nanoseconds each, in order of the numbers.
"""

import json
import sys
import time
from array import array
from pathlib import Path

from audit.codec import timestamp
from audit.emit import Emitter
from audit.event import Actor, AuditEvent, Client, Decision, Input, Kind, Outcome, Phase, Request, Resource
from audit.limits import SpoolLimits
from audit.redact import WriteRedactor

TENANTS = ("acme", "globex", "initech", "umbrella")
_LIMITS = SpoolLimits(max_bytes=4 << 30)
_SLICE_S = 0.005
_ROOM_BYTES = 24 << 20  # of the queue's 32 MiB: beyond it a producer as fast as this one would be shed


def event(emitter: Emitter, number: int) -> AuditEvent:
    """One decision of a read, as the gateway writes it."""
    now_ns = time.time_ns()
    stamp = emitter.stamp()
    tenant = TENANTS[number % len(TENANTS)]
    user = f"u-{number % 1000}"
    order = f"o-{number % 5000}"
    return AuditEvent(
        event_id=stamp.event_id,
        phase=Phase.SINGLE,
        event_type="authz.decision.evaluated",
        kind=Kind.DECISION,
        tenant_id=tenant,
        occurred_at=timestamp(now_ns),
        producer=stamp.producer,
        actor=Actor("user", user, ("Tester",), "jwt", "dev"),
        client=Client(f"10.0.{number % 250}.{number % 200}", "curl/8.5.0"),
        action="order:read",
        crud="r",
        resource=Resource("Order", order),
        decision=Decision(
            "allow", ("order.tester-reads",), policy_version="4f1d6c2a9b30", memo_hit=True, duration_us=3
        ),
        input=Input(
            principal={"type": "User", "id": f"dev/{tenant}/{user}", "roles": ["Tester"]},
            resource={"type": "Order", "id": order, "tenant": tenant},
            context={"method": "GET", "mfa": False},
            schema_version="9c1e44",
        ),
        outcome=Outcome.SUCCESS,
        status=200,
        latency_us=300 + number % 700,
        request=Request("GET", "/orders/{order_id}", "order"),
        trace_id=f"{number:032x}",
    )


def main() -> None:
    """Emit as told."""
    folder, count, rate = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    emitter = Emitter(folder, folder.name, limits=_LIMITS, redactor=WriteRedactor({}))
    at = array("q", bytes(8 * count))  # at once: its memory must not look like the emitter's
    began = time.monotonic()
    shed = 0
    for number in range(count):
        if rate and number >= rate * (time.monotonic() - began):
            time.sleep(_SLICE_S)
        if number % 256 == 0:
            while emitter._commit._queue_bytes > _ROOM_BYTES:  # noqa: SLF001  # how full it is nobody else needs to ask
                time.sleep(_SLICE_S)
        made = event(emitter, number)
        at[number] = time.time_ns()
        shed += not emitter.emit(made)
    took = time.monotonic() - began
    (folder.parent / "emitted.bin").write_bytes(at.tobytes())
    print(json.dumps({"seconds": took, "shed": shed}), flush=True)
    sys.stdin.read()
    emitter.close()


if __name__ == "__main__":
    main()
