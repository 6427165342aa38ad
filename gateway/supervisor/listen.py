"""The public socket: bound once, by the supervisor, and inherited by every worker."""

import socket


class PortUnavailable(OSError):
    """The public address cannot be bound; the text names it and says why."""


def public_socket(host: str, port: int, backlog: int) -> socket.socket:
    """Bind and listen.

    The supervisor keeps it open for as long as it lives, so that while a worker is started anew connections wait in the
    backlog instead of being refused.

    Args:
        host: An address or name; the first that it resolves to is taken.
        port: 0 lets the system choose.
        backlog: Connections that may wait to be accepted.

    Raises:
        PortUnavailable: The address is in use, not ours, or may not be bound.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as exc:
        raise PortUnavailable(f"cannot listen on {host}:{port}: {exc.strerror or exc}") from exc
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(backlog)
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        raise PortUnavailable(f"cannot listen on {host}:{port}: {exc.strerror or exc}") from exc
    return sock
