"""Variables to keys, aliases under their full names."""

import json

import pytest

from lychgate.environment import ours, path_of, variables_of


def test_only_variables_that_set_keys_are_ours() -> None:
    """Not the file's name, not the tests' addresses, not anybody else's."""
    given = {
        "LYCHGATE_GATEWAY__PORT": "1",
        "lychgate_ops__port": "2",
        "LYCHGATE_CONFIG": "f",
        "LYCHGATE_TEST_POSTGRES": "x",
        "PATH": "/bin",
    }
    assert ours(given) == {"LYCHGATE_GATEWAY__PORT": "1", "LYCHGATE_OPS__PORT": "2"}


def test_a_full_name_beats_its_alias_in_any_order() -> None:
    """Whichever stands first in the environment."""
    full, alias = {"LYCHGATE_AUDIT__RETENTION__DAYS": "9"}, {"AUDIT_RETENTION_DAYS": "7"}
    assert ours(full | alias) == ours(alias | full) == full


def test_a_value_is_traced_to_the_name_the_person_used() -> None:
    """By the variable itself, by one that sets a part of it, by one that sets what it is in."""
    given = ours({"AUDIT_RETENTION_DAYS": "7", "LYCHGATE_SERVICES__ORDER": "x"})
    assert list(variables_of(("audit", "retention", "days"), given)) == ["AUDIT_RETENTION_DAYS"]
    assert list(variables_of(("services",), given)) == ["LYCHGATE_SERVICES__ORDER"]
    assert list(variables_of(("services", "order", "urls"), given)) == ["LYCHGATE_SERVICES__ORDER"]
    assert list(variables_of(("services", "payment"), given)) == []
    assert path_of("LYCHGATE_GATEWAY__PORT") == ("gateway", "port")


PREFIX = "LYCHGATE_AUDIT__REDACTION__PATHS"


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("client.ip, details.email", {"PII": ["client.ip", "details.email"]}),
        ("pii=client.ip,details.email;payment=details.card",
         {"PII": ["client.ip", "details.email"], "PAYMENT": ["details.card"]}),
        (" pii = client.ip ; payment = ; ", {"PII": ["client.ip"], "PAYMENT": []}),
        ("pii=client.ip;pii=details.email", {"PII": ["client.ip", "details.email"]}),
        ('details["a=b"]', {'DETAILS["A': ['b"]']}),  # refused by its name where settings are checked
        ('{"pii": ["client.ip"], "health": ["details.items[*].note"]}',
         {"PII": ["client.ip"], "HEALTH": ["details.items[*].note"]}),
        ('["client.ip"]', {"PII": ["client.ip"]}),
        ("", {}),
    ],
)  # fmt: skip
def test_redaction_paths_as_people_write_them(text: str, classes: dict[str, list[str]]) -> None:
    """By class with signs, as JSON, or a bare list, which is of class `pii`; each class is a variable of its own."""
    found = ours({"AUDIT_REDACTION_PATHS": text})
    assert {name.removeprefix(f"{PREFIX}__"): json.loads(value) for name, value in found.items()} == classes


def test_the_full_names_of_redaction_paths_win() -> None:
    """The table whole, or a class of it; what is no JSON is left to be refused."""
    alias = {"AUDIT_REDACTION_PATHS": "pii=client.ip;payment=details.card"}
    assert ours({**alias, PREFIX: "{}"}) == {PREFIX: "{}"}
    one = f"{PREFIX}__PII"
    assert ours({one: "[]", **alias}) == {one: "[]", f"{PREFIX}__PAYMENT": '["details.card"]'}
    assert ours({"AUDIT_REDACTION_PATHS": "{pii"}) == {PREFIX: "{pii"}
    assert list(variables_of(("audit", "redaction", "paths", "pii"), ours(alias))) == [
        f"{PREFIX}__PII (or AUDIT_REDACTION_PATHS)"
    ]
