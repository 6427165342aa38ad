"""A policy file's text in, the same text laid out in: one way to write each policy. Pure.

Only blanks change. Every token and every comment is kept, in order; that is checked against the lexer each time, and a
text that would lose one is refused. Layout depends on nothing but tokens, comments and blank lines between comments, so
what is laid out is laid out the same again.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from policies.lexer import comments, tokens

WIDTH: Final = 100
"""What fits on a line stands on one."""
_INDENT: Final = "  "
_OPEN: Final = {"(": ")", "[": "]", "{": "}"}
_WORDS: Final = frozenset({"permit", "forbid", "when", "unless", "in", "has", "like", "is", "if", "then", "else"})
_OPERATORS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "&&", "||", "+", "-", "*", "!", ",", ":", "="})
_CLAUSES: Final = frozenset({"when", "unless"})
_TIGHT_BEFORE: Final = frozenset({")", "]", ",", ";", ".", "::", ":"})
_TIGHT_AFTER: Final = frozenset({"(", "[", "!", ".", "@", "::", "?"})
_SPLITS: Final = ((frozenset({"||"}), 1), (frozenset({"&&"}), 0))
"""Where an expression is broken, at its loosest operators, and how much deeper what is broken in turn stands."""


class LayoutRefused(ValueError):
    """A text that cannot be laid out without losing something; the message says what."""


class _Token(msgspec.Struct, gc=False):
    """A token with the comments around it.

    Attributes:
        text: As written.
        before: Comments on lines of their own above it, `""` for blank lines between them.
        after: The comment behind it on its line.
    """

    text: str
    before: list[str] = []
    after: str = ""


class _Bracket(msgspec.Struct):
    """A pair of brackets and what is in it, cut at commas, each comma the last node of its part."""

    open: _Token
    parts: "list[list[_Node]]"
    close: _Token


_Node: TypeAlias = _Token | _Bracket


def laid_out(text: str) -> str:
    """Lay a policy file out.

    Args:
        text: Of policies that Cedar can read.

    Raises:
        LayoutRefused: It would not be the same text afterwards.
    """
    found, rest = _tokens(text)
    out = _Writer()
    for statement in _statements(found):
        _statement(out, statement)
    out.ending(rest)
    made = out.text()
    for what, said in (("token", _words), ("comment", _comments)):
        if said(text) != said(made):
            raise LayoutRefused(f"a {what} would be lost")
    return made


def _words(text: str) -> list[str]:
    return [text[token.start : token.end] for token in tokens(text)]


def _comments(text: str) -> list[str]:
    return [comment.rstrip() for comment, _ in comments(text)]


def _tokens(text: str) -> tuple[list[_Token], list[str]]:
    """Every token with its comments, and the comments behind the last."""
    words = sorted(
        [(span.start, span.end, False) for span in tokens(text)]
        + [(start, start + len(word), True) for word, start in comments(text)]
    )
    found: list[_Token] = []
    waiting: list[str] = []
    end = 0
    for start, stop, is_comment in words:
        gap = text[end:start]
        if not is_comment:
            if waiting and gap.count("\n") > 1:
                waiting.append("")
            found.append(_Token(text[start:stop], waiting))
            waiting = []
        elif found and not waiting and not found[-1].after and "\n" not in gap:
            found[-1].after = text[start:stop].rstrip()
        else:
            if waiting and gap.count("\n") > 1:
                waiting.append("")
            waiting.append(text[start:stop].rstrip())
        end = stop
    return found, waiting


def _statements(found: Sequence[_Token]) -> Iterator[list[_Token]]:
    statement: list[_Token] = []
    for token in found:
        statement.append(token)
        if token.text == ";":
            yield statement
            statement = []
    if statement:
        yield statement


def _nested(found: Iterator[_Token], closing: str = "") -> tuple[list[list[_Node]], _Token | None]:
    """Tokens up to a closing bracket, cut at commas."""
    parts: list[list[_Node]] = [[]]
    for token in found:
        if token.text == closing:
            return [part for part in parts if part], token
        if token.text in _OPEN:
            inner, close = _nested(found, _OPEN[token.text])
            if close is None:
                raise LayoutRefused(f"`{token.text}` is not closed")
            parts[-1].append(_Bracket(token, inner, close))
        else:
            parts[-1].append(token)
            if token.text == ",":
                parts.append([])
    return [part for part in parts if part], None


def _statement(out: "_Writer", found: list[_Token]) -> None:
    """Annotations, head and clauses on lines of their own."""
    parts, _ = _nested(iter(found))
    nodes = [node for part in parts for node in part]
    out.paragraph()
    for line in _lines(nodes):
        out.newline()
        if next(_all(line)).text == "@":
            out.whole(line, 0)  # a reason is a sentence, however long
        else:
            _emit(out, line, 0)
    out.newline()


def _lines(nodes: list[_Node]) -> Iterator[list[_Node]]:
    """A statement cut before each annotation, the effect and each clause."""
    line: list[_Node] = []
    annotated = False
    for node in nodes:
        word = node.text if isinstance(node, _Token) else ""
        starts = word in _CLAUSES or word == "@" or (annotated and word in {"permit", "forbid"})
        if line and starts:
            yield line
            line = []
        annotated = word == "@" or (annotated and word not in {"permit", "forbid"})
        line.append(node)
    if line:
        yield line


def _emit(out: "_Writer", nodes: Sequence[_Node], indent: int, deeper: int = 0) -> None:
    """Write nodes: on one line if they fit, else broken at operators, else in their brackets.

    Args:
        out: Where to.
        nodes: What.
        indent: Of the first line.
        deeper: How much more the others have: an `&&` inside an `||` shows what it belongs to.
    """
    flat = _flat(nodes)
    if flat is not None and out.fits(flat, nodes, indent):
        out.whole(nodes, indent)
        return
    if len(pieces := _pieces(nodes, deeper)) > 1:
        for number, (piece, more, inner) in enumerate(pieces):
            if number:
                out.newline()
            _emit(out, piece, indent + more, inner)
        return
    for number, node in enumerate(nodes):
        if isinstance(node, _Token):
            out.token(node, indent)
            continue
        alone = _flat([node])
        with_next = _flat(nodes[number : number + 2]) or alone
        if alone is not None and with_next is not None and out.fits(with_next, [node], indent):
            out.whole([node], indent)
        else:
            _emit_bracket(out, node, indent)


def _pieces(nodes: Sequence[_Node], deeper: int) -> list[tuple[list[_Node], int, int]]:
    """An expression cut where it is broken first; how much deeper each piece stands, and what is broken in it."""
    for operators, inner in _SPLITS:
        pieces = _cut(nodes, operators)
        if len(pieces) > 1:
            return [(piece, deeper if number else 0, inner) for number, piece in enumerate(pieces)]
    return [(branch, min(number, 1), 0) for number, branch in enumerate(_branches(nodes))]


def _emit_bracket(out: "_Writer", node: _Bracket, indent: int) -> None:
    out.token(node.open, indent)
    for part in node.parts:
        out.newline()
        _emit(out, part, indent + 1)
    out.newline()
    out.comments(node.close.before, indent + 1)
    out.token(msgspec.structs.replace(node.close, before=[]), indent)


def _cut(nodes: Sequence[_Node], operators: frozenset[str]) -> list[list[_Node]]:
    """Nodes cut behind operators."""
    pieces: list[list[_Node]] = [[]]
    for node in nodes:
        pieces[-1].append(node)
        if isinstance(node, _Token) and node.text in operators:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _branches(nodes: Sequence[_Node]) -> list[list[_Node]]:
    """Nodes cut before each `then` and `else`."""
    pieces: list[list[_Node]] = [[]]
    for node in nodes:
        if isinstance(node, _Token) and node.text in {"then", "else"} and pieces[-1]:
            pieces.append([])
        pieces[-1].append(node)
    return pieces


def _all(nodes: Sequence[_Node]) -> Iterator[_Token]:
    """Every token in nodes, in order."""
    for node in nodes:
        if isinstance(node, _Token):
            yield node
        else:
            yield node.open
            for part in node.parts:
                yield from _all(part)
            yield node.close


def _flat(nodes: Sequence[_Node]) -> str | None:
    """Nodes on one line; None where a comment inside does not let them."""
    found = list(_all(nodes))
    if any(token.before for token in found[1:]) or any(token.after for token in found[:-1]):
        return None
    text, previous, before = "", "", ""
    for token in found:
        text += _gap(before, previous, token.text) + token.text
        before, previous = previous, token.text
    return text


def _gap(before: str, previous: str, word: str) -> str:
    """The blank between two tokens.

    Args:
        before: The token before the first: tells a sign from a minus.
        previous: The first; empty at the beginning.
        word: The second.
    """
    if not previous or word in _TIGHT_BEFORE or previous in _TIGHT_AFTER:
        return ""
    if previous == "-" and (not before or before in _OPERATORS or before in _WORDS or before in _OPEN):
        return ""
    if word in {"(", "["}:
        operand = previous in {")", "]", "}"} or previous[0] == '"' or (_is_name(previous) and previous not in _WORDS)
        return "" if operand else " "
    if previous == "{" and word == "}":
        return ""
    return " "


def _is_name(word: str) -> bool:
    return word[0].isalpha() or word[0] == "_"


class _Writer:
    """Lines, as they are made."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line = ""
        self._last: tuple[str, str] = ("", "")
        self._closed = False

    def text(self) -> str:
        """All of it."""
        return "".join(f"{line}\n" for line in self._lines)

    def newline(self) -> None:
        """End the line, unless it is empty."""
        if self._line:
            self._lines.append(self._line)
        self._line, self._closed = "", False

    def paragraph(self) -> None:
        """A blank line before what comes, unless nothing was before."""
        self.newline()
        if self._lines:
            self._lines.append("")

    def fits(self, text: str, nodes: Sequence[_Node], indent: int) -> bool:
        """Whether a text can be written where the line is; a comment behind it may stick out."""
        start = (
            len(self._line) + len(_gap(*self._last, next(_all(nodes)).text)) if self._line else len(_INDENT) * indent
        )
        return start + len(text) <= WIDTH

    def whole(self, nodes: Sequence[_Node], indent: int) -> None:
        """Write nodes without breaking them."""
        for token in _all(nodes):
            self.token(token, indent)

    def comments(self, written: Sequence[str], indent: int) -> None:
        """Write comments on lines of their own."""
        if written:
            self.newline()
        self._lines += [_INDENT * indent + comment if comment else "" for comment in written]

    def token(self, token: _Token, indent: int) -> None:
        """Write a token with its comments."""
        self.comments(token.before, indent)
        if self._closed:
            self.newline()
        if self._line:
            self._line += _gap(*self._last, token.text) + token.text
        else:
            self._line = _INDENT * indent + token.text
        self._last = (self._last[1], token.text)
        if token.after:
            self._line += f" {token.after}"
            self._closed = True

    def ending(self, rest: Sequence[str]) -> None:
        """Comments behind the last policy."""
        if rest:
            self.paragraph()
            self._lines += rest
        self.newline()
