"""The `telemetry` section of `lychgate.yaml`: spans of requests, for an OpenTelemetry collector.

Pydantic, like `gateway.settings`, so the supervisor alone may import this module.
"""

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from audit.private_file import PrivatePath
from gateway.settings import Section
from gateway.spans import Sampling

_Word = Annotated[str, Field(min_length=1, max_length=256)]


class TelemetrySettings(Section):
    """`telemetry`: spans of requests over OTLP/HTTP; off unless an endpoint is named. Needs the extra `lychgate[otel]`.

    Attributes:
        endpoint: Where spans go, whole: `https://collector.internal:4318/v1/traces`; http as well.
        headers_file: Fields that are sent along, `name: value` a line, such as a credential; needs https, or loopback.
        ca_file: PEM of the authorities that sign the collector's certificate; the system's where not given.
        service_name: What the spans are filed under.
        sample_ratio: Which share of traces is told of, chosen by the trace's id.
        follow_caller: Whether a caller's `traceparent` decides instead; only where callers are our own.
        timeout_s: How long the collector may take for a batch; it is then dropped. A stop waits for one batch.
        queue_spans: How many wait for the collector at most; what comes beyond is dropped and counted.
    """

    endpoint: str | None = None
    headers_file: PrivatePath | None = None
    ca_file: Path | None = None
    service_name: _Word = "lychgate"
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.1
    follow_caller: bool = False
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    queue_spans: Annotated[int, Field(ge=1, le=1_000_000)] = 8192

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.endpoint is None:
            return self
        parts = urlsplit(self.endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            raise ValueError("endpoint is an http or https URL without a user")
        loopback = parts.hostname in {"127.0.0.1", "localhost", "::1"}
        if self.headers_file is not None and parts.scheme == "http" and not loopback:
            raise ValueError("headers_file needs an https endpoint, or one on loopback: others could read it")
        return self

    def sampling(self) -> Sampling | None:
        """As a worker is told; None where nothing is configured."""
        return None if self.endpoint is None else Sampling(self.sample_ratio, self.follow_caller)
