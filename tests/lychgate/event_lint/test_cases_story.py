"""What the linter of events finds in labelled snippets: all that is labelled, and nothing else."""

from pathlib import Path

import pytest

from tests.builders.event_cases import Case, cases, found_in

GUIDE = Path(__file__).parents[3] / "docs/guides/event-types.md"


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_what_is_found_is_what_is_labelled(case: Case, tmp_path: Path) -> None:
    """Each finding by its line and its rule; a case that it is not up to stays in the set, and says why."""
    found = found_in(case, tmp_path)
    assert (found == case.wanted) is not bool(case.wrong), f"{case.why}\n{sorted(found)}\n{case.code}"


def test_precision_and_recall_are_what_the_guide_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Over all labels, at least 0.95 each; printed, and kept in the guide."""
    rows = []
    for name, held_out in (("labelled in the open", False), ("held out, as it is now", True)):
        chosen = [case for case in cases() if case.held_out is held_out]
        right = found = wanted = 0
        for case in chosen:
            (tmp_path / case.name).mkdir()
            findings = found_in(case, tmp_path / case.name)
            right += len(findings & case.wanted)
            found += len(findings)
            wanted += len(case.wanted)
        assert min(right / found, right / wanted) >= 0.95
        rows.append(f"| {name} | {len(chosen)} | {wanted} | {right / found:.3f} | {right / wanted:.3f} |")
    with capsys.disabled():
        print("\n" + "\n".join(rows))  # noqa: T201 - what was measured
    text = GUIDE.read_text(encoding="utf-8")
    assert [row for row in rows if row not in text] == []
