"""A request's way through one worker: what reaches the service, what the client is told, what is recorded."""

import asyncio
import contextlib
import json
import socket
import struct
import time
from pathlib import Path

import pytest

from audit.errors import SpoolUnavailable
from audit.event import AuditEvent, Outcome, Phase, Severity
from gateway.limits import Limits
from gateway.serve import conclude
from roles.security_context.claims import body_hash, target_hash
from roles.security_context.verifier import ContextVerifier
from tests.builders import tokens
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import plane, request, token
from tests.builders.services import service
from tests.servers.upstream import Visit

JSON = "Content-Type: application/json"


def body_of(answer: bytes) -> dict[str, object]:
    """The JSON body of an answer with a length."""
    found: dict[str, object] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


def status_of(answer: bytes) -> int:
    """The status of the first answer."""
    return int(answer.split(b" ", 2)[1])


def refund(amount: object = 100, *, role: str = "Manager", headers: str = JSON, body: bytes | None = None) -> bytes:
    """A request whose decision needs its body."""
    content = json.dumps({"amount": amount}).encode() if body is None else body
    return request("POST", "/payments/p-1/refund", headers=headers, body=content, auth=token(role))


async def test_an_allowed_request_reaches_the_service_and_its_answer_the_client(tmp_path: Path) -> None:
    """The answer is the service's, the identity is the token's, the credential stays here."""
    async with plane(tmp_path) as gate:
        answer = await gate.raw(request("GET", "/orders/o-1?expand=lines"))
        assert status_of(answer) == 200
        assert answer.endswith(b"{}")
        fields = gate.service.fields()
        assert gate.service.heads[0].startswith(b"GET /orders/o-1?expand=lines HTTP/1.1\r\n")
        assert (fields["x-tenant-id"], fields["x-user-id"], fields["x-user-roles"]) == ("acme", "u-17", "Cashier")
        assert "authorization" not in fields
        [event] = gate.events
        assert (event.phase, event.outcome, event.status) == (Phase.SINGLE, Outcome.SUCCESS, 200)
        assert event.decision is not None
        assert event.decision.effect == "allow"
        assert event.decision.reasons
        assert event.request is not None
        assert event.request.route == "/orders/{order_id}"
        assert event.resource is not None
        assert event.resource.id == "o-1"
        assert event.tenant_id == "acme"


async def test_a_refusal_is_exactly_code_missing_role_and_trace(tmp_path: Path) -> None:
    """A Cashier refunds nothing; asking Cedar finds that a Manager would."""
    async with plane(tmp_path) as gate:
        answer = await gate.raw(refund(role="Cashier"))
        assert status_of(answer) == 403
        said = body_of(answer)
        assert said == {"code": "forbidden", "missing_role": "Manager", "trace_id": said["trace_id"]}
        assert gate.service.heads == []
        [event] = gate.events
        assert event.decision is not None
        assert (event.decision.effect, event.decision.missing_role) == ("deny", "Manager")
        assert event.trace_id == said["trace_id"]


