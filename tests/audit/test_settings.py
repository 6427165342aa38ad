"""Tests of `audit.settings`."""

import re
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr, ValidationError

from audit.limits import SpoolLimits
from audit.settings import (
    AuditSettings,
    KafkaSettings,
    LoginSettings,
    NdjsonSettings,
    RedactionSettings,
    SearchSettings,
    SinksSettings,
    SpoolSettings,
    StoreSettings,
)
from tests.builders.private import private


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
    private(file, "p@ss/word\n")
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
    "values",
    [
        {"url": "ftp://search:9200"},
        {"url": "search:9200"},
        {"url": "https://"},
        {"url": "https://audit:secret@search:9200"},
        {"url": "https://search:9200/?pretty"},
        {"url": "http://search:9200"},
        {"url": "http://10.0.0.1:9200", "api_key_file": "k"},
        {"url": "https://search:9200", "user": "a"},
        {"url": "https://search:9200", "password_file": "p"},
        {"url": "https://search:9200", "user": "a", "password_file": "p", "password": "x"},
        {"url": "https://search:9200", "user": "a", "password_file": "p", "api_key_file": "k"},
        {"url": "https://search:9200", "index": "Audit"},
        {"url": "https://search:9200", "index": "audit/../x"},
    ],
)
def test_a_search_engine_is_not_told_a_secret_in_the_clear(values: dict[str, object]) -> None:
    """Nor is one kept in a URL, where logs would show it; half a login is none."""
    with pytest.raises(ValidationError) as raised:
        SearchSettings.model_validate(values)
    assert "secret" not in str([error["msg"] for error in raised.value.errors()])


def test_a_search_engine_on_this_machine_may_be_spoken_to_plainly(tmp_path: Path) -> None:
    """What is sent to log in is read at each call, so a file that was changed counts."""
    file = tmp_path / "password"
    private(file, "one\n")
    for host in ("127.0.0.1", "localhost", "[::1]"):
        engine = SearchSettings(url=f"http://{host}:9200/", user="audit", password_file=file)
        assert engine.url == f"http://{host}:9200"
        assert engine.authorization() == ("audit", "one")
    file.write_text("two")
    assert engine.authorization() == ("audit", "two")
    assert SearchSettings(url="https://s", api_key_file=file).authorization() == ("", "two")
    assert SearchSettings(url="http://127.9.9.9:9200").authorization() is None
    plain = SearchSettings(url="https://s", user="audit", password=SecretStr("three"))
    assert plain.authorization() == ("audit", "three")
    assert "three" not in repr(plain)


def test_what_is_masked_in_a_sink_has_paths() -> None:
    """A class nobody has given paths would mask nothing and look as if it did; masked is the default."""
    files = NdjsonSettings(folder=Path("out"))
    assert files.redact == ("pii", "payment")
    AuditSettings(sinks=SinksSettings(ndjson=files))
    with pytest.raises(ValidationError, match="without paths: `salary`"):
        AuditSettings(sinks=SinksSettings(ndjson=NdjsonSettings(folder=Path("out"), redact=("salary",))))
    with pytest.raises(ValidationError, match="without paths: `payment`"):
        AuditSettings(redaction=RedactionSettings(paths={"pii": ()}), sinks=SinksSettings(ndjson=files))


LOGIN = {"mechanism": "SCRAM-SHA-512", "username": "alice", "password": "x"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sasl": LOGIN}, "sasl is given and security_protocol `PLAINTEXT` uses none"),
        ({"security_protocol": "SSL", "sasl": LOGIN}, "sasl is given and security_protocol `SSL` uses none"),
        ({"tls": {"ca_file": "ca.pem"}}, "tls is given and security_protocol `PLAINTEXT` speaks none"),
        ({"security_protocol": "SASL_SSL"}, "needs sasl.mechanism"),
        ({"security_protocol": "SASL_SSL", "sasl": {"mechanism": "PLAIN"}}, "needs sasl.username"),
        (
            {"security_protocol": "SASL_SSL", "sasl": {"mechanism": "PLAIN", "username": "a"}},
            "needs sasl.password or password_file",
        ),
        ({"security_protocol": "SASL_PLAINTEXT", "sasl": {**LOGIN, "mechanism": "PLAIN"}}, "in the clear"),
        ({"security_protocol": "SASL_SSL", "sasl": {**LOGIN, "password_file": "p"}}, "are both given"),
        ({"security_protocol": "SASL_SSL", "sasl": {**LOGIN, "mechanism": "GSSAPI"}}, "sasl.mechanism"),
        ({"security_protocol": "SSL", "tls": {"cert_file": "c"}}, "cert_file and key_file belong together"),
        ({"security_protocol": "SSL", "tls": {"key_password": "c"}}, "there is no key_file"),
        ({"security_protocol": "TLS"}, "security_protocol"),
        ({"security_protocol": "SSL", "tls": {"check_hostname": False}}, "check_hostname"),
        ({"compression": "brotli"}, "compression"),
    ],
)
def test_what_would_protect_nothing_is_refused(given: dict[str, object], message: str) -> None:
    """What is given for a protocol that does not use it, and half a login; the message says what to do, no secret."""
    with pytest.raises(ValidationError) as said:
        KafkaSettings.model_validate(given)
    assert message in str(said.value)


def test_the_ways_to_speak_to_a_broker() -> None:
    """Each protocol with what it needs; SCRAM may go without TLS, because it shows no password."""
    for protocol in ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"):
        given = {"security_protocol": protocol, **({"sasl": LOGIN} if protocol.startswith("SASL") else {})}
        made = KafkaSettings.model_validate(given)
        assert made.security_protocol.authenticated == protocol.startswith("SASL")
        assert made.security_protocol.encrypted == protocol.endswith("SSL")
        assert "password='x'" not in repr(made)


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
