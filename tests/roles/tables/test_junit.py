"""The report that continuous integration reads."""

import re
import xml.etree.ElementTree as ET

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from policies.model import Answer, Effect
from roles.tables.case import Case
from roles.tables.junit import junit
from roles.tables.run import Difference, Outcome
from tests.builders.tables import cases_of

CASES = cases_of("""
- {name: first, roles: [], action: order:read, expect: deny}
- {name: second, roles: [], action: order:read, expect: allow}
""")


def parsed(report: str) -> ET.Element:
    """As a reader has it: bytes, by a real parser."""
    return ET.fromstring(report.encode())  # noqa: S314 -- our own


def outcome(case: Case, *differences: Difference) -> Outcome:
    """What became of a case."""
    return Outcome(case, Answer(Effect.DENY), differences)


def test_suites_cases_and_failures() -> None:
    """A suite for each file, a case for each case, the counts, the time, and the whole story of a failure."""
    other = msgspec.structs.replace(CASES[0], file="other.yaml")
    failed = outcome(CASES[1], Difference("expect", "allow", "deny"), Difference("policies", "a.b", "(none)"))
    root = parsed(junit([outcome(CASES[0]), failed, outcome(other)], lambda _: "the story", 1.5))
    assert root.tag == "testsuites"
    assert root.attrib == {"tests": "3", "failures": "1", "errors": "0", "skipped": "0", "time": "1.500"}
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in root] == [
        ("table.yaml", "2", "1"),
        ("other.yaml", "1", "0"),
    ]
    cases = root.findall(".//testcase")
    assert cases[1].attrib == {"classname": "table.yaml", "name": "second", "file": "table.yaml", "line": "3"}
    (failure,) = root.findall(".//failure")
    assert failure.text == "the story"
    assert failure.get("message") == "expect: expected allow, got deny; policies: expected a.b, got (none)"


@given(st.text(st.characters(codec=None)))
def test_whatever_a_name_holds_the_report_can_be_parsed(name: str) -> None:
    """Control characters, half pairs of surrogates, quotes and brackets."""
    case = msgspec.structs.replace(CASES[0], name=name, file=f"{name}.yaml")
    report = junit([outcome(case, Difference("expect", name, "deny"))], lambda _: name, 0)
    (found,) = parsed(report).iter("testcase")
    shown = re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", lambda c: f"\\x{ord(c[0]):02x}", name)
    assert (found.get("name"), found[0].text or "") == (shown, shown)


def test_what_xml_cannot_hold_is_shown() -> None:
    """XML 1.0 has no way to write an escape character."""
    case = msgspec.structs.replace(CASES[0], name="a\x1b\x00\ud800<&>\"'\u20ac")
    (found,) = parsed(junit([outcome(case)], lambda _: "", 0)).iter("testcase")
    assert found.get("name") == "a\\x1b\\x00\\xd800<&>\"'\u20ac"
