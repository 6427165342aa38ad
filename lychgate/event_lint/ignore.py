"""`# audit:lint-ignore RULE why it is right`: a finding that is meant to be, said where it is. Pure.

It stands on a line of the statement that the finding is in, or alone in the line above. One that silences nothing is a
finding, or it would hide the next fault that comes to stand there.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from lychgate.event_lint.rules import RULES
from lychgate.event_lint.source import Source
from policies.errors import Finding

_MARK: Final = re.compile(r"#\s*audit:lint-ignore\b(?P<rest>.*)")
_WORDS: Final = re.compile(r"\s+(?P<rule>[a-z][a-z-]*)(?:\s+(?P<reason>\S.*))?")
_UNSILENCED: Final = frozenset({"bad-ignore", "idle-ignore", "unreadable-source", "source-syntax", "registry"})


class _Comment(NamedTuple):
    rule: str
    line: int
    first: int
    last: int


def unsilenced(findings: Iterable[Finding], sources: Iterable[Source]) -> list[Finding]:
    """What is left of findings when the comments are heard; sorted by place.

    Args:
        findings: All there are.
        sources: The files that were read.
    """
    by_file: dict[str, list[Finding]] = {}
    for each in findings:
        by_file.setdefault(each.file, []).append(each)
    kept: list[Finding] = []
    for source in sources:
        own = by_file.pop(source.file, [])
        kept += _of_file(own, source) if "audit:lint-ignore" in source.text else own
    kept += (each for others in by_file.values() for each in others)
    return sorted(set(kept))


def _of_file(findings: list[Finding], source: Source) -> Iterator[Finding]:
    heard: list[_Comment] = []
    for line, rest, alone in _comments(source.text):
        read = _read(source, line, rest, alone=alone)
        if isinstance(read, Finding):
            yield read
        else:
            heard.append(read)
    used: set[_Comment] = set()
    for each in findings:
        about = {one for one in heard if one.rule == each.code and one.first <= each.line <= one.last}
        used |= about
        if not about:
            yield each
    for one in heard:
        if one not in used:
            reason = f"nothing here is `{one.rule}`: the comment silences nothing"
            yield Finding(source.file, one.line, 1, reason, "idle-ignore")


def _comments(text: str) -> Iterator[tuple[int, str, bool]]:
    """Every comment that speaks to us: its line, what it says, whether it stands alone."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            mark = _MARK.match(token.string) if token.type == tokenize.COMMENT else None
            if mark is not None:
                yield token.start[0], mark["rest"], not token.line[: token.start[1]].strip()
    except (tokenize.TokenError, SyntaxError):
        return  # it was parsed, so this is an odd end of the file, behind the last comment


def _read(source: Source, line: int, rest: str, *, alone: bool) -> _Comment | Finding:
    words = _WORDS.fullmatch(rest.rstrip())
    if words is None or words["rule"] not in RULES:
        reason = "not understood; write `audit:lint-ignore RULE why it is right`"
        if words is not None:
            reason = f"there is no rule `{words['rule']}`"
    elif words["rule"] in _UNSILENCED:
        reason = f"`{words['rule']}` cannot be silenced"
    elif not words["reason"]:
        reason = f"no reason why `{words['rule']}` is right here"
    else:
        return _Comment(words["rule"], line, *_span(source.tree, line + alone))
    return Finding(source.file, line, 1, reason, "bad-ignore")


def _span(tree: ast.Module, line: int) -> tuple[int, int]:
    """The lines of the smallest statement at a line; of one with a block, its head."""
    best = (line, line)
    smallest = float("inf")
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno or node.lineno
            last = max(last, node.lineno)
            if line <= last and last - node.lineno < smallest:
                smallest, best = last - node.lineno, (node.lineno, last)
    return best
