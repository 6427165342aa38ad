"""Section `audit.kafka`: the broker."""

import re
from enum import StrEnum
from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator

from audit.event import DEAD_LETTER_TOPIC, TOPIC
from audit.private_file import PrivatePath
from audit.settings.section import Section

_SERVER = r"(?:\[[0-9A-Fa-f:]+\]|[^\s,:\[\]]{1,253}):[0-9]{1,5}"
_SERVERS = re.compile(rf"{_SERVER}(,{_SERVER})*")


class Protocol(StrEnum):
    """How brokers are spoken to, in Kafka's own words."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def encrypted(self) -> bool:
        """Whether TLS is spoken."""
        return self in {Protocol.SSL, Protocol.SASL_SSL}

    @property
    def authenticated(self) -> bool:
        """Whether SASL is spoken."""
        return self in {Protocol.SASL_PLAINTEXT, Protocol.SASL_SSL}


class Mechanism(StrEnum):
    """SASL's, in Kafka's own words."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


class Compression(StrEnum):
    """Of batches, in Kafka's own words."""

    NONE = "none"
    GZIP = "gzip"
    SNAPPY = "snappy"
    LZ4 = "lz4"
    ZSTD = "zstd"


class KafkaTlsSettings(Section):
    """TLS to the brokers: 1.2 or later, and a broker's certificate always has to name its host."""

    ca_file: Path | None = Field(None, description="PEM of who may sign brokers; the system's if none.")
    cert_file: Path | None = Field(None, description="PEM of our own certificate, where brokers ask for one.")
    key_file: PrivatePath | None = Field(None, description="PEM of its key.")
    key_password: SecretStr | None = Field(None, description="What the key is locked with.")

    @model_validator(mode="after")
    def _pair(self) -> "KafkaTlsSettings":
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together")
        if self.key_password is not None and self.key_file is None:
            raise ValueError("key_password is given and there is no key_file")
        return self


class KafkaSaslSettings(Section):
    """Who we are to the brokers."""

    mechanism: Mechanism | None = Field(None, description="`PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.")
    username: str | None = None
    password: SecretStr | None = Field(None, description="Or `password_file`.")
    password_file: PrivatePath | None = Field(
        None, description="A file that holds it, one line; read at each connection."
    )

    @model_validator(mode="after")
    def _whole(self) -> "KafkaSaslSettings":
        if self.password is not None and self.password_file is not None:
            raise ValueError("password and password_file are both given")
        return self

    @property
    def missing(self) -> str | None:
        """The first key that a login needs and that is not there."""
        if self.mechanism is None:
            return "mechanism"
        if not self.username:
            return "username"
        return "password or password_file" if self.password is None and self.password_file is None else None


class KafkaSettings(Section):
    """The broker. Without servers the relay writes straight to the store."""

    bootstrap_servers: str | None = Field(None, description="`host:port,...`; none: the direct form, no broker.")
    security_protocol: Protocol = Field(
        Protocol.PLAINTEXT, description="`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`."
    )
    tls: KafkaTlsSettings = Field(KafkaTlsSettings(), description="For `SSL` and `SASL_SSL`.")
    sasl: KafkaSaslSettings = Field(KafkaSaslSettings(), description="For `SASL_PLAINTEXT` and `SASL_SSL`.")
    topic: str = Field(TOPIC, description="Where events go.")
    dead_letter_topic: str = Field(DEAD_LETTER_TOPIC, description="Where records go that cannot become rows.")
    group_id: str = Field("lychgate-audit-store", description="The consumers of one store.")
    compression: Compression = Field(Compression.ZSTD, description="Of batches: `none gzip snappy lz4 zstd`.")
    session_timeout_s: float = Field(
        10.0, ge=0.5, le=1800, description="A consumer that is silent for so long loses its partitions to others."
    )
    deadline_s: float = Field(10.0, gt=0, description="Our own deadline on a batch; the client has none.")
    probe_s: float = Field(1.0, gt=0, description="Our own deadline on the question whether a broker is back.")
    consumer_metrics_host: str = Field("127.0.0.1", description="Where that port listens; loopback unless configured.")
    consumer_metrics_port: int | None = Field(
        None, gt=0, lt=65536, description="The consumer's metrics, liveness, readiness."
    )
    batch_bytes: int = Field(524_288, ge=524_288, le=1_000_000, description="Largest batch for one partition.")

    @field_validator("bootstrap_servers")
    @classmethod
    def _hosts_with_ports(cls, servers: str | None) -> str | None:
        if servers is not None and _SERVERS.fullmatch(servers) is None:
            raise ValueError("brokers are `host:port`, separated by commas without spaces")
        return servers

    @model_validator(mode="after")
    def _consistent(self) -> "KafkaSettings":
        """What is given for a protocol that does not use it was meant to protect something: refused, not ignored."""
        protocol = self.security_protocol
        if not protocol.encrypted and self.tls != KafkaTlsSettings():
            raise ValueError(f"tls is given and security_protocol `{protocol}` speaks none; say SSL or SASL_SSL")
        if protocol.authenticated:
            if missing := self.sasl.missing:
                raise ValueError(f"security_protocol `{protocol}` needs sasl.{missing}")
        elif self.sasl != KafkaSaslSettings():
            raise ValueError(f"sasl is given and security_protocol `{protocol}` uses none; say SASL_SSL")
        if protocol is Protocol.SASL_PLAINTEXT and self.sasl.mechanism is Mechanism.PLAIN:
            raise ValueError("PLAIN over SASL_PLAINTEXT sends the password in the clear; say SASL_SSL, or use SCRAM")
        return self
