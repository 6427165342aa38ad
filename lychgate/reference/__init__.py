"""The pages of `docs/reference`, each made from the one place in the code where its facts stand.

`python -m lychgate.reference` (`make docs`) writes them; `tests/test_repository.py` fails when one is out of date.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from lychgate.reference import (
    chart,
    commands,
    errors,
    event_rules,
    event_types,
    events,
    findings,
    http,
    matrix,
    metrics,
    routes,
    settings,
)

PAGES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "chart.md": chart.page,
        "cli.md": commands.page,
        "errors.md": errors.page,
        "event-rules.md": event_rules.page,
        "event-types.md": event_types.page,
        "events.md": events.page,
        "findings.md": findings.page,
        "http.md": http.page,
        "matrix.md": matrix.page,
        "metrics.md": metrics.page,
        "routes.md": routes.page,
        "settings.md": settings.page,
        **event_types.schema_pages(),
    }
)
"""File name to what makes its text."""
