"""Files for `cedar run-tests` are read as they are."""

import json
from typing import Any

from policies.engine import Engine
from policies.model import EntityUid
from roles.tables.run import run
from tests.builders.questions import real_catalogue
from tests.builders.tables import cases_of, documents

OWNED = {"owner": {"__entity": {"type": "Person", "id": 'al"ice'}}, "public": False}


def made(**changes: Any) -> dict[str, Any]:
    """A case: an owner edits."""
    return {
        "request": {
            "principal": 'Person::"al\\"ice"',
            "action": 'Action::"edit"',
            "resource": {"type": "Doc", "id": "d"},
            "context": {"hour": 3},
        },
        "entities": [
            {"uid": {"type": "Person", "id": 'al"ice'}, "attrs": {"level": 3}, "parents": []},
            {"uid": {"__entity": {"type": "Doc", "id": "d"}}, "attrs": OWNED, "parents": []},
        ],
        "decision": "allow",
        **changes,
    }


def test_a_file_of_cedars_runs() -> None:
    """Decision, reasons by either name, and the number of errors."""
    late = made()["request"] | {"context": {"hour": 23}}
    cases = [
        made(name="by full id", reason=["doc.owner"]),
        made(reason=["owner"]),
        made(request=late, decision="deny", reason=["night"], num_errors=1),
    ]
    bundle = documents()
    read = cases_of(json.dumps(cases, indent=1), bundle, "cases.json")
    assert [case.name for case in read] == ["by full id", "case 2", "case 3"]
    assert read[0].question.principal == EntityUid("Person", 'al"ice')
    assert [outcome.differences for outcome in run(read, Engine(bundle), real_catalogue())] == [(), (), ()]


def test_what_is_wrong_is_told() -> None:
    """Another decision, other reasons, another number of errors; without `reason` none is expected."""
    cases = [made(decision="deny"), made(reason=["public"]), made(num_errors=2), made()]
    bundle = documents()
    outcomes = run(cases_of(json.dumps(cases), bundle, "cases.json"), Engine(bundle), real_catalogue())
    assert [[each.field for each in outcome.differences] for outcome in outcomes] == [
        ["expect"],
        ["policies"],
        ["num_errors"],
        [],
    ]
