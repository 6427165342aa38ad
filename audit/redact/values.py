"""Secrets by what they look like, wherever they stand: `note: "called with Bearer eyJ..."`. Pure.

Only what shows itself beyond doubt: a JWT, a credential behind its scheme, a PEM private key, a card number that passes
its check. Time is linear in the text: hostile input is looked at too.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any, Final

from audit.redact.model import MASK, VALUE_KINDS

LEAST: Final = 15
"""Characters; nothing shorter can be one of these: nearly every string is done with after a look at its length."""

# INVARIANT: a JWT begins where no word character stands before, so that each run of them is gone over once.
_CREDENTIAL: Final = (
    r"(?<![\w-])eyJ[\w-]{8,}(?:\.[\w-]*){2,4}"
    r"|\b(?i:bearer)[ \t]+(?=[^\s\d]*\d)[\w.~+/-]{16,}=*"
    r"|\b(?i:basic)[ \t]+(?P<basic>[A-Za-z0-9+/_-]{8,}={0,2})"
)
_PRIVATE_KEY: Final = (
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:[\s\S]*?-----END [A-Z ]{0,40}PRIVATE KEY-----|[\s\S]*)"
)
_CARD: Final = re.compile(r"(?<![\w.-])[2-6]\d{3}(?:[ -]?\d){11,12}(?![\w-])")
_CARD_LEAST, _CARD_BEYOND = 10**14, 10**16
_AMEX_DIGITS, _CARD_DIGITS = 15, 16
_ONE_ALPHABET: Final = str.maketrans("-_", "+/")


class Values:
    """Finds secrets in values.

    Args:
        kinds: Which; of `VALUE_KINDS`.
    """

    def __init__(self, kinds: Iterable[str] = VALUE_KINDS) -> None:
        chosen = frozenset(kinds)
        patterns = [text for kind, text in (("token", _CREDENTIAL), ("private_key", _PRIVATE_KEY)) if kind in chosen]
        self._pattern = re.compile("|".join(patterns)) if patterns else None
        self._card = "card" in chosen

    def clean(self, text: str, *, free: bool) -> str:
        """The text without the secrets in it; the same object where there is none.

        Args:
            text: A value, or a key.
            free: Whether people or services write here what they like: only there is a number held for a card's, for
                an order's number may pass a card's check.
        """
        if len(text) < LEAST:
            return text
        # Each of these has a dot or a space in it; most texts here are ids and have none.
        if self._pattern is not None and ("." in text or " " in text or "\t" in text) and self._pattern.search(text):
            text = self._pattern.sub(_masked, text)
        if free and self._card and _CARD.search(text):
            text = _CARD.sub(lambda found: MASK if _is_card(found[0]) else found[0], text)
        return text

    def is_card(self, number: float) -> bool:
        """Whether a number is a card's; as some write numbers, `4111111111111111.0` is one."""
        return self._card and _CARD_LEAST <= number < _CARD_BEYOND and _is_card(str(int(number)))

    def secret(self, value: Any, *, free: bool) -> bool:
        """Whether a plain value holds a secret by its looks."""
        if isinstance(value, str):
            return self.clean(value, free=free) != value
        return free and type(value) in {int, float} and self.is_card(value)


def _masked(found: "re.Match[str]") -> str:
    basic = found.groupdict().get("basic")
    if basic is None:
        return MASK
    bare = basic.rstrip("=").translate(_ONE_ALPHABET)  # some leave the padding out, some write it for a URL
    try:
        return MASK if b":" in base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True) else found[0]
    except binascii.Error:
        return found[0]


def _is_card(text: str) -> bool:
    """Whether digits are a card's: a network's prefix and length, and the check digit (ISO/IEC 7812-1, annex B)."""
    digits = "".join(str(int(digit)) for digit in text if digit.isdecimal())  # full-width ones are digits too
    amex = len(digits) == _AMEX_DIGITS and digits[:2] in {"34", "37"}
    two, four = digits[:2], int(digits[:4])
    known = (
        digits[0] == "4"
        or "51" <= two <= "55"
        or 2221 <= four <= 2720  # noqa: PLR2004  # Mastercard's second range
        or two in {"35", "62", "65"}
        or digits[:4] == "6011"
        or "644" <= digits[:3] <= "649"
    )
    if not (amex or (len(digits) == _CARD_DIGITS and known)):
        return False
    doubled = [int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(digits))]
    return sum(number - 9 * (number > 9) for number in doubled) % 10 == 0  # noqa: PLR2004  # the sum of its digits
