"""Which sinks the relay delivers to, from the configuration.

The main one is the broker where one is named, the store otherwise; beside it stand those of `audit.sinks`.
"""

import ssl
from contextlib import suppress

from audit.metrics import IngestMetrics, RelayMetrics
from audit.relay.relay import Beside
from audit.settings import AuditSettings, NdjsonSettings, SearchSettings, StoreSettings
from audit.sinks import Sink, StoreSink
from audit.sinks.outward import Outward
from audit.store import Store

_REFUSED_BYTES = 8 << 20
_REFUSED_FILES = 4


def make_sink(audit: AuditSettings, store: StoreSettings, metrics: IngestMetrics) -> Sink:
    """The main sink.

    Args:
        audit: With `kafka.bootstrap_servers`, or without.
        store: Where rows go in the direct form.
        metrics: Of the ingest, which in the direct form happens here.

    Raises:
        OSError: The file of a password or a key cannot be used; the text names it.
    """
    kafka = audit.kafka
    if kafka.bootstrap_servers is None:
        return StoreSink(Store(store.dsn(store.writer), metrics=metrics))
    from audit.kafka.connection import Connection  # without a broker its client is not loaded
    from audit.kafka.producer import KafkaSink

    connection = Connection.of(kafka)
    connection.require_private()
    return KafkaSink(
        connection,
        kafka.topic,
        dead_letter_topic=kafka.dead_letter_topic,
        deadline_s=kafka.deadline_s,
        probe_s=kafka.probe_s,
        batch_bytes=kafka.batch_bytes,
    )


def make_beside(
    audit: AuditSettings, store: StoreSettings, ingest: IngestMetrics, metrics: RelayMetrics
) -> list[Beside]:
    """The sinks beside the main one.

    Args:
        audit: With `sinks`, and the field paths of what is masked in them.
        store: Where rows go, where the relay is to write them beside a broker.
        ingest: Of the store among them.
        metrics: Of the others.

    Raises:
        OSError: A file or a folder cannot be used; the text names it.
    """
    settings = audit.sinks
    bound = int(audit.spool.max_bytes * settings.optional_lag_share)
    made: list[Beside] = []
    if settings.store and audit.kafka.bootstrap_servers is not None:
        made.append(Beside(StoreSink(Store(store.dsn(store.writer), metrics=ingest)), None))
    if settings.ndjson is not None:
        sink = _ndjson(settings.ndjson, Outward(audit.redaction.paths, settings.ndjson.redact), metrics)
        made.append(Beside(sink, None if settings.ndjson.required else bound))
    if settings.search is not None:
        sink = _search(settings.search, Outward(audit.redaction.paths, settings.search.redact), metrics)
        made.append(Beside(sink, None if settings.search.required else bound))
    return made


def _ndjson(settings: NdjsonSettings, outward: Outward, metrics: RelayMetrics) -> Sink:
    from audit.sinks.files import LinesRules
    from audit.sinks.ndjson import NdjsonSink

    rules = LinesRules(
        settings.rotate_bytes, settings.rotate_s, settings.keep_files, settings.compress, settings.min_free_bytes
    )
    return NdjsonSink(settings.folder, outward, rules, metrics)


def _search(settings: SearchSettings, outward: Outward, metrics: RelayMetrics) -> Sink:
    from audit.sinks.files import LineFiles, LinesRules
    from audit.sinks.search import Engine, SearchSink  # with an HTTP client

    with suppress(FileNotFoundError):  # it may come yet, and is read at each request
        settings.authorization()
    engine = Engine(
        settings.url,
        settings.index,
        settings.authorization,
        ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file is not None else None),
        settings.template,
        settings.timeout_s,
        settings.max_body_bytes,
        settings.compress,
    )
    refused = LineFiles(settings.refused_folder, "refused", LinesRules(_REFUSED_BYTES, keep_files=_REFUSED_FILES))
    return SearchSink(engine, outward, refused, metrics)
