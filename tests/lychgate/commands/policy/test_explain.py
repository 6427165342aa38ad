"""`lychgate policy explain` as it is called."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lychgate.cli import app
from lychgate.errors import ConfigurationError
from tests.builders.questions import ROOT, make_principal, make_question, real_bundle


def explain(*words: str, stdin: str | None = None) -> Result:
    """Run it in this process, at the repository's top."""
    return CliRunner().invoke(app, ["policy", "explain", *words], input=stdin)


@pytest.fixture(autouse=True)
def _at_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def event(**changes: Any) -> str:
    """A recorded decision: a Manager was refused a refund."""
    question = make_question(make_principal(["Manager"]), "payment:refund", context={"amount": 60000})
    principal, resource = question.entities
    told: dict[str, Any] = {
        "event_id": "e-1",
        "action": question.action,
        "decision": {"effect": "deny", "reasons": [], "policy_version": real_bundle().version},
        "input": {
            "principal": {
                "type": "User",
                "id": principal.uid.id,
                "attrs": dict(principal.attrs),
                "parents": [{"type": each.type, "id": each.id} for each in principal.parents],
            },
            "resource": {"type": "Payment", "id": resource.uid.id, "attrs": dict(resource.attrs)},
            "context": dict(question.context),
        },
    }
    return json.dumps({**told, **changes})


DISCOUNT = ("--role", "POS_OPERATOR", "--action", "order:discount", "--context")


def test_the_exit_code_is_the_answer() -> None:
    """0 for an allow, 1 for a deny."""
    allowed = explain(*DISCOUNT, "percent=10")
    assert (allowed.exit_code, allowed.stdout.startswith("ALLOW: Cashier of `acme`")) == (0, True)
    denied = explain(*DISCOUNT, "percent=11")
    assert denied.exit_code == 1
    assert denied.stdout.endswith("enough would have been percent = 10 instead of 11\n")


def test_the_same_as_json() -> None:
    """One line, for scripts."""
    told = json.loads(explain(*DISCOUNT, "percent=60", "--json").stdout)
    assert told["roles_enough"] == {"alone": ["Admin"], "together": []}
    assert told["changes_enough"]["sets"] == [[{"attribute": "percent", "old": 60, "new": 10, "removed": False}]]


def test_a_request_from_a_file(tmp_path: Path) -> None:
    """In the form of the decision tables."""
    file = tmp_path / "r.json"
    file.write_text('{"action": "order:read", "roles": ["Admin"], "resource": {"tenant": "globex"}}')
    found = explain("--request", str(file))
    assert found.exit_code == 1
    assert "forbidden by tenancy.wall" in found.stdout


def test_a_recorded_decision_from_standard_input() -> None:
    """What was decided then stands beside what would be now."""
    told = json.loads(explain("--event", "-", "--json", stdin=event()).stdout)
    assert told["recorded"] == {
        "event_id": "e-1",
        "effect": "deny",
        "reasons": [],
        "policy_version": real_bundle().version,
        "same_policies": True,
        "same_effect": True,
    }
    assert told["roles_enough"]["alone"] == ["Admin"]
    people = explain("--event", "-", stdin=event(decision={"effect": "allow", "policy_version": "v0"}))
    assert "decision e-1: allow, by policies v0, not by these" in people.stdout
    assert "what was allow then is deny now" in people.stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "what is to be explained"),
        (("--action", "order:read", "--event", "-"), r"one of --action, --request, --event and --decision"),
        (("--event", "-", "--role", "Cashier"), "--role, --tenant, --user, .* go with --action"),
        (("--action", "order:fly"), "the schema declares no action `order:fly`"),
        (("--action", "order:discount", "--role", "Cashier"), "`order:discount` needs `percent`"),
        ((*DISCOUNT, "percent=much"), "the request does not fit the schema: "),
        (("--action", "order:read", "--role", "Boss"), "there is no role `Boss`"),
        (("nowhere", "--action", "order:read"), "nowhere: there is no such folder"),
        (("--decision", "e-1"), "--decision: needs --token-file"),
        (("--decision", "e-1", "--token-file", "nowhere"), "nowhere: cannot be read"),
        (("--request", "nowhere.json"), "nowhere.json: cannot be read"),
    ],
)
def test_wrong_usage_says_why(words: tuple[str, ...], reason: str) -> None:
    """Exit code 2, through `lychgate.cli.main`."""
    with pytest.raises(ConfigurationError, match=reason):
        raise explain(*words).exception or AssertionError("it ran")


def test_a_masked_event_is_not_explained() -> None:
    """It may hide what mattered."""
    hidden = event(redacted=[{"path": "input.principal.id", "how": "mask", "reason": "pii"}])
    with pytest.raises(ConfigurationError, match=r"cannot be explained: the event does not show `input.principal.id`"):
        raise explain("--event", "-", stdin=hidden).exception or AssertionError("it ran")
