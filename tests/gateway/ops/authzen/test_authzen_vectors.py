"""OpenID's certification cases and interop decisions, each through the real HTTP API.

`../shared/vectors/README.md` says what is expected; search results are compared as sets.
"""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders.decisions import OWN, Decisions, decisions
from tests.builders.vectors import vectors
from tests.gateway.ops.port import service

PUBLIC = "https://pdp.example"
NO_NEXT_TOKEN = "<next_token from previous response>"


async def test_certification(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every case of every level: Basic, Batch, Search, Discovery."""
    cases = json.loads(vectors("authzen", "certification-cases.json").read_text())["cases"]
    async with decisions(tmp_path, **OWN, public_url=PUBLIC) as api:
        for case in cases:
            await _case(api, case)
    with capsys.disabled():
        print(f"\ncertification-cases.json: {len(cases)} cases ran")  # noqa: T201 - the vectors' README asks for it
    assert len(cases) == 56


async def test_interop_decisions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The to-do application's decisions, single and in batches."""
    document = json.loads(vectors("authzen", "todo-1_0-02.json").read_text())
    async with decisions(tmp_path, **OWN) as api:
        for number, case in enumerate(document["evaluation"]):
            assert await api.decide(case["request"]) == {"decision": case["expected"]}, number
        for number, case in enumerate(document["evaluations"]):
            answer = await api.post("evaluations", case["request"])
            assert answer.json() == {"evaluations": case["expected"]}, number
    ran = len(document["evaluation"]) + len(document["evaluations"])
    with capsys.disabled():
        print(f"\ntodo-1_0-02.json: {ran} decisions ran")  # noqa: T201 - the vectors' README asks for it
    assert ran == 43


async def _case(api: Decisions, case: dict[str, Any]) -> None:
    """Send what the case says, and hold the answer against what it expects."""
    where = f"{case['id']}: {case['title']}"
    headers = {**service(), **case.get("headers", {})}
    if case["method"] == "GET":
        answer = await api.client.get(case["path"])
    elif "raw_body" in case:
        answer = await api.client.post(case["path"], content=case["raw_body"], headers=headers)
    else:
        request = await _with_token(api, case, headers)
        answer = await api.client.post(case["path"], json=request, headers=headers)
    assert answer.status_code == case["expected_status"], f"{where}: {answer.text}"
    assert answer.headers["content-type"] == "application/json", where
    if "X-Request-ID" in headers:
        assert answer.headers["x-request-id"] == headers["X-Request-ID"], where
    _compare(answer, case, where)


async def _with_token(api: Decisions, case: dict[str, Any], headers: dict[str, str]) -> Any:
    """The request; where it goes on, with the token of a first page that is made for it here."""
    request = case["request"]
    if request.get("page", {}).get("token") != NO_NEXT_TOKEN:
        return request
    first = await api.client.post(case["path"], json={**request, "page": {"limit": 1}}, headers=headers)
    token = first.json()["page"]["next_token"]
    assert token, "there is more than one result"
    return {**request, "page": {"token": token}}


def _compare(answer: httpx.Response, case: dict[str, Any], where: str) -> None:
    expected, body = case["expected_body"], answer.json()
    if answer.status_code >= 400:
        assert isinstance(body, str), where
        assert body, where
    elif "/search/" in case["path"]:
        found = {tuple(sorted(result.items())) for result in body["results"]}
        if expected is not None:
            wanted = {tuple(sorted(result.items())) for result in expected["results"]}
            assert wanted <= found, where
            assert bool(wanted) == bool(found), where
        if "page" in body:
            assert isinstance(body["page"]["next_token"], str), where
    elif case["method"] == "GET":
        assert body["policy_decision_point"] == PUBLIC
        assert all(url.startswith("https://") for url in body.values())
        assert body["access_evaluation_endpoint"] == f"{PUBLIC}/access/v1/evaluation"
    elif isinstance(expected, dict) and "evaluations" in expected:
        assert [one["decision"] for one in body["evaluations"]] == [one["decision"] for one in expected["evaluations"]]
    elif isinstance(expected, dict):
        assert body["decision"] is expected["decision"], where
    elif "evaluations" in (case.get("request") or {}):
        assert len(body["evaluations"]) == len(case["request"]["evaluations"]), where
        assert all(isinstance(one["decision"], bool) for one in body["evaluations"]), where
        if "second evaluation" in case["label"]:
            assert body["evaluations"][1]["decision"] is False
    else:
        assert isinstance(body["decision"], bool), where
