"""Other people's policies: nothing is said of them that a decision of theirs contradicts."""

from collections import Counter

import pytest

from policies.engine import Engine
from policies.layout import laid_out
from policies.lint.claim import claims_of
from policies.lint.covered import covers
from policies.lint.failing import failing
from policies.loose import loose_bundle
from policies.model import Effect
from tests.policies.test_vectors import FILES, cases


@pytest.mark.parametrize("name", FILES)
def test_no_proof_is_contradicted(name: str) -> None:
    """What is said never to apply is no case's reason; what is covered applies only with what covers it."""
    counts: Counter[str] = Counter()
    for case in cases(name):
        engine = Engine(loose_bundle([("case.cedar", case["policies"])], ("case.cedarschema", case["schema"])))
        assert laid_out(laid_out(case["policies"])) == laid_out(case["policies"])
        covered = _covered(engine)
        never = {claim.policy.id for claim in claims_of(engine.bundle, {}) if claim.conflict() is not None}
        counts["requests"] += len(case["requests"])
        for request in case["requests"]:
            applied, failed = set(request["reason"]), set(request["errors"])
            assert not never & applied, case["id"]
            for wide, narrow in covered:
                assert narrow not in applied or wide in applied | failed, case["id"]
    assert counts["requests"] > 0


def _covered(engine: Engine) -> list[tuple[str, str]]:
    """The policies that cover another of the same effect, and which."""
    claims = claims_of(engine.bundle, {})
    certain = {claim.policy.id: not list(failing(claim, engine.bundle)) for claim in claims}
    return [
        (wide.policy.id, narrow.policy.id)
        for wide in claims
        for narrow in claims
        if wide is not narrow
        and wide.policy.effect is narrow.policy.effect is Effect.ALLOW
        and covers(wide, narrow, certain=certain[wide.policy.id])
    ]
