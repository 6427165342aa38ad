"""Tests of `audit.settings`."""

import re
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr, ValidationError

from audit.limits import SpoolLimits
from audit.settings import AuditSettings, KafkaSettings, LoginSettings, RedactionSettings, SpoolSettings, StoreSettings


def test_the_defaults_are_the_limits_defaults() -> None:
    """One place says what the default is."""
    assert SpoolSettings().limits() == SpoolLimits()
    assert AuditSettings().kafka.bootstrap_servers is None


@pytest.mark.parametrize(
    ("section", "values"),
    [(SpoolSettings, {"write_delay_s": 0.06}), (SpoolSettings, {"sync_interval_s": 1.1}), (SpoolSettings, {"max": 1}),
     (RedactionSettings, {"paths": {"pii": ["a..b"]}}), (RedactionSettings, {"at_write": ["nope"]}),
     (RedactionSettings, {"mode": "maybe"})],
)  # fmt: skip
def test_promises_cannot_be_configured_away(section: type[SpoolSettings], values: dict[str, object]) -> None:
    """What DESIGN promises is a bound, and a wrong key or path is an error."""
    with pytest.raises(ValidationError):
        section.model_validate(values)


def test_a_password_comes_from_a_file_or_the_configuration(tmp_path: Path) -> None:
    """The file wins; odd characters survive the URL; no repr shows it."""
    file = tmp_path / "password"
    file.write_text("p@ss/word\n")
    store = StoreSettings(writer=LoginSettings(user="w", password=SecretStr("other"), password_file=file))
    assert store.dsn(store.writer) == "postgresql://w:p%40ss%2Fword@127.0.0.1:5432/lychgate"
    assert "other" not in repr(store)
    assert StoreSettings().dsn(LoginSettings(user="w")) == "postgresql://w@127.0.0.1:5432/lychgate"


@pytest.mark.parametrize("servers", ["kafka:9092", "a:1,b.example:2", "127.0.0.1:9092", "[::1]:9092,[fe80::1]:9093"])
def test_brokers_are_hosts_with_ports(servers: str) -> None:
    """As many as there are."""
    assert KafkaSettings(bootstrap_servers=servers).bootstrap_servers == servers


@pytest.mark.parametrize(
    "servers", ["kafka", "kafka:", ":9092", "a:1,", "a:1 b:2", "kafka://a:1", "a:b", "::1:9092", "a:1\n"]
)
def test_anything_else_is_refused_before_the_client_chokes_on_it(servers: str) -> None:
    """A traceback from the middle of a driver is no message."""
    with pytest.raises(ValidationError, match="bootstrap_servers"):
        KafkaSettings(bootstrap_servers=servers)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"paths": {"pii": ["detials.email"]}}, "an event has no `detials`; the nearest is `details`"),
        ({"paths": {"pii": ["wholly.else"]}}, "an event has no `wholly`; paths begin at the event"),
        ({"paths": {"PII": ["client.ip"]}}, "`PII` is no name of a class"),
        ({"paths": {"secret": ["tenant_id"]}}, "`tenant_id`: no event can be written without it"),
        ({"variants": {"pii": "mask"}}, "variants names a class that does not go at write: `pii`"),
        ({"variants": {"nope": "mask"}}, "variants names a class without paths: `nope`"),
        ({"values": ["hash"]}, "Input should be 'token', 'private_key' or 'card'"),
    ],
)
def test_redaction_that_would_do_nothing_is_refused(values: dict[str, object], why: str) -> None:
    """A misspelt path or class would redact nothing in silence."""
    with pytest.raises(ValidationError, match=re.escape(why)):
        RedactionSettings.model_validate(values)


def test_redactions_rules_are_the_settings() -> None:
    """What a worker is sent is all that is configured."""
    settings = RedactionSettings.model_validate(
        {"mode": "log", "paths": {"pii": ["client.ip"]}, "at_write": ["pii"], "variants": {"pii": "mask"},
         "key_names": ["x"], "values": ["card"]}
    )  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(settings.rules())) == {
        "mode": "log", "classes": {"pii": ["client.ip"]}, "at_write": ["pii"], "variants": {"pii": "mask"},
        "key_names": ["x"], "values": ["card"],
    }  # fmt: skip
