"""A real broker that asks who one is: TLS with and without client certificates, SASL, and rights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from audit.kafka.connection import Connection
from audit.settings import KafkaSettings
from tests.builders.authority import Authority
from tests.builders.patience import PATIENCE_S
from tests.servers.kafka.server import KafkaServer, own_server

PASSWORD = "correct horse battery staple"
_LOGIN = "org.apache.kafka.common.security"


class Secured(NamedTuple):
    """The broker and what one needs to get in."""

    server: KafkaServer
    ca: Path
    other_ca: Path
    client: tuple[Path, Path]

    def settings(self, listener: str, *, host: str = "127.0.0.1", **given: Any) -> KafkaSettings:
        """Of a client that goes to a listener."""
        return KafkaSettings.model_validate(
            {"bootstrap_servers": f"{host}:{self.server.ports[listener]}", "security_protocol": listener, **given}
        )

    def connection(self, listener: str, *, host: str = "127.0.0.1", **given: Any) -> Connection:
        """The same as a connection."""
        return Connection.of(self.settings(listener, host=host, **given))

    def allow(self, user: str, *rights: tuple[str, ResourceType, str]) -> None:
        """Give a user rights: operation, kind of resource, its name."""
        admin = AdminClient({"bootstrap.servers": self.server.bootstrap_servers})
        bindings = [
            AclBinding(
                kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", AclOperation[operation],
                AclPermissionType.ALLOW,
            )
            for operation, kind, name in rights
        ]  # fmt: skip
        for done in admin.create_acls(bindings).values():
            done.result(PATIENCE_S)

    def sasl(self, mechanism: str, user: str = "alice", password: str = PASSWORD) -> dict[str, str]:
        """The section of a user."""
        return {"mechanism": mechanism, "username": user, "password": password}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Listeners `SSL` (wants a client certificate), `SASL_SSL` and `SASL_PLAINTEXT`; alice may all, bob nothing."""
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority()
    cert = authority.sign("127.0.0.1")  # and not for localhost
    (folder / "broker.pem").write_text(cert.key + cert.cert, encoding="ascii")
    for name, made in (("ca", authority), ("other", Authority("Somebody Else"))):
        (folder / f"{name}.pem").write_text(made.cert, encoding="ascii")
    client = authority.sign("lychgate").files(folder, "client")
    scram = f"{_LOGIN}.scram.ScramLoginModule required;"
    server = own_server(
        folder,
        listeners=("SSL", "SASL_SSL", "SASL_PLAINTEXT"),
        settings={
            "connection.failed.authentication.delay.ms": "1",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(folder / "broker.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(folder / "ca.pem"),
            "listener.name.ssl.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.sasl_plaintext.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": f"{_LOGIN}.plain.PlainLoginModule required"
            f' user_alice="{PASSWORD}" user_bob="{PASSWORD}" user_writer="{PASSWORD}" user_reader="{PASSWORD}";',
            "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": scram,
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scram,
            "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config": scram,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:alice;User:CN=lychgate",
        },
        scram=[f"SCRAM-SHA-{bits}=[name=alice,password={PASSWORD}]" for bits in (256, 512)],
    )
    server.start()
    try:
        yield Secured(server, folder / "ca.pem", folder / "other.pem", client)
    finally:
        server.kill()
