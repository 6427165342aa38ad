"""Tests of `audit.sinks.bulk`: what is sent, and how much of an answer is believed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import SinkUnavailable
from audit.sinks import bulk

DOCUMENTS = [bulk.document("audit-events", f"id-{n}-single", 1_793_664_000_000, b'{"n":1}') for n in range(3)]


def answer(*items: dict[str, Any]) -> bytes:
    """An answer with these items."""
    return json.dumps({"errors": True, "items": [{"create": item} for item in items]}).encode()


def item(at: int, status: int, kind: str | None = None) -> dict[str, Any]:
    """The item of a document."""
    return {"_id": f"id-{at}-single", "status": status} | ({"error": {"type": kind}} if kind else {})


def test_a_document_is_an_action_and_a_line() -> None:
    """In the index of its id's month."""
    action, body, rest = DOCUMENTS[0].lines.split(b"\n")
    assert json.loads(action) == {"create": {"_index": "audit-events-2026.11", "_id": "id-0-single"}}
    assert (body, rest) == (b'{"n":1}', b"")
    with pytest.raises(ValueError, match="calendar"):
        bulk.document("a", "k", (1 << 48) - 1, b"{}")


@given(st.lists(st.integers(0, 300), max_size=30), st.integers(1, 500))
def test_requests_hold_every_document_once_and_are_no_larger_than_they_may(sizes: list[int], most: int) -> None:
    """One document alone may be larger: it is the engine who refuses it."""
    documents = [bulk.Document(str(at), b"x" * size) for at, size in enumerate(sizes)]
    parts = list(bulk.requests(documents, most))
    assert [at for first, beyond in parts for at in range(first, beyond)] == list(range(len(documents)))
    for first, beyond in parts:
        assert beyond - first == 1 or sum(sizes[first:beyond]) <= most


def test_each_status_means_what_it_means() -> None:
    """Created and there already are taken; too many and the server's own faults come again; the rest never will."""
    found = bulk.outcome(DOCUMENTS, answer(item(0, 201), item(1, 409, "version_conflict"), item(2, 200)))
    assert found == bulk.Outcome(3, [], [])
    found = bulk.outcome(DOCUMENTS, answer(item(0, 429), item(1, 503, "x"), item(2, 500)))
    assert (found.taken, found.again, found.refused) == (0, [0, 1, 2], [])
    found = bulk.outcome(DOCUMENTS, answer(item(0, 400, "mapper_parsing_exception"), item(1, 201), item(2, 413)))
    assert found.refused == [
        (0, bulk.Refusal("id-0-single", 400, "mapper_parsing_exception")),
        (2, bulk.Refusal("id-2-single", 413, "unknown")),
    ]
    for status in (401, 403, 404):
        found = bulk.outcome(DOCUMENTS, answer(item(0, 201), item(1, status, "security"), item(2, 201)))
        assert (found.denied, found.refused) == (f"search: an index is refused ({status} security)", [])


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        answer(),
        answer(item(0, 201), item(1, 201)),
        answer(item(0, 201), item(2, 201), item(1, 201)),
        answer(item(0, 201), item(1, 201), item(1, 201)),
        answer({"status": 201}, {"status": 201}, {"status": 201}),
        answer(item(0, 201), item(1, 201), item(2, 201)).replace(b"create", b"index"),
    ],
)
def test_an_answer_to_something_else_is_not_believed(said: bytes) -> None:
    """Fewer items, other ids, another action, no JSON: nothing counts as taken."""
    with pytest.raises(SinkUnavailable, match="search: "):
        bulk.outcome(DOCUMENTS, said)


def test_a_foreign_word_stands_in_no_log_as_it_came() -> None:
    """Control characters, length and what is not a word go."""
    found = bulk.outcome(DOCUMENTS[:1], answer(item(0, 400, "a\n\x1b[31m" + "b" * 500)))
    [(_, refusal)] = found.refused
    assert refusal.kind.startswith("a31mbb")
    assert len(refusal.kind) <= 64
