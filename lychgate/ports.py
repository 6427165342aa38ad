"""Local TCP ports: is one free, who holds it, and which is free."""

import os
import socket
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path

from lychgate.errors import PortBusy
from lychgate.processes import command_of

_LISTEN = "0A"
"""`TCP_LISTEN` in the `st` column of /proc/net/tcp."""

_HOLDS = 64
"""Ports kept for those who asked for them last: what is older than so many is long in use, or not needed."""

_held: deque[int] = deque()
"""Descriptors of the sockets that keep them."""


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on, kept for whoever binds it by its number; a server may take seconds until it does.

    A socket of ours stays bound to it and never listens: connections are refused as before. Linux lets a server that
    sets `SO_REUSEADDR`, as servers do, bind beside such a socket, and gives the port to nobody who asks for any port
    or connects from one (socket(7)). It ends with our process. Elsewhere the port is only free, and another process
    may be quicker.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        if sys.platform == "linux":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _held.append(os.dup(probe.fileno()))
    if len(_held) > _HOLDS:
        os.close(_held.popleft())
    return port


def require_free(port: int, what: str, host: str = "127.0.0.1") -> None:
    """Say clearly that a port is taken, and by whom, before anything is started that would fail on it.

    Args:
        port: The port.
        what: What wanted it, for the message.
        host: The address it will be bound on.

    Raises:
        PortBusy: Somebody listens there.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers themselves do: a connection in TIME_WAIT is no reason to refuse.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise PortBusy(port, holder(port), what) from exc


def holder(port: int) -> str | None:
    """Who listens on a port, as `name (pid 4711)`; None where the system does not tell us."""
    inodes = set(_listening_inodes(port))
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        # A process that ends meanwhile, or belongs to somebody else, has nothing to tell.
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                if _socket_inode(descriptor) in inodes:
                    pid = int(process.name)
                    return f"{command_of(pid) or 'a process'} (pid {pid})"
    return None


def _listening_inodes(port: int) -> list[str]:
    """The socket inodes that listen on a port, IPv4 and IPv6 (proc(5), /proc/net/tcp)."""
    wanted = f"{port:04X}"
    found: list[str] = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and fields[1].rpartition(":")[2] == wanted:
                    found.append(fields[9])
    return found


def _socket_inode(descriptor: Path) -> str | None:
    """`socket:[123]` -> `123`."""
    with suppress(OSError):
        target = str(descriptor.readlink())
        if target.startswith("socket:["):
            return target[len("socket:[") : -1]
    return None
