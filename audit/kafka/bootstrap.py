"""aiokafka's first contact with a cluster, without the connection that it leaves behind.

Its own closes that connection when a request fails, and not when whoever waits for it gives up (0.14: a deadline that
passes, a stop); and where it does, it waits for the other end of a TLS connection to say goodbye, and nobody holds the
socket. It stays open until the garbage is collected, which says so on the log. There is no public
way in, so this takes the method's place; `tests/audit/kafka/test_bootstrap.py` says after an upgrade whether it fits.
"""

import asyncio
from types import MethodType
from typing import Any, Final

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from audit.kafka.hang_up import hang_up

_FIRST: Final = ("bootstrap", ConnectionGroup.DEFAULT)
_FAILED = (KafkaError, OSError, TimeoutError)
_SETTINGS: Final = (
    "client_id",
    "request_timeout_ms",
    "ssl_context",
    "security_protocol",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
)
"""What a connection is made with, by the names under which a client keeps it with a line before them."""


def tidy(client: AIOKafkaClient) -> None:
    """Let a producer's or consumer's client leave nothing behind when its start is cancelled."""
    client.bootstrap = MethodType(_bootstrap, client)


async def _bootstrap(client: Any) -> None:
    """Learn who the brokers are, from the first server that tells.

    Raises:
        KafkaConnectionError: none does.
    """
    for host, port, _ in client.hosts:
        try:
            await _learn(client, host, port)
        except _FAILED:  # `trouble` finds out what is wrong with each, and says it
            continue
        break
    else:
        raise KafkaConnectionError(f"Unable to bootstrap from {client.hosts}")
    if client._sync_task is None:  # noqa: SLF001  # see above
        client._sync_task = asyncio.ensure_future(client._md_synchronizer())  # noqa: SLF001


async def _learn(client: Any, host: str, port: int) -> None:
    settings = {name: getattr(client, f"_{name}") for name in _SETTINGS}
    conn = await create_conn(host, port, max_idle_ms=client._connections_max_idle_ms, **settings)  # noqa: SLF001
    try:
        client.cluster.update_metadata(await conn.send(MetadataRequest([])))
    except BaseException:
        hang_up(conn)
        raise
    if client.cluster.brokers():
        hang_up(conn)
    else:  # a cluster without topics may not name its brokers: asked again through this one until it does
        client._conns[_FIRST] = conn  # noqa: SLF001
