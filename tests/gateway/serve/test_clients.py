"""Counting connections by client."""

import pytest

from gateway.limits import Limits
from gateway.metrics import TURNED_AWAY
from gateway.model import Peer
from gateway.serve.clients import Clients, Turned


def test_the_words_are_those_of_the_metric() -> None:
    """One closed set, in two places that cannot import each other."""
    assert {turned.value for turned in Turned} == set(TURNED_AWAY)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8:0:0:ffff::1", "2001:db8::2", True),
        ("2001:db8:0:1::1", "2001:db8::1", False),
        ("2001::4:5:6:7:8", "2001:0:0:4::1", True),
        ("2001::4:5:6:7:8", "2001::5:6:7:8", False),
        ("::1", "::2", True),
    ],
)
def test_a_client_is_an_address_or_a_64(first: str, second: str, same: bool) -> None:
    """Whoever has one address of a /64 has all of them."""
    clients = Clients(Limits(connections_per_client=1))
    assert clients.enter(Peer(first, 1)) is None
    assert clients.enter(Peer(second, 2)) is (Turned.PER_CLIENT if same else None)


def test_who_leaves_makes_room_and_is_forgotten() -> None:
    """And nothing is kept of those who are gone."""
    clients = Clients(Limits(connections_per_client=2, connections=3))
    peer = Peer("192.0.2.1", 1)
    assert [clients.enter(peer), clients.enter(peer), clients.enter(peer)] == [None, None, Turned.PER_CLIENT]
    clients.leave(peer)
    assert clients.enter(peer) is None
    assert clients.enter(Peer("192.0.2.2", 1)) is None
    assert clients.enter(Peer("192.0.2.3", 1)) is Turned.TOTAL
    clients.leave(Peer("192.0.2.2", 1))
    clients.leave(peer)
    clients.leave(peer)
    assert (clients.total, clients._open) == (0, {})


def test_a_hop_is_everybody_and_no_limit_is_none() -> None:
    """A load balancer's connections are those of all clients; 0 switches the limit off."""
    clients = Clients(Limits(connections_per_client=1))
    assert [clients.enter(Peer("192.0.2.1", 1, hop=True)) for _ in range(5)] == [None] * 5
    clients = Clients(Limits(connections_per_client=0))
    assert [clients.enter(Peer("192.0.2.1", 1)) for _ in range(5)] == [None] * 5
    clients.leave(Peer("192.0.2.1", 1))
    assert clients.total == 4
