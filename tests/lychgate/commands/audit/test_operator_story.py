"""What an operator does with a store: look who holds readers back, give up who is gone, hold, purge. As commands."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import Result
from typer.testing import CliRunner

from audit.codec import encode
from audit.event import Producer
from audit.ids import EventIds
from audit.sinks import StoreSink
from audit.store import Store
from lychgate import cli
from tests.builders.aged import aged_store, ask, now_ms
from tests.builders.audit import make_event
from tests.builders.private import private
from tests.servers.postgres import Logins


class Operator:
    """Runs commands with a configuration of the test's store."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self, *words: str, code: int = 0) -> Result:
        """One command; its exit code must be as said."""
        result = CliRunner().invoke(cli.app, [*words, "--config", str(self._file)])
        assert result.exit_code == code, (words, result.output, result.stderr, result.exception)
        return result

    def json(self, *words: str, code: int = 0) -> object:
        """What it prints for scripts."""
        return json.loads(self(*words, "--json", code=code).stdout)


@pytest.fixture
def operator(tmp_path: Path, migrated_database: Logins) -> Iterator[Operator]:
    """With a keeper's login."""
    login = urlsplit(migrated_database.keeper)
    file = tmp_path / "lychgate.yaml"
    private(
        file,
        f"store:\n  host: {login.hostname}\n  port: {login.port}\n  database: {login.path[1:]}\n"
        f"  keeper:\n    password: {login.password}\n"
        "audit:\n  retention:\n    days: 30\n    tenants:\n      globex: 400\n",
    )
    return Operator(file)


def report(logins: Logins, *marks: tuple[str, int, int, int, int, bool]) -> None:
    """Watermarks, as a relay brings them."""

    async def work() -> None:
        store = Store(logins.writer)
        await store.report(marks)
        await store.close()

    asyncio.run(work())


def run(statement: str, logins: Logins) -> list[tuple[object, ...]]:
    """Rows, as the owner sees them."""
    return [tuple(row) for row in asyncio.run(ask(logins.owner, statement))]


def test_who_is_gone_is_found_and_given_up(operator: Operator, migrated_database: Logins) -> None:
    """Shown as the one who holds; refused while it reports; looked at first; given up once, with an event."""
    assert "nobody has reported yet" in operator("audit", "producers").stdout
    report(migrated_database, ("gone", 1, -1, 1, 5_000, False), ("here", 1, -1, 1, 9_000, False))
    rows = operator.json("audit", "producers")
    assert isinstance(rows, list)
    assert [(row["producer"], row["state"], row["holds"]) for row in rows] == [
        ("gone", "reporting", True),
        ("here", "reporting", False),
    ]
    refused = operator("audit", "spool", "retire", "gone", code=1)
    assert "still reports" in refused.stdout
    assert "--force" in refused.stderr
    run("UPDATE audit_producers SET reported_at = now() - interval '1 h' WHERE producer_id = 'gone' RETURNING 1",
        migrated_database)  # fmt: skip
    [looked] = operator.json("audit", "spool", "retire", "gone", "--dry-run")  # type: ignore[misc]
    assert (looked["result"], looked["holds"], looked["missing_count"]) == ("would be retired", True, 0)
    assert run("SELECT 1 FROM audit_events", migrated_database) == []
    assert "retired" in operator("audit", "spool", "retire", "gone", "--by", "ada").stdout
    [again] = operator.json("audit", "spool", "retire", "gone")  # type: ignore[misc]
    assert again["result"] == "retired already"
    assert run("SELECT event_type, body->'details'->>'declared_by' FROM audit_events", migrated_database) == [
        ("audit.loss", "ada")
    ]
    assert "complete through 1970-01-01T00:00:09" in operator("audit", "producers").stdout


def test_what_an_outbox_rolled_back_is_not_lost(operator: Operator, migrated_database: Logins) -> None:
    """Its numbers have gaps by their nature; of a spool the same gaps are records that are missing."""

    async def work() -> None:
        store = Store(migrated_database.writer)
        ids = EventIds()
        made = [make_event(event_id=ids.next(), producer=Producer("outbox-shop", 1, seq)) for seq in (2, 5)]
        await StoreSink(store).deliver([encode(event) for event in made])
        await store.close()

    asyncio.run(work())
    report(migrated_database, ("outbox-shop", 1, -1, 1, 5_000, False))
    words = ("audit", "spool", "retire", "outbox-shop", "--force")
    [spool] = operator.json(*words, "--dry-run")  # type: ignore[misc]
    assert (spool["missing"], spool["missing_count"]) == ([[1, 1], [3, 4]], 3)
    [outbox] = operator.json(*words, "--outbox")  # type: ignore[misc]
    assert (outbox["result"], outbox["missing"], outbox["missing_count"]) == ("retired", [], 0)
    [(count, missing, beyond)] = run(
        "SELECT body->'details'->>'count', body->'details'->>'missing', body->'details'->>'unknown_beyond'"
        " FROM audit_events WHERE event_type = 'audit.loss'",
        migrated_database,
    )
    assert (count, missing, beyond) == ("0", "[]", "5")


