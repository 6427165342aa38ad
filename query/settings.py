"""The query process's section of `lychgate.yaml`; `lychgate.settings` composes the whole and reads the environment."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from audit.private_file import PrivatePath
from audit.redact import Variant
from query.views import Treatment


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ViewSettings(_Section):
    """What one view does to the fields a reader may not see.

    Attributes:
        variant: `mask` keeps the field and hides its value, `remove` takes the field out.
        classes: The classes of fields it is done to; their paths stand in `audit.redaction`.
    """

    variant: Variant = Variant.MASK
    classes: tuple[str, ...] = ("pii", "payment", "secret")

    def treatment(self) -> Treatment:
        """As `query.views` is told."""
        return Treatment(self.variant, self.classes)


class ViewsSettings(_Section):
    """`query.views`: the two views that hide something. The full view hides nothing.

    Attributes:
        masked: All rows of the tenant.
        own: The reader's own rows; they may still speak of other people.
    """

    masked: ViewSettings = ViewSettings()
    own: ViewSettings = ViewSettings()


class QuerySettings(_Section):
    """`query`: the audit query API.

    Attributes:
        host: Where it listens; the gateway is its only caller.
        port: Its port; 0 lets the system choose, which is what tests do.
        jwks_url: Where the gateway's public keys are.
        context_secret_file: The secret shared with the gateway, as JWK JSON, where contexts are signed with HS256; the
            key set is then not asked for.
        producer: The name its own events go by, and of its spool folder; every query process needs its own.
        context_audience: The service name the gateway knows it by; contexts for anyone else are refused.
        cursor_key_file: 32 bytes, base64url; made if it is not there. All query processes must share it.
        acquire_timeout_s: The longest a read waits for one of them.
        connect_timeout_s: How long the store may stay away at start before the process gives up.
        shutdown_grace_s: How long a read may finish after SIGTERM.
        views: See `ViewsSettings`.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8082
    jwks_url: str = "http://127.0.0.1:8081/.well-known/jwks.json"
    context_secret_file: PrivatePath | None = None
    producer: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")] = "query"
    context_audience: Annotated[str, Field(min_length=1)] = "audit"
    cursor_key_file: PrivatePath = Path(".lychgate/keys/cursor.key")
    acquire_timeout_s: PositiveFloat = 2.0
    connect_timeout_s: PositiveFloat = 15.0
    shutdown_grace_s: PositiveFloat = 10.0
    views: ViewsSettings = ViewsSettings()
