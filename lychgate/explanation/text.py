"""An explanation in, lines for people out. Pure."""

import json
from collections.abc import Iterator
from typing import Final

from policies.account import Account, Checked, Truth, Verdict
from policies.changes import MOST_ASKED, MOST_TOGETHER, Change
from policies.expression import entity, written
from policies.model import Effect, Json
from policies.parts import Kind
from roles.explain import Explanation
from roles.recorded import Recorded

_SAYS: Final = {Effect.ALLOW: "permit", Effect.DENY: "forbid"}
_TRUTH: Final = {
    Truth.TRUE: "is true",
    Truth.FALSE: "is false",
    Truth.ERROR: "cannot be evaluated",
    Truth.UNREACHED: "is not reached",
}
_SHORT: Final = 100


def lines(told: Explanation, recorded: Recorded | None = None, *, every: bool = False) -> Iterator[str]:
    """The explanation, line by line.

    Args:
        told: What to say.
        recorded: The decision it is about, where it was read from a record.
        every: Also say of parts that were as the policy wants them.

    Yields:
        Lines that a terminal shows as they are: what a record holds may come from anybody, control characters too.
    """
    return map(_printable, _lines(told, recorded, every=every))


def _lines(told: Explanation, recorded: Recorded | None, *, every: bool) -> Iterator[str]:
    yield from _head(told)
    if recorded is not None:
        yield from _then(told, recorded)
    yield ""
    for account in sorted(told.policies, key=_nearness):
        yield from _policy(account, every=every)
    if told.effect is Effect.DENY:
        yield ""
        yield from _enough(told)


def value(of: Json) -> str:
    """A value of the context as people write it."""
    match of:
        case {"__extn": {"arg": str(argument)}}:
            return argument
        case {"__entity": _}:
            return written({"Value": of})
        case _:
            return json.dumps(of, ensure_ascii=False)


def _printable(line: str) -> str:
    return "".join(each if each.isprintable() else f"\\u{{{ord(each):x}}}" for each in line)


def _head(told: Explanation) -> Iterator[str]:
    asked = told.question
    roles = ", ".join(asked["roles"]) or "nobody's role"
    resource = entity(asked["resource"]["type"], asked["resource"]["id"])
    yield f"{told.effect.value.upper()}: {roles} of `{asked['tenant']}` asks for {asked['action']} on {resource}"
    if asked["resource_tenant"] not in {None, asked["tenant"]}:
        yield f"  the resource is `{asked['resource_tenant']}`'s"
    if asked["context"]:
        yield f"  context: {', '.join(f'{name} = {value(of)}' for name, of in asked['context'].items())}"
    yield f"  policies: {told.policy_version}"
    if told.effect is Effect.ALLOW:
        yield f"  allowed by {', '.join(told.reasons)}"
    elif told.reasons:
        yield f"  forbidden by {', '.join(told.reasons)}"
    else:
        yield "  no policy allows it"


def _then(told: Explanation, recorded: Recorded) -> Iterator[str]:
    by = f" ({', '.join(recorded.reasons)})" if recorded.reasons else ""
    same = recorded.policy_version == told.policy_version
    policies = "the same policies" if same else f"policies {recorded.policy_version or 'unknown'}, not by these"
    yield f"  decision {recorded.event_id}: {recorded.effect}{by}, by {policies}"
    if recorded.effect != told.effect.value:
        yield f"  what was {recorded.effect} then is {told.effect.value} now"


def _nearness(account: Account) -> tuple[int, int, str]:
    """What had a say first, then the permits that came nearest to it, then the forbids that did not apply."""
    order = {Verdict.APPLIED: 0, Verdict.ERROR: 1, Verdict.NOT_APPLIED: 2 if account.effect is Effect.ALLOW else 3}
    return order[account.verdict], len(account.blame), account.policy


def _policy(account: Account, *, every: bool) -> Iterator[str]:
    word = {
        Verdict.APPLIED: "applies",
        Verdict.NOT_APPLIED: "does not apply",
        Verdict.ERROR: f"cannot be evaluated: {account.message}",
    }[account.verdict]
    yield f"{_SAYS[account.effect]} {account.policy} {word}  ({account.reason}; {account.file}:{account.line})"
    # Of a forbid that applies its conditions are of interest, too: an `unless` that is false is the way around it.
    stands = account.effect is Effect.DENY and account.verdict is Verdict.APPLIED
    parts = [part for part in account.parts if stands and part.kind in {Kind.WHEN, Kind.UNLESS}] or account.blame
    for part in account.parts if every else parts:
        yield f"    {part.file}:{part.line}:{part.column}: {_part(part)}"


def _part(part: Checked) -> str:
    text = " ".join(part.text.split())
    text = text if len(text) <= _SHORT else f"{text[:_SHORT]}…"
    kind = f"{part.kind.value} " if part.kind in {Kind.WHEN, Kind.UNLESS} else ""
    detail = f": {part.message}" if part.message else ""
    return f"{kind}`{text}` {_TRUTH[part.truth]}{detail}"


def _enough(told: Explanation) -> Iterator[str]:
    roles, changes = told.roles, told.changes
    if roles.alone:
        yield f"enough would have been the role {' or '.join(roles.alone)}"
    elif roles.together:
        pairs = " or ".join(f"{one} and {two}" for one, two in roles.together)
        yield f"enough would have been two roles: {pairs}"
    else:
        yield "no role that can be asked for would have been enough"
    if told.in_the_way and not roles.alone and not changes.sets:
        yield f"in the way: {', '.join(told.in_the_way)}"
    for found in changes.sets:
        yield f"enough would have been {' and '.join(map(_change, found))}"
    if not changes.sets:
        yield f"no change of up to {MOST_TOGETHER} values of the context was found that would have been enough"
    if not changes.complete:
        yield f"not every change was tried: {MOST_ASKED} questions are the bound"


def _change(change: Change) -> str:
    if change.removed:
        return f"no {change.attribute} instead of {value(change.old)}"
    if change.old is None:
        return f"{change.attribute} = {value(change.new)}"
    return f"{change.attribute} = {value(change.new)} instead of {value(change.old)}"
