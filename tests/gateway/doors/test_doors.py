"""The doors in their process: what is loaded, what keeps a start back, and the order of a stop."""

import asyncio
import socket
from pathlib import Path

import pytest

from gateway.doors.doors import Doors
from gateway.doors.settings import DoorSettings
from tests.builders.patience import PATIENCE_S
from tests.gateway.doors.house import house
from tests.gateway.doors.process import opened
from tests.gateway.supervisor.process import sections, started
from tests.servers.ports import free_port
from tests.servers.postgres import Logins


def _loads_grpc(pid: int) -> bool:
    return "cygrpc" in Path(f"/proc/{pid}/maps").read_text()


async def test_only_who_serves_grpc_loads_it(tmp_path: Path, migrated_database: Logins) -> None:
    """The supervisor where it is enabled, a worker never; where it is not, nobody, and nobody listens."""
    async with opened(tmp_path, migrated_database.writer) as it:
        assert _loads_grpc(it.gateway.process.pid)
        assert not any(_loads_grpc(pid) for pid in await it.gateway.pids())
    (tmp_path / "off").mkdir()
    off = {"ext_authz": {"enabled": False, "port": it.grpc}}
    async with opened(tmp_path / "off", migrated_database.writer, **off) as it:
        assert not _loads_grpc(it.gateway.process.pid)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", it.grpc)


async def test_a_port_in_use_keeps_the_start_back(tmp_path: Path, migrated_database: Logins) -> None:
    """Exit code 2, with the address, before a worker is started; the public port is given back."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        section = {"ext_authz": {"enabled": True, "port": port}}
        configuration = sections(tmp_path, migrated_database.writer, free_port(), doors=section)
        async with started(configuration, tmp_path) as gateway:
            async with asyncio.timeout(PATIENCE_S):
                assert await gateway.process.wait() == 2
            assert f"cannot listen on 127.0.0.1:{port}" in gateway.log
            assert "Traceback" not in gateway.log


async def test_doors_that_never_opened_close(tmp_path: Path) -> None:
    """A stop before the start is none."""
    async with house(tmp_path) as doors:
        assert isinstance(doors.doors, Doors)
        assert await doors.doors.open() == 0
        await doors.doors.close()


@pytest.mark.parametrize(
    "section",
    [
        {"peers": ["10.0.0.1/8"]},
        {"peers": ["shop.example"]},
        {"envoy_prefix": "/"},
        {"envoy_prefix": "/authz/"},
        {"envoy_prefix": "authz"},
        {"inflight": 0},
        {"ext_authz": {"port": 70000}},
        {"ext_auth": {}},
    ],
)
def test_settings_that_mean_nothing_are_refused(section: dict[str, object]) -> None:
    """A network with host bits, a prefix that matches everything, a limit that lets nobody in."""
    with pytest.raises(ValueError, match="validation error"):
        DoorSettings(**section)  # type: ignore[arg-type]


def test_by_default_nobody_may_ask() -> None:
    """Closed until somebody says who is believed."""
    assert DoorSettings().peers == ()
    assert not DoorSettings().ext_authz.enabled
