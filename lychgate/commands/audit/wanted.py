"""Which spool folder and which of its records a command means: options, and what they come to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from lychgate.commands.since import moment_of
from lychgate.errors import ConfigurationError

if TYPE_CHECKING:
    from audit.spool.inspect import Wanted

FolderOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--folder", help="The spool folder, or one producer's.", show_default="the configured one"),
]
ProducerOption: TypeAlias = Annotated[str | None, typer.Option("--producer", help="Of this producer only.")]
TenantOption: TypeAlias = Annotated[str | None, typer.Option("--tenant", help="Of this tenant; - for events of none.")]
TypeOption: TypeAlias = Annotated[str | None, typer.Option("--type", help="Of this type, as audit.loss.")]
SinceOption: TypeAlias = Annotated[
    str | None, typer.Option("--since", help="From then on: RFC 3339, or 90m, 24h, 7d before now.")
]


def root_of(folder: Path | None, config: Path | None) -> Path:
    """The spool folder to look into: the one given, or the configured one.

    Raises:
        ConfigurationError: There is none.
    """
    from lychgate.settings import load

    root = folder or load(config).audit.spool.folder
    if not root.is_dir():
        raise ConfigurationError(f"{root}: there is no such folder")
    return root


def wanted_of(producer: str | None, tenant: str | None, event_type: str | None, since: str | None) -> "Wanted":
    """The filter.

    Raises:
        ConfigurationError: The time is none.
    """
    from audit.spool.inspect import Wanted
    from lychgate.clock import utc_now

    at = moment_of(since, utc_now(), "--since")
    return Wanted(producer, tenant, event_type, int(at.timestamp() * 1e3) if at is not None else None)


def unreadable(exc: Exception) -> ConfigurationError:
    """What ends a command that cannot go on, as the exception says it; none of ours holds a record."""
    return ConfigurationError(str(exc))
