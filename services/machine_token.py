"""A service's own machine token, with which it proves to the gateway who it is.

In production a file that something else keeps fresh; with `lychgate up` the development issuer is asked for one. The
shell around nothing but that; used by `services.onward`.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
from pydantic import BaseModel, ValidationError

from audit.private_file import read_secret
from services.errors import TooSlow, Unreachable

RENEW_BEFORE_S = 60.0
"""A token that is about to expire is not shown any more: it must still hold when it arrives."""


class FileToken:
    """A token in a file, read anew for each use: it is small, and whoever rotates it need tell nobody."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """What the file holds.

        Raises:
            Unreachable: There is no such file, it is empty, or others may read it.
        """
        try:
            return await asyncio.to_thread(read_secret, self._path)
        except OSError as exc:
            raise Unreachable from exc

    def refused(self) -> None:
        """Nothing to do: the file is read anew anyway."""


class TokenAnswer(BaseModel):
    """What the issuer's `POST /token` gives (RFC 6749 section 5.1)."""

    access_token: str
    expires_in: float


class IssuedToken:
    """A token that is asked for when there is none, and again shortly before it expires."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        *,
        user: str,
        tenant: str,
        role: str,
        monotonic: Callable[[], float],
    ) -> None:
        """Ask for nothing yet.

        Args:
            http: Whose time limits hold.
            url: The issuer's `POST /token`.
            user: The service's name.
            tenant: The tenant machines belong to.
            role: The role machines hold.
            monotonic: The clock for ages.
        """
        self._http = http
        self._url = url
        self._wanted = {"user": user, "tenant": tenant, "roles": [role]}
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._held: str | None = None
        self._until = 0.0

    async def token(self) -> str:
        """A token that holds for a while yet.

        Raises:
            Unreachable: The issuer cannot be asked, or gives none.
        """
        async with self._lock:
            if self._held is None or self._monotonic() >= self._until:
                answer = await self._ask()
                self._held = answer.access_token
                self._until = self._monotonic() + max(0.0, answer.expires_in - RENEW_BEFORE_S)
            return self._held

    def refused(self) -> None:
        """The token is not believed any more, whatever its expiry says: the issuer has another key by now."""
        self._held = None

    async def _ask(self) -> TokenAnswer:
        try:
            response = await self._http.post(self._url, json=self._wanted)
            response.raise_for_status()
            return TokenAnswer.model_validate_json(response.content)
        except httpx.TimeoutException as exc:
            raise TooSlow from exc
        except (httpx.HTTPError, httpx.InvalidURL, ValidationError) as exc:
            raise Unreachable from exc
