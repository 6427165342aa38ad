"""docs/reference/event-rules.md, from `lychgate.event_lint.rules`."""

from collections.abc import Mapping

from lychgate.event_lint.rules import BREAKS, RULES
from lychgate.reference.markdown import page as markdown_page
from lychgate.reference.markdown import table
from policies.lint.codes import Kind


def page() -> str:
    """The page."""
    return markdown_page(
        "Rules of events",
        """
What `lychgate audit lint` says, each with file, line and column. How it is used is in
[registering events](../guides/event-types.md). A finding that is meant to be is silenced where it is, with its reason,
on a line of the statement or alone in the line above:

```python
# audit:lint-ignore details-untold the fields of `Scope`, each registered
```
""",
        "## Of code that emits",
        _rules(RULES),
        "## Of a registry against its release",
        _rules(BREAKS),
    )


def _rules(kinds: Mapping[str, Kind]) -> str:
    rows = [(f"`{code}`", kind.severity.value, kind.meaning, kind.remedy) for code, kind in kinds.items()]
    return table(("rule", "severity", "meaning", "what to do"), rows)
