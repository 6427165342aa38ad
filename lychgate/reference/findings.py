"""docs/reference/findings.md, from `policies.lint.codes`."""

from lychgate.reference.markdown import page as markdown_page
from lychgate.reference.markdown import table
from policies.lint.codes import KINDS


def page() -> str:
    """The page."""
    rows = [(f"`{code}`", kind.severity.value, kind.meaning, kind.remedy) for code, kind in KINDS.items()]
    return markdown_page(
        "Findings",
        """
What `lychgate policy check` and `lychgate config check` say about policies, roles and routes, each with file, line and
column. An `error` is refused by the gateway, too; a `warning` is found by a check only. Every warning is proved from
the files: where a proof is not had, nothing is said.

A warning that is meant to be is allowed where it is, with its reason, in the lines above the policy; above a route the
same behind `#`:

```cedar
// lychgate: allow shadowed the partner's auditors look for a policy of their own
```

`lychgate policy check --allow CODE` leaves one kind out of a run.
""",
        table(("code", "severity", "meaning", "what to do"), rows),
    )
