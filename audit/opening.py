"""A service's audit producer, opened in one call.

    audit = open_producer("order", spool=Path("/var/lib/lychgate/spool"), calls=current_context)
    ...
    audit.close()

Who delivers what is spooled: the gateway's relay, for the folders below its `audit.spool.folder` on its own machine;
elsewhere `lychgate relay`, which a service runs beside itself.
"""

from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from audit.caller import WhoCalls
from audit.emit import Emitter
from audit.errors import SpoolBusy
from audit.limits import SpoolLimits
from audit.metrics import EmitMetrics
from audit.producer import AuditProducer
from audit.redact import Rules, WriteRedactor


def open_producer(
    service: str,
    *,
    spool: Path,
    calls: WhoCalls | None = None,
    rules: Rules | None = None,
    limits: SpoolLimits | None = None,
    registry: CollectorRegistry | None = None,
    slots: int = 1,
) -> AuditProducer:
    """Open a folder of the service's own below `spool`, and emit into it.

    Open it in the process that emits: a server that forks its workers opens it in each of them, after the fork. Each
    needs a folder of its own, so say how many there are at most (`slots`), and each takes the first that is free.

    Args:
        service: Its name.
        spool: Where each producer has its folder; local disk that outlives the process.
        calls: Says whose request is being served: `roles.security_context.current_context`.
        rules: What never reaches the disk; without them what `audit.redaction` has by default, enforced.
        limits: How much the folder may hold.
        registry: Where it counts; without one, nowhere.
        slots: How many processes of this service there may be on this machine.

    Returns:
        A producer, to be closed: `close()`, or `await aclose()` in a loop.

    Raises:
        SpoolBusy: Every slot is taken.
        SpoolUnavailable: The folder cannot be made or written.
    """
    if rules is None:
        from audit.settings import RedactionSettings

        rules = RedactionSettings().rules()
    limits = limits or SpoolLimits()
    metrics = EmitMetrics(registry or CollectorRegistry())
    redactor = WriteRedactor.of(rules)
    names = [f"svc-{service}"] if slots == 1 else [f"svc-{service}-{slot}" for slot in range(slots)]
    if slots > 1:
        limits = msgspec.structs.replace(limits, lock_wait_s=0.0)
    busy = SpoolBusy(f"service {service}: no slot")
    for name in names:
        try:
            emitter = Emitter(spool / name, name, limits=limits, redactor=redactor, metrics=metrics)
        except SpoolBusy as exc:
            busy = exc
            continue
        return AuditProducer(emitter, service=service, calls=calls)
    raise busy
