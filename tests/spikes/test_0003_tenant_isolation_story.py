"""The study of tenant isolation in its short form: what leaks under which model, on a real PostgreSQL."""

import json
from typing import Any

import pytest

from tests.builders.studies import ROOT, imported, results, run

STUDY = "0003-tenant-isolation"
OF_OURS = {
    "the filter is forgotten": "holds",
    "injected into a filter: `OR true`": "holds",
    "injected: `UNION` over the other's rows by name": "holds",
    "injected: a second statement that says another tenant": "LEAKS",
    "injected: `set_config` inside the one statement": "LEAKS",
    "pooled connection: said for the session, the next says nothing": "LEAKS",
    "pooled connection: said for the transaction, the next says nothing": "holds",
    "prepared under the other, run again as me": "holds",
    "`SET row_security = off` by the login": "holds",
    "a cast that quotes the value in its error": "holds",
    "`EXPLAIN`: how many rows the other has": "LEAKS",
    "`pg_stats`: values of the other's columns": "holds",
    "the catalogue: who the tenants are, and how large": "holds",
    "`COPY (SELECT ...) TO STDOUT`": "holds",
    "straight from a partition or table underneath": "holds",
    "a `SECURITY DEFINER` function that forgets the tenant": "LEAKS",
    "a view of the owner's, without `security_invoker`": "LEAKS",
    "a key's conflict tells that the other's id exists (needs INSERT)": "LEAKS",
    "the search path names another tenant, by mistake": "-",
}
"""Of shared tables with row-level security, which is what the store has."""


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What the short form finds."""
    done = run(STUDY, "--quick", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_the_models_answer_alike(found: dict[str, Any]) -> None:
    """Same rows, same answers, and nothing of a tenant stays on a pooled connection."""
    assert found["different"] == []
    for name in ("filter", "rls", "schema", "partition"):
        at = found["models"][name]["at"]["8"]
        assert len(at["latency"]) == 4, name
        assert (at["pooled"]["setting_left"], at["pooled"]["path_left"]) == ("", '"$user", public'), name
        assert at["migration"]["whole"], name
        assert at["backup"]["error"] == "", name
        assert at["backup"]["bytes"] > 1000, name
        assert at["inserted_s"] > 0, name


def test_a_table_for_each_tenant_is_so_many_tables(found: dict[str, Any]) -> None:
    """What grows with the tenants: relations and locks, and what does not."""
    of = {name: found["models"][name]["at"]["8"] for name in ("filter", "rls", "schema", "partition")}
    assert of["filter"]["catalogue"]["relations"] == of["rls"]["catalogue"]["relations"]
    for many in ("schema", "partition"):
        assert of[many]["catalogue"]["relations"] > of["rls"]["catalogue"]["relations"] + 8
        assert of[many]["migration"]["locks"] > of["rls"]["migration"]["locks"]
        assert of[many]["leaving"]["freed_mib"] > 0 == of["rls"]["leaving"]["freed_mib"]


def test_what_leaks(found: dict[str, Any]) -> None:
    """Each attempt was made on each model; ours holds where a query is wrong, and not where SQL itself is foreign."""
    leaks = {name: found["models"][name]["leaks"] for name in ("filter", "rls", "schema", "partition")}
    assert leaks["rls"] == OF_OURS
    assert {name: sum(each == "LEAKS" for each in told.values()) for name, told in leaks.items()} == {
        "filter": 13,
        "rls": 7,
        "schema": 8,
        "partition": 13,
    }
    assert leaks["filter"]["the filter is forgotten"] == leaks["partition"]["the filter is forgotten"] == "LEAKS"
    assert leaks["schema"]["the search path names another tenant, by mistake"] == "LEAKS"


def test_the_readme_is_what_the_script_found() -> None:
    """Every table of the page is made from the results beside it, and its leaks are those of today."""
    page = (ROOT / "spikes" / STUDY / "README.md").read_text(encoding="utf-8")
    kept = results(STUDY)
    measured = pytest.importorskip("spikes.measured")
    with imported(STUDY, "run") as [script]:
        for name, body in script.tables(kept).items():
            assert measured.between(page, name, body) == page, name
    assert kept["different"] == []
    assert kept["models"]["rls"]["leaks"] == OF_OURS


def test_what_cannot_be_measured_is_refused() -> None:
    """Too few tenants for an attempt, and times of a short run in the README: usage errors."""
    assert run(STUDY, "--tenants", "2").returncode == 2
    assert run(STUDY, "--quick", "--write").returncode == 2
