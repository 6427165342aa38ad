"""A request whose body never comes."""

from typing import Any

import pytest
from fastapi import FastAPI


async def unread(app: FastAPI, path: str, *fields: tuple[bytes, bytes], method: str = "POST") -> int:
    """The status of a request of which nobody may ask for the body: it would never come."""
    statuses: list[int] = []

    async def receive() -> Any:
        pytest.fail("the body was asked for")

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    raw = path.encode()
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": raw,
        "query_string": b"",
    }
    await app({**scope, "headers": list(fields), "root_path": "", "scheme": "http", "server": None}, receive, send)
    (status,) = statuses
    return status
