"""Forwarded fields on real connections: from strangers they are dropped and made anew, from a trusted hop read.

Connections come from different addresses of 127.0.0.0/8: 127.0.0.2 stands for a load balancer, 127.0.0.3 for another.
"""

import asyncio
import ssl
from pathlib import Path

import pytest

from gateway.control import HopsConfig
from tests.builders import certificates
from tests.builders.certificates import Authority
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import Plane, plane, request, token

BALANCERS = HopsConfig(networks=("127.0.0.2/32", "127.0.0.3/32"))
HOP, STRANGER = "127.0.0.2", "127.0.0.9"
SPOOFED = (
    "X-Forwarded-For: 203.0.113.66",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Uri: /admin",
    "X-Forwarded-Prefix: /admin",
    "X-Forwarded-Method: DELETE",
    "X-Forwarded-Port: 1",
    "X_Forwarded_For: 203.0.113.66",
    "x-forwarded-anything: 203.0.113.66",
    "Forwarded: for=203.0.113.66;proto=https;host=evil.example",
    "X-Original-URL: /admin",
    "X-Original-Method: DELETE",
    "X-Rewrite-URL: /admin",
    "X-Real-IP: 203.0.113.66",
    "True-Client-IP: 203.0.113.66",
    "X-Client-IP: 203.0.113.66",
    "X-Cluster-Client-IP: 203.0.113.66",
    "X-Envoy-External-Address: 203.0.113.66",
    "X-HTTP-Method-Override: DELETE",
)
MADE = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}


def forwarded_fields(gate: Plane) -> dict[str, str]:
    """What the service was told about where the request comes from."""
    suspicious = ("forward", "original", "rewrite", "-ip", "override", "envoy", "prefix")
    return {name: value for name, value in gate.service.fields().items() if any(word in name for word in suspicious)}


@pytest.mark.parametrize("hops", [HopsConfig(), BALANCERS], ids=["nobody is trusted", "another is"])
async def test_a_stranger_says_nothing_about_where_it_comes_from(tmp_path: Path, hops: HopsConfig) -> None:
    """Whatever it sends, service and record get the address of its connection, and its own method and target."""
    async with plane(tmp_path, hops=hops) as gate:
        assert b" 200 " in await gate.raw(request(headers="\r\n".join(SPOOFED)), source=STRANGER)
        assert forwarded_fields(gate) == {
            "x-forwarded-for": STRANGER,
            "x-forwarded-proto": "http",
            "x-forwarded-host": "shop.example",
        }
        head = gate.service.heads[0]
        assert head.startswith(b"GET /orders HTTP/1.1\r\n")
        assert b"203.0.113.66" not in head
        assert b"evil" not in head
        [event] = gate.events
        assert event.client is not None
        assert event.client.ip == STRANGER
        assert "203.0.113.66" not in repr(event)


@pytest.mark.parametrize("field", SPOOFED)
async def test_each_field_alone_is_nothing(tmp_path: Path, field: str) -> None:
    """Oathkeeper, Traefik and oauth2-proxy each believed one of them from anybody."""
    async with plane(tmp_path) as gate:
        assert b" 200 " in await gate.raw(request(headers=field), source=STRANGER)
        assert set(forwarded_fields(gate)) == MADE
        assert forwarded_fields(gate)["x-forwarded-for"] == STRANGER


async def test_a_hop_speaks_for_its_client(tmp_path: Path) -> None:
    """Address and scheme; only these, and each once. What a client put into the same field is not believed."""
    async with plane(tmp_path, hops=BALANCERS) as gate:
        sent = (*SPOOFED[2:], "X-Forwarded-For: 203.0.113.66, 192.0.2.1, 127.0.0.3", "X-Forwarded-Proto: https")
        assert b" 200 " in await gate.raw(request(headers="\r\n".join(sent)), source=HOP)
        assert forwarded_fields(gate) == {
            "x-forwarded-for": "192.0.2.1",
            "x-forwarded-proto": "https",
            "x-forwarded-host": "shop.example",
        }
        assert gate.service.heads[0].count(b"x-forwarded-for") == 1
        [event] = gate.events
        assert event.client is not None
        assert event.client.ip == "192.0.2.1"
        assert "203.0.113.66" not in repr(event)


