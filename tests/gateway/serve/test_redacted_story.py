"""Fields that a caller may not see, over real sockets: masked for one, whole for another, and every way around shut."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from audit.event import Outcome, Phase
from gateway.limits import Limits
from tests.builders.answers import CRLF, chunked, content_of, header_of, json_answer, json_of, status_of
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import Plane, plane, request, sources, token
from tests.builders.tunnels import client, closing, install, with_forbid
from tests.servers.upstream import Visit

ROUTES = """
[[route]]
id = "customer.read"
method = "GET"
path = "/customers/{customer_id}"
service = "order"
action = "customer:read"
resource = { type = "Customer", id = "{customer_id}" }
redact = { pii = ["/email", "/orders/*/name"], payment = ["/card/number"] }

[[route]]
id = "customer.update"
method = "PATCH"
path = "/customers/{customer_id}"
service = "order"
action = "customer:update"
resource = { type = "Customer", id = "{customer_id}" }
redact = { pii = ["/email"] }

[[route]]
id = "order.list"
method = "GET"
path = "/orders"
service = "order"
action = "order:list"
resource = { type = "Order" }
"""
EMAIL = "ada@example.com"
CARD = "4111222233334444"
CUSTOMER: dict[str, Any] = {
    "id": "c-1",
    "email": EMAIL,
    "orders": [{"name": "Ada L", "total": 5}, {"name": "A. Lovelace", "total": 7}],
    "card": {"number": CARD, "brand": "v"},
}
MASKED: dict[str, Any] = {
    "id": "c-1",
    "email": "***",
    "orders": [{"name": "***", "total": 5}, {"name": "***", "total": 7}],
    "card": {"number": "***", "brand": "v"},
}
HIDDEN = (EMAIL.encode(), b"Ada L", b"Lovelace", CARD.encode())


def asked(*headers: str, role: str = "Support", method: str = "GET", body: bytes = b"", close: bool = True) -> bytes:
    """Somebody asks for a customer."""
    return request(
        method, "/customers/c-1", auth=token(role), headers=CRLF.decode().join(headers), body=body, close=close
    )


@contextlib.asynccontextmanager
async def gate(folder: Path, **settings: Any) -> AsyncIterator[Plane]:
    """A plane with those routes."""
    async with plane(folder, routes=ROUTES, **settings) as found:
        found.service.reply = json_answer(CUSTOMER)
        yield found
        assert found.faults == []


def leaks(answer: bytes) -> list[bytes]:
    """What is in an answer that must not be."""
    return [secret for secret in HIDDEN if secret in answer]


def counted(found: Plane, name: str, **labels: str) -> float:
    """A counter's value."""
    return found.registry.get_sample_value(f"lychgate_{name}_total", labels) or 0.0


async def test_support_sees_a_customer_masked_and_a_manager_whole(tmp_path: Path) -> None:
    """Cedar decides per class; what went is named in the answer, counted, and recorded without a value."""
    async with gate(tmp_path) as found:
        masked = await found.raw(asked())
        assert (status_of(masked), json_of(masked)) == (200, MASKED)
        fields = header_of(masked)
        assert fields["x-redacted-fields"] == ["/email, /orders/*/name, /card/number"]
        assert fields["cache-control"] == ["private, no-store"]
        assert fields["content-length"] == [str(len(content_of(masked)))]
        whole = await found.raw(asked(role="Manager"))
        assert json_of(whole) == CUSTOMER
        assert "x-redacted-fields" not in header_of(whole)
        support, manager = found.events
        assert support.details == {"withheld": ["pii", "payment"], "redacted_fields": 4}
        assert manager.details is None
        assert not leaks(str(support).encode())
        assert counted(found, "redacted_fields", **{"class": "pii"}) == 3
        assert counted(found, "redacted_fields", **{"class": "payment"}) == 1
        assert counted(found, "redactions", result="redacted") == 1


async def test_fields_are_left_out_where_the_setting_says_so(tmp_path: Path) -> None:
    """`gateway.redacted_fields: remove`: no trace of a value, its name or its length."""
    async with gate(tmp_path, redacted_fields="remove") as found:
        answer = await found.raw(asked())
        assert json_of(answer) == {"id": "c-1", "orders": [{"total": 5}, {"total": 7}], "card": {"brand": "v"}}
        assert header_of(answer)["x-redacted-fields"] == ["/email, /orders/*/name, /card/number"]


