"""`lychgate audit lint`: every emit held against the registry of event types, and the registry against its release."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lychgate.commands.report import ExitCode, JsonOption, example, plain, print_json, print_rows

if TYPE_CHECKING:
    from audit.registry.model import Registry
    from lychgate.event_lint.settings import LintSettings
    from policies.errors import Finding

RegistryOption = Annotated[
    list[Path] | None,
    typer.Option("--registry", metavar="FILE", help="A registry file; repeatable. Lychgate's own if none is named."),
]
_PROJECT = Path("pyproject.toml")


def lint(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files and folders; the configured ones if none.")] = None,
    registry: RegistryOption = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="FILE|REV", help="The released registry: a file or a Git revision."),
    ] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="The paths are all that emit: what none of them emits is a finding.")
    ] = False,
    schemas: Annotated[
        Path | None, typer.Option("--schemas", metavar="FOLDER", help="Write the JSON Schema of each type there.")
    ] = None,
    sarif: Annotated[
        Path | None,
        typer.Option("--sarif", metavar="FILE", help="Write the findings there for code hosts; - for here."),
    ] = None,
    rules: Annotated[bool, typer.Option("--rules", help="List the rules, and look at nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check that every emit names a registered type with its fields, and no secret; nothing that is checked is run.

    What is not named here is configured in the section `tool.lychgate.audit-lint` of `pyproject.toml`.
    """
    if rules:
        _print_rules(as_json=as_json)
        return
    from audit.registry.errors import RegistryInvalid
    from lychgate.event_lint.registries import load_registry, registry_finding
    from lychgate.event_lint.settings import read_settings

    chosen = _chosen(read_settings(_PROJECT), paths, registry, against, complete=complete)
    files = [Path(file) for file in chosen.registry]
    try:
        known = load_registry(files)
    except RegistryInvalid as exc:
        findings = [registry_finding(exc)]
    else:
        if schemas is not None:
            _write_schemas(known, schemas)
        findings = _findings(known, files, chosen, only_schemas=schemas is not None and not paths and not chosen.paths)
    _print(findings, sarif, as_json=as_json)
    raise typer.Exit(ExitCode.FINDING if findings else ExitCode.SUCCESS)


def types(
    registry: RegistryOption = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="The module; printed if not named.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; say whether the module is up to date.")
    ] = False,
) -> None:
    """Write the typed classes of a registry, a Python module that mypy and your editor read."""
    from audit.registry.classes import services, source
    from audit.registry.errors import RegistryInvalid
    from lychgate.errors import ConfigurationError
    from lychgate.event_lint.registries import load_registry

    try:
        known = load_registry(registry or [])
        names = [name for own in services(known).values() for name in own]
        text = source(known, names, ", ".join(f"`{service}`" for service in services(known)))
    except RegistryInvalid as exc:
        raise ConfigurationError(str(exc)) from exc
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        if check:
            if not out.is_file() or out.read_text(encoding="utf-8") != text:
                typer.echo(f"{out}: not what the registry says; run `lychgate audit types` again")
                raise typer.Exit(ExitCode.FINDING)
            return
        out.write_text(text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"--out: {exc}") from exc


def _chosen(
    settings: "LintSettings",
    paths: Sequence[Path] | None,
    registry: Sequence[Path] | None,
    against: str | None,
    *,
    complete: bool,
) -> "LintSettings":
    """What is configured, where the command line says nothing else."""
    import msgspec

    # A part of the tree is not all that emits.
    whole = complete or (settings.complete and not paths)
    chosen: LintSettings = msgspec.structs.replace(
        settings,
        paths=tuple(map(str, paths)) if paths else settings.paths,
        registry=tuple(map(str, registry)) if registry else settings.registry,
        against=against or settings.against,
        complete=whole,
    )
    return chosen


def _findings(
    known: "Registry", files: Sequence[Path], chosen: "LintSettings", *, only_schemas: bool
) -> "list[Finding]":
    from audit.registry.errors import RegistryInvalid
    from lychgate.errors import ConfigurationError
    from lychgate.event_lint.registries import OWN, load_released, registry_finding
    from lychgate.event_lint.released import broken
    from lychgate.event_lint.run import lint as lint_paths

    if not chosen.paths and not chosen.against and not only_schemas:
        raise ConfigurationError("nothing to look at: name files or folders, or configure `paths` in pyproject.toml")
    findings: list[Finding] = []
    if chosen.against is not None:
        try:
            findings += broken(load_released(chosen.against, files), known, str(files[0]) if files else OWN)
        except RegistryInvalid as exc:
            findings.append(registry_finding(exc))
    if chosen.paths:
        findings += lint_paths(
            [Path(path) for path in chosen.paths],
            known,
            ways=chosen.emitters,
            secrets=chosen.secrets,
            complete=chosen.complete,
        )
    return sorted(findings)


def _write_schemas(known: "Registry", folder: Path) -> None:
    import json

    from audit.registry.schema import schemas
    from lychgate.errors import ConfigurationError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, document in schemas(known).items():
            (folder / name).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(f"--schemas: {exc}") from exc


def _print(findings: "Sequence[Finding]", sarif_file: Path | None, *, as_json: bool) -> None:
    from lychgate.event_lint.rules import KINDS

    if sarif_file is not None:
        _write_sarif(findings, sarif_file)
    if as_json:
        rows = [
            {
                "file": it.file,
                "line": it.line,
                "column": it.column,
                "severity": KINDS[it.code].severity,
                "rule": it.code,
                "reason": it.reason,
                "remedy": KINDS[it.code].remedy,
            }
            for it in findings
        ]
        print_json({"findings": rows})
    elif str(sarif_file) != "-":
        for it in findings:
            place = f"{it.file}:{it.line}:{it.column}" if it.line else it.file
            typer.echo(plain(f"{place}: {KINDS[it.code].severity}: {it.reason} [{it.code}]"))
        for rule in sorted({it.code for it in findings}):
            typer.echo(f"{rule}: {KINDS[rule].remedy}")
        if not findings:
            typer.echo("every event is as registered")


def _write_sarif(findings: "Sequence[Finding]", file: Path) -> None:
    import json

    from lychgate.errors import ConfigurationError
    from lychgate.event_lint.rules import KINDS
    from lychgate.sarif import sarif

    document = sarif(findings, KINDS)
    if str(file) == "-":
        print_json(document)
        return
    try:
        file.write_text(json.dumps(document) + "\n", encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(f"--sarif: {exc}") from exc


def _print_rules(*, as_json: bool) -> None:
    from lychgate.event_lint.rules import KINDS

    rows = [
        {"rule": rule, "severity": kind.severity.value, "meaning": kind.meaning, "remedy": kind.remedy}
        for rule, kind in KINDS.items()
    ]
    print_rows("rules", rows, as_json=as_json)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog=example(
            "lychgate audit lint",
            "lychgate audit lint services/order.py --registry my_events.toml --sarif events.sarif",
            "lychgate audit lint --against v0.1.0 --json",
        )
    )(lint)
    app.command(epilog=example("lychgate audit types --registry my_events.toml --out my_events.py"))(types)
