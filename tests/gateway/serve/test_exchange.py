"""A request's way through one worker, over real sockets."""

import json
from pathlib import Path

from tests.builders.plane import plane, request, token


async def test_an_allowed_request_reaches_the_service_and_its_answer_the_client(tmp_path: Path) -> None:
    """The main job."""
    async with plane(tmp_path) as gate:
        answer = await gate.raw(request())
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer
        assert answer.endswith(b"{}")
        fields = gate.service.fields()
        assert fields["x-tenant-id"] == "acme"
        assert fields["x-user-id"] == "u-17"
        assert "authorization" not in fields
        [event] = gate.events
        assert event.decision is not None
        assert event.decision.effect == "allow"
        assert event.status == 200


async def test_a_refusal_says_which_role_was_missing(tmp_path: Path) -> None:
    """And nothing else but code and trace."""
    async with plane(tmp_path) as gate:
        body = json.dumps({"amount": 100}).encode()
        data = request("POST", "/payments/p-1/refund", headers="Content-Type: application/json", body=body)
        answer = await gate.raw(data)
        assert answer.startswith(b"HTTP/1.1 403 "), answer
        said = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert said["code"] == "forbidden"
        assert said["missing_role"] == "Manager"
        assert set(said) == {"code", "missing_role", "trace_id"}
        assert gate.service.heads == []


async def test_manager(tmp_path: Path) -> None:
    """X."""
    async with plane(tmp_path) as gate:
        body = json.dumps({"amount": 100}).encode()
        data = request("POST", "/payments/p-1/refund", headers="Content-Type: application/json", body=body, auth=token("Manager"))
        answer = await gate.raw(data)
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        assert [e.phase for e in gate.events] == ["decided", "completed"]
        assert gate.faults == []
