"""What the linter of events finds in labelled snippets: all that is labelled, and nothing else."""

from pathlib import Path

import pytest

from tests.builders.event_cases import Case, cases, found_in


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_what_is_found_is_what_is_labelled(case: Case, tmp_path: Path) -> None:
    """Each finding by its line and its rule."""
    assert found_in(case, tmp_path) == case.wanted, f"{case.why}\n{case.code}"
