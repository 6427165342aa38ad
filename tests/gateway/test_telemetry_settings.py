"""The section `telemetry`."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.spans import Sampling
from gateway.telemetry_settings import TelemetrySettings


def test_it_is_off_unless_an_endpoint_is_named() -> None:
    """And then a tenth of the traces is told of, whatever callers say."""
    assert TelemetrySettings(sample_ratio=1).sampling() is None
    assert TelemetrySettings(endpoint="https://c.example/v1/traces").sampling() == Sampling(0.1, follow_caller=False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "collector:4318"},
        {"endpoint": "ftp://collector/"},
        {"endpoint": "https://user:word@collector/"},
        {"endpoint": "https:///v1/traces"},
        {"endpoint": "http://collector:4318/", "headers_file": Path("x")},
        {"sample_ratio": 1.1},
        {"sample_ratio": -0.1},
        {"timeout_s": 0},
        {"queue_spans": 0},
        {"service_name": ""},
        {"sampling_ratio": 1},
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    """No URL, credentials that others could read, numbers out of range, unknown keys."""
    with pytest.raises(ValidationError):
        TelemetrySettings(**wrong)


@pytest.mark.parametrize("endpoint", ["https://collector:4318/v1/traces", "http://127.0.0.1:4318/", "http://[::1]:1/"])
def test_a_credential_goes_where_nobody_else_reads(endpoint: str) -> None:
    """Over TLS, or on this machine."""
    assert TelemetrySettings(endpoint=endpoint, headers_file=Path("x")).endpoint == endpoint
