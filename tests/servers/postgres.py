"""A real PostgreSQL for the tests: one a session, a database of its own for each test.

`LYCHGATE_TEST_POSTGRES` (the owner's DSN, a superuser's) names a server that is there already; otherwise one is started
from the wheel on a free port, in a folder of its own, and is gone afterwards. It runs without fsync: what a test proves
about durability it proves on the spool.
"""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import pytest

from lychgate.postgres import PostgresServer
from lychgate.postgres.place import wheel

ADDRESS_VARIABLE = "LYCHGATE_TEST_POSTGRES"
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
