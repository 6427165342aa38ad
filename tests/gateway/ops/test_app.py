"""The operations port: what is open, what is not, and what every refusal looks like."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.builders import tokens
from tests.gateway.ops.port import PLATFORM, TRACE, Port, bearer, port

OPEN = ["/healthz", "/readyz", "/.well-known/jwks.json", "/internal/metrics", "/internal/metrics.json"]
GUARDED = [
    ("POST", "/explain"),
    ("GET", "/internal/status"),
    ("POST", "/context/exchange"),
]


def _refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    body: dict[str, Any] = answer.json()
    assert body.keys() == {"code", "missing_role", "trace_id"}
    assert body["code"] == code
    assert body["trace_id"] == answer.headers["x-trace-id"]
    return body


@pytest.mark.parametrize("path", OPEN)
async def test_these_paths_are_open(tmp_path: Path, path: str) -> None:
    """Health, readiness, keys and metrics answer without a credential, and leave no record."""
    async with port(tmp_path) as ops:
        answer = await ops.client.get(path)
        assert answer.status_code == 200
        assert ops.events == []


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_everything_else_needs_a_credential(tmp_path: Path, method: str, path: str) -> None:
    """Without a token: 401, the challenge, and a record of it."""
    async with port(tmp_path) as ops:
        answer = await ops.client.request(method, path)
        _refused(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        (event,) = ops.events
        assert (event.tenant_id, event.status) == ("-", 401)
        assert event.event_id == answer.headers["x-decision-id"]


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/", "/metrics", "/internal", "/context"])
async def test_nothing_else_is_there(tmp_path: Path, path: str) -> None:
    """No page of the framework's own is served, and a path that is not there says so in our words."""
    async with port(tmp_path) as ops:
        _refused(await ops.client.get(path), 404, "route_unknown")


async def test_a_wrong_method_names_the_right_ones(tmp_path: Path) -> None:
    """405 in our words, with `Allow`."""
    async with port(tmp_path) as ops:
        answer = await ops.client.delete("/context/exchange")
        _refused(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "POST"


async def test_readiness_follows_what_is_missing(tmp_path: Path) -> None:
    """Not ready is 503 with the list; ready is 200 with an empty one."""
    async with port(tmp_path) as ops:
        ops.standing.waiting_for = ("keys:dev", "store")
        answer = await ops.client.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"ready": False, "waiting_for": ["keys:dev", "store"]})
        ops.standing.waiting_for = ()
        answer = await ops.client.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"ready": True, "waiting_for": []})


async def test_published_keys_have_no_private_part(tmp_path: Path) -> None:
    """The key set holds public members only, and may be kept for a while."""
    async with port(tmp_path) as ops:
        answer = await ops.client.get("/.well-known/jwks.json")
        (key,) = answer.json()["keys"]
        assert key.keys() >= {"kty", "crv", "x", "kid", "alg", "use"}
        assert not key.keys() & {"d", "p", "q", "k"}
        assert "max-age" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    ("role", "tenant", "allowed"),
    [
        ("SuperAdmin", PLATFORM, True),
        ("Auditor", PLATFORM, True),
        ("Admin", PLATFORM, False),
        ("Admin", "acme", False),
        ("Auditor", "acme", False),
        ("Service", PLATFORM, False),
    ],
)
async def test_status_is_the_platforms(tmp_path: Path, role: str, tenant: str, allowed: bool) -> None:
    """Only whom the policies allow `ops:status` sees how the gateway stands; either way it is recorded."""
    async with port(tmp_path) as ops:
        answer = await ops.client.get("/internal/status", headers=bearer(role, tenant))
        (event,) = ops.events
        assert (event.action, event.tenant_id) == ("ops:status", tenant)
        assert event.decision is not None
        if allowed:
            assert answer.json() == {"workers": []}
            assert (event.decision.effect, event.status) == ("allow", 200)
        else:
            body = _refused(answer, 403, "forbidden")
            assert body["missing_role"] == event.decision.missing_role
            assert (event.decision.effect, event.status) == ("deny", 403)


async def test_the_missing_role_is_found_by_asking(tmp_path: Path) -> None:
    """A member of the platform without the role is told the least one that would do."""
    async with port(tmp_path) as ops:
        body = _refused(await ops.client.get("/internal/status", headers=bearer("Support", PLATFORM)), 403, "forbidden")
        assert body["missing_role"] == "Auditor"


