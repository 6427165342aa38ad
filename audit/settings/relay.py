"""Section `audit.relay`: what empties the spool folders."""

from pydantic import Field

from audit.settings.section import Section


class RelaySettings(Section):
    """The relay, which empties the spool folders."""

    batch_records: int = Field(2000, gt=0, description="Most records in one batch.")
    batch_bytes: int = Field(4 << 20, gt=0, description="Most bytes in one batch.")
    poll_interval_s: float = Field(0.02, gt=0, description="Pause when there was nothing.")
    backoff_max_s: float = Field(5.0, gt=0, description="Longest pause after failures.")
    adopt_after_s: float = Field(2.0, ge=0, description="How long a dead producer's folder waits for a successor.")
    metrics_host: str = Field("127.0.0.1", description="Where `lychgate relay` listens; loopback unless configured.")
    metrics_port: int | None = Field(
        None, gt=0, lt=65536, description="Metrics, liveness, readiness of `lychgate relay`; a gateway shows its own."
    )