async def test_an_answer_without_such_fields_passes_as_it_is(tmp_path: Path) -> None:
    """Byte for byte, and still for nobody's cache."""
    async with gate(tmp_path) as found:
        found.service.reply = json_answer(b'{ "id" : "c-1", "email": null }')
        answer = await found.raw(asked())
        assert content_of(answer) == b'{ "id" : "c-1", "email": null }'
        assert "x-redacted-fields" not in header_of(answer)
        assert header_of(answer)["cache-control"] == ["private, no-store"]
        assert counted(found, "redactions", result="clean") == 1


async def test_numbers_keep_their_digits(tmp_path: Path) -> None:
    """Only what is taken out changes: a price of 1.10 does not become 1.1, nor a long number a rounded one."""
    async with gate(tmp_path) as found:
        found.service.reply = json_answer(
            b'{"email":"x","a":1.10,"b":12345678901234567890123,"c":0.10000000000000000001}'
        )
        answer = content_of(await found.raw(asked()))
        assert answer == b'{"email":"***","a":1.10,"b":12345678901234567890123,"c":0.10000000000000000001}'


async def test_the_service_is_asked_for_the_whole_in_plain(tmp_path: Path) -> None:
    """Codings, ranges, conditions and digests are not asked for, in any spelling; a caller who sees all asks freely."""
    sent = (
        "Accept-Encoding: gzip, br",
        "Accept-Charset: utf-16",
        "A-IM: diffe",
        "Range: bytes=0-10",
        'If-Range: "x"',
        'If-None-Match: "x"',
        "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT",
        'If-Match: "x"',
        "Want-Repr-Digest: sha-256=1",
        'if_none_match: "x"',
        "ACCEPT_ENCODING: gzip",
    )
    async with gate(tmp_path) as found:
        assert status_of(await found.raw(asked(*sent))) == 200
        seen = found.service.fields()
        assert seen["accept-encoding"] == "identity"
        spelled = {line.partition(":")[0].lower().replace("_", "-") for line in sent}
        assert spelled & {name.replace("_", "-") for name in seen} == {"accept-encoding"}
        await found.raw(asked(*sent, role="Manager"))
        assert found.service.fields()["if-none-match"] == '"x"'
        assert found.service.fields()["accept-encoding"] == "gzip, br"


async def test_a_change_on_a_condition_is_refused(tmp_path: Path) -> None:
    """Without its condition it would be made against its caller's word; with it, it would answer guesses."""
    async with gate(tmp_path) as found:
        for field in ('If-Match: "x"', "If-None-Match: *", "If-Unmodified-Since: x", 'If_Match: "x"'):
            answer = await found.raw(asked(field, method="PATCH", body=b"{}"))
            assert (status_of(answer), json_of(answer)["code"]) == (400, "bad_request")
        assert found.service.heads == []
        answer = await found.raw(asked('If-Match: "x"', method="PATCH", body=b"{}", role="Manager"))
        assert status_of(answer) == 200
        assert found.service.fields()["if-match"] == '"x"'


async def test_what_is_remembered_of_a_request_and_of_an_answer_masks_nothing_less(tmp_path: Path) -> None:
    """The same bytes again and again, and the same head of an answer on a route that hides nothing."""
    plain = request("GET", "/orders", auth=token("Support"), close=False)
    support, manager = asked(close=False), asked(role="Manager", close=False)
    async with gate(tmp_path) as found:
        found.service.reply = json_answer(CUSTOMER, 'ETag: "abc"')
        answers = await found.raw(plain * 2 + manager * 2 + support * 2 + plain + manager + asked())
        parts = [b"HTTP/1.1 " + part for part in answers.split(b"HTTP/1.1 ")[1:]]
        assert [json_of(part) == CUSTOMER for part in parts] == [True] * 4 + [False] * 2 + [True] * 2 + [False]
        assert [json_of(parts[at]) for at in (4, 5, 8)] == [MASKED] * 3
        assert ["etag" in header_of(part) for part in parts] == [True] * 4 + [False] * 2 + [True] * 2 + [False]
        assert all(header_of(parts[at])["cache-control"] == ["private, no-store"] for at in (2, 3, 4, 5, 7, 8))
        assert "cache-control" not in header_of(parts[6])
        assert [event.details is not None for event in found.events] == [False] * 4 + [True] * 2 + [False] * 2 + [True]
        # Orders twice and the manager twice were found; who does not see all is judged anew.
        assert counted(found, "decisions", effect="allow", source="evaluated") == 3
        assert found.server.recall.hits + counted(found, "token_memo_hits") >= 4


