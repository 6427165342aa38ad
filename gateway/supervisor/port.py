"""The operations port, put together: what it answers itself, the decision API, revocations, and the proxies' doors."""

from typing import NamedTuple

from prometheus_client import CollectorRegistry

from audit.emit import Emitter
from gateway.clock import Clock
from gateway.decision_metrics import DecisionMetrics
from gateway.doors.doors import Doors
from gateway.fleet.member import Member
from gateway.metrics import GatewayMetrics, SupervisorMetrics
from gateway.ops.app import create_app
from gateway.ops.authzen.endpoints import DecisionApi
from gateway.ops.door import Door
from gateway.ops.guard import Guard
from gateway.ops.reading import AuditReading
from gateway.ops.revocations import add_revocations
from gateway.ops.server import OpsServer
from gateway.supervisor.configuration import Configuration
from gateway.supervisor.decision import DecisionSources
from gateway.supervisor.supervisor import Supervisor
from gateway.supervisor.totals import Totals


class Port(NamedTuple):
    """The port.

    Attributes:
        door: Decides and records what is asked at it.
        doors: What other proxies ask.
        server: Serves it.
    """

    door: Door
    doors: Doors
    server: OpsServer


def build_port(
    configuration: Configuration,
    supervisor: Supervisor,
    decision: DecisionSources,
    member: Member,
    emitter: Emitter,
    clock: Clock,
    totals: Totals,
    metrics: SupervisorMetrics,
    own: CollectorRegistry,
    public: str,
) -> Port:
    """Build the port; nothing listens yet.

    Args:
        configuration: Its sections.
        supervisor: What it shows and decides by.
        decision: The decision API's own files.
        member: Keeps what is revoked.
        emitter: Where records go.
        clock: Wall time.
        totals: What `/internal/metrics` shows.
        metrics: Where requests to the port are counted.
        own: This process's metrics.
        public: `host:port` of the public port, as this machine reaches it.
    """
    requests = GatewayMetrics(own, supervisor.snapshot.services)
    door = Door(supervisor, emitter, clock, requests)
    shown = CollectorRegistry()
    shown.register(totals)
    audit = AuditReading(public, lambda: supervisor.sources.tls)
    app = create_app(supervisor, door, shown, metrics, metrics_open=configuration.ops.metrics_open, audit=audit)
    decision.attach(supervisor)
    DecisionApi(
        decision,
        door,
        emitter,
        clock,
        configuration.decision_api,
        configuration.decision_api.base_url(configuration.ops),
        (requests, DecisionMetrics(own), metrics),
        decision.page_key,
    ).add_to(app)
    add_revocations(
        app,
        Guard(door, metrics),
        member.register,
        lambda: {issuer.name for issuer in supervisor.sources.issuers},
        member.metrics.changes.labels("here").inc,
    )
    doors = Doors(configuration.doors, configuration.gateway, supervisor, door, emitter, clock, requests, own)
    return Port(door, doors, OpsServer(doors.before(app)))
