"""The list of mistakes that may go unnoticed."""

import pytest

from policies.mutate import Mutant
from roles.errors import TableErrors
from roles.tables.allowed import read_allowed, stale, unexpected


def survivor(name: str) -> Mutant:
    """A mistake by its name."""
    return Mutant(name, "doc.a", "doc.cedar", 1, "dropped", None)


def test_entries_explain_survivors() -> None:
    """What is not listed is unexpected; what is listed and does not survive is stale."""
    allowed = read_allowed("a.yaml", "- {mutant: 'doc.a: dropped', reason: why}\n- {mutant: gone, reason: why}")
    assert allowed == {"doc.a: dropped": "why", "gone": "why"}
    survivors = [survivor("doc.a: dropped"), survivor("doc.b: dropped")]
    assert [mutant.name for mutant in unexpected(survivors, allowed)] == ["doc.b: dropped"]
    assert [str(finding) for finding in stale(survivors, allowed, "a.yaml")] == [
        "a.yaml: `gone` is listed as allowed and does not survive"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b", "a.yaml:1: a list of `mutant` and `reason` is expected"),
        ("- {mutant: a}", "a.yaml:1: an entry needs `reason`"),
        ("- {mutant: a, reason: ''}", "a.yaml:1: `reason` is a text, here it is empty"),
        ("- {mutant: a, reason: b}\n- {mutant: a, reason: b}", "a.yaml:2: `a` is listed twice"),
        ("- {mutant: a, why: b}", "a.yaml:1: an entry has no key `why`; there are mutant, reason"),
        ("- [", "a.yaml:1: not YAML: "),
    ],
)
def test_a_wrong_list_is_refused(text: str, message: str) -> None:
    """With its line."""
    with pytest.raises(TableErrors) as refused:
        read_allowed("a.yaml", text)
    assert str(refused.value).startswith(message)
