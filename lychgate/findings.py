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
from policies.check import check_bundle
from policies.errors import Finding, PolicyErrors
from policies.load import SourceText, build_bundle, load_bundle
from policies.origin import Origin
from policies.schema import Schema
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


def rules_of(settings: "Settings", folder: Path | None) -> tuple[Bundle, Catalogue]:
    """Policies and roles to ask: those of a folder, or those that a gateway so configured would take.

    Raises:
        ConfigurationError: They cannot be read, or are refused; every finding a line.
    """
    origin, roles_file = settings.policies.origin(), settings.gateway.roles_file
    if folder is not None or origin.bundle is None:
        return policies_of(folder or origin.folder), catalogue_of(roles_file)
    bundle, packed = packed_rules(origin)
    return bundle, packed or catalogue_of(roles_file)


def packed_rules(origin: Origin) -> tuple[Bundle, Catalogue | None]:
    """The policies of a bundle, and the roles where it brings them.

    Raises:
        ConfigurationError: It cannot be read, or is refused; every finding a line.
    """
    try:
        texts = origin.read()
        bundle = build_bundle(texts.policies, texts.schema)
    except PolicyErrors as exc:
        raise ConfigurationError(str(exc)) from exc
    return bundle, None if texts.roles is None else _packed_catalogue(origin, texts.roles)


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
    """Everything that is wrong with the policies of a folder, and with the routes that lead to them.

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
    return origin_findings(Origin(folder), roles_file, routes)


def origin_findings(origin: Origin, roles_file: Path, routes: Routes | None = None) -> list[Finding]:
    """The same of a folder or a bundle; the roles and routes that a bundle brings count.

    Raises:
        ConfigurationError: As for `policy_findings`.
    """
    try:
        texts = origin.read()
        bundle = build_bundle(texts.policies, texts.schema)
    except PolicyErrors as exc:
        found = list(exc.findings)  # routes are checked against the schema: not before it holds
    else:
        packed = texts.roles
        catalogue = catalogue_of(roles_file) if packed is None else _packed_catalogue(origin, packed)
        roles = packed or _text(roles_file)
        asked = None
        if routes is not None:
            name, text = texts.routes or _text(routes.file)
            asked = asked_of(name, text, bundle, routes.services, catalogue)
        found = check_bundle(bundle, texts.policies, roles_of(catalogue, *roles), asked)
    return sorted(
        replace(finding, file=str(origin.folder / finding.file))
        if origin.bundle is None and (origin.folder / finding.file).is_file()
        else finding
        for finding in found
    )


def _packed_catalogue(origin: Origin, roles: SourceText) -> Catalogue:
    try:
        return load_catalogue(roles[1], roles[0])
    except CatalogueError as exc:
        raise ConfigurationError(f"{origin.bundle}: {exc}") from exc


def _text(file: Path) -> SourceText:
    try:
        return str(file), file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{file}: cannot be read: {exc}") from exc


def routes_of(settings: "Settings") -> Routes:
    """The configured routes."""
    return Routes(settings.gateway.routes_file, settings.services)


def configuration_findings(settings: "Settings") -> list[str]:
    """Everything that is wrong with the files of a configuration whose keys are in order.

    Raises:
        ConfigurationError: A file it names cannot be read, or the role catalogue is not one.
    """
    origin = settings.policies.origin()
    if origin.bundle is None and not origin.folder.is_dir():
        raise ConfigurationError(f"{origin.folder}: there is no such folder")
    policies = origin_findings(origin, settings.gateway.roles_file, routes_of(settings))
    findings = (
        [str(finding) for finding in policies]
        + _certificate_findings(settings)
        + _key_findings(settings)
        + _decision_findings(settings, origin)
        + _shadow_findings(settings)
        + _fleet_findings(settings)
        + _telemetry_findings(settings)
        + _kafka_findings(settings)
        + _retention_findings(settings)
        + _seal_findings(settings)
        + _redaction_findings(settings)
    )
    return findings + _open_findings(settings, findings)


def _retention_findings(settings: "Settings") -> list[str]:
    """Partitions for rows that no purge would leave there."""
    kept, made = settings.audit.retention.longest, settings.store.keep_days
    if made <= kept:
        return []
    return [f"store.keep_days: {made} days of partitions for late events, and no row is kept longer than {kept} days"]


def _seal_findings(settings: "Settings") -> list[str]:
    """Everything that is wrong with the keys of the audit's seals; without a key there are no seals, and no finding."""
    from audit.errors import SealRefused
    from audit.integrity.keys import load_public_key, load_seal_key

    integrity = settings.audit.integrity
    findings = []
    for load, files in ((load_seal_key, [integrity.key_file]), (load_public_key, integrity.public_keys)):
        for file in files:
            try:
                if file is not None:
                    load(file)
            except SealRefused as exc:
                findings.append(f"audit.integrity: {exc}")
    return findings


def _shadow_findings(settings: "Settings") -> list[str]:
    """Everything that is wrong with the shadow set; it would stop no gateway, and decide nothing."""
    folder = settings.shadow.folder
    if folder is None:
        return []
    return [f"shadow: {finding}" for finding in policy_findings(folder, settings.gateway.roles_file)]


def _key_findings(settings: "Settings") -> list[str]:
    """Everything that is wrong with the files of keys that contexts, cursors and pages are signed with."""
    from lychgate.keys.inventory import key_findings

    return key_findings(settings, utc_now().timestamp())


def _open_findings(settings: "Settings", said: Sequence[str]) -> list[str]:
    """Files with secrets that others may read, and of which nothing was said so far."""
    from lychgate.keys.inventory import open_findings

    found = open_findings(settings, utc_now().timestamp())
    return [placed for what, placed in found if not any(what in finding for finding in said)]


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


def _decision_findings(settings: "Settings", origin: Origin) -> list[str]:
    """Everything that is wrong with the decision API's own files, once the schema holds that they are held against."""
    from gateway.supervisor.decision import page_key, read_sheets
    from gateway.supervisor.errors import StartRefused

    try:
        schema = origin.read().schema
        Schema(*schema)
    except PolicyErrors:
        return []
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


def _telemetry_findings(settings: "Settings") -> list[str]:
    """Everything that is wrong with what `telemetry` names; the collector itself is not asked."""
    from gateway.supervisor.errors import StartRefused
    from gateway.supervisor.telemetry import checked_telemetry

    try:
        checked_telemetry(settings.telemetry)
    except StartRefused as exc:
        return [str(exc)]
    return []


def _kafka_findings(settings: "Settings") -> list[str]:
    """Everything that is wrong with the files that `audit.kafka` names; the brokers themselves are not asked."""
    if settings.audit.kafka.bootstrap_servers is None:
        return []
    from audit.kafka.connection import Connection

    return Connection.of(settings.audit.kafka).findings()


def _redaction_findings(settings: "Settings") -> list[str]:
    """Whether secrets would be written as they come."""
    if settings.audit.redaction.mode != "off":
        return []
    return ["audit.redaction.mode: `off` writes events as they come, secrets and all: for development only"]
