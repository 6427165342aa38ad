"""Cutting policy files, and putting messages back in their place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.lexer import Statement, comments, cut, find, locate, tokens


def texts(source: str) -> list[str]:
    """The statements of a source."""
    return [statement.text for statement in cut("f.cedar", source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", []),
        ("  // nothing;\n", []),
        ("permit;forbid;", ["permit;", "forbid;"]),
        ("  permit ;\n\n forbid ;  ", ["permit ;", "forbid ;"]),
        ('@a("x;y") permit;', ['@a("x;y") permit;']),
        ('@a("say \\";\\" twice") permit; b;', ['@a("say \\";\\" twice") permit;', "b;"]),
        ('@a("two\nlines;") permit;', ['@a("two\nlines;") permit;']),
        ("permit // why; so\n;", ["permit // why; so\n;"]),
        ('permit "// no comment";', ['permit "// no comment";']),
        ("permit; leftover", ["permit;", "leftover"]),
        ('permit; @a("open', ["permit;", '@a("open']),
        (";", [";"]),
    ],
)
def test_statements_end_at_a_semicolon_that_is_one(source: str, expected: list[str]) -> None:
    """Neither a comment nor a string ends a statement; what follows the last one is not lost."""
    assert texts(source) == expected


@given(st.text(alphabet='ab "\\/;\n{}(){}`é\x00', max_size=60))
def test_every_character_is_in_a_token_or_between_two(source: str) -> None:
    """Tokens are in order, do not overlap, and leave out nothing but blanks and comments."""
    end = 0
    for token in tokens(source):
        between = source[end : token.start]
        assert all(line.strip() == "" or "//" in line for line in between.split("\n"))
        assert end <= token.start < token.end
        end = token.end
    assert "".join(texts(source)).count(";") <= source.count(";")


def test_a_statement_knows_its_place() -> None:
    """Lines and columns count from 1, in characters."""
    _, second = cut("f.cedar", "one;\n\n  é two;")
    assert (second.line, second.finding("x").column) == (3, 3)
    found = second.finding("x", len("é "))
    assert (found.file, found.line, found.column, str(found)) == ("f.cedar", 3, 5, "f.cedar:3: x")


def refuse_from(bad: str) -> object:
    """A parser that stops at a word, as an LR parser does."""

    def parse(text: str) -> str | None:
        return f"unexpected token `{bad}`" if bad in text.split() else "unexpected end of input"

    return parse


@pytest.mark.parametrize("count", [1, 2, 3, 10, 101])
def test_an_unexpected_token_is_found_wherever_it_stands(count: int) -> None:
    """The finding stands at the token that cannot be there, not at another like it."""
    for at in range(count):
        words = ["ok"] * count
        words[at] = "bad"
        source = "\n".join(words)
        statement = Statement("f", source, 0, len(source))
        found = locate(statement, "unexpected token `bad`", refuse_from("bad"))  # type: ignore[arg-type]
        assert found.line == at + 1


def test_a_quoted_word_is_found() -> None:
    """A message about meaning stands where the word it quotes stands, and not inside another word."""
    statement = Statement("f", 'when { amounts > 1 &&\n context.amount > Action::"x" }', 0, 52)
    assert locate(statement, "attribute `amount` not found", str).line == 2
    assert locate(statement, 'unknown `Action::"x"`', str).column == 19
    assert locate(statement, "failed to resolve type: context", str).line == 2


def test_what_is_nowhere_stands_at_the_start() -> None:
    """A message without a word of the text is about the statement."""
    statement = Statement("f", "\n\n a b;", 3, 7)
    found = locate(statement, "expected Long but saw String", str)
    assert (found.line, found.column) == (3, 2)


def test_what_is_missing_stands_at_the_end() -> None:
    """Where the input ends too early, its last token is the place."""
    statement = Statement("f", "a\nb", 0, 3)
    assert locate(statement, "unexpected end of input", str).line == 2
    assert locate(Statement("f", "", 0, 0), "unexpected end of input", str).line == 1


@pytest.mark.parametrize(
    ("words", "at"),
    [
        ("context.a < 3", 'context . a // "context.b"\n < (3)'),
        ("context.a", "context . a"),
        ("3", "3) || context.ab"),
        ("context.ab", "context.ab < 3"),
        ('"context.b"', '"context.b"'),
        ("context.c", ""),
    ],
)
def test_words_are_found_whatever_is_between(words: str, at: str) -> None:
    """Blanks, comments and parentheses do not matter; parts of words, comments and texts are not what is meant."""
    text = 'permit when { (context . a // "context.b"\n < (3) || context.ab < 3) && "context.b" == context.b };'
    offset = find(text, words)
    assert text[offset:].startswith(at)
    assert (offset == 0) is (at == "")


def test_comments_are_found_outside_of_texts() -> None:
    """Each with its place."""
    assert list(comments('// a\n"// b" c // d\n')) == [("// a", 0), ("// d", 14)]
