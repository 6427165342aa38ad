"""`audit.registry.classes`: the classes are the registry's, and a type checker sees what is wrong with an event."""

import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from audit.event import Kind, Severity
from audit.registry.classes import services, source
from audit.registry.errors import RegistryInvalid
from audit.registry.load import packaged, read
from audit.registry.model import EventType, Field, FieldType, Registry
from audit.registry.typed import TypedEvent
from audit.registry.types import audit, customer, integration, inventory, loyalty, order, payment, policy, product
from lychgate.reference.event_types import class_modules

ROOT = Path(__file__).parents[3]
MODULES = (audit, customer, integration, inventory, loyalty, order, payment, policy, product)
ODD = """
format = 1
[types."shop.basket.opened"]
since = "1.0.0"
says = 'It said "hello"; and a \\ too.'
kind = "admin"
severity = ["warn"]
[types."shop.basket.opened".details]
kind = { type = "string", enum = ["a", "b"], says = "x" }
from = { type = "time", required = true, says = "x" }
details = { type = "list", of = "range", says = "x" }
share = { type = "number", says = "x" }
whole = { type = "object", required = true, says = "x" }
word = { type = "string", required = true, says = "x", enum = [
"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "cccccccccccccccccccccccccccccc"
] }
"""


def made(registry: Registry) -> types.ModuleType:
    """The module of a registry's classes."""
    names = [name for own in services(registry).values() for name in own]
    module = types.ModuleType("made_events")
    exec(compile(source(registry, names, "a test"), "made_events.py", "exec"), module.__dict__)  # noqa: S102
    return module


def test_the_modules_are_the_registrys() -> None:
    """`make docs` would change none, and none is left over."""
    wanted = class_modules()
    assert {name: (ROOT / name).read_text(encoding="utf-8") for name in wanted} == wanted
    present = {f"audit/registry/types/{path.name}" for path in (ROOT / "audit/registry/types").glob("[a-z]*.py")}
    assert present == {*wanted}


def test_every_type_but_decisions_has_a_class() -> None:
    """Each class says which type it stands for; together they are all that the registry has."""
    classes = [
        found
        for module in MODULES
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, TypedEvent) and found is not TypedEvent
    ]
    named = {found.event_type for found in classes}
    assert named == {name for name, entry in packaged().types.items() if entry.kind is not Kind.DECISION}
    assert len(named) == len(classes)


def test_a_class_carries_what_its_type_is() -> None:
    """Name, kind, action, resource type and severity; its fields are the details."""
    event = customer.CustomerErased(accounts=1, orders=0)
    assert (event.event_type, event.kind, event.action) == ("customer.customer.erased", Kind.DOMAIN, "customer:erase")
    assert (event.resource_type, event.severity) == ("Customer", Severity.NOTICE)
    assert event.details() == {"accounts": 1, "orders": 0}


def test_names_that_are_taken_get_a_line_behind_them_and_none_in_the_event() -> None:
    """A field may be called as Python's words and the class's own attributes are; what it says cannot end a string."""
    module = made(read(ODD, "odd.toml"))
    event = module.BasketOpened(from_="2026-01-01T00:00:00.000000Z", kind_="a", whole={}, word="b" * 30)
    told = event.details()
    assert told == {"from": "2026-01-01T00:00:00.000000Z", "kind": "a", "whole": {}, "word": "b" * 30}
    assert (event.kind, event.severity) == (Kind.ADMIN, Severity.WARN)


def test_no_word_of_a_registry_becomes_code() -> None:
    """Whatever stands in it, and however long the line gets: words of a list, meanings, units, actions."""
    words = ["]; raise SystemExit('run') #", 'a", 1]; raise SystemExit #', "\\", "\n]\nraise SystemExit\n[", "a" * 99]
    text = '"""\nraise SystemExit\n"""'
    for of in (FieldType.STRING, FieldType.LIST):
        field = Field(
            type=of, of=FieldType.STRING if of is FieldType.LIST else None, says=text, unit=text, enum=(*words,),
            data_class=text,
        )  # fmt: skip
        entry = EventType(since="1.0.0", says=text, actions=(text,), resource=text, details={"why": field})
        module = made(Registry(types={"shop.basket.opened": entry}))
        hint = module.BasketOpened.__annotations__["why"]
        assert f"{words[0]}" in repr(hint)
        assert module.BasketOpened.action == text


