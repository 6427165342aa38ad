"""What the tests of the audit share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.emit import Emitter


@pytest.fixture
def emitter(tmp_path: Path) -> Iterator[Emitter]:
    """An emitter over a spool folder of its own."""
    made = Emitter(tmp_path / "spool" / "test", "test")
    yield made
    made.close()
