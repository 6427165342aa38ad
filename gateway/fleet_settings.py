"""The sections `revocation` and `redis` of `lychgate.yaml`; read by the supervisor alone, as `gateway.settings` is."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, PositiveFloat, model_validator

from audit.private_file import PrivatePath
from gateway.settings import Section

_PORT = 6379


class RevocationSettings(Section):
    """`revocation`: tokens, users and tenants that are turned away before their tokens expire.

    Attributes:
        folder: Where this gateway keeps what is revoked.
        max_entries: How many entries may be made; one more is refused.
        on_loss: What happens when Redis, where it is configured, has been out of reach for `loss_grace_s`: `keep` goes
            on with what is known, `refuse` answers callers with a credential 503 and is not ready.
        loss_grace_s: How long Redis may be out of reach. With `refuse` there is no grace before the first contact.
    """

    folder: Path = Path(".lychgate/revocations")
    max_entries: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000
    on_loss: Literal["keep", "refuse"] = "keep"
    loss_grace_s: PositiveFloat = 30.0


class RedisSettings(Section):
    """`redis`: what gateways of a fleet tell each other through; without `url` a gateway is alone.

    Attributes:
        url: `redis://host:port/db`, or `rediss://` for TLS; without a password.
        username: Whom Redis knows us as, where it has ACLs.
        password_file: The password.
        ca_file: Certificates that may sign Redis', PEM; the system's where not given.
        cert_file: Our certificate, where Redis asks for one, PEM; with
        cert_key_file: its private key.
        fleet_key_file: What entries are sealed with, the same on every gateway, at least 32 bytes
            (`openssl rand -hex 32`). Whoever can write to Redis but has no key can neither revoke nor lift.
        prefix: What the names of all keys begin with; a fleet's own.
        timeout_s: How long Redis may take to connect and to answer.
        full_read_s: How often everything is compared with Redis, besides what it tells by itself.
    """

    url: str | None = None
    username: str | None = None
    password_file: PrivatePath | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    cert_key_file: PrivatePath | None = None
    fleet_key_file: PrivatePath | None = None
    prefix: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9:_-]{0,62}$")] = "lychgate"
    timeout_s: PositiveFloat = 1.0
    full_read_s: PositiveFloat = 30.0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.url is None:
            return self
        if self.fleet_key_file is None:
            raise ValueError("redis needs fleet_key_file, the same on every gateway: openssl rand -hex 32 makes one")
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0
        except ValueError:  # of the port
            usable = False
        if not usable:
            raise ValueError("url must be redis://host:port or rediss://host:port")
        parts = urlsplit(self.url)
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("url must hold nothing but host, port and database: the password goes into password_file")
        if parts.path not in {"", "/"} and not parts.path[1:].isdecimal():
            raise ValueError("url must end with the database's number, or with nothing")
        if (self.cert_file is None) != (self.cert_key_file is None):
            raise ValueError("give both cert_file and cert_key_file, or neither")
        if parts.scheme == "redis" and (self.ca_file or self.cert_file):
            raise ValueError("certificates need rediss://")
        return self

    @property
    def over_tls(self) -> bool:
        """Whether it is spoken to over TLS."""
        return self.url is not None and urlsplit(self.url).scheme == "rediss"

    @property
    def address(self) -> tuple[str, int, int]:
        """Host, port and database."""
        parts = urlsplit(self.url or "")
        return parts.hostname or "", parts.port or _PORT, int(parts.path[1:] or 0)
