"""Tests of `audit.sinks.fit`; that an engine takes what it makes, `test_search_engine_story.py` shows."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.sinks.fit import fitted

LONGEST = 32_766


def body(details: Any, **more: Any) -> bytes:
    """A document with these details."""
    return json.dumps({"event_id": "e", "details": details, **more}, ensure_ascii=False).encode()


def terms(node: Any, path: str = "details") -> list[bytes]:
    """What an index would hold of them: each value with its path."""
    if isinstance(node, dict):
        return [term for name, value in node.items() for term in terms(value, f"{path}.{name}")]
    if isinstance(node, list):
        return [term for value in node for term in terms(value, path)]
    return [f"details.{path}={node}".encode()] if isinstance(node, str) else []


@pytest.mark.parametrize(
    "details", [{"a": "b"}, {"a": "x" * 32_000}, {f"k{n}": "x" * 50 for n in range(2000)}, ["x" * 99_999], None]
)
def test_what_fits_is_left_alone(details: Any) -> None:
    """To the byte."""
    document = body(details, actor={"id": "x" * 40_000})
    assert fitted(document) is document


def test_a_long_value_is_cut_and_said() -> None:
    """Its beginning stays, its neighbours stay, and the document says that it is not whole."""
    made = json.loads(fitted(body({"note": "ab" * 40_000, "other": {"in": ["€" * 20_000, 7]}}, tenant_id="t")))
    assert made["details"]["note"] == "ab" * 512
    assert made["details"]["other"] == {"in": ["€" * 341, 7]}  # no half character
    assert made["redaction"] == {"mode": "enforce", "fields": ["details"], "truncated": True}
    assert (made["event_id"], made["tenant_id"]) == ("e", "t")


def test_what_was_struck_before_stays_said() -> None:
    """The mark is added to those that stand there."""
    struck = {"mode": "observe", "fields": ["client.ip"]}
    made = json.loads(fitted(body({"note": "x" * 40_000}, redaction=struck)))
    assert made["redaction"] == {"mode": "observe", "fields": ["client.ip", "details"], "truncated": True}


def test_a_name_without_room_goes_with_its_value() -> None:
    """Also one that is long only with those above it, and a value that is a number."""
    deep = {"a" * 20_000: {"b" * 20_000: 1, "c": "kept"}, "d" * 40_000: 2}
    assert json.loads(fitted(body(deep)))["details"] == {"a" * 20_000: {"c": "kept"}}


def test_what_is_too_deep_to_be_cut_is_left_out() -> None:
    """As deep as a record may be, and long: the document goes without its details, and never raises."""
    deep: Any = "x" * 40_000
    for _ in range(900):
        deep = {"a": deep}
    made = json.loads(fitted(body(deep)))
    assert (made["details"], made["redaction"]["truncated"]) == ({}, True)


_LONG = st.builds(lambda text, count: text * count, st.sampled_from("aä€😀"), st.integers(8000, 40_000))
_NAMES = st.builds(lambda text, count: text * count, st.sampled_from("kü"), st.integers(1, 20_000))
_VALUES = st.text(max_size=5) | st.integers() | st.none() | _LONG


@given(
    st.recursive(
        _VALUES,
        lambda node: st.lists(node, max_size=3) | st.dictionaries(_NAMES, node, max_size=3),
        max_leaves=5,
    ).map(lambda node: {"in": node})
)
def test_no_term_is_too_long(details: dict[str, Any]) -> None:
    """Whatever the shape."""
    made = json.loads(fitted(body(details)))
    assert all(len(term) <= LONGEST for term in terms(made["details"]))
