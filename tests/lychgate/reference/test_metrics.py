"""Every metric there is: its labels are closed, its name follows the rules, and Prometheus' own tools agree."""

import subprocess

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from audit.metrics.shown import as_text
from gateway.metrics import families
from gateway.supervisor.totals import joined
from lychgate.reference.metrics import Described, described
from tests.servers.programs import promtool

NEVER = {"tenant", "tenant_id", "user", "actor", "path", "trace_id", "producer", "worker", "slot", "pid"}

SUMMED = {"depth", "bytes", "connections", "requests", "inflight", "lasting", "circuits", "workers", "ready", "folders",
          "revocations", "up", "unpublished", "stale", "gateways", "versions", "use", "events", "off", "incidents",
          "decisions", "flips", "undecidable", "capacity", "producers", "enabled", "partitions", "days",
          "pending", "handlers", "keys", "waiting", "behind", "hash", "successful"}  # fmt: skip
"""Last words of the gauges that may be summed over processes: amounts, and what only one process shows."""


def everything() -> list[Described]:
    """All of them."""
    return [metric for metrics in described().values() for metric in metrics]


def test_every_label_is_closed() -> None:
    """No metric of ours has a label whose values are not declared, or that names somebody."""
    assert [each.name for each in everything() if tuple(label.name for label in each.closed) != each.labels] == []
    assert [each.name for each in everything() if NEVER.intersection(each.labels)] == []
    silent = [each.name for each in everything() for label in each.closed if not label.values and not label.of]
    assert silent == []


def test_one_name_a_thing() -> None:
    """No name has two homes, and each says its unit in base units."""
    names = [each.name for each in everything()]
    assert sorted(set(names)) == sorted(names)
    assert [name for name in names if name.endswith(("_ms", "_us", "_milliseconds", "_kilobytes"))] == []
    assert [each.name for each in everything() if not each.text.endswith(".")] == []


def test_every_gauge_can_be_joined_over_processes() -> None:
    """Its name says whether it is summed: a new one is put into words here, or ends as a moment or an age does."""
    gauges = [each.name for each in everything() if each.kind == "gauge"]
    assert [name for name in gauges if joined("gauge", name) is not max and name.rpartition("_")[2] not in SUMMED] == []


def test_prometheus_own_tools_read_it() -> None:
    """The library's parser loses nothing, and `promtool check metrics` has nothing to say."""
    tool = promtool()
    for home in described():
        registry = CollectorRegistry()
        home(registry)
        text = as_text(registry)
        read = [sample for family in text_string_to_metric_families(text.decode()) for sample in family.samples]
        assert len(read) == sum(len(family.samples) for family in families(registry))
        done = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b""), f"{home.__name__}: {done.stderr.decode()}"
