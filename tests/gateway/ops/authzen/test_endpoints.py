"""The decision API as its callers see it, over HTTP, with what it leaves in the audit."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit.codec import decode
from audit.spool.segment import contents, segments
from tests.builders.decisions import OWN, Decisions, decisions, question
from tests.gateway.ops.port import PLATFORM, TRACE, bearer, service

GOOD = question(("user", "alice"), "read", ("record", "record-1"))
DENIED = question(("user", "bob"), "write", ("record", "record-1"))
PATHS = ["evaluation", "evaluations", "search/subject", "search/resource", "search/action"]


def refused(answer: httpx.Response, status: int, said: str) -> None:
    """A refusal in AuthZEN's form: a string, as JSON, kept by nobody."""
    assert (answer.status_code, answer.json()) == (status, said)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


# ---- who may ask


@pytest.mark.parametrize("path", PATHS)
async def test_a_caller_needs_a_credential(tmp_path: Path, path: str) -> None:
    """401 with the challenge, before the body is looked at; recorded like any stranger's refusal."""
    async with decisions(tmp_path, **OWN) as api:
        answer = await api.post(path, [], headers={"x-request-id": "r-1"})
        refused(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["x-request-id"] == "r-1"
        refused(await api.post(path, GOOD, headers=bearer("Service", PLATFORM, iat=1, exp=2)), 401, "token_expired")
        first, second = api.events
        assert (first.action, first.tenant_id, first.status) == ("decision:ask", "-", 401)
        assert second.tenant_id == PLATFORM


@pytest.mark.parametrize(
    ("role", "tenant", "status"),
    [
        ("Service", PLATFORM, 200),
        ("SuperAdmin", PLATFORM, 200),
        ("Service", "acme", 403),
        ("Admin", "acme", 403),
        ("Auditor", PLATFORM, 403),
    ],
)
async def test_the_policies_say_who_may_ask(tmp_path: Path, role: str, tenant: str, status: int) -> None:
    """`decision:ask` is the platform's machines'; a refusal of somebody known is on disk before it is answered."""
    async with decisions(tmp_path, **OWN) as api:
        answer = await api.post("evaluation", GOOD, headers=bearer(role, tenant))
        assert answer.status_code == status
        (event,) = api.events
        if status == 403:
            refused(answer, 403, "forbidden")
            assert (event.action, event.tenant_id, event.status) == ("decision:ask", tenant, 403)
            api.emitter.full = True
            refused(await api.post("evaluation", GOOD, headers=bearer(role, tenant)), 503, "audit_unavailable")


async def test_nobody_is_told_while_revocations_may_be_missing(tmp_path: Path) -> None:
    """Where the configuration says `refuse`: 503 until the fleet's are known again, and a record of it."""
    async with decisions(tmp_path, **OWN) as api:
        revocations = api.standing.snapshot.revocations
        revocations.stale = True
        try:
            refused(await api.post("evaluation", GOOD, headers=service()), 503, "policy_unavailable")
        finally:
            revocations.stale = False
        assert [(event.action, event.status) for event in api.events] == [("decision:ask", 503)]
        assert (await api.post("evaluation", GOOD, headers=service())).json() == {"decision": True}


# ---- what is asked


@pytest.mark.parametrize(
    ("content", "kind", "status", "said"),
    [
        (b"", "application/json", 400, "body: not strict JSON"),
        (b"{", "application/json", 400, "body: not strict JSON"),
        (b"\xff", "application/json", 400, "body: not strict JSON"),
        (b'{"subject": 1, "subject": 2}', "application/json", 400, "body: a member twice"),
        (b"[" * 200, "application/json", 400, "body: not strict JSON"),
        (b"[" * 100 + b"]" * 100, "application/json", 400, "body: too deep"),
        (b"{}", "application/json; charset=utf-8", 400, "subject: missing"),
        (b"{}", "text/plain", 400, "body: not application/json"),
        (b"{}", "", 400, "body: not application/json"),
        (b'{"a": "' + b"a" * 4096 + b'"}', "application/json", 413, "payload_too_large"),
    ],
)
async def test_what_is_no_request(tmp_path: Path, content: bytes, kind: str, status: int, said: str) -> None:
    """Refused with a string that says what is wrong, recorded, and never a fault of ours."""
    async with decisions(tmp_path, **OWN, body_bytes=2048) as api:
        headers = {**service(), "content-type": kind}
        refused(await api.client.post("/access/v1/evaluation", content=content, headers=headers), status, said)
        (event,) = api.events
        assert (event.status, event.action) == (status if status == 413 else event.status, "decision:ask")
        assert event.details is not None
        assert event.details["door"] == "authzen"


async def test_a_get_says_what_is_right(tmp_path: Path) -> None:
    """405 with `Allow`."""
    async with decisions(tmp_path, **OWN) as api:
        answer = await api.client.get("/access/v1/evaluation", headers=service())
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ([b"bfe9eb29-ab87-4ca3-be83-a1d5d8305716"], "bfe9eb29-ab87-4ca3-be83-a1d5d8305716"),
        ([b"a" * 128], "a" * 128),
        ([b"a" * 129], None),
        ([b"a b"], None),
        ([b"a\tb"], None),
        ([b"a\xffb"], None),
        ([b"a\r\nset-cookie: x=1"], None),
        ([b""], None),
        ([b"one", b"two"], None),
        ([], None),
    ],
)
async def test_the_callers_name_for_a_request(tmp_path: Path, sent: list[bytes], told: str | None) -> None:
    """Told again, and recorded, where it can stand in a head and a record; else as if it had not been sent."""
    async with decisions(tmp_path, **OWN) as api:
        fields = [(b"authorization", service()["authorization"].encode()), (b"content-type", b"application/json")]
        request = api.client.build_request("POST", "/access/v1/evaluation", content=json.dumps(GOOD))
        request.headers = httpx.Headers([*fields, *((b"x-request-id", value) for value in sent)])
        answer = await api.client.send(request)
        assert answer.json() == {"decision": True}
        assert answer.headers.get("x-request-id") == told
        assert "set-cookie" not in answer.headers
        (event,) = api.events
        assert (event.details or {}).get("request_id") == told


