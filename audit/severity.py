"""Severity words: ours, and what others call them. Pure.

Syslog (RFC 5424 section 6.2.1), the OpenTelemetry log data model, OCSF's captions and the words of Python, Java and
.NET loggers all mean one of our seven. The foreign word is kept beside ours, so that nothing is lost in translation.
"""

from audit.event import Severity

RANK: dict[Severity, int] = {severity: rank for rank, severity in enumerate(Severity)}
"""Least to most grave, as the store keeps it: 0 debug to 6 critical."""

BY_RANK: tuple[Severity, ...] = tuple(Severity)

_FOREIGN: dict[str, Severity] = {
    **dict.fromkeys(("trace", "verbose", "fine", "finer", "finest"), Severity.DEBUG),
    **dict.fromkeys(("information", "informational", "low", "default"), Severity.INFO),
    **dict.fromkeys(("medium",), Severity.NOTICE),
    **dict.fromkeys(("warning",), Severity.WARN),
    **dict.fromkeys(("err", "severe", "high", "major"), Severity.ERROR),
    **dict.fromkeys(("audit", "sec"), Severity.SECURITY),
    **dict.fromkeys(("crit", "fatal", "alert", "emergency", "emerg", "panic"), Severity.CRITICAL),
}
_WORDS: dict[str, Severity] = {**{severity.value: severity for severity in Severity}, **_FOREIGN}


def normalise(word: str) -> tuple[Severity, str | None]:
    """Our word for a foreign one.

    Args:
        word: As it came; case and surrounding space do not matter.

    Returns:
        Our severity, and the word as it came unless it was ours already.

    Raises:
        KeyError: nobody's word. Who writes events falls back to `fallback`, who filters refuses.
    """
    severity = _WORDS[word.strip().lower()]
    return severity, None if word == severity.value else word


def fallback(word: str) -> tuple[Severity, str | None]:
    """As `normalise`; an unknown word becomes `notice`, so that it is neither lost nor raised to an alarm."""
    try:
        return normalise(word)
    except KeyError:
        return Severity.NOTICE, word