async def test_the_amount_in_the_body_decides(tmp_path: Path) -> None:
    """A Manager refunds 50,000 minor units; one more needs an Admin."""
    async with plane(tmp_path) as gate:
        assert status_of(await gate.raw(refund(50_000))) == 200
        answer = await gate.raw(refund(50_001))
        assert (status_of(answer), body_of(answer)["missing_role"]) == (403, "Admin")
        assert gate.service.bodies == [b'{"amount": 50000}']


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (request(auth=None), 401, "unauthenticated"),
        (request(auth="x.y.z"), 401, "token_invalid"),
        (request(auth=token(exp=int(time.time()) - 600, iat=int(time.time()) - 900)), 401, "token_expired"),
        (request(auth=token(aud="someone-else")), 401, "token_invalid"),
        (request("GET", "/nowhere"), 404, "route_unknown"),
        (request("DELETE", "/orders"), 405, "method_not_allowed"),
        (request("GET", "/tenants/globex/orders"), 403, "tenant_mismatch"),
        (request(headers="X-Tenant-Id: globex"), 403, "tenant_mismatch"),
        (request(headers="x-tenant-id: ACME"), 403, "tenant_mismatch"),
        (request(headers=f"Authorization: Bearer {token()}"), 400, "bad_request"),
        (request("GET", "/orders/../admin"), 400, "bad_request"),
        (refund(headers="Content-Type: text/plain"), 415, "unsupported_media_type"),
        (refund(headers=f"{JSON}\r\nContent-Encoding: gzip"), 415, "unsupported_media_type"),
        (refund(body=b'{"amount": 1, "amount": 2}'), 400, "bad_request"),
        (refund(body=b'{"sum": 1}'), 400, "bad_request"),
        (refund(body=b"[1"), 400, "bad_request"),
        (refund("100"), 400, "bad_request"),
        (refund(1.5), 400, "bad_request"),
        (refund(True), 400, "bad_request"),
        (refund(2**63), 400, "bad_request"),
        (request("POST", "/payments/p-1/refund", headers=JSON, auth=token("Manager")), 400, "bad_request"),
    ],
)
async def test_what_is_wrong_is_refused_and_recorded_before_a_service_sees_it(
    tmp_path: Path, data: bytes, status: int, code: str
) -> None:
    """Each with its code, one record with the reason, and nothing forwarded."""
    async with plane(tmp_path) as gate:
        answer = await gate.raw(data)
        assert (status_of(answer), body_of(answer)["code"]) == (status, code)
        assert set(body_of(answer)) == {"code", "missing_role", "trace_id"}
        assert gate.service.heads == []
        assert gate.faults == []
        event = await gate.record()
        assert event.decision is not None
        assert (event.decision.effect, event.decision.code, event.status) == ("deny", code, status)
        assert event.details is not None
        assert event.details["reason"]
        if status == 401:
            assert b"\r\nwww-authenticate: Bearer" in answer
        if status == 405:
            assert b"\r\nallow: GET, POST, HEAD\r\n" in answer


async def test_the_wrong_tenants_mismatch_is_booked_to_the_callers_own(tmp_path: Path) -> None:
    """The tenant somebody merely names does not get the record, and it is a matter of security."""
    async with plane(tmp_path) as gate:
        await gate.raw(request(headers="X-Tenant-Id: globex"))
        event = await gate.record()
        assert (event.tenant_id, event.severity) == ("acme", Severity.SECURITY)
        assert event.details is not None
        assert event.details["named_tenants"] == ["globex"]


async def test_an_expired_token_is_booked_to_its_tenant(tmp_path: Path) -> None:
    """Its signature was good, so it is known whose it was."""
    now = int(time.time())
    async with plane(tmp_path) as gate:
        await gate.raw(request(auth=token(exp=now - 600, iat=now - 900)))
        assert (await gate.record()).tenant_id == "acme"


async def test_a_stranger_browses_the_catalogue_and_nothing_else(tmp_path: Path) -> None:
    """Cedar decides for the anonymous role; the service gets a context for the named tenant."""
    async with plane(tmp_path) as gate:
        assert status_of(await gate.raw(request("GET", "/catalog/acme/products", auth=None))) == 200
        fields = gate.service.fields()
        assert (fields["x-tenant-id"], fields["x-user-roles"]) == ("acme", "Anonymous")
        assert fields["x-security-context"]
        assert gate.events[0].tenant_id == "-"


SPOOFED = [
    "X-Security-Context: forged",
    "x-security-context: forged",
    "X_Security_Context: forged",
    "X-Security_Context: forged",
    "X-USER-ID: forged\r\nX-User-Id: forged",
    "X-User-Roles: forged",
    "X_User_Roles: forged",
    "X-User-Anything: forged",
    "X-Decision-Id: forged",
    "X_Decision_Id: forged",
    "X-Trace-Id: forged",
    "x_trace_id: forged",
    "X_Tenant_Id: forged",
    "X-Forwarded-For: forged",
    "X-Forwarded-Prefix: forged",
    "Forwarded: for=forged",
    "X-Original-URL: forged",
    "X-Api-Key: forged",
    "Connection: x-security-context, x-tenant-id\r\nX-Security-Context: forged",
    "Upgrade: h2c\r\nHTTP2-Settings: forged\r\nConnection: Upgrade, HTTP2-Settings",
    "Proxy-Authorization: forged",
    "TE: forged",
]


