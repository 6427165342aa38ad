"""What a table may look like, and what is refused because it could mean two things."""

import pytest

from roles.tables.document import Refused, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[true, false, null, ~, 5, -5, 0]", [True, False, None, None, 5, -5, 0]),
        ('["true", "NO", "5", "1.5", ""]', ["true", "NO", "5", "1.5", ""]),
        ("[2026-01-15T12:00:00.000Z, 2026-01-15]", ["2026-01-15T12:00:00.000Z", "2026-01-15"]),
        ("a: {b: [c, order:read]}", {"a": {"b": ["c", "order:read"]}}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ("true: 1", {"true": 1}),
        ("a: 9223372036854775807", {"a": 9223372036854775807}),
        ("a: &anchor 1", {"a": 1}),
    ],
)
def test_values_are_what_they_look_like(text: str, value: object) -> None:
    """Words, numbers and times."""
    assert parse("t.yaml", text).plain == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.yaml:1: there is nothing in this file"),
        ("a: [", "t.yaml:1: not YAML: expected the node content, but found '<stream end>'"),
        ("a: 1\n b: 2", "t.yaml:2: not YAML: mapping values are not allowed here"),
        ("a: \x07", "t.yaml:1: not YAML: unacceptable character #x0007: special characters are not allowed"),
        ("a: 1\n---\nb: 2", "t.yaml:2: not YAML: but found another document"),
        ("a: &x [1]\nb: *x", "t.yaml:2: `*x` is an alias; write it out"),
        ("a: !!str 5", "t.yaml:1: the tag `tag:yaml.org,2002:str` has no place in a table"),
        ("a: !!python/object:os.system x", "has no place in a table"),
        ("a: 1\nb: 2\na: 3", "t.yaml:3: `a` stands twice, first in line 1"),
        ("[a]: 1", "t.yaml:1: a key must be a plain word"),
        ("<<: {a: 1}", "t.yaml:1: a key must be a plain word"),
        ("a: 1.5", "t.yaml:1: `1.5` is a fraction, which Cedar does not have; quote a decimal"),
        ("a: 1e3", "t.yaml:1: `1e3` is a fraction"),
        ("a: .inf", "t.yaml:1: `.inf` is a fraction"),
        ("a: 9223372036854775808", "t.yaml:1: `9223372036854775808` is beyond Cedar's 64 bits"),
        (f"a: {'9' * 5000}", "is beyond Cedar's 64 bits"),
        ('a: "\\ud800"', "t.yaml:1: half of a surrogate pair is not a letter"),
        ("[" * 40 + "]" * 40, "nested too deeply"),
        ("[" * 5000 + "]" * 5000, "nested too deeply"),
    ],
)
def test_what_could_mean_two_things_is_refused(text: str, message: str) -> None:
    """With its line."""
    with pytest.raises(Refused) as refused:
        parse("t.yaml", text)
    assert message in str(refused.value.finding)


@pytest.mark.parametrize(
    "word", ["NO", "yes", "On", "off", "True", "TRUE", "010", "0x1F", "1_000", "12:30", "+5", "Null"]
)
def test_words_that_yaml_reads_as_something_else_are_refused(word: str) -> None:
    """`NO` is a country, or false: the author says which."""
    with pytest.raises(Refused) as refused:
        parse("t.yaml", f"a: 1\nb: {word}")
    assert str(refused.value.finding) == (
        f"t.yaml:2: `{word}` can be read in two ways; quote it, or write true, false or a plain number"
    )


def test_every_value_has_its_place() -> None:
    """Line and column, and those of its key."""
    root = parse("t.yaml", "a:\n  - b: 1\n")
    assert isinstance(root.value, dict)
    inner = root.value["a"]
    assert (inner.line, inner.column, inner.key) == (2, 3, (1, 1))


def test_json_is_read_as_json() -> None:
    """With the line of each element, and pairs of surrogates as the letter they are."""
    root = parse("t.json", '\n[ {"a": "\\ud83d\\ude00", "b": [1, true, null]},\n  {"a": "x"} ]\n')
    assert root.plain == [{"a": "\U0001f600", "b": [1, True, None]}, {"a": "x"}]
    assert isinstance(root.value, list)
    assert [node.line for node in root.value] == [2, 3]
    assert parse("t.json", "[]").plain == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "t.json:1: a JSON table is a list of cases"),
        ("[1 2]", "t.json:1: not JSON: expecting ',' delimiter"),
        ("[1,]", "t.json:1: not JSON: expecting value"),
        ("[1\n", "t.json:2: not JSON: expecting ',' delimiter"),
        ("nonsense", "t.json:1: not JSON: expecting value"),
        ("[1] 2", "t.json:1: not JSON: extra data"),
        ('[\n{"a": 1, "a": 2}]', "t.json:2: `a` stands twice"),
        ("[1.5]", "t.json:1: `1.5` is a fraction, which Cedar does not have"),
        ("[NaN]", "is a fraction"),
        ("[9223372036854775808]", "is beyond Cedar's 64 bits"),
        (f"[{'9' * 5000}]", "is beyond Cedar's 64 bits"),
        ('["\\ud800"]', "t.json:1: half of a surrogate pair is not a letter"),
        ("[" * 40 + "]" * 40, "t.json:1: nested too deeply"),
        ("[" * 100_000, "t.json:1: nested too deeply"),
    ],
)
def test_json_is_held_to_the_same(text: str, message: str) -> None:
    """Cedar's own files, too."""
    with pytest.raises(Refused) as refused:
        parse("t.json", text)
    assert message in str(refused.value.finding)
