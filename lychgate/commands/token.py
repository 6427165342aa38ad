"""`lychgate token mint` and `revoke`: a token of the development issuer, and the end of any token."""

from typing import Annotated

import typer

from lychgate.commands import revoke
from lychgate.commands.report import ConfigOption, JsonOption, example, print_json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make tokens, and revoke them.")


@app.command(epilog=example("lychgate token mint --role member_agent --tenant acme --user mia"))
def mint(
    role: Annotated[list[str], typer.Option(help="A role, ours or foreign; may be given several times.")],
    tenant: Annotated[str, typer.Option(help="The tenant.")],
    user: Annotated[str, typer.Option(help="The user, the token's `sub`.")],
    ttl_s: Annotated[int | None, typer.Option(help="Seconds it holds.", show_default="a working day")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a token signed by the development issuer; the key is made on first use."""
    from lychgate.clock import utc_now
    from lychgate.findings import require_known_roles
    from lychgate.settings import load, or_built_in
    from lychgate.tokens import DEFAULT_TTL_S, DevelopmentIssuer

    settings = load(or_built_in(config))
    require_known_roles(role, settings.gateway.roles_file)
    issuer = DevelopmentIssuer.open(settings.up.state_folder / "issuer", utc_now, iss=settings.up.iss)
    token = issuer.mint(roles=role, tenant=tenant, user=user, ttl_s=ttl_s or DEFAULT_TTL_S)
    if as_json:
        print_json({"token": token})
    else:
        typer.echo(token)


revoke.add_to(app)
