"""What is remembered of a head changes nothing but the time a request takes."""

import gc
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from audit.event import AuditEvent
from gateway.serve.recall import Known, Recall
from gateway.snapshot import Snapshot, build_snapshot
from tests.builders.plane import Plane, plane, request, sources, token

TRACE = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
VARIES = re.compile(rb"(x-trace-id|x-decision-id|traceparent|x-security-context): [^\r]*")
REQUESTS: dict[str, dict[str, Any]] = {
    "a list": {},
    "a read": {"target": "/orders/o-1"},
    "an id that JSON escapes": {"target": "/orders/o%221%5E"},
    "an id outside ASCII": {"target": "/orders/%C3%A9"},
    "an id with a percent sign": {"target": "/orders/%25b"},
    "a query": {"target": "/orders?expand=lines&x=%25d"},
    "HEAD": {"method": "HEAD"},
    "a trace": {"headers": TRACE},
    "a malformed trace": {"headers": "traceparent: 00-1-2-3"},
    "an agent that JSON escapes": {"headers": 'User-Agent: "till" 100%b\\x'},
    "its own tenant named": {"headers": "X-Tenant-Id: acme"},
    "a tenant in the path": {"target": "/tenants/acme/orders"},
    "a field for this hop": {"headers": "Connection: x-mine\r\nX-Mine: 1"},
    "a spoofed field": {"headers": "X_User_Id: root\r\nX-Forwarded-For: 10.9.9.9"},
    "a cookie": {"headers": "Cookie: session=s3cret"},
    "a change without a body": {"method": "POST", "target": "/orders"},
    "a change": {"method": "POST", "target": "/orders", "body": b'{"lines": []}'},
    "a body that decides": {
        "method": "POST",
        "target": "/payments/p-1/refund",
        "headers": "Content-Type: application/json",
        "body": b'{"amount": 100}',
    },
}
NOT_REMEMBERED = {"a malformed trace", "a cookie", "a body that decides"}


class CountedRecall(Recall):
    """Counts for as long as the test lasts what the server's own takes to its metrics each tick."""

    __slots__ = ("found",)

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.found = 0
        self.forget(snapshot)

    def find(self, block: bytes, now: float) -> Known | None:
        """Find, and count."""
        known = super().find(block, now)
        self.found += known is not None
        return known


def counted(gate: Plane) -> CountedRecall:
    """The same data plane, with a memory that counts."""
    recall = CountedRecall(gate.server.ready_snapshot())
    gate.server.recall = recall
    return recall


def sent(what: str, *, auth: str) -> bytes:
    """The request's bytes; the same each time."""
    return request(**{"auth": auth, **REQUESTS[what]})


def plain(event: AuditEvent) -> dict[str, Any]:
    """A record without what is another each time."""
    found: dict[str, Any] = msgspec.to_builtins(event)
    for name in ("event_id", "occurred_at", "latency_us", "trace_id"):
        found.pop(name, None)
    found["producer"].pop("seq")
    for name in ("memo_hit", "duration_us"):
        found.get("decision", {}).pop(name, None)
    found.get("input", {}).get("context", {}).pop("now", None)
    return found


async def thrice(gate: Plane, data: bytes) -> list[tuple[bytes, bytes, list[dict[str, Any]]]]:
    """What the client, the service and the audit get of a request, three times."""
    seen = []
    for _ in range(3):
        gate.events.clear()
        answer = await gate.raw(data)
        head = VARIES.sub(rb"\1", gate.service.heads[-1])
        seen.append((VARIES.sub(rb"\1", answer), head, [plain(event) for event in gate.events]))
    return seen


