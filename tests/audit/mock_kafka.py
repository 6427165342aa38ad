"""librdkafka's mock cluster, from the confluent-kafka wheel: speaks the real protocol, can be taken down and up.

It keeps messages in memory only, so what a broker's own restart loses cannot be tested with it.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import confluent_kafka

_PRODUCER = 0
_ERROR_BYTES = 512


def _library() -> ctypes.CDLL:
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    [file] = folder.glob("librdkafka*.so*")
    library = ctypes.CDLL(str(file))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_new", pointer, [number, pointer, text, ctypes.c_size_t]),
        ("rd_kafka_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, number]),
        ("rd_kafka_mock_cluster_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
        ("rd_kafka_mock_broker_set_down", number, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_broker_set_up", number, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_broker_set_rtt", number, [pointer, ctypes.c_int32, number]),
        ("rd_kafka_mock_partition_set_leader", number, [pointer, text, ctypes.c_int32, ctypes.c_int32]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class MockKafka:
    """One broker, or a few."""

    def __init__(self, library: ctypes.CDLL, cluster: int) -> None:
        self._library = library
        self._cluster = cluster
        self.bootstrap_servers: str = library.rd_kafka_mock_cluster_bootstraps(cluster).decode()

    def create(self, topic: str, partitions: int) -> None:
        """Make a topic."""
        assert self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1) == 0

    def lead(self, topic: str, partition: int, broker: int) -> None:
        """Move a partition's leader."""
        answer = self._library.rd_kafka_mock_partition_set_leader(self._cluster, topic.encode(), partition, broker)
        assert answer == 0

    def slow(self, milliseconds: int) -> None:
        """Answer so much later."""
        assert self._library.rd_kafka_mock_broker_set_rtt(self._cluster, 1, milliseconds) == 0

    def down(self) -> None:
        """Cut all connections and refuse new ones."""
        assert self._library.rd_kafka_mock_broker_set_down(self._cluster, 1) == 0

    def up(self) -> None:
        """Be there again."""
        assert self._library.rd_kafka_mock_broker_set_up(self._cluster, 1) == 0


@contextmanager
def mock_kafka(brokers: int = 1) -> Iterator[MockKafka]:
    """A cluster for the time of the block; its brokers are numbered from 1."""
    library = _library()
    error = ctypes.create_string_buffer(_ERROR_BYTES)
    client = library.rd_kafka_new(_PRODUCER, library.rd_kafka_conf_new(), error, _ERROR_BYTES)
    assert client, error.value
    cluster = library.rd_kafka_mock_cluster_new(client, brokers)
    assert cluster
    try:
        yield MockKafka(library, cluster)
    finally:
        library.rd_kafka_mock_cluster_destroy(cluster)
        library.rd_kafka_destroy(client)
