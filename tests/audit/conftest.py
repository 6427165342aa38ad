"""What the tests of the audit share: a migrated store of their own, and its three logins."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from audit.emit import Emitter
from audit.migrate import READER, WRITER, migrate
from tests.servers.postgres import Postgres

_WRITER_PASSWORD = "writes-only"
_READER_PASSWORD = "reads-only"


@dataclass(frozen=True)
class StoreLogins:
    """A migrated database and who may come to it."""

    owner: str

    @property
    def writer(self) -> str:
        """The DSN of `audit_writer`."""
        return self._as(WRITER, _WRITER_PASSWORD)

    @property
    def reader(self) -> str:
        """The DSN of `audit_reader`."""
        return self._as(READER, _READER_PASSWORD)

    def _as(self, user: str, password: str) -> str:
        parts = urlsplit(self.owner)
        return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.hostname}:{parts.port}"))


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> Iterator[str]:
    """The name of a migrated database to copy from."""
    import asyncio

    name = postgres.create()
    asyncio.run(migrate(postgres.dsn(name), writer_password=_WRITER_PASSWORD, reader_password=_READER_PASSWORD))
    yield name
    postgres.drop(name)


@pytest.fixture
def logins(postgres: Postgres, migrated_template: str) -> Iterator[StoreLogins]:
    """A migrated database that is this test's alone."""
    name = postgres.create(migrated_template)
    yield StoreLogins(postgres.dsn(name))
    postgres.drop(name)


@pytest.fixture
def emitter(tmp_path: Path) -> Iterator[Emitter]:
    """An emitter over a spool folder of its own."""
    made = Emitter(tmp_path / "spool" / "test", "test")
    yield made
    made.close()
