"""Ports: free, taken, and by whom."""

import os
import socket
from pathlib import Path

import pytest

from lychgate.errors import PortBusy
from lychgate.ports import _not_given_away, free_port, holder, require_free


def test_a_free_port_is_free() -> None:
    """What is given can be bound."""
    port = free_port()
    assert holder(port) is None
    require_free(port, "a test")


def test_a_free_port_is_none_that_the_system_gives_away_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor one that somebody here was told before; where it gives away all of them it chooses."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    with socket.create_server(("127.0.0.1", free_port())) as server:
        found = [free_port() for _ in range(300)]
        assert server.getsockname()[1] not in found
    assert len({*found}) == 300
    assert max(found) < lowest
    for all_of_them in ("1024 65535", "", "odd"):
        range_file = tmp_path / "range"
        range_file.write_text(all_of_them)
        monkeypatch.setattr("lychgate.ports._GIVEN_AWAY", range_file)
        monkeypatch.setattr("lychgate.ports._ports", _not_given_away())
        require_free(free_port(), "a test")


def test_a_taken_port_is_named_with_its_holder() -> None:
    """The message says which port, what wanted it, which program has it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortBusy, match=rf"port {port} \(a test\) is already in use by .* \(pid {os.getpid()}\)"):
            require_free(port, "a test")
        with pytest.raises(PortBusy):
            require_free(port, "a test", "0.0.0.0")  # noqa: S104 -- the public address is the point


def test_a_connection_that_only_lingers_takes_no_port() -> None:
    """A port in TIME_WAIT can be listened on, as servers do."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first lingers
        client.close()
    require_free(port, "a test")
