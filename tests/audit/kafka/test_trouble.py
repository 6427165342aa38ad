"""Tests of `audit.kafka.trouble`: a real broker lets us in, or what is wrong is named."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from confluent_kafka.admin import ResourceType

from audit.codec import encode
from audit.errors import Cause, SinkUnavailable
from audit.kafka.connection import Connection
from audit.kafka.producer import KafkaSink
from audit.settings import KafkaSettings
from tests.audit.kafka.secured import PASSWORD, Secured, secured
from tests.builders.audit import make_event
from tests.builders.patience import PATIENCE_S
from tests.builders.private import private
from tests.servers.kafka.admin import create_topic
from tests.servers.kafka.server import topic

__all__ = ["secured"]
PAYLOAD = encode(make_event())


async def refusal(connection: Connection, name: str = "t") -> SinkUnavailable:
    """What delivering fails with; pinging says the same. Again, as long as a machine that stood still had no time."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        pinged, delivered = await _refused_twice(connection, name)
        if Cause.TIMEOUT not in {pinged.cause, delivered.cause} or time.monotonic() > deadline:
            break
    assert delivered.cause is pinged.cause
    for said in (repr(pinged), repr(delivered), repr(connection), repr(connection.settings)):
        assert PASSWORD not in said
        assert "wrong" not in said
    return delivered


async def _refused_twice(connection: Connection, name: str) -> tuple[SinkUnavailable, SinkUnavailable]:
    sink = KafkaSink(connection, name, deadline_s=10.0, probe_s=10.0)
    with pytest.raises(SinkUnavailable) as pinged:
        await sink.ping()
    with pytest.raises(SinkUnavailable) as delivered:
        await sink.deliver([PAYLOAD])
    await sink.close()
    return pinged.value, delivered.value


@pytest.mark.parametrize(
    ("listener", "mechanism"),
    [("SSL", ""), ("SASL_SSL", "PLAIN"), ("SASL_SSL", "SCRAM-SHA-256"), ("SASL_SSL", "SCRAM-SHA-512"),
     ("SASL_PLAINTEXT", "SCRAM-SHA-512")],
)  # fmt: skip
async def test_who_may_comes_in_and_what_he_brings_is_there(secured: Secured, listener: str, mechanism: str) -> None:
    """Writing, and reading with a consumer that is made from the same value."""
    name = topic()
    await create_topic(secured.server.bootstrap_servers, name, 1)
    given: dict[str, Any] = {}
    if listener != "SASL_PLAINTEXT":
        given["tls"] = {"ca_file": secured.ca}
    if listener == "SSL":
        given["tls"] |= dict(zip(("cert_file", "key_file"), secured.client, strict=True))
    if mechanism:
        given["sasl"] = secured.sasl(mechanism)
    connection = secured.connection(listener, **given)
    sink = KafkaSink(connection, name)
    await sink.ping()
    await sink.deliver([PAYLOAD])
    await sink.close()
    consumer = AIOKafkaConsumer(name, auto_offset_reset="earliest", **connection.arguments())
    await consumer.start()
    assert (await consumer.getone()).value == PAYLOAD
    await consumer.stop()


async def test_a_broker_of_another_authority_is_not_believed(secured: Secured) -> None:
    """And nothing is sent to it: not the password either."""
    said = await refusal(secured.connection("SASL_SSL", tls={"ca_file": secured.other_ca}, sasl=secured.sasl("PLAIN")))
    assert said.cause is Cause.TLS
    assert "its certificate is not accepted" in str(said)


async def test_a_broker_under_another_name_is_not_believed(secured: Secured) -> None:
    """Its certificate is for an address, and we go to a name: there is no way to switch that off."""
    given = {"tls": {"ca_file": secured.ca}, "sasl": secured.sasl("PLAIN")}
    said = await refusal(secured.connection("SASL_SSL", host="localhost", **given))
    assert said.cause is Cause.TLS
    assert "localhost" in str(said)


@pytest.mark.parametrize(("mechanism", "user", "password"), [
    ("PLAIN", "alice", "wrong"), ("SCRAM-SHA-256", "alice", "wrong"), ("SCRAM-SHA-512", "alice", "wrong"),
    ("PLAIN", "carol", PASSWORD), ("SCRAM-SHA-512", "carol", PASSWORD),
])  # fmt: skip
async def test_a_wrong_login_is_named(secured: Secured, mechanism: str, user: str, password: str) -> None:
    """User or password: the broker does not say which, so we do not."""
    said = await refusal(
        secured.connection("SASL_SSL", tls={"ca_file": secured.ca}, sasl=secured.sasl(mechanism, user, password))
    )
    assert said.cause is Cause.AUTHENTICATION
    assert "our login is not accepted" in str(said)


