"""The back end that each test gets for itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.retail import Retail


@pytest.fixture
def retail(tmp_path: Path) -> Iterator[Retail]:
    """All seven services with the sample data, events spooled below `tmp_path`."""
    with Retail(tmp_path / "spool") as started:
        yield started
