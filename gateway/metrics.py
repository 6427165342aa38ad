"""Everything the gateway counts: the one home of its metric names.

`GatewayMetrics` is for whoever decides and forwards (each worker, and the supervisor for its own doors),
`SupervisorMetrics` for the supervisor alone. Label values come from closed sets (`audit.metrics.closed`): a service
outside the configuration, a method or a kind nobody listed becomes `other`, so that no stranger can make a series.
Never a tenant, a user or a path.

Each process keeps its own registry; `families` reads one into values that cross the control pipe, and
`gateway.supervisor.totals` sums them.

What every request counts is an `audit.metrics.tally`, which costs an addition; what happens rarely is the library's.
"""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Info

from audit.metrics.closed import OTHER, Counter, Gauge, Label
from audit.metrics.tally import CounterTally, Durations, HistogramTally
from gateway.control import Family, Sample
from gateway.errors import Code
from gateway.model import DataClass

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
STATUS_CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")
EFFECTS: Final = ("allow", "deny")
LASTING: Final = ("tunnel", "event_stream", "response")
LASTING_ENDS: Final = (
    "closed",
    "client_gone",
    "upstream_closed",
    "client_invalid",
    "upstream_invalid",
    "upstream_stall",
    "idle",
    "total",
    "token_expired",
    "refused",
    "drain",
)
SOURCES: Final = ("evaluated", "memo")
DATA_CLASSES: Final = tuple(data_class.value for data_class in DataClass)
REDACTIONS: Final = ("redacted", "clean", "dropped", "failed")
"""Fields went; there were none of them; an error's body went whole; the answer became 502."""
TURNED_AWAY: Final = ("total", "per_client")
HANDSHAKE_FAILURES: Final = ("timeout", "certificate", "protocol", "gone")
UPSTREAM_KINDS: Final = ("connect", "tls", "open", "timeout", "stale", "closed", "invalid", "status", "stall")
RETRY_KINDS: Final = ("connect", "stale", "closed")
CIRCUIT_STATES: Final = ("closed", "open", "half_open")
RELOADS: Final = ("configuration", "policies", "certificates", "context_keys")
CONTEXT_KEYS: Final = ("next", "current", "last")
OPS_ENDPOINTS: Final = (
    "healthz",
    "readyz",
    "jwks",
    "metrics",
    "metrics_json",
    "status",
    "explain",
    "context_exchange",
    "authzen_evaluation",
    "authzen_evaluations",
    "authzen_search",
    "authzen_metadata",
    "revocations",
)
CODES: Final = tuple(code.word for code in Code)
INSTALLS: Final = ("installed", "failed")
FATES: Final = ("installed", "refused")

METHOD: Final = Label("method", METHODS)
STATUS: Final = Label("status", STATUS_CLASSES)
CODE: Final = Label("code", CODES)
EFFECT: Final = Label("effect", EFFECTS)
SOURCE: Final = Label("source", SOURCES)
UPSTREAM_KIND: Final = Label("kind", UPSTREAM_KINDS)
RETRY_KIND: Final = Label("kind", RETRY_KINDS)
CIRCUIT_STATE: Final = Label("state", CIRCUIT_STATES)
REDACTION: Final = Label("result", REDACTIONS)
DATA_CLASS: Final = Label("class", DATA_CLASSES)
WHY_NOT: Final = Label("why", TURNED_AWAY)
HANDSHAKE_FAILURE: Final = Label("why", HANDSHAKE_FAILURES)
LASTING_KIND: Final = Label("kind", LASTING)
LASTING_END: Final = Label("why", LASTING_ENDS)

REQUEST_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds. The gateway's own part is under a millisecond, so the scale begins below it."""
DECISION_BUCKETS: Final = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.1)
"""Seconds. A sliced evaluation is about 80 us."""


