"""Calls in the caller's name, against peers that misbehave; the real exchange is in `test_integration`."""

import base64
import hashlib
import json
from collections.abc import Callable

import httpx
import pytest
from pydantic import BaseModel

from roles.security_context import RequestContext
from services.errors import Declined, ServiceError, TooSlow, Unreachable
from services.onward import Onward
from tests.builders.exchange import Tokens

Answers = Callable[[httpx.Request], httpx.Response]
CALLER = RequestContext(
    tenant_id="acme",
    sub="u",
    idp="dev",
    roles=(),
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    decision_id="",
    policy_version="p",
    act=None,
    token="a.b.c",
)


class Number(BaseModel):
    """What the next service answers with."""

    number: int


class Peers:
    """A gateway and a service behind it, with scripted answers."""

    def __init__(
        self, *, gateway: httpx.Response | Exception | None = None, service: httpx.Response | None = None
    ) -> None:
        self.gateway = gateway or httpx.Response(
            200, json={"url": "http://order/next?a=1", "headers": {"X-Security-Context": "c.d.e"}, "service": "order"}
        )
        self.service = service or httpx.Response(200, json={"number": 7})
        self.seen: list[httpx.Request] = []
        self.tokens = Tokens("machine")

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.seen.append(request)
        answer = self.gateway if request.url.host == "gateway" else self.service
        if isinstance(answer, Exception):
            raise answer
        return answer

    def onward(self) -> Onward:
        """The way through them."""
        http = httpx.AsyncClient(transport=httpx.MockTransport(self))
        return Onward(http, "http://gateway/context/exchange", self.tokens)


async def test_a_read_shows_the_context_and_goes_where_it_is_told() -> None:
    """The exchange gets the context and the encoded path; the service gets exactly the headers of the answer."""
    peers = Peers()
    answer = await peers.onward().get(CALLER, ("orders", "o/1 ?#"), Number, {"limit": "5"})
    assert answer.number == 7
    asked, sent = peers.seen
    assert asked.headers["Authorization"] == "Bearer machine"
    assert asked.headers["traceparent"].startswith(f"00-{CALLER.trace_id}-"), "the trace is that of the request in hand"
    assert json.loads(asked.content) == {"context": "a.b.c", "method": "GET", "path": "/orders/o%2F1%20%3F%23?limit=5"}
    assert str(sent.url) == "http://order/next?a=1"
    assert sent.headers["X-Security-Context"] == "c.d.e"
    assert "Authorization" not in sent.headers


async def test_a_change_is_bound_to_its_body() -> None:
    """The exchange is told the hash of the very bytes that are sent."""
    peers = Peers()
    await peers.onward().post(CALLER, ("orders",), Number, Number(number=3))
    asked, sent = peers.seen
    digest = base64.urlsafe_b64encode(hashlib.sha256(sent.content).digest()).rstrip(b"=").decode()
    assert json.loads(asked.content)["body_sha256"] == digest
    assert sent.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("peers", "status", "code"),
    [
        (Peers(gateway=httpx.Response(403, json={"code": "forbidden", "missing_role": "R"})), 403, "forbidden"),
        (Peers(gateway=httpx.Response(404, json={"code": "route_unknown"})), 404, "route_unknown"),
        (Peers(service=httpx.Response(409, json={"code": "order_paid", "missing_role": None})), 409, "order_paid"),
    ],
)
async def test_a_refusal_goes_on_as_it_is(peers: Peers, status: int, code: str) -> None:
    """What the gateway or the next service refuses the caller, the caller is told."""
    with pytest.raises(Declined) as refusal:
        await peers.onward().get(CALLER, ("orders",), Number)
    assert (refusal.value.status, refusal.value.code) == (status, code)


@pytest.mark.parametrize(
    ("peers", "raised"),
    [
        (Peers(gateway=httpx.Response(400, json={"code": "bad_request"})), Unreachable),
        (Peers(gateway=httpx.Response(401, json={"code": "token_invalid"})), Unreachable),
        (Peers(gateway=httpx.Response(503, json={"code": "overloaded"})), Unreachable),
        (Peers(gateway=httpx.Response(200, text="<html>")), Unreachable),
        (Peers(gateway=httpx.ConnectError("refused")), Unreachable),
        (Peers(gateway=httpx.ReadTimeout("late")), TooSlow),
        (Peers(service=httpx.Response(500, text="Traceback")), Unreachable),
        (Peers(service=httpx.Response(418, text="<html>")), Unreachable),
        (Peers(service=httpx.Response(200, json={"number": "x"})), Unreachable),
    ],
)
async def test_trouble_on_the_way_is_a_gateway_error(peers: Peers, raised: type[ServiceError]) -> None:
    """Faults of ours and of others are never told as the caller's."""
    with pytest.raises(raised) as error:
        await peers.onward().get(CALLER, ("orders",), Number)
    assert type(error.value) is raised


async def test_a_token_that_is_not_believed_is_given_back() -> None:
    """A 401 from the exchange has the token forgotten; other refusals do not."""
    for status, refusals in ((401, 1), (403, 0)):
        peers = Peers(gateway=httpx.Response(status, json={"code": "x"}))
        with pytest.raises(ServiceError):
            await peers.onward().get(CALLER, ("orders",), Number)
        assert peers.tokens.refusals == refusals
