"""Which names are known to be secrets': measured on names that are and on names that only sound so."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from audit.event import AuditEvent
from audit.redact import KeyNames

ROOT = Path(__file__).parents[3]
CASES: dict[str, list[list[str]]] = yaml.safe_load((ROOT / "tests" / "cases" / "key_names.yaml").read_text())
SECRET, HARMLESS = ([str(name) for line in CASES[kind] for name in line] for kind in ("secret", "harmless"))


def test_names_of_secrets_are_known_and_others_left() -> None:
    """Recall and precision, as docs/guides/redaction.md has them."""
    names = KeyNames()
    assert [name for name in SECRET if not names.denied(name)] == []
    assert [name for name in HARMLESS if names.denied(name)] == []
    said = (ROOT / "docs" / "guides" / "redaction.md").read_text()
    assert f"{len(SECRET)} names of secrets and {len(HARMLESS)} others" in " ".join(said.split())


def test_no_field_of_our_own_events_is_taken_for_a_secret() -> None:
    """Of the envelope, and of every registered type: `make check` would refuse one."""
    names = KeyNames()
    own = set(AuditEvent.__struct_fields__)
    registry: dict[str, Any] = tomllib.loads((ROOT / "audit" / "registry" / "event_types.toml").read_text())

    def keys(node: object) -> None:
        if isinstance(node, dict):
            own.update(node)
            for part in node.values():
                keys(part)
        elif isinstance(node, list):
            for part in node:
                keys(part)

    keys(registry)
    keys(msgspec.json.schema(AuditEvent))
    assert len(own) > 100
    assert [name for name in sorted(own) if "." not in name and names.denied(name)] == []


@pytest.mark.parametrize(
    "name", ["user_pin", "userPin", "user-pin", "USER_PIN", "user pin", "user.pin", "user\uff3f\uff50in"]
)
def test_a_name_is_one_in_every_spelling(name: str) -> None:
    """Words are told apart by signs, by spaces and by a capital."""
    assert KeyNames().denied(name)
    assert not KeyNames().denied(name + "s" if name[-1].islower() else name + "S")
