"""Requests whose body comes as a test says, or never."""

from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import Receive


async def answered(
    app: FastAPI, path: str, receive: Receive, *fields: tuple[bytes, bytes], method: str = "POST"
) -> int:
    """The status of a request with that body."""
    statuses: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": list(fields),
        "root_path": "",
        "scheme": "http",
        "server": None,
    }
    await app(scope, receive, send)
    (status,) = statuses
    return status


async def unread(app: FastAPI, path: str, *fields: tuple[bytes, bytes], method: str = "POST") -> int:
    """The status of a request of which nobody may ask for the body: it would never come."""

    async def receive() -> Any:
        pytest.fail("the body was asked for")

    return await answered(app, path, receive, *fields, method=method)
