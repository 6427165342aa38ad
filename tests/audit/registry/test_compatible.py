"""`audit.registry.compatible`: each promise to readers of released events, and that what is let through keeps them."""

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.registry.check import misfit
from audit.registry.compatible import Rule, breaks
from audit.registry.load import packaged, read
from audit.registry.model import EventType, Field, FieldType, Registry
from audit.registry.schema import schema
from lychgate.event_lint.rules import BREAKS, KINDS

BEFORE = """
format = 1
[types."shop.basket.paid"]
since = "1.0.0"
says = "A basket was paid."
actions = ["shop:pay"]
resource = "Basket"
crud = ["u"]
severity = ["info", "notice"]
[types."shop.basket.paid".details]
amount = { type = "integer", required = true, minimum = 0, maximum = 100, unit = "cents", says = "How much." }
method = { type = "string", max_length = 8, says = "By what." }
currency = { type = "string", enum = ["EUR", "USD"], says = "Of what." }
colour = { type = "string", enum = ["red"], open = true, says = "Of what colour." }
lines = { type = "list", of = "string", max_length = 9, max_items = 5, says = "What was in it." }
buyer = { type = "string", max_length = 9, class = "pii", says = "Who." }
[types."shop.basket.paid".changes]
name = "pii"
"""
CHANGES = '[types."shop.basket.paid".changes]'
COMPATIBLE = [
    ("says", 'says = "A basket was paid."', 'says = "Somebody paid a basket."'),
    ("a new optional field", CHANGES, 'gift = { type = "boolean", says = "x" }\n' + CHANGES),
    ("a new type", "format = 1", 'format = 1\n[types."shop.basket.lost"]\nsince = "1.1.0"\nsays = "x"\n'),
    ("another action behind", '["shop:pay"]', '["shop:pay", "shop:settle"]'),
    ("another severity behind", '["info", "notice"]', '["info", "notice", "warn"]'),
    ("a longer text", "max_length = 8", "max_length = 80"),
    ("a longer list", "max_items = 5", "max_items = 50"),
    ("wider bounds", "minimum = 0, maximum = 100", "minimum = -1, maximum = 200"),
    ("another word of an open list", 'enum = ["red"]', 'enum = ["red", "blue"]'),
    ("a class where there was none", 'method = { type = "string"', 'method = { type = "string", class = "payment"'),
    ("how long the words of a closed list are", '"USD"]', '"USD"], max_length = 3'),
    ("retired", 'since = "1.0.0"', 'since = "1.0.0"\nretired = "1.1.0"'),
]  # fmt: skip
BROKEN = [
    (Rule.TYPE_REMOVED, "shop.basket.paid", "shop.basket.settled"),
    (Rule.KIND_CHANGED, 'crud = ["u"]', 'crud = ["u"]\nkind = "admin"'),
    (Rule.SEVERITY_CHANGED, '["info", "notice"]', '["notice", "info"]'),
    (Rule.SEVERITY_CHANGED, '["info", "notice"]', '["info"]'),
    (Rule.SEVERITY_CHANGED, 'crud = ["u"]', 'crud = ["u"]\nfailure = ["error"]'),
    (Rule.ACTION_CHANGED, '["shop:pay"]', '["shop:settle", "shop:pay"]'),
    (Rule.ACTION_CHANGED, '["shop:pay"]', '["shop:settle"]'),
    (Rule.RESOURCE_CHANGED, 'resource = "Basket"\n', ""),
    (Rule.CRUD_CHANGED, 'crud = ["u"]', 'crud = ["u", "d"]'),
    (Rule.PHASE_CHANGED, 'crud = ["u"]', 'crud = ["u"]\nphases = ["single", "decided"]'),
    (Rule.SINCE_CHANGED, 'since = "1.0.0"', 'since = "1.1.0"'),
    (Rule.FIELD_REMOVED, 'method = { type = "string", max_length = 8, says = "By what." }\n', ""),
    (Rule.FIELD_REMOVED, "method = {", "means = {"),
    (Rule.FIELD_ADDED_REQUIRED, "method = {", 'due = { type = "boolean", required = true, says = "x" }\nmethod = {'),
    (Rule.FIELD_NOW_REQUIRED, "max_length = 8", "max_length = 8, required = true"),
    (Rule.FIELD_NOW_OPTIONAL, "required = true, ", ""),
    (Rule.FIELD_RETYPED, '"integer"', '"number"'),
    (Rule.FIELD_RETYPED, 'of = "string", max_length = 9', 'of = "integer"'),
    (Rule.FIELD_UNIT_CHANGED, 'unit = "cents"', 'unit = "euros"'),
    (Rule.FIELD_NARROWED, "max_length = 8", "max_length = 7"),
    (Rule.FIELD_NARROWED, "max_items = 5", "max_items = 4"),
    (Rule.FIELD_NARROWED, "minimum = 0", "minimum = 1"),
    (Rule.FIELD_NARROWED, "maximum = 100", "maximum = 99"),
    (Rule.ENUM_NARROWED, '["EUR", "USD"]', '["EUR"]'),
    (Rule.ENUM_NARROWED, 'type = "string", max_length = 8', 'type = "string", enum = ["card"], open = true'),
    (Rule.ENUM_NARROWED, 'enum = ["red"], open = true', 'enum = ["red"]'),
    (Rule.FIELD_NARROWED, 'enum = ["red"], open = true', 'enum = ["red"], open = true, max_length = 3'),
    (Rule.FIELD_NARROWED, 'enum = ["red"], open = true', "max_length = 3"),
    (Rule.ENUM_WIDENED, '["EUR", "USD"]', '["EUR", "USD", "GBP"]'),
    (Rule.ENUM_WIDENED, 'enum = ["EUR", "USD"]', "max_length = 3"),
    (Rule.ENUM_WIDENED, 'enum = ["EUR", "USD"]', 'enum = ["EUR", "USD"], open = true'),
    (Rule.CLASS_LOOSENED, 'class = "pii", ', ""),
    (Rule.CLASS_LOOSENED, 'class = "pii"', 'class = "payment"'),
    (Rule.CLASS_LOOSENED, '[types."shop.basket.paid".changes]\nname = "pii"\n', ""),
    (
        Rule.CLASS_LOOSENED,
        '[types."shop.basket.paid".changes]\nname = "pii"',
        '[types."shop.basket.paid".changes]\nname = "payment"',
    ),
]


