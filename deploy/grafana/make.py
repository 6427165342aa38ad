"""Write the dashboards: dashboards.toml -> dashboards/*.json, as Grafana's provisioning and its sidecar read them.

    python deploy/grafana/make.py

Nothing in them names a data source: each dashboard has a variable that chooses one.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
_COLUMNS = 24
_WIDTH, _HEIGHT = 6, 7
_SCHEMA = 39
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_REFS = "ABCDEFGH"


def panel(number: int, at: tuple[int, int], spec: dict[str, Any]) -> dict[str, Any]:
    """One panel.

    Args:
        number: Its id in the dashboard.
        at: Column and line of its upper left corner.
        spec: From the file.
    """
    targets = [
        {"refId": ref, "datasource": _SOURCE, "expr": expr.replace("RATE", "$__rate_interval"), "legendFormat": legend}
        for ref, (expr, legend) in zip(_REFS, spec["draws"], strict=False)
    ]
    return {
        "id": number,
        "type": "stat" if spec.get("stat") else "timeseries",
        "title": spec["title"],
        "description": spec["says"],
        "datasource": _SOURCE,
        "gridPos": {"x": at[0], "y": at[1], "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {
            "defaults": {"unit": spec["unit"], **({} if spec.get("signed") else {"min": 0})},
            "overrides": [],
        },
        "targets": targets,
    }


def dashboard(spec: dict[str, Any]) -> dict[str, Any]:
    """One dashboard: rows of panels, four beside each other."""
    panels: list[dict[str, Any]] = []
    line = 0
    for row in spec["row"]:
        number = len(panels) + 1
        place = {"x": 0, "y": line, "w": _COLUMNS, "h": 1}
        panels.append({"id": number, "type": "row", "title": row["title"], "gridPos": place, "panels": []})
        line += 1
        for index, each in enumerate(row["panels"]):
            column = index % (_COLUMNS // _WIDTH) * _WIDTH
            if index and not column:
                line += _HEIGHT
            panels.append(panel(len(panels) + 1, (column, line), each))
        line += _HEIGHT
    return {
        "uid": spec["uid"],
        "title": spec["title"],
        "description": spec["says"],
        "tags": ["lychgate"],
        "schemaVersion": _SCHEMA,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}]
        },
        "panels": panels,
    }


def texts() -> dict[str, str]:
    """File name to its text."""
    found = tomllib.loads((FOLDER / "dashboards.toml").read_text(encoding="utf-8"))
    return {
        f"{spec['file']}.json": json.dumps(dashboard(spec), indent=2, ensure_ascii=False) + "\n"
        for spec in found["dashboard"]
    }


def main() -> int:
    """Write them."""
    for name, text in texts().items():
        (FOLDER / "dashboards" / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
