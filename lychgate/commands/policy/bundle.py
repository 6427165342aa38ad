"""`lychgate policy bundle`: policies as one signed file, and what a gateway would say of one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_json
from lychgate.errors import ConfigurationError

if TYPE_CHECKING:
    from lychgate.settings import Settings
    from policies.load import SourceText


def bundle(
    folder: Annotated[
        Path | None, typer.Argument(help="The policies' folder; the configured one if not given.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The private key that signs, PEM.")] = None,
    out: Annotated[Path | None, typer.Option(help="The bundle to write; one that is there is replaced whole.")] = None,
    serial: Annotated[
        int | None,
        typer.Option(
            min=0, help="Higher than every one before; a gateway never goes back.", show_default="the time, in seconds"
        ),
    ] = None,
    with_roles: Annotated[bool, typer.Option("--with-roles", help="Pack the configured role catalogue, too.")] = False,
    with_routes: Annotated[bool, typer.Option("--with-routes", help="Pack the configured routes, too.")] = False,
    verify: Annotated[Path | None, typer.Option(help="Say what a gateway would say of this bundle.")] = None,
    public_key: Annotated[
        list[Path] | None,
        typer.Option(help="Whose signature is believed, PEM; the configured keys if not given."),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="With --verify: print the files in it.")] = False,
    make_key: Annotated[Path | None, typer.Option(help="Make a key pair: FILE and FILE.pub.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pack the policies into a signed bundle, verify one, or make a key.

    A gateway reads it in place of the folder: `policies.bundle` and `policies.bundle_public_keys`. Policies with
    findings are not packed.
    """
    from lychgate.settings import load

    if sum(chosen is not None for chosen in (out, verify, make_key)) != 1:
        raise typer.BadParameter("give one of --out, --verify and --make-key")
    if make_key is not None:
        _make_key(make_key)
    elif verify is not None:
        _verify(verify, public_key or load(config).policies.bundle_public_keys, show=show, as_json=as_json)
    elif out is not None:
        if key is None:
            raise typer.BadParameter("--out needs --key")
        settings = load(config)
        files = _files(settings, folder or settings.policies.folder, with_roles=with_roles, with_routes=with_routes)
        _pack(files, key, out, serial, as_json=as_json)


def _make_key(file: Path) -> None:
    from policies.errors import BundleRefused
    from policies.origin import make_key

    try:
        public = make_key(file)
    except BundleRefused as exc:
        raise ConfigurationError(str(exc)) from exc
    typer.echo(f"{file}: the private key, for you alone\n{public}: the public key, for gateways")


def _files(settings: "Settings", folder: Path, *, with_roles: bool, with_routes: bool) -> "list[SourceText]":
    """What is packed, without findings.

    Raises:
        typer.Exit: There are findings; they are printed.
        ConfigurationError: Something cannot be read.
    """
    from lychgate.findings import policy_findings, routes_of
    from policies.load import read_folder
    from policies.pack import ROLES_FILE, ROUTES_FILE

    routes = routes_of(settings) if with_routes else None
    findings = policy_findings(folder, settings.gateway.roles_file, routes)
    if not findings:
        policies, schema = read_folder(folder)
        files = [*policies, schema]
        if with_roles:
            files.append((ROLES_FILE, settings.gateway.roles_file.read_text(encoding="utf-8")))
        if with_routes:
            files.append((ROUTES_FILE, settings.gateway.routes_file.read_text(encoding="utf-8")))
        return files
    for finding in findings:
        typer.echo(finding)
    raise typer.Exit(ExitCode.FINDING)


def _pack(files: "list[SourceText]", key: Path, out: Path, serial: int | None, *, as_json: bool) -> None:
    import os
    import tempfile

    from audit.private_file import read_private
    from lychgate.clock import utc_now
    from policies.errors import BundleRefused
    from policies.origin import private_key
    from policies.pack import pack, unpack

    try:
        signer = private_key(key, read_private)
        made = pack(files, int(utc_now().timestamp()) if serial is None else serial, signer)
        packed = unpack(made, [signer.public_key()])
        with tempfile.NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}.", delete=False) as draft:
            draft.write(made)
            draft.flush()
            os.fsync(draft.fileno())
            os.fchmod(draft.fileno(), 0o644)
        Path(draft.name).replace(out)
    except BundleRefused as exc:
        raise ConfigurationError(str(exc)) from exc
    except OSError as exc:
        raise ConfigurationError(f"{out}: cannot be written: {exc.strerror}") from exc
    report = {"bundle": str(out), "serial": packed.serial, "key": packed.key, "files": list(packed.files)}
    if as_json:
        print_json(report)
    else:
        typer.echo(f"{out}: serial {packed.serial}, {len(packed.files)} files, signed with {packed.key}")


def _verify(file: Path, keys: "list[Path] | tuple[Path, ...]", *, show: bool, as_json: bool) -> None:
    from policies.errors import BundleRefused, PolicyErrors
    from policies.load import build_bundle
    from policies.origin import open_bundle, public_key

    if not keys:
        raise typer.BadParameter("--verify needs --public-key, or policies.bundle_public_keys")
    try:
        trusted = [public_key(key) for key in keys]
    except BundleRefused as exc:
        raise ConfigurationError(str(exc)) from exc
    try:
        packed = open_bundle(file, trusted)
        version = build_bundle(packed.policies, packed.schema).version
    except (BundleRefused, PolicyErrors) as exc:
        reason = str(exc) if str(exc).startswith(str(file)) else f"{file}: {exc}"
        if as_json:
            print_json({"bundle": str(file), "problem": reason})
        else:
            typer.echo(reason)
        raise typer.Exit(ExitCode.FINDING) from exc
    if as_json:
        files = dict(packed.files) if show else list(packed.files)
        report = {"bundle": str(file), "serial": packed.serial, "key": packed.key, "policy_version": version}
        print_json({**report, "files": files})
        return
    typer.echo(f"{file}: serial {packed.serial}, policies {version}, signed with {packed.key}")
    for name, text in packed.files.items():
        typer.echo(f"--- {name}\n{text}" if show else f"{name}  {len(text.encode())} bytes")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    lines = (
        "lychgate policy bundle --make-key signing.pem",
        "lychgate policy bundle policies --key signing.pem --out policies.lcb",
        "lychgate policy bundle --verify policies.lcb --public-key signing.pem.pub",
    )
    app.command(epilog=example(*lines))(bundle)
