"""Every file with a secret in it that a configuration names, found by the type of its key: so none is forgotten."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from audit.private_file import Private
from gateway.service_settings import ServiceTlsSettings


class SecretFile(NamedTuple):
    """A file that is named.

    Attributes:
        key: Of the configuration, dotted: `store.writer.password_file`.
        file: Where it is.
        beside: The certificate that goes with it, of a private key of TLS.
    """

    key: str
    file: Path
    beside: Path | None = None


def secret_files(settings: BaseModel, prefix: str = "") -> Iterator[SecretFile]:
    """Each, in the order of the configuration.

    Args:
        settings: The whole configuration, or a section of it.
        prefix: What its keys begin with.
    """
    certificate = getattr(settings, "cert_file", None)
    if isinstance(settings, ServiceTlsSettings) and settings.key_file is None and certificate is not None:
        yield SecretFile(f"{prefix}cert_file", certificate, certificate)  # its key stands in it
    for name, info in type(settings).model_fields.items():
        value, key = getattr(settings, name), f"{prefix}{name}"
        for path, part in _parts(value, key):
            if isinstance(part, BaseModel):
                yield from secret_files(part, f"{path}.")
            elif isinstance(part, Path) and is_private(info):
                yield SecretFile(path, part, certificate if name in {"key_file", "cert_key_file"} else None)


def is_private(info: FieldInfo) -> bool:
    """Whether a key names a file, or several, with a secret in it."""
    return any(isinstance(mark, Private) for mark in info.metadata) or _marked(info.annotation)


def _marked(annotation: Any) -> bool:
    """Whether the mark stands somewhere in a type: `PrivatePath | None`, `dict[str, PrivatePath]`."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated and any(isinstance(mark, Private) for mark in arguments[1:]):
        return True
    return any(map(_marked, arguments))


def _parts(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """A value, or what is in it, each with its key."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _parts(part, f"{key}.{name}")
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for number, part in enumerate(value):
            yield from _parts(part, f"{key}[{number}]")
    else:
        yield key, value
