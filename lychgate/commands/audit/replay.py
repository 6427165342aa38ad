"""`lychgate audit spool replay`: delivering again what stands in spool folders."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lychgate.commands.audit.wanted import (
    ProducerOption,
    SinceOption,
    TenantOption,
    TypeOption,
    root_of,
    unreadable,
    wanted_of,
)
from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_json
from lychgate.errors import ConfigurationError

if TYPE_CHECKING:
    from audit.settings import AuditSettings, StoreSettings
    from audit.spool.inspect import Wanted
    from audit.spool.replay import Deliver, Replayed

_EXAMPLES = example(
    "lychgate audit spool replay --from /mnt/rescued/spool --dry-run",
    "lychgate audit spool replay --from /mnt/rescued/spool --adopt",
)


class Target(StrEnum):
    """Where a replay goes."""

    STORE = "store"
    KAFKA = "kafka"


def replay(
    source: Annotated[
        Path | None,
        typer.Option("--from", help="A spool folder, or one producer's.", show_default="the configured one"),
    ] = None,
    producer: ProducerOption = None,
    tenant: TenantOption = None,
    event_type: TypeOption = None,
    since: SinceOption = None,
    to: Annotated[
        Target | None, typer.Option("--to", help="Where to.", show_default="the broker if one is configured")
    ] = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="First write down, in the folders, what dead producers left unsaid.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count; deliver and write nothing.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Deliver again what stands in spool folders: undelivered, set aside, or rescued from another machine.

    Deletes nothing, and but for --adopt only reads; what is there already is counted as a duplicate. Exit code 1 if
    anything is in conflict, dead or unreadable, or if numbers are missing and --adopt was not given to say so.
    """
    import asyncio

    from audit.errors import AuditError
    from audit.spool.inspect import EVERYTHING, Trouble, verify
    from lychgate.settings import load

    settings = load(config)
    root = root_of(source or settings.audit.spool.folder, config)
    wanted = wanted_of(producer, tenant, event_type, since)
    if adopt and (dry_run or wanted != EVERYTHING):
        raise ConfigurationError("--adopt is for everything a folder holds: give neither a filter nor --dry-run")
    brokers = settings.audit.kafka.bootstrap_servers
    if to is Target.KAFKA and brokers is None:
        raise ConfigurationError("--to kafka: audit.kafka.bootstrap_servers is not configured")
    kafka = brokers is not None and to is not Target.STORE
    try:
        unread = [found._asdict() for found in verify(root) if found.trouble in (Trouble.DAMAGED, Trouble.MISSING)]
        missing = _unsaid(root, wanted, adopt=adopt)
        if dry_run:
            done = asyncio.run(_count(root, wanted))
        else:
            done = asyncio.run(_deliver(root, wanted, settings.audit, settings.store, kafka=kafka, ended=adopt))
    except (OSError, AuditError) as exc:
        raise unreadable(exc) from exc
    report: dict[str, Any] = {
        "to": None if dry_run else (Target.KAFKA if kafka else Target.STORE).value,
        **done._asdict(),
        "missing": {name: [list(pair) for pair in pairs] for name, pairs in missing.items()},
        "missing_written": adopt,
        "unread": unread,
    }
    if as_json:
        print_json(report)
    else:
        _print(root, report)
    unsaid = bool(unread) or (bool(missing) and not adopt)
    raise typer.Exit(ExitCode.FINDING if done.conflicts or done.dead or unsaid else ExitCode.SUCCESS)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(replay)


def _unsaid(root: Path, wanted: "Wanted", *, adopt: bool) -> dict[str, list[tuple[int, int]]]:
    """What dead producers took and nobody has accounted for, by producer; with `adopt` it is written down there."""
    from audit.spool.adopt import adopt_folder, producer_of, unsaid
    from audit.spool.folder import owned
    from audit.spool.inspect import folders

    found = {}
    for path in folders(root):
        if wanted.producer not in (None, path.name) or owned(path):
            continue
        missing = adopt_folder(path) if adopt else unsaid(path)
        if missing:
            found[producer_of(path)] = list(missing)
    return found


async def _count(root: Path, wanted: "Wanted") -> "Replayed":
    """How many records there are; nothing is delivered."""
    from audit.spool.replay import Replayed, replay

    async def only_count(records: Sequence[bytes]) -> Replayed:
        return Replayed(len(records))

    return await _last(root, wanted, only_count, replay)


async def _deliver(
    root: Path, wanted: "Wanted", audit: "AuditSettings", store: "StoreSettings", *, kafka: bool, ended: bool
) -> "Replayed":
    """Deliver; with `ended`, say of each folder that nobody owns that nothing of it can follow."""
    from prometheus_client import CollectorRegistry

    from audit.delivery import make_sink
    from audit.metrics import IngestMetrics
    from audit.sinks import Sink, StoreSink, Watermark
    from audit.spool.adopt import producer_of
    from audit.spool.folder import owned, peek
    from audit.spool.inspect import folders
    from audit.spool.replay import Replayed, replay
    from audit.store import Store
    from lychgate.clock import utc_now

    if kafka:
        sink: Sink = make_sink(audit, store, IngestMetrics(CollectorRegistry()))

        async def deliver(records: Sequence[bytes]) -> Replayed:
            await sink.deliver(records)
            return Replayed(len(records), delivered=len(records))
    else:
        rows = Store(store.dsn(store.writer))
        sink = StoreSink(rows)

        async def deliver(records: Sequence[bytes]) -> Replayed:
            written = await rows.write(records)
            return Replayed(len(records), written.rows, written.duplicates, written.conflicts, len(written.dead))

    try:
        done = await _last(root, wanted, deliver, replay)
        views = [(producer_of(path), peek(path)) for path in folders(root) if ended and not owned(path)]
        now_ms = int(utc_now().timestamp() * 1e3)
        marks = [Watermark(name, view.epoch, now_ms, ended=True) for name, view in views if view and view.ended]
        if marks:
            await sink.report(marks)
    finally:
        await sink.close()
    return done


async def _last(root: Path, wanted: "Wanted", deliver: "Deliver", replay: Any) -> "Replayed":
    from audit.spool.replay import Replayed

    done = Replayed()
    async for done in replay(root, deliver, wanted):  # noqa: B007  # the last one counts
        pass
    return done


def _print(root: Path, report: dict[str, Any]) -> None:
    """For people."""
    if report["to"] is None:
        typer.echo(f"{root}: {report['records']} records would be delivered")
    else:
        typer.echo(
            f"{root}: {report['records']} records to the {report['to']}: {report['delivered']} delivered,"
            f" {report['duplicates']} duplicates, {report['conflicts']} conflicts, {report['dead']} dead"
        )
    said = "written down" if report["missing_written"] else "not written down: --adopt does that"
    for name, pairs in report["missing"].items():
        numbers = ", ".join(f"{first}" if first == last else f"{first} to {last}" for first, last in pairs)
        typer.echo(f"{name}: missing {numbers}; {said}")
    for found in report["unread"]:
        typer.echo(f"{found['producer']}/{found['file']}: {found['what']}")
