"""No file with a secret in it is forgotten."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lychgate.keys.secret_files import is_private, secret_files
from lychgate.settings import Settings, load

PUBLIC = {
    "ca_file", "cert_file", "checkpoint_file", "client_ca_file", "jwks_file", "keep_files", "roles_file", "routes_file",
}  # fmt: skip
"""Files that are no secret. A new one is either here or a `PrivatePath`."""


def fields(model: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    """Every key of a model and of all that are in it."""
    found = {}
    for name, info in model.model_fields.items():
        found[f"{prefix}{name}"] = info
        for inner in models(info.annotation):
            found |= fields(inner, f"{prefix}{name}.")
    return found


def models(annotation: Any) -> list[type[BaseModel]]:
    """The models in a type, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in models(argument)]


def test_every_file_is_a_secret_or_known_to_be_none() -> None:
    """So whoever adds a key has to say which."""
    named = {
        key: info for key, info in fields(Settings).items() if key.rpartition(".")[2].endswith(("_file", "_files"))
    }
    assert len(named) > 25
    assert [key for key, info in named.items() if is_private(info) is (key.rpartition(".")[2] in PUBLIC)] == []


def test_all_that_are_named_are_found(tmp_path: Path) -> None:
    """In sections, in tables of sections and in tables of files; the certificate beside a key, too."""
    tls = {"cert_file": "c", "key_file": "k"}
    given = {
        "gateway": {"tls": tls},
        "context": {"hs256_key_files": {"order": "shared"}},
        "services": {
            "order": {"urls": ["https://o:1"], "tls": tls},
            "payment": {"urls": ["https://p:1"], "tls": {"cert_file": "both"}},
        },
        "audit": {"sinks": {"search": {"url": "https://s:1", "user": "u", "password_file": "pw"}}},
        "telemetry": {"headers_file": "h"},
        "samples": {"onward": {"machine": {"token_file": "t"}}},
    }
    file = tmp_path / "lychgate.yaml"
    file.write_text(json.dumps(given))
    found = {each.key: (str(each.file), str(each.beside)) for each in secret_files(load(file, {}))}
    assert found == {
        "gateway.tls.key_file": ("k", "c"),
        "context.key_file": (".lychgate/keys/context.jwk", "None"),
        "context.hs256_key_files.order": ("shared", "None"),
        "telemetry.headers_file": ("h", "None"),
        "services.order.tls.key_file": ("k", "c"),
        "services.payment.tls.cert_file": ("both", "both"),
        "audit.sinks.search.password_file": ("pw", "None"),
        "query.cursor_key_file": (".lychgate/keys/cursor.key", "None"),
        "samples.onward.machine.token_file": ("t", "None"),
    }


@pytest.mark.parametrize("key", [key for key, info in fields(Settings).items() if is_private(info)])
def test_each_has_a_kind_and_somebody_who_reads_it(key: str, tmp_path: Path) -> None:
    """As `lychgate keys list` shows it."""
    from lychgate.keys.inventory import ORDER, kind_of, used_by

    assert kind_of(key) in ORDER
    assert used_by(key)
