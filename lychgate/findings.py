"""What is wrong with the files a configuration names: routes, roles, policies, certificates. Each with its place."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from lychgate.asked import asked_of, roles_of
from lychgate.clock import utc_now
from lychgate.errors import ConfigurationError
from policies.bundle import Bundle
from policies.check import Asked, check_bundle
from policies.errors import Finding, PolicyErrors
from policies.load import build_bundle, read_folder
from roles.catalogue import Catalogue
from roles.errors import CatalogueError
from roles.load import load_catalogue

if TYPE_CHECKING:
    from lychgate.settings import Settings


class Routes(NamedTuple):
    """A routes file and the services it may name."""

    file: Path
    services: Mapping[str, object]


def catalogue_of(file: Path) -> Catalogue:
    """The role catalogue.

    Raises:
        ConfigurationError: It cannot be read, or is not a catalogue.
    """
    try:
        return load_catalogue(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{file}: cannot be read: {exc}") from exc
    except CatalogueError as exc:
        raise ConfigurationError(str(exc)) from exc


def require_known_roles(names: Sequence[str], file: Path) -> None:
    """Refuse role names that a gateway would drop from a token.

    Raises:
        ConfigurationError: Names the first one and the nearest role.
    """
    catalogue = catalogue_of(file)
    known = [*catalogue.names, *catalogue.foreign]
    for name in catalogue.resolve(names).dropped:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; the nearest is `{close[0]}`" if close else f"; there are {', '.join(catalogue.names)}"
        raise ConfigurationError(f"no token can carry the role `{name}`{hint}")


def policy_findings(folder: Path, roles_file: Path, routes: Routes | None = None) -> list[Finding]:
    """Everything that is wrong with the policies, and with the routes that lead to them.

    Args:
        folder: With the policies and their schema.
        roles_file: The role catalogue.
        routes: The routes that ask them; None where they are asked by others.

    Returns:
        The findings, sorted by place, files as paths.

    Raises:
        ConfigurationError: There is no such folder, no catalogue or no routes file to compare with.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: there is no such folder")
    catalogue = catalogue_of(roles_file)
    try:
        files, schema = read_folder(folder)
        bundle = build_bundle(files, schema)
    except PolicyErrors as exc:
        found = list(exc.findings)  # routes are checked against the schema: not before it holds
    else:
        asked = None if routes is None else _asked(routes, bundle, catalogue)
        roles = roles_of(catalogue, str(roles_file), roles_file.read_text(encoding="utf-8"))
        found = check_bundle(bundle, files, roles, asked)
    return sorted(
        replace(finding, file=str(folder / finding.file)) if (folder / finding.file).is_file() else finding
        for finding in found
    )


def routes_of(settings: "Settings") -> Routes:
    """The configured routes."""
    return Routes(settings.gateway.routes_file, settings.services)


def configuration_findings(settings: "Settings") -> list[str]:
    """Everything that is wrong with the files of a configuration whose keys are in order.

    Raises:
        ConfigurationError: A file it names cannot be read, or the role catalogue is not one.
    """
    policies = policy_findings(settings.policies.folder, settings.gateway.roles_file, routes_of(settings))
    return [str(finding) for finding in policies] + _certificate_findings(settings)


def _asked(routes: Routes, bundle: Bundle, catalogue: Catalogue) -> Asked:
    try:
        text = routes.file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{routes.file}: cannot be read: {exc}") from exc
    return asked_of(str(routes.file), text, bundle, routes.services, catalogue)


def _certificate_findings(settings: "Settings") -> list[str]:
    """Everything that is wrong with the files of the public port's TLS, and of services'."""
    from gateway.supervisor.certificates import tls_source
    from gateway.supervisor.errors import StartRefused
    from gateway.supervisor.sources import service_source

    findings = []
    try:
        tls_source(settings.gateway.tls, utc_now(), renewed=True)
    except StartRefused as exc:
        findings.append(str(exc))
    for name, service in settings.services.items():
        try:
            service_source(name, service)
        except StartRefused as exc:
            findings.append(str(exc))
    return findings
