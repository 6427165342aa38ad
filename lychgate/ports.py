"""Local TCP ports: is one free, who holds it, and which is free."""

import random
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lychgate.errors import PortBusy
from lychgate.processes import command_of

_LISTEN = "0A"
"""`TCP_LISTEN` in the `st` column of /proc/net/tcp."""

_GIVEN_AWAY = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 20_000
_TRIES = 100


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on now; another process may be quicker, so whoever binds it must be ready to ask again.

    Servers are told of it and start seconds later. So it is none that the system would give away meanwhile, to whoever
    binds port 0 or as the near end of a connection, and none that this process was told before.
    """
    for _ in range(_TRIES):
        with suppress(OSError):
            return _bound(host, next(_ports))
    return _bound(host, 0)


def _bound(host: str, port: int) -> int:
    """The port that such a one is bound to."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, port))
        return int(probe.getsockname()[1])


def _not_given_away() -> Iterator[int]:
    """Ports below those that the system gives away, round and round from a random one on; 0 where there are none."""
    beyond = 0
    with suppress(OSError, ValueError, IndexError):
        beyond = int(_GIVEN_AWAY.read_text().split()[0])
    ports = range(_LOWEST, beyond) or range(1)
    at = random.randrange(len(ports))  # noqa: S311  # so that two processes begin apart, not a secret
    while True:
        yield ports[at % len(ports)]
        at += 1


_ports = _not_given_away()


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
