"""Findings as SARIF 2.1.0, the form that code hosts and editors read. Pure.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0; the keys used are those of sections 3.13 to 3.30.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import quote

from policies.errors import Finding
from policies.lint.codes import KINDS, Kind

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(findings: Iterable[Finding], kinds: Mapping[str, Kind] = KINDS) -> dict[str, Any]:
    """A log with one run.

    Args:
        findings: Files as paths, from the folder the command is run in.
        kinds: Every kind of finding there is, by its code.
    """
    rules = [
        {
            "id": code,
            "shortDescription": {"text": kind.meaning},
            "help": {"text": kind.remedy},
            "defaultConfiguration": {"level": kind.severity.value},
        }
        for code, kind in kinds.items()
    ]
    driver = {"name": "lychgate", "version": version("lychgate"), "rules": rules}
    # Columns count characters, as `policies.errors.Finding` does.
    results = [_result(it, kinds) for it in findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(finding: Finding, kinds: Mapping[str, Kind]) -> dict[str, Any]:
    uri = quote(finding.file, errors="surrogateescape")  # the bytes of the name, whatever they are
    place: dict[str, Any] = {"artifactLocation": {"uri": uri}}
    if finding.line:
        place["region"] = {"startLine": finding.line, "startColumn": max(finding.column, 1)}
    return {
        "ruleId": finding.code,
        "level": kinds[finding.code].severity.value,
        "message": {"text": finding.reason},
        "locations": [{"physicalLocation": place}],
    }
