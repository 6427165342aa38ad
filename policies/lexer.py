"""Policy text in, its statements and their places out. Pure.

Cedar's Python library reports parse errors without a place and names policies by number, so files are cut here, parsed
one statement at a time, and errors are put back where they came from. This lexer judges nothing: whatever it does not
know becomes a token of one character and Cedar refuses it.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from policies.errors import Finding

# Cedar's grammar (docs.cedarpolicy.com/policies/syntax-grammar.html): WHITESPACE, COMMENT, STR, IDENT, INT, operators.
# A string may hold line breaks; `//` opens a comment anywhere but in one.
_TOKEN: Final = re.compile(
    r"""
      (?P<blank>\s+|//[^\n]*)
    | "(?:\\.|[^"\\])*"
    | [A-Za-z_][A-Za-z0-9_]*
    | [0-9]+
    | ::|==|!=|<=|>=|&&|\|\|
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
# Cedar's string escapes as Rust prints them (`str::escape_debug`).
_ESCAPE: Final = re.compile(r"\\(?:u\{([0-9a-fA-F]{1,6})\}|(.))", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
_QUOTED: Final = re.compile(r"`([^`]+)`")
_TRAILING: Final = re.compile(r": ([A-Za-z_][A-Za-z0-9_:]*)$")
_END: Final = "unexpected end of input"


class Span(msgspec.Struct, frozen=True, gc=False):
    """A token: from `start` to before `end`, in characters."""

    start: int
    end: int


class Statement(msgspec.Struct, frozen=True, gc=False):
    """One statement of a file, with its `;`, without blanks and comments around it.

    Attributes:
        file: The file's name.
        source: The whole file.
        start: Where in `source` it starts.
        end: Where it ends.
    """

    file: str
    source: str
    start: int
    end: int

    @property
    def text(self) -> str:
        """The statement itself."""
        return self.source[self.start : self.end]

    @property
    def line(self) -> int:
        """Its first line, from 1."""
        return self.source.count("\n", 0, self.start) + 1

    def finding(self, reason: str, offset: int = 0, code: str = "syntax") -> Finding:
        """A finding at `offset` characters into the statement."""
        at = self.start + offset
        line = self.source.count("\n", 0, at) + 1
        return Finding(self.file, line, at - (self.source.rfind("\n", 0, at) + 1) + 1, reason, code)


def tokens(text: str) -> Iterator[Span]:
    """The tokens of a text in order, blanks and comments left out."""
    for found in _TOKEN.finditer(text):
        if found["blank"] is None:
            yield Span(*found.span())


def unquoted(word: str) -> str:
    """A name as it is, or the text of a string literal."""
    if not word.startswith('"'):
        return word

    def plain(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else _ESCAPED.get(found[2], found[2])

    return _ESCAPE.sub(plain, word[1:-1])


def comments(text: str) -> Iterator[tuple[str, int]]:
    """The comments of a text in order, `//` included, each with its place."""
    for found in _TOKEN.finditer(text):
        if found["blank"] is not None and found[0].startswith("//"):
            yield found[0], found.start()


def cut(file: str, source: str) -> list[Statement]:
    """Cut a policy file into statements.

    Args:
        file: Its name.
        source: Its text.

    Returns:
        The statements in order; what follows the last `;` is one too, and Cedar will say what is wrong with it.
    """
    statements = []
    start = end = -1
    for token in tokens(source):
        start, end = (token.start if start < 0 else start), token.end
        if source[token.start : token.end] == ";":
            statements.append(Statement(file, source, start, end))
            start = -1
    if start >= 0:
        statements.append(Statement(file, source, start, end))
    return statements


def locate(statement: Statement, message: str, parse: Callable[[str], str | None]) -> Finding:
    """Put a message without a place back where it belongs.

    Args:
        statement: What was refused.
        message: Why, in Cedar's words.
        parse: Says why a text is refused, or None: asked again about the statement's beginnings.

    Returns:
        The finding: at the token that cannot stand there, at the end where something is missing, at the first place
        where a word stands that the message quotes, else at the statement's start.
    """
    spans = list(tokens(statement.text))
    if message == _END:
        return statement.finding(message, spans[-1].start if spans else 0)
    if message.startswith(("unexpected token", "invalid token")):
        return statement.finding(message, spans[_first_refused(statement.text, spans, message, parse)].start)
    starts = {span.start for span in spans}
    ends = {span.end for span in spans}
    for word in (*_QUOTED.findall(message), *_TRAILING.findall(message)):
        for start in sorted(starts):
            if statement.text.startswith(word, start) and start + len(word) in ends:
                return statement.finding(message, start)
    return statement.finding(message)


def find(text: str, words: str) -> int:
    """Where a sequence of tokens stands first in a text, whatever blanks, comments and parentheses are between.

    Args:
        text: A statement.
        words: Of its grammar, for example `context.n < 10`.

    Returns:
        The offset of the first of the tokens; 0 where the text spells it differently.
    """
    wanted = [word for word, _ in _bare(words)]
    spelled = _bare(text)
    for at in range(len(spelled) - len(wanted) + 1):
        if all(spelled[at + n][0] == word for n, word in enumerate(wanted)):
            return spelled[at][1]
    return 0


def _bare(text: str) -> list[tuple[str, int]]:
    """Tokens without parentheses, each with its place."""
    words = ((text[token.start : token.end], token.start) for token in tokens(text))
    return [(word, start) for word, start in words if word not in {"(", ")"}]


def _first_refused(text: str, spans: list[Span], message: str, parse: Callable[[str], str | None]) -> int:
    """The index of the token that cannot stand where it stands.

    Cedar's parser reads from left to right: a beginning of the text that has the bad token is refused for it, one that
    has not is refused for something else. Bisection finds the shortest that has it in a handful of parses. Each
    beginning is closed by a `;`, without which Cedar would rather speak of the missing end; where the bad token is
    itself a `;` there is nothing to close.
    """
    closed_by = "" if "`;`" in message else "\n;"
    low, high = 0, len(spans) - 1
    while low < high:
        middle = (low + high) // 2
        if parse(text[: spans[middle].end] + closed_by) == message:
            high = middle
        else:
            low = middle + 1
    return low
