"""Files and settings to `Sources`, checked before any socket is opened.

Called by `gateway.supervisor.app` at start, and by `gateway.supervisor.reload`. What is wrong is said in the words of
`lychgate policy check`: file, line and reason, one finding a line.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec
import structlog

from audit.private_file import read_private
from gateway.forward.tls import client_context
from gateway.route.load import RoutesError
from gateway.service_settings import ServiceSettings
from gateway.settings import GatewaySettings, IssuerSettings, PolicySettings, TenancySettings
from gateway.snapshot import Snapshot, build_snapshot
from gateway.sources import ContextSource, ServiceSource, SourceFile, Sources, TlsSource
from gateway.supervisor.errors import StartRefused
from policies.check import check_roles
from policies.errors import PolicyErrors
from policies.watch import read_still
from roles.errors import CatalogueError, ContextUnusable

UNBUILDABLE: Final = (PolicyErrors, CatalogueError, RoutesError, ContextUnusable, ValueError)
"""What `build_snapshot` raises on sources that no snapshot can be made of."""

_log = structlog.get_logger(__name__)


def read_sources(
    *,
    gateway: GatewaySettings,
    issuers: Iterable[IssuerSettings],
    context: Callable[[], ContextSource],
    tenancy: TenancySettings,
    policies: PolicySettings,
    services: Mapping[str, ServiceSettings],
) -> Sources:
    """Read everything but the issuers' keys, which are fetched; `context` says how contexts are signed now.

    Raises:
        StartRefused: A file cannot be read.
    """
    rules = read_rules(gateway, policies)
    return Sources(
        policies=rules.policies,
        schema=rules.schema,
        roles=rules.roles,
        routes=rules.routes,
        issuers=tuple(issuer.source() for issuer in issuers),
        keys=(),
        services=tuple(service_source(name, service) for name, service in services.items()),
        context=context(),
        cross_tenant=tenancy.cross_tenant,
        strict=policies.strict,
        redacted_fields=gateway.redacted_fields,
        bundle_serial=rules.bundle_serial,
    )


class Rules(msgspec.Struct, frozen=True):
    """What is edited while the gateway runs; each field is that of `Sources`."""

    policies: tuple[SourceFile, ...]
    schema: SourceFile
    roles: SourceFile
    routes: SourceFile
    bundle_serial: int | None

    def over(self, sources: Sources) -> Sources:
        """The sources with these rules."""
        return msgspec.structs.replace(sources, **msgspec.structs.asdict(self))


def read_rules(gateway: GatewaySettings, policies: PolicySettings) -> Rules:
    """Read policies, roles and routes; roles and routes from the bundle, where it brings them.

    Raises:
        StartRefused: A file cannot be read, or a bundle is refused.
    """

    def read() -> Rules:
        texts = policies.origin().read()
        return Rules(
            policies=tuple(SourceFile(*file) for file in texts.policies),
            schema=SourceFile(*texts.schema),
            roles=SourceFile(*texts.roles) if texts.roles is not None else _file(gateway.roles_file),
            routes=SourceFile(*texts.routes) if texts.routes is not None else _file(gateway.routes_file),
            bundle_serial=texts.serial,
        )

    try:
        return read_still(read, watched(gateway, policies))
    except PolicyErrors as exc:
        raise StartRefused(str(exc)) from exc


def watched(gateway: GatewaySettings, policies: PolicySettings) -> tuple[Path, ...]:
    """What `read_rules` reads."""
    return (policies.origin().path, *policies.bundle_public_keys, gateway.roles_file, gateway.routes_file)


def later(current: Sources, new: Sources) -> Sources:
    """The new sources, or the current ones where they are the same.

    Raises:
        StartRefused: The new ones came in a bundle that is not later than the one in force.
    """
    if new == current:
        return current
    serial, in_force = new.bundle_serial, current.bundle_serial
    if serial is None or in_force is None or serial > in_force:
        return new
    if serial < in_force:
        raise StartRefused(f"the bundle's serial is {serial}; {in_force} is in force, and only a restart goes back")
    if _rules(new) != _rules(current):
        raise StartRefused(f"the bundle's serial is {serial}, as of the one in force, and its files are not the same")
    return new


def _rules(sources: Sources) -> tuple[tuple[SourceFile, ...], SourceFile]:
    return sources.policies, sources.schema


def checked(sources: Sources) -> Snapshot:
    """Build a snapshot as the workers will.

    Raises:
        StartRefused: It cannot be built, or a policy names a role that the catalogue does not have.
    """
    try:
        snapshot = build_snapshot(sources)
    except UNBUILDABLE as exc:
        raise StartRefused(str(exc)) from exc
    findings = check_roles(snapshot.bundle, snapshot.catalogue.names)
    if findings:
        raise StartRefused("\n".join(str(finding) for finding in findings))
    for route in snapshot.routes.routes:
        if route.problem:
            _log.warning("route_refuses", route=route.id, reason=route.problem)
    return snapshot


def service_source(name: str, settings: ServiceSettings) -> ServiceSource:
    """Where a service's requests go, with the certificates that its TLS needs.

    Raises:
        StartRefused: A file of them cannot be read or used.
    """
    if not settings.over_tls:
        return settings.source(name)
    tls = settings.tls
    ca = _file(tls.ca_file).text if tls.ca_file is not None else ""
    # Where no key is named it stands beside the certificate, and then that file holds a secret.
    read = Path.read_bytes if tls.key_file is not None else read_private
    cert = _file(tls.cert_file, read).text if tls.cert_file is not None else ""
    key = _file(tls.key_file, read_private).text if tls.key_file is not None else ""
    source = TlsSource(ca=ca, cert=cert, key=key, server_name=tls.server_name or "", verify=tls.verify)
    try:
        client_context(source)
    except ValueError as exc:
        raise StartRefused(f"services.{name}.tls: {exc}") from exc
    if not tls.verify:
        _log.warning("upstream_not_verified", service=name)
    return settings.source(name, source)


def _file(path: Path, read: Callable[[Path], bytes] = Path.read_bytes) -> SourceFile:
    try:
        return SourceFile(path.name, read(path).decode("utf-8"))
    except UnicodeDecodeError:  # its text quotes what it stumbled over
        raise StartRefused(f"{path}: not UTF-8") from None
    except OSError as exc:
        raise StartRefused(f"{path}: cannot be read: {exc.strerror}") from exc
