"""A registry as it is shown: to Prometheus as text, to dashboards that want it as JSON. The same numbers in both."""

import math
from collections.abc import Iterable
from typing import Any, Final

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

TEXT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4


class Shown(Collector):
    """What a registry collects, less the times at which its series were made: those are no numbers of ours."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        """As the text form asks of a collector."""
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


def as_text(registry: CollectorRegistry) -> bytes:
    """Prometheus' text, version 0.0.4."""
    return generate_latest(Shown(registry))


def as_plain(registry: CollectorRegistry) -> dict[str, Any]:
    """The same, for JSON.

    Returns:
        `families`: of each `name` (without the suffix of its samples), `help`, `kind` and `samples`; of each sample
        `name` as in the text, `labels` and `value`, which is null where it is no finite number.
    """
    return {
        "families": [
            {
                "name": metric.name,
                "help": metric.documentation,
                "kind": metric.type,
                "samples": [
                    {
                        "name": sample.name,
                        "labels": dict(sorted(sample.labels.items())),
                        "value": sample.value if math.isfinite(sample.value) else None,
                    }
                    for sample in metric.samples
                ],
            }
            for metric in Shown(registry).collect()
        ]
    }
