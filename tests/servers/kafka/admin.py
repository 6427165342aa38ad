"""What tests ask of a broker beside records: topics, with the patience of one that is only just coming up."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import KafkaError

from tests.builders.patience import PATIENCE_S

_WITHIN_S = PATIENCE_S
_EXISTS = 36
_FENCED = 38
"""No broker may hold a replica: the controller has not heard of the only one since both were stopped."""
_made: set[tuple[str, str]] = set()
"""Topics, with the broker they were made on."""


@asynccontextmanager
async def administrator(bootstrap_servers: str, within_s: float = _WITHIN_S) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client of a cluster that has a controller; waits for one.

    aiokafka (0.14) takes it that there is one: `'NoneType' object has no attribute 'nodeId'` where there is not yet.
    """
    async with asyncio.timeout(within_s):
        admin = await _introduced(bootstrap_servers)
    try:
        yield admin
    finally:
        with suppress(KafkaError, OSError):
            await admin.close()


async def _introduced(bootstrap_servers: str) -> AIOKafkaAdminClient:
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
        try:
            await admin.start()
            if admin._client.cluster.controller is not None:
                return admin
        except (KafkaError, OSError):
            pass
        with suppress(KafkaError, OSError):
            await admin.close()
        await asyncio.sleep(0.1)


async def create_topic(
    bootstrap_servers: str,
    name: str,
    partitions: int,
    within_s: float = _WITHIN_S,
    settings: Mapping[str, str] | None = None,
) -> None:
    """Make a topic; waits for a broker that is only just coming up."""
    wanted = NewTopic(name, partitions, 1, topic_configs=dict(settings or {}))
    async with asyncio.timeout(within_s):
        while True:
            try:
                async with administrator(bootstrap_servers, within_s) as admin:
                    answer = await admin.create_topics([wanted])
            except (KafkaError, OSError):
                await asyncio.sleep(0.1)
                continue
            [(_, code, *_)] = answer.topic_errors
            if code == _FENCED:
                await asyncio.sleep(0.1)
                continue
            assert code in {0, _EXISTS}, answer
            _made.add((bootstrap_servers, name))
            return


async def grow_topic(bootstrap_servers: str, name: str, partitions: int) -> None:
    """Give a topic more partitions."""
    async with administrator(bootstrap_servers) as admin:
        await admin.create_partitions({name: NewPartitions(partitions)})


async def delete_made(bootstrap_servers: str) -> None:
    """What `create_topic` made on a broker that is not ours."""
    async with administrator(bootstrap_servers) as admin:
        await admin.delete_topics([name for at, name in _made if at == bootstrap_servers])