class GatewayMetrics:
    """What happens to requests, in one process.

    Args:
        registry: Where the collectors are registered; one instance a registry.
        services: Names of the configured services; see `serve`.
    """

    def __init__(self, registry: CollectorRegistry, services: Iterable[str] = ()) -> None:
        self._service = Label("service", of="the services of the snapshot in force")
        self.requests = CounterTally(
            "lychgate_requests",
            "Requests answered, by the service they were for.",
            (self._service, METHOD, STATUS),
            registry,
        )
        self.request_duration = HistogramTally(
            "lychgate_request_duration_seconds",
            "From a request's first byte to its answer's last.",
            (self._service,),
            REQUEST_BUCKETS,
            registry,
        )
        self.refusals = Counter(
            "lychgate_refusals", "Requests that the gateway itself refused.", (CODE,), registry=registry
        )
        self.decisions = CounterTally(
            "lychgate_decisions",
            "Decisions, by what they say and whether Cedar was asked.",
            (EFFECT, SOURCE),
            registry,
        )
        self.decision_duration = HistogramTally(
            "lychgate_decision_duration_seconds",
            "Time that Cedar took for one decision; remembered ones are not in it.",
            (),
            DECISION_BUCKETS,
            registry,
        )
        self.policy_errors = Counter(
            "lychgate_policy_errors",
            "Policies that could not be evaluated: an erroring forbid denied, an erroring permit was ignored.",
            (EFFECT,),
            registry=registry,
        )
        self.upstream_errors = Counter(
            "lychgate_upstream_errors",
            "Exchanges that a service failed.",
            (self._service, UPSTREAM_KIND),
            registry=registry,
        )
        self.upstream_retries = Counter(
            "lychgate_upstream_retries",
            "Requests that were given to another connection, by what became of the first.",
            (self._service, RETRY_KIND),
            registry=registry,
        )
        self.upstream_circuits = Gauge(
            "lychgate_upstream_circuits",
            "Addresses of services by the state of their circuit, each counted once a worker.",
            (self._service, CIRCUIT_STATE),
            registry=registry,
        )
        self.upstream_circuits_opened = Counter(
            "lychgate_upstream_circuits_opened",
            "Circuits that opened, by the failure that did it.",
            (self._service, UPSTREAM_KIND),
            registry=registry,
        )
        self.redactions = Counter(
            "lychgate_redactions",
            "Answers looked through for fields that their callers may not see, by what became of them.",
            (REDACTION,),
            registry=registry,
        )
        self.redacted_fields = Counter(
            "lychgate_redacted_fields",
            "Fields of answers that were masked or removed, by class.",
            (DATA_CLASS,),
            registry=registry,
        )
        self.connections = Gauge("lychgate_connections", "Open client connections.", registry=registry)
        self.inflight = Gauge("lychgate_inflight_requests", "Requests begun and not answered.", registry=registry)
        self.refused_connections = Counter(
            "lychgate_connections_refused", "Client connections that were not let in.", (WHY_NOT,), registry=registry
        )
        self.handshake_failures = Counter(
            "lychgate_tls_handshake_failures",
            "TLS handshakes of clients that failed.",
            (HANDSHAKE_FAILURE,),
            registry=registry,
        )
        self.upstream_connections = Gauge(
            "lychgate_upstream_connections", "Open connections to services, in use or idle.", registry=registry
        )
        self.lasting = Gauge(
            "lychgate_lasting",
            "Open tunnels and event streams, and answers that take long.",
            (LASTING_KIND,),
            registry=registry,
        )
        self.lasting_ended = Counter(
            "lychgate_lasting_ended",
            "Tunnels, event streams and long answers that are over, by what ended them.",
            (LASTING_KIND, LASTING_END),
            registry=registry,
        )
        self.token_memo_hits = Counter(
            "lychgate_token_memo_hits", "Tokens that had been verified before.", registry=registry
        )
        self.token_memo_misses = Counter(
            "lychgate_token_memo_misses", "Tokens that had to be verified.", registry=registry
        )
        self.dropped_roles = Counter(
            "lychgate_dropped_roles", "Role names in tokens that are neither ours nor mapped.", registry=registry
        )
        self._requests: dict[tuple[str, bytes, int], tuple[tuple[str, ...], Durations]] = {}
        self._asked = self.decision_duration.of(())
        self._refusals = {code: self.refusals.labels(code.word) for code in Code}
        self.decisions.counts.update({(effect, source): 0 for effect in EFFECTS for source in SOURCES})
        self.serve(services)

    def serve(self, services: Iterable[str]) -> None:
        """Take the names of the services that the snapshot in hand knows; any other is counted as `other`."""
        self._service.allow(services)
        self._requests.clear()
        self.upstream_circuits.clear()  # a gauge of a service that is gone would stand for ever

    def answered(self, service: str | None, method: bytes, status: int, seconds: float) -> None:
        """Count an answered request.

        Args:
            service: Whom it was for; None when no route was found.
            method: As sent.
            status: Of the answer.
            seconds: From its first byte to the answer's last.
        """
        key = (service or OTHER, method, status // 100)
        series = self._requests.get(key)
        if series is None:
            series = self._series(*key)
        labels, durations = series
        counts = self.requests.counts
        counts[labels] = counts.get(labels, 0) + 1
        durations.observe(seconds)

    def _series(self, service: str, method: bytes, hundreds: int) -> tuple[tuple[str, ...], Durations]:
        """Where requests of a kind are counted."""
        name = self._service.fold(service)
        text = method.decode("latin-1")
        labels = (name, METHOD.fold(text), STATUS.fold(f"{hundreds}xx"))
        series = (labels, self.request_duration.of((name,)))
        if text in METHODS and name == service:  # INVARIANT: the dict is as closed as the labels are
            self._requests[service, method, hundreds] = series
        return series

    def refused(self, code: Code) -> None:
        """Count a refusal of the gateway's own."""
        self._refusals[code].inc()

    def connection_refused(self, why: str) -> None:
        """Count a client connection that was not let in; `why` is one of `TURNED_AWAY`."""
        self.refused_connections.labels(why).inc()

    def handshake_failed(self, why: str) -> None:
        """Count a TLS handshake that failed; `why` is one of `HANDSHAKE_FAILURES`."""
        self.handshake_failures.labels(why).inc()

    def decided(self, effect: str, seconds: float | None) -> None:
        """Count a decision, `allow` or `deny`; `seconds` is Cedar's time, None for one that was remembered."""
        if seconds is None:
            self.decisions.counts[effect, "memo"] += 1
            return
        self.decisions.counts[effect, "evaluated"] += 1
        self._asked.observe(seconds)

    def recalled(self) -> None:
        """Count an allow that was remembered with all that leads to it."""
        self.decisions.counts["allow", "memo"] += 1

    def lasting_over(self, kind: str, why: str) -> None:
        """Count the end of what lasted; `kind` is one of `LASTING`, `why` one of `LASTING_ENDS`."""
        self.lasting_ended.labels(kind, why).inc()

    def policy_failed(self, effect: str) -> None:
        """Count a policy that could not be evaluated; `effect` is what it would have said: `allow` or `deny`."""
        self.policy_errors.labels(effect).inc()

    def redacted(self, result: str) -> None:
        """Count an answer that was looked through; `result` is one of `REDACTIONS`."""
        self.redactions.labels(result).inc()

    def fields_redacted(self, data_class: str, count: int) -> None:
        """Count fields that went; `data_class` is one of `DATA_CLASSES`."""
        self.redacted_fields.labels(data_class).inc(count)

    def upstream_failed(self, service: str, kind: str) -> None:
        """Count an exchange that a service failed; `kind` is one of `UPSTREAM_KINDS`."""
        self.upstream_errors.labels(service, kind).inc()

    def upstream_retried(self, service: str, kind: str) -> None:
        """Count a request that another connection is given; `kind` is one of `RETRY_KINDS`."""
        self.upstream_retries.labels(service, kind).inc()

    def circuit_opened(self, service: str, kind: str) -> None:
        """Count a circuit that opened, by what the last failure was."""
        self.upstream_circuits_opened.labels(service, kind).inc()

    def circuits(self, service: str, states: Iterable[str]) -> None:
        """Show the states of a service's circuits, one of `CIRCUIT_STATES` for each address."""
        if service not in self._service.values:
            return
        found = list(states)
        for state in CIRCUIT_STATES:
            self.upstream_circuits.labels(service, state).set(found.count(state))


class SupervisorMetrics:
    """What the supervisor does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.info = Info("lychgate", "The program that runs, and the version of its sources.", registry=registry)
        self.workers = Gauge("lychgate_workers", "Workers that serve.", registry=registry)
        self.workers_behind = Gauge(
            "lychgate_workers_behind", "Workers that decide by other sources than those in force.", registry=registry
        )
        self.worker_restarts = Counter(
            "lychgate_worker_restarts", "Workers that died and were started again.", registry=registry
        )
        self.installs = Counter(
            "lychgate_snapshot_installs",
            "Snapshots handed to workers, by what became of them.",
            (Label("result", INSTALLS),),
            registry=registry,
        )
        self.issuer = Label("issuer", of="the configured issuers")
        self.key_changes = Counter(
            "lychgate_issuer_key_changes", "New key sets taken from an issuer.", (self.issuer,), registry=registry
        )
        self.keys_failing = Gauge(
            "lychgate_issuer_keys_failing_seconds",
            "For how long an issuer's keys could not be had; 0 when the last attempt went well.",
            (self.issuer,),
            registry=registry,
        )
        self.ops_requests = Counter(
            "lychgate_ops_requests",
            "Requests to the operations port.",
            (Label("endpoint", OPS_ENDPOINTS), STATUS),
            registry=registry,
        )
        self.reloads = Counter(
            "lychgate_reloads",
            "Configuration sources, certificates or keys that were read anew, by what became of them.",
            (Label("what", RELOADS), Label("result", FATES)),
            registry=registry,
        )
        self.context_keys = Gauge(
            "lychgate_context_keys",
            "Keys of security contexts: those that will sign, that sign, and that are believed still.",
            (Label("state", CONTEXT_KEYS),),
            registry=registry,
        )
        self.context_key_since = Gauge(
            "lychgate_context_key_since_timestamp_seconds",
            "Since when the oldest key that signs security contexts does, seconds since the epoch.",
            registry=registry,
        )
        self.context_keys_end = Gauge(
            "lychgate_context_keys_end_timestamp_seconds",
            "When the first key file has none left that signs, seconds since the epoch; 0 for never.",
            registry=registry,
        )
        self.ready = Gauge("lychgate_ready", "1 when /readyz says so.", registry=registry)

    def reloaded(self, what: str, *, installed: bool) -> None:
        """Count a reload; `what` is one of `RELOADS`. A set that is refused leaves the old one in force."""
        self.reloads.labels(what, "installed" if installed else "refused").inc()

    def ops_answered(self, endpoint: str, status: int) -> None:
        """Count a request to the operations port; `endpoint` is one of `OPS_ENDPOINTS`."""
        self.ops_requests.labels(endpoint, f"{status // 100}xx").inc()


def families(registry: CollectorRegistry) -> tuple[Family, ...]:
    """Read a registry into values.

    `_created` samples are left out: a time cannot be summed over processes.
    """
    return tuple(
        Family(
            metric.name,
            metric.documentation,
            metric.type,
            tuple(
                Sample(sample.name, tuple(sorted(sample.labels.items())), float(sample.value))
                for sample in metric.samples
                if not sample.name.endswith("_created")
            ),
        )
        for metric in registry.collect()
    )
