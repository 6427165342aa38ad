"""A store with three weeks of rows, sealed once a session; each test has a copy of it, with its key and its file."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audit.event import Phase
from tests.builders.seals import SealedStore, event_of
from tests.servers.postgres import Logins, Postgres, logins_of


@pytest.fixture(scope="session")
def sealed_template(
    postgres: Postgres, migrated_template: Callable[[Postgres], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The database and the folder with key and checkpoints."""
    name, folder = postgres.create(migrated_template(postgres)), tmp_path_factory.mktemp("sealed")
    with ThreadPoolExecutor(max_workers=1) as pool:  # a thread of its own: a loop may be running in this one
        pool.submit(lambda: asyncio.run(_fill(logins_of(postgres, name), folder))).result()
    yield name, folder
    postgres.drop(name)


async def _fill(logins: Logins, folder: Path) -> None:
    """Rows of three closed weeks, the last of which ended a week ago at least."""
    store = SealedStore(logins, folder)
    rows = [event_of(ago, at, tenant_id="acme" if at % 2 else "globex") for ago in (2, 3, 4) for at in range(300)]
    rows += [event_of(3, 1000, phase=phase) for phase in (Phase.DECIDED, Phase.COMPLETED)]
    await store.write(rows)
    await store.complete()
    await store.seal()


@pytest.fixture
def sealed_store(postgres: Postgres, sealed_template: tuple[str, Path], tmp_path: Path) -> Iterator[SealedStore]:
    """A sealed store of this test's own."""
    template, folder = sealed_template
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    name = postgres.create(template)
    yield SealedStore(logins_of(postgres, name), tmp_path)
    postgres.drop(name)
