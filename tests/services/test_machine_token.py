"""A service's own token."""

import json
from pathlib import Path

import httpx
import pytest

from services.errors import TooSlow, Unreachable
from services.machine_token import RENEW_BEFORE_S, FileToken, IssuedToken
from tests.builders.private import private


class Issuer:
    """An issuer that numbers its tokens."""

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []
        self.answer: httpx.Response | httpx.HTTPError | None = None
        self.now = 1_000.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.asked.append(json.loads(request.content))
        if isinstance(self.answer, httpx.HTTPError):
            raise self.answer
        return self.answer or httpx.Response(200, json={"access_token": f"t-{len(self.asked)}", "expires_in": 300})

    def token(self) -> IssuedToken:
        """The client of it."""
        http = httpx.AsyncClient(transport=httpx.MockTransport(self))
        return IssuedToken(
            http, "http://issuer/token", user="integration", tenant="platform", role="m", monotonic=lambda: self.now
        )


async def test_a_token_is_asked_for_once_and_again_before_it_expires() -> None:
    """Kept while it holds for a while yet, and never shown shortly before its end."""
    issuer = Issuer()
    token = issuer.token()
    assert [await token.token() for _ in range(3)] == ["t-1"] * 3
    issuer.now += 300 - RENEW_BEFORE_S - 1
    assert await token.token() == "t-1"
    issuer.now += 1
    assert await token.token() == "t-2"
    assert issuer.asked[0] == {"user": "integration", "tenant": "platform", "roles": ["m"]}


async def test_a_refused_token_is_forgotten() -> None:
    """When the gateway does not believe it, its expiry says nothing any more."""
    token = Issuer().token()
    assert await token.token() == "t-1"
    token.refused()
    assert await token.token() == "t-2"


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (httpx.Response(500), Unreachable),
        (httpx.Response(302, headers={"location": "http://elsewhere/"}), Unreachable),
        (httpx.Response(200, text="no json"), Unreachable),
        (httpx.Response(200, json={"access_token": 1}), Unreachable),
        (httpx.ConnectError("refused"), Unreachable),
        (httpx.ReadTimeout("late"), TooSlow),
    ],
)
async def test_an_issuer_in_trouble_is_a_gateway_error(
    answer: httpx.Response | httpx.HTTPError, raised: type[Exception]
) -> None:
    """Whatever the issuer does, the caller is told that we could not ask, and the next request asks again."""
    issuer = Issuer()
    issuer.answer = answer
    token = issuer.token()
    with pytest.raises(raised):
        await token.token()
    issuer.answer = None
    assert await token.token() == "t-2"


async def test_a_file_is_read_anew(tmp_path: Path) -> None:
    """Whoever rotates the token need tell nobody; a missing or empty file is no token."""
    path = tmp_path / "token"
    token = FileToken(path)
    with pytest.raises(Unreachable):
        await token.token()
    private(path, " \n")
    with pytest.raises(Unreachable):
        await token.token()
    for text in ("first", "second"):
        path.write_text(f"{text}\n", encoding="utf-8")
        token.refused()
        assert await token.token() == text
