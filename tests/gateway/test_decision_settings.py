"""The section `decision_api`."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.decision_settings import DecisionApiSettings
from gateway.settings import OpsSettings


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("pdp.example", "public_url must be https, or http on loopback"),
        ("http://pdp.example", "public_url must be https, or http on loopback"),
        ("ftp://127.0.0.1", "public_url must be https, or http on loopback"),
        ("https://pdp.example/acme", "public_url is a scheme, a host and a port, and nothing else"),
        ("https://pdp.example?x", "public_url is a scheme, a host and a port, and nothing else"),
        ("https://pdp.example#x", "public_url is a scheme, a host and a port, and nothing else"),
        ("https://user@pdp.example", "public_url is a scheme, a host and a port, and nothing else"),
    ],
)
def test_what_is_no_base_url(url: str, reason: str) -> None:
    """It stands in metadata that callers send their tokens to."""
    with pytest.raises(ValidationError, match=reason):
        DecisionApiSettings(public_url=url)


@pytest.mark.parametrize(
    ("url", "host", "told"),
    [
        ("https://pdp.example/", "127.0.0.1", "https://pdp.example"),
        ("http://localhost:9", "127.0.0.1", "http://localhost:9"),
        (None, "127.0.0.1", "http://127.0.0.1:8081"),
        (None, "0.0.0.0", "http://127.0.0.1:8081"),  # noqa: S104 - what is tested
        (None, "::", "http://127.0.0.1:8081"),
        (None, "::1", "http://[::1]:8081"),
        (None, "ops.internal", "http://ops.internal:8081"),
    ],
)
def test_where_callers_reach_it(url: str | None, host: str, told: str) -> None:
    """What is configured, else where the port listens."""
    assert DecisionApiSettings(public_url=url).base_url(OpsSettings(host=host)) == told


@pytest.mark.parametrize(
    "wrong",
    [{"batch_items": 0}, {"batch_items": 1001}, {"body_bytes": 1}, {"page_items": 0}, {"search_s": 0}, {"x": 1}],
)
def test_bounds_are_bounded(wrong: dict[str, Any]) -> None:
    """Nothing can be switched off by a number."""
    with pytest.raises(ValidationError):
        DecisionApiSettings(**wrong)
