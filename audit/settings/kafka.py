"""Section `audit.kafka`: the broker."""

import re

from pydantic import Field, field_validator

from audit.event import DEAD_LETTER_TOPIC, TOPIC
from audit.settings.section import Section

_SERVER = r"(?:\[[0-9A-Fa-f:]+\]|[^\s,:\[\]]{1,253}):[0-9]{1,5}"
_SERVERS = re.compile(rf"{_SERVER}(,{_SERVER})*")


class KafkaSettings(Section):
    """The broker. Without servers the relay writes straight to the store."""

    bootstrap_servers: str | None = Field(None, description="`host:port,...`; none: the direct form, no broker.")
    topic: str = Field(TOPIC, description="Where events go.")
    dead_letter_topic: str = Field(DEAD_LETTER_TOPIC, description="Where records go that cannot become rows.")
    group_id: str = Field("lychgate-audit-store", description="The consumers of one store.")
    session_timeout_s: float = Field(
        10.0, ge=0.5, le=1800, description="A consumer that is silent for so long loses its partitions to others."
    )
    deadline_s: float = Field(10.0, gt=0, description="Our own deadline on a batch; the client has none.")
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
