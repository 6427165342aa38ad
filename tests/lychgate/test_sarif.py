"""Findings for code hosts."""

from lychgate.sarif import sarif
from policies.errors import Finding
from policies.lint.codes import KINDS


def test_a_finding_is_a_result_with_its_place() -> None:
    """The rule it is of, how grave, where and why."""
    log = sarif([Finding("policies/a.cedar", 3, 7, "why", "shadowed"), Finding("b", 0, 0, "gone", "unreadable")])
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == list(KINDS)
    assert run["results"] == [
        {
            "ruleId": "shadowed",
            "level": "warning",
            "message": {"text": "why"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": "policies/a.cedar"},
                        "region": {"startLine": 3, "startColumn": 7},
                    }
                }
            ],
        },
        {
            "ruleId": "unreadable",
            "level": "error",
            "message": {"text": "gone"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": "b"}}}],
        },
    ]


def test_a_name_that_is_not_utf8_is_its_bytes() -> None:
    """A file's name is whatever its writer gave it."""
    (run,) = sarif([Finding("a b/n\udcff.py", 0, 0, "gone", "unreadable")])["runs"]
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%20b/n%FF.py"
