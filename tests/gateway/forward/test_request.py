"""The first bytes a service gets: head, context, and the body where the decision has read it."""

import pytest

from gateway.errors import Internal
from gateway.forward.request import service_request
from gateway.model import Attribute, Source
from gateway.snapshot import Snapshot, build_snapshot
from gateway.wire.framing import Ending, Framing
from tests.builders import plane
from tests.builders.heads import fields_of, make_case, make_head, make_route

DECIDES = make_route(
    "/orders", method="POST", attributes=(Attribute("amount", Source.BODY, "/amount", "Long"),), changes=True
)


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """A whole one, of the real policies and roles."""
    return build_snapshot(plane.sources(9002))


@pytest.mark.parametrize(
    ("framing", "expected"),
    [
        (Framing(Ending.NONE), None),
        (Framing(Ending.LENGTH, 7), ("content-length", "7")),
        (Framing(Ending.CHUNKED), ("transfer-encoding", "chunked")),
    ],
)
def test_a_body_that_was_not_read_keeps_its_kind_of_framing(
    snapshot: Snapshot, framing: Framing, expected: tuple[str, str] | None
) -> None:
    """It follows piece by piece; nothing of it is in the first bytes."""
    case = make_case(make_route("/orders"), b"/orders?x=1", head=make_head(method=b"POST", framing=framing))
    sent = service_request(case, snapshot, b"ignored", "127.0.0.1:9002")
    assert sent.startswith(b"POST /orders?x=1 HTTP/1.1\r\nhost: shop.example\r\n")
    assert sent.endswith(b"\r\n\r\n")
    found = [pair for pair in fields_of(sent) if pair[0] in {"content-length", "transfer-encoding"}]
    assert found == ([expected] if expected else [])


@pytest.mark.parametrize("framing", [Framing(Ending.LENGTH, 12), Framing(Ending.CHUNKED)])
def test_a_body_that_was_read_is_sent_whole_with_its_length(snapshot: Snapshot, framing: Framing) -> None:
    """The bytes that were parsed are the bytes that are forwarded, however they came."""
    body = b'{"amount":7}'
    case = make_case(DECIDES, b"/orders", head=make_head(method=b"POST", framing=framing))
    sent = service_request(case, snapshot, body, "127.0.0.1:9002")
    assert sent.endswith(b"\r\n\r\n" + body)
    assert ("content-length", "12") in fields_of(sent)
    assert b"transfer-encoding" not in sent


def test_the_canonical_target_is_sent_and_not_the_one_that_came(snapshot: Snapshot) -> None:
    """Decided on is what is forwarded."""
    case = make_case(target=b"/orders/%6f-1?q=%6f")
    assert service_request(case, snapshot, b"", "x:1").startswith(b"GET /orders/o-1?q=%6f HTTP/1.1\r\n")


@pytest.mark.parametrize("passes", [True, False])
def test_the_callers_credential_goes_on_where_the_route_says_so(snapshot: Snapshot, passes: bool) -> None:
    """And nowhere else."""
    case = make_case(make_route(pass_authorization=passes), head=make_head((b"authorization", b"Bearer x")))
    assert (("authorization", "Bearer x") in fields_of(service_request(case, snapshot, b"", "x:1"))) is passes


@pytest.mark.parametrize("missing", ["head", "match", "path", "identity"])
def test_nothing_is_sent_for_a_case_that_was_not_judged(snapshot: Snapshot, missing: str) -> None:
    """Whoever forgets a stage forwards nothing."""
    with pytest.raises(Internal):
        service_request(make_case(**{missing: None}), snapshot, b"", "x:1")
    with pytest.raises(Internal):
        service_request(make_case(), None, b"", "x:1")
