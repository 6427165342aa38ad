"""The application around the endpoints: who gets in, what an error looks like, and what operations see."""

import json
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from audit.ids import EventIds
from audit.settings import RedactionSettings
from query.app import configured_views
from query.schemas import Refusal
from query.settings import QuerySettings, ViewSettings, ViewsSettings
from tests.builders.audit import make_event
from tests.builders.query_api import TRACE_ID, Api, MakeApi, Write, context
from tests.builders.vectors import vectors

PATHS = ("/audit/events", f"/audit/events/{UUID(int=1)}", f"/audit/trace/{TRACE_ID}")


@pytest.mark.parametrize("path", PATHS)
async def test_nobody_comes_in_without_a_context(api: Api, path: str) -> None:
    """Every endpoint wants a security context, and says so in the one shape."""
    response = await api.client.get(path)
    assert response.status_code == 401
    assert Refusal.model_validate(response.json()).code == "unauthenticated"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Security-Context": "x"},
        {"X-Security-Context": context("Admin", audience="order")},
        {"X-Security-Context": context("Admin", age_s=600)},
        {"X-Tenant-Id": "acme", "X-User-Roles": "Admin", "X-User-Id": "ada"},
    ],
)
async def test_a_context_that_does_not_hold_is_refused(api: Api, headers: dict[str, str]) -> None:
    """Another service's context, an old one, none at all but the plain headers: 401, and no record."""
    response = await api.client.get("/audit/events", headers=headers)
    assert response.status_code == 401
    assert api.recorded() == []


async def test_what_the_api_does_not_have_is_said_in_its_shape(api: Api) -> None:
    """An unknown path is 404, another method 405 with `Allow`; both in the one shape."""
    headers = {"X-Security-Context": context("Admin")}
    for path in ("/audit", "/audit/events/", "/docs", "/openapi.json", "/audit/stats"):
        missing = await api.client.get(path, headers=headers)
        assert (missing.status_code, Refusal.model_validate(missing.json()).code) == (404, "route_unknown")
    refused = await api.client.post("/audit/events", headers=headers)
    assert (refused.status_code, Refusal.model_validate(refused.json()).code) == (405, "method_not_allowed")
    assert "GET" in refused.headers["allow"]


async def test_a_bad_query_says_what_is_wrong_with_it(api: Api) -> None:
    """A 400 has a `detail`; it is the only answer that has one."""
    response = await api.ask(severity="purple")
    assert response.status_code == 400
    body = Refusal.model_validate(response.json())
    assert (body.code, body.missing_role, body.trace_id) == ("bad_request", None, TRACE_ID)
    assert body.detail is not None
    assert body.detail.startswith("`severity` is not a severity")


async def test_an_inner_fault_tells_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own fault is a 500 in the one shape, without a word of what broke."""

    async def breaks(*_: Any) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(api.reader, "read", breaks)
    response = await api.ask()
    assert response.status_code == 500
    assert response.json() == {"code": "internal", "missing_role": None, "trace_id": TRACE_ID}


async def test_operations_need_no_context(api: Api) -> None:
    """Health, readiness and metrics answer anyone who reaches the port; readiness follows the store."""
    assert (await api.client.get("/healthz")).text == "ok\n"
    assert (await api.client.get("/readyz")).status_code == 200
    await api.ask(roles="Support")
    metrics = await api.client.get("/internal/metrics")
    assert 'audit_redacted_view_total{variant="none",view="masked"} 1.0' in metrics.text
    assert "_created" not in metrics.text
    plain = (await api.client.get("/internal/metrics.json")).json()["families"]
    names = {sample["name"] for family in plain for sample in family["samples"]}
    assert names == {line.partition("{")[0].partition(" ")[0] for line in metrics.text.splitlines() if line[0] != "#"}
    await api.reader.close()
    assert (await api.client.get("/healthz")).status_code == 200
    assert (await api.client.get("/readyz")).status_code == 503


async def test_naughty_strings_get_an_answer(api: Api, write: Write) -> None:
    """Every string of the big list, as a filter and as an id: an answer or a 400, never a 500."""
    await write(make_event(event_id=EventIds().next()))
    strings = json.loads(vectors("json", "blns.json").read_text())
    assert len(strings) > 400
    for text in strings:
        statuses = {(await api.ask(resource_id=text)).status_code, (await api.ask(cursor=text)).status_code}
        assert statuses <= {200, 400}, text
    for text in strings[::5]:
        path = f"/audit/events/{''.join(f'%{byte:02X}' for byte in text.encode())}"
        assert (await api.ask(path)).status_code in {200, 400, 404, 405}, text


async def test_roles_that_the_catalogue_does_not_know_give_nothing(api: Api) -> None:
    """A role that is not ours opens no view; the refusal names the least that would."""
    refused = await api.ask(roles="Emperor")
    assert refused.status_code == 403
    assert refused.json()["missing_role"] == "Cashier"


def test_a_misspelt_class_does_not_quietly_hide_nothing() -> None:
    """A view that names an unknown class is refused at start; classes without paths are fine."""
    wrong = QuerySettings(views=ViewsSettings(masked=ViewSettings(classes=("pi",))))
    with pytest.raises(ValueError, match=r"query\.views\.masked\.classes: `pi` is no class"):
        configured_views(wrong, RedactionSettings())
    configured_views(QuerySettings(), RedactionSettings(paths={"pii": ("client.ip",)}))


def test_an_unknown_key_is_an_error() -> None:
    """A misspelt setting is refused, not ignored."""
    with pytest.raises(ValidationError, match="extra"):
        QuerySettings.model_validate({"prot": 1})


async def test_the_description_of_the_api_is_whole(make_api: MakeApi) -> None:
    """The OpenAPI document names the three endpoints, their replies and their refusals."""
    api = await make_api()
    transport: Any = api.client._transport
    paths = transport.app.openapi()["paths"]
    assert set(paths) == {"/audit/events", "/audit/events/{event_id}", "/audit/trace/{trace_id}"}
    for described in paths.values():
        assert set(described["get"]["responses"]) >= {"200", "400", "401", "403", "503"}