VALIDATORS = (
    'ETag: "abc"',
    "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT",
    "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==",
    "Digest: sha-256=x",
    "Repr-Digest: sha-256=:x:",
    "Content-Digest: sha-256=:x:",
    "Signature: sig=:x:",
    "Accept-Ranges: bytes",
    "Cache-Control: public, max-age=600",
    "CDN-Cache-Control: max-age=600",
    "Surrogate-Control: max-age=600",
    "Expires: Thu, 01 Jan 2030 00:00:00 GMT",
    "X-Redacted-Fields: /nothing",
    "Content-Encoding: identity",
)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_nothing_of_the_original_is_told(tmp_path: Path, method: str) -> None:
    """Validators, digests, signatures and what lets a cache keep it all go; HEAD does not tell its length either."""
    async with gate(tmp_path) as found:
        body = json_answer(CUSTOMER, *VALIDATORS)
        found.service.reply = body if method == "GET" else body.partition(CRLF * 2)[0] + CRLF * 2
        answer = await found.raw(asked(method=method))
        fields = header_of(answer)
        gone = {line.partition(":")[0].lower() for line in VALIDATORS} - {"cache-control", "x-redacted-fields"}
        assert gone & set(fields) == set()
        assert fields["cache-control"] == ["private, no-store"]
        assert "/nothing" not in str(fields)
        assert (fields.get("content-length") is None) == (method == "HEAD")


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(json_answer(gzip.compress(json.dumps(CUSTOMER).encode()), "Content-Encoding: gzip"), id="coded"),
        pytest.param(json_answer(CUSTOMER, "Content-Encoding: identity, br"), id="coded-in-a-list"),
        pytest.param(json_answer(CUSTOMER, "Content_Encoding: gzip"), id="coded-with-underscore"),
        pytest.param(json_answer(gzip.compress(json.dumps(CUSTOMER).encode())), id="coded-unsaid"),
        pytest.param(json_answer(CUSTOMER, "Content-Range: bytes 0-9/99", status="206 Partial Content"), id="partial"),
        pytest.param(json_answer(CUSTOMER, "Content-Range: bytes 0-9/99"), id="partial-as-200"),
        pytest.param(
            json_answer(CUSTOMER, status="206 Partial Content", mime="multipart/byteranges; boundary=x"),
            id="byteranges",
        ),
        pytest.param(json_answer(CUSTOMER, mime="multipart/byteranges; boundary=x"), id="byteranges-as-200"),
        pytest.param(b'HTTP/1.1 304 Not Modified\r\nETag: "abc"\r\n\r\n', id="not-modified"),
        pytest.param(json_answer(b'{"email":"ada@example.com","email":"b"}'), id="duplicate"),
        pytest.param(json_answer(b'{"email":"ada@example.com","\\u0065mail":"b"}'), id="duplicate-escaped"),
        pytest.param(json_answer(b'{"a":{"x":1,"x":2},"email":"ada@example.com"}'), id="duplicate-elsewhere"),
        pytest.param(json_answer(b'{"email":"ada@example.com"}\n{"email":"b"}\n'), id="ndjson-as-json"),
        pytest.param(json_answer(b'{"email":"ada@example.com"}\n', mime="application/x-ndjson"), id="ndjson"),
        pytest.param(json_answer(b'\x1e{"email":"ada@example.com"}\n', mime="application/json-seq"), id="json-seq"),
        pytest.param(json_answer(b'{"email":"ada@example.com"', mime="application/json"), id="cut-short"),
        pytest.param(json_answer(b'{"email":"ada@example.com"} x'), id="something-behind"),
        pytest.param(json_answer(b"{'email':'ada@example.com'}"), id="not-json"),
        pytest.param(json_answer(b'{"email":"ada@example.com","n":NaN}'), id="nan"),
        pytest.param(json_answer(b'{"email":"ada@example.com","n":"\\ud800"}'), id="lone-surrogate"),
        pytest.param(json_answer(b"\xef\xbb\xbf" + json.dumps(CUSTOMER).encode()), id="bom"),
        pytest.param(json_answer(json.dumps(CUSTOMER).encode("utf-16")), id="utf-16"),
        pytest.param(json_answer(json.dumps(CUSTOMER).encode("utf-16-le")), id="utf-16-without-bom"),
        pytest.param(json_answer(b'{"email":"ada@example.com \xe9"}'), id="latin-1"),
        pytest.param(json_answer(CUSTOMER, mime="application/json; charset=utf-16"), id="charset"),
        pytest.param(json_answer(CUSTOMER, mime="application/json; charset=utf-7"), id="charset-utf-7"),
        pytest.param(json_answer(CUSTOMER, mime="application/json; charset=utf-8; charset=utf-7"), id="charset-twice"),
        pytest.param(json_answer(CUSTOMER, mime='application/json; charset="utf\\-8"'), id="charset-quoted-pair"),
        pytest.param(json_answer(CUSTOMER, mime="application/json, text/html"), id="types-in-a-list"),
        pytest.param(json_answer(CUSTOMER, "Content-Type: text/html"), id="type-twice"),
        pytest.param(json_answer(CUSTOMER, "Content_Type: text/html"), id="type-twice-with-underscore"),
        pytest.param(json_answer(CUSTOMER, mime="text/html"), id="html"),
        pytest.param(json_answer(CUSTOMER, mime="text/event-stream"), id="event-stream"),
        pytest.param(json_answer(CUSTOMER, mime=None), id="no-type"),
        pytest.param(json_answer(b'{"email":"ada@example.com","x":' + b"[" * 65 + b"]" * 65 + b"}"), id="deep"),
        pytest.param(json_answer(b"[" * 100_000 + b'"ada@example.com"' + b"]" * 100_000), id="very-deep"),
        pytest.param(json_answer(b'{"email":"ada@example.com","n":[' + b"[]," * 60_000 + b"[]]}"), id="containers"),
        pytest.param(json_answer(b'{"email":"ada@example.com","n":' + b"9" * 5000 + b"}"), id="endless-number"),
        pytest.param(json_answer({**CUSTOMER, "x": "y" * 300_000}), id="oversize"),
        pytest.param(chunked(json.dumps(CUSTOMER).encode(), b" " * 300_000), id="oversize-chunked"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
            + json.dumps({**CUSTOMER, "x": "y" * 300_000}).encode(),
            id="oversize-until-close",
        ),
    ],
)
async def test_what_cannot_be_read_with_certainty_is_never_passed_on(tmp_path: Path, reply: bytes) -> None:
    """502 `redaction_failed`, recorded with the reason, with no byte of the original; the next request is served."""
    async with gate(tmp_path, limits=Limits(redacted_body_bytes=256 * 1024)) as found:
        answers = [json_answer(CUSTOMER), reply]

        async def scripted(visit: Visit) -> None:
            while await visit.head():
                await visit.answer(answers.pop())
                if b"Connection: close" in reply:
                    visit.writer.close()

        found.service.script = scripted
        answer = await found.raw(asked())
        assert (status_of(answer), json_of(answer)["code"]) == (502, "redaction_failed")
        assert not leaks(answer)
        assert "x-redacted-fields" not in header_of(answer)
        assert counted(found, "redactions", result="failed") == 1
        assert counted(found, "refusals", code="redaction_failed") == 1
        [event] = found.events
        assert (event.outcome, event.status) == (Outcome.FAILURE, 502)
        assert event.details is not None
        assert event.details["reason"].startswith("redaction: ")
        assert not leaks(str(event).encode())
        assert json_of(await found.raw(asked())) == MASKED


