"""Envoy's messages: what a check describes, and what an answer makes Envoy do."""

from typing import Any

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest

from gateway.control import HopsConfig
from gateway.doors import attributes
from gateway.doors.asked import Allowed, Asked, Denied
from gateway.errors import BadRequest, Code, Forbidden, MethodNotAllowed, NotIdentified
from gateway.model import Peer
from gateway.serve.hops import TrustedHops
from gateway.wire.framing import Ending, Framing

CLIENT = Peer("192.0.2.9", 7)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def check(
    *, raw: list[tuple[str, str]] | None = None, joined: dict[str, str] | None = None, **http: Any
) -> CheckRequest:
    """A check as Envoy sends it."""
    request = CheckRequest()
    told = request.attributes.request.http
    told.method, told.path, told.size = http.pop("method", "GET"), http.pop("path", "/orders"), http.pop("size", -1)
    for name, value in http.items():
        setattr(told, name, value)
    for name, value in raw or []:
        told.header_map.headers.add(key=name, raw_value=value.encode("latin-1"))
    told.headers.update(joined or {})
    return request


def read(request: CheckRequest, source: Peer = CLIENT, **hops: Any) -> Asked:
    """What is read of it."""
    return attributes.read(request, TrustedHops(HopsConfig(**hops)).client, source)


def test_fields_stand_as_they_came() -> None:
    """With raw headers every field is its own, pseudo-fields and Envoy's are not the client's."""
    raw = [(":path", "/x"), ("host", "shop"), ("x-tenant-id", "acme"), ("X-Tenant-Id", "beta"), ("a", "1, 2")]
    asked = read(check(raw=raw, method="PUT", path="/orders/1?x=%2F"))
    assert (asked.method, asked.target) == (b"PUT", b"/orders/1?x=%2F")
    assert asked.headers == ((b"x-tenant-id", b"acme"), (b"x-tenant-id", b"beta"), (b"a", b"1, 2"))
    assert (asked.client, asked.body) == (Peer("192.0.2.9", 7), None)


def test_joined_fields_are_parted() -> None:
    """Without raw headers two fields come as one with a comma; a user agent's commas are its own."""
    joined = {":method": "GET", "authorization": "Bearer a, Bearer b", "user-agent": "a, b", "x-tenant-id": "acme"}
    assert set(read(check(joined=joined)).headers) == {
        (b"authorization", b"Bearer a"),
        (b"authorization", b"Bearer b"),
        (b"user-agent", b"a, b"),
        (b"x-tenant-id", b"acme"),
    }


def test_the_client_is_envoys_source_and_only_a_hop_speaks_for_another() -> None:
    """A client's own X-Forwarded-For is nothing; a balancer's is read from the right."""
    request = check(raw=[("x-forwarded-for", "203.0.113.66, 192.0.2.9")])
    assert read(request).client.ip == "192.0.2.9"
    stranger = read(check(raw=[("x-forwarded-for", "203.0.113.66")]), Peer("192.0.2.8", 7))
    assert stranger.client.ip == "192.0.2.8"
    balancer = Peer("198.51.100.4", 7, hop=True)
    assert read(request, balancer, networks=("198.51.100.0/24",)).client.ip == "192.0.2.9"


def test_framing_is_judged() -> None:
    """A length is known before the body is; two lengths, or length and coding, are refused as on the public port."""
    assert read(check(raw=[("content-length", "12")])).framing == Framing(Ending.LENGTH, 12)
    assert read(check()).framing.ending is Ending.NONE
    for raw in (
        [("content-length", "1"), ("content-length", "2")],
        [("content-length", "1"), ("transfer-encoding", "chunked")],
    ):
        with pytest.raises(BadRequest, match="framing"):
            read(check(raw=raw))


@pytest.mark.parametrize(
    ("partial", "http", "body"),
    [
        (["false"], {"raw_body": b"{}", "size": 2}, b"{}"),
        (["false"], {"raw_body": b"{}"}, b"{}"),
        (["false"], {"size": 0}, b""),
        (["true"], {"raw_body": b"{}", "size": 9}, None),
        (["false", "true"], {"raw_body": b"{}", "size": 2}, None),
        ([], {"raw_body": b"{}", "size": 2}, None),
        (["false"], {"body": "{}", "size": 2}, None),
    ],
)
def test_only_a_whole_body_to_the_byte_counts(partial: list[str], http: dict[str, Any], body: bytes | None) -> None:
    """Partial, unasked for, or made text by Envoy: as good as none."""
    raw = [("x-envoy-auth-partial-body", value) for value in partial]
    assert read(check(raw=raw, **http)).body == body


def test_a_body_of_another_length_is_refused() -> None:
    """Two lengths for one body."""
    with pytest.raises(BadRequest, match="door: the body is not as long as its length"):
        read(check(raw=[("x-envoy-auth-partial-body", "false")], raw_body=b"{}", size=3))


def test_an_allow_overwrites_removes_and_tells_the_log() -> None:
    """Our fields replace the client's, the rest goes, and Envoy's access log can name the decision."""
    allowed = Allowed(
        trace_id=TRACE,
        decision_id="d-1",
        policy_version="p-1",
        fields=((b"x-user-id", b"u-17"), (b"x-security-context", b"jws")),
        remove=(b"authorization", b"x_user_id"),
    )
    told = attributes.answer(allowed)
    assert (told.status.code, told.WhichOneof("http_response")) == (0, "ok_response")
    assert [(it.header.key, it.header.value) for it in told.ok_response.headers] == [
        (name.decode(), value.decode()) for name, value in allowed.fields
    ]
    assert {it.append_action for it in told.ok_response.headers} == {2}, "OVERWRITE_IF_EXISTS_OR_ADD"
    assert list(told.ok_response.headers_to_remove) == ["authorization", "x_user_id"]
    assert dict(told.dynamic_metadata) == {"decision_id": "d-1", "policy_version": "p-1"}


@pytest.mark.parametrize(
    ("error", "status", "rpc"),
    [
        (Forbidden("policy", missing_role="Manager"), 403, 7),
        (NotIdentified("x", headers=((b"www-authenticate", b"Bearer"),)), 401, 16),
        (MethodNotAllowed("x", headers=((b"allow", b"GET"),)), 405, 7),
    ],
)
def test_a_denial_has_status_fields_and_body_of_every_refusal(error: Any, status: int, rpc: int) -> None:
    """What the client sees of Envoy is what it would see of the gateway."""
    told = attributes.answer(Denied(trace_id=TRACE, decision_id="d-1", error=error))
    denied = told.denied_response
    fields = {it.header.key: it.header.value for it in denied.headers}
    assert (told.status.code, told.status.message, denied.status.code) == (rpc, error.code.word, status)
    assert fields["x-lychgate-code"] == error.code.word
    assert fields.items() >= {name.decode(): value.decode() for name, value in error.headers}.items()
    assert f'"code":"{error.code.word}"' in denied.body
    assert (error.code is Code.FORBIDDEN) is ("Manager" in denied.body)
    assert dict(told.dynamic_metadata) == {"decision_id": "d-1", "code": error.code.word}
