"""The gRPC listener: real channels to a real server."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse

from gateway.doors.errors import CannotListen
from gateway.doors.ext_authz import SERVICE, _address
from roles.security_context.claims import body_hash
from tests.builders.patience import PATIENCE_S
from tests.gateway.doors.house import House, Told, bearer, house


class Caller:
    """An Envoy, as far as a listener sees one."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._check = channel.unary_unary(
            f"/{SERVICE}/Check",
            request_serializer=CheckRequest.SerializeToString,
            response_deserializer=CheckResponse.FromString,
        )

    async def __call__(
        self, method: str, path: str, *fields: tuple[str, str], timeout_s: float = PATIENCE_S, **http: Any
    ) -> Any:
        """One check."""
        request = CheckRequest()
        request.attributes.source.address.socket_address.address = "192.0.2.9"
        told = request.attributes.request.http
        told.method, told.path, told.size = method, path, -1
        for name, value in http.items():
            setattr(told, name, value)
        for name, value in fields:
            told.header_map.headers.add(key=name.lower(), raw_value=value.encode())
        return await self._check(request, timeout=timeout_s)


@asynccontextmanager
async def listening(folder: Path, **settings: Any) -> AsyncIterator[tuple[House, Caller, int]]:
    """Doors that listen for gRPC, and a caller."""
    async with house(folder, ext_authz={"enabled": True, "port": 0}, **settings) as doors:
        port = await doors.doors.open()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield doors, Caller(channel), port


async def test_allows_and_denies(tmp_path: Path) -> None:
    """The context, what to remove, real statuses, and one record each with the client that Envoy names."""
    async with listening(tmp_path) as (doors, check, _):
        told = await check("GET", "/orders", *bearer("Cashier"), ("x_tenant_id", "beta"))
        fields = {it.header.key: it.header.value for it in told.ok_response.headers}
        assert (fields["x-tenant-id"], fields["x-user-id"]) == ("acme", "u-17")
        assert list(told.ok_response.headers_to_remove) == ["authorization", "x_tenant_id"]
        denied = await check("GET", "/nowhere", *bearer("Cashier"))
        assert denied.denied_response.status.code == 404
        first, second = doors.events
        assert told.dynamic_metadata["decision_id"] == first.event_id
        assert told.dynamic_metadata["policy_version"] == doors.snapshot.bundle.version
        assert first.client is not None
        assert (first.client.ip, first.details) == ("192.0.2.9", {"door": "ext_authz_grpc", "proxy": "127.0.0.1"})
        assert (second.status, second.tenant_id) == (404, "-")


async def test_decides_on_a_body_that_came_whole(tmp_path: Path) -> None:
    """The pointer is read from the very bytes, and the context is bound to them."""
    fields = [
        *bearer("Manager"),
        ("content-type", "application/json"),
        ("content-length", "14"),
        ("x-envoy-auth-partial-body", "false"),
    ]
    async with listening(tmp_path) as (doors, check, _):
        small = await check("POST", "/payments/p-1/refund", *fields, raw_body=b'{"amount":100}', size=14)
        assert small.WhichOneof("http_response") == "ok_response", small
        [token] = [it.header.value for it in small.ok_response.headers if it.header.key == "x-security-context"]
        told = Told(200, {"x-security-context": token}, b"")
        assert doors.believed(told).htb == body_hash(b'{"amount":100}')
        assert doors.event.input is not None
        assert doors.event.input.context["amount"] == 100
        assert doors.event.request is not None
        assert doors.event.request.size_bytes == 14
        text = await check("POST", "/payments/p-1/refund", *fields, body='{"amount":100}', size=14)
        assert text.denied_response.status.code == 415
        broken = await check("POST", "/payments/p-1/refund", *fields, raw_body=b'{"amount":1,1}', size=14)
        assert broken.denied_response.status.code == 400


async def test_a_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    """Also one that told no length."""
    fields = [*bearer("Manager"), ("content-type", "application/json"), ("x-envoy-auth-partial-body", "false")]
    async with listening(tmp_path, gateway={"limits": {"decided_body_bytes": 13}}) as (_, check, _port):
        told = await check("POST", "/payments/p-1/refund", *fields, raw_body=b'{"amount":100}')
        assert told.denied_response.status.code == 413
        told = await check(
            "POST", "/payments/p-1/refund", *fields, ("content-length", "14"), raw_body=b'{"amount":100}'
        )
        assert told.denied_response.status.code == 413


