"""The study `spikes/0004-http-parser`, in short: what the verdict rests on, by running it."""

import json
import subprocess
from typing import Any

import pytest

from tests.builders.studies import unfounded
from tests.spikes.environment import ROOT, spikes_python

STUDY = ROOT / "spikes" / "0004-http-parser"
PARSERS = {"httptools", "zttp", "h11"}
ALL = {*PARSERS, "gateway/wire"}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a short run prints; it keeps the same in the folder it is given."""
    folder = tmp_path_factory.mktemp("study")
    done = subprocess.run(
        [spikes_python(), str(STUDY / "measure.py"), "--quick", "--json", "--to", str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert json.loads((folder / "results/quick.json").read_text()) == told
    return told


def let_through(found: dict[str, Any], name: str) -> int:
    """How many cases of the table a parser lets through."""
    return sum(map(len, found["strictness"]["let_through"][name].values()))


def test_no_parser_alone_keeps_what_the_gateway_refuses_and_the_wire_does(found: dict[str, Any]) -> None:
    """Each lets some of the table through, in other places; the gateway's wire lets none."""
    assert sum(found["strictness"]["rules"].values()) >= 100
    assert all(let_through(found, name) > 20 for name in PARSERS)
    assert let_through(found, "gateway/wire") == 0
    missed = {name: set(found["strictness"]["let_through"][name]) for name in PARSERS}
    assert missed["httptools"] != missed["zttp"] != missed["h11"]


def test_nothing_is_read_otherwise_in_pieces(found: dict[str, Any]) -> None:
    """A parser that depends on where the network cuts would be none."""
    assert found["differences"]["otherwise_in_pieces"] == dict.fromkeys(ALL, 0)


def test_the_wire_reads_no_other_requests_than_the_strict_ones(found: dict[str, Any]) -> None:
    """Where it takes a request at all, zttp and h11 take the same; httptools differs by what the wire keeps from it."""
    pairs = found["differences"]["pairs"]
    assert pairs["zttp / gateway/wire"].get("differ", 0) == 0
    assert pairs["h11 / gateway/wire"].get("differ", 0) == 0
    assert pairs["httptools / zttp"]["differ"] > 0
    assert all(sum(it.values()) == found["differences"]["inputs"] for it in pairs.values())


def test_the_known_gaps_of_each_api_are_as_they_are_told(found: dict[str, Any]) -> None:
    """What the wire works around in httptools is still so."""
    said = {row["what"]: row for row in found["behaviour"]}
    assert said["an answer to HEAD has no body"]["httptools"].startswith("no")
    assert said["the body of a request that offers an upgrade is read"]["httptools"].startswith("no")
    assert said["trailers stand apart from fields"]["httptools"].startswith("no")
    assert said["a head without an end is refused"]["httptools"].startswith("never")
    for row in said.values():
        assert all(row[name].startswith(("yes", "within")) for name in ("zttp", "h11")), row


def test_it_measures_what_the_study_asks(found: dict[str, Any]) -> None:
    """Speed of each on each kind of input, weight, threads, with machine and versions."""
    assert {"machine", "versions"} <= found.keys()
    figures = found["figures"]
    assert len(figures["us_a_request"]) == 5
    for work in figures["us_a_request"].values():
        assert work.keys() == ALL
        assert all(0 < it["low"] <= it["median"] <= it["high"] for it in work.values())
    assert figures["kib_a_connection"].keys() == figures["two_threads_times"].keys() == ALL


def test_the_page_has_the_numbers_that_were_kept() -> None:
    """The README's tables are those of the full run in `results`."""
    kept = json.loads((STUDY / "results/full.json").read_text())
    assert not kept["quick"]
    assert kept["differences"]["inputs"] >= 50_000
    page = (STUDY / "README.md").read_text()
    for work, it in kept["figures"]["us_a_request"].items():
        assert f"| {work} | {it['httptools']['median']:.3g} (" in page
    strict = kept["strictness"]
    totals = [sum(map(len, passed.values())) for passed in strict["let_through"].values()]
    assert unfounded(page, [kept, sum(strict["rules"].values()), *totals]) == []
