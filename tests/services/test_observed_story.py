"""Every handler of the services that changes something, once well and once not, held against the scanner's claim."""

from pathlib import Path

from typer.testing import CliRunner

from lychgate.cli import app
from lychgate.coverage.model import State
from lychgate.coverage.observed import check, read_runs
from lychgate.coverage.observer import Observer
from tests.builders.claims import ROOT, claims
from tests.builders.exchange import Exchange
from tests.builders.retail import Retail

BELL = {"sku": "ACM-BELL", "name": "Bell", "category": "bicycles", "price": 990, "currency": "EUR"}
NEW_ORDER = {"lines": [{"sku": "ACM-TUBE-28", "quantity": 1}]}
UNKNOWN_ORDER = {"lines": [{"sku": "NO-SUCH-SKU", "quantity": 1}]}
PERSON = {"name": "Ana", "email": "ana@example.org"}
PARTNER = {"name": "Other", "kind": "marketplace", "endpoint": "https://other.example/in"}
TUBE, NONE = "/inventory/stock/ACM-TUBE-28", "/inventory/stock/NO-SUCH-SKU"
HELD = {"quantity": 1, "order_id": "o-1005"}
REFUND = {"amount": 100, "reason": "late"}

STEPS = [
    ("product", "POST", "/products", BELL, 201),
    ("product", "POST", "/products", BELL, 409),
    ("product", "PATCH", "/products/p-1001", {"name": "City bicycle"}, 200),
    ("product", "PATCH", "/products/nothing", {"name": "City bicycle"}, 404),
    ("product", "PUT", "/products/p-1001/price", {"price": 49_900}, 200),
    ("product", "PUT", "/products/nothing/price", {"price": 49_900}, 404),
    ("product", "DELETE", "/products/p-1004", None, 204),
    ("product", "DELETE", "/products/nothing", None, 404),
    ("order", "POST", "/orders", NEW_ORDER, 201),
    ("order", "POST", "/orders", UNKNOWN_ORDER, 422),
    ("order", "PATCH", "/orders/o-1005", {"note": "ring"}, 200),
    ("order", "PATCH", "/orders/nothing", {"note": "ring"}, 404),
    ("order", "POST", "/orders/o-1005/discount", {"percent": 10}, 200),
    ("order", "POST", "/orders/o-1001/discount", {"percent": 10}, 409),
    ("order", "POST", "/orders/o-1002/fulfil", None, 200),
    ("order", "POST", "/orders/o-1002/fulfil", None, 409),
    ("order", "POST", "/orders/o-1003/cancel", {"reason": "x"}, 200),
    ("order", "POST", "/orders/o-1003/cancel", {"reason": "x"}, 409),
    *(
        ("inventory", "POST", f"{stock}/{verb}", body, status)
        for verb, body in (
            ("receive", {"quantity": 5}),
            ("count", {"shelf": 50, "backroom": 50}),
            ("adjust", {"quantity": -1, "place": "shelf", "reason": "broken"}),
            ("transfer", {"quantity": 1, "to": "shelf"}),
            ("reserve", HELD),
            ("release", HELD),
        )
        for stock, status in ((TUBE, 200), (NONE, 404))
    ),
    ("customer", "POST", "/customers", PERSON, 201),
    ("customer", "POST", "/customers", PERSON, 409),
    ("customer", "PATCH", "/customers/c-1001", {"name": "Marta"}, 200),
    ("customer", "PATCH", "/customers/nothing", {"name": "Marta"}, 404),
    ("customer", "PUT", "/customers/c-1001/consent", {"marketing": True}, 200),
    ("customer", "PUT", "/customers/nothing/consent", {"marketing": True}, 404),
    ("loyalty", "POST", "/loyalty/accounts/l-1002/earn", {"order_id": "o-1001", "spent": 100}, 200),
    ("loyalty", "POST", "/loyalty/accounts/l-1002/earn", {"order_id": "o-1001", "spent": 100}, 409),
    ("loyalty", "POST", "/loyalty/accounts/l-1002/redeem", {"points": 1, "reward": "x"}, 200),
    ("loyalty", "POST", "/loyalty/accounts/nothing/redeem", {"points": 1, "reward": "x"}, 404),
    ("loyalty", "POST", "/loyalty/accounts/l-1002/adjust", {"points": 1, "reason": "x"}, 200),
    ("loyalty", "POST", "/loyalty/accounts/nothing/adjust", {"points": 1, "reason": "x"}, 404),
    ("loyalty", "DELETE", "/loyalty/accounts/l-1003", None, 200),
    ("loyalty", "DELETE", "/loyalty/accounts/nothing", None, 404),
    ("loyalty", "POST", "/loyalty/accounts", {"customer_id": "c-1003"}, 201),
    ("loyalty", "POST", "/loyalty/accounts", {"customer_id": "c-1003"}, 409),
    ("payment", "POST", "/payments/intents/pi-1005/cancel", None, 200),
    ("payment", "POST", "/payments/intents/pi-1005/cancel", None, 409),
    ("payment", "POST", "/payments/intents", {"order_id": "o-1005", "method": "cash"}, 201),
    ("payment", "POST", "/payments/intents", {"order_id": "o-1005", "method": "cash"}, 409),
    ("payment", "POST", "/payments/intents/{intent}/confirm", None, 200),
    ("payment", "POST", "/payments/intents/pi-1005/confirm", None, 409),
    ("payment", "POST", "/payments/intents/pi-1001/refunds", REFUND, 201),
    ("payment", "POST", "/payments/intents/nothing/refunds", REFUND, 404),
    ("payment", "POST", "/payments/intents/pi-1001/refund-requests", REFUND, 201),
    ("payment", "POST", "/payments/intents/nothing/refund-requests", REFUND, 404),
    ("integration", "POST", "/integration/partners/x-1001/deliveries", {"subject": "x"}, 201),
    ("integration", "POST", "/integration/partners/nothing/deliveries", {"subject": "x"}, 404),
    ("integration", "POST", "/integration/deliveries/{delivery}/retry", None, 200),
    ("integration", "POST", "/integration/deliveries/nothing/retry", None, 404),
    ("integration", "POST", "/integration/stock-sync", {"partner_id": "x-1001"}, 200),
    ("integration", "POST", "/integration/stock-sync", {"partner_id": "nothing"}, 404),
    ("integration", "PUT", "/integration/partners/x-1002", PARTNER, 200),
    ("integration", "PUT", "/integration/partners/nothing", PARTNER, 404),
    ("customer", "DELETE", "/customers/c-1004", None, 204),
    ("customer", "DELETE", "/customers/nothing", None, 404),
]


