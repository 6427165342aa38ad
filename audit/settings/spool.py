"""Section `audit.spool`: the local disk."""

from pathlib import Path

from pydantic import Field

from audit.limits import SpoolLimits
from audit.settings.section import Section

_DEFAULTS = SpoolLimits()


class SpoolSettings(Section):
    """The local disk. The same bounds hold for each producer's folder."""

    folder: Path = Field(Path(".lychgate/spool"), description="Where each producer has its folder.")
    max_bytes: int = Field(_DEFAULTS.max_bytes, gt=0, description="Undelivered bytes a producer may hold.")
    segment_bytes: int = Field(_DEFAULTS.segment_bytes, gt=0, description="Size at which a segment file is closed.")
    queue_bytes: int = Field(_DEFAULTS.queue_bytes, gt=0, description="Bytes in memory before the disk.")
    queue_records: int = Field(_DEFAULTS.queue_records, gt=0, description="Records in memory before the disk.")
    event_bytes: int = Field(
        _DEFAULTS.event_bytes, ge=4096, le=_DEFAULTS.event_bytes, description="Larger records lose their body."
    )
    buffered_share: float = Field(_DEFAULTS.buffered_share, gt=0, le=1, description="Share for buffered records.")
    tenant_share: float = Field(_DEFAULTS.tenant_share, gt=0, le=1, description="Share one tenant may fill.")
    min_free_bytes: int = Field(
        _DEFAULTS.min_free_bytes, ge=0, description="Bytes of the disk left free; buffered records stop at twice that."
    )
    reserve_bytes: int = Field(
        _DEFAULTS.reserve_bytes, ge=0, description="Set aside for closing a segment on a full disk."
    )
    write_delay_s: float = Field(_DEFAULTS.write_delay_s, ge=0, le=0.05, description="A buffered record's wait.")
    gather_s: float = Field(
        _DEFAULTS.gather_s, ge=0, le=0.05, description="Least time from one sync to the next while records keep coming."
    )
    sync_interval_s: float = Field(_DEFAULTS.sync_interval_s, gt=0, le=1, description="Longest time without a sync.")
    lock_wait_s: float = Field(_DEFAULTS.lock_wait_s, ge=0, description="Wait for a predecessor that is leaving.")

    def limits(self) -> SpoolLimits:
        """As a value that a worker can be sent."""
        return SpoolLimits(**self.model_dump(exclude={"folder"}))
