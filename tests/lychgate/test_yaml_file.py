"""A configuration file's text: values, lines, and what is refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lychgate.errors import ConfigurationError
from lychgate.yaml_file import parse

TEXT = """
gateway:
  port: 1
issuers:
  - name: a
    iss: x
  - {name: b,
     iss: y}
"""


def test_every_key_and_element_has_its_line() -> None:
    """Mappings, lists and flow forms alike."""
    parsed = parse(TEXT, "f.yaml")
    assert parsed.values["issuers"][1]["iss"] == "y"
    assert parsed.place(("gateway", "port")) == "f.yaml:3"
    assert parsed.place(("issuers", 0, "iss")) == "f.yaml:6"
    assert parsed.place(("issuers", 1, "iss")) == "f.yaml:8"


def test_a_missing_key_has_the_place_of_what_it_is_missing_from() -> None:
    """The longest part of the path that is there."""
    parsed = parse(TEXT, "f.yaml")
    assert parsed.place(("issuers", 0, "roles")) == "f.yaml:5"
    assert parsed.place(("store", "port")) is None


def test_an_empty_file_says_nothing() -> None:
    """Nor does one of comments."""
    assert parse("", "f").values == {}
    assert parse("# nothing\n", "f").values == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: 2\na: 3", 3),
        ("x:\n  a: 1\n  a: 1", 3),
        ("? [a]\n: 1", 1),
        ("a: &m {b: 1}\nc: {<<: *m}", 2),
        ("a: [", 1),
    ],
)
def test_what_would_be_misread_is_refused_with_its_line(text: str, line: int) -> None:
    """Repeated keys, keys that are no words, merges, broken YAML."""
    with pytest.raises(ConfigurationError, match=rf"^f:{line}: "):
        parse(text, "f")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No other error than ours."""
    with suppress(ConfigurationError):
        parse(text, "f")
