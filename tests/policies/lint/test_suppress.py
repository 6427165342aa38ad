"""Comments that allow a finding."""

import pytest

from policies.errors import Finding
from policies.lint.suppress import Block, suppressed

DEAD = Finding("a.cedar", 5, 3, "why", "never-applies")


def heard(text: str, *findings: Finding, within: tuple[str, ...] = ()) -> list[Finding]:
    """What is left; one policy stands in the file, to its sixth line."""
    first = next((number for number, it in enumerate(text.split("\n"), 1) if it.startswith(("@", "[["))), 1)
    return suppressed(findings, [("a.cedar", text)], [Block("a.cedar", first, 6)], within)


@pytest.mark.parametrize(
    "text",
    [
        "\n// lychgate: allow never-applies it is a reminder\n@id",
        "// lychgate: allow never-applies it is a reminder\n// more\n@id",
        "\n  //lychgate:  allow  never-applies  é \r\n@id",
        "\n# lychgate: allow never-applies in a routes file\n[[route]]",
    ],
)
def test_a_comment_above_allows(text: str) -> None:
    """Directly, or above other comments."""
    assert heard(text, DEAD) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n// lychgate: allow never-applies\n@id", "no reason why `never-applies` is right here"),
        ("\n// lychgate: allow nonsense because\n@id", "there is no finding of the code `nonsense`"),
        ("\n// lychgate: allow syntax because\n@id", "`syntax` cannot be allowed: the gateway refuses it"),
        ("\n// lychgate: ignore everything\n@id", "not understood; write `lychgate: allow CODE why it is right`"),
        ("\n// lychgate: allow never-applies x\n\n@id", "no policy or route begins in the line below"),
        ("// x\n// y\n@id\n//lychgate: allow never-applies x\n@id", "no policy or route begins in the line below"),
    ],
)
def test_a_comment_that_cannot_is_a_finding(text: str, reason: str) -> None:
    """And silences nothing."""
    line = next(number for number, it in enumerate(text.split("\n"), 1) if "lychgate" in it)
    assert heard(text, DEAD) == sorted([DEAD, Finding("a.cedar", line, 1, reason, "bad-suppression")])


def test_a_comment_about_nothing_is_a_finding() -> None:
    """Unless nobody has looked."""
    text = "\n// lychgate: allow shadowed it was once\n@id"
    reason = "nothing here is `shadowed`: the comment silences nothing"
    idle = Finding("a.cedar", 2, 1, reason, "idle-suppression")
    assert heard(text, DEAD) == [idle, DEAD]
    assert heard(text, within=("shadowed",)) == []


def test_other_findings_stay() -> None:
    """Another code, another place, another file."""
    text = "\n// lychgate: allow never-applies x\n@id"
    others = [
        Finding("a.cedar", 5, 3, "why", "shadowed"),
        Finding("a.cedar", 7, 1, "why", "never-applies"),
        Finding("b.cedar", 5, 3, "why", "never-applies"),
    ]
    assert heard(text, DEAD, *others) == sorted(others)


def test_a_comment_behind_something_does_not_count() -> None:
    """Nor does one in a string."""
    assert heard('@reason("// lychgate: allow never-applies x") // lychgate: allow never-applies x', DEAD) == [DEAD]
