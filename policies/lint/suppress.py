"""`// lychgate: allow CODE why it is right`: a finding that is meant to be, said where it is. Pure.

The comment stands in the lines directly above the policy or the route it is about, among other comments if need be. It
can silence warnings only: what the gateway refuses, no comment makes good. One that silences nothing is a finding, or
it would hide the next fault that comes to stand there.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec

from policies.errors import Finding
from policies.lint.codes import KINDS, Severity

_COMMENT: Final = re.compile(r"\s*(?://|\#)(?P<text>.*)")
_MARK: Final = re.compile(r"\s*lychgate:(?P<rest>.*)")
_WORDS: Final = re.compile(r"\s*allow\s+(?P<code>[a-z][a-z-]*)(?:\s+(?P<reason>\S.*))?\s*")


class Block(msgspec.Struct, frozen=True, gc=False):
    """A policy or a route.

    Attributes:
        file: The file it is in.
        first: Its first line, from 1.
        last: Its last.
    """

    file: str
    first: int
    last: int


class _Suppression(msgspec.Struct, frozen=True, gc=False):
    code: str
    line: int
    block: Block


def suppressed(
    findings: Iterable[Finding], files: Iterable[tuple[str, str]], blocks: Iterable[Block], within: Collection[str] = ()
) -> list[Finding]:
    """What is left of findings when the comments are heard.

    Args:
        findings: All there are.
        files: Name and text of each file with comments.
        blocks: What comments can be about.
        within: Codes that were not looked for: a comment about one is not idle.

    Returns:
        The findings no comment is about, and those about comments; sorted by place.
    """
    known = {(block.file, block.first): block for block in blocks}
    kept: list[Finding] = []
    heard: list[_Suppression] = []
    for file, text in files:
        for line, said, below in _comments(text):
            found = _read(file, line, said, known.get((file, below)))
            if isinstance(found, Finding):
                kept.append(found)
            else:
                heard.append(found)
    used: set[_Suppression] = set()
    for finding in findings:
        about = {each for each in heard if each.code == finding.code and _stands_in(finding, each.block)}
        used |= about
        if not about:
            kept.append(finding)
    for each in heard:
        if each not in used and each.code not in within:
            reason = f"nothing here is `{each.code}`: the comment silences nothing"
            kept.append(Finding(each.block.file, each.line, 1, reason, "idle-suppression"))
    return sorted(set(kept))


def _stands_in(finding: Finding, block: Block) -> bool:
    return finding.file == block.file and block.first <= finding.line <= block.last


def _comments(text: str) -> Iterator[tuple[int, str, int]]:
    """Every comment on a line of its own that speaks to us: its line, what it says, and the line of what is below."""
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        comment = _COMMENT.fullmatch(line.rstrip("\r"))
        mark = _MARK.fullmatch(comment["text"]) if comment else None
        if mark is None:
            continue
        below = number
        while below < len(lines) and _COMMENT.fullmatch(lines[below].rstrip("\r")):
            below += 1
        yield number, mark["rest"], below + 1


def _read(file: str, line: int, said: str, block: Block | None) -> "_Suppression | Finding":
    words = _WORDS.fullmatch(said)
    if words is None:
        reason = "not understood; write `lychgate: allow CODE why it is right`"
    elif words["code"] not in KINDS:
        reason = f"there is no finding of the code `{words['code']}`"
    elif KINDS[words["code"]].severity is Severity.ERROR:
        reason = f"`{words['code']}` cannot be allowed: the gateway refuses it"
    elif not words["reason"]:
        reason = f"no reason why `{words['code']}` is right here"
    elif block is None:
        reason = "no policy or route begins in the line below"
    else:
        return _Suppression(words["code"], line, block)
    return Finding(file, line, 1, reason, "bad-suppression")