@pytest.mark.parametrize(
    ("mime", "body"),
    [
        ("application/json; charset=utf-8", CUSTOMER),
        ('application/json;charset="UTF-8"', CUSTOMER),
        ("APPLICATION/JSON", CUSTOMER),
        ("application/vnd.api+json", CUSTOMER),
        ("application/json", b' {"\\u0065mail":"ada\\u0040example.com"}\n'),
    ],
)
async def test_what_is_json_in_any_honest_spelling_is_read(tmp_path: Path, mime: str, body: Any) -> None:
    """Structured suffixes, case, escapes in names and values: all the same to a reader."""
    async with gate(tmp_path) as found:
        found.service.reply = json_answer(body, mime=mime)
        answer = await found.raw(asked())
        assert (status_of(answer), json_of(answer)["email"]) == (200, "***")
        assert not leaks(answer)


@pytest.mark.parametrize(
    ("reply", "body", "named"),
    [
        (json_answer({"email": EMAIL}, status="404 Not Found"), {"email": "***"}, True),
        (
            json_answer({"error": {"input": [{"Email": EMAIL}], "number": int(CARD)}}, status="409 Conflict"),
            {"error": {"input": [{"Email": "***"}], "number": "***"}},
            True,
        ),
        (json_answer({"code": "not_found"}, status="404 Not Found"), {"code": "not_found"}, False),
        (
            json_answer({"email": EMAIL}, status="422 Unprocessable Content", mime="application/problem+json"),
            {"email": "***"},
            True,
        ),
    ],
)
async def test_an_error_of_the_service_is_redacted_by_name_at_any_depth(
    tmp_path: Path, reply: bytes, body: Any, named: bool
) -> None:
    """It keeps its status; its shape is not the route's, so a field goes wherever it stands."""
    async with gate(tmp_path) as found:
        found.service.reply = reply
        answer = await found.raw(asked())
        assert (status_of(answer), json_of(answer)) == (status_of(reply), body)
        assert ("x-redacted-fields" in header_of(answer)) is named


