"""Tests of `lychgate config keys`; `config check` is tested in `tests/lychgate/test_cli.py`."""

import json

from lychgate.reference.settings import keys
from tests.builders.command import run


def test_every_key_is_listed_with_its_type_default_and_meaning() -> None:
    """As the page of settings has them, without its marks; where there may be many, a name stands for each."""
    listed = json.loads(run("config", "keys", "--json").stdout)
    assert [row["key"] for row in listed] == [each.key for each in keys()]
    assert all(row[column] for row in listed for column in ("key", "type", "default", "meaning"))
    assert not any("`" in text for row in listed for text in row.values())
    port = next(row for row in listed if row["key"] == "gateway.port")
    assert (port["type"], port["default"]) == ("integer", "8080")
    assert any(row["key"].startswith("services.NAME.") for row in listed)
    assert any(row["key"].startswith("issuers[N].") for row in listed)


def test_a_section_alone() -> None:
    """By how its keys begin; one that nobody has is wrong usage, not an empty list."""
    listed = json.loads(run("config", "keys", "audit.spool", "--json").stdout)
    assert {row["key"].rpartition(".")[0] for row in listed} == {"audit.spool"}
    wrong = run("config", "keys", "audit.spoool")
    assert wrong.returncode == 2
    assert "no key begins with `audit.spoool`" in wrong.stderr
