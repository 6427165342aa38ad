"""What is known of a request so far."""

import pytest

from gateway.case import Case
from gateway.model import Identity, Peer
from tests.builders.heads import AT, EVENT, TRACE, make_case, make_identity


def test_a_case_begins_with_nothing_known() -> None:
    """Also that of a request which cannot be read."""
    case = Case(event_id=EVENT, trace_id=TRACE, received_at=AT, peer=Peer("192.0.2.7", 1))
    assert (case.head, case.path, case.match, case.identity, case.question, case.answer) == (None,) * 6
    assert (case.forwarded, case.status, case.error, case.cut, case.memo_hit) == (False, None, None, None, False)
    assert (case.request_bytes, case.response_bytes, case.decision_us, case.named_tenants) == (0, 0, 0, ())


@pytest.mark.parametrize(
    ("identity", "tenant", "crosses"),
    [
        (make_identity(), "acme", False),
        (make_identity(), None, False),
        (make_identity(), "globex", True),
        (make_identity(tenant_id="-", token_sha256=b""), "globex", False),
        (None, "globex", False),
        (None, None, False),
    ],
)
def test_who_acts_in_another_tenant_crosses(identity: Identity | None, tenant: str | None, crosses: bool) -> None:
    """Only a caller who is known has a tenant to leave."""
    assert make_case(identity=identity, tenant_id=tenant).crosses is crosses
