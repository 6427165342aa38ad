"""The audit's sections of `lychgate.yaml`, a module each.

Only `lychgate.settings` and the composition roots see these.
"""

from audit.settings.integrity import IntegritySettings
from audit.settings.kafka import KafkaSettings
from audit.settings.redaction import RedactionSettings
from audit.settings.relay import RelaySettings
from audit.settings.retention import RetentionSettings
from audit.settings.section import Section
from audit.settings.spool import SpoolSettings
from audit.settings.store import LoginSettings, StoreSettings

__all__ = [
    "AuditSettings",
    "IntegritySettings",
    "KafkaSettings",
    "LoginSettings",
    "RedactionSettings",
    "RelaySettings",
    "RetentionSettings",
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

    @property
    def least_days(self) -> int:
        """The fewest days any tenant's rows stay."""
        tenants: dict[str, int] = getattr(self.retention, "tenants", {})
        return min([self.retention.days, *tenants.values()])
