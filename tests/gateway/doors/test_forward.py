"""Forward-auth: what proxies tell, what they are told, and what becomes of those who tell two things."""

from pathlib import Path

import pytest

from audit.event import Client, Outcome, Phase
from gateway.doors.forward import without_question
from roles.security_context.claims import target_hash
from tests.gateway.doors.house import bearer, house


async def test_an_allow_hands_over_what_the_service_must_be_sent(tmp_path: Path) -> None:
    """200 without a body, the signed context and its companions as fields; one buffered record that names the door."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with house(tmp_path) as doors:
        told = await doors.forward(
            "GET",
            "/orders?limit=5",
            ("traceparent", f"00-{trace}-00f067aa0ba902b7-01"),
            ("X-Forwarded-For", "192.0.2.9"),
            ("X-User-Id", "somebody-else"),
            ("User-Agent", "till"),
        )
        assert (told.status, told.body, told.code) == (200, b"", None)
        context = doors.believed(told)
        assert (context.sub, context.tenant_id, context.roles) == ("u-17", "acme", ("Cashier",))
        assert (context.trace_id, context.bound) == (trace, False)
        event = doors.event
        assert {name: told.headers[name] for name in ("x-tenant-id", "x-user-id", "x-user-roles", "x-trace-id")} == {
            "x-tenant-id": "acme",
            "x-user-id": "u-17",
            "x-user-roles": "Cashier",
            "x-trace-id": trace,
        }
        assert told.headers["x-decision-id"] == event.event_id
        assert told.headers["traceparent"].split("-")[1] == trace
        assert told.headers["cache-control"] == "no-store"
        assert event.details == {"door": "forward", "proxy": "127.0.0.1"}
        assert (event.phase, event.status, event.outcome) == (Phase.SINGLE, 200, Outcome.SUCCESS)
        assert event.client == Client(ip="192.0.2.9", user_agent="till")
        assert event.request is not None
        assert (event.request.method, event.request.route, event.request.service) == ("GET", "/orders", "order")
        assert doors.counted("forward", "allowed") == 1


async def test_a_change_is_bound_to_the_request_and_on_disk_before_it_is_answered(tmp_path: Path) -> None:
    """The context holds for this method and target and no other; the record is synced when the proxy is told."""
    async with house(tmp_path) as doors:
        told = await doors.forward("POST", "/orders?dry=1")
        assert told.status == 200
        context = doors.believed(told)
        assert (context.htm, context.htp, context.htb) == ("POST", target_hash(b"/orders?dry=1"), None)
        assert context.jti == doors.event.event_id
        spool = b"".join(path.read_bytes() for path in (tmp_path / "spool").rglob("*") if path.is_file())
        assert doors.event.event_id.encode() in spool


@pytest.mark.parametrize(
    ("role", "method", "uri", "status", "code", "missing"),
    [
        ("Auditor", "GET", "/orders", 403, "forbidden", "Cashier"),
        (None, "GET", "/orders", 401, "unauthenticated", None),
        ("Cashier", "GET", "/nowhere", 403, "route_unknown", None),
        ("Cashier", "DELETE", "/orders", 403, "method_not_allowed", None),
        ("Cashier", "GET", "/tenants/beta/orders", 403, "tenant_mismatch", None),
        ("Cashier", "GET", "/orders/../payments", 403, "bad_request", None),
        ("Cashier", "TRACE", "/orders", 403, "method_not_allowed", None),
        ("Cashier", "G T", "/orders", 403, "bad_request", None),
        ("Cashier", "GET", "http://shop.example/orders", 403, "bad_request", None),
        ("Cashier", "GET", "/orders#top", 403, "bad_request", None),
        ("Cashier", "GET", "/orders?" + "x" * 9000, 403, "uri_too_long", None),
        ("Manager", "POST", "/payments/p-1/refund", 403, "unsupported_media_type", None),
    ],
)
async def test_a_refusal_is_401_or_403_and_tells_its_code_apart(
    tmp_path: Path, role: str | None, method: str, uri: str, status: int, code: str, missing: str | None
) -> None:
    """Nginx knows no other status; the code stands in a field, the body is that of every refusal, the record is one."""
    async with house(tmp_path) as doors:
        told = await doors.forward(method, uri, role=role)
        assert (told.status, told.code) == (status, code)
        assert told.json == {"code": code, "missing_role": missing, "trace_id": told.headers["x-trace-id"]}
        assert ("www-authenticate" in told.headers) is (status == 401)
        assert not {"x-security-context", "x-user-id", "allow"} & set(told.headers)
        event = doors.event
        assert event.decision is not None
        assert (event.decision.code, event.decision.effect) == (code, "deny")
        assert doors.counted("forward", code) == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([], "door: the proxy does not tell method and uri"),
        ([("X-Forwarded-Uri", "/orders")], "door: x-forwarded-method and x-forwarded-uri are not there once each"),
        ([("X-Original-URI", "/orders")], "door: x-original-method and x-original-uri are not there once each"),
        (
            [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/orders"), ("X-Forwarded-Uri", "/orders")],
            "door: x-forwarded-method and x-forwarded-uri are not there once each",
        ),
        (
            [
                ("X-Forwarded-Method", "GET"),
                ("X-Forwarded-Uri", "/orders"),
                ("X-Original-Method", "GET"),
                ("X-Original-URI", "/orders/o-1"),
            ],
            "door: X-Original and X-Forwarded tell different requests",
        ),
        (
            [
                ("X-Forwarded-Method", "GET"),
                ("X-Forwarded-Uri", "/orders"),
                ("X-Original-Method", "DELETE"),
                ("X-Original-URI", "/orders"),
            ],
            "door: X-Original and X-Forwarded tell different requests",
        ),
    ],
)
async def test_a_question_that_tells_no_one_request_is_refused(
    tmp_path: Path, fields: list[tuple[str, str]], reason: str
) -> None:
    """A client that adds the names its proxy does not use gets nobody's request but its own refused."""
    async with house(tmp_path) as doors:
        told = await doors.ask("GET", b"/authz/forward", [*bearer("Cashier"), *fields])
        assert (told.status, told.code) == (403, "bad_request")
        assert doors.event.details == {"reason": reason, "door": "forward", "proxy": "127.0.0.1"}


async def test_methods_that_are_not_for_a_gateway_are_refused_before_any_route(tmp_path: Path) -> None:
    """As on the public port: one opens a tunnel, the other echoes credentials."""
    async with house(tmp_path) as doors:
        for method in ("TRACE", "CONNECT"):
            assert (await doors.forward(method, "/nowhere")).code == "method_not_allowed"
        assert {event.details["reason"] for event in doors.events if event.details} == {"request line: method refused"}


async def test_nginx_names_and_both_sets_where_they_agree(tmp_path: Path) -> None:
    """X-Original-URI alone is enough, and both sets are when they say the same."""
    original = [("X-Original-Method", "GET"), ("X-Original-URI", "/orders")]
    async with house(tmp_path) as doors:
        assert (await doors.ask("GET", b"/authz/forward", [*bearer("Cashier"), *original])).status == 200
        assert (await doors.forward("GET", "/orders", *original)).status == 200


def test_fields_of_the_question_are_not_the_clients() -> None:
    """What the proxy needs to ask is not what the client said."""
    sent = ((b"host", b"door"), (b"x-tenant-id", b"acme"), (b"connection", b"close"), (b"x-forwarded-for", b"::1"))
    assert without_question(sent) == ((b"x-tenant-id", b"acme"), (b"x-forwarded-for", b"::1"))
    assert without_question(sent, told=(b"x-forwarded-",)) == ((b"x-tenant-id", b"acme"),)