@pytest.mark.parametrize("spoofed", SPOOFED)
async def test_what_only_the_gateway_may_say_is_removed_in_every_spelling(tmp_path: Path, spoofed: str) -> None:
    """And our own copies are there all the same."""
    async with plane(tmp_path) as gate:
        assert status_of(await gate.raw(request(headers=spoofed))) == 200
        head = gate.service.heads[0].lower()
        assert b"forged" not in head
        assert b": h2c" not in head
        assert head.count(b"\r\nx-security-context:") == 1
        assert head.count(b"\r\nx-tenant-id: acme\r\n") == 1
        assert head.count(b"\r\nx-forwarded-for: 127.0.0.1\r\n") == 1


async def test_spoofed_trailers_end_here(tmp_path: Path) -> None:
    """A trailer field is never merged into the header."""
    async with plane(tmp_path) as gate:
        head = request("POST", "/orders", headers="Transfer-Encoding: chunked\r\nTrailer: X-User-Id")
        got: list[bytes] = []

        async def script(visit: Visit) -> None:
            await visit.head()
            got.append(await visit.reader.readuntil(b"0\r\n\r\n"))
            await visit.answer(gate.service.reply)

        gate.service.script = script
        assert status_of(await gate.raw(head + b"3\r\nabc\r\n0\r\nX-User-Id: forged\r\n\r\n")) == 200
        assert got == [b"3\r\nabc\r\n0\r\n\r\n"]


async def test_the_context_holds_for_its_service_and_says_who_asks(tmp_path: Path) -> None:
    """Signed, for this audience, with the trace and the policies' version."""
    async with plane(tmp_path) as gate:
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        await gate.raw(request(headers=f"traceparent: 00-{trace}-00f067aa0ba902b7-01"))
        snapshot = gate.server.ready_snapshot()
        fields = gate.service.fields()
        verifier = ContextVerifier(issuer="lychgate", audience="order")
        keys = snapshot.signer.trusted_keys("order")
        context = verifier.verify(fields["x-security-context"], keys, time.time())
        assert (context.tenant_id, context.sub, context.roles, context.trace_id) == (
            "acme",
            "u-17",
            ("Cashier",),
            trace,
        )
        assert context.policy_version == snapshot.bundle.version
        assert not context.bound
        assert fields["x-trace-id"] == trace
        assert fields["traceparent"].startswith(f"00-{trace}-")
        assert fields["traceparent"] != f"00-{trace}-00f067aa0ba902b7-01"


async def test_a_context_for_reading_is_reused_and_one_for_changing_never(tmp_path: Path) -> None:
    """The second is bound to method, target, and the body where it was read; its id is the decision's."""
    async with plane(tmp_path) as gate:
        key = token("Manager")
        for data in (request(auth=key), request("GET", "/orders/o-2", auth=key)):
            await gate.raw(data)
        read = {gate.service.fields(which)["x-security-context"] for which in (0, 1)}
        assert len(read) == 1
        await gate.raw(refund(5))
        await gate.raw(refund(5))
        one, two = (gate.service.fields(which) for which in (2, 3))
        assert one["x-security-context"] != two["x-security-context"]
        keys = gate.server.ready_snapshot().signer.trusted_keys("order")
        context = ContextVerifier(issuer="lychgate", audience="order").verify(
            one["x-security-context"], keys, time.time()
        )
        assert (context.htm, context.htp) == ("POST", target_hash(b"/payments/p-1/refund"))
        assert context.htb == body_hash(b'{"amount": 5}')
        assert context.jti == one["x-decision-id"]


async def test_a_malformed_trace_is_replaced(tmp_path: Path) -> None:
    """Never an error; the answer names the one that was made."""
    async with plane(tmp_path) as gate:
        answer = await gate.raw(request(headers="traceparent: 00-0000-xyz-01"))
        made = gate.service.fields()["x-trace-id"]
        assert len(made) == 32
        assert f"x-trace-id: {made}".encode() in answer


async def test_a_durable_decision_is_on_disk_before_the_service_is_asked(tmp_path: Path) -> None:
    """Read from the spool's files at the moment the service sees the request."""
    async with plane(tmp_path) as gate:
        on_disk: list[bool] = []

        async def script(visit: Visit) -> None:
            head = await visit.head()
            decision = head.lower().partition(b"x-decision-id: ")[2][:36]
            spool = b"".join(path.read_bytes() for path in (tmp_path / "spool").iterdir() if path.is_file())
            on_disk.append(decision in spool)
            await visit.answer(gate.service.reply)

        gate.service.script = script
        assert status_of(await gate.raw(request("POST", "/orders", body=b"{}"))) == 200
        assert on_disk == [True]
        decided, completed = gate.events
        assert (decided.phase, completed.phase) == (Phase.DECIDED, Phase.COMPLETED)
        assert decided.event_id == completed.event_id
        assert (decided.outcome, completed.outcome, completed.status) == (None, Outcome.SUCCESS, 200)
        assert decided.producer.seq < completed.producer.seq


