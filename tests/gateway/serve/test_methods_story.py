"""HEAD as GET, and methods that a path does not have, over real sockets."""

from pathlib import Path

import pytest

from tests.builders.answers import CRLF, content_of, header_of, json_answer, json_of, status_of
from tests.builders.plane import plane, request, token


async def test_head_is_decided_as_get_and_asked_as_head(tmp_path: Path) -> None:
    """Same route, same policy, same record; the service is asked for the head, whose length is told and not sent."""
    async with plane(tmp_path) as gate:
        gate.service.reply = json_answer({"id": "o-1"}).partition(CRLF * 2)[0] + CRLF * 2
        answer = await gate.raw(request("HEAD", "/orders/o-1"))
        assert (status_of(answer), content_of(answer)) == (200, b"")
        assert header_of(answer)["content-length"] == ["13"]
        assert gate.service.heads[0].startswith(b"HEAD /orders/o-1 HTTP/1.1\r\n")
        [event] = gate.events
        assert (event.action, event.crud, event.status) == ("order:read", "r", 200)
        assert event.request is not None
        assert event.request.method == "HEAD"


@pytest.mark.parametrize(
    ("auth", "target", "status"),
    [
        (None, "/orders", 401),
        (token("Auditor"), "/orders", 403),
        ("", "/nowhere", 404),
        ("", "/products/import", 405),
        ("", "/orders/../x", 400),
    ],
)
async def test_a_refusal_of_head_has_the_fields_of_gets_and_no_body(
    tmp_path: Path, auth: str | None, target: str, status: int
) -> None:
    """Its length is that of the body GET would get; nothing follows the head."""
    async with plane(tmp_path) as gate:
        head = await gate.raw(request("HEAD", target, auth=auth))
        assert (status_of(head), content_of(head)) == (status, b"")
        get = await gate.raw(request("GET", target, auth=auth))
        same = {"content-type", "content-length", "cache-control", "www-authenticate", "allow"}
        assert {name: value for name, value in header_of(head).items() if name in same} == {
            name: value for name, value in header_of(get).items() if name in same
        }


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("DELETE", "/orders", "GET, POST, HEAD"),
        ("POST", "/orders/o-1", "GET, HEAD"),
        ("GET", "/products/import", "POST"),
        ("HEAD", "/products/import", "POST"),
        ("OPTIONS", "/orders", "GET, POST, HEAD"),
        ("PROPFIND", "/orders", "GET, POST, HEAD"),
    ],
)
async def test_a_method_without_a_route_is_told_which_there_are(
    tmp_path: Path, method: str, target: str, allow: str
) -> None:
    """405 with `Allow`, for strangers as well; the connection goes on."""
    async with plane(tmp_path) as gate:
        answer = await gate.raw(request(method, target, auth=None, close=False) + request("GET", "/orders"))
        assert (status_of(answer), header_of(answer)["allow"]) == (405, [allow])
        assert answer.count(b"HTTP/1.1 200 OK") == 1
        if method != "HEAD":
            body = content_of(answer)[: int(header_of(answer)["content-length"][0])]
            assert json_of(CRLF * 2 + body)["code"] == "method_not_allowed"
        assert len(gate.service.heads) == 1


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "get"])
async def test_some_methods_are_for_nobody(tmp_path: Path, method: str) -> None:
    """One echoes credentials, one opens a tunnel, one is none (methods have their case): the connection ends."""
    async with plane(tmp_path) as gate:
        answer = await gate.raw(request(method, "/orders", close=False) + request("GET", "/orders"))
        assert status_of(answer) in {400, 405}
        assert answer.count(b"HTTP/1.1 ") == 1
        assert gate.service.heads == []
