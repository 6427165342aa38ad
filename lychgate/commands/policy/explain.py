"""`lychgate policy explain`: why a request is allowed or denied, and what would have been enough."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_json
from lychgate.errors import ConfigurationError

if TYPE_CHECKING:
    from lychgate.settings import Settings
    from policies.bundle import Bundle
    from policies.model import Json, Question
    from roles.catalogue import Catalogue
    from roles.model import Principal
    from roles.recorded import Recorded


def explain(
    folder: Annotated[
        Path | None, typer.Argument(help="The policies' folder; the configured one if not given.")
    ] = None,
    role: Annotated[list[str] | None, typer.Option(help="A role of the caller's; may be given several times.")] = None,
    action: Annotated[str | None, typer.Option(help="The action.")] = None,
    tenant: Annotated[str | None, typer.Option(help="The caller's tenant.")] = None,
    user: Annotated[str | None, typer.Option(help="The caller, the token's `sub`.")] = None,
    resource: Annotated[
        str | None, typer.Option(metavar="TYPE::ID", help="To what; the whole collection if not given.")
    ] = None,
    resource_tenant: Annotated[
        str | None, typer.Option(help="Whose it is; the caller's tenant's if not given.")
    ] = None,
    context: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A value of the context, as JSON; others are text.")
    ] = None,
    request: Annotated[
        Path | None,
        typer.Option(help="A request as JSON: action, roles, principal, resource, context."),
    ] = None,
    event: Annotated[Path | None, typer.Option(help="A recorded decision as JSON; `-` for standard input.")] = None,
    decision: Annotated[str | None, typer.Option(metavar="ID", help="A decision's id, looked up in the audit.")] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Of the gateway, for --decision.", show_default="on this machine"),
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="Holds the token to read the audit with.")] = None,
    every: Annotated[bool, typer.Option("--every-part", help="Show every part of every policy.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which policies decide a request, which of their conditions are false, and what would have been enough.

    The request is described by options or a file, or taken from the audit; the policies are those in the folder. Exit
    code 0 when it is allowed, 1 when it is denied.
    """
    from lychgate.explanation.text import lines
    from lychgate.findings import rules_of
    from lychgate.settings import load
    from policies.engine import Engine
    from policies.errors import NoDecision
    from policies.model import Effect
    from roles.explain import Explainer
    from roles.explain import as_json as plain

    settings = load(config)
    bundle, catalogue = rules_of(settings, folder)
    sources = [each for each in (action, request, event, decision) if each is not None]
    if len(sources) != 1:
        raise ConfigurationError("what is to be explained? one of --action, --request, --event and --decision")
    if action is None and any((role, tenant, user, resource, resource_tenant, context)):
        raise ConfigurationError(
            "--role, --tenant, --user, --resource, --resource-tenant and --context go with --action"
        )
    recorded = None
    if event is not None or decision is not None:
        recorded = _recorded(_event(event, decision, url, token_file, settings))
        question, principal = recorded.question, recorded.principal
    else:
        from lychgate.explanation.source import from_file, from_options

        asked = from_file(request) if request is not None else None
        if action is not None:
            asked = from_options(
                bundle,
                roles=role or [],
                action=action,
                tenant=tenant,
                user=user,
                resource=resource,
                resource_tenant=resource_tenant,
                context=context or [],
            )
        question, principal = _described(asked, bundle, catalogue, settings)
    try:
        told = Explainer(Engine(bundle, strict=settings.policies.strict), catalogue).explain(question, principal)
    except NoDecision as exc:
        raise ConfigurationError(f"the request does not fit the schema: {exc.reason}") from exc
    if as_json:
        print_json(plain(told, recorded))
    else:
        for line in lines(told, recorded, every=every):
            typer.echo(line)
    raise typer.Exit(ExitCode.SUCCESS if told.effect is Effect.ALLOW else ExitCode.FINDING)


def _event(
    file: Path | None, decision: str | None, url: str | None, token_file: Path | None, settings: "Settings"
) -> "Json":
    from lychgate.explanation.source import from_audit, from_file

    if file is not None:
        return from_file(file)
    if decision is None or token_file is None:
        raise ConfigurationError("--decision: needs --token-file, with whose token the audit is read")
    return from_audit(decision, url or f"http://127.0.0.1:{settings.gateway.port}", token_file)


def _recorded(event: "Json") -> "Recorded":
    from roles.recorded import NotExplainable, recorded

    try:
        return recorded(event)
    except NotExplainable as exc:
        raise ConfigurationError(f"cannot be explained: {exc}") from exc


def _described(
    asked: "Json", bundle: "Bundle", catalogue: "Catalogue", settings: "Settings"
) -> "tuple[Question, Principal]":
    from lychgate.clock import utc_now
    from roles.described import described
    from roles.scenario import ScenarioError

    now = utc_now().strftime("%Y-%m-%dT%H:%M:%S.000Z")
    try:
        return described(asked, bundle, catalogue, now, cross_tenant=settings.tenancy.cross_tenant)
    except ScenarioError as exc:
        raise ConfigurationError(str(exc)) from exc


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=example(
            "lychgate policy explain --role member_agent --action order:discount --context percent=60",
            "lychgate policy explain --event decision.json --json",
            "lychgate policy explain --decision 0192f0c8-0000-7000-8000-000000000000 --token-file token",
        )
    )(explain)
