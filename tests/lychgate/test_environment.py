"""Variables to keys, aliases under their full names."""

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
