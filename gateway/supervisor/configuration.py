"""What a gateway is told, section by section: the whole of it that `gateway.supervisor` needs, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from audit.settings import AuditSettings, StoreSettings
from gateway.decision_settings import DecisionApiSettings
from gateway.doors.settings import DoorSettings
from gateway.fleet_settings import RedisSettings, RevocationSettings
from gateway.service_settings import ServiceSettings
from gateway.settings import (
    ContextSettings,
    GatewaySettings,
    IssuerSettings,
    OpsSettings,
    PolicySettings,
    TenancySettings,
)
from gateway.shadow_settings import ShadowSettings
from gateway.telemetry_settings import TelemetrySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The sections of `lychgate.yaml` that a gateway reads.

    Attributes:
        gateway: The public door and its workers.
        ops: The operations port.
        issuers: Whose tokens are believed.
        context: How security contexts are signed.
        tenancy: Whether tenants may be crossed.
        policies: Where they are.
        services: Where requests go.
        audit: Spool, redaction, relay.
        store: Where the relay delivers, where no broker is configured.
        doors: What other proxies may ask.
        decision_api: How questions of other proxies and services are understood.
        shadow: Policies that are tried beside those in force.
        revocation: Where what is revoked is kept.
        redis: What the fleet speaks through.
        telemetry: Where spans go.
    """

    gateway: GatewaySettings
    ops: OpsSettings
    issuers: Sequence[IssuerSettings]
    context: ContextSettings
    tenancy: TenancySettings
    policies: PolicySettings
    services: Mapping[str, ServiceSettings]
    audit: AuditSettings
    store: StoreSettings
    doors: DoorSettings = field(default_factory=DoorSettings)
    decision_api: DecisionApiSettings = field(default_factory=DecisionApiSettings)
    shadow: ShadowSettings = field(default_factory=ShadowSettings)
    revocation: RevocationSettings = field(default_factory=RevocationSettings)
    redis: RedisSettings = field(default_factory=RedisSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
