"""The endpoints of the decision API: `add_to` puts them on the operations port."""

from typing import Any, Final, Protocol

from fastapi import FastAPI, Request, Response

from audit.emit import Emitter
from gateway.clock import Clock
from gateway.decision_metrics import DecisionMetrics
from gateway.decision_settings import DecisionApiSettings
from gateway.errors import BadRequest, Internal
from gateway.metrics import GatewayMetrics, SupervisorMetrics
from gateway.ops import actions
from gateway.ops.answers import answer
from gateway.ops.authzen.answers import decision
from gateway.ops.authzen.asking import Asked, Asking
from gateway.ops.authzen.desk import OK, Desk, Visit
from gateway.ops.authzen.message import (
    Batch,
    Evaluation,
    Kind,
    read_batch,
    read_evaluation,
    read_search,
)
from gateway.ops.authzen.page import PageSeal
from gateway.ops.authzen.record import Item, Recorder
from gateway.ops.authzen.search import Searcher
from gateway.ops.authzen.sheets import Sheets
from gateway.ops.authzen.turns import Turns
from gateway.ops.door import Door
from gateway.snapshot import Snapshot
from policies.model import Json

METADATA: Final = "/.well-known/authzen-configuration"
_MICROSECONDS: Final = 1_000_000


class Deciding(Protocol):
    """What the decision API asks of the process it is in."""

    @property
    def snapshot(self) -> Snapshot:
        """The one that decides now."""

    def sheets(self, snapshot: Snapshot) -> Sheets:
        """What questions are made with while this snapshot is in force."""


