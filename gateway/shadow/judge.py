"""Records in, what the candidate makes of them out. Pure; the shadow's process is a shell around it."""

from collections import Counter
from collections.abc import Iterable

from gateway.shadow.messages import Divergence, Judged, Load, Loaded
from policies.bundle import Bundle
from policies.check import check_roles
from policies.engine import Engine
from policies.errors import PolicyErrors
from policies.load import build_bundle
from policies.memo import Memo
from policies.model import Answer
from policies.replay.decide import Outcome, Replay, Verdict
from policies.replay.record import Recorded, read
from policies.schema import Schema


class ShadowJudge:
    """Decides by a candidate; by none until one was loaded."""

    def __init__(self) -> None:
        self._replay: Replay | None = None

    def load(self, order: Load) -> Loaded:
        """Take other policies; when they cannot be used there are none, so that nobody takes the old for the new."""
        self._replay = None
        try:
            return self._load(order)
        except PolicyErrors as exc:
            return Loaded("", problem=str(exc))

    def _load(self, order: Load) -> Loaded:
        files = [(file.name, file.text) for file in order.policies]
        bundle = build_bundle(files, (order.schema.name, order.schema.text))
        live = Bundle((), Schema(order.live_schema.name, order.live_schema.text))
        if findings := check_roles(bundle, order.roles):
            return Loaded("", problem="\n".join(map(str, findings)))
        self._replay = Replay(Memo(Engine(bundle, strict=order.strict)), (live,), same_reasons=True)
        return Loaded(bundle.version, bundle.actions)

    def judge(self, records: Iterable[bytes]) -> Judged:
        """Decide again; what is not a decision is passed over."""
        if self._replay is None:
            return Judged()
        same, undecidable, diverged = 0, Counter[str](), []
        for record in records:
            found = read(record)
            if not isinstance(found, Recorded):
                continue
            outcome = self._replay.decide(found)
            if outcome.answer is None:
                undecidable[outcome.why] += 1
            elif outcome.verdict is Verdict.SAME:
                same += 1
            else:
                diverged.append(_divergence(found, outcome, outcome.answer))
        return Judged(same, dict(undecidable), tuple(diverged))


def _divergence(found: Recorded, outcome: Outcome, answer: Answer) -> Divergence:
    return Divergence(
        event_id=found.event_id,
        tenant_id=found.tenant_id,
        action=found.action,
        kind=outcome.verdict.value,
        live_effect=found.effect.value,
        live_reasons=found.reasons,
        live_version=found.policy_version,
        shadow_effect=answer.effect.value,
        shadow_reasons=answer.reasons,
    )
