"""The environment's variables -> the values they set, and those that set nothing. Pure: it is handed the variables."""

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType

PREFIX = "LYCHGATE_"
SEPARATOR = "__"
CONFIG_VARIABLE = "LYCHGATE_CONFIG"
"""Names the configuration file, as `--config` does."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "AUDIT_RETENTION_DAYS": "LYCHGATE_AUDIT__RETENTION__DAYS",
        "AUDIT_REDACTION_PATHS": "LYCHGATE_AUDIT__REDACTION__PATHS",
        "KAFKA_BOOTSTRAP_SERVERS": "LYCHGATE_AUDIT__KAFKA__BOOTSTRAP_SERVERS",
    }
)
"""Names that other deployments of the programme use already (DESIGN section 3)."""

_PATHS = ALIASES["AUDIT_REDACTION_PATHS"]
_CLASS = "pii"
"""Of paths that are written without one."""

_TESTS = "LYCHGATE_TEST_"
"""Addresses of servers that the tests may use; no configuration."""


def ours(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that set a key, aliases under their full names; the `LYCHGATE_` form wins."""
    found = {ALIASES[name]: value for name, value in variables.items() if name in ALIASES}
    paths = found.pop(_PATHS, None)
    if paths and not any(name.upper() == _PATHS for name in variables):
        found |= _by_class(paths)
    for name, value in variables.items():
        if name.upper().startswith(PREFIX) and not name.startswith(_TESTS) and name != CONFIG_VARIABLE:
            found[name.upper()] = value
    return found


def _by_class(paths: str) -> dict[str, str]:
    """`pii=client.ip,details.email;payment=details.card`, JSON, or a list without a class -> a variable a class.

    Under its old name a person writes it by hand; every `LYCHGATE_` list is JSON. Each class is a variable of its own,
    so that one of them leaves the others as they are, and `LYCHGATE_AUDIT__REDACTION__PATHS__PII` wins over its part.
    What cannot be read stays as it is, and is refused where the settings are checked.
    """
    if paths.lstrip().startswith(("{", "[")):
        try:
            given = json.loads(paths)
        except ValueError:
            return {_PATHS: paths}
        classes = given if isinstance(given, dict) else {_CLASS: given}
    else:
        classes = {}
        for group in filter(str.strip, paths.split(";")):
            name, sign, listed = group.partition("=")
            name, listed = (name, listed) if sign else (_CLASS, group)
            found = [path.strip() for path in listed.split(",") if path.strip()]
            classes.setdefault(name.strip(), []).extend(found)
    return {f"{_PATHS}{SEPARATOR}{name.upper()}": json.dumps(listed) for name, listed in classes.items()}


def path_of(variable: str) -> tuple[str, ...]:
    """`LYCHGATE_GATEWAY__PORT` -> `("gateway", "port")`."""
    return tuple(variable.removeprefix(PREFIX).lower().split(SEPARATOR))


def variables_of(path: tuple[str, ...], given: Mapping[str, str]) -> Iterator[str]:
    """Which of the given variables set a path or a part of it, by the name the person used."""
    back = {full: alias for alias, full in ALIASES.items()}
    for variable in given:
        where = path_of(variable)
        shared = min(len(where), len(path))
        if where[:shared] == path[:shared]:
            part = variable.startswith(f"{_PATHS}{SEPARATOR}")
            yield f"{variable} (or {back[_PATHS]})" if part else back.get(variable, variable)