@pytest.mark.parametrize(
    "reply",
    [
        json_answer(f"<p>{EMAIL}</p>".encode(), status="500 Internal Server Error", mime="text/html"),
        json_answer(gzip.compress(EMAIL.encode()), "Content-Encoding: gzip", status="404 Not Found"),
        json_answer(b'{"email":"ada@example.com"', status="404 Not Found"),
        json_answer(b'{"email":"ada@example.com","email":1}', status="404 Not Found"),
        json_answer({"email": EMAIL, "x": "y" * 300_000}, status="404 Not Found"),
        json_answer(EMAIL.encode(), "Location: /login", status="302 Found", mime="text/plain"),
        json_answer(EMAIL.encode(), "Content-Range: bytes */9", status="416 Range Not Satisfiable", mime=None),
        chunked(b'{"email":"ada@example.com",', b"x" * 300_000).replace(b"200 OK", b"503 Service Unavailable"),
    ],
)
async def test_an_error_that_cannot_be_read_loses_its_body_and_keeps_its_status(tmp_path: Path, reply: bytes) -> None:
    """The client learns what went wrong, and that everything was taken out."""
    async with gate(tmp_path, limits=Limits(redacted_body_bytes=256 * 1024)) as found:
        found.service.reply = reply
        answer = await found.raw(asked())
        assert (status_of(answer), content_of(answer)) == (status_of(reply), b"")
        assert header_of(answer)["x-redacted-fields"] == ["*"]
        assert header_of(answer)["content-length"] == ["0"]
        assert not leaks(answer)
        assert counted(found, "redactions", result="dropped") == 1


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (b'HTTP/1.1 204 No Content\r\nETag: "x"\r\n\r\n', 204),
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", 202),
        (chunked(), 200),
    ],
)
async def test_an_answer_without_a_body_has_nothing_to_hide(tmp_path: Path, reply: bytes, status: int) -> None:
    """It passes, without its validators."""
    async with gate(tmp_path) as found:
        found.service.reply = reply
        answer = await found.raw(asked())
        assert (status_of(answer), content_of(answer)) == (status, b"")
        assert "etag" not in header_of(answer)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 20\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: br\r\nContent-Length: 20\r\n\r\n",
    ],
)
async def test_head_is_refused_as_get_would_be(tmp_path: Path, reply: bytes) -> None:
    """An answer to HEAD says what GET would get; one that GET would be refused tells nothing of the original."""
    async with gate(tmp_path) as found:
        found.service.reply = reply
        answer = await found.raw(asked(method="HEAD"))
        assert (status_of(answer), content_of(answer)) == (502, b"")


