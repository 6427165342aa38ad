"""How fast do records go into a real Kafka, by compression and number of partitions; librdkafka beside.

    python load/kafka.py [--rounds 3] [--servers HOST:PORT] [--batches 10]

Batches of 2,000 records through `KafkaSink.deliver`, each acknowledged by all replicas before the next, as the relay
does it; librdkafka (confluent-kafka) gets the same messages with idempotence, the same batch size and no linger, and is
flushed after each 2,000. CPU is of this process. Without `--servers` a broker is started from the tests' artifacts, on
the same machine. Rounds are interleaved; medians are printed and kept in `load/results/kafka.json`.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from confluent_kafka import Producer as Librdkafka  # noqa: E402  # the path comes first

from audit.codec import encode  # noqa: E402
from audit.event import Producer  # noqa: E402
from audit.kafka.connection import Connection  # noqa: E402
from audit.kafka.message import event_message  # noqa: E402
from audit.kafka.producer import KafkaSink  # noqa: E402
from audit.settings import KafkaSettings  # noqa: E402
from audit.settings.kafka import Compression  # noqa: E402
from tests.builders.audit import make_event  # noqa: E402
from tests.servers.kafka.admin import create_topic  # noqa: E402
from tests.servers.kafka.server import own_server, topic  # noqa: E402

BATCH = 2000
TENANTS = 40
PARTITIONS = (1, 3, 12)
BATCH_BYTES = 524_288
Measured = tuple[float, float]
"""Wall and CPU seconds."""


def records(dice: random.Random) -> list[bytes]:
    """Events as a gateway emits them: what repeats repeats, ids and times do not."""
    made = []
    for number in range(BATCH):
        event_id = uuid.UUID(int=0x0199 << 112 | dice.getrandbits(32) << 80 | 7 << 76 | 2 << 62 | dice.getrandbits(60))
        made.append(
            encode(
                make_event(
                    event_id=str(event_id),
                    tenant_id=f"tenant-{number % TENANTS}",
                    producer=Producer("gateway-w1", 3, number + 1),
                    trace_id=f"{dice.getrandbits(128):032x}",
                    latency_us=dice.randrange(100, 9000),
                )
            )
        )
    return made


async def ours(servers: str, name: str, compression: Compression, batches: list[list[bytes]], count: int) -> Measured:
    """Our sink."""
    sink = KafkaSink(Connection(servers, KafkaSettings(compression=compression)), name)
    await sink.deliver(batches[0])  # it connects
    wall, cpu = time.perf_counter(), time.process_time()
    for number in range(count):
        await sink.deliver(batches[number % len(batches)])
    measured = time.perf_counter() - wall, time.process_time() - cpu
    await sink.close()
    return measured


def theirs(servers: str, name: str, compression: Compression, batches: list[list[bytes]], count: int) -> Measured:
    """librdkafka, the same messages: headers are made as ours are."""
    producer = Librdkafka({
        "bootstrap.servers": servers, "enable.idempotence": True, "acks": "all", "linger.ms": 0,
        "compression.type": compression.value, "batch.size": BATCH_BYTES, "queue.buffering.max.messages": 100_000,
        "partitioner": "murmur2_random",
    })  # fmt: skip

    def send(payloads: list[bytes]) -> None:
        for payload in payloads:
            message = event_message(payload)
            producer.produce(name, message.value, message.key, headers=message.headers)
        assert producer.flush(30) == 0

    send(batches[0])
    wall, cpu = time.perf_counter(), time.process_time()
    for number in range(count):
        send(batches[number % len(batches)])
    return time.perf_counter() - wall, time.process_time() - cpu


async def measure(servers: str, rounds: int, count: int) -> dict[str, dict[str, float]]:
    """Every contender in every round."""
    dice = random.Random(1)
    batches = [records(dice) for _ in range(4)]
    found: dict[str, list[Measured]] = {}
    names = {partitions: topic() for partitions in PARTITIONS}
    for partitions, name in names.items():
        await create_topic(servers, name, partitions)
        await ours(servers, name, Compression.NONE, batches, 1)  # the broker makes its files
    for turn in range(rounds):
        for partitions, name in names.items():
            for compression in Compression:
                few = max(1, count // 5) if compression is Compression.GZIP else count  # it takes that much longer

                async def measured_ours() -> Measured:
                    return await ours(servers, name, compression, batches, few)  # noqa: B023  # awaited here

                async def measured_theirs() -> Measured:
                    return await asyncio.to_thread(theirs, servers, name, compression, batches, few)  # noqa: B023

                contenders = {"ours": measured_ours, "librdkafka": measured_theirs}
                for who in sorted(contenders, reverse=bool(turn % 2)):
                    wall, cpu = await contenders[who]()
                    kept = found.setdefault(f"{who}, {compression.value}, {partitions} partitions", [])
                    kept.append((wall / few / BATCH, cpu / few / BATCH))
    return {
        name: {
            "records_per_s": round(1 / statistics.median(each[0] for each in kept)),
            "cpu_us_per_record": round(statistics.median(each[1] for each in kept) * 1e6, 2),
        }
        for name, kept in found.items()
    }


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--servers", default=None)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lychgate-kafka-") as folder:
        server = own_server(Path(folder)) if asked.servers is None else None
        try:
            if server is not None:
                server.start()
            servers = asked.servers or (server.bootstrap_servers if server is not None else "")
            medians = asyncio.run(measure(servers, asked.rounds, asked.batches))
        finally:
            if server is not None:
                server.stop()
    for name, values in medians.items():
        print(f"{name:36}", *(f"{value:>10} {key}" for key, value in values.items()))
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    report = {
        "record_bytes": len(records(random.Random(1))[0]), "rounds": asked.rounds, "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores",
        "load_average": round(os.getloadavg()[0], 1), "commit": commit.stdout.strip(), "medians": medians,
    }  # fmt: skip
    kept = ROOT / "load" / "results" / "kafka.json"
    kept.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
