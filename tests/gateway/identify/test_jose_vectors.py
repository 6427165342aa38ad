"""Project Wycheproof's tokens and keys, each group's key served as the one issuer's key set.

`../shared/vectors/README.md` says what is expected: an invalid token ends at the format, key or signature stage, a
valid one only later, at its claims (none of them has any); a set with an `oct` key is refused outright.
"""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.identify.bearer import identify
from gateway.identify.keyring import Keyring
from gateway.identify.refusal import Reason, TokenRefused
from gateway.sources import IssuerKeys
from tests.builders.tokens import ISSUER, NOW, bearer, catalogue, source
from tests.builders.vectors import vectors

BEFORE_CLAIMS = {
    Reason.MALFORMED,
    Reason.HEADER,
    Reason.TOO_LONG,
    Reason.ALGORITHM,
    Reason.UNKNOWN_KEY,
    Reason.SIGNATURE,
}
# `corrections.json`: labelled valid, but the header names an algorithm for which the key's own `alg` does not hold it
# (PS384 under PS256) or one that does not exist (ES521). A verifier that honours `alg`, as ours does, refuses them.
PINNED = {346, 347, 350, 351}


def _load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(vectors("jose", name).read_text())
    return content


def _ring(group: Mapping[str, Any]) -> Keyring:
    """The group's key as published: its public half, or, for symmetric ones, the secret that nobody should publish."""
    key = group.get("public") or group["private"]
    published = key if "keys" in key else {"keys": [key]}
    return Keyring.build([source()], [IssuerKeys(ISSUER, json.dumps(published))])


def _reason(token: str, ring: Keyring) -> Reason:
    with pytest.raises(TokenRefused) as caught:
        identify(bearer(token.encode()), ring, catalogue(), NOW)
    return Reason(caught.value.reason)


def _run(name: str, excluded: set[int], pinned: set[int]) -> tuple[Counter[str], list[str]]:
    ran: Counter[str] = Counter()
    wrong: list[str] = []
    for group in _load(name)["testGroups"]:
        ring = _ring(group)
        symmetric = "oct" in json.dumps(group.get("public") or group["private"])
        if symmetric and [finding.reason for finding in ring.findings] != ["a symmetric key in a published set"]:
            wrong.append(f"{group['comment']}: the symmetric key was not refused outright: {ring.findings}")
        for case in group["tests"]:
            if case["tcId"] in excluded:
                continue
            reason = _reason(case["jws"], ring)
            holds = case["result"] == "valid" and not symmetric and case["tcId"] not in pinned
            expected = {Reason.CLAIMS} if holds else BEFORE_CLAIMS
            ran["verified, refused at its claims" if holds else f"refused: {reason}"] += 1
            if reason not in expected:
                wrong.append(f"{case['tcId']} {case['result']} {case['comment']}: {reason}")
    return ran, wrong


def test_web_signatures(capsys: pytest.CaptureFixture[str]) -> None:
    """Of 401 tokens, less those that `corrections.json` names, every one ends at the right stage."""
    excluded = {int(number) for number in _load("corrections.json")["exclude_tcIds"]}
    ran, wrong = _run("json_web_signature_test.json", excluded, PINNED)
    with capsys.disabled():
        print(f"\njose signatures: {ran.total()} ran, {len(excluded)} excluded; {dict(ran)}")  # noqa: T201 - asked for
    assert wrong == []
    assert ran.total() == 401 - len(excluded)
    assert ran["verified, refused at its claims"] == 32


def test_web_keys(capsys: pytest.CaptureFixture[str]) -> None:
    """Of 26 keys, only the sound one verifies: not a small, broken, mislabelled, misused or symmetric one."""
    ran, wrong = _run("json_web_key_test.json", set(), set())
    with capsys.disabled():
        print(f"\njose keys: {ran.total()} ran; {dict(ran)}")  # noqa: T201 - asked for
    assert wrong == []
    assert ran.total() == 26
    assert ran["verified, refused at its claims"] == 1