async def test_a_mechanism_the_broker_does_not_know_is_named(secured: Secured) -> None:
    """The listener has another one."""
    said = await refusal(secured.connection("SASL_PLAINTEXT", sasl=secured.sasl("SCRAM-SHA-256")))
    assert said.cause is Cause.AUTHENTICATION
    assert "sasl.mechanism" in str(said)


async def test_a_missing_client_certificate_is_named(secured: Secured) -> None:
    """The broker wants one and we have none."""
    # In TLS 1.3 that is said after the handshake, to whoever reads first: as an alert, or as a connection that ends.
    said = await refusal(secured.connection("SSL", tls={"ca_file": secured.ca}))
    assert said.cause in {Cause.TLS, Cause.CONNECTION}
    assert said.cause is Cause.TLS or "tls.cert_file" in str(said)


async def test_plain_words_to_a_tls_port_and_tls_to_a_plain_one(secured: Secured) -> None:
    """Each says that the protocol is the likely mistake."""
    port = secured.server.ports["SASL_SSL"]
    said = await refusal(Connection(f"127.0.0.1:{port}"))
    assert "is security_protocol `PLAINTEXT` what it speaks?" in str(said)
    plain = KafkaSettings.model_validate(
        {"bootstrap_servers": secured.server.bootstrap_servers, "security_protocol": "SSL"}
    )
    said = await refusal(Connection.of(plain))
    assert "is security_protocol `SSL` what it speaks?" in str(said)


async def test_who_may_not_write_is_told_so(secured: Secured) -> None:
    """Bob is who he says, and has no rights."""
    name = topic()
    await create_topic(secured.server.bootstrap_servers, name, 1)
    given = {"tls": {"ca_file": secured.ca}, "sasl": secured.sasl("PLAIN", "bob")}
    said = await refusal(secured.connection("SASL_SSL", **given), name)
    assert said.cause is Cause.AUTHORIZATION
    assert name in str(said)


async def test_the_rights_that_the_documentation_names_are_enough(secured: Secured) -> None:
    """To write: `Write` and `Describe`. To read: `Read` and `Describe`, and `Read` on the group."""
    name = topic()
    await create_topic(secured.server.bootstrap_servers, name, 1)
    kind = ResourceType.TOPIC
    secured.allow("writer", ("WRITE", kind, name), ("DESCRIBE", kind, name))
    secured.allow("reader", ("READ", kind, name), ("DESCRIBE", kind, name), ("READ", ResourceType.GROUP, "store"))
    given = {"tls": {"ca_file": secured.ca}}
    sink = KafkaSink(secured.connection("SASL_SSL", sasl=secured.sasl("PLAIN", "writer"), **given), name)
    await sink.ping()
    await sink.deliver([PAYLOAD])
    await sink.close()
    reader = secured.connection("SASL_SSL", sasl=secured.sasl("PLAIN", "reader"), **given)
    consumer = AIOKafkaConsumer(
        name, group_id="store", auto_offset_reset="earliest", enable_auto_commit=False, **reader.arguments()
    )
    await consumer.start()
    assert (await consumer.getone()).value == PAYLOAD
    await consumer.commit()
    await consumer.stop()


async def test_a_password_file_is_read_at_each_connection(secured: Secured, tmp_path: Path) -> None:
    """Renewed without a restart; while it is missing, that is what is said."""
    name = topic()
    await create_topic(secured.server.bootstrap_servers, name, 1)
    file = tmp_path / "password"
    sasl = {"mechanism": "SCRAM-SHA-512", "username": "alice", "password_file": file}
    sink = KafkaSink(secured.connection("SASL_SSL", tls={"ca_file": secured.ca}, sasl=sasl), name, deadline_s=10.0)
    with pytest.raises(SinkUnavailable, match=r"audit\.kafka\.sasl\.password_file: .*No such file") as said:
        await sink.deliver([PAYLOAD])
    assert said.value.cause is Cause.CREDENTIALS
    private(file, "wrong\n")
    with pytest.raises(SinkUnavailable) as said:
        await sink.deliver([PAYLOAD])
    assert said.value.cause is Cause.AUTHENTICATION
    file.write_text(PASSWORD + "\n")
    await sink.deliver([PAYLOAD])
    await sink.close()


async def test_each_of_several_servers_is_named_and_one_is_enough(secured: Secured) -> None:
    """Two that are not there are both named; with one that is, nobody complains."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = [each.getsockname()[1] for each in (one, two)]
    away = ",".join(f"127.0.0.1:{port}" for port in ports)
    said = await refusal(Connection(away))
    assert said.cause is Cause.CONNECTION
    assert all(f"127.0.0.1:{port}: nobody listens there" in str(said) for port in ports)
    name = topic()
    await create_topic(secured.server.bootstrap_servers, name, 1)
    sink = KafkaSink(f"{away},{secured.server.bootstrap_servers}", name)
    await sink.ping()
    await sink.deliver([PAYLOAD])
    await sink.close()
