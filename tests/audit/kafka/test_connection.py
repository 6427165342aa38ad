"""Tests of `audit.kafka.connection`; `test_trouble` has a real broker for it."""

import logging
import ssl
from pathlib import Path
from typing import Any

import pytest

from audit.kafka.connection import Connection, Credentials
from audit.settings import KafkaSettings
from tests.builders.authority import Authority
from tests.builders.private import private

SECRET = "not to be seen"


def connection(**given: Any) -> Connection:
    """Of settings."""
    return Connection.of(KafkaSettings.model_validate({"bootstrap_servers": "kafka:9092", **given}))


def test_an_address_alone_is_a_plain_connection() -> None:
    """Without settings nothing is encrypted and nobody is named."""
    assert Connection.to("kafka:9092") == Connection("kafka:9092")
    given = Connection.to("kafka:9092").arguments()
    assert given["bootstrap_servers"] == "kafka:9092"
    assert given["security_protocol"] == "PLAINTEXT"
    assert not {"ssl_context", "sasl_plain_password"} & given.keys()
    with pytest.raises(ValueError, match="bootstrap_servers is not set"):
        Connection.of(KafkaSettings())


def test_tls_is_checked_always_and_never_older_than_1_2() -> None:
    """Certificate and host name; there is no key to switch either off."""
    context = connection(security_protocol="SSL").arguments()["ssl_context"]
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_no_secret_is_printed() -> None:
    """Neither the value nor its settings show the password; aiokafka's own log, which would, stays shut."""
    made = connection(
        security_protocol="SASL_SSL",
        sasl={"mechanism": "PLAIN", "username": "alice", "password": SECRET},
        tls={"cert_file": "c", "key_file": "k", "key_password": SECRET},
    )
    assert SECRET not in repr(made)
    assert SECRET not in repr(made.settings)
    assert logging.getLogger("aiokafka.conn").getEffectiveLevel() >= logging.CRITICAL


def test_a_locked_key_wants_its_password(tmp_path: Path) -> None:
    """With the right one it opens; without or with another it is an error, never a question on a terminal."""
    signed = Authority().sign("us")
    cert, key = signed.files(tmp_path, "us")
    key.write_text(signed.locked_key(), encoding="ascii")
    files = {"cert_file": cert, "key_file": key}
    connection(security_protocol="SSL", tls={**files, "key_password": "open sesame"}).context()
    for given in (files, {**files, "key_password": SECRET}):
        with pytest.raises(Credentials, match=r"audit\.kafka\.tls\.cert_file and key_file: ") as said:
            connection(security_protocol="SSL", tls=given).context()
        assert SECRET not in str(said.value)


def test_every_file_that_is_wrong_is_a_finding(tmp_path: Path) -> None:
    """Missing, empty, or no PEM; each with its key and its name. What is right is none."""
    sasl = {"mechanism": "PLAIN", "username": "alice", "password_file": tmp_path / "password"}
    made = connection(security_protocol="SASL_SSL", sasl=sasl, tls={"ca_file": tmp_path / "ca.pem"})
    assert made.findings() == [
        f"audit.kafka.tls.ca_file: {tmp_path}/ca.pem: No such file or directory",
        f"audit.kafka.sasl.password_file: {tmp_path}/password: No such file or directory",
    ]
    (tmp_path / "ca.pem").write_text("no certificate")
    private(tmp_path / "password", "\n")
    first, second = made.findings()
    assert first.startswith(f"audit.kafka.tls.ca_file: {tmp_path}/ca.pem: ")
    assert second == f"audit.kafka.sasl.password_file: {tmp_path}/password: it is empty"
    (tmp_path / "ca.pem").write_text(Authority().cert)
    (tmp_path / "password").write_text(SECRET + "\n")
    assert made.findings() == []
    assert made.arguments()["sasl_plain_password"] == SECRET
    assert Connection("kafka:9092").findings() == []