class DecisionApi:
    """The endpoints.

    Args:
        deciding: Gives snapshot and sheets at the moment of asking.
        door: Admits callers and records what they were refused.
        emitter: Where records go.
        clock: Wall time.
        settings: The section `decision_api`.
        base_url: Where callers reach it.
        counted: Where decisions are counted, questions, and requests to this port.
        page_key: Of page tokens, 32 bytes; random where there is none.
    """

    def __init__(
        self,
        deciding: Deciding,
        door: Door,
        emitter: Emitter,
        clock: Clock,
        settings: DecisionApiSettings,
        base_url: str,
        counted: tuple[GatewayMetrics, DecisionMetrics, SupervisorMetrics],
        page_key: bytes | None = None,
    ) -> None:
        self._deciding = deciding
        self._clock = clock
        self._settings = settings
        self._base_url = base_url
        self._decisions, self._questions, self._ops = counted
        self._desk = Desk(door, self._ops, settings.body_bytes)
        self._recorder = Recorder(emitter, durable=settings.durable)
        self._searcher = Searcher(PageSeal(page_key), settings.page_items, settings.search_s)

    def add_to(self, app: FastAPI) -> None:
        """Put the endpoints on the port."""
        app.add_api_route(METADATA, self.metadata, methods=["GET", "HEAD"])
        app.add_api_route(actions.EVALUATION.template, self.evaluation, methods=["POST"])
        app.add_api_route(actions.EVALUATIONS.template, self.evaluations, methods=["POST"])
        app.add_api_route(actions.SEARCH_SUBJECT.template, self.search_subject, methods=["POST"])
        app.add_api_route(actions.SEARCH_RESOURCE.template, self.search_resource, methods=["POST"])
        app.add_api_route(actions.SEARCH_ACTION.template, self.search_action, methods=["POST"])

    async def metadata(self) -> Response:
        """Where everything is; open to anyone."""
        self._ops.ops_answered("authzen_metadata", OK)
        told = answer(
            {
                "policy_decision_point": self._base_url,
                "access_evaluation_endpoint": f"{self._base_url}{actions.EVALUATION.template}",
                "access_evaluations_endpoint": f"{self._base_url}{actions.EVALUATIONS.template}",
                "search_subject_endpoint": f"{self._base_url}{actions.SEARCH_SUBJECT.template}",
                "search_resource_endpoint": f"{self._base_url}{actions.SEARCH_RESOURCE.template}",
                "search_action_endpoint": f"{self._base_url}{actions.SEARCH_ACTION.template}",
            }
        )
        told.headers["cache-control"] = "public, max-age=300"
        return told

    async def evaluation(self, request: Request) -> Response:
        """One question."""

        async def work(visit: Visit, document: Json) -> Any:
            return await self._single(visit, read_evaluation(document))

        return await self._desk(request, actions.EVALUATION, "authzen_evaluation", work)

    async def evaluations(self, request: Request) -> Response:
        """Several questions."""

        async def work(visit: Visit, document: Json) -> Any:
            asked = read_batch(document, self._settings.batch_items)
            return await (self._batch(visit, asked) if isinstance(asked, Batch) else self._single(visit, asked))

        return await self._desk(request, actions.EVALUATIONS, "authzen_evaluations", work)

    async def search_subject(self, request: Request) -> Response:
        """Who may."""
        return await self._search(request, Kind.SUBJECT)

    async def search_resource(self, request: Request) -> Response:
        """On what."""
        return await self._search(request, Kind.RESOURCE)

    async def search_action(self, request: Request) -> Response:
        """What they may do."""
        return await self._search(request, Kind.ACTION)

    # --- inside

    async def _single(self, visit: Visit, evaluation: Evaluation) -> dict[str, Any]:
        asking = self._asking(visit)
        item = self._item(visit, asking.ask(evaluation), evaluation)
        await self._keep(visit, [item], asking)
        return decision(item.asked, item.case.event_id, reasons=self._settings.reasons)

    async def _batch(self, visit: Visit, batch: Batch) -> dict[str, Any]:
        asking = self._asking(visit)
        turns = Turns()
        items: list[Item] = []
        for number, question in enumerate(batch.items):
            if isinstance(question, BadRequest):
                items.append(self._item(visit, Asked(problem=question.reason), None, number))
            else:
                items.append(self._item(visit, asking.ask(question), question, number))
            if batch.semantic.ends_with(allowed=items[-1].asked.allows):
                break
            await turns.pause()
        await self._keep(visit, items, asking)
        told = [decision(item.asked, item.case.event_id, reasons=self._settings.reasons) for item in items]
        return {"evaluations": told}

    async def _search(self, request: Request, kind: Kind) -> Response:
        route = {
            Kind.SUBJECT: actions.SEARCH_SUBJECT,
            Kind.RESOURCE: actions.SEARCH_RESOURCE,
            Kind.ACTION: actions.SEARCH_ACTION,
        }[kind]

        async def work(visit: Visit, document: Json) -> Any:
            wanted = read_search(document, kind)
            identity = visit.case.identity
            if identity is None:
                raise Internal("searched before it was admitted")
            body, found = await self._searcher.search(wanted, self._asking(visit), identity.principal.uid)
            question = wanted.question
            visit.details |= {
                "search": kind.value,
                "subject_type": question.subject.type,
                "subject_id": question.subject.id,
                "asked_action": question.action.name,
                "resource_type": question.resource.type,
                "resource_id": question.resource.id,
                "candidates": found.asked,
                "unfit": found.unfit,
                "found": len(found.results),
            }
            self._questions.searched(found.asked, found.unfit, found.allowed)
            return body

        return await self._desk(request, route, "authzen_search", work)

    def _asking(self, visit: Visit) -> Asking:
        snapshot = self._deciding.snapshot
        return Asking(self._deciding.sheets(snapshot), snapshot, self._clock.text(visit.case.received_at))

    def _item(self, visit: Visit, asked: Asked, evaluation: Evaluation | None, number: int | None = None) -> Item:
        """Count an answer, and make its record ready."""
        self._questions.answered("evaluation", asked.word)
        if asked.answer is not None:
            self._decisions.decided(asked.answer.effect.value, None if asked.memo_hit else asked.took_us / 1e6)
            for error in asked.answer.errors:
                self._decisions.policy_failed(error.effect.value)
        return self._recorder.item(visit.case, asked, evaluation, number)

    async def _keep(self, visit: Visit, items: list[Item], asking: Asking) -> None:
        received_at = visit.case.received_at
        latency_us = max(0, int((self._clock.now() - received_at) * _MICROSECONDS))
        at = self._clock.text(received_at)
        shed = await self._recorder.keep(items, asking.court.bundle, at, latency_us, visit.request_id)
        if shed:
            self._questions.unrecorded.inc(shed)
        visit.keep = False
        visit.decision_id = items[0].case.event_id if len(items) == 1 else None
