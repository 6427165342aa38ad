"""docs/reference/http.md, from the conformance cases: a row that stands there is a row that is run."""

from pathlib import Path
from typing import Any

import yaml

from gateway.errors import Code
from lychgate.reference.markdown import page as markdown_page
from lychgate.reference.markdown import table

_CASES = Path(__file__).parents[2] / "tests" / "cases" / "http"
_STATUS = {code.word: code.status for code in Code}


def _cases(name: str) -> Any:
    return yaml.safe_load((_CASES / name).read_text(encoding="utf-8"))


def page() -> str:
    """The page."""
    supported = [
        f"### {part['section']}\n\n"
        + table(("what", "RFC", "how"), [(row["what"], row["rfc"], row["how"]) for row in part["rows"]])
        for part in _cases("supported.yaml")
    ]
    refused = [
        f"### {part['section']}\n\n" + table(("what", "RFC", "answer"), [_refusal(row) for row in part["rows"]])
        for part in _cases("refused.yaml")
    ]
    deviations = [(it["rfc"], it["says"], it["here"], it["why"]) for it in _cases("deviations.yaml")]
    return markdown_page(
        "HTTP",
        """
HTTP/1.1 and HTTP/1.0, as RFC 9110 and RFC 9112 have them, sharpened where they let a recipient repair what another may
repair differently. Limits and deadlines are in [settings](settings.md), codes in [errors](errors.md).

How a connection ends: what is wrong with a client's bytes is recorded and answered with `{code, missing_role,
trace_id}` and `Connection: close`, and nothing behind it is read. A service's fault is recorded, too, and 502 to the
client, whose connection goes on; the service's is closed.

Each row is run: the cases stand in `tests/cases/http`, and each is fed whole, byte by byte and cut at every offset.
""",
        "## Supported",
        *supported,
        "## Refused",
        *refused,
        "## Deviations",
        "Every place where we do otherwise than an RFC says, or than it says one may.",
        table(("RFC", "says", "here", "because"), deviations),
    )


def _refusal(row: dict[str, Any]) -> tuple[str, str, str]:
    code = row["code"]
    return row["what"], row["rfc"], f"{_STATUS[code]} `{code}`"
