"""Tests of `lychgate.commands.audit.verify`: the commands, as an operator uses them."""

import asyncio
import json
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lychgate import cli
from lychgate.errors import ConfigurationError
from tests.builders.seals import SealedStore, event_of, partition
from tests.servers.postgres import Logins


@pytest.fixture
async def store(migrated_database: Logins, tmp_path: Path) -> SealedStore:
    """Some rows of a closed week, sealed."""
    made = SealedStore(migrated_database, tmp_path)
    await made.write([event_of(3, at) for at in range(5)])
    await made.complete()
    await made.seal()
    return made


def run(*words: str) -> Result:
    """Run a command; the error that ends it is raised."""
    result = CliRunner().invoke(cli.app, ["audit", *words], catch_exceptions=True)
    if isinstance(result.exception, ConfigurationError):
        raise result.exception
    return result


async def verify(store: SealedStore, *words: str) -> Result:
    """`lychgate audit verify` of this store, with its public key and its checkpoints."""
    folder = store.settings.checkpoint_file.parent
    return await asyncio.to_thread(  # it has a loop of its own
        run, "verify", "--dsn", store.logins.owner, "--public-key", f"{folder / 'seal.pem.pub'}",
        "--checkpoints", f"{store.settings.checkpoint_file}", *words,
    )  # fmt: skip


async def test_a_store_as_it_was_sealed(store: SealedStore) -> None:
    """Exit code 0, a table, and what is not covered."""
    result = await verify(store)
    assert result.exit_code == 0, result.output
    assert "everything is as it was sealed" in result.output
    assert f"note: {partition(0)}: not sealed yet" in result.output
    only = json.loads((await verify(store, "--partition", partition(3), "--json")).output)
    assert [each["partition"] for each in only["partitions"]] == [partition(3)]
    assert (only["finding_count"], only["findings"], only["rows"]) == (0, [], 5)


async def test_a_row_that_was_changed_is_named(store: SealedStore) -> None:
    """Exit code 1, in words and as JSON; no content of the row is shown."""
    changed = event_of(3, 2).event_id
    await store.tamper(("UPDATE {part} SET tenant_id = 'evil-secret' WHERE event_id = $1", UUID(changed)))
    result = await verify(store)
    assert result.exit_code == 1
    assert f"changed: {partition(3)} {changed} single: column `tenant_id`: not as in the body" in result.output
    assert "evil-secret" not in result.output
    [finding] = json.loads((await verify(store, "--json")).output)["findings"]
    assert finding == {
        "kind": "changed",
        "partition": partition(3),
        "event_id": changed,
        "phase": "single",
        "what": "column `tenant_id`: not as in the body",
    }
    await store.tamper("TRUNCATE {part}")
    result = await verify(store, "--limit", "2")
    assert "... and 3 more findings" in result.output


async def test_what_is_wrong_with_the_call_is_said(store: SealedStore, tmp_path: Path) -> None:
    """No key, another's file, no such partition, a store that is not there: exit code 2, with the place."""
    with pytest.raises(ConfigurationError, match="no key to check seals with"):
        run("verify", "--dsn", store.logins.owner)
    with pytest.raises(ConfigurationError, match="no PEM of a public key"):
        run("verify", "--dsn", store.logins.owner, "--public-key", f"{store.settings.checkpoint_file}")
    with pytest.raises(ConfigurationError, match=r"seal\.pem\.pub:1: is no checkpoint"):
        await verify(store, "--checkpoints", f"{tmp_path / 'seal.pem.pub'}")
    with pytest.raises(ConfigurationError, match="there is no partition `audit_events_19990101`"):
        await verify(store, "--partition", "audit_events_19990101")
    with pytest.raises(ConfigurationError, match="the store cannot be read"):
        await verify(store, "--dsn", "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(ConfigurationError, match="the store cannot be read") as told:
        await verify(store, "--dsn", "postgresql://nobody:hid/den@127.0.0.1:1/none")
    assert "hid" not in str(told.value)
    with pytest.raises(ConfigurationError, match="permission denied"):
        await verify(store, "--dsn", store.logins.reader)


def test_a_key_is_made_and_shown(tmp_path: Path) -> None:
    """Its public half only; a second time it is refused."""
    file = tmp_path / "seal.pem"
    made = run("key", "--make", f"{file}")
    assert made.exit_code == 0
    assert "BEGIN PUBLIC KEY" in made.output
    assert file.read_text().split("\n")[1] not in made.output
    with pytest.raises(ConfigurationError, match="is there already"):
        run("key", "--make", f"{file}")
    config = tmp_path / "lychgate.yaml"
    config.write_text(f"audit: {{integrity: {{key_file: {file}}}}}\n")
    shown = json.loads(run("key", "--config", f"{config}", "--json").output)
    assert shown["public_key"] == (tmp_path / "seal.pem.pub").read_text()
    assert len(shown["key_id"]) == 16
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="others may read or write it"):
        run("key", "--config", f"{config}")
    config.write_text("{}\n")
    with pytest.raises(ConfigurationError, match="nothing is sealed"):
        run("key", "--config", f"{config}")
