"""The audit's sections of `lychgate.yaml`. Only `lychgate.settings` and the composition roots see these."""

import re
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from audit.event import DEAD_LETTER_TOPIC, TOPIC
from audit.limits import SpoolLimits
from audit.redact import Mode, parse_paths

_DEFAULTS = SpoolLimits()
_SERVER = r"(?:\[[0-9A-Fa-f:]+\]|[^\s,:\[\]]{1,253}):[0-9]{1,5}"
_SERVERS = re.compile(rf"{_SERVER}(,{_SERVER})*")
_PII = (
    "client.ip",
    "client.user_agent",
    "details.email",
    "details.phone",
    "details.name",
    "details.address",
    "details.customer",
    "changes.email",
    "changes.phone",
    "changes.name",
    "changes.address",
)
_PAYMENT = ("details.card", "details.card_last4", "changes.card", "changes.card_last4")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SpoolSettings(_Section):
    """The local disk. The same bounds hold for each producer's folder."""

    folder: Path = Field(Path(".lychgate/spool"), description="Where each producer has its folder.")
    max_bytes: int = Field(_DEFAULTS.max_bytes, gt=0, description="Undelivered bytes a producer may hold.")
    segment_bytes: int = Field(_DEFAULTS.segment_bytes, gt=0, description="Size at which a segment file is closed.")
    queue_bytes: int = Field(_DEFAULTS.queue_bytes, gt=0, description="Bytes in memory before the disk.")
    event_bytes: int = Field(
        _DEFAULTS.event_bytes, ge=4096, le=_DEFAULTS.event_bytes, description="Larger records lose their body."
    )
    buffered_share: float = Field(_DEFAULTS.buffered_share, gt=0, le=1, description="Share for buffered records.")
    tenant_share: float = Field(_DEFAULTS.tenant_share, gt=0, le=1, description="Share one tenant may fill.")
    write_delay_s: float = Field(_DEFAULTS.write_delay_s, ge=0, le=0.05, description="A buffered record's wait.")
    gather_s: float = Field(
        _DEFAULTS.gather_s, ge=0, le=0.05, description="Least time from one sync to the next while records keep coming."
    )
    sync_interval_s: float = Field(_DEFAULTS.sync_interval_s, gt=0, le=1, description="Longest time without a sync.")
    lock_wait_s: float = Field(_DEFAULTS.lock_wait_s, ge=0, description="Wait for a predecessor that is leaving.")

    def limits(self) -> SpoolLimits:
        """As a value that a worker can be sent."""
        return SpoolLimits(**self.model_dump(exclude={"folder"}))


class KafkaSettings(_Section):
    """The broker. Without servers the relay writes straight to the store."""

    bootstrap_servers: str | None = Field(None, description="`host:port,...`; none: the direct form, no broker.")
    topic: str = Field(TOPIC, description="Where events go.")
    dead_letter_topic: str = Field(DEAD_LETTER_TOPIC, description="Where records go that cannot become rows.")
    group_id: str = Field("lychgate-audit-store", description="The consumers of one store.")
    deadline_s: float = Field(10.0, gt=0, description="Our own deadline on a batch; the client has none.")
    consumer_metrics_port: int | None = Field(None, gt=0, lt=65536, description="Where the consumer's metrics are.")
    batch_bytes: int = Field(524_288, ge=524_288, le=1_000_000, description="Largest batch for one partition.")

    @field_validator("bootstrap_servers")
    @classmethod
    def _hosts_with_ports(cls, servers: str | None) -> str | None:
        if servers is not None and _SERVERS.fullmatch(servers) is None:
            raise ValueError("brokers are `host:port`, separated by commas without spaces")
        return servers


class RedactionSettings(_Section):
    """What is masked. Class `secret` is removed at write, the others at reading, by role."""

    mode: Mode = Field(Mode.ENFORCE, description="`off` (development only), `log` or `enforce`.")
    paths: dict[str, tuple[str, ...]] = Field(
        {"pii": _PII, "payment": _PAYMENT, "secret": ()}, description="Dotted field paths by class."
    )
    at_write: tuple[str, ...] = Field((), description="Classes removed at write besides `secret`.")
    key_names: tuple[str, ...] = Field((), description="Key names that are secrets, besides the built-in ones.")

    @model_validator(mode="after")
    def _checked(self) -> "RedactionSettings":
        for paths in self.paths.values():
            parse_paths(paths)
        if unknown := set(self.at_write) - set(self.paths):
            raise ValueError(f"at_write names a class without paths: `{min(unknown)}`")
        return self


class RetentionSettings(_Section):
    """How long rows stay."""

    days: int = Field(30, ge=1, description="Rows older than this may be purged.")


class RelaySettings(_Section):
    """The relay, which empties the spool folders."""

    batch_records: int = Field(2000, gt=0, description="Most records in one batch.")
    batch_bytes: int = Field(4 << 20, gt=0, description="Most bytes in one batch.")
    poll_interval_s: float = Field(0.02, gt=0, description="Pause when there was nothing.")
    backoff_max_s: float = Field(5.0, gt=0, description="Longest pause after failures.")
    adopt_after_s: float = Field(2.0, ge=0, description="How long a dead producer's folder waits for a successor.")


class AuditSettings(_Section):
    """Section `audit`."""

    spool: SpoolSettings = SpoolSettings()
    kafka: KafkaSettings = KafkaSettings()
    redaction: RedactionSettings = RedactionSettings()
    retention: RetentionSettings = RetentionSettings()
    relay: RelaySettings = RelaySettings()


class LoginSettings(_Section):
    """One database login."""

    user: str
    password: SecretStr | None = Field(None, description="Or `password_file`.")
    password_file: Path | None = Field(None, description="A file that holds it, one line.")

    def secret(self) -> str:
        """The password's text; empty if none is configured.

        Raises:
            OSError: the file cannot be read.
        """
        if self.password_file is not None:
            return self.password_file.read_text(encoding="utf-8").strip()
        return self.password.get_secret_value() if self.password is not None else ""


class StoreSettings(_Section):
    """Section `store`: PostgreSQL, with a login for each of the three who come to it."""

    host: str = "127.0.0.1"
    port: int = Field(5432, gt=0, lt=65536)
    database: str = "lychgate"
    owner: LoginSettings = Field(LoginSettings(user="postgres"), description="Brings the store forward.")
    writer: LoginSettings = Field(LoginSettings(user="audit_writer"), description="Inserts, and nothing else.")
    reader: LoginSettings = Field(LoginSettings(user="audit_reader"), description="Reads one tenant's rows.")
    pool_max_count: int = Field(4, gt=0, description="Connections of the reader.")
    statement_timeout_s: float = Field(10.0, gt=0, description="A query that takes longer is given up.")
    premake_days: int = Field(7, gt=0, description="Partitions made ahead.")
    keep_days: int = Field(35, gt=0, description="Partitions made behind, for events that come late.")

    def dsn(self, login: LoginSettings) -> str:
        """The connection URL of a login, password included: for drivers, never for logs."""
        secret = login.secret()
        credentials = quote(login.user, safe="") + (f":{quote(secret, safe='')}" if secret else "")
        return f"postgresql://{credentials}@{self.host}:{self.port}/{self.database}"
