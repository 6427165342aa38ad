"""Section `audit.sinks`: where events go beside the main sink, which is the broker or the store."""

from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from audit.private_file import PrivatePath, read_secret
from audit.settings.section import Section

_REQUIRED = "Hold records on disk until it has them, however long; else it is moved on at `optional_lag_share`."
_REDACT = "Classes of `audit.redaction.paths` that are masked in it."
_DAY_S = 86_400.0


class NdjsonSettings(Section):
    """Files of one JSON object a line, for whoever ships logs."""

    folder: Path = Field(description="Where they are written; made 0700 if it is not there. One gateway a folder.")
    required: bool = Field(False, description=_REQUIRED)
    rotate_bytes: int = Field(64 << 20, ge=4096, description="A file that has reached this size is closed.")
    rotate_s: float = Field(_DAY_S, gt=0, description="A file that is as old as this is closed.")
    keep_files: int = Field(30, ge=2, description="Files kept, the open one included; older ones are removed.")
    compress: bool = Field(False, description="Whether closed files become `.ndjson.gz`.")
    min_free_bytes: int = Field(
        256 << 20, ge=0, description="It stops where the disk has less left: the spool may be on the same."
    )
    redact: tuple[str, ...] = Field(("pii", "payment"), description=_REDACT)


class SearchSettings(Section):
    """A search engine that speaks the bulk API of OpenSearch and Elasticsearch."""

    url: str = Field(description="`https://host:port`; plain http to this machine only.")
    index: str = Field(
        "audit-events",
        pattern=r"^[a-z][a-z0-9-]{0,99}$",
        description="Start of the indices' names; `-YYYY.MM` follows.",
    )
    required: bool = Field(False, description=_REQUIRED)
    user: str | None = Field(None, min_length=1, description="With `password` or `password_file`.")
    password: SecretStr | None = Field(None, description="Or `password_file`.")
    password_file: PrivatePath | None = Field(None, description="A file that holds it; read again when it is refused.")
    api_key_file: PrivatePath | None = Field(
        None, description="A file that holds an API key, instead of user and password."
    )
    ca_file: Path | None = Field(None, description="Who signed its certificate; the system's authorities if not given.")
    template: bool = Field(True, description="Whether the index template is put at the start.")
    timeout_s: float = Field(20.0, gt=0, le=25, description="One bulk request, from connect to the last byte.")
    max_body_bytes: int = Field(5 << 20, ge=64 << 10, description="Largest bulk request, before compression.")
    compress: bool = Field(True, description="Whether requests are sent gzipped.")
    refused_folder: Path = Field(
        Path(".lychgate/search-refused"), description="Where it is written which records it cannot hold, and why."
    )
    redact: tuple[str, ...] = Field(("pii", "payment"), description=_REDACT)

    @field_validator("url")
    @classmethod
    def _origin(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("a URL is `https://host:port` or `http://host:port`")
        if parts.username is not None or parts.password is not None:
            raise ValueError("what is sent to log in stands in `user` and `password_file` or `api_key_file`")
        if parts.scheme == "http" and not _is_here(parts):
            raise ValueError("what happened here is sent over plain http to this machine only: use https")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _checked(self) -> "SearchSettings":
        by_password = self.password is not None or self.password_file is not None
        if (self.user is not None) != by_password or (self.password is not None and self.password_file is not None):
            raise ValueError("`user` goes with one of `password` and `password_file`")
        if self.user is not None and self.api_key_file is not None:
            raise ValueError("either `user` or `api_key_file`")
        return self

    def authorization(self) -> tuple[str, str] | None:
        """User and password, or `""` and the API key; None if nothing is sent. Read from the files at each call.

        Raises:
            OSError: a file cannot be read, or others can.
        """
        if self.api_key_file is not None:
            return "", read_secret(self.api_key_file)
        if self.user is None:
            return None
        if self.password_file is not None:
            return self.user, read_secret(self.password_file)
        return self.user, self.password.get_secret_value() if self.password is not None else ""


class SinksSettings(Section):
    """Sinks beside the main one. Each has its own cursor and pauses; a dead one holds up no other."""

    ndjson: NdjsonSettings | None = Field(None, description="None: no files.")
    search: SearchSettings | None = Field(None, description="None: no search engine.")
    store: bool = Field(
        False, description="Beside a broker: the relay writes the store as well; what comes twice is counted as such."
    )
    optional_lag_share: float = Field(
        0.25,
        gt=0,
        le=0.5,
        description="Share of each producer's `spool.max_bytes` kept for a sink alone that is not required.",
    )


def _is_here(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
