"""The study `spikes/0001-cedar-or-oso`, in short: both engines are right, and the script says what it must."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.builders.studies import unfounded
from tests.builders.tables import shipped_cases
from tests.spikes.environment import ROOT, spikes_python

STUDY = ROOT / "spikes" / "0001-cedar-or-oso"
MEASURE = STUDY / "measure.py"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a short run prints; it keeps the same in the folder it is given."""
    folder = tmp_path_factory.mktemp("study")
    done = subprocess.run(
        [spikes_python(), str(MEASURE), "--quick", "--json", "--to", str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert json.loads((folder / "results/quick.json").read_text()) == told
    return told


def test_both_engines_answer_every_case_as_the_tables_say(found: dict[str, Any]) -> None:
    """The same role model, all cases, no mismatch; and none between them in the grown models."""
    assert found["correctness"] == {"cases": len(shipped_cases()), "mismatches": []}
    assert set(found["disagreements"].values()) == {0}


def test_it_measures_what_the_study_asks(found: dict[str, Any]) -> None:
    """Warm and cold of each engine and size, memory, threads, with the machine and the versions."""
    assert {"machine", "versions"} <= found.keys()
    for size in found["speed"]:
        assert size["warm_us"].keys() == {"Cedar, sliced", "Cedar, whole", "Oso"}
        assert size["cold_ms"].keys() == {"Lychgate's", "Cedar alone", "Oso"}
        for each in (*size["warm_us"].values(), *size["cold_ms"].values()):
            assert 0 < each["low"] <= each["median"] <= each["high"]
    assert found["memory"].keys() == {"10", "50"}
    assert {name: it["wrong"] for name, it in found["threads"].items()} == {"Cedar": 0, "Oso": 0}


def test_the_mistakes_are_made_and_the_engines_say_what_the_verdict_rests_on(found: dict[str, Any]) -> None:
    """Nine of them. The one that decides: with a misspelt attribute in what overrides, Oso lets the request pass."""
    said = {row["mistake"]: row for row in found["mistakes"]}
    assert len(said) == 9
    worst = said["an attribute misspelt in a rule that overrides"]
    assert (worst["Cedar when"], worst["Oso when"], worst["Oso says"]) == ("validation", "never", "Allow")
    assert said["a role misspelt"]["Cedar when"] == said["a role misspelt"]["Oso when"] == "never"
    assert found["explanation"] == {
        "case": "nobody refunds nothing",
        "Cedar": "deny by payment.refund-something",
        "Oso": "False",
    }


def test_the_page_has_the_numbers_that_were_kept() -> None:
    """The README's tables are those of the full run in `results`."""
    kept = json.loads((STUDY / "results/full.json").read_text())
    assert not kept["quick"]
    assert kept["correctness"]["mismatches"] == []
    assert [it["policies"] for it in kept["speed"]] == [10, 98, 998]
    page = Path(STUDY / "README.md").read_text()
    for size in kept["speed"]:
        assert f"| {size['policies']} | {size['warm_us']['Cedar, sliced']['median']:.3g} (" in page
    assert unfounded(page, kept) == []
