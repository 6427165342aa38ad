"""Outcomes in, a JUnit report out, as continuous integration reads it. Pure.

There is no standard, only what readers agree on: `testsuites`, a `testsuite` for each file, a `testcase` for each case
with `classname`, `name`, `file` and `line`, and a `failure` with a `message` in those that failed. XML 1.0 has no
way to write most control characters, not even escaped (section 2.2, Char): they are shown in hexadecimal.
"""

import re
from collections.abc import Callable, Iterable
from html import escape
from itertools import groupby
from typing import Final

from roles.tables.run import Outcome

_NOT_XML: Final = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")

_BLANKS: Final = {ord("\n"): "&#10;", ord("\t"): "&#9;"}
"""In an attribute a reader would make spaces of them (section 3.3.3)."""


def junit(outcomes: Iterable[Outcome], told: Callable[[Outcome], str], seconds: float) -> str:
    """Write the report.

    Args:
        outcomes: In the order of files.
        told: What a failure's text is.
        seconds: How long all of them took.

    Returns:
        XML, with its declaration.
    """
    found = list(outcomes)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuites{_counts(found)}{_attributes(time=f'{seconds:.3f}')}>",
    ]
    for file, group in groupby(found, key=lambda outcome: outcome.case.file):
        suite = list(group)
        lines.append(f"  <testsuite{_attributes(name=file)}{_counts(suite)}>")
        lines += [_testcase(outcome, told) for outcome in suite]
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def _testcase(outcome: Outcome, told: Callable[[Outcome], str]) -> str:
    case = outcome.case
    head = f"    <testcase{_attributes(classname=case.file, name=case.name, file=case.file, line=str(case.line))}"
    if outcome.passed:
        return f"{head}/>"
    message = "; ".join(f"{each.field}: expected {each.expected}, got {each.got}" for each in outcome.differences)
    return f"{head}><failure{_attributes(message=message)}>{_text(told(outcome))}</failure></testcase>"


def _counts(outcomes: list[Outcome]) -> str:
    failures = sum(not outcome.passed for outcome in outcomes)
    return _attributes(tests=str(len(outcomes)), failures=str(failures), errors="0", skipped="0")


def _attributes(**values: str) -> str:
    return "".join(f' {name}="{_text(value).translate(_BLANKS)}"' for name, value in values.items())


def _text(value: str) -> str:
    return escape(_NOT_XML.sub(lambda found: f"\\x{ord(found[0]):02x}", value)).replace("\r", "&#13;")
