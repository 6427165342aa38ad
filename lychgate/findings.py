"""What is wrong with the files a configuration names: routes, roles, policies, certificates. Each with its place."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.route.load import RoutesError, load_routes
from lychgate.clock import utc_now
from lychgate.errors import ConfigurationError
from policies.bundle import Bundle
from policies.check import check_folder, check_roles
from policies.errors import Finding, PolicyErrors
from policies.load import SourceText, build_bundle, load_bundle
from roles.catalogue import Catalogue
from roles.errors import CatalogueError
from roles.load import load_catalogue

if TYPE_CHECKING:
    from lychgate.settings import Settings


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


def policies_of(folder: Path) -> Bundle:
    """The policies of a folder.

    Raises:
        ConfigurationError: There is no such folder, or it is refused; every finding a line.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: there is no such folder")
    try:
        return load_bundle(folder)
    except PolicyErrors as exc:
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


def policy_findings(folder: Path, roles_file: Path) -> list[Finding]:
    """Everything that is wrong with the policies.

    Raises:
        ConfigurationError: There is no such folder, or no catalogue to compare with.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: there is no such folder")
    return check_folder(folder, catalogue_of(roles_file).names)


def configuration_findings(settings: "Settings") -> list[str]:
    """Everything that is wrong with the files of a configuration whose keys are in order.

    Raises:
        ConfigurationError: A file it names cannot be read, or the role catalogue is not one.
    """
    policies = _configured_findings(settings)
    if policies:
        return [str(finding) for finding in policies]  # routes are checked against the schema: not before it holds
    texts = settings.policies.origin().read()
    bundle = build_bundle(texts.policies, texts.schema)
    return (
        route_findings(settings, bundle, texts.routes)
        + _certificate_findings(settings)
        + _decision_findings(settings, texts.schema)
        + _shadow_findings(settings)
        + _fleet_findings(settings)
    )


def _shadow_findings(settings: "Settings") -> list[str]:
    """Everything that is wrong with the shadow set; it would stop no gateway, and decide nothing."""
    folder = settings.shadow.folder
    if folder is None:
        return []
    return [f"shadow: {finding}" for finding in policy_findings(folder, settings.gateway.roles_file)]


def _configured_findings(settings: "Settings") -> list[Finding]:
    """Everything that is wrong with the policies that a gateway would read: those of the folder, or of the bundle."""
    origin = settings.policies.origin()
    if origin.bundle is None:
        return policy_findings(origin.folder, settings.gateway.roles_file)
    try:
        texts = origin.read()
        bundle = build_bundle(texts.policies, texts.schema)
        catalogue = load_catalogue(texts.roles[1], texts.roles[0]) if texts.roles is not None else None
    except PolicyErrors as exc:
        return list(exc.findings)
    except CatalogueError as exc:
        raise ConfigurationError(f"{origin.bundle}: {exc}") from exc
    return check_roles(bundle, (catalogue or catalogue_of(settings.gateway.roles_file)).names)


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


def _decision_findings(settings: "Settings", schema: SourceText) -> list[str]:
    """Everything that is wrong with the decision API's own files."""
    from gateway.supervisor.decision import page_key, read_sheets
    from gateway.supervisor.errors import StartRefused

    try:
        page_key(settings.decision_api)
        read_sheets(settings.decision_api, schema, strict=settings.policies.strict)
    except StartRefused as exc:
        return str(exc).splitlines()
    return []


def _fleet_findings(settings: "Settings") -> list[str]:
    """Everything that is wrong with the files that `redis` names; Redis itself is not asked."""
    from gateway.fleet.member import fleet_store

    try:
        fleet_store(settings.redis, settings.revocation.max_entries)
    except ValueError as exc:
        return [f"redis: {exc}"]
    return []


def route_findings(settings: "Settings", bundle: Bundle, packed: SourceText | None = None) -> list[str]:
    """Everything that is wrong with the routes.

    Args:
        settings: Names the file, and the services.
        bundle: The policies, whose schema routes are checked against.
        packed: The routes, where a bundle brings them.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    file = settings.gateway.routes_file
    try:
        name, text = packed or (str(file), file.read_text(encoding="utf-8"))
        table = load_routes(name, text, bundle, settings.services)
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{file}: cannot be read: {exc}") from exc
    except RoutesError as exc:
        return str(exc).splitlines()
    return [f"{name}: route `{route.id}`: {route.problem}" for route in table.routes if route.problem]