def test_fields_named_like_what_annotates_them_do_no_harm() -> None:
    """`int: int | None = None` would make the next `int` None."""
    names = ("int", "str", "dict", "tuple", "bool", "float", "msgspec")
    details = {name: Field(type=FieldType.BOOLEAN, says="x") for name in names}
    details["count"] = Field(type=FieldType.INTEGER, required=True, says="x")
    entry = EventType(since="1.0.0", says="x", details=details)
    event = made(Registry(types={"shop.basket.opened": entry})).BasketOpened(count=1, int_=True)
    assert event.details() == {"count": 1, "int": True}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"class_name": "TypedEvent"}, "would be the class TypedEvent, which has a meaning already"),
        ({"class_name": "None"}, "would be the class None, which has a meaning already"),
        ({"details": {it: Field(type=FieldType.BOOLEAN, says="x") for it in ("kind", "kind_")}}, "`kind` and `kind_`"),
    ],
)
def test_a_module_that_could_not_be_imported_is_refused(entry: dict[str, Any], reason: str) -> None:
    """With the name and what to do."""
    registry = Registry(types={"shop.basket.opened": EventType(since="1.0.0", says="x", **entry)})
    with pytest.raises(RegistryInvalid, match=reason):
        source(registry, registry.types, "a test")


def test_two_classes_of_one_name_are_refused() -> None:
    """In one module; whoever has both gives one of them a name of its own."""
    entry = '[types."{}.basket.opened"]\nsince = "1.0.0"\nsays = "x"\n'
    text = "format = 1\n" + entry.format("shop") + entry.format("store")
    with pytest.raises(RegistryInvalid, match="would both be the class BasketOpened"):
        made(read(text, "two.toml"))
    assert made(read(text + 'class = "StoreBasketOpened"\n', "two.toml")).StoreBasketOpened


SNIPPET = """
from typing import TypeVar
from audit.event import Severity
from audit.registry.typed import TypedEvent
from audit.registry.types.order import EventName, OrderCancelled, OrderCreated, OrderDiscounted
from audit.registry.types.policy import ShadowDiverged

E = TypeVar("E", bound=TypedEvent)


def tell(name: EventName) -> None: ...
def change(event: type[E], told: E) -> None: ...
def emit(event: TypedEvent) -> None: ...


tell("order.order.cancelled")
emit(OrderDiscounted(percent=5, off=100))
change(OrderCancelled, OrderCancelled(reason="late"))

tell("order.order.canceled")  # 1 "tell" has incompatible type "Literal['order.order.canceled']"
OrderDiscounted(percent=5)  # 2 Missing named argument "off"
OrderDiscounted(percent="5", off=1)  # 3 "percent" to "OrderDiscounted" has incompatible type "str"; expected "int"
OrderDiscounted(percent=5, off=1, colour="red")  # 4 Unexpected keyword argument "colour"
OrderCancelled("late")  # 5 Too many positional arguments
OrderCancelled.severity = "loud"  # 6 has type "str", variable has type "Severity"
OrderCancelled(reason="x", severity=Severity.INFO)  # 7 Unexpected keyword argument "severity"
OrderCancelled(reason="x").reason = "y"  # 8 Property "reason" defined in "OrderCancelled" is read-only
emit("order.order.cancelled")  # 9 has incompatible type "str"; expected "TypedEvent"
emit(OrderCancelled)  # 10 has incompatible type "type[OrderCancelled]"; expected "TypedEvent"
ShadowDiverged(
    decision_id="x", kind_="reasons", live_reasons=(), live_policy_version="x", shadow_effect="deny",
    live_effect="maybe",  # 11 "live_effect" to "ShadowDiverged" has incompatible type "Literal['maybe']"
    shadow_reasons=(), shadow_policy_version="x",
)
"""


def test_a_type_checker_sees_what_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    """Unknown name, missing field, wrong type, unknown field, wrong severity, another event: each in its line."""
    file = tmp_path / "snippet.py"
    file.write_text(SNIPPET, encoding="utf-8")
    # Without our own configuration: whoever brings a service under the gateway has another.
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", f"{file}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    wanted = {}
    for number, line in enumerate(SNIPPET.splitlines(), 1):
        if label := re.search(r"  # \d+ (.*)$", line):
            wanted[number] = label[1]
    found = re.findall(r"snippet\.py:(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    assert {int(line) for line, _ in found} == {*wanted}, done.stdout + done.stderr
    for line, said in wanted.items():
        assert any(int(at) == line and said in reason for at, reason in found), (said, done.stdout)