@pytest.mark.parametrize("what", REQUESTS)
async def test_a_remembered_head_means_what_it_meant(tmp_path: Path, what: str) -> None:
    """Client, service and audit get the same the first time, from memory, and where nothing is remembered."""
    auth = token("Manager")
    async with plane(tmp_path) as gate:
        recall, data = counted(gate), sent(what, auth=auth)
        if what == "HEAD":
            gate.service.reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        first, second, third = await thrice(gate, data)
        assert first[0].startswith(b"HTTP/1.1 200")
        assert [first, second] == [second, third]
        assert len(first[2]) == (2 if what.startswith("a change") or what == "a body that decides" else 1)
        assert recall.found == (0 if what in NOT_REMEMBERED else 2)
        assert not gate.faults


async def test_the_trace_of_each_request_goes_on(tmp_path: Path) -> None:
    """It is cut out before the fields are compared, and handed on all the same."""
    async with plane(tmp_path) as gate:
        recall, auth = counted(gate), token()
        for n in range(1, 4):
            trace = f"{n:032x}"
            await gate.raw(request(headers=f"traceparent: 00-{trace}-00f067aa0ba902b7-01", auth=auth))
            assert gate.service.fields()["x-trace-id"] == trace
            assert gate.events[-1].trace_id == trace
        assert recall.found == 2


@pytest.mark.parametrize(
    "lines",
    [
        f"{TRACE}\r\n{TRACE}",
        f"{TRACE}\r\nTraceparent: 00-{'1' * 32}-00f067aa0ba902b7-01",
        f"Traceparent: 00-{'1' * 32}-00f067aa0ba902b7-01\r\n{TRACE}",
    ],
)
async def test_two_traces_are_none_also_from_memory(tmp_path: Path, lines: str) -> None:
    """Whoever sends one first and two later does not get one of the two."""
    async with plane(tmp_path) as gate:
        auth = token()
        for headers in (TRACE, lines, lines):
            await gate.raw(request(headers=headers, auth=auth))
        traces = [event.trace_id for event in gate.events]
        assert traces[0] == TRACE[16:48]
        assert len({*traces, "1" * 32}) == 4


async def test_a_folded_trace_is_refused_also_from_memory(tmp_path: Path) -> None:
    """What follows a field may belong to it; that is never cut apart."""
    async with plane(tmp_path) as gate:
        auth = token()
        await gate.raw(request(headers=TRACE, auth=auth))
        answer = await gate.raw(request(headers=f"{TRACE}\r\n folded", auth=auth))
        assert answer.startswith(b"HTTP/1.1 400")


async def test_a_credential_that_ran_out_is_not_remembered(tmp_path: Path) -> None:
    """Its expiry is looked at each time."""
    async with plane(tmp_path) as gate:
        data = request()
        await gate.raw(data)
        now = gate.server.clock.now()
        assert gate.server.recall.find(data, now) is not None
        assert gate.server.recall.find(data, now + 7200) is None


async def test_a_new_snapshot_forgets(tmp_path: Path) -> None:
    """Policies, routes, roles and keys may be others; what an old one still decides is not kept for the new."""
    async with plane(tmp_path) as gate:
        data = request()
        await gate.raw(data)
        snapshot = gate.server.ready_snapshot()
        gate.server.install(build_snapshot(sources(gate.service.port)))
        assert gate.server.recall.find(data, gate.server.clock.now()) is None
        recall = Recall()
        recall.forget(snapshot)
        await gate.raw(data)
        assert gate.server.recall.find(data, gate.server.clock.now()) is not None
        assert recall.find(data, gate.server.clock.now()) is None


async def test_it_is_forgotten_at_once_though_it_is_freed_later(tmp_path: Path) -> None:
    """What was remembered is handed out to be freed in slices; from that moment nothing is found in it any more."""
    async with plane(tmp_path) as gate:
        recall = counted(gate)
        snapshot = gate.server.ready_snapshot()
        await gate.raw(request())
        callers, lines = recall.forget(snapshot)
        assert len(callers) == len(lines) == 1
        assert repr(recall).startswith("Recall(0 callers, 0 lines, ")


