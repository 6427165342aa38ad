"""The sections `revocation` and `redis`: what they refuse, and why."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.fleet_settings import RedisSettings, RevocationSettings

GOOD: dict[str, Any] = {"url": "redis://redis.internal", "fleet_key_file": "fleet.key"}


def test_alone_unless_a_url_is_given() -> None:
    """The defaults need nothing."""
    assert RedisSettings().url is None
    assert RevocationSettings().on_loss == "keep"


@pytest.mark.parametrize(
    ("url", "address", "tls"),
    [
        ("redis://redis.internal", ("redis.internal", 6379, 0), False),
        ("rediss://10.0.0.1:7000/3", ("10.0.0.1", 7000, 3), True),
        ("redis://[::1]:1/", ("::1", 1, 0), False),
    ],
)
def test_where_it_is(url: str, address: tuple[str, int, int], tls: bool) -> None:
    """Host, port, database, and whether it is spoken to over TLS."""
    found = RedisSettings(**{**GOOD, "url": url})
    assert (found.address, found.over_tls) == (address, tls)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"fleet_key_file": None}, "redis needs fleet_key_file, the same on every gateway"),
        ({"url": "http://redis"}, "url must be redis://host:port or rediss://host:port"),
        ({"url": "redis://:1"}, "url must be redis://host:port or rediss://host:port"),
        ({"url": "redis://a:b"}, "url must be redis://host:port or rediss://host:port"),
        ({"url": "redis://a:70000"}, "url must be redis://host:port or rediss://host:port"),
        ({"url": "redis://:s3cret@a"}, "the password goes into password_file"),
        ({"url": "redis://a?db=1"}, "url must hold nothing but host, port and database"),
        ({"url": "redis://a/x"}, "url must end with the database's number, or with nothing"),
        ({"cert_file": "c"}, "give both cert_file and cert_key_file, or neither"),
        ({"ca_file": "c"}, "certificates need rediss://"),
        ({"prefix": "a b"}, "String should match pattern"),
        ({"password": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], why: str) -> None:
    """With the reason."""
    with pytest.raises(ValidationError, match=why):
        RedisSettings(**{**GOOD, **changes})


def test_revocation_is_refused() -> None:
    """Bounds and words."""
    for wrong in ({"on_loss": "ignore"}, {"max_entries": 0}, {"loss_grace_s": 0}, {"file": "x"}):
        with pytest.raises(ValidationError):
            RevocationSettings(**wrong)