def test_an_unknown_producer_is_a_mistake(operator: Operator) -> None:
    """Not a finding: the name is wrong."""
    result = CliRunner().invoke(cli.app, ["audit", "spool", "retire", "nobody", "--config", str(operator._file)])
    assert "no such producer" in str(result.exception)
    assert getattr(result.exception, "exit_code", None) == 2


def test_what_is_held_and_what_is_purged(operator: Operator, migrated_database: Logins) -> None:
    """The dry run takes nothing and says what the run does; a hold keeps its rows, is listed, and is released."""
    asyncio.run(aged_store(migrated_database, [("acme", 60.0), ("acme", 31.0), ("globex", 60.0), ("initech", 60.0)]))
    hold = operator.json("audit", "hold", "add", "initech", "--reason", "case 17/26", "--by", "ada")
    assert isinstance(hold, dict)
    [held] = operator.json("audit", "hold", "list")  # type: ignore[misc]
    assert (held["id"], held["tenant"], held["reason"], held["placed_by"]) == (
        hold["hold"],
        "initech",
        "case 17/26",
        "ada",
    )
    planned = operator.json("audit", "purge", "--dry-run")
    assert run("SELECT count(*) FROM audit_events WHERE event_type LIKE 'authz%'", migrated_database) == [(4,)]
    gone = operator.json("audit", "purge")
    assert isinstance(planned, list)
    assert isinstance(gone, list)

    def counted(steps: list[dict[str, object]]) -> list[tuple[object, ...]]:
        return sorted((step["partition"], step["tenant"], step["how"], step["rows"]) for step in steps if step["rows"])

    assert counted(planned) == counted(gone)
    assert {step["tenant"] for step in gone if step["rows"]} == {"acme"}
    assert "gone: nothing" in operator("audit", "purge").stdout
    operator("audit", "hold", "release", str(hold["hold"]), "--by", "bob")
    assert "none of that number" in operator("audit", "hold", "release", str(hold["hold"]), code=1).stderr
    assert "holds: nothing" in operator("audit", "hold", "list").stdout
    [released] = operator.json("audit", "hold", "list", "--all")  # type: ignore[misc]
    assert released["released_by"] == "bob"
    operator("audit", "purge")
    left = run("SELECT tenant_id FROM audit_events WHERE event_type LIKE 'authz%'", migrated_database)
    assert left == [("globex",)]
    told = run(
        "SELECT tenant_id, event_type FROM audit_events WHERE event_type LIKE 'audit.hold.%' ORDER BY event_id",
        migrated_database,
    )
    assert told == [("initech", "audit.hold.placed"), ("initech", "audit.hold.released")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("acme", "--reason", " "), "--reason"),
        (("acme", "--reason", "x", "--resource-id", "o-1"), "--resource-type"),
        (("acme", "--reason", "x", "--from", "yesterday"), "RFC 3339"),
        (("acme", "--reason", "x", "--from", "2026-11-01T00:00:00"), "offset"),
        (("acme", "--reason", "x", "--from", "2026-11-02T00:00:00Z", "--to", "2026-11-01T00:00:00Z"), "not after"),
    ],
)
def test_a_hold_that_would_hold_something_else_is_refused(
    operator: Operator, migrated_database: Logins, words: tuple[str, ...], said: str
) -> None:
    """A mistyped hold must not look like one."""
    result = CliRunner().invoke(cli.app, ["audit", "hold", "add", *words, "--config", str(operator._file)])
    assert said in str(result.exception)
    assert getattr(result.exception, "exit_code", None) == 2
    assert run("SELECT 1 FROM audit_legal_holds", migrated_database) == []


def test_a_purge_that_is_running_is_left_alone(operator: Operator, migrated_database: Logins) -> None:
    """Two at once would count each other's rows: the second says so and does nothing."""
    asyncio.run(aged_store(migrated_database, [("acme", 60.0)]))

    async def beside() -> None:
        from audit.keeper.jobs import alone, opened

        async with opened(migrated_database.keeper) as connection, alone(connection, "purge") as ours:
            assert ours
            result = await asyncio.to_thread(operator, "audit", "purge", code=1)
            assert "another purge" in result.stderr

    asyncio.run(beside())
    assert run("SELECT count(*) FROM audit_events", migrated_database) == [(1,)]


def test_a_store_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    """Exit code 2, where, and no secret."""
    file = tmp_path / "lychgate.yaml"
    private(file, "store:\n  port: 1\n  keeper:\n    password: s3cret\n")
    result = CliRunner().invoke(cli.app, ["audit", "producers", "--config", str(file)])
    assert getattr(result.exception, "exit_code", None) == 2
    assert "127.0.0.1:1/lychgate" in str(result.exception)
    assert "s3cret" not in str(result.exception) + result.output
    assert now_ms() > 0
