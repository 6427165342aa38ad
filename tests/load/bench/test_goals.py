"""Which goals are held against a result, and when they are met."""

import pytest

from load.bench.goals import GOALS, judged


@pytest.mark.parametrize(("value", "met"), [(1.19, False), (1.2, True), (3.0, True)])
def test_the_least_is_met_at_the_bound(value: float, met: bool) -> None:
    """At least 1.2 times is met by 1.2."""
    (goal,) = judged({"ratio_to_envoy": value})
    assert goal["met"] is met


@pytest.mark.parametrize(("value", "met"), [(79.9, True), (80, False)])
def test_under_is_not_met_at_the_bound(value: float, met: bool) -> None:
    """Under 80 MiB is not met by 80."""
    (goal,) = judged({"memory": {"worker_peak_mib": value}})
    assert goal["met"] is met


def test_what_was_not_measured_is_not_judged() -> None:
    """A part of a result has a part of the goals, and an empty one none."""
    assert judged({}) == []


def test_two_workers_are_held_against_requests_only_where_they_have_cores() -> None:
    """On a small machine the same processor time a request is what can be asked."""
    together = {"workers": {"apart": False, "requests_ratio": 1.0, "cpu_ratio": 1.05}}
    apart = {"workers": {"apart": True, "requests_ratio": 1.7, "cpu_ratio": 1.0}}
    assert [(goal["value"], goal["met"]) for goal in judged(together)] == [(1.05, True)]
    assert [(goal["value"], goal["met"]) for goal in judged(apart)] == [(1.7, False)]


def test_every_goal_is_one_line() -> None:
    """No two goals have the same words or the same place."""
    assert len({goal.what for goal in GOALS}) == len(GOALS) == len({goal.place for goal in GOALS})
