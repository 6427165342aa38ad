"""What a path is called."""

import pytest

from lychgate.routes_import.naming import Namer, Segments, singular, snake, type_name

ORDERS: list[Segments] = [
    ("orders",),
    ("orders", "export"),
    ("orders", None),
    ("orders", None, "cancel"),
    ("orders", None, "lines"),
    ("orders", None, "lines", None),
    ("carriers", None),
    ("carriers", None, "cancel"),
    ("carriers",),
    (),
]


@pytest.mark.parametrize(
    ("method", "path", "siblings", "verb"),
    [
        ("GET", ("orders",), 2, "list"),
        ("POST", ("orders",), 2, "create"),
        ("GET", ("orders", None), 3, "read"),
        ("PUT", ("orders", None), 3, "update"),
        ("DELETE", ("orders", None), 3, "delete"),
        ("POST", ("orders", None, "cancel"), 1, "cancel"),
        ("GET", ("orders", "export"), 1, "export"),
        ("GET", ("orders", "list"), 1, "read_list"),
        ("POST", ("orders", None, "read"), 1, "create_read"),
        ("GET", ("orders", None, "lines"), 1, "list_lines"),
        ("GET", ("orders", None, "lines", None), 1, "read_line"),
        ("POST", ("orders", None, "notes"), 2, "create_notes"),
        ("GET", ("carriers",), 1, "list_carriers"),
        ("GET", ("carriers", None), 1, "read_carrier"),
        ("POST", ("carriers", None, "cancel"), 1, "cancel_carrier"),
        ("GET", (), 1, "read_root"),
        ("GET", ("$$",), 1, "odd"),
    ],
)
def test_an_endpoint_is_named_for_what_it_does(method: str, path: Segments, siblings: int, verb: str) -> None:
    """Standard verbs for a collection, its own word for the rest, and never the main collection's for another's."""
    assert Namer("order", ORDERS).verb(method, path, siblings) == verb


def test_a_service_with_one_collection_needs_no_qualifier() -> None:
    """Whatever the collection is called; with two, none of them the service's, both say which they are."""
    one: list[Segments] = [("payments", "intents"), ("payments", "intents", None)]
    assert Namer("payment", one).verb("GET", ("payments", "intents"), 1) == "list"
    two: list[Segments] = [*one, ("payments", "payouts", None)]
    assert Namer("till", two).verb("GET", ("payments", "intents"), 1) == "list_intents"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("orderId", "order_id"),
        ("stock-sync", "stock_sync"),
        ("1st", "n1st"),
        ("", ""),
        ("ünïcode", "n_code"),
        ('a"\n[[route]]', "a_route"),
        ("x" * 80, "x" * 48),
    ],
)
def test_a_name_holds_nothing_but_letters_digits_and_underscores(text: str, name: str) -> None:
    """Whatever stands in the document."""
    assert snake(text) == name


def test_a_type_has_a_name_that_cedar_takes() -> None:
    """Singular, in capitals, and none that is there already."""
    names = [type_name(it) for it in ("loyalty-accounts", "companies", "boxes", "users", "sets", "", "status", "bus")]
    assert names == ["LoyaltyAccount", "Company", "Box", "UserResource", "SetResource", "Thing", "Status", "Bus"]
    assert singular("s") == "s"


@pytest.mark.parametrize(
    ("path", "unsaid"),
    [
        (("orders", None), []),
        (("orders", "export"), []),
        (("admin", "orders"), ["admin"]),
        (("admin", "orders", None, "cancel"), ["admin"]),
        (("orders", None, "fees", "cancel"), ["fees"]),
        (("customers", None, "orders"), []),
        (("API", "v2", "order", "orders"), []),
    ],
)
def test_a_word_that_an_actions_name_leaves_out_is_told(path: tuple[str | None, ...], unsaid: list[str]) -> None:
    """Or a path would get the permissions of another by being called alike."""
    assert Namer("order", [path, ("orders", None)]).unsaid(path) == unsaid


def test_which_type_a_path_names() -> None:
    """By a word, or by two that stand side by side."""
    namer = Namer("loyalty", [])
    assert namer.says(("loyalty", "accounts", None), "LoyaltyAccount")
    assert namer.says(("loyalty", "accounts", None), "Account")
    assert not namer.says(("loyalty", None, "accounts"), "Order")
