"""How brokers are reached: the one value that every client of ours is made from."""

import logging
import ssl
from dataclasses import dataclass, field
from typing import Any, Final

from audit.key_pair import load_key_pair
from audit.private_file import NotPrivate, read_private, read_secret
from audit.settings.kafka import KafkaSettings

CLIENT_ID: Final = "lychgate"
METADATA_MAX_AGE_S: Final = 30.0
"""How late we learn of new partitions; aiokafka's own five minutes are long for a watermark that waits for a lane."""

# What it says at DEBUG holds whole requests, and with PLAIN the password; what it says in an outage it says ten times a
# second. What matters of both comes to us as exceptions.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class Credentials(OSError):
    """A file that TLS or SASL needs cannot be read, or is not what it should be; the message names key and file."""


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
            **self.security(),
        }

    def security(self) -> dict[str, Any]:
        """Protocol, TLS and SASL, as aiokafka takes them.

        Raises:
            OSError: as for `arguments`.
        """
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
            raise Credentials(f"audit.kafka.tls.ca_file: {tls.ca_file}: {_reason(exc)}") from exc
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls.cert_file is not None and tls.key_file is not None:
            locked = tls.key_password.get_secret_value() if tls.key_password is not None else ""
            try:
                load_key_pair(made, tls.cert_file.read_bytes(), read_private(tls.key_file), password=locked)
            except (OSError, ValueError) as exc:
                named = f"{tls.cert_file}, {tls.key_file}: {_reason(exc)}"
                raise Credentials(f"audit.kafka.tls.cert_file and key_file: {named}") from exc
        return made

    def _password(self) -> str:
        sasl = self.settings.sasl
        if sasl.password_file is None:
            return sasl.password.get_secret_value() if sasl.password is not None else ""
        try:
            return read_secret(sasl.password_file)
        except OSError as exc:
            raise Credentials(f"audit.kafka.sasl.password_file: {sasl.password_file}: {_reason(exc)}") from exc

    def require_private(self) -> None:
        """Refuse at the start what others may read. Whatever else is wrong may be mended by the next connection.

        Raises:
            OSError: the file of a password or a key; the message names the key.
        """
        try:
            self.security()
        except Credentials as exc:
            if isinstance(exc.__cause__, NotPrivate):
                raise

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


def _reason(exc: BaseException) -> str:
    """Without the number, and without a path that the caller names anyway."""
    if isinstance(exc, ssl.SSLError):
        return exc.reason or "it is no PEM of what it should be"
    return getattr(exc, "strerror", None) or str(exc)