async def test_a_peer_that_is_not_configured_is_refused(tmp_path: Path) -> None:
    """The peer is gRPC's own, not what the message names."""
    async with listening(tmp_path, peers=("192.0.2.9/32",)) as (doors, check, _):
        told = await check("GET", "/orders", *bearer("Cashier"))
        assert told.denied_response.status.code == 403
        assert doors.event.client is not None
        assert doors.event.client.ip == "127.0.0.1"


async def test_beyond_what_is_taken_on_a_caller_is_told_so(tmp_path: Path) -> None:
    """In hand: decided. Beyond: `overloaded`. Beyond four times that: gRPC itself says that it is too much."""
    async with listening(tmp_path, inflight=1) as (doors, check, _):
        held: list[asyncio.Future[None]] = []

        def hold(_: object) -> asyncio.Future[None]:
            held.append(asyncio.get_running_loop().create_future())
            return held[-1]

        doors.emitter.emit_durable = hold  # type: ignore[method-assign]
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(check("POST", "/orders", *bearer("Cashier")))
            async with asyncio.timeout(PATIENCE_S):
                while not held:  # noqa: ASYNC110 - the emitter tells nobody
                    await asyncio.sleep(0.01)
            assert (await check("POST", "/orders", *bearer("Cashier"))).denied_response.status.code == 503
            held[0].set_result(None)
        assert first.result().WhichOneof("http_response") == "ok_response"


async def test_grpc_itself_takes_on_four_times_as_many(tmp_path: Path) -> None:
    """Should answers not come at all, callers beyond that are told RESOURCE_EXHAUSTED instead of waiting."""
    async with listening(tmp_path, inflight=1) as (doors, check, _):
        doors.doors._checks._most = 100
        held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        began: list[object] = []

        def hold(event: object) -> asyncio.Future[None]:
            began.append(event)
            return asyncio.shield(held)

        doors.emitter.emit_durable = hold  # type: ignore[method-assign]
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(check("POST", "/orders", *bearer("Cashier"))) for _ in range(4)]
            async with asyncio.timeout(PATIENCE_S):
                while len(began) < 4:  # noqa: ASYNC110 - the emitter tells nobody
                    await asyncio.sleep(0.01)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await check("POST", "/orders", *bearer("Cashier"))
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            held.set_result(None)
        assert [task.result().WhichOneof("http_response") for task in waiting] == ["ok_response"] * 4


async def test_a_deadline_is_kept_and_a_stop_finishes_what_is_in_hand(tmp_path: Path) -> None:
    """A caller whose time is up is told at once; after `close` nobody is let in, and who was in is answered."""
    async with listening(tmp_path) as (doors, check, port):
        held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        began = asyncio.Event()

        def hold(_: object) -> asyncio.Future[None]:
            began.set()
            return asyncio.shield(held)

        doors.emitter.emit_durable = hold  # type: ignore[method-assign]
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await check("POST", "/orders", *bearer("Cashier"), timeout_s=0.1)
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        began.clear()
        async with asyncio.TaskGroup() as tasks:
            slow = tasks.create_task(check("POST", "/orders", *bearer("Cashier")))
            await began.wait()
            closing = tasks.create_task(doors.doors.close())
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    try:
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                    except ConnectionRefusedError:
                        break
                    except ConnectionResetError:
                        continue  # it was in the backlog when the port closed
                    writer.close()
                    await asyncio.sleep(0.01)
            held.set_result(None)
        assert slow.result().WhichOneof("http_response") == "ok_response"
        assert closing.done()
        assert doors.registry.get_sample_value("lychgate_door_inflight") == 0


async def test_an_address_in_use_is_named(tmp_path: Path) -> None:
    """Two listeners on one port are never both right."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with house(tmp_path, ext_authz={"enabled": True, "port": port}) as doors:
            with pytest.raises(CannotListen, match=f"^cannot listen on 127.0.0.1:{port}$"):
                await doors.doors.open()


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:1234", ("127.0.0.1", 1234)),
        ("ipv6:%5B::1%5D:1234", ("::1", 1234)),
        ("ipv6:[fe80::1%25eth0]:1", ("fe80::1%eth0", 1)),
        ("unix:/run/envoy.sock", ("unknown", 0)),
        ("unix:", ("unknown", 0)),
    ],
)
def test_addresses_as_grpc_writes_them(peer: str, address: tuple[str, int]) -> None:
    """A peer without an address is nobody who is believed."""
    assert _address(peer) == address
