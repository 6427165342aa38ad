"""What the tests of the outbox share."""

from collections.abc import AsyncIterator

import pytest

from tests.builders.outbox import Shop


@pytest.fixture
async def shop(database: str) -> AsyncIterator[Shop]:
    """A service's database with an outbox."""
    made = Shop(database)
    await made.install()
    yield made
    await made.remove()
