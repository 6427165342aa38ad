"""The public socket."""

import socket

import pytest

from gateway.supervisor.listen import PortUnavailable, public_socket


@pytest.mark.parametrize(
    ("host", "family"), [("127.0.0.1", socket.AF_INET), ("localhost", None), ("::1", socket.AF_INET6)]
)
def test_it_listens_where_it_is_told(host: str, family: socket.AddressFamily | None) -> None:
    """Addresses of both kinds and names; connections are taken into the backlog at once."""
    with public_socket(host, 0, 4) as sock:
        assert family is None or sock.family == family
        assert not sock.getblocking()
        assert not sock.get_inheritable(), "only who is handed it may have it"
        with socket.create_connection(sock.getsockname()[:2], timeout=2):
            pass


def test_a_taken_port_is_named() -> None:
    """The message says which address and why."""
    with public_socket("127.0.0.1", 0, 1) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(PortUnavailable, match=f"127.0.0.1:{port}: Address already in use"):
            public_socket("127.0.0.1", port, 1)


def test_an_address_that_is_not_ours_is_named() -> None:
    """Neither a foreign address nor a name that means nothing ends in a traceback."""
    with pytest.raises(PortUnavailable, match=r"192\.0\.2\.1:0"):
        public_socket("192.0.2.1", 0, 1)
    with pytest.raises(PortUnavailable, match="no such host"):
        public_socket("no such host", 0, 1)


def test_a_port_can_be_taken_over_at_once() -> None:
    """Connections of a predecessor that linger in TIME_WAIT do not hold a restart up."""
    with public_socket("127.0.0.1", 0, 4) as sock:
        address = sock.getsockname()[:2]
        client = socket.create_connection(address, timeout=2)
        sock.setblocking(True)
        served, _ = sock.accept()
        served.close()  # the side that closes first keeps the TIME_WAIT
        client.close()
    with public_socket(*address, 4):
        pass
