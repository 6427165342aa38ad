"""Findings and the errors that carry them."""

from policies.errors import Finding, PolicyErrors, UnknownAction


def test_a_finding_prints_its_place() -> None:
    """`file:line: reason`; a finding about a whole file has no line to print."""
    assert str(Finding("order.cedar", 3, 7, "no")) == "order.cedar:3: no"
    assert str(Finding("order.cedar", 0, 0, "no")) == "order.cedar: no"


def test_findings_are_sorted_by_place_and_each_is_there_once() -> None:
    """The error lists them one a line, in the order of the files."""
    late, early = Finding("b.cedar", 1, 1, "x"), Finding("a.cedar", 10, 1, "y")
    error = PolicyErrors([late, early, late])
    assert error.findings == (early, late)
    assert str(error) == "a.cedar:10: y\nb.cedar:1: x"


def test_an_unknown_action_is_a_failed_lookup() -> None:
    """Callers may catch it as either."""
    assert isinstance(UnknownAction("a:b"), LookupError)
    assert "`a:b`" in str(UnknownAction("a:b"))