def changed(old: str, new: str) -> Registry:
    """The registry with other words in it."""
    assert old in BEFORE
    return read(BEFORE.replace(old, new), "now.toml")


@pytest.mark.parametrize(("what", "old", "new"), COMPATIBLE, ids=[what for what, _, _ in COMPATIBLE])
def test_what_a_reader_can_bear(what: str, old: str, new: str) -> None:
    """None of it breaks a promise."""
    assert list(breaks(read(BEFORE, "before.toml"), changed(old, new))) == [], what


@pytest.mark.parametrize(("rule", "old", "new"), BROKEN, ids=[f"{rule}-{at}" for at, (rule, _, _) in enumerate(BROKEN)])
def test_what_breaks_a_reader_is_refused_by_its_rule(rule: Rule, old: str, new: str) -> None:
    """The rule that it breaks, and no other."""
    found = list(breaks(read(BEFORE, "before.toml"), changed(old, new)))
    assert {each.rule for each in found} == {rule}, found
    assert all(each.event_type == "shop.basket.paid" for each in found)


def test_every_rule_is_tried_and_explained() -> None:
    """A rule without a case would be one nobody has seen work; each has its words."""
    assert {rule for rule, _, _ in BROKEN} == {*Rule}
    assert {*BREAKS} == {rule.value for rule in Rule}
    assert {*BREAKS} < {*KINDS}


def test_a_common_field_is_a_field_of_every_type_of_its_kind() -> None:
    """Taking one away breaks each of them."""
    now = packaged()
    less = Registry(types=now.types, common={}, places=now.places)
    found = list(breaks(now, less))
    assert {each.rule for each in found} == {Rule.FIELD_REMOVED}
    assert len({each.event_type for each in found}) > 30


FIELDS = st.builds(
    lambda required, kind: Field(type=FieldType(kind["type"]), says="x", required=required, **kind["more"]),
    st.booleans(),
    st.one_of(
        st.fixed_dictionaries(
            {
                "type": st.just("integer"),
                "more": st.fixed_dictionaries(
                    {}, optional={"minimum": st.integers(-1, 1), "maximum": st.integers(1, 3)}
                ),
            }
        ),
        st.fixed_dictionaries(
            {"type": st.just("string"), "more": st.fixed_dictionaries({"max_length": st.integers(1, 3)})}
        ),
        st.fixed_dictionaries(
            {
                "type": st.just("string"),
                "more": st.fixed_dictionaries(
                    {"enum": st.sampled_from([("a",), ("a", "b"), ("b", "c")]), "open": st.booleans()},
                    optional={"max_length": st.integers(1, 3)},
                ),
            }
        ),
    ),
)
VALUES: st.SearchStrategy[Any] = st.integers(-2, 4) | st.text("abc", max_size=4)


@given(old=st.none() | FIELDS, new=st.none() | FIELDS, value=VALUES, given_=st.booleans())
def test_what_is_let_through_keeps_both_promises(
    old: Field | None, new: Field | None, value: Any, given_: bool
) -> None:
    """An old event is valid under the new schema; a new one has what an old reader was promised of what it knows."""

    def registry(field: Field | None) -> Registry:
        details = {} if field is None else {"x": field}
        return Registry(types={"a.b.done": EventType(since="1.0.0", says="x", details=details)})

    before, after = registry(old), registry(new)
    if list(breaks(before, after)) or old is None:
        return
    details = {"x": value} if given_ else {}

    def is_valid(under: Registry) -> bool:
        rules = schema(under, "a.b.done")["allOf"]
        closed = rules[1]["else"]["properties"]["details"]
        required = sorted(under.types["a.b.done"].required)
        return jsonschema.Draft202012Validator({**closed, "required": required}).is_valid(details)

    assert not is_valid(before) or is_valid(after)
    if is_valid(after) and old.enum and not old.open and given_:
        assert misfit(value, old) is None
    if is_valid(after) and old.required:
        assert given_
