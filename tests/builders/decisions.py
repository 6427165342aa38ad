"""The decision API for tests: the real operations port, policies, entities and spool, in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import msgspec
from prometheus_client import CollectorRegistry

from audit.event import AuditEvent
from gateway.clock import Clock
from gateway.decision_metrics import DecisionMetrics
from gateway.decision_settings import DecisionApiSettings
from gateway.metrics import GatewayMetrics, SupervisorMetrics
from gateway.ops.app import create_app
from gateway.ops.authzen.endpoints import DecisionApi
from gateway.ops.door import Door
from gateway.settings import OpsSettings
from gateway.snapshot import Snapshot, build_snapshot
from gateway.supervisor.decision import DecisionSources
from tests.builders import plane
from tests.gateway.ops.port import FullEmitter, Standing, service

FIXTURE = plane.ROOT / "tests" / "cases" / "authzen"
OWN = {"folder": FIXTURE, "entities": FIXTURE / "entities.json"}
"""Policies, schema and entities of the certification, and of what else these tests ask."""


class Decisions(msgspec.Struct):
    """A decision API and everything behind it."""

    client: httpx.AsyncClient
    standing: Standing
    emitter: FullEmitter
    registry: CollectorRegistry
    sources: DecisionSources

    @property
    def events(self) -> list[AuditEvent]:
        """Every record so far, those of strangers included."""
        self.emitter.emit_due(everything=True)
        return self.emitter.events

    async def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        """Ask, as a machine of the platform unless told otherwise."""
        sent = service() if headers is None else headers
        return await self.client.post(f"/access/v1/{path}", json=body, headers=sent)

    async def decide(self, body: Any) -> dict[str, Any]:
        """The answer to one question."""
        answer = await self.post("evaluation", body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def search(self, kind: str, body: Any) -> dict[str, Any]:
        """A page of a search."""
        answer = await self.post(f"search/{kind}", body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def counted(self, kind: str, answer: str) -> float | None:
        """Questions of a kind that had an answer."""
        return self.registry.get_sample_value("lychgate_decision_api_questions_total", {"kind": kind, "answer": answer})


def question(subject: Any, action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    """A question; a part is `(type, id)`, `(type, id, properties)`, a name, or whatever it is."""
    return {"subject": _party(subject), "action": _action(action), "resource": _party(resource), **more}


def _party(value: Any) -> Any:
    if not isinstance(value, tuple):
        return value
    kind, name, *properties = value
    found = {"type": kind, "id": name}
    return {**found, "properties": properties[0]} if properties else found


def _action(value: Any) -> Any:
    if isinstance(value, tuple):
        return {"name": value[0], "properties": value[1]}
    return {"name": value} if isinstance(value, str) else value


@cache
def _snapshot(decision_api: str, cross_tenant: bool) -> Snapshot:
    """What decides; built once for all tests that read the same files."""
    sources = plane.sources(9002, cross_tenant=cross_tenant)
    return build_snapshot(msgspec.structs.replace(sources, decision_api=decision_api))


@asynccontextmanager
async def decisions(place: Path, *, cross_tenant: bool = False, **settings: Any) -> AsyncIterator[Decisions]:
    """A decision API; about the policies in force unless `settings` name a folder."""
    chosen = DecisionApiSettings(**settings)
    sources = DecisionSources(chosen, strict=False)
    standing = Standing(_snapshot(sources.beside(lambda: plane.sources(9002))().decision_api, cross_tenant))
    sources.attach(standing)
    emitter = FullEmitter(place / "spool")
    own = CollectorRegistry()
    metrics = SupervisorMetrics(own)
    decided = GatewayMetrics(own, standing.snapshot.services)
    door = Door(standing, emitter, Clock(), decided)
    app = create_app(standing, door, own, metrics, metrics_open=True)
    counted = (decided, DecisionMetrics(own), metrics)
    DecisionApi(sources, door, emitter, Clock(), chosen, chosen.base_url(OpsSettings()), counted).add_to(app)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://ops") as client:
        try:
            yield Decisions(client, standing, emitter, own, sources)
        finally:
            await emitter.aclose()