async def test_a_reads_number_is_taken_when_it_is_decided(tmp_path: Path) -> None:
    """So that a kill while the service works leaves a gap that is counted."""
    async with plane(tmp_path) as gate:
        numbers: list[int] = []

        async def script(visit: Visit) -> None:
            await visit.head()
            numbers.append(gate.sink.number(0))
            await visit.answer(gate.service.reply)

        gate.service.script = script
        await gate.raw(request())
        event = await gate.record()
        assert event.producer.seq == numbers[0] - 1


async def test_a_read_that_takes_long_is_written_in_two_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers of the audit do not wait for the end of a stream to know that it was allowed."""
    monkeypatch.setattr(conclude, "_LONG_S", 0.05)
    async with plane(tmp_path) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            await gate.record()
            await visit.answer(gate.service.reply)

        gate.service.script = script
        assert status_of(await gate.raw(request())) == 200
        decided, completed = gate.events
        assert (decided.phase, decided.outcome) == (Phase.DECIDED, None)
        assert (completed.phase, completed.outcome) == (Phase.COMPLETED, Outcome.SUCCESS)
        assert decided.event_id == completed.event_id
        assert decided.producer.seq < completed.producer.seq


async def test_what_cannot_be_recorded_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No record, no passage: a change is refused, and so is a known caller's refusal, with `audit_unavailable`."""
    async with plane(tmp_path) as gate:

        def full(_: AuditEvent) -> asyncio.Future[None]:
            raise SpoolUnavailable("full")

        monkeypatch.setattr(gate.sink, "emit_durable", full)
        for data in (request("POST", "/orders", body=b"{}"), refund(role="Cashier")):
            answer = await gate.raw(data)
            assert (status_of(answer), body_of(answer)["code"]) == (503, "audit_unavailable")
        assert gate.service.heads == []
        assert status_of(await gate.raw(request())) == 200


