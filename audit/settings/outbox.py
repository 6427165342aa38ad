"""Section `audit.outbox`: a service's own database, whose outbox `lychgate audit outbox relay` empties."""

from pydantic import Field, SecretStr, model_validator

from audit.private_file import PrivatePath, read_secret
from audit.settings.section import Section


class OutboxSettings(Section):
    """A service's outbox. Only `lychgate audit outbox` reads this."""

    dsn: SecretStr | None = Field(None, description="`postgresql://...` of the service's database; or `dsn_file`.")
    dsn_file: PrivatePath | None = Field(None, description="A file that holds it, one line.")
    db_schema: str = Field("public", description="Where in that database the outbox is.")
    batch_records: int = Field(500, gt=0, description="Most rows in one batch.")
    batch_bytes: int = Field(4 << 20, gt=0, description="Most bytes in one batch.")
    poll_interval_s: float = Field(1.0, gt=0, description="Wait for a word that there is something.")
    backoff_max_s: float = Field(5.0, gt=0, description="Longest pause after failures.")
    deliver_s: float = Field(30.0, gt=0, description="A sink that takes longer has failed.")
    metrics_host: str = Field("127.0.0.1", description="Where the relay listens; loopback unless configured.")
    metrics_port: int | None = Field(None, ge=0, lt=65536, description="The relay's metrics, liveness, readiness.")

    @model_validator(mode="after")
    def _one_source(self) -> "OutboxSettings":
        if self.dsn is not None and self.dsn_file is not None:
            raise ValueError("dsn and dsn_file are both given")
        return self

    def address(self) -> str | None:
        """The connection URL, password included: for drivers, never for logs; None if none is configured.

        Raises:
            OSError: The file cannot be read, or others can.
        """
        if self.dsn_file is not None:
            return read_secret(self.dsn_file)
        return self.dsn.get_secret_value() if self.dsn is not None else None