async def _feed(retail: Retail, *chunks: bytes, broken: bool = False) -> int:
    """A feed of products; `broken` is one whose sender goes away."""

    async def body():  # noqa: ANN202 - chunks
        for chunk in chunks:
            yield chunk
        if broken:
            raise ConnectionError

    headers = {"X-Security-Context": retail.context("product", "POST", "/products/import")}
    headers["Content-Type"] = "application/x-ndjson"
    async with retail.client("product") as client:
        return (await client.post("/products/import", content=body(), headers=headers)).status_code


async def test_every_changing_handler_does_as_is_claimed(retail: Retail, tmp_path: Path) -> None:
    """The command finds no contradiction between what ran and what it claims, and nothing that was not seen."""
    runs = tmp_path / "runs.jsonl"
    retail.observer = Observer(runs)
    exchange = Exchange(retail, tmp_path / "gateway")
    retail.onward = exchange.onward
    acme = retail.store.tenant("acme")
    names = {"delivery": next(row.id for row in acme.deliveries.all() if row.status == "failed"), "intent": ""}
    for service, method, path, body, status in STEPS:
        answer = await retail.ask(service, method, path.format(**names), body, sub="boss-1")
        assert (answer.status_code < 400) is (status < 400), (method, path, answer.text)
        if path == "/payments/intents" and status == 201:
            names["intent"] = answer.json()["id"]
    assert await _feed(retail, b"") == 200
    assert await _feed(retail, b"x" * 3_000_000) >= 400
    await exchange.http.aclose()
    exchange.emitter.close()
    checked = check(claims(), read_runs([runs]))
    assert checked.findings == ()
    assert checked.unseen == ()
    changing = {it.name for it in claims().handlers if it.state is State.COVERED}
    assert len(changing) >= 34
    done = CliRunner().invoke(app, ["audit", "coverage", str(ROOT / "services"), "--observed", str(runs)])
    assert done.exit_code == 0, done.output


async def test_a_feed_without_a_good_row_is_recorded(retail: Retail) -> None:
    """That somebody fed the shop, and that nothing came of it."""
    assert await _feed(retail, b"{}\n") == 200
    (event,) = await retail.events("product")
    assert event.event_type == "product.assortment.imported"
    assert event.details is not None
    assert (event.details["rows"], event.details["rejected"]) == (0, 1)