async def test_another_caller_is_another(tmp_path: Path) -> None:
    """The same line under another credential, tenant or role is judged for itself."""
    async with plane(tmp_path) as gate:
        for auth in (token(), token("Auditor"), token(tenant_id="globex"), token(sub="u-18")):
            await gate.raw(request(auth=auth))
            await gate.raw(request(auth=auth))
        assert [event.tenant_id for event in gate.events] == ["acme"] * 4 + ["globex"] * 2 + ["acme"] * 2
        assert [event.decision.effect for event in gate.events if event.decision] == [
            *("allow", "allow", "deny", "deny"),
            *("allow",) * 4,
        ]
        users = [gate.service.fields(n)["x-user-id"] for n in range(len(gate.service.heads))]
        assert users == ["u-17"] * 4 + ["u-18"] * 2


async def test_another_line_is_another(tmp_path: Path) -> None:
    """Remembered fields give nothing to a route their caller was not allowed; another tenant's path is refused."""
    async with plane(tmp_path) as gate:
        auth = token("Cashier")
        for target, status in (
            ("/orders", 200),
            ("/tenants/acme/orders", 200),
            ("/tenants/globex/orders", 403),
            ("/tenants/acme/orders", 200),
            ("/nowhere", 404),
            ("/orders/../orders", 400),
        ):
            answer = await gate.raw(request(target=target, auth=auth))
            assert int(answer.split(b" ", 2)[1]) == status, target


async def test_nobody_else_fills_the_memory(tmp_path: Path) -> None:
    """Not strangers, not refused callers, not HTTP/1.0."""
    async with plane(tmp_path) as gate:
        await gate.raw(request(target="/catalog/acme/products", auth=None))
        await gate.raw(request(auth=token("Auditor")))
        await gate.raw(request(auth="nonsense"))
        await gate.raw(request().replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert repr(gate.server.recall) == "Recall(0 callers, 0 lines, 0 hits)"


async def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes first."""
    monkeypatch.setattr("gateway.serve.recall._LINES", 3)
    monkeypatch.setattr("gateway.serve.recall._CALLERS", 2)
    async with plane(tmp_path) as gate:
        for n in range(6):
            await gate.raw(request(target=f"/orders/o-{n}", auth=token(sub=f"u-{n}")))
        assert repr(gate.server.recall) == "Recall(2 callers, 3 lines, 0 hits)"


async def test_no_credential_outlives_its_request_in_memory(tmp_path: Path) -> None:
    """What is kept is a digest: the token's text is in nothing that the memory holds."""
    async with plane(tmp_path) as gate:
        recall, auth = counted(gate), token()
        for _ in range(2):
            await gate.raw(request(auth=auth))
        assert recall.found == 1
        secret = auth.encode()
        seen: set[int] = set()
        todo: list[object] = [recall._callers, recall._lines]
        while todo:
            item = todo.pop()
            if id(item) in seen or isinstance(item, type):
                continue
            seen.add(id(item))
            if isinstance(item, bytes | str):
                assert secret not in (item if isinstance(item, bytes) else item.encode("utf-8", "replace"))
            elif isinstance(item, msgspec.Struct):
                todo += [getattr(item, name) for name in item.__struct_fields__]
            else:
                todo += gc.get_referents(item)
        assert len(seen) > 20


async def test_a_failure_after_a_remembered_allow_is_recorded_whole(tmp_path: Path) -> None:
    """A record that is not the usual one is made from its values: what was asked is in it."""
    async with plane(tmp_path) as gate:
        data = request(target="/orders/o-1")
        await gate.raw(data)
        gate.service.reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"
        assert (await gate.raw(data)).startswith(b"HTTP/1.1 502")
        event = gate.events[-1]
        assert event.decision is not None
        assert event.input is not None
        assert (event.status, event.decision.effect, event.decision.code) == (502, "allow", "upstream_invalid")
        assert event.input.resource["id"] == "o-1"
