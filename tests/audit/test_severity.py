"""Tests of `audit.severity`."""

import pytest

from audit.event import Severity
from audit.severity import BY_RANK, RANK, fallback, normalise


@pytest.mark.parametrize("severity", Severity)
def test_our_own_words_stay(severity: Severity) -> None:
    """Our words normalise to themselves and keep no original, and ranks go both ways."""
    assert normalise(severity.value) == (severity, None)
    assert BY_RANK[RANK[severity]] is severity


@pytest.mark.parametrize(
    ("word", "severity"),
    [("WARNING", Severity.WARN), ("Information", Severity.INFO), (" err ", Severity.ERROR),
     ("emerg", Severity.CRITICAL), ("FATAL", Severity.CRITICAL), ("trace", Severity.DEBUG),
     ("Medium", Severity.NOTICE), ("High", Severity.ERROR)],
)  # fmt: skip
def test_foreign_words_become_ours_and_are_kept(word: str, severity: Severity) -> None:
    """Syslog, OCSF and logger words are understood in any case, and stand beside ours as they came."""
    assert normalise(word) == (severity, word)


def test_a_word_of_ours_in_capitals_is_kept_too() -> None:
    """What was written differently is not lost."""
    assert normalise("WARN") == (Severity.WARN, "WARN")


def test_nobodys_word() -> None:
    """A filter refuses it; a writer keeps the event at `notice` with the word beside it."""
    with pytest.raises(KeyError):
        normalise("purple")
    assert fallback("purple") == (Severity.NOTICE, "purple")
    assert fallback("crit") == (Severity.CRITICAL, "crit")
