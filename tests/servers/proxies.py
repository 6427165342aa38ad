"""Real proxies for a test, configured by the blocks of docs/guides/other-proxies.md, on free ports of loopback."""

import asyncio
import contextlib
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from lychgate.ports import free_port

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "other-proxies.md"
_BIN = Path(sys.executable).parent
_LISTEN = "8000"


def blocks(heading: str) -> list[str]:
    """The code blocks under a heading of the page, in order."""
    text = PAGE.read_text(encoding="utf-8")
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None, heading
    return re.findall(r"^```\w+\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)


def filled(block: str, ports: Mapping[str, int]) -> str:
    """A block with the page's ports replaced: each must be there."""
    for told, real in ports.items():
        assert told in block, told
        block = re.sub(rf"\b{told}\b", str(real), block)
    return block


@contextlib.asynccontextmanager
async def nginx(folder: Path, ops: int, service: int) -> AsyncIterator[int]:
    """Nginx with `auth_request`."""
    [block] = blocks("nginx")
    port = free_port()
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    server = filled(block, {_LISTEN: port, "8081": ops, "9000": service})
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log stderr warn;\n"
        f"events {{ worker_connections 256; }}\nhttp {{\naccess_log off;\n{places}{server}}}\n"
    )
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    command = [program, "-c", str(config), "-p", str(folder), "-e", "stderr"]
    async with _running("nginx (Debian's nginx-light)", command, port, folder):
        yield port


@contextlib.asynccontextmanager
async def caddy(folder: Path, ops: int, service: int) -> AsyncIterator[int]:
    """Caddy with `forward_auth`."""
    [block] = blocks("Caddy")
    port = free_port()
    config = folder / "Caddyfile"
    site = filled(block, {_LISTEN: port, "8081": ops, "9000": service})
    config.write_text(f"{{\n\tadmin off\n\tpersist_config off\n}}\n{site}")
    command = [_program("caddy"), "run", "--config", str(config), "--adapter", "caddyfile"]
    async with _running("caddy", command, port, folder):
        yield port


@contextlib.asynccontextmanager
async def envoy(folder: Path, *, service: int, grpc: int = 0, ops: int = 0) -> AsyncIterator[int]:
    """Envoy with ext_authz over gRPC, or over HTTP where `ops` is given."""
    _, text = blocks("Envoy over gRPC")
    port = free_port()
    config = yaml.safe_load(filled(text, {_LISTEN: port, "8083": grpc or ops, "9000": service}))
    if ops:
        [text] = blocks("Envoy over HTTP")
        listener = config["static_resources"]["listeners"][0]
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        manager["http_filters"][0] = yaml.safe_load(filled(text, {"8081": ops}))
        cluster = config["static_resources"]["clusters"][0]
        cluster["name"] = cluster["load_assignment"]["cluster_name"] = "lychgate_http"
        del cluster["typed_extension_protocol_options"]
    file = folder / "envoy.yaml"
    file.write_text(yaml.safe_dump(config))
    command = [_program("envoy"), "-c", str(file), "--concurrency", "1", "--use-dynamic-base-id", "-l", "warn"]
    async with _running("envoy", command, port, folder):
        yield port


def _program(name: str) -> str | None:
    found = _BIN / name
    return str(found) if found.exists() else None


@contextlib.asynccontextmanager
async def _running(name: str, command: Sequence[str | None], port: int, folder: Path) -> AsyncIterator[None]:
    """The program, from when it accepts until the test is over."""
    if command[0] is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not on this machine")
        pytest.skip(f"{name} is not on this machine")
    log = folder / "proxy.log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *[str(word) for word in command],
            stdout=file,
            stderr=file,
            cwd=folder,
            env={**os.environ, "HOME": str(folder)},
        )
    try:
        async with asyncio.timeout(20):
            while True:
                assert process.returncode is None, log.read_text(errors="replace")
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(5):
                    await process.wait()
            except TimeoutError:
                process.kill()
        await process.wait()
