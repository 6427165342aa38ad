"""A real PostgreSQL for the tests: one a session, a database of its own for each test.

`LYCHGATE_TEST_POSTGRES` (the owner's DSN, a superuser's) names a server that is there already; otherwise one is started
from the wheel on a free port, in a folder of its own, and is gone afterwards. It runs without fsync: what a test proves
about durability it proves on the spool.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import pytest

from audit.migrate import KEEPER, READER, WRITER, migrate
from lychgate.postgres import PostgresServer
from lychgate.postgres.place import wheel

ADDRESS_VARIABLE = "LYCHGATE_TEST_POSTGRES"
WRITER_PASSWORD = "the-writer-of-the-tests"
READER_PASSWORD = "the-reader-of-the-tests"
KEEPER_PASSWORD = "the-keeper-of-the-tests"
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}


@dataclass(frozen=True)
class Postgres:
    """A running server and how its owner logs in."""

    owner_dsn: str

    def dsn(self, database: str) -> str:
        """The owner's DSN of another database."""
        return urlunsplit(urlsplit(self.owner_dsn)._replace(path=f"/{database}"))

    def sql(self, statement: str, *, database: str | None = None) -> str:
        """Run one statement as the owner, synchronously; returns what psql prints, unaligned."""
        to = urlsplit(self.owner_dsn if database is None else self.dsn(database))
        login = {"PGHOST": to.hostname, "PGPORT": str(to.port), "PGUSER": to.username, "PGDATABASE": to.path[1:]}
        login["PGPASSWORD"] = unquote(to.password or "")
        command = [str(wheel() / "bin" / "psql"), "--no-psqlrc", "-X", "-At", "-v", "ON_ERROR_STOP=1", "-c", statement]
        environment = {name: value for name, value in login.items() if value}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{statement}: {done.stderr.strip()}")
        return done.stdout.strip()

    def create(self, template: str = "template1") -> str:
        """Make a fresh database, return its name."""
        name = f"t_{uuid.uuid4().hex[:16]}"
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever is still connected."""
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real server, for the whole session."""
    if given := os.environ.get(ADDRESS_VARIABLE):
        yield Postgres(given)
        return
    # Not pytest's tmp_path: that is 0700, and under root the server runs as a user who could not enter it.
    folder = Path(tempfile.mkdtemp(prefix="lychgate-test-"))
    folder.chmod(0o711)
    server = PostgresServer(folder / "postgres", options=_FAST, sync=False)
    try:
        server.start()
        yield Postgres(server.dsn())
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The owner's DSN of an empty database that is this test's alone."""
    name = postgres.create()
    yield postgres.dsn(name)
    postgres.drop(name)


@dataclass(frozen=True)
class Logins:
    """A migrated database and how each of its users logs in."""

    owner: str
    writer: str
    reader: str
    keeper: str


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> Iterator[str]:
    """The name of a database that was brought forward once; each test gets a copy, which is quicker than migrating."""
    name = postgres.create()
    with ThreadPoolExecutor(max_workers=1) as pool:  # a thread of its own: a loop may be running in this one
        pool.submit(
            lambda: asyncio.run(
                migrate(
                    postgres.dsn(name),
                    writer_password=WRITER_PASSWORD,
                    reader_password=READER_PASSWORD,
                    keeper_password=KEEPER_PASSWORD,
                )
            )
        ).result()
    yield name
    postgres.drop(name)


@pytest.fixture
def migrated_database(postgres: Postgres, migrated_template: str) -> Iterator[Logins]:
    """A database of this test's own with the audit's schema in it."""
    name = postgres.create(migrated_template)
    yield logins_of(postgres, name)
    postgres.drop(name)


def logins_of(postgres: Postgres, name: str) -> Logins:
    """How the users of a migrated database log in."""
    dsn = postgres.dsn(name)
    return Logins(
        owner=dsn,
        writer=_as_user(dsn, WRITER, WRITER_PASSWORD),
        reader=_as_user(dsn, READER, READER_PASSWORD),
        keeper=_as_user(dsn, KEEPER, KEEPER_PASSWORD),
    )


def _as_user(dsn: str, user: str, password: str) -> str:
    """The same database for another login."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{host}"))
