"""The whole configuration: one file, every key open to the environment, checked before anything starts.

    lychgate.yaml  <  AUDIT_RETENTION_DAYS and the other aliases  <  LYCHGATE_<SECTION>__<KEY>

Each package owns its sections; this module puts them together and is the only reader of the environment. Nothing else
is handed the whole: a command takes out what its process needs. Relative paths start at the folder a command runs in.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from audit.settings import AuditSettings, StoreSettings
from gateway.decision_settings import DecisionApiSettings
from gateway.doors.settings import DoorSettings
from gateway.fleet_settings import RedisSettings, RevocationSettings
from gateway.service_settings import Services, default_services
from gateway.settings import (
    ContextSettings,
    GatewaySettings,
    IssuerSettings,
    OpsSettings,
    PolicySettings,
    TenancySettings,
)
from gateway.shadow_settings import ShadowSettings
from gateway.telemetry_settings import TelemetrySettings
from lychgate import starter
from lychgate.complaints import complaint, unknown_variables
from lychgate.coverage.settings import CoverageSettings
from lychgate.environment import CONFIG_VARIABLE, PREFIX, SEPARATOR, ours
from lychgate.errors import ConfigurationError
from lychgate.up.settings import UpSettings
from lychgate.written_secrets import open_secrets
from lychgate.yaml_file import Parsed, parse
from query.settings import QuerySettings
from services.settings import SamplesSettings

DEFAULT_FILE = Path(starter.CONFIG)


class Settings(BaseSettings):
    """Every section. A section's own class says what its keys mean."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    gateway: GatewaySettings = Field(GatewaySettings(), description="The public door.")
    ops: OpsSettings = Field(OpsSettings(), description="The operations and decision API.")
    doors: DoorSettings = Field(DoorSettings(), description="Proxies that ask instead of being asked through.")
    decision_api: DecisionApiSettings = Field(
        DecisionApiSettings(), description="How questions of other proxies and services are understood (AuthZEN)."
    )
    issuers: tuple[IssuerSettings, ...] = Field((), description="Whose tokens are believed, and how far.")
    context: ContextSettings = Field(ContextSettings(), description="How security contexts are signed.")
    tenancy: TenancySettings = Field(TenancySettings(), description="What may cross tenants.")
    policies: PolicySettings = Field(PolicySettings(), description="Where the Cedar policies are.")
    shadow: ShadowSettings = Field(ShadowSettings(), description="Policies that are tried beside those in force.")
    revocation: RevocationSettings = Field(RevocationSettings(), description="Tokens that are revoked before they end.")
    redis: RedisSettings = Field(RedisSettings(), description="What the gateways of a fleet speak through.")
    telemetry: TelemetrySettings = Field(
        TelemetrySettings(), description="Spans of requests, for an OpenTelemetry collector."
    )
    services: Services = Field(
        default_factory=default_services,
        description="Name to its url, `http://host:port`, or to what stands below.",
    )
    audit: AuditSettings = Field(AuditSettings(), description="Spool, relay, Kafka, redaction, retention.")
    store: StoreSettings = Field(StoreSettings(), description="PostgreSQL.")
    query: QuerySettings = Field(QuerySettings(), description="The audit query API.")
    samples: SamplesSettings = Field(SamplesSettings(), description="The seven sample services.")
    coverage: CoverageSettings = Field(CoverageSettings(), description="What `lychgate audit coverage` scans.")
    up: UpSettings = Field(UpSettings(), description="The one-machine stack.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` hands over: it has merged the sources, and knows where each value came from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


class _Variables(EnvSettingsSource):
    """pydantic's reading of nested variables, over the mapping we are given."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(Settings, env_prefix=PREFIX, env_nested_delimiter=SEPARATOR)
        self.env_vars = {name.lower(): value for name, value in variables.items()}


def load(file: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read and check the whole configuration.

    Args:
        file: The file; when not given, what `LYCHGATE_CONFIG` names, else `lychgate.yaml` if there is one, else none.
        environment: The variables; the process's own when not given.

    Raises:
        ConfigurationError: Every finding in one message, a line each, with its place.
    """
    variables = os.environ if environment is None else environment  # noqa: TID251 -- the one reader of the environment
    given = ours(variables)
    parsed, found = _read(file or _path(variables.get(CONFIG_VARIABLE)))
    if found is not None and (findings := open_secrets(parsed, found, Settings)):
        raise ConfigurationError("\n".join(findings))
    if file == starter.config_file():
        parsed = replace(parsed, values=_merged(parsed.values, starter.named()))
    if findings := unknown_variables(given, Settings):
        raise ConfigurationError("\n".join(findings))
    try:
        return Settings(**_over_defaults(_merged(parsed.values, _Variables(given)()), Settings))
    except SettingsError as exc:
        what = str(exc).partition(" from source")[0]
        raise ConfigurationError(f"environment: {what}; lists and tables are written as JSON") from exc
    except ValidationError as exc:
        # Without the inputs: a mistyped password must not end up in a terminal's history or a log.
        errors = exc.errors(include_url=False, include_input=False, include_context=False)
        raise ConfigurationError("\n".join(complaint(error, parsed, given, Settings) for error in errors)) from None


def or_built_in(file: Path | None) -> Path | None:
    """The file that was named; where none was and there is none, the one of the one-machine stack.

    For what a newcomer runs first. Never for a process that serves: started in the wrong folder it would trust the
    development issuer.
    """
    named = file or _path(os.environ.get(CONFIG_VARIABLE))  # noqa: TID251 -- the one reader of the environment
    return starter.config_file() if named is None and not DEFAULT_FILE.exists() else file


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _read(file: Path | None) -> tuple[Parsed, os.stat_result | None]:
    """The file's content, and whose it is; nothing when none was named and the default is not there."""
    name = file or DEFAULT_FILE
    try:
        with name.open(encoding="utf-8") as opened:
            return parse(opened.read(), str(name)), os.fstat(opened.fileno())
    except FileNotFoundError as exc:
        if file is None:
            return Parsed(str(name)), None
        raise ConfigurationError(f"{name}: there is no such file") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{name}: cannot be read: {exc}") from exc


def _over_defaults(values: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Values laid over what a section's default already says.

    Pydantic replaces a default whole: `store.owner.password` alone would lose the default `store.owner.user`, and one
    redaction class the paths of the others.
    """
    result = dict(values)
    for name, value in values.items():
        field = model.model_fields.get(name)
        if field is None or not isinstance(value, Mapping):
            continue
        if isinstance(field.default, BaseModel):
            below = field.default.model_dump(exclude_unset=True)
            result[name] = _over_defaults(_merged(below, value), type(field.default))
        elif isinstance(field.default, Mapping):
            result[name] = _merged(field.default, value)
    return result


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two nested mappings as one; what is not a mapping in both is taken from `above`."""
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        both = isinstance(value, Mapping) and isinstance(under, Mapping)
        result[key] = _merged(under, value) if both else value  # type: ignore[arg-type]  # `both` says so
    return result


def inherited(changes: Mapping[str, str]) -> dict[str, str]:
    """The variables a process of ours is started with: our own, with some keys set.

    A variable that sets a part of a changed key (`LYCHGATE_SERVICES__ORDER`) goes: it stands in the settings that the
    change was made from.
    """
    own = os.environ  # noqa: TID251 -- the one reader of the environment
    parts = tuple(f"{name}{SEPARATOR}" for name in changes)
    kept = {
        name: value for name, value in own.items() if name.upper() not in changes and not name.upper().startswith(parts)
    }
    return {**kept, **changes}