# ---- what is answered, and what stays of it


async def test_a_decision_and_its_record(tmp_path: Path) -> None:
    """One event a question: the asker is the actor, the subject stands in the input; booked to the asker's tenant."""
    async with decisions(tmp_path, **OWN) as api:
        headers = {**service(), "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        answer = await api.post("evaluation", GOOD, headers)
        assert answer.json() == {"decision": True}
        assert (await api.post("evaluation", DENIED)).json() == {"decision": False}
        allowed, denied = api.events
        assert answer.headers["x-decision-id"] == allowed.event_id
        assert allowed.event_type == "authz.decision.evaluated"
        assert (allowed.action, allowed.crud, allowed.status, allowed.tenant_id) == ("read", "x", 200, PLATFORM)
        assert allowed.actor is not None
        assert (allowed.actor.id, allowed.actor.roles) == ("integration", ("Service",))
        assert allowed.trace_id == TRACE
        assert allowed.decision is not None
        assert (allowed.decision.effect, allowed.decision.reasons) == ("allow", ("record.read",))
        bundle = api.sources.sheets(api.standing.snapshot).bundle
        assert bundle is not None
        assert allowed.decision.policy_version == bundle.version
        assert allowed.input is not None
        assert allowed.input.principal["id"] == "alice"
        assert allowed.input.resource == {"type": "record", "id": "record-1", "attrs": {"status": "active"}}
        assert allowed.input.truncated, "the groups are not in the record"
        assert allowed.request is not None
        assert allowed.request.route == "/access/v1/evaluation"
        assert allowed.details == {"door": "authzen"}
        assert denied.decision is not None
        assert (denied.decision.effect, denied.decision.reasons) == ("deny", ())
        assert api.counted("evaluation", "allow") == api.counted("evaluation", "deny") == 1


async def test_a_question_without_an_answer_is_a_deny(tmp_path: Path) -> None:
    """200, `false`, and the reason in the context and in the record, with what was asked."""
    async with decisions(tmp_path, **OWN) as api:
        answer = await api.decide(question(("user", "alice"), "burn", ("record", "record-1")))
        reason = "action.name: the schema declares no such action, or several"
        assert answer == {"decision": False, "context": {"error": {"status": 400, "message": reason}}}
        answer = await api.decide(question(("user", "alice"), "open", ("vault", "v-2")))
        assert answer["decision"] is False
        assert answer["context"]["error"]["message"].startswith("the question does not fit the schema: ")
        unknown, unfit = api.events
        assert (unknown.action, unknown.resource, unknown.input) == (None, None, None)
        assert unknown.decision is not None
        assert unknown.decision.effect == "deny"
        assert unknown.details == {
            "door": "authzen",
            "reason": reason,
            "subject_type": "user",
            "subject_id": "alice",
            "action": "burn",
            "resource_type": "record",
            "resource_id": "record-1",
        }
        assert unfit.action == "open"
        assert unfit.resource is not None
        assert unfit.resource.id == "v-2"
        assert api.counted("evaluation", "error") == 2


async def test_reasons_where_they_are_wanted(tmp_path: Path) -> None:
    """The policies that decided, and the id under which the audit has it."""
    async with decisions(tmp_path, **OWN, reasons=True) as api:
        answer = await api.decide(GOOD)
        (event,) = api.events
        assert answer == {"decision": True, "context": {"decision_id": event.event_id, "reasons": ["record.read"]}}
        answer = await api.decide(question(("user", "alice"), "burn", ("record", "record-1")))
        assert answer["context"].keys() == {"decision_id", "error"}


async def test_what_the_file_overrules_is_recorded(tmp_path: Path) -> None:
    """An auditor sees that a caller said otherwise."""
    async with decisions(tmp_path, **OWN) as api:
        await api.decide(question(("user", "bob", {"role": "clerk"}), "write", ("record", "record-2")))
        (event,) = api.events
        assert event.details == {"door": "authzen", "overruled": ["subject.role"]}


@pytest.mark.parametrize(
    ("semantic", "answered"),
    [
        (None, [True, False, True, False]),
        ("execute_all", [True, False, True, False]),
        ("deny_on_first_deny", [True, False]),
        ("permit_on_first_permit", [True]),
    ],
)
async def test_batches(tmp_path: Path, semantic: str | None, answered: list[bool]) -> None:
    """Three semantics; an event for each question that was asked, none for one that was not."""
    body: dict[str, Any] = {
        "subject": {"type": "user", "id": "bob"},
        "resource": {"type": "record", "id": "record-1"},
        "evaluations": [
            {"action": {"name": "read"}},
            {"action": {"name": "write"}},
            {"action": {"name": "read"}},
            {"resource": 7},
        ],
    }
    if semantic is not None:
        body["options"] = {"evaluations_semantic": semantic}
    async with decisions(tmp_path, **OWN) as api:
        answer = await api.post("evaluations", body)
        told = answer.json()["evaluations"]
        assert [one["decision"] for one in told] == answered
        if len(told) == 4:
            assert told[3]["context"]["error"] == {"status": 400, "message": "action: missing"}
        events = api.events
        assert [event.details and event.details["item"] for event in events] == list(range(len(answered)))
        assert len({event.event_id for event in events}) == len(events)
        assert len({event.trace_id for event in events}) == 1
        assert ("x-decision-id" in answer.headers) is (len(events) == 1)


async def test_a_batch_is_bounded(tmp_path: Path) -> None:
    """In items and bytes."""
    async with decisions(tmp_path, **OWN, batch_items=3) as api:
        body = {**GOOD, "evaluations": [{}] * 4}
        refused(await api.post("evaluations", body), 400, "evaluations: more than 3")
        assert (await api.post("evaluations", {**GOOD, "evaluations": [{}] * 3})).status_code == 200


async def test_durable_records_are_on_disk_before_the_answer(tmp_path: Path) -> None:
    """Where it is configured so; a batch waits once, and without a record there is no answer."""
    async with decisions(tmp_path, **OWN, durable=True) as api:
        body = {**GOOD, "evaluations": [{}] * 50}
        answer = await api.post("evaluations", body)
        assert len(answer.json()["evaluations"]) == 50
        assert _on_disk(tmp_path / "spool") == 50
        before = _syncs(api)
        await api.post("evaluations", body)
        assert _syncs(api) - before < 10, "one sync is for many"
        api.emitter.full = True
        refused(await api.post("evaluation", GOOD), 503, "audit_unavailable")


async def test_a_record_that_is_shed_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffered records may be shed when the spool is full; never in silence."""
    async with decisions(tmp_path, **OWN) as api:
        monkeypatch.setattr(api.emitter, "emit", lambda _: False)
        assert (await api.decide(GOOD))["decision"] is True
        assert api.registry.get_sample_value("lychgate_decision_api_unrecorded_total") == 1


async def test_a_fault_tells_nothing_and_allows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is a 500 with a fixed word, and recorded."""
    async with decisions(tmp_path, **OWN) as api:

        def broken(_: object) -> None:
            raise ZeroDivisionError("secret detail")

        monkeypatch.setattr(api.sources, "sheets", broken)
        answer = await api.post("evaluation", GOOD)
        refused(answer, 500, "internal")
        (event,) = api.events
        assert event.status == 500


async def test_metadata_is_what_is_configured(tmp_path: Path) -> None:
    """Open to anyone, recorded for nobody, and never what a request claims to have been sent to."""
    async with decisions(tmp_path, **OWN) as api:
        path = "/.well-known/authzen-configuration"
        answer = await api.client.get(path, headers={"host": "evil.example", "x-forwarded-host": "evil.example"})
        base = "http://127.0.0.1:8081"
        assert answer.json() == {
            "policy_decision_point": base,
            "access_evaluation_endpoint": f"{base}/access/v1/evaluation",
            "access_evaluations_endpoint": f"{base}/access/v1/evaluations",
            "search_subject_endpoint": f"{base}/access/v1/search/subject",
            "search_resource_endpoint": f"{base}/access/v1/search/resource",
            "search_action_endpoint": f"{base}/access/v1/search/action",
        }
        assert (await api.client.head(path)).status_code == 200
        assert api.events == []


async def test_requests_are_counted(tmp_path: Path) -> None:
    """By endpoint; decisions with all others of the gateway."""
    async with decisions(tmp_path, **OWN) as api:
        for path in PATHS:
            await api.post(path, GOOD)
        await api.client.get("/.well-known/authzen-configuration")
        for endpoint, count in (("evaluation", 1), ("evaluations", 1), ("search", 3), ("metadata", 1)):
            labels = {"endpoint": f"authzen_{endpoint}", "status": "2xx"}
            assert api.registry.get_sample_value("lychgate_ops_requests_total", labels) == count


async def test_others_run_while_a_batch_is_worked_on(tmp_path: Path) -> None:
    """The loop is not held for the whole of it."""
    async with decisions(tmp_path, **OWN, batch_items=1000, body_bytes=1024 * 1024) as api:
        ticks = 0
        body = {
            **question(("user", "keeper"), "open", None, context={"pin": 7}),
            "evaluations": [{"resource": {"type": "vault", "id": f"v-{number}"}} for number in range(1000)],
        }
        del body["resource"]
        done = asyncio.ensure_future(api.post("evaluations", body))
        while not done.done():
            await asyncio.sleep(0)
            ticks += 1
        assert len(done.result().json()["evaluations"]) == 1000
        assert ticks > 10


def _on_disk(folder: Path) -> int:
    """Decisions in the spool's segments."""
    found = [decode(record) for name in segments(folder) for record in contents(folder / name.text()).records]
    return len([event for event in found if event.event_type == "authz.decision.evaluated"])


def _syncs(api: Decisions) -> float:
    """Groups of records that were written."""
    (family,) = api.emitter._metrics.commit_records.collect()
    return sum(one.value for one in family.samples if one.name.endswith("_count"))
