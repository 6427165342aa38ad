"""How brokers are reached: the one value that every client of ours is made from, and what is wrong when none is.

aiokafka says only "unable to bootstrap" when it cannot get in. Who runs this has to know which of a dozen things it is,
so after a failure `trouble` knocks at the same doors once more and says what it met there.
"""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthorizationError,
    ClusterAuthorizationFailedError,
    IllegalSaslStateError,
    InvalidTimestampError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from audit.settings.kafka import KafkaSettings

CLIENT_ID: Final = "lychgate"
METADATA_MAX_AGE_S: Final = 30.0
"""How late we learn of new partitions; aiokafka's own five minutes are long for a watermark that waits for a lane."""

# What it says at DEBUG holds whole requests, and with PLAIN the password; what it says in an outage it says ten times a
# second. What matters of both comes to us as exceptions.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class Cause(StrEnum):
    """Why a broker did not take something; the values are metric labels."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"
    TLS = "tls"
    AUTHENTICATION = "authentication"
    AUTHORIZATION = "authorization"
    TOPIC = "topic"
    CREDENTIALS = "credentials"
    CLOCK = "clock"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong, for a counter and for people."""

    cause: Cause
    text: str


@dataclass(frozen=True, slots=True)
class Connection:
    """Where brokers are and who we are to them. Its `repr` holds no secret.

    Attributes:
        bootstrap_servers: `host:port`, separated by commas.
        settings: Protocol, TLS and SASL; PLAINTEXT where none are given.
    """

    bootstrap_servers: str
    settings: KafkaSettings = field(default=KafkaSettings(), repr=False)

    @classmethod
    def of(cls, settings: KafkaSettings) -> "Connection":
        """Of a configuration that names brokers.

        Raises:
            ValueError: it names none.
        """
        if settings.bootstrap_servers is None:
            raise ValueError("audit.kafka.bootstrap_servers is not set")
        return cls(settings.bootstrap_servers, settings)

    @classmethod
    def to(cls, servers: "str | Connection") -> "Connection":
        """A bare address is a plain connection."""
        return servers if isinstance(servers, Connection) else cls(servers)

    def arguments(self) -> dict[str, Any]:
        """What every client of aiokafka takes. Files are read now, so what was renewed counts from the next client on.

        Raises:
            OSError: a file cannot be read; the message names the key.
        """
        return {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": CLIENT_ID,
            "metadata_max_age_ms": int(METADATA_MAX_AGE_S * 1000),
            **self._security(),
        }

    def _security(self) -> dict[str, Any]:
        protocol, sasl = self.settings.security_protocol, self.settings.sasl
        given: dict[str, Any] = {"security_protocol": protocol.value}
        if protocol.encrypted:
            given["ssl_context"] = self.context()
        if protocol.authenticated:
            given |= {
                "sasl_mechanism": str(sasl.mechanism),
                "sasl_plain_username": sasl.username,
                "sasl_plain_password": self._password(),
            }
        return given

    def context(self) -> ssl.SSLContext:
        """TLS as a client: 1.2 or later, the broker's certificate checked, and that it names the broker's host.

        Raises:
            OSError: a file cannot be read or is not what it should be; the message names the key.
        """
        tls = self.settings.tls
        try:
            made = ssl.create_default_context(cafile=tls.ca_file)
        except OSError as exc:
            raise OSError(f"audit.kafka.tls.ca_file: {tls.ca_file}: {_reason(exc)}") from exc
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls.cert_file is not None:
            locked = tls.key_password
            try:
                # Never a question on a terminal: a locked key without a password is an error.
                made.load_cert_chain(
                    tls.cert_file, tls.key_file, lambda: locked.get_secret_value() if locked is not None else ""
                )
            except (OSError, ValueError) as exc:
                named = f"{tls.cert_file}, {tls.key_file}: {_reason(exc)}"
                raise OSError(f"audit.kafka.tls.cert_file and key_file: {named}") from exc
        return made

    def _password(self) -> str:
        sasl = self.settings.sasl
        if sasl.password_file is None:
            return sasl.password.get_secret_value() if sasl.password is not None else ""
        try:
            secret = sasl.password_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise OSError(f"audit.kafka.sasl.password_file: {sasl.password_file}: {_reason(exc)}") from exc
        if not secret:
            raise OSError(f"audit.kafka.sasl.password_file: {sasl.password_file}: it is empty")
        return secret

    def findings(self) -> list[str]:
        """What is wrong with the files it names, for `lychgate config check`."""
        found = []
        for look in (self.context if self.settings.security_protocol.encrypted else None, self._password):
            try:
                if look is not None:
                    look()
            except OSError as exc:
                found.append(str(exc))
        return found

    async def trouble(self, exc: BaseException, topic: str, within_s: float) -> Trouble:
        """What is wrong, after a client of ours failed.

        Args:
            exc: What it failed with.
            topic: What it wanted to reach.
            within_s: How long may be spent on finding out.
        """
        if not isinstance(exc, KafkaConnectionError | TimeoutError | UnknownTopicOrPartitionError):
            return _named(exc, topic)
        try:
            async with asyncio.timeout(within_s):
                return await self._knock(topic) or _named(exc, topic)
        except TimeoutError:
            return Trouble(Cause.TIMEOUT, f"{self.bootstrap_servers} does not answer")

    async def _knock(self, topic: str) -> Trouble | None:
        """Go to each server in turn; None if one lets us in and knows the topic."""
        met: list[Trouble] = []
        for host, port, _ in collect_hosts(self.bootstrap_servers):
            found = await self._knock_at(host, port, topic)
            if found is None:
                return None
            met.append(Trouble(found.cause, f"{host}:{port}: {found.text}"))
        return Trouble(met[0].cause, "; ".join(each.text for each in met[:3])) if met else None

    async def _knock_at(self, host: str, port: int, topic: str) -> Trouble | None:
        try:
            conn = await create_conn(
                host, port, client_id=CLIENT_ID, request_timeout_ms=5000, **self._security()
            )
        except (KafkaError, OSError, TimeoutError) as exc:
            return self._refused(exc, topic)
        try:
            answer = await conn.send(MetadataRequest([topic]))
        except (KafkaError, OSError, TimeoutError) as exc:
            return self._refused(exc, topic)
        finally:
            conn.close()
        codes = [code for code, name, *_ in answer.topics if name == topic]
        if codes == [UnknownTopicOrPartitionError.errno]:
            return Trouble(Cause.TOPIC, f"there is no topic `{topic}`")
        if codes == [TopicAuthorizationFailedError.errno]:
            return Trouble(Cause.AUTHORIZATION, f"we may not describe the topic `{topic}`")
        return None

    def _refused(self, exc: BaseException, topic: str) -> Trouble:
        found = _named(exc, topic)
        if found.cause is not Cause.CONNECTION or not isinstance(exc, KafkaConnectionError):
            return found
        # It took the connection and hung up on the first request.
        if self.settings.security_protocol.encrypted:
            return found
        return Trouble(
            Cause.CONNECTION,
            f"it closes the connection at the first word; does it want another security_protocol than"
            f" `{self.settings.security_protocol}`?",
        )


