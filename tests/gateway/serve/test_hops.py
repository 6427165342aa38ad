"""Who is believed about the client, and how far."""

import pytest

from gateway.control import HopsConfig
from gateway.limits import Limits
from gateway.model import Certificate, Peer
from gateway.serve.hops import TrustedHops
from gateway.wire.head import Head, HeadReader

LB = "10.0.0.1"


def head(*fields: str) -> Head:
    """A request's head with these fields."""
    lines = ["GET / HTTP/1.1", "Host: a", *fields]
    return HeadReader(Limits()).read(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


def seen(config: HopsConfig, *fields: str, peer: str = LB) -> tuple[str, bytes]:
    """Address and scheme of the client, as a gateway with this configuration takes it."""
    hops = TrustedHops(config)
    other = hops.peer((peer, 4711))
    client = hops.client(other, head(*fields).headers) if other.hop else other
    return client.ip, client.scheme


NETWORKS = HopsConfig(networks=("10.0.0.0/8", "fd00::/8"))


@pytest.mark.parametrize(
    ("config", "fields", "client"),
    [
        (NETWORKS, ("X-Forwarded-For: 192.0.2.1",), "192.0.2.1"),
        (NETWORKS, ("X-Forwarded-For: 203.0.113.9, 192.0.2.1",), "192.0.2.1"),
        (NETWORKS, ("X-Forwarded-For: 203.0.113.9, 192.0.2.1, 10.1.1.1, fd00::7",), "192.0.2.1"),
        (NETWORKS, ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.1.1.1"), "203.0.113.9"),
        (NETWORKS, ("X-Forwarded-For: <script>, 10.1.1.1",), "10.1.1.1"),
        (NETWORKS, ("X-Forwarded-For: 10.9.9.9",), "10.9.9.9"),
        (NETWORKS, ("X-Forwarded-For: unknown",), LB),
        (NETWORKS, ("X-Forwarded-For: 192.0.2.1, nonsense",), LB),
        (NETWORKS, (), LB),
        (NETWORKS, ("Forwarded: for=192.0.2.1",), LB),
        (NETWORKS, ("X_Forwarded_For: 192.0.2.1",), LB),
        (HopsConfig(networks=("10.0.0.0/8",), count=1), ("X-Forwarded-For: 192.0.2.1, 10.1.1.1",), "10.1.1.1"),
        (HopsConfig(count=1), ("X-Forwarded-For: 203.0.113.9, 192.0.2.1",), "192.0.2.1"),
        (HopsConfig(count=2), ("X-Forwarded-For: 203.0.113.9, 192.0.2.1, 198.51.100.7",), "192.0.2.1"),
        (HopsConfig(count=3), ("X-Forwarded-For: 192.0.2.1",), "192.0.2.1"),
        (HopsConfig(), ("X-Forwarded-For: 192.0.2.1",), LB),
        (HopsConfig(networks=("10.0.0.2/32",)), ("X-Forwarded-For: 192.0.2.1",), LB),
        (HopsConfig(count=1, field="forwarded"), ("X-Forwarded-For: 1.2.3.4", "Forwarded: for=192.0.2.1"), "192.0.2.1"),
        (HopsConfig(count=1, field="forwarded"), ("X-Forwarded-For: 1.2.3.4",), LB),
    ],
)
def test_the_client_is_the_first_that_no_hop_is_on_the_way_from(
    config: HopsConfig, fields: tuple[str, ...], client: str
) -> None:
    """From the right, through hops only, as many as there are; the field that is not configured is never read."""
    assert seen(config, *fields)[0] == client


@pytest.mark.parametrize(
    ("config", "fields", "scheme"),
    [
        (NETWORKS, ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"), b"https"),
        (NETWORKS, ("X-Forwarded-Proto: HTTPS",), b"https"),
        (NETWORKS, ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https, http"), b"http"),
        (NETWORKS, ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Proto: https"), b"http"),
        (NETWORKS, ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: javascript"), b"http"),
        (NETWORKS, ("X-Forwarded-For: 192.0.2.1",), b"http"),
        (HopsConfig(), ("X-Forwarded-Proto: https",), b"http"),
        (HopsConfig(count=1, field="forwarded"), ("Forwarded: for=192.0.2.1;proto=https",), b"https"),
        (
            HopsConfig(count=1, field="forwarded"),
            ("Forwarded: for=192.0.2.1", "X-Forwarded-Proto: https"),
            b"http",
        ),
    ],
)
def test_how_the_client_came_is_told_by_the_hop(config: HopsConfig, fields: tuple[str, ...], scheme: bytes) -> None:
    """`http` or `https`, said once and by the field that is configured; else it is how the hop came."""
    assert seen(config, *fields)[1] == scheme


@pytest.mark.parametrize(
    ("name", "ip"),
    [
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1"),
    ],
)
def test_one_address_has_one_name(name: str, ip: str) -> None:
    """On a socket for both families a client of IPv4 has its IPv4 address, and is a hop if that is one."""
    peer = TrustedHops(NETWORKS).peer((name, 1))
    assert peer.ip == ip
    assert peer.hop is (ip == LB)


def test_what_the_hop_proved_itself_with_stays() -> None:
    """Its certificate is what this connection has shown, whoever it speaks for."""
    shown = Certificate("CN=edge", "ab" * 32)
    peer = Peer(LB, 1, b"https", shown, hop=True)
    client = TrustedHops(NETWORKS).client(peer, head("X-Forwarded-For: 192.0.2.1").headers)
    assert (client.ip, client.scheme, client.certificate) == ("192.0.2.1", b"https", shown)


def test_a_chain_without_end_is_not_followed() -> None:
    """However many hops a field names."""
    chain = ", ".join(["192.0.2.1"] + ["10.0.0.9"] * 100)
    assert seen(NETWORKS, f"X-Forwarded-For: {chain}")[0] == "10.0.0.9"


def test_what_was_read_once_is_kept_but_not_without_bound() -> None:
    """Alike fields are read once, each for its own hop; strangers' long ones are not kept, nor more than so many."""
    hops = TrustedHops(NETWORKS)
    first, second = hops.peer(("10.0.0.1", 1)), hops.peer(("10.0.0.2", 1))
    said = head("X-Forwarded-For: 192.0.2.1").headers
    assert [hops.client(first, said).ip for _ in range(3)] == ["192.0.2.1"] * 3
    assert len(hops._known) == 1
    assert [hops.client(peer, head("X-Forwarded-For: _nobody").headers).ip for peer in (first, second)] == [
        "10.0.0.1",
        "10.0.0.2",
    ]
    before = len(hops._known)
    assert hops.client(first, head("X-Forwarded-For: " + "a" * 300 + ", 192.0.2.7").headers).ip == "192.0.2.7"
    assert len(hops._known) == before
    for n in range(5000):
        hops.client(first, head(f"X-Forwarded-For: 192.0.2.{n % 256}", f"X-Forwarded-Proto: {n}").headers)
    assert len(hops._known) <= 4096
