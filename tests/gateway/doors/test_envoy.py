"""ext_authz over HTTP: the path behind the prefix to the byte, real statuses, and what Envoy must take out."""

from pathlib import Path

import pytest

from roles.security_context.claims import target_hash
from tests.gateway.doors.house import bearer, house


async def test_the_target_is_what_stands_behind_the_prefix(tmp_path: Path) -> None:
    """Raw path and query are decided on and bound to, not what a framework makes of them."""
    async with house(tmp_path) as doors:
        told = await doors.envoy("GET", "/orders/o%C3%A4?a=%2F&b")
        assert told.status == 200
        event = doors.event
        assert event.resource is not None
        assert (event.resource.id, event.details) == ("oä", {"door": "ext_authz_http", "proxy": "127.0.0.1"})
        changed = doors.believed(await doors.envoy("POST", "/orders?a=%2F&b"))
        assert (changed.htm, changed.htp) == ("POST", target_hash(b"/orders?a=%2F&b"))


@pytest.mark.parametrize(
    ("role", "method", "target", "status", "code"),
    [
        ("Auditor", "GET", "/orders", 403, "forbidden"),
        (None, "GET", "/orders", 401, "unauthenticated"),
        ("Cashier", "GET", "/nowhere", 404, "route_unknown"),
        ("Cashier", "GET", "/", 404, "route_unknown"),
        ("Cashier", "DELETE", "/orders", 405, "method_not_allowed"),
        ("Cashier", "GET", "//orders", 400, "bad_request"),
        ("Cashier", "GET", "/orders/..;/x", 400, "bad_request"),
        ("Cashier", "GET", "/orders%00", 400, "bad_request"),
        ("Manager", "POST", "/payments/p-1/refund", 415, "unsupported_media_type"),
    ],
)
async def test_a_refusal_has_its_own_status(
    tmp_path: Path, role: str | None, method: str, target: str, status: int, code: str
) -> None:
    """Envoy hands status and body on."""
    async with house(tmp_path) as doors:
        told = await doors.envoy(method, target, role=role)
        assert (told.status, told.code) == (status, code)
        assert ("allow" in told.headers) is (status == 405)
        assert ("www-authenticate" in told.headers) is (status == 401)


async def test_what_a_client_must_not_say_is_named_for_removal(tmp_path: Path) -> None:
    """Credentials and our names in every spelling; not what Envoy writes itself, not what is nobody's business."""
    said = [
        "X_User_Id",
        "X-User-Email",
        "x-security_context",
        "X-Api-Key",
        "Proxy",
        "X-User-Id",
        "X-HTTP-Method-Override",
        "Accept",
    ]
    fields = [(name, "x") for name in said] + [
        ("X-Forwarded-Proto", "https"),
        ("X_Forwarded_For", "1.2.3.4"),
        ("X-Forwarded-Prefix", "/x"),
    ]
    async with house(tmp_path) as doors:
        told = await doors.envoy("GET", "/orders", *fields)
        assert set(told.headers["x-envoy-auth-headers-to-remove"].split(",")) == {
            "authorization",
            "proxy",
            "x-api-key",
            "x-forwarded-prefix",
            "x-http-method-override",
            "x-security_context",
            "x-user-email",
            "x_forwarded_for",
            "x_user_id",
        }
        kept = await doors.envoy("GET", "/orders/labelled")
        assert kept.status == 200
        assert "x-envoy-auth-headers-to-remove" not in kept.headers, "the route passes the credential on"


async def test_the_prefix_is_a_setting_and_only_a_whole_one_counts(tmp_path: Path) -> None:
    """What does not begin with it is the operations port's."""
    async with house(tmp_path, envoy_prefix="/ask") as doors:
        assert (await doors.ask("GET", b"/ask/orders", bearer("Cashier"))).status == 200
        for target in (b"/asking/orders", b"/ask", b"/authz/envoy/orders", b"/authz%2Fforward", b"/authz/forward/"):
            told = await doors.ask("GET", target, bearer("Cashier"))
            assert (told.status, told.json["code"]) == (404, "route_unknown")
        assert (await doors.ask("GET", b"/healthz", [])).status == 200


async def test_fields_that_envoy_joined_are_parted(tmp_path: Path) -> None:
    """Two credentials, or two tenants, in one value are two."""
    [(name, token)] = bearer("Cashier")
    async with house(tmp_path) as doors:
        assert (await doors.envoy("GET", "/orders", (name, f"{token},{token}"), role=None)).code == "bad_request"
        assert (await doors.envoy("GET", "/orders", ("X-Tenant-Id", "acme,beta"))).code == "tenant_mismatch"
        assert (await doors.envoy("GET", "/orders", ("X-Tenant-Id", "acme, acme"))).status == 200
        assert (await doors.envoy("GET", "/orders", ("User-Agent", "a, b"))).status == 200
        agents = [event.client.user_agent for event in doors.events if event.client]
        assert "a, b" in agents
