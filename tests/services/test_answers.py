"""Refusals: one shape, and nothing of our inside in it."""

import pytest

from audit.emit import Emitter
from audit.errors import SpoolUnavailable
from audit.event import AuditEvent, Outcome, Severity
from services.store import Table
from tests.builders.retail import TRACE_ID, Retail


async def test_a_body_that_does_not_fit_is_named_by_place_and_never_repeated(retail: Retail) -> None:
    """A 422 says where and why beside the three common fields, and does not echo what was sent."""
    body = {"lines": [{"sku": "ACM-TUBE-28", "quantity": "s3cret-value"}], "surprise": 1}
    answer = await retail.ask("order", "POST", "/orders", body)
    assert answer.status_code == 422
    told = answer.json()
    assert (told["code"], told["missing_role"], told["trace_id"]) == ("unprocessable", None, TRACE_ID)
    assert {tuple(problem) for problem in told["detail"]} == {("loc", "msg", "type")}
    assert ["body", "lines", 0, "quantity"] in [problem["loc"] for problem in told["detail"]]
    assert "s3cret" not in answer.text


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b'{"\xff": 1}', b'{"\\ud800": 1}', b"null", b"1e999", b""])
async def test_no_body_makes_an_error_of_ours(retail: Retail, body: bytes) -> None:
    """Broken, deep, badly encoded, or the wrong thing altogether: refused as the sender's fault."""
    headers = {
        "X-Security-Context": retail.context("order", "POST", "/orders", body),
        "Content-Type": "application/json",
    }
    async with retail.client("order") as client:
        answer = await client.post("/orders", content=body, headers=headers)
    assert answer.status_code in {400, 422}
    assert {"code", "missing_role", "trace_id"} <= answer.json().keys()


async def test_who_is_unknown_learns_nothing_about_their_body(retail: Retail) -> None:
    """A body that cannot be read, from nobody we know, is answered 401 like any other."""
    async with retail.client("order") as client:
        answer = await client.post("/orders", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "not_found"), ("DELETE", "/orders", 405, "method_not_allowed")],
)
async def test_the_frameworks_refusals_have_the_same_shape(
    retail: Retail, method: str, path: str, status: int, code: str
) -> None:
    """A path or method there is not is answered like everything else, with the trace id that came."""
    async with retail.client("order") as client:
        answer = await client.request(method, path, headers={"X-Trace-Id": TRACE_ID})
    assert answer.status_code == status
    assert answer.json() == {"code": code, "missing_role": None, "trace_id": TRACE_ID}


async def test_a_fault_of_ours_says_nothing_but_that(retail: Retail, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception nobody foresaw is a bare 500: its text stays inside, and so do the changes."""

    def broken(self: Table[object], key: str) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(Table, "get", broken)
    answer = await retail.ask("order", "POST", "/orders/o-1001/fulfil")
    assert answer.status_code == 500
    assert answer.json() == {"code": "internal", "missing_role": None, "trace_id": TRACE_ID}
    (event,) = await retail.events("order")
    assert (event.outcome, event.severity) == (Outcome.FAILURE, Severity.ERROR)
    assert event.details is not None
    assert event.details["code"] == "internal"
    assert "hunter2" not in repr(event)


async def test_what_cannot_be_recorded_is_not_done(retail: Retail, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a spool that takes nothing a change is answered 503 and is not made; reading goes on."""

    async def full(self: Emitter, event: AuditEvent) -> None:
        raise SpoolUnavailable("no space left")

    monkeypatch.setattr(Emitter, "emit_durable", full)
    answer = await retail.ask("order", "PATCH", "/orders/o-1001", {"note": "lost"})
    assert (answer.status_code, answer.json()["code"]) == (503, "audit_unavailable")
    read = await retail.ask("order", "GET", "/orders/o-1001")
    assert (read.status_code, read.json()["note"]) == (200, None)
    assert (await retail.ask("order", "GET", "/orders/export")).status_code == 503