async def test_the_trace_goes_on(tmp_path: Path) -> None:
    """A caller's trace id stands in the answer and in the record."""
    async with port(tmp_path) as ops:
        headers = {**bearer("Cashier"), "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        answer = await ops.client.get("/internal/status", headers=headers)
        assert _refused(answer, 403, "forbidden")["trace_id"] == TRACE
        assert ops.events[0].trace_id == TRACE


async def test_two_credentials_are_none(tmp_path: Path) -> None:
    """A repeated `Authorization` is refused: two readers could take different ones."""
    async with port(tmp_path) as ops:
        value = bearer("SuperAdmin", PLATFORM)["authorization"]
        answer = await ops.client.get("/internal/status", headers=[("authorization", value), ("authorization", value)])
        _refused(answer, 400, "bad_request")


async def test_a_refused_token_is_booked_and_an_unknown_key_asked_for(tmp_path: Path) -> None:
    """An expired token is booked to its tenant; a token of an unknown key has the issuer's keys fetched."""
    async with port(tmp_path) as ops:
        expired = await ops.client.get("/internal/status", headers=bearer("Cashier", iat=1, exp=2))
        _refused(expired, 401, "token_expired")
        assert ops.events[0].tenant_id == "acme"
        assert ops.events[0].details == {"reason": "expired"}
        other = bearer("Cashier", key=tokens.signing_key(kid="k9", which=9))
        _refused(await ops.client.get("/internal/status", headers=other), 401, "token_invalid")
        assert ops.standing.kids == [("dev", "k9")]


async def test_metrics_can_be_closed(tmp_path: Path) -> None:
    """Switched off for strangers, the metrics need what the status needs."""
    async with port(tmp_path, metrics_open=False) as ops:
        for path in ("/internal/metrics", "/internal/metrics.json"):
            _refused(await ops.client.get(path), 401, "unauthenticated")
            _refused(await ops.client.get(path, headers=bearer("Cashier")), 403, "forbidden")
            answer = await ops.client.get(path, headers=bearer("SuperAdmin", PLATFORM))
            assert answer.status_code == 200
            assert "lychgate_ready" in answer.text


async def test_both_forms_of_the_metrics_agree(tmp_path: Path) -> None:
    """The JSON endpoint has every sample of the exposition and no other, and both are fresh when shown."""
    async with port(tmp_path) as ops:
        await ops.client.get("/internal/metrics.json")  # a series of its own, so that both forms know it
        text = (await ops.client.get("/internal/metrics")).text
        found = (await ops.client.get("/internal/metrics.json")).json()
        shown = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        plain = {
            (sample["name"], tuple(sorted(sample["labels"].items()))): sample["value"]
            for family in found["families"]
            for sample in family["samples"]
        }
        moving = ("lychgate_ops_requests_total", (("endpoint", "metrics_json"), ("status", "2xx")))
        assert plain.pop(moving) == shown.pop(moving) + 1
        assert plain == shown
        assert ops.standing.refreshed == 3


async def test_requests_to_the_port_are_counted(tmp_path: Path) -> None:
    """Each endpoint counts its answers by class of status."""
    async with port(tmp_path) as ops:
        await ops.client.get("/healthz")
        await ops.client.get("/internal/status")
        assert _counted(ops, "healthz", "2xx") == 1
        assert _counted(ops, "status", "4xx") == 1
        value = ops.registry.get_sample_value("lychgate_refusals_total", {"code": "unauthenticated"})
        assert value == 1


async def test_a_fault_tells_nothing(tmp_path: Path) -> None:
    """When an endpoint breaks, the caller learns nothing of it, and the record is written."""
    async with port(tmp_path) as ops:
        ops.standing.broken = True
        answer = await ops.client.get("/internal/status", headers=bearer("SuperAdmin", PLATFORM))
        _refused(answer, 500, "internal")
        assert "secret detail" not in answer.text
        (event,) = ops.events
        assert event.status == 500


async def test_a_denial_that_cannot_be_recorded_is_not_answered_as_one(tmp_path: Path) -> None:
    """No record, no answer: a known caller's denial needs the disk."""
    async with port(tmp_path) as ops:
        ops.emitter.full = True
        answer = await ops.client.get("/internal/status", headers=bearer("Cashier"))
        _refused(answer, 503, "audit_unavailable")


async def test_strangers_refusals_share_a_record(tmp_path: Path) -> None:
    """A flood of alike refusals costs one record, which counts them all."""
    async with port(tmp_path) as ops:
        for _ in range(20):
            _refused(await ops.client.get("/internal/status"), 401, "unauthenticated")
        (event,) = ops.events
        assert event.aggregate is not None
        assert event.aggregate.count == 20


async def test_head_is_for_probes(tmp_path: Path) -> None:
    """Load balancers that probe with HEAD are answered."""
    async with port(tmp_path) as ops:
        assert (await ops.client.head("/healthz")).status_code == 200
        assert (await ops.client.head("/readyz")).status_code == 200


def _counted(ops: Port, endpoint: str, status: str) -> float | None:
    return ops.registry.get_sample_value("lychgate_ops_requests_total", {"endpoint": endpoint, "status": status})
