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
        "AUDIT_REDACTION_PATHS": "LYCHGATE_AUDIT__REDACTION__PATHS__PII",
        "KAFKA_BOOTSTRAP_SERVERS": "LYCHGATE_AUDIT__KAFKA__BOOTSTRAP_SERVERS",
    }
)
"""Names that other deployments of the programme use already (DESIGN section 3)."""

_PATHS = ALIASES["AUDIT_REDACTION_PATHS"]
"""Under its old name a list with commas; every `LYCHGATE_` list is JSON."""

_TESTS = "LYCHGATE_TEST_"
"""Addresses of servers that the tests may use; no configuration."""


def ours(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that set a key, aliases under their full names; the `LYCHGATE_` form wins."""
    found = {ALIASES[name]: value for name, value in variables.items() if name in ALIASES}
    if paths := found.get(_PATHS):
        found[_PATHS] = json.dumps([path.strip() for path in paths.split(",") if path.strip()])
    for name, value in variables.items():
        if name.upper().startswith(PREFIX) and not name.startswith(_TESTS) and name != CONFIG_VARIABLE:
            found[name.upper()] = value
    return found


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
            yield back.get(variable, variable)
