"""Counting what became of decisions."""

import pytest

from audit.codec import encode
from policies.model import Answer, Effect
from policies.replay import tally as module
from policies.replay.decide import Outcome, Verdict
from policies.replay.record import Ignored, Malformed, Recorded, read
from policies.replay.tally import Expectation, Tally
from tests.builders.recorded import decided, event_id

DENIED = Outcome(Verdict.NEWLY_DENIED, Answer(Effect.DENY))
UNKNOWN = Outcome(Verdict.UNDECIDABLE, why="not_recorded", detail="context.x was not recorded")


def recorded(role: str, action: str, number: int) -> Recorded:
    """A decision."""
    found = read(encode(decided(role, action, number)))
    assert isinstance(found, Recorded)
    return found


def counted(*flips: tuple[str, str, int], examples: int = 5) -> Tally:
    """So many newly denied of each."""
    tally, number = Tally(examples), 0
    for role, action, count in flips:
        for _ in range(count):
            tally.count(recorded(role, action, number), DENIED)
            number += 1
    return tally


def test_flips_are_grouped_and_the_first_of_each_are_shown() -> None:
    """By role, action and type; the most frequent first; ids in the order they came."""
    tally = counted(("Support", "order:list", 2), ("Cashier", "order:create", 4), examples=3)
    assert [(f.role, f.action, f.resource, f.count, f.before, f.to) for f in tally.flips()] == [
        ("Cashier", "order:create", "Order", 4, "allow", "deny"),
        ("Support", "order:list", "Order", 2, "allow", "deny"),
    ]
    assert tally.flips()[0].examples == [event_id(2), event_id(3), event_id(4)]
    assert tally.flips()[0].was_by == ("order.sell",)
    assert (tally.decisions, tally.same) == (6, 0)


def test_another_reason_for_a_deny_is_not_the_same_group_as_for_an_allow() -> None:
    """Both are the verdict `reasons`, and nothing else of them is alike."""
    tally = Tally()
    tally.count(recorded("Support", "order:list", 0), Outcome(Verdict.REASONS, Answer(Effect.ALLOW, ("a.b",))))
    tally.count(recorded("Support", "order:create", 1), Outcome(Verdict.REASONS, Answer(Effect.DENY, ("a.b",))))
    allow, deny = sorted(tally.flips(), key=lambda flip: flip.before)
    assert (allow.before, allow.to, deny.before, deny.to) == ("allow", "allow", "deny", "deny")


@pytest.mark.parametrize(
    ("expectation", "fits"),
    [
        (Expectation(role="Support", action="order:list", resource="Order", before=Effect.ALLOW, to=Effect.DENY), True),
        (Expectation(before=Effect.ALLOW, to=Effect.DENY), True),
        (Expectation(role="Support", before=Effect.DENY, to=Effect.ALLOW), False),
        (Expectation(role="Supp", before=Effect.ALLOW, to=Effect.DENY), False),
        (Expectation(resource="Stock", before=Effect.ALLOW, to=Effect.DENY), False),
        (Expectation(action="order:read", before=Effect.ALLOW, to=Effect.DENY), False),
    ],
)
def test_expectations_name_flips_exactly(expectation: Expectation, *, fits: bool) -> None:
    """Whole words or `*`; and one that met nothing is told of."""
    tally = counted(("Support", "order:list", 2))
    assert [flip.expected for flip in tally.flips([expectation])] == [fits]
    assert tally.unmet([expectation]) == ([] if fits else [expectation])


def test_the_unexpected_comes_first() -> None:
    """However rare."""
    tally = counted(("Support", "order:list", 5), ("Cashier", "order:create", 1))
    meant = Expectation(role="Support", before=Effect.ALLOW, to=Effect.DENY)
    assert [flip.role for flip in tally.flips([meant])] == ["Cashier", "Support"]


def test_a_decision_counts_once() -> None:
    """Delivered twice, in the spool and in an export, decided and joined: it is one decision."""
    tally = Tally()
    found = recorded("Support", "order:list", 0)
    assert [tally.first_sight(found), tally.first_sight(found)] == [True, False]
    assert tally.ignored == {"duplicate": 1}


def test_what_is_left_out_is_counted() -> None:
    """By kind; of malformed lines the first have their place."""
    tally = Tally(examples=2)
    for line in range(1, 5):
        tally.left_out(Malformed("not an event"), line)
    tally.left_out(Ignored("completion"), 5)
    assert (tally.malformed, tally.malformed_at) == (4, [(1, "not an event"), (2, "not an event")])
    assert tally.ignored == {"completion": 1}


def test_the_undecidable_is_grouped_by_reason() -> None:
    """With ids, the most frequent first."""
    tally = Tally(examples=1)
    for number in range(3):
        tally.count(recorded("Support", "order:list", number), UNKNOWN)
    tally.count(recorded("Support", "order:list", 3), Outcome(Verdict.UNDECIDABLE, why="masked"))
    first, second = tally.undecided()
    assert (first.why, first.detail, first.action, first.count, first.examples) == (
        "not_recorded",
        "context.x was not recorded",
        "order:list",
        3,
        [event_id(0)],
    )
    assert (second.why, second.count) == ("masked", 1)


def test_forged_events_cannot_make_a_report_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number of groups everything is in one; the counts stay exact."""
    monkeypatch.setattr(module, "_GROUPS", 2)
    tally = counted(("Support", "order:list", 1), ("Cashier", "order:create", 1), ("Manager", "order:cancel", 3))
    assert [(flip.role, flip.count) for flip in tally.flips()] == [("more", 3), ("Cashier", 1), ("Support", 1)]
    for code in "abcd":
        tally.left_out(Ignored(code), 1)
    assert tally.ignored == {"a": 1, "b": 1, "more": 2}
    for number, action in enumerate(("order:list", "order:read", "order:create", "order:cancel")):
        tally.count(recorded("Support", action, number), UNKNOWN)
    assert [(group.action, group.count) for group in tally.undecided()] == [
        ("more", 2),
        ("order:list", 1),
        ("order:read", 1),
    ]
