"""Cedar's own integration cases, through the engine: what other people wrote about what policies mean."""

import gzip
import json
from collections import Counter
from typing import Any

import cedarpy
import pytest

from policies.bundle import Bundle, Policy
from policies.engine import Engine
from policies.lexer import cut
from policies.model import Answer, Effect, Entity, EntityUid, Question
from policies.schema import Schema
from tests.builders.vectors import vectors

FILES = ("handwritten.jsonl", "corpus_dev.jsonl.gz")


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of a file; skipped with a reason where the folder is absent, but never in CI."""
    path = vectors("cedar", name)
    content = path.read_bytes()
    lines = (gzip.decompress(content) if path.suffix == ".gz" else content).decode().split("\n")
    return [json.loads(line) for line in lines if line]


def make_engine(case: dict[str, Any]) -> Engine:
    """An engine over a case's policies under the ids the case uses: their place in the file.

    Not by `policies.load`: these have no `@id`, and some are there because they do not validate.
    """
    trees = [tree_of(statement.text) for statement in cut("case.cedar", case["policies"])]
    policies = [
        Policy(
            id=f"policy{number}",
            effect=Effect.ALLOW if tree["effect"] == "permit" else Effect.DENY,
            reason="",
            file="case.cedar",
            line=1,
            text="",
            tree=tree,
        )
        for number, tree in enumerate(trees)
    ]
    return Engine(Bundle(policies, Schema("case.cedarschema", case["schema"])))


def tree_of(text: str) -> Any:
    """One policy in Cedar's JSON form."""
    (tree,) = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"].values()
    return tree


class TaggedEntity(Entity, frozen=True, kw_only=True):
    """An entity with tags, which our own entities do not have."""

    tags: dict[str, Any]


def uid(value: dict[str, str]) -> EntityUid:
    """An id as the vectors write it."""
    return EntityUid(value["type"], value["id"])


def decide(engine: Engine, case: dict[str, Any], request: dict[str, Any]) -> Answer:
    """What our engine says."""
    entities = tuple(
        TaggedEntity(
            uid(entity["uid"]), entity["attrs"], tuple(map(uid, entity["parents"])), tags=entity.get("tags", {})
        )
        for entity in case["entities"]
    )
    question = Question(uid(request["principal"]), "", uid(request["resource"]), request["context"], entities)
    return engine.decide_action(uid(request["action"]), question)


@pytest.mark.parametrize("name", FILES)
def test_cedar_vectors(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every request is decided as Cedar does, except that an erroring forbid denies."""
    counts: Counter[str] = Counter()
    for case in cases(name):
        engine = make_engine(case)
        for request in case["requests"]:
            where = f"{case['id']}: {request['description']}"
            answer = decide(engine, case, request)
            errors = {error.policy_id for error in answer.errors}
            assert errors == set(request["errors"]), where
            failed_forbids = {error.policy_id for error in answer.errors if error.effect is Effect.DENY}
            reasons = set(request["reason"])
            if request["decision"] == "allow" and failed_forbids:
                counts["allow that is a deny here, because a forbid failed"] += 1
                assert (answer.effect, set(answer.reasons)) == (Effect.DENY, failed_forbids), where
            elif request["decision"] == "deny":
                counts["deny"] += 1
                assert (answer.effect, set(answer.reasons)) == (Effect.DENY, reasons | failed_forbids), where
            else:
                counts["allow"] += 1
                assert (answer.effect, set(answer.reasons)) == (Effect.ALLOW, reasons), where
    with capsys.disabled():
        print(f"\n{name}: {counts.total()} requests ran: {dict(counts)}")  # noqa: T201 - the vectors' README asks for it
    assert counts.total() > 0