async def test_a_chunked_answer_is_masked_whatever_its_pieces(tmp_path: Path) -> None:
    """A value cut in two by the coding is one value; trailers are dropped; the client gets a length."""
    text = json.dumps(CUSTOMER).encode()
    async with gate(tmp_path) as found:
        for size in (1, 2, 7, 64, len(text)):
            pieces = [text[at : at + size] for at in range(0, len(text), size)]
            found.service.reply = chunked(*pieces, trailers=f"X-Copy: {EMAIL}\r\n")
            answer = await found.raw(asked("TE: trailers", "Connection: TE"))
            assert json_of(answer) == MASKED
            assert not leaks(answer)
            assert "transfer-encoding" not in header_of(answer)


async def test_the_same_answer_in_dribs_is_the_same_answer(tmp_path: Path) -> None:
    """Bytes from the service one by one; the client sees nothing until it is whole, and then all of it."""

    async def slowly(visit: Visit) -> None:
        await visit.head()
        for byte in json_answer(CUSTOMER):
            await visit.answer(bytes((byte,)))

    async with gate(tmp_path) as found:
        found.service.script = slowly
        assert json_of(await found.raw(asked())) == MASKED


async def test_a_service_that_closes_early_has_told_nothing(tmp_path: Path) -> None:
    """Half an answer is 502, whatever ended it: its length, its chunks, or its close."""
    whole = json.dumps(CUSTOMER).encode()
    halves = [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n" + whole,
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n" + whole[:20],
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + whole[:-3],
    ]
    async with gate(tmp_path) as found:

        async def cut(visit: Visit) -> None:
            await visit.head()
            await visit.answer(halves.pop())
            visit.writer.close()

        found.service.script = cut
        for _ in range(3):
            answer = await found.raw(asked())
            assert status_of(answer) == 502
            assert not leaks(answer)


async def test_an_answer_that_says_it_is_too_long_is_not_waited_for(tmp_path: Path) -> None:
    """Refused by its head; the service's connection is closed before it has sent anything."""
    gone = asyncio.Event()

    async def announcing(visit: Visit) -> None:
        await visit.head()
        await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999999\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await visit.reader.read()
        gone.set()

    async with gate(tmp_path) as found:
        found.service.script = announcing
        answer = await found.raw(asked())
        assert (status_of(answer), json_of(answer)["code"]) == (502, "redaction_failed")
        async with asyncio.timeout(PATIENCE_S):
            await gone.wait()


async def test_interim_answers_stay_here(tmp_path: Path) -> None:
    """A 103 with a field in it does not pass ahead of the answer."""
    async with gate(tmp_path) as found:
        found.service.reply = f"HTTP/1.1 103 Early Hints\r\nX-Hint: {EMAIL}\r\n\r\n".encode() + json_answer(CUSTOMER)
        answer = await found.raw(asked())
        assert answer.startswith(b"HTTP/1.1 200")
        assert json_of(answer) == MASKED


async def test_pipelined_requests_get_their_own_answers_in_order(tmp_path: Path) -> None:
    """A masked one, one that failed and a masked one, on one connection, and then what another role sees."""
    async with gate(tmp_path) as found:
        answers = [
            json_answer(CUSTOMER),
            json_answer(CUSTOMER),
            json_answer(b"[", mime="text/plain"),
            json_answer(CUSTOMER),
        ]

        async def scripted(visit: Visit) -> None:
            while await visit.head():
                await visit.answer(answers.pop())

        found.service.script = scripted
        together = asked(close=False) * 3 + asked(role="Manager")
        said = await found.raw(together)
        first, second, third, fourth = (b"HTTP/1.1 " + part for part in said.split(b"HTTP/1.1 ")[1:])
        assert (json_of(first), status_of(second), json_of(third)) == (MASKED, 502, MASKED)
        assert json_of(fourth) == CUSTOMER


async def test_an_answer_longer_than_it_says_is_not_passed_on(tmp_path: Path) -> None:
    """Bytes behind the length are the service's lie, and end the exchange as on any route."""
    async with gate(tmp_path) as found:
        found.service.reply = json_answer(CUSTOMER) + CARD.encode()
        answer = await found.raw(asked())
        assert (status_of(answer), json_of(answer)["code"]) == (502, "upstream_invalid")
        assert not leaks(answer)