async def test_what_is_recalled_has_its_own_client_and_scheme(tmp_path: Path) -> None:
    """A head that was judged before comes from whom its own fields say, through whichever hop."""
    async with plane(tmp_path, hops=BALANCERS) as gate:
        key = token()
        for ip in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
            for source in (HOP, "127.0.0.3", STRANGER):
                sent = request(auth=key, headers=f"X-Forwarded-For: {ip}\r\nX-Forwarded-Proto: https")
                assert b" 200 " in await gate.raw(sent, source=source)
                fields = forwarded_fields(gate)
                believed = (STRANGER, "http") if source == STRANGER else (ip, "https")
                assert (fields["x-forwarded-for"], fields["x-forwarded-proto"]) == believed
        assert len(gate.server.recall._callers) == 2


async def test_each_request_of_a_hop_has_its_own_client(tmp_path: Path) -> None:
    """A load balancer sends everybody's requests on one connection."""
    async with plane(tmp_path, hops=BALANCERS) as gate:
        clients = ["192.0.2.1", "2001:db8::1", "192.0.2.3"]
        stream = b"".join(request(headers=f"X-Forwarded-For: {ip}", close=ip == clients[-1]) for ip in clients)
        assert (await gate.raw(stream, source=HOP)).count(b" 200 OK") == 3
        assert [gate.service.fields(n)["x-forwarded-for"] for n in range(3)] == clients
        assert gate.service.connections == 1
        assert [event.client.ip for event in gate.events if event.client] == clients


@pytest.mark.parametrize(
    "value",
    [
        "unknown",
        "_hidden",
        "<script>alert(1)</script>",
        "192.0.2.1 evil",
        "fe80::1%25<script>",
        "' OR 1=1",
        "192.0.2.1:80:80",
        "a" * 5000,
        "," * 5000,
        "\u0661\u0662.0.0.1".encode().decode("latin-1"),
    ],
)
@pytest.mark.parametrize("field", ["x-forwarded-for", "forwarded"])
async def test_hostile_values_reach_nobody(tmp_path: Path, field: str, value: str) -> None:
    """A hop that passes on what is no address speaks for itself."""
    hops = HopsConfig(networks=("127.0.0.2/32",), field=field)
    async with plane(tmp_path, hops=hops) as gate:
        text = f"for={value}" if field == "forwarded" else value
        assert b" 200 " in await gate.raw(request(headers=f"{field}: {text}"), source=HOP)
        assert forwarded_fields(gate)["x-forwarded-for"] == HOP
        [event] = gate.events
        assert event.client is not None
        assert event.client.ip == HOP


async def test_forwarded_is_read_where_it_is_configured(tmp_path: Path) -> None:
    """Then it alone: the other field may come from the client."""
    hops = HopsConfig(networks=("127.0.0.2/32",), field="forwarded")
    async with plane(tmp_path, hops=hops) as gate:
        sent = 'Forwarded: for="[2001:db8::7]:4711";proto=https;host=evil.example\r\nX-Forwarded-For: 203.0.113.66'
        assert b" 200 " in await gate.raw(request(headers=sent), source=HOP)
        fields = forwarded_fields(gate)
        assert (fields["x-forwarded-for"], fields["x-forwarded-proto"]) == ("2001:db8::7", "https")
        assert fields["x-forwarded-host"] == "shop.example"


async def test_strangers_behind_a_hop_are_folded_by_their_own_network(tmp_path: Path) -> None:
    """Not all into the load balancer's."""
    async with plane(tmp_path, hops=BALANCERS) as gate:
        for ip in ("192.0.2.1", "192.0.2.2", "198.51.100.1"):
            answer = await gate.raw(request(auth=None, headers=f"X-Forwarded-For: {ip}"), source=HOP)
            assert b" 401 " in answer
        gate.server.recorder.close()
        folded = [(event.client.ip if event.client else None, event.aggregate) for event in gate.events]
        assert [(ip, fold.count if fold else 1) for ip, fold in folded] == [("192.0.2.1", 2), ("198.51.100.1", 1)]


async def test_a_hop_within_tls_may_speak_for_a_plain_client(tmp_path: Path) -> None:
    """What the client used is what the hop says; a stranger within TLS is told of as `https`, whatever it says."""
    root = Authority()
    context = ssl.create_default_context(cadata=root.pem)
    async with plane(tmp_path, hops=BALANCERS, tls=certificates.source(root.server())) as gate:
        for source, scheme, address in ((HOP, "http", "192.0.2.1"), (STRANGER, "https", STRANGER)):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", gate.port, ssl=context, server_hostname="localhost", local_addr=(source, 0)
            )
            writer.write(request(headers="X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http"))
            async with asyncio.timeout(PATIENCE_S):
                assert b" 200 " in await reader.read()
            writer.close()
            fields = forwarded_fields(gate)
            assert (fields["x-forwarded-proto"], fields["x-forwarded-for"]) == (scheme, address)
