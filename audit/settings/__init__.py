"""The audit's sections of `lychgate.yaml`, a module each.

Only `lychgate.settings` and the composition roots see these.
"""

from pydantic import model_validator

from audit.settings.clock import ClockSettings
from audit.settings.integrity import IntegritySettings
from audit.settings.kafka import KafkaSettings
from audit.settings.outbox import OutboxSettings
from audit.settings.redaction import RedactionSettings
from audit.settings.relay import RelaySettings
from audit.settings.retention import RetentionSettings
from audit.settings.section import Section
from audit.settings.sinks import NdjsonSettings, SearchSettings, SinksSettings
from audit.settings.spool import SpoolSettings
from audit.settings.store import LoginSettings, StoreSettings

__all__ = [
    "AuditSettings",
    "ClockSettings",
    "IntegritySettings",
    "KafkaSettings",
    "LoginSettings",
    "NdjsonSettings",
    "OutboxSettings",
    "RedactionSettings",
    "RelaySettings",
    "RetentionSettings",
    "SearchSettings",
    "SinksSettings",
    "SpoolSettings",
    "StoreSettings",
]


class AuditSettings(Section):
    """Section `audit`."""

    spool: SpoolSettings = SpoolSettings()
    kafka: KafkaSettings = KafkaSettings()
    redaction: RedactionSettings = RedactionSettings()
    retention: RetentionSettings = RetentionSettings()
    integrity: IntegritySettings = IntegritySettings()
    relay: RelaySettings = RelaySettings()
    clock: ClockSettings = ClockSettings()
    sinks: SinksSettings = SinksSettings()
    outbox: OutboxSettings = OutboxSettings()

    @model_validator(mode="after")
    def _classes_are_known(self) -> "AuditSettings":
        for sink in (self.sinks.ndjson, self.sinks.search):
            if sink is not None and (unknown := set(sink.redact) - set(self.redaction.paths)):
                raise ValueError(f"sinks: redact names a class without paths: `{min(unknown)}`")
        return self

    @property
    def least_days(self) -> int:
        """The fewest days any tenant's rows stay."""
        return min([self.retention.days, *self.retention.tenants.values()])
