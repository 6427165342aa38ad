"""A real nginx for a test, on a free port of loopback, with a configuration of the test's own."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.builders.patience import PATIENCE_S
from tests.servers.ports import free_port

_HTTP = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} {listen};
    {server}
  }}
}}
"""


@contextlib.asynccontextmanager
async def nginx(folder: Path, server: str, *, listen: str = "") -> AsyncIterator[int]:
    """Run nginx with the given `server` block; yields its port once it accepts."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        missing = "nginx is not on this machine (Debian's nginx-light)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(_HTTP.format(folder=folder, port=port, listen=listen, server=server), encoding="utf-8")
    errors = (folder / "nginx.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        program, "-c", str(config), "-p", str(folder), "-e", "stderr", stderr=errors
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                assert process.returncode is None, (folder / "nginx.log").read_text(encoding="utf-8")
                await asyncio.sleep(0.02)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        errors.close()
