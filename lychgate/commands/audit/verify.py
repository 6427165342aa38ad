"""`lychgate audit verify` and `lychgate audit key`: whether the store still holds what was sealed, and by whom."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, plain, print_json, print_rows
from lychgate.errors import ConfigurationError

if TYPE_CHECKING:
    from audit.integrity.keys import PublicKeys
    from audit.integrity.record import Sealed
    from audit.settings import IntegritySettings
    from audit.verify.report import Report
    from lychgate.settings import Settings

_PROGRESS_S: Final = 5.0


def verify(
    partition: Annotated[str | None, typer.Option(help="Read the rows of this partition only.")] = None,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(help="Checkpoints kept elsewhere: the file, or a dump of the topic; the configured file if none."),
    ] = None,
    public_key: Annotated[
        list[Path] | None,
        typer.Option(help="Whose seals are believed, PEM; the configured keys if none."),
    ] = None,
    dsn: Annotated[
        str | None,
        typer.Option(help="Another database, as its owner; the password from PGPASSWORD or a password file."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Print so many findings; the rest is counted.")] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the store against its seals; name each row that was changed, added or taken away.

    Needs the database, as its owner, and nothing else that runs. Exit code 1 if anything is wrong.
    """
    import asyncio

    from lychgate.settings import load

    settings = load(config)
    keys = _keys(settings.audit.integrity, public_key)
    anchors = _anchors(settings.audit.integrity, checkpoints, keys)
    where = dsn or settings.store.dsn(settings.store.owner)
    report = asyncio.run(_verify(where, settings, keys, anchors, partition, limit))
    if as_json:
        print_json(
            {
                "findings": [finding._asdict() for finding in report.findings],
                "finding_count": report.count,
                "seals": report.seals,
                "rows": report.rows,
                "partitions": [looked._asdict() for looked in report.looked],
                "notes": report.notes,
            }
        )
    else:
        _print(report)
    raise typer.Exit(ExitCode.FINDING if report.count else ExitCode.SUCCESS)


def key(
    make: Annotated[Path | None, typer.Option(help="Make a key: FILE, and FILE.pub for those who verify.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the public half of the key that signs seals, or make one."""
    from audit.errors import SealRefused
    from audit.integrity.keys import load_seal_key, make_seal_key
    from lychgate.settings import load

    file = make or load(config).audit.integrity.key_file
    if file is None:
        raise ConfigurationError("audit.integrity.key_file is not set: nothing is sealed; `--make FILE` makes a key")
    try:
        if make is not None and not make_seal_key(make):
            raise ConfigurationError(f"{make}: is there already")
        found = load_seal_key(file)
    except SealRefused as exc:
        raise ConfigurationError(str(exc)) from exc
    if as_json:
        print_json({"key_id": found.key_id, "public_key": found.public_pem()})
        return
    typer.echo(found.public_pem(), nl=False)
    typer.echo(f"key {found.key_id}", err=True)


def add_to(app: typer.Typer) -> None:
    """Register both."""
    app.command(
        epilog=example("lychgate audit verify", "lychgate audit verify --checkpoints kept-elsewhere.jsonl --json")
    )(verify)
    app.command(epilog=example("lychgate audit key > seals.pub", "lychgate audit key --make audit-seal.pem"))(key)


def _keys(settings: "IntegritySettings", public: list[Path] | None) -> "PublicKeys":
    """Whose seals are believed.

    Raises:
        ConfigurationError: There is no such key, or one cannot be used.
    """
    from audit.errors import SealRefused
    from audit.integrity.keys import PublicKeys, load_public_key, load_seal_key

    try:
        found = [load_public_key(file) for file in public or settings.public_keys]
        if not public and settings.key_file is not None:
            found.append(load_seal_key(settings.key_file).public)
    except SealRefused as exc:
        raise ConfigurationError(str(exc)) from exc
    if not found:
        raise ConfigurationError(
            "no key to check seals with: give --public-key, or set audit.integrity.key_file or public_keys"
        )
    return PublicKeys(found)


def _anchors(settings: "IntegritySettings", files: list[Path] | None, keys: "PublicKeys") -> "list[Sealed]":
    """Records that were kept outside the database.

    Raises:
        ConfigurationError: A file cannot be read, or has something else in it.
    """
    from audit.errors import SealRefused
    from audit.integrity.checkpoints import read_checkpoints

    default = [settings.checkpoint_file] if settings.checkpoint_file.exists() else []
    try:
        return [record for file in files or default for record in read_checkpoints(file, keys)]
    except SealRefused as exc:
        raise ConfigurationError(str(exc)) from exc


async def _verify(
    dsn: str, settings: "Settings", keys: "PublicKeys", anchors: "list[Sealed]", partition: str | None, limit: int
) -> "Report":
    """Verify a store.

    Raises:
        ConfigurationError: It cannot be read.
    """
    import asyncpg

    from audit.verify.report import Report
    from audit.verify.run import Verification
    from audit.verify.store import opened

    try:
        async with opened(dsn) as store:
            report = await Verification(
                store,
                keys,
                anchors=anchors,
                retention_days=settings.audit.least_days,
                seal_anyway_after_days=settings.audit.integrity.seal_anyway_after_days,
                partition=partition,
                report=Report(limit),
                progress=_Progress().told,
            ).run()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        raise ConfigurationError(f"the store cannot be read: {exc}") from exc
    except ValueError:  # its text may have a part of the address in it, which may be of a password
        raise ConfigurationError("the store cannot be read: no address of a database, or no store of ours") from None
    if partition is not None and not report.looked:
        raise ConfigurationError(f"there is no partition `{partition}`, and no seal knows it")
    return report


class _Progress:
    """A line now and then on standard error, for whoever waits."""

    def __init__(self) -> None:
        self._began = self._said = time.monotonic()
        self._rows = 0

    def told(self, partition: str, rows: int) -> None:
        """So many rows more."""
        self._rows += rows
        now = time.monotonic()
        if now - self._said >= _PROGRESS_S:
            self._said = now
            rate = self._rows / (now - self._began)
            sys.stderr.write(f"{partition}: {self._rows:,} rows read, {rate:,.0f} a second\n")


def _print(report: "Report") -> None:
    print_rows("partitions", [looked._asdict() for looked in report.looked], as_json=False)
    for note in report.notes:
        typer.echo(f"note: {plain(note)}")
    for kind, partition, event_id, phase, what in report.findings:
        place = " ".join(part for part in (partition, event_id, phase) if part is not None)
        typer.echo(plain(f"{kind.value}: {place + ': ' if place else ''}{what}"))
    if report.count > len(report.findings):
        typer.echo(f"... and {report.count - len(report.findings)} more findings")
    found = f"{report.count} findings" if report.count else "everything is as it was sealed"
    typer.echo(f"{report.seals} seals, {report.rows} rows: {found}")