def _named(exc: BaseException, topic: str) -> Trouble:
    """What an exception says without asking anybody. Secrets stand in none of these: aiokafka names users only."""
    text = f"{type(exc).__name__}: {exc}".rstrip(": ")
    match exc:
        case ssl.SSLCertVerificationError():
            return Trouble(Cause.TLS, f"its certificate is not accepted: {exc.verify_message}")
        case ssl.SSLError():
            return Trouble(Cause.TLS, f"no TLS with it: {exc.reason or exc}; does it speak TLS on this port?")
        case SaslAuthenticationFailed() | IllegalSaslStateError():
            return Trouble(Cause.AUTHENTICATION, "it does not accept our username and password")
        case UnsupportedSaslMechanismError():
            return Trouble(Cause.AUTHENTICATION, "it does not know our sasl.mechanism")
        case TopicAuthorizationFailedError():
            return Trouble(Cause.AUTHORIZATION, f"we may not write to the topic `{topic}`")
        case ClusterAuthorizationFailedError():
            return Trouble(Cause.AUTHORIZATION, "we may not write with an idempotent producer (IDEMPOTENT_WRITE)")
        case AuthorizationError():
            return Trouble(Cause.AUTHORIZATION, text)
        case UnknownTopicOrPartitionError():
            return Trouble(Cause.TOPIC, f"there is no topic `{topic}`")
        case InvalidTimestampError():
            return Trouble(Cause.CLOCK, "it refuses the time we stamp records with; is this machine's clock right?")
        case KafkaError():
            return Trouble(Cause.CONNECTION if isinstance(exc, KafkaConnectionError) else Cause.OTHER, text)
        case TimeoutError():
            return Trouble(Cause.TIMEOUT, "not all was acknowledged in time")
        case OSError() if str(exc).startswith("audit.kafka."):
            return Trouble(Cause.CREDENTIALS, str(exc))
        case _:
            return Trouble(Cause.CONNECTION, _reason(exc))


def _reason(exc: BaseException) -> str:
    """Without the number, and without a path that the caller names anyway."""
    if isinstance(exc, ssl.SSLError):
        return exc.reason or "it is no PEM of what it should be"
    return getattr(exc, "strerror", None) or str(exc)


CAUSES: Final[Sequence[str]] = tuple(cause.value for cause in Cause)