async def test_who_may_see_everything_gets_it_as_it_comes(tmp_path: Path) -> None:
    """The first piece arrives while the service still holds the second back; only caches are told otherwise."""
    held = asyncio.Event()

    async def halting(visit: Visit) -> None:
        await visit.head()
        answer = chunked(b'{"email":', b'"ada@example.com"}', fields=('ETag: "x"', "Cache-Control: public"))
        await visit.answer(answer[:-20])
        await held.wait()
        await visit.answer(answer[-20:])

    async with gate(tmp_path) as found:
        found.service.script = halting
        reader, writer = await asyncio.open_connection("127.0.0.1", found.port)
        writer.write(asked(role="Manager"))
        async with asyncio.timeout(PATIENCE_S):
            head = await reader.readuntil(CRLF * 2)
            piece = await reader.readuntil(CRLF)
        assert header_of(head)["cache-control"] == ["private, no-store"]
        assert header_of(head)["etag"] == ['"x"']
        assert piece
        held.set()
        async with asyncio.timeout(PATIENCE_S):
            rest = await reader.read()
        assert rest.endswith(b'example.com"}\r\n0\r\n\r\n')
        writer.close()


async def test_a_slow_answer_that_is_held_back_is_bounded_by_the_first_byte(tmp_path: Path) -> None:
    """The client waits for its first byte, however often the service sends one."""

    async def dripping(visit: Visit) -> None:
        await visit.head()
        await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                await visit.answer(b" ")
                await asyncio.sleep(0.02)

    async with gate(tmp_path, limits=Limits(first_byte_s=0.3)) as found:
        found.service.script = dripping
        answer = await found.raw(asked())
        assert (status_of(answer), json_of(answer)["code"]) == (504, "upstream_timeout")


async def test_a_durable_change_tells_in_both_records_what_was_withheld(tmp_path: Path) -> None:
    """Decided with the classes, completed with the count; a failed redaction is the end of a change that happened."""
    async with gate(tmp_path) as found:
        assert json_of(await found.raw(asked(method="PATCH", body=b"{}")))["email"] == "***"
        decided, completed = found.events
        assert (decided.phase, decided.details) == (Phase.DECIDED, {"withheld": ["pii"]})
        assert (completed.phase, completed.details) == (Phase.COMPLETED, {"withheld": ["pii"], "redacted_fields": 1})
        found.service.reply = json_answer(CUSTOMER, mime="text/plain")
        assert status_of(await found.raw(asked(method="PATCH", body=b"{}"))) == 502
        last = found.events[-1]
        assert (last.phase, last.outcome, last.status) == (Phase.COMPLETED, Outcome.FAILURE, 502)


async def test_a_client_that_leaves_while_its_answer_is_held_back_leaves_nothing(tmp_path: Path) -> None:
    """The service's connection is closed and the record says why."""
    begun, gone = asyncio.Event(), asyncio.Event()

    async def waiting(visit: Visit) -> None:
        await visit.head()
        await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{")
        begun.set()
        await visit.reader.read()
        gone.set()

    async with gate(tmp_path) as found:
        found.service.script = waiting
        _, writer = await asyncio.open_connection("127.0.0.1", found.port)
        writer.write(asked(close=False))
        async with asyncio.timeout(PATIENCE_S):
            await begun.wait()
        writer.transport.abort()
        async with asyncio.timeout(PATIENCE_S):
            await gone.wait()
            event = await found.record()
        assert event.details == {"withheld": ["pii", "payment"], "cut": "client_gone"}


async def test_a_stream_that_was_seen_whole_is_cut_when_part_of_it_no_longer_may_be(tmp_path: Path) -> None:
    """What lasts is judged again with every snapshot, and its fields with it."""

    async def streaming(visit: Visit) -> None:
        await visit.head()
        await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await visit.reader.read()

    async with gate(tmp_path) as found:
        found.service.script = streaming
        async with client(found) as (reader, writer), asyncio.timeout(PATIENCE_S):
            writer.write(asked(role="Manager", close=False))
            assert b"data: 1" in await reader.readuntil(b"\n\n") + await reader.read(100)
            given = sources(found.service.port, routes=ROUTES)
            install(found, given)
            install(found, with_forbid(given, "data:see_pii"))
            with contextlib.suppress(ConnectionError):
                while await reader.read(1000):
                    pass
        closed = await closing(found, "authz.stream.closed")
        assert closed.details is not None
        assert (closed.details["why"], closed.details["reason"]) == ("refused", "fields of the answer are withheld now")
