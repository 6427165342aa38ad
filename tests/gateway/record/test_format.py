"""A record made from a format is the record its values would have made."""

import pytest

from audit.codec import decode, encode
from audit.event import AuditEvent, Phase, Producer
from gateway.case import Case
from gateway.record import entry
from gateway.record.format import COMPLETED, COMPLETED_BODY, DECIDED, SINGLE, marked, record_format
from policies.model import Answer, Effect, Entity, EntityUid, Question
from tests.builders.heads import EVENT, TRACE, make_case, make_head

RESOURCE = EntityUid("Order", "o-1")
NOW = "2026-11-25T20:00:00.123Z"


def allowed(**changes: object) -> Case:
    """An allowed read."""
    user = EntityUid("User", "dev/acme/u-1")
    question = Question(
        user,
        "order:read",
        RESOURCE,
        {"amount": 5, "now": {"__extn": {"fn": "datetime", "arg": NOW}}, "cross_tenant": False},
        (Entity(user, {"tenant": "acme"}, (EntityUid("Role", "Cashier"),)), Entity(RESOURCE, {"tenant": "acme"})),
    )
    case = make_case()
    case.question, case.memo_hit, case.status = question, True, 200
    case.answer = Answer(Effect.ALLOW, ("order.cashier-reads",))
    for name, value in changes.items():
        setattr(case, name, value)
    return case


def long_way(case: Case, phase: Phase, producer: Producer) -> AuditEvent:
    """The record, from its values."""
    if phase is Phase.COMPLETED:
        return entry.completed(case, producer, "2026-11-25T20:00:01.000000Z", 1234)
    if phase is Phase.DECIDED:
        return entry.decided(case, producer, "2026-11-25T20:00:01.000000Z", "v1", "s1")
    return entry.single(case, producer, "2026-11-25T20:00:01.000000Z", 1234, "v1", "s1")


@pytest.mark.parametrize(
    ("phase", "order", "size"),
    [
        (Phase.SINGLE, SINGLE, 0),
        (Phase.DECIDED, DECIDED, 0),
        (Phase.COMPLETED, COMPLETED, 0),
        (Phase.COMPLETED, COMPLETED_BODY, 77),
    ],
)
def test_a_format_gives_the_same_bytes(phase: Phase, order: tuple[object, ...], size: int) -> None:
    """To the byte, for each phase."""
    case = allowed(request_bytes=size)
    producer = Producer("gateway-1", 3, 99)
    payload = encode(marked(case, phase, producer, "v1", "s1"))
    form = record_format(payload, order)
    assert form is not None
    event, at = EVENT.encode(), b"2026-11-25T20:00:01.000000Z"
    ends = {
        SINGLE: (case.peer.ip.encode(), b"o-1", b"o-1", NOW.encode(), 1234, TRACE.encode()),
        DECIDED: (case.peer.ip.encode(), b"o-1", b"o-1", NOW.encode(), TRACE.encode()),
        COMPLETED: (1234, TRACE.encode()),
        COMPLETED_BODY: (1234, 77, TRACE.encode()),
    }
    made = form % (event, at, 99, *ends[order])
    assert made == encode(long_way(case, phase, producer))
    assert decode(made).producer.seq == 99


def test_a_record_with_other_values_has_no_format() -> None:
    """One mark more, fewer or elsewhere, and the record is made from its values."""
    payload = encode(marked(allowed(), Phase.SINGLE, Producer("gateway-1", 3, 0), "v1", "s1"))
    assert record_format(payload, COMPLETED) is None
    assert record_format(payload + payload, SINGLE) is None
    assert record_format(b"{}", SINGLE) is None


def test_a_percent_sign_is_text() -> None:
    """A user agent may hold what a format would take for a place."""
    case = allowed(head=make_head((b"user-agent", b"100%b %d")))
    payload = encode(marked(case, Phase.DECIDED, Producer("g", 1, 0), "v1", "s1"))
    form = record_format(payload, DECIDED)
    assert form is not None
    made = form % (EVENT.encode(), b"t", 5, b"192.0.2.1", b"o-1", b"o-1", NOW.encode(), TRACE.encode())
    client = decode(made).client
    assert client is not None
    assert client.user_agent == "100%b %d"
