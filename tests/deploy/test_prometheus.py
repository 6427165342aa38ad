"""The alert rules and the scrape configuration, tried with Prometheus' own tools."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lychgate.reference.metrics import described
from tests.servers.programs import promtool

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULES = sorted(FOLDER.glob("*.rules.yml"))
GROUPS: list[dict[str, Any]] = [
    group for file in RULES for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
]
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule
}
_TEXT = (ROOT / "tests" / "cases" / "alerts.yaml").read_text(encoding="utf-8")
CASES: dict[str, dict[str, Any]] = yaml.load(_TEXT, yaml.BaseLoader)  # noqa: S506 - nothing but text: `0x8` is no number


def seconds(text: str) -> int:
    """`1h2m3s`."""
    return sum(int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in re.findall(r"(\d+)([hms])", text))


def expectation(name: str, eval_time: str, labels: dict[str, str] | None) -> dict[str, Any]:
    """That an alert fires with these labels then; None: that it does not."""
    rule = ALERTS[name]
    fired = {"exp_labels": {**(labels or {}), **rule["labels"]}, "exp_annotations": rule["annotations"]}
    return {"eval_time": eval_time, "alertname": name, "exp_alerts": [] if labels is None else [fired]}


def cases_of(name: str) -> list[dict[str, Any]]:
    """What promtool is asked of one alert."""
    case = CASES[name]
    series = next(iter(case["fires"]))
    labels = case["labels"] if "labels" in case else dict(re.findall(r'(\w+)="([^"]*)"', series))
    step = case.get("step", "15s")
    fires_at = f"{seconds(case['at']) + seconds(step)}s"

    def given(which: str) -> list[dict[str, str]]:
        return [{"series": each, "values": values} for each, values in case[which].items()]

    return [
        {
            "name": f"{name} fires",
            "interval": step,
            "input_series": given("fires"),
            "alert_rule_test": [expectation(name, case["at"], None), expectation(name, fires_at, labels)],
        },
        {
            "name": f"{name} is quiet",
            "interval": step,
            "input_series": given("quiet"),
            "alert_rule_test": [expectation(name, fires_at, None)],
        },
    ]


def test_every_alert_has_a_case() -> None:
    """Firing, not firing, and the moment in between."""
    assert set(CASES) == set(ALERTS)


@pytest.mark.parametrize("step", ["15s", "5m"])
@pytest.mark.parametrize("rules", RULES, ids=lambda rules: rules.stem)
def test_every_alert_fires_when_it_should_and_not_before(tmp_path: Path, rules: Path, step: str) -> None:
    """`promtool test rules` over all cases of a pace at once; each evaluates every rule of the file."""
    tool = promtool()
    here = [name for name in sorted(CASES) if f"- alert: {name}\n" in rules.read_text(encoding="utf-8")]
    asked = {
        "rule_files": [str(rules)],
        "evaluation_interval": step,
        "tests": [each for name in here if CASES[name].get("step", "15s") == step for each in cases_of(name)],
    }
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump(asked, sort_keys=False))
    done = subprocess.run([tool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_gateways_that_are_all_gone_are_told_of(tmp_path: Path) -> None:
    """Where targets are discovered nothing is 0 then; there is nothing at all."""
    gone = {"input_series": [{"series": 'up{job="lychgate-query"}', "values": "1x40"}], "interval": "15s"}
    fired = [expectation("AuditTargetDown", "2m", {"job": "lychgate-gateway"})]
    file = tmp_path / "tests.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(FOLDER / "audit.rules.yml")], "tests": [{**gone, "alert_rule_test": fired}]})
    )
    done = subprocess.run([promtool(), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_and_configuration_are_in_order() -> None:
    """`promtool check` has nothing to say, and every job the rules speak of is scraped."""
    tool = promtool()
    for words in (["rules", *map(str, RULES)], ["config", str(FOLDER / "prometheus.yml")]):
        done = subprocess.run([tool, "check", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
    jobs = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    assert all(re.fullmatch("lychgate-.*", job["job_name"]) for job in jobs)


def alerted() -> set[str]:
    """The metrics that alerts are about, those behind a recorded figure with it."""
    recorded = {rule["record"]: rule["expr"] for group in GROUPS for rule in group["rules"] if "record" in rule}
    text = " ".join(rule["expr"] for rule in ALERTS.values())
    for name, expr in recorded.items():
        text = text.replace(name, expr)
    return {re.sub(r"_(?:bucket|count|sum)$", "", name) for name in re.findall(r"\b(?:audit|lychgate)_\w+", text)}


BAD = (
    r"fail|error|refus|expire|_end_|stale|lost|drop|unseal|unpubl|unrecord|untold|damag|quarant|away|behind|differ"
    r"|restart|missed|conflict|dead_letter|lag_seconds|oldest"
)
"""Words by which a metric says that something is wrong, or soon will be."""

NO_ALERT = {
    "audit_dead_letters_untold_total": "in the store: AuditDeadLetters, AuditDeadLettersWaiting tell of them",
    "audit_ingest_failures_total": "a store that takes nothing is AuditSpoolOld, or AuditConsumerBehind",
    "audit_ingest_lag_seconds": "what is late is AuditSpoolOld, AuditConsumerBehind or AuditWatermarkStale",
    "audit_outbox_refused_total": "AuditOutboxRowsRefused is about those that wait",
    "audit_queue_oldest_seconds": "AuditQueueFilling comes before it matters, AuditEmitSlow says it in time",
    "audit_relay_failures_total": "one failed batch is repeated; AuditSinkLeftAlone and AuditSpoolOld are about many",
    "audit_seals_unpublished": "the store has them; they go out when the broker is back",
    "audit_sink_errors_total": "the causes of AuditSinkLeftAlone",
    "audit_sink_oldest_seconds": "AuditSpoolOld is about the main sink; another holds nobody up",
    "audit_sink_refused_total": "named in the sink's own file of refusals, and in the store all the same",
    "audit_unsealed_partitions": "AuditUnsealed is about how old they are",
    "lychgate_decision_api_unrecorded_total": "the record is shed: AuditShedding counts it",
    "lychgate_dropped_roles_total": "anybody's tokens count; what it leads to is GatewayDenialsJump",
    "lychgate_tls_handshake_failures_total": "strangers make them; our own end of it is GatewayCertificateEnds",
    "lychgate_upstream_errors_total": "one is tried again; GatewayServiceFailing is about many",
}  # fmt: skip
"""Those that wake nobody, and why."""


def test_what_sounds_bad_is_alerted_on_or_said_why_not() -> None:
    """A metric is made because something can go wrong: a new one gets its alert, or stands above with a reason."""
    bad = {each.name for metrics in described().values() for each in metrics if re.search(BAD, each.name)}
    assert bad - alerted() == set(NO_ALERT), "make an alert of it, or say why there is none"
    assert len([name for name in bad if name.startswith("lychgate_")]) > 20


def test_rules_speak_of_metrics_that_are_there() -> None:
    """A rule over a name that nobody counts never fires."""
    known = {metric.name for metrics in described().values() for metric in metrics}
    recorded = {rule["record"] for group in GROUPS for rule in group["rules"] if "record" in rule}
    named = set()
    for group in GROUPS:
        for rule in group["rules"]:
            named |= set(
                re.findall(r"\b(?:\w+:)?(?:audit|lychgate)_[a-z_0-9]+(?::\w+)?", re.sub(r'"[^"]*"', "", rule["expr"]))
            )
    named = {re.sub(r"_(?:bucket|count|sum)$", "", name) for name in named - recorded}
    assert named - known == set()