async def test_a_disk_that_refuses_while_waiting_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The waiter fails instead of the call."""
    async with plane(tmp_path) as gate:

        def broken(_: AuditEvent) -> asyncio.Future[None]:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiter.set_exception(SpoolUnavailable("disk"))
            return waiter

        monkeypatch.setattr(gate.sink, "emit_durable", broken)
        answer = await gate.raw(request("POST", "/orders", body=b"{}"))
        assert body_of(answer)["code"] == "audit_unavailable"
        assert gate.service.heads == []


async def test_a_service_that_is_down_is_502_and_recorded(tmp_path: Path) -> None:
    """In the same body, with the reason in the record only."""
    async with plane(tmp_path) as gate:
        gate.server.upstreams.configure(service("127.0.0.1:1"))
        answer = await gate.raw(request())
        assert (status_of(answer), body_of(answer)["code"]) == (502, "upstream_unavailable")
        event = await gate.record()
        assert (event.status, event.outcome, event.severity) == (502, Outcome.FAILURE, Severity.ERROR)
        assert event.details is not None
        assert "connect" in event.details["reason"]


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"",
    ],
)
async def test_a_service_that_does_not_speak_http_is_502(tmp_path: Path, reply: bytes) -> None:
    """The upstream is a stranger too."""
    async with plane(tmp_path) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.answer(reply)

        gate.service.script = script
        answer = await gate.raw(request())
        assert status_of(answer) == 502
        assert body_of(answer)["code"] == ("upstream_invalid" if reply else "upstream_unavailable")


async def test_a_service_that_reflects_our_headers_tells_the_client_nothing(tmp_path: Path) -> None:
    """The signed context never leaves the house."""
    async with plane(tmp_path) as gate:
        gate.service.reply = (
            b"HTTP/1.1 200 OK\r\nX-Security-Context: echo\r\nX-User-Id: echo\r\nX-Trace-Id: echo\r\n"
            b"Connection: close, x-hop\r\nX-Hop: echo\r\nX-Keep: yes\r\nContent-Length: 0\r\n\r\n"
        )
        answer = await gate.raw(request())
        assert b"echo" not in answer
        assert b"x-keep: yes" in answer


async def test_a_slow_service_is_504(tmp_path: Path) -> None:
    """When its first byte does not come in time."""
    async with plane(tmp_path, limits=Limits(first_byte_s=0.1)) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.reader.read()

        gate.service.script = script
        answer = await gate.raw(request())
        assert (status_of(answer), body_of(answer)["code"]) == (504, "upstream_timeout")


async def test_an_answer_that_stalls_is_cut_not_ended(tmp_path: Path) -> None:
    """The client must see that it is not whole, and the record says so."""
    async with plane(tmp_path, limits=Limits(stall_s=0.1)) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            await visit.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            await visit.reader.read()

        gate.service.script = script
        answer = await gate.raw(request())
        assert b"hello" in answer or answer == b""
        assert not answer.endswith(b"0\r\n\r\n")
        event = await gate.record()
        assert (event.outcome, event.details) == (Outcome.FAILURE, {"cut": "upstream_stall"})


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_client_that_goes_takes_the_services_work_with_it(tmp_path: Path, how: str) -> None:
    """The upstream connection is closed, and the record says how it ended."""
    async with plane(tmp_path, limits=Limits(half_close_s=0.1)) as gate:
        seen = asyncio.Event()
        ended = asyncio.Event()

        async def script(visit: Visit) -> None:
            await visit.head()
            seen.set()
            with contextlib.suppress(ConnectionError):  # a reset is an end as well
                await visit.reader.read()
            ended.set()

        gate.service.script = script
        _, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        if how == "reset":
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.write(request(close=False))
        await asyncio.wait_for(seen.wait(), PATIENCE_S)
        writer.close()
        await asyncio.wait_for(ended.wait(), PATIENCE_S)
        event = await gate.record()
        assert (event.outcome, event.details) == (Outcome.UNKNOWN, {"cut": "client_gone"})


async def test_head_is_decided_as_get_and_answered_without_a_body(tmp_path: Path) -> None:
    """The length it would have had stands in the field, and the connection goes on."""
    async with plane(tmp_path) as gate:
        gate.service.reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        first = request("HEAD", "/orders", close=False)
        gate_answer = await gate.raw(first + request("HEAD", "/nowhere"))
        assert gate_answer.count(b"HTTP/1.1 200 OK") == 1
        assert b"content-length: 5\r\n" in gate_answer
        assert gate_answer.count(b"HTTP/1.1 404") == 1
        assert gate_answer.endswith(b"\r\n\r\n")


async def test_an_unforeseen_fault_is_refused_told_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fail closed: 500, no passage, and the operator hears of it."""
    async with plane(tmp_path) as gate:
        snapshot = gate.server.ready_snapshot()

        def broken(*_: object) -> object:
            raise ZeroDivisionError

        monkeypatch.setattr(type(snapshot.engine), "decide", broken)
        answer = await gate.raw(request())
        assert (status_of(answer), body_of(answer)["code"]) == (500, "internal")
        assert [type(fault) for fault in gate.faults] == [ZeroDivisionError]
        assert gate.service.heads == []
        assert (await gate.record()).severity is Severity.ERROR


async def test_a_key_that_is_not_there_is_asked_for(tmp_path: Path) -> None:
    """So that a rotation at the issuer needs no restart here."""
    async with plane(tmp_path) as gate:
        stranger = tokens.mint(tokens.signing_key(kid="k2", which=2), exp=int(time.time()) + 60).decode()
        assert status_of(await gate.raw(request(auth=stranger))) == 401
        assert [(key.issuer, key.kid) for key in gate.unknown_keys] == [("dev", "k2")]


async def test_a_fault_on_a_fresh_connection_ends_its_request_and_not_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It happens in a task; were it let out, every other connection would go with it."""
    async with plane(tmp_path) as gate:

        def broken(*_: object) -> bytes:
            raise ZeroDivisionError

        monkeypatch.setattr("gateway.serve.exchange.service_request", broken)
        answer = await gate.raw(request())
        assert (status_of(answer), body_of(answer)["code"]) == (500, "internal")
        assert [type(fault) for fault in gate.faults] == [ZeroDivisionError]
        monkeypatch.undo()
        assert status_of(await gate.raw(request())) == 200
