"""The one layout: nothing is lost, nothing changes twice, and how it looks."""

import json
import re

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.layout import WIDTH, LayoutRefused, laid_out
from policies.lexer import comments, tokens
from tests.builders.conditions import policy_texts
from tests.builders.questions import ROOT


def shown(text: str) -> str:
    """How a text is laid out; lines without the empty ones around."""
    return laid_out(text).strip("\n")


def test_the_repository_s_policies_are_laid_out() -> None:
    """As `lychgate policy fmt` would."""
    for file in (ROOT / "policies").glob("*.cedar"):
        assert laid_out(file.read_text()) == file.read_text(), file.name


def test_a_policy_on_one_line_is_broken_where_it_must() -> None:
    """Annotations and clauses on lines of their own, whatever else fits on one."""
    assert shown('@id("a")@reason("r")permit(principal,action==Action::"x",resource)when{true};') == (
        '@id("a")\n@reason("r")\npermit (principal, action == Action::"x", resource)\nwhen { true };'
    )


def test_what_is_too_long_is_broken_at_its_brackets() -> None:
    """A scope a part a line, a list an element a line."""
    actions = ", ".join(f'Action::"document:action{number}"' for number in range(5))
    lines = "".join(f'    Action::"document:action{number}"{"," if number < 4 else ""}\n' for number in range(5))
    assert shown(f"permit(principal,action in [{actions}],resource);") == (
        f"permit (\n  principal,\n  action in [\n{lines}  ],\n  resource\n);"
    )


def test_what_is_too_long_is_broken_at_its_loosest_operators() -> None:
    """An `&&` that belongs to an `||` stands deeper."""
    one, other = (f"context.{letter * 40} < 10" for letter in "ab")
    assert shown(f"permit(principal,action,resource)when{{{one}&&{other}||{other}&&{one}||true}};") == (
        "permit (principal, action, resource)\nwhen {\n"
        f"  {one} &&\n    {other} ||\n  {other} &&\n    {one} ||\n  true\n}};"
    )


def test_an_if_is_broken_at_its_branches() -> None:
    """Deeper than the `if`."""
    long = "context." + "a" * 40
    assert shown(f"permit(principal,action,resource)when{{if {long} then {long} else false}};") == (
        f"permit (principal, action, resource)\nwhen {{\n  if {long}\n    then {long}\n    else false\n}};"
    )


@pytest.mark.parametrize(
    "expression",
    [
        "context.a - 1 < -5",
        "-context.a > --3",
        "!context.b && !!context.c",
        "[-1, 2].contains(context.a)",
        'context["a b"].c has d',
        '{ "a": 1, b: {} }.a == 1',
        'ip("10.0.0.1").isInRange(ip("10.0.0.0/8"))',
        "if context.b then 1 else -2 == 3",
        'principal is User in Role::"x"',
        'context.s like "a*"',
        "(context.a + 1) * 2 == 4",
        'principal in [Role::"a", Role::"b"]',
        "A::B::c(1) == 2",
    ],
)
def test_blanks(expression: str) -> None:
    """Where they stand; and nowhere else, however it was written."""
    policy = f"permit (principal, action, resource)\nwhen {{ {expression} }};"
    assert shown(policy) == policy
    strung = "".join(f" {policy[token.start : token.end]} " for token in tokens(policy))
    assert shown(strung) == policy


COMMENTED = """
// the file

// the policy
@id("a") // its id
// its reason
@reason("r")
permit ( // head
  principal,   // who
    action,
  resource
      // that is all
)
when { // why
  context.a && // first
  // second
  [1, // one
   2].contains(3)
}
unless { true } // end
; // behind
// last

// of all
"""


def test_every_comment_stays_where_it_was() -> None:
    """Above what it was above, behind what it was behind; blank lines between comments are kept as one."""
    assert laid_out(COMMENTED) == (
        "// the file\n\n// the policy\n"
        '@id("a") // its id\n// its reason\n@reason("r")\n'
        "permit ( // head\n  principal, // who\n  action,\n  resource\n  // that is all\n)\n"
        "when { // why\n  context.a && // first\n  // second\n  [\n    1, // one\n    2\n  ].contains(3)\n}\n"
        "unless { true } // end\n; // behind\n\n// last\n\n// of all\n"
    )


def test_a_reason_may_be_longer_than_a_line() -> None:
    """It is a sentence for people, not to be broken; nor is a text with line breaks."""
    long = f'@reason("{"why " * 40}")\npermit (principal, action, resource);'
    assert shown(long) == long
    assert '"a\n  b"' in laid_out('permit (principal, action, resource) when { context.s == "a\n  b" };')


@pytest.mark.parametrize(
    ("text", "made"), [("", ""), ("// a", "// a\n"), ("\n\n// a \r\n\r\n\r\n// b", "// a\n\n// b\n")]
)
def test_files_without_a_policy(text: str, made: str) -> None:
    """Nothing, or comments; line ends are the system's own."""
    assert laid_out(text) == made


def test_what_would_be_lost_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the layout ever drop a word or a comment, the file stays as it is."""
    with pytest.raises(LayoutRefused, match="`\\(` is not closed"):
        laid_out("permit (principal")
    monkeypatch.setattr("policies.layout._Writer.comments", lambda *_: None)
    with pytest.raises(LayoutRefused, match="a comment would be lost"):
        laid_out("// a\npermit (principal, action, resource);")
    monkeypatch.setattr("policies.layout._Writer.token", lambda *_: None)
    with pytest.raises(LayoutRefused, match="a token would be lost"):
        laid_out("permit (principal, action, resource);")


_BLANKS = st.sampled_from(["", " ", "\n", "\n\n\n", "  // x \t\r\n", "\n// y\n", "\n// z\n\n// w\n", "\r\n", "\t"])


@st.composite
def untidy(draw: st.DrawFn) -> str:
    """Policies with blanks and comments anywhere between their tokens."""
    text = "\n".join(draw(st.lists(policy_texts(), max_size=3)))
    made = draw(_BLANKS)
    for token in tokens(text):
        word = text[token.start : token.end]
        joined = not made or re.search(r"\w\Z", made) is None or not re.match(r"\w", word)
        made += ("" if joined else " ") + word + draw(_BLANKS)
    return made


def read(text: str) -> object:
    """What Cedar reads."""
    return json.loads(cedarpy.policies_to_json_str(text))


@settings(max_examples=50)
@given(untidy())
def test_nothing_but_blanks_changes(text: str) -> None:
    """The same tokens and comments in the same order, the same to Cedar, and the same when it is done again."""
    made = laid_out(text)
    assert [text[it.start : it.end] for it in tokens(text)] == [made[it.start : it.end] for it in tokens(made)]
    assert [word.rstrip() for word, _ in comments(text)] == [word for word, _ in comments(made)]
    assert read(made) == read(text)
    assert laid_out(made) == made
    assert not re.search(r"[ \t\r]$", made, re.MULTILINE)
    assert "\n\n\n" not in made


@settings(max_examples=40)
@given(policy_texts())
def test_lines_are_short(text: str) -> None:
    """There is always an operator or a bracket to break at in these."""
    assert max(map(len, laid_out(text).splitlines())) <= WIDTH
