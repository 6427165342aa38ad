"""A report in the forms others read: JSON of a stable shape, rows of a table, SARIF, and back from JSON.

Version 1 of the JSON: within it nothing is removed, renamed or given another type. `docs/guides/coverage.md` says what
each key means.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lychgate.coverage.codes import KINDS
from lychgate.coverage.model import Finding, Handler, Place, Report, Route, Service, State, Tally, tally
from lychgate.errors import ConfigurationError
from lychgate.sarif import sarif
from policies.errors import Finding as Placed

VERSION: Final = 1
_LARGEST: Final = 64 << 20


def as_json(report: Report) -> dict[str, Any]:
    """The whole report."""
    return {
        "version": VERSION,
        "total": _counts(report.total),
        "services": [
            {
                "service": service.name,
                **_counts(tally(service)),
                "files": service.files,
                "excluded": service.excluded,
            }
            for service in report.services
        ],
        "handlers": [_handler(handler) for handler in report.handlers],
        "findings": [_finding(finding) for finding in report.findings],
    }


def _counts(found: Tally) -> dict[str, Any]:
    return {
        "ratio": round(found.ratio, 4),
        "covered": found.covered,
        "uncovered": found.uncovered,
        "unknown": found.unknown,
        "ignored": found.ignored,
        "reading": found.reading,
    }


def _handler(handler: Handler) -> dict[str, Any]:
    return {
        "service": handler.service,
        "handler": handler.name,
        "file": handler.place.file,
        "line": handler.place.line,
        "framework": handler.framework,
        "routes": [{"methods": list(route.methods), "path": route.path} for route in handler.routes],
        "state": handler.state.value,
        "changes": list(handler.changes),
        "ignored": handler.ignored,
        "fingerprint": handler.fingerprint,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "file": finding.place.file,
        "line": finding.place.line,
        "code": finding.code,
        "severity": KINDS[finding.code].severity.value,
        "handler": finding.handler or None,
        "reason": finding.reason,
        "remedy": KINDS[finding.code].remedy,
    }


def as_sarif(report: Report) -> dict[str, Any]:
    """Every finding, for code hosts and editors."""
    placed = [
        Placed(
            finding.place.file,
            finding.place.line,
            0,
            f"{finding.handler}: {finding.reason}" if finding.handler else finding.reason,
            finding.code,
        )
        for finding in report.findings
    ]
    return sarif(placed, KINDS)


def percent(ratio: float) -> str:
    """A ratio for people, never rounded up: 99.96 % is not 100.0 %."""
    return f"{int(ratio * 1000 + 1e-9) / 10:.1f}%"


def service_rows(report: Report) -> list[Mapping[str, Any]]:
    """A row a service, and one for all."""
    rows = [(service.name, tally(service)) for service in report.services]
    if len(rows) > 1:
        rows.append(("all", report.total))
    return [
        {
            "service": name,
            "ratio": percent(found.ratio),
            "covered": found.covered,
            "uncovered": found.uncovered,
            "unknown": found.unknown,
            "ignored": found.ignored,
            "reading": found.reading,
        }
        for name, found in rows
    ]


def read_report(file: Path) -> Report:
    """A report that was written as JSON; the findings are not read again.

    Raises:
        ConfigurationError: It is none of ours.
    """
    try:
        if file.stat().st_size > _LARGEST:
            raise ConfigurationError(f"{file}: too large to be a report")
        values = json.loads(file.read_text(encoding="utf-8"))
        if values["version"] != VERSION:
            raise ConfigurationError(f"{file}: a report of version {values['version']}, which is not {VERSION}")
        handlers = [_read(it) for it in values["handlers"]]
        names = dict.fromkeys(str(it["service"]) for it in values["services"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as exc:
        raise ConfigurationError(f"{file}: is no report of `lychgate audit coverage --json`") from exc
    return Report(tuple(Service(name, tuple(it for it in handlers if it.service == name)) for name in names))


def _read(values: dict[str, Any]) -> Handler:
    return Handler(
        str(values["service"]),
        str(values["handler"]),
        Place(str(values["file"]), int(values["line"])),
        str(values["framework"]),
        tuple(Route(tuple(map(str, it["methods"])), it["path"]) for it in values["routes"]),
        State(values["state"]),
        tuple(map(str, values["changes"])),
        (),
        values["ignored"],
        str(values["fingerprint"]),
    )
