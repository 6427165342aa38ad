"""Answers outside the endpoints: the one refusal body and the trace id on everything."""

import httpx
import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException

from gateway.errors import Forbidden
from gateway.ops.answers import Traced, add_refusals, answer, refusal

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def _client() -> httpx.AsyncClient:
    app = FastAPI(openapi_url=None)
    app.add_middleware(Traced)
    add_refusals(app)

    @app.get("/breaks")
    async def breaks() -> None:
        raise ZeroDivisionError("inner workings")

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "inner workings")

    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://ops")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [("/nothing", 404, "route_unknown"), ("/breaks", 500, "internal"), ("/teapot", 400, "bad_request")],
)
async def test_whatever_goes_wrong_has_the_one_body(path: str, status: int, code: str) -> None:
    """The framework's errors and our faults look like every refusal, and tell nothing of the inside."""
    async with _client() as client:
        found = await client.get(path, headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
        assert found.status_code == status
        assert found.json() == {"code": code, "missing_role": None, "trace_id": TRACE}


@pytest.mark.parametrize("sent", ["nonsense", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"ff-{TRACE}-00f067aa0ba902b7-01"])
async def test_a_malformed_trace_is_made_anew(sent: str) -> None:
    """A `traceparent` that is none is as good as none, never an error."""
    async with _client() as client:
        found = (await client.get("/nothing", headers={"traceparent": sent})).headers["x-trace-id"]
        assert len(found) == 32
        assert found not in {TRACE, "0" * 32}


def test_a_refusal_carries_its_error() -> None:
    """Status, missing role and fields come from the error."""
    error = Forbidden("inside", missing_role="Manager", headers=((b"x-note", b"1"),))
    found = refusal(error, TRACE)
    assert (found.status_code, found.headers["x-note"]) == (403, "1")
    assert b'"missing_role":"Manager"' in bytes(found.body)
    assert b"inside" not in bytes(found.body)


def test_an_answer_is_not_kept_by_caches() -> None:
    """What the port says is of this moment."""
    found = answer({"a": 1}, 201)
    assert (found.status_code, bytes(found.body), found.headers["cache-control"]) == (201, b'{"a":1}', "no-store")
