"""Secrets in the configuration file itself."""

import re
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, Field, SecretStr

from lychgate.errors import ConfigurationError
from lychgate.settings import Settings, load
from lychgate.written_secrets import open_secrets
from lychgate.yaml_file import parse
from tests.builders.private import private

SECRET = "hunter2-of-the-tests"
WRITTEN = {
    "store.writer.password": f"store:\n  writer:\n    password: {SECRET}\n",
    "audit.outbox.dsn": f"audit:\n  outbox:\n    dsn: postgresql://u:{SECRET}@h/d\n",
    "audit.kafka.sasl.password": f"audit:\n  kafka:\n    sasl: {{mechanism: PLAIN, username: u, password: {SECRET}}}\n",
    "audit.kafka.tls.key_password": f"audit: {{kafka: {{tls: {{key_password: {SECRET}}}}}}}\n",
    "audit.sinks.search.password": f"audit: {{sinks: {{search: {{user: u, password: {SECRET}}}}}}}\n",
}


class Door(BaseModel):
    """One of several."""

    word: Annotated[SecretStr | None, Field(description="To say.")] = None


class House(BaseModel):
    """Secrets wherever a configuration may have them."""

    front: Door | None = None
    doors: tuple[Door, ...] = ()
    named: dict[str, Door | str] = Field(default_factory=dict)
    words: list[SecretStr] = Field(default_factory=list)
    name: str = ""


def _found(tmp_path: Path, text: str, mode: int) -> list[str]:
    (file := tmp_path / "house.yaml").write_text(text)
    file.chmod(mode)
    return [line.replace(f"{tmp_path}/", "") for line in open_secrets(parse(text, str(file)), file.stat(), House)]


@pytest.mark.parametrize("key", WRITTEN)
@pytest.mark.parametrize("mode", [0o644, 0o606, 0o620])
def test_a_file_with_a_secret_in_it_is_refused_when_others_may_read_or_write_it(
    tmp_path: Path, key: str, mode: int
) -> None:
    """Key, place, mode and what mends it are said, and nothing of the secret; mended so, it is taken."""
    (file := tmp_path / "lychgate.yaml").write_text(WRITTEN[key])
    file.chmod(mode)
    with pytest.raises(ConfigurationError) as refused:
        load(file, {})
    said = str(refused.value)
    line = WRITTEN[key].count("\n")
    assert said.startswith(f"{file}:{line}: {key}: a secret stands in this file, and others may read or write it")
    assert f"mode {mode:04o}" in said
    [mended] = re.findall(r"`chmod ([0-7]+) ", said)
    assert SECRET not in said
    file.chmod(int(mended, 8))
    assert open_secrets(parse(WRITTEN[key], str(file)), file.stat(), Settings) == []


def test_every_secret_of_the_configuration_is_known() -> None:
    """A key of the type `secret` that is not in the cases above would be one that nobody has tried."""
    from lychgate.reference.settings import keys

    assert {each.key for each in keys() if each.type == "secret"} - set(WRITTEN) <= {
        f"store.{login}.password" for login in ("owner", "reader", "keeper")
    }


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("front: {word: x}", ["front.word"]),
        ("doors: [{word: x}, {}, {word: y}]", ["doors[0].word", "doors[2].word"]),
        ("named: {back: {word: x}, side: plain}", ["named.back.word"]),
        ("words: [x, y]", ["words[0]", "words[1]"]),
        ("front: {word: null}\nname: x", []),
        ("words: {a: x}", ["words.a"]),  # of the wrong shape, and a secret all the same
        ("front:\ndoors: x\nnamed: [1]", []),
        ("doors: [x]\nelse: {word: x}", []),
        ("", []),
    ],
)
def test_it_is_found_wherever_it_stands(tmp_path: Path, text: str, keys: list[str]) -> None:
    """In sections, lists and tables of them; where none is written, or nothing that fits, the mode says nothing."""
    assert [line.split(": ")[1] for line in _found(tmp_path, text, 0o644)] == keys
    assert _found(tmp_path, text, 0o600) == []


def test_what_holds_no_secret_may_be_read_by_all(tmp_path: Path) -> None:
    """A path to one, a variable with one and an empty one are none."""
    (file := tmp_path / "lychgate.yaml").write_text("store: {writer: {password_file: w}, owner: {password: null}}\n")
    file.chmod(0o644)
    settings = load(file, {"LYCHGATE_STORE__OWNER__PASSWORD": SECRET})
    assert settings.store.owner.password is not None
    assert isinstance(settings, Settings)


def test_a_private_file_may_hold_what_it_wants(tmp_path: Path) -> None:
    """0600."""
    file = private(tmp_path / "lychgate.yaml", f"store: {{writer: {{password: {SECRET}}}}}\n")
    found = load(file, {}).store.writer.password
    assert found is not None
    assert found.get_secret_value() == SECRET
