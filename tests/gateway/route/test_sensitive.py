"""Fields named by class: what a routes file may say, and what makes its route refuse."""

import pytest

from gateway.model import DataClass
from gateway.route.load import load_routes
from gateway.route.sensitive import sensitive_fields
from policies.bundle import Bundle
from tests.builders.questions import ROOT, real_bundle

ROUTE = """
[[route]]
id = "customer.read"
method = "GET"
path = "/customers/{customer_id}"
service = "customer"
action = "customer:read"
resource = { type = "Customer" }
"""


def test_pointers_become_paths_in_the_order_of_the_classes() -> None:
    """Escapes are resolved, doubles go, and the last name of each path is what an error is searched for."""
    written = {"payment": ("/card/number",), "pii": ("/a~1b/*/E-Mail", "/notes/*", "/a~1b/*/E-Mail", "/t~0")}
    found, problems = sensitive_fields(written, "Customer", real_bundle())
    assert problems == []
    pii, payment = found
    assert (pii.data_class, payment.data_class) == (DataClass.PII, DataClass.PAYMENT)
    assert pii.pointers == ("/a~1b/*/E-Mail", "/notes/*", "/t~0")
    assert pii.paths == (("a/b", "*", "E-Mail"), ("notes", "*"), ("t~",))
    assert pii.names == {"e-mail", "notes", "t~"}


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ({"pii": ["email"]}, "is not a pointer of RFC 6901"),
        ({"pii": [""]}, "is not a pointer of RFC 6901"),
        ({"pii": ["/a~2"]}, "is not a pointer of RFC 6901"),
        ({"pii": ["/"]}, "empty part"),
        ({"pii": ["/a//b"]}, "empty part"),
        ({"pii": ["/items/0/name"]}, "by its number"),
        ({"pii": ["/*"]}, "names nothing"),
        ({"pii": ["/*/*"]}, "names nothing"),
        ({"pii": []}, "names no field"),
        ({"health": ["/a"]}, "`health` is not one of pii, payment, secret"),
        ({"pii": [f"/{'a' * 1100}", f"/{'b' * 1100}"]}, "more than 2048 characters"),
    ],
)
def test_a_path_that_would_match_nothing_refuses_its_route(written: dict[str, list[str]], problem: str) -> None:
    """And nothing else: the table stands, the route refuses its path."""
    listed = ", ".join(f"{name} = {pointers!r}" for name, pointers in written.items())
    text = f"{ROUTE}redact = {{ {listed} }}\n"
    [route] = load_routes("routes.toml", text, real_bundle(), {"customer": ()}).routes
    assert problem in route.problem


def test_a_class_that_cedar_cannot_decide_refuses_its_route() -> None:
    """The action has to be in the schema, and has to apply to the route's resource."""
    _, problems = sensitive_fields({"pii": ("/a",)}, "AuditLog", real_bundle())
    assert problems == ["redact: action `data:see_pii` does not apply to `AuditLog`"]
    bare = _without_the_actions()
    _, problems = sensitive_fields({"pii": ("/a",)}, "Customer", bare)
    assert problems == ["redact: action `data:see_pii` is not in the schema"]


def _without_the_actions() -> Bundle:
    """The real schema under other names for the three."""
    from policies.load import build_bundle

    schema = (ROOT / "policies/schema.cedarschema").read_text(encoding="utf-8").replace('"data:see_', '"data:other_')
    return build_bundle([], ("schema.cedarschema", schema))


def test_every_route_of_a_customer_or_a_payment_that_answers_with_one_is_covered() -> None:
    """One way to a field that masks nothing would be the way around the others."""
    services = dict.fromkeys(
        ("product", "order", "inventory", "loyalty", "payment", "customer", "integration", "audit"), ()
    )
    text = (ROOT / "routes.toml").read_text(encoding="utf-8")
    routes = load_routes("routes.toml", text, real_bundle(), services).routes
    assert {route.problem for route in routes} == {""}
    plain = {route.id for route in routes if route.service in {"customer", "payment"} and not route.redact}
    assert plain == {
        "customer.lookup",  # a name and an account, for the till
        "customer.erase",  # no body
        "payment.report",  # sums
        "payment.read_refund",
        "payment.refund",
        "payment.request_refund",
    }
