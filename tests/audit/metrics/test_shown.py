"""Both forms of a registry."""

import json
import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from audit.metrics import PartitionMetrics
from audit.metrics.shown import as_plain, as_text


def test_text_and_json_are_the_same_numbers() -> None:
    """Every sample in both, none of the times of creation; what is no number is null in JSON."""
    registry = CollectorRegistry()
    Counter("n", "N.", ["what"], registry=registry).labels('a"b\n').inc(3)
    Histogram("h", "H.", buckets=(1,), registry=registry).observe(0.5)
    Gauge("g", "G.", registry=registry).set(math.nan)
    text = as_text(registry).decode()
    plain = json.loads(json.dumps(as_plain(registry), allow_nan=False))
    shown = [
        (family.name, family.type, sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    found = [
        (family["name"], family["kind"], sample["name"], sample["labels"], sample["value"])
        for family in plain["families"]
        for sample in family["samples"]
    ]
    assert [each[:4] for each in shown] == [each[:4] for each in found]
    assert [None if math.isnan(each[4]) else each[4] for each in shown] == [each[4] for each in found]
    assert "_created" not in text
    assert {sample["name"] for family in plain["families"] for sample in family["samples"]} == {
        "n_total", "h_bucket", "h_count", "h_sum", "g",
    }  # fmt: skip


def test_what_was_not_looked_at_yet_is_no_number() -> None:
    """An alert that fires below a bound must not take it for nothing."""
    registry = CollectorRegistry()
    PartitionMetrics(registry)
    [family] = as_plain(registry)["families"]
    assert [sample["value"] for sample in family["samples"]] == [None]
    assert b"audit_partitions_premade_seconds NaN" in as_text(registry)
