"""What a view shows: masked, removed or untouched, with every hidden field listed; and never unmasked by mishap."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from audit.ids import EventIds
from audit.redact import Variant
from audit.settings import RedactionSettings
from query.access import View
from query.app import configured_views
from query.history import Row
from query.settings import QuerySettings, ViewSettings, ViewsSettings
from query.views import HidesTooMuch, Treatment, Views
from tests.builders.audit import make_event
from tests.builders.query_api import Api, MakeApi, Write

CLASSES = {
    "pii": ("client.ip", "details.customer.email", "details.guests.*.name", "changes.email"),
    "payment": ("details.card.number",),
    "secret": (),
}
BODY: dict[str, Any] = {
    "event_id": "0192f0c8-0000-7000-8000-000000000001",
    "client": {"ip": "10.0.0.1", "user_agent": "curl"},
    "details": {
        "customer": {"email": "a@example.com", "tier": "gold"},
        "guests": [{"name": "Ann"}, {"name": "Bob"}],
        "card": {"number": "4111", "brand": "v"},
        "api_token": "t0k",
    },
    "changes": [{"path": "/email", "op": "replace", "old": "a@", "new": "b@"}, {"path": "/tier", "op": "add"}],
}


def row(body: str | None = None) -> Row:
    """A row of the store."""
    return Row(
        event_id=UUID(BODY["event_id"]),
        event_type="order.order.updated",
        kind="domain",
        tenant_id="acme",
        occurred_at=datetime(2026, 11, 23, 15, tzinfo=UTC),
        body=json.dumps(BODY) if body is None else body,
    )


def views(variant: Variant = Variant.MASK, *classes: str) -> Views:
    """The masked view as given, the full one as ever."""
    return Views(CLASSES, {View.MASKED: Treatment(variant, classes)})


def test_mask_keeps_the_field_and_hides_its_value() -> None:
    """Every path of the class is masked, nested, in lists and in changes, and listed with its class."""
    presented = views(Variant.MASK, "pii").present(View.MASKED, [row()])
    [event] = presented.events
    assert event["client"] == {"ip": "***", "user_agent": "curl"}
    assert event["details"]["customer"] == {"email": "***", "tier": "gold"}
    assert event["details"]["guests"] == [{"name": "***"}, {"name": "***"}]
    assert event["details"]["card"]["number"] == "4111"
    assert event["changes"][0] == {"path": "/email", "op": "replace", "old": "***", "new": "***"}
    assert {item["path"] for item in event["redacted"]} == {
        "client.ip",
        "details.customer.email",
        "details.guests.0.name",
        "details.guests.1.name",
        "changes.email.old",
        "changes.email.new",
    }
    assert {(item["how"], item["reason"]) for item in event["redacted"]} == {("mask", "pii")}
    assert presented.variant == "mask"


def test_remove_takes_the_field_out() -> None:
    """With `remove` the field is gone, and its removal is listed all the same."""
    presented = views(Variant.REMOVE, "payment").present(View.MASKED, [row()])
    [event] = presented.events
    assert event["details"]["card"] == {"brand": "v"}
    assert event["redacted"] == [{"path": "details.card.number", "how": "remove", "reason": "payment"}]
    assert presented.variant == "remove"


def test_nothing_to_hide_is_a_no_op() -> None:
    """An event without such a field is shown as it is, is not marked, and counts as untouched."""
    presented = views(Variant.MASK, "pii").present(View.MASKED, [row('{"details": {"order": "o-1"}}')])
    assert "redacted" not in presented.events[0]
    assert presented.events[0]["details"] == {"order": "o-1"}
    assert presented.variant == "none"


def test_the_full_view_shows_the_event_as_it_is() -> None:
    """The full view hides nothing and counts as untouched."""
    presented = views(Variant.MASK, "pii", "payment", "secret").present(View.FULL, [row()])
    assert presented.events[0]["details"] == BODY["details"]
    assert (presented.variant, presented.failures) == ("none", 0)


def test_keys_that_are_secrets_by_name_are_hidden_with_their_class() -> None:
    """A view that hides secrets hides keys named like one, whether or not a path was configured."""
    [event] = views(Variant.REMOVE, "secret").present(View.MASKED, [row()]).events
    assert "api_token" not in event["details"]
    assert event["redacted"] == [{"path": "details.api_token", "how": "remove", "reason": "secret"}]


@pytest.mark.parametrize("view", list(View))
@pytest.mark.parametrize("body", ["[1]", "{", '{"changes": [1], "details": {}}', '{"changes": 7}', "null"])
def test_a_body_that_cannot_be_masked_goes_and_the_rest_stays(view: View, body: str) -> None:
    """Such an event is shown by what the store knows of it: neither lost nor leaked, and said so."""
    all_views = Views(CLASSES, {each: Treatment(Variant.MASK, ("pii", "secret")) for each in View})
    presented = all_views.present(view, [row(body), row()])
    assert presented.failures == 1
    assert presented.events[0] == {
        "event_id": BODY["event_id"],
        "event_type": "order.order.updated",
        "kind": "domain",
        "tenant_id": "acme",
        "occurred_at": "2026-11-23T15:00:00.000000Z",
        "redacted": [{"path": "*", "how": "remove", "reason": "failed"}],
    }
    assert presented.events[1]["client"]["ip"] == "***"


@pytest.mark.parametrize("path", ["event_id", "tenant_id", "occurred_at", "*", "kind"])
def test_a_class_may_not_hide_what_readers_page_by(path: str) -> None:
    """Such a configuration is refused when the process starts."""
    with pytest.raises(HidesTooMuch, match="`masked` view hides"):
        Views({"pii": (path,)}, {View.MASKED: Treatment(Variant.REMOVE, ("pii",))})


@pytest.mark.parametrize(
    ("path", "filters"),
    [
        ("client.ip", set()),
        ("actor.id", {"actor"}),
        ("actor", {"actor"}),
        ("resource.*", {"resource_type", "resource_id"}),
        ("severity", {"severity", "severity_gte"}),
    ],
)
def test_a_hidden_field_is_not_a_filter(path: str, filters: set[str]) -> None:
    """A view knows which filters would give away what it hides."""
    hidden = Views({"pii": (path,)}, {View.MASKED: Treatment(Variant.MASK, ("pii",))})
    assert hidden.hidden_filters(View.MASKED) == filters
    assert hidden.hidden_filters(View.FULL) == set()


def test_the_shipped_configuration_hides_personal_data_and_no_filter() -> None:
    """As shipped, both limited views mask `pii`, `payment` and `secret`, and every filter works in all of them."""
    shipped = configured_views(QuerySettings(), RedactionSettings())
    assert all(shipped.hidden_filters(view) == set() for view in View)
    for view in (View.MASKED, View.OWN):
        assert shipped.present(view, [row()]).events[0]["client"] == {"ip": "***", "user_agent": "***"}


async def test_each_reply_is_counted_by_view_and_by_what_it_did(make_api: MakeApi, write: Write) -> None:
    """Over HTTP: `audit_redacted_view_total` tells masked, removed and untouched replies apart."""
    masking = await make_api()
    removing = await make_api(
        query=QuerySettings(views=ViewsSettings(masked=ViewSettings(variant=Variant.REMOVE, classes=("pii",))))
    )
    await write(make_event(event_id=EventIds().next()))

    masked = (await masking.ask(roles="Support")).json()["data"][0]
    removed = (await removing.ask(roles="Support")).json()["data"][0]
    full = (await masking.ask(roles="Admin")).json()["data"][0]
    own = (await masking.ask(roles="Cashier")).json()["data"]

    assert masked["client"] == {"ip": "***", "user_agent": "***"}
    assert removed["client"] == {}
    assert full["client"] == {"ip": "10.0.0.1", "user_agent": "curl/8"}
    assert own == []
    assert counted(masking) == {("full", "none"): 1, ("masked", "mask"): 1, ("own", "none"): 1}
    assert counted(removing) == {("masked", "remove"): 1}


def counted(api: Api) -> dict[tuple[str, str], float]:
    """What the counter says."""
    return {
        (sample.labels["view"], sample.labels["variant"]): sample.value
        for metric in api.registry.collect()
        for sample in metric.samples
        if sample.name == "audit_redacted_view_total" and sample.value
    }


async def test_a_filter_by_a_hidden_field_is_refused(make_api: MakeApi, write: Write) -> None:
    """Where actors are masked, Support cannot find out by asking; the Admin may still ask."""
    api = await make_api(redaction=RedactionSettings(paths={"pii": ("actor.id",), "payment": (), "secret": ()}))
    await write(make_event(event_id=EventIds().next()))
    refused = await api.ask(roles="Support", actor="u-1")
    assert refused.status_code == 400
    assert refused.json()["detail"] == "`actor` is hidden in your view, and cannot be asked for"
    assert (await api.ask(roles="Support")).json()["data"][0]["actor"]["id"] == "***"
    assert len(await api.ids(roles="Admin", actor="u-1")) == 1
