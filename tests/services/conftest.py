"""The back end that each test gets for itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lychgate.coverage.observed import check, runs_of
from tests.builders.claims import claims
from tests.builders.retail import Retail


@pytest.fixture
def retail(tmp_path: Path) -> Iterator[Retail]:
    """All seven services with the sample data, events spooled below `tmp_path`.

    Whatever ran in the test is held against what the coverage scanner claims of it.
    """
    with Retail(tmp_path / "spool") as started:
        yield started
    assert check(claims(), runs_of(started.observer.lines, "this test")).findings == ()
