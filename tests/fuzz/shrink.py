"""A finding made short: what is left when nothing more can be taken away."""

from collections.abc import Callable

from tests.fuzz.plan import RESET, SEND, Plan

_TRIES = 3_000


def shrunk(found: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """The smallest plan near `found` that still fails; pieces go before bytes."""
    tries = 0

    def still(candidate: Plan) -> bool:
        nonlocal tries
        tries += 1
        return tries < _TRIES and fails(candidate)

    best = found
    acts = [step for step in best.steps if step[0] != SEND]
    whole = Plan([(SEND, best.sent()), *acts], best.replies, best.refuses, best.stops)
    if still(whole):
        best = whole
    for step in list(best.steps):
        fewer = Plan([it for it in best.steps if it is not step], best.replies, best.refuses, best.stops)
        if still(fewer):
            best = fewer
    for at, (act, data) in enumerate(best.steps):
        if act != SEND or act == RESET:
            continue
        size = max(1, len(data) // 2)
        while size:
            start = 0
            while start < len(data):
                shorter = data[:start] + data[start + size :]
                steps = [*best.steps[:at], (SEND, shorter), *best.steps[at + 1 :]]
                candidate = Plan(steps, best.replies, best.refuses, best.stops)
                if still(candidate):
                    best, data = candidate, shorter  # noqa: PLW2901 - it is what is being shortened
                else:
                    start += size
            size //= 2
    return best
