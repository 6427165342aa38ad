"""docs/reference/matrix.md: who may do what, asked of the policies of this repository."""

from pathlib import Path

from lychgate.matrix.layout import cells, crossings
from lychgate.reference.markdown import page as markdown_page
from policies.engine import Engine
from policies.load import load_bundle
from roles.load import load_catalogue
from roles.matrix import matrix

_ROOT = Path(__file__).parents[2]


def page() -> str:
    """The page."""
    roles = _ROOT / "roles/roles.toml"
    catalogue = load_catalogue(roles.read_text("utf-8"), roles.name)
    asked = matrix(Engine(load_bundle(_ROOT / "policies")), catalogue)
    return markdown_page(
        "Who may do what",
        """
Every role and every action, asked of Cedar (`lychgate policy matrix`); a change of a policy or a role shows here. What
a cell says, it says of every caller who has this role alone, in any tenant, about any resource of that tenant, whatever
the request's context; `if` names what the context must be. Where a policy singles out a tenant or a resource and the
answer there is another one, that stands behind a semicolon. Roles that cross tenants live in the tenant `platform`;
callers without a credential live in none and ask about somebody's. What fields of answers are seen is asked with the
`data:` actions. What the gateway refuses before it asks (a tenant named that is not the caller's) is not shown.
""",
        f"## In the caller's own tenant\n\n{cells(asked, code=True).markdown()}",
        f"""
## Across tenants

Every role was asked about every action on another tenant's resources, from and into every tenant that a policy names
and one that none does. These may; all else is denied, whatever the context. `cross_tenant` is the setting
`tenancy.cross_tenant`.

{crossings(asked, code=True).markdown()}
""",
    )
