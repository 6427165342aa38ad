"""The store brought forward, from nothing and again."""

from urllib.parse import urlsplit

import pytest

from audit.settings import LoginSettings, StoreSettings
from lychgate.errors import PostgresFailed
from lychgate.store import bring_forward, described
from tests.servers.postgres import Postgres


def settings(postgres: Postgres, database: str) -> StoreSettings:
    """A section that points at the tests' server."""
    parts = urlsplit(postgres.owner_dsn)
    owner = LoginSettings.model_validate({"user": parts.username, "password": parts.password})
    return StoreSettings(host=parts.hostname or "", port=parts.port or 0, database=database, owner=owner)


def test_a_database_that_is_not_there_is_made_and_brought_forward(postgres: Postgres) -> None:
    """Again, it is up to date: nothing is applied twice."""
    name = postgres.create()
    postgres.drop(name)
    try:
        first = bring_forward(settings(postgres, name))
        assert first
        assert postgres.sql("SELECT to_regclass('audit_events') IS NOT NULL", database=name) == "t"
        assert bring_forward(settings(postgres, name)) == []
        assert described(first).startswith("applied 0001")
        assert described([]) == "the store is up to date"
    finally:
        postgres.drop(name)


def test_a_store_that_is_not_there_is_named_without_its_password(postgres: Postgres) -> None:
    """Host, port and database; never the secret."""
    away = settings(postgres, "nowhere").model_copy(update={"port": 1})
    with pytest.raises(PostgresFailed, match=r"127\.0\.0\.1:1/nowhere") as raised:
        bring_forward(away)
    secret = away.owner.secret()
    assert secret
    assert secret not in str(raised.value)
