"""The `decision_api` section of `lychgate.yaml`: how questions of other proxies and services are understood.

Pydantic, like `gateway.settings`, so the supervisor alone may import this module.
"""

import ipaddress
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PositiveFloat

from audit.private_file import PrivatePath
from gateway.settings import OpsSettings, Section

_Word = Annotated[str, Field(min_length=1, max_length=256)]


def _base(url: str) -> str:
    """A base URL as metadata may show it: https, or http on loopback, without path, query, fragment and user."""
    parts = urlsplit(url)
    loopback = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and loopback)):
        raise ValueError("public_url must be https, or http on loopback")
    if parts.path not in {"", "/"} or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("public_url is a scheme, a host and a port, and nothing else")
    return url.rstrip("/")


class DecisionApiSettings(Section):
    """`decision_api`: AuthZEN on the operations port.

    Attributes:
        public_url: Where callers reach it, for its metadata; `http://127.0.0.1:` and the port of `ops` where not given.
        folder: Policies and a schema of its own; where not given, questions are about those that are in force.
        entities: A file of entities in Cedar's JSON form: what is known of subjects and resources beside what a
            request says of them, and what a search goes through.
        types: What callers call a type, to the schema's name for it; a type that is not here keeps its name.
        actions: What callers call an action, to the schema's name for it; one that is not here keeps its name.
        reasons: Whether an answer names the policies that decided and the decision's id.
        durable: Whether an answer waits until its record is on disk.
        batch_items: Questions in one request at most.
        body_bytes: Of a request at most.
        page_items: Results in one page of a search at most.
        page_key_file: 32 random bytes in base64url, the same at every gateway of a fleet, so that each can go on with a
            search that another began; where not given, a key of this process alone.
        search_s: How long a search may take before it ends its page and lets the caller go on.
    """

    public_url: Annotated[str, AfterValidator(_base)] | None = None
    folder: Path | None = None
    entities: Path | None = None
    types: dict[_Word, _Word] = Field({})
    actions: dict[_Word, _Word] = Field({})
    reasons: bool = False
    durable: bool = False
    batch_items: Annotated[int, Field(ge=1, le=1000)] = 100
    body_bytes: Annotated[int, Field(ge=1024, le=16 * 1024 * 1024)] = 256 * 1024
    page_items: Annotated[int, Field(ge=1, le=10_000)] = 1000
    page_key_file: PrivatePath | None = None
    search_s: PositiveFloat = 1.0

    def base_url(self, ops: OpsSettings) -> str:
        """What metadata says; never what a request claims to have been sent to."""
        if self.public_url is not None:
            return self.public_url
        try:
            everywhere = ipaddress.ip_address(ops.host).is_unspecified
        except ValueError:
            everywhere = False
        host = "127.0.0.1" if everywhere else ops.host
        return f"http://[{host}]:{ops.port}" if ":" in host else f"http://{host}:{ops.port}"
