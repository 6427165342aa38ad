"""Searches: what is found, in pages that nobody else can go on with, in bounded time."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.ops.authzen.asking import Asking
from gateway.ops.authzen.message import Kind, read_search
from gateway.ops.authzen.page import PageSeal
from gateway.ops.authzen.search import Searcher
from gateway.ops.authzen.sheets import Names, Sheets
from gateway.snapshot import build_snapshot
from policies.load import read_folder
from policies.model import EntityUid
from tests.builders import plane
from tests.builders.decisions import FIXTURE, OWN, Decisions, decisions, question
from tests.gateway.ops.port import PLATFORM, bearer

WHO = question({"type": "user"}, "read", ("record", "record-1"))
NOT_OURS = "page.token: not made for this search; leave it out to begin again"
NOW = "2026-11-26T12:00:00.000000Z"
ASKER = EntityUid("User", "dev/platform/integration")


async def pages(api: Decisions, kind: str, body: dict[str, Any], limit: int) -> list[list[Any]]:
    """Every page, gone through by token alone."""
    page = await api.search(kind, {**body, "page": {"limit": limit}})
    found = [page["results"]]
    while token := page["page"]["next_token"]:
        page = await api.search(kind, {**body, "page": {"token": token}})
        found.append(page["results"])
        assert len(found) < 50
    return found


async def test_a_page_that_holds_everything_needs_no_token(tmp_path: Path) -> None:
    """Results alone, sorted; each of them would be an allow."""
    async with decisions(tmp_path, **OWN) as api:
        answer = await api.search("subject", WHO)
        assert answer == {"results": [{"type": "user", "id": name} for name in ("alice", "bob", "keeper")]}
        for result in answer["results"]:
            assert (await api.decide({**WHO, "subject": result}))["decision"] is True


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_together_are_the_whole(tmp_path: Path, limit: int) -> None:
    """Nothing twice, nothing left out, no empty page, whatever the limit."""
    async with decisions(tmp_path, **OWN) as api:
        found = await pages(api, "subject", WHO, limit)
        assert [result["id"] for page in found for result in page] == ["alice", "bob", "keeper"]
        assert [len(page) for page in found] == [min(limit, 3 - at) for at in range(0, 3, limit)]


async def test_actions_are_found_by_what_callers_call_them(tmp_path: Path) -> None:
    """Those whose types fit, under the names of the table; paged like everything else."""
    own = {**OWN, "types": {"person": "user"}, "actions": {"view": "read", "look": "read", "burn": "delete"}}
    async with decisions(tmp_path, **own) as api:
        body = {"subject": {"type": "person", "id": "alice"}, "resource": {"type": "record", "id": "record-1"}}
        names = [result["name"] for page in await pages(api, "action", body, 1) for result in page]
        assert names == ["look", "view", "write"]
        for name in names:
            assert (await api.decide({**body, "action": {"name": name}}))["decision"] is True
        found = await api.search("subject", {**WHO, "subject": {"type": "person"}})
        assert found["results"][0] == {"type": "person", "id": "alice"}, "types are told as they were asked"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("subject", {**WHO, "subject": {"type": "spaceship"}}),
        ("subject", {**WHO, "resource": {"type": "spaceship", "id": "1"}}),
        ("subject", {**WHO, "action": {"name": "burn"}}),
        ("resource", {**WHO, "subject": {"type": "user", "id": "nobody"}}),
        ("action", {**WHO, "subject": {"type": "user", "id": "nobody"}}),
        ("action", {**WHO, "subject": {"type": "spaceship", "id": "1"}}),
    ],
)
async def test_nothing_is_found_of_what_is_not_there(tmp_path: Path, kind: str, body: Any) -> None:
    """An unknown type, action or name is no error."""
    async with decisions(tmp_path, **OWN) as api:
        if kind != "subject":
            body = {**body, "subject": {"id": "1", **body["subject"]}}
        assert await api.search(kind, body) == {"results": []}


async def test_what_is_said_of_what_is_looked_for_is_not_said_of_everybody(tmp_path: Path) -> None:
    """Properties of the search's target are no candidate's."""
    async with decisions(tmp_path, **OWN) as api:
        body = question({"type": "user", "properties": {"role": "admin"}}, "write", ("record", "record-2"))
        assert (await api.search("subject", body))["results"] == [{"type": "user", "id": "bob"}]


async def test_a_token_is_for_one_search_of_one_caller(tmp_path: Path) -> None:
    """Another question, kind, limit or caller is refused; another order of the same fields is not."""
    async with decisions(tmp_path, **OWN) as api:
        token = (await api.search("subject", {**WHO, "page": {"limit": 1}}))["page"]["next_token"]

        async def said(body: dict[str, Any], kind: str = "subject", **more: Any) -> Any:
            answer = await api.post(f"search/{kind}", body, **more)
            return answer.json() if answer.status_code == 400 else answer.status_code

        page: dict[str, Any] = {"page": {"token": token}}
        assert await said({**WHO, **page}) == 200
        assert await said(dict(reversed([*WHO.items(), *page.items()]))) == 200
        assert await said({**WHO, "page": {"token": token, "limit": 1}}) == 200
        assert await said({**WHO, "page": {"token": token, "limit": 2}}) == (
            "page.limit: not the one the search began with"
        )
        assert await said({**WHO, **page, "action": {"name": "write"}}) == NOT_OURS
        assert await said({**WHO, **page, "context": {"a": 1}}) == NOT_OURS
        assert await said({**WHO, **page, "resource": {"type": "record", "id": "record-2"}}) == NOT_OURS
        assert await said({**WHO, **page, "subject": {"type": "user", "id": "bob"}}, "resource") == NOT_OURS
        assert await said({**WHO, **page}, headers=bearer("Service", PLATFORM, sub="other")) == NOT_OURS
        assert await said({**WHO, "page": {"token": "x"}}) == "page.token: not one of ours"
        huge = {**WHO, **page, "context": {"n": 10**30}}
        assert await said(huge) == NOT_OURS


async def test_limits(tmp_path: Path) -> None:
    """None at all is none; more than is allowed is as many as is allowed."""
    async with decisions(tmp_path, **OWN, page_items=2) as api:
        nothing = await api.search("subject", {**WHO, "page": {"limit": 0}})
        assert nothing["results"] == []
        assert nothing["page"]["next_token"]
        page = await api.search("subject", {**WHO, "page": {"limit": 1000}})
        assert page["page"]["count"] == len(page["results"]) == 2
        assert (await api.search("subject", WHO))["page"]["count"] == 2


async def test_a_search_leaves_one_record(tmp_path: Path) -> None:
    """With what was asked, how many were looked at and how many were found; counted by candidate."""
    async with decisions(tmp_path, **OWN) as api:
        await api.search("subject", {**WHO, "page": {"limit": 2}})
        (event,) = api.events
        assert (event.action, event.status) == ("decision:ask", 200)
        assert event.details == {
            "door": "authzen",
            "search": "subject",
            "subject_type": "user",
            "subject_id": "",
            "asked_action": "read",
            "resource_type": "record",
            "resource_id": "record-1",
            "candidates": event.details["candidates"] if event.details else None,
            "unfit": 0,
            "found": 2,
        }
        assert api.counted("search", "allow") == 3, "one more was looked at, to know that there is a next page"


def many(count: int) -> Sheets:
    """The fixture with so many more people, of whom the last may read."""
    listed = json.loads((FIXTURE / "entities.json").read_text())
    for number in range(count):
        staff = [{"type": "group", "id": "staff"}] if number == count - 1 else []
        listed.append({"uid": {"type": "user", "id": f"z-{number:05}"}, "attrs": {}, "parents": staff})
    return Sheets.build(Names(), ("", ""), read_folder(FIXTURE), ("e.json", json.dumps(listed)), strict=False)


async def test_a_page_takes_bounded_time(tmp_path: Path) -> None:
    """When its time is over it ends, perhaps with nothing, and has a token; going on finds what there is."""
    snapshot = build_snapshot(plane.sources(9002))
    asking = Asking(many(300), snapshot, NOW)
    searcher = Searcher(PageSeal(), 1000, within_s=0.0)
    wanted = read_search(WHO, Kind.SUBJECT)
    names: list[str] = []
    rounds = 0
    while rounds < 1000:
        rounds += 1
        body, found = await searcher.search(wanted, asking, ASKER)
        assert found.asked == 1, "no more than one question when there is no time"
        names += [result["id"] for result in body["results"]]
        if "page" not in body or not body["page"]["next_token"]:
            break
        wanted = read_search({**WHO, "page": {"token": body["page"]["next_token"]}}, Kind.SUBJECT)
    assert names == ["alice", "bob", "keeper", "z-00299"]
    assert rounds > 300


async def test_others_run_while_a_search_is_worked_on(tmp_path: Path) -> None:
    """It holds the loop for a turn at a time."""
    asking = Asking(many(1000), build_snapshot(plane.sources(9002)), NOW)
    searcher = Searcher(PageSeal(), 1000, within_s=60.0)
    done = asyncio.ensure_future(searcher.search(read_search(WHO, Kind.SUBJECT), asking, ASKER))
    ticks = 0
    while not done.done():
        await asyncio.sleep(0)
        ticks += 1
    assert len(done.result()[0]["results"]) == 4
    assert ticks > 5
