"""Secrets by the name of their key. Pure.

Names are compared without case, accents of width, and anything that is no letter or digit: `Pass-Word`, `PASSWORD` and
its full-width form are one. Letters of another alphabet that merely look alike are not: keys are our own services'.
"""

import unicodedata
from collections.abc import Iterable
from typing import Any, Final

# Long words count wherever they stand in a key, short ones only alone: `pin` must not hide `shipping`.
_DENIED_PARTS: Final = (
    "password", "passwd", "passphrase", "secret", "token", "authorization", "apikey", "privatekey", "cookie",
    "credential", "cardnumber", "securitycode", "accesskey", "signingkey", "sessionid",
)  # fmt: skip
_DENIED_WORDS: Final = frozenset({"pwd", "pin", "pan", "cvv", "cvc", "cvv2", "cvc2", "otp", "jwt", "bearer", "iban"})
KEY_MEMO_COUNT: Final = 4096
"""Keys are field names of our own services: far fewer; a flood of odd ones is not remembered."""
KEY_MEMO_CHARS: Final = 64
"""Nor is a long one: the names in pairs are callers' own words, and of 4,096 each might have a record's size."""

LABELS: Final = ("name", "key", "header", "field")
"""Where a pair says its name when it is an object: `{"name": "Authorization", "value": ...}`, `{"Key": ...}`."""
LABELLED: Final = frozenset({"value", "values", "val"})
"""And where it says its value."""


class KeyNames:
    """Knows which keys are secrets by their name; remembers what it has looked at.

    Args:
        extra: Names besides the built-in ones; each counts alone, as a whole.
    """

    def __init__(self, extra: Iterable[str] = ()) -> None:
        self._words = _DENIED_WORDS | {plain(word) for word in extra}
        self._memo: dict[Any, bool] = {}

    def denied(self, key: Any) -> bool:
        """Whether a key of this name holds a secret."""
        known = self._memo.get(key)
        if known is None:
            word = plain(key)
            known = word in self._words or any(part in word for part in _DENIED_PARTS)
            if len(self._memo) < KEY_MEMO_COUNT and is_short(key):
                self._memo[key] = known
        return known

    def labelled(self, node: dict[Any, Any]) -> bool:
        """Whether an object is a pair whose name is a secret's."""
        if not any(map(is_labelled, node)):
            return False
        return any(isinstance(name, str) and lower(key) in LABELS and self.denied(name) for key, name in node.items())

    def paired(self, node: Any) -> bool:
        """Whether an element of a list is a pair, name and value, whose name is a secret's."""
        return (
            isinstance(node, list | tuple)
            and len(node) == 2  # noqa: PLR2004  # a pair
            and isinstance(node[0], str)
            and node[1] is not None
            and self.denied(node[0])
        )


def is_labelled(key: Any) -> bool:
    """Whether a pair has its value under this key, in whatever case: `Value` is how some write it."""
    return lower(key) in LABELLED


def is_short(key: Any) -> bool:
    """Whether a key may be remembered."""
    return type(key) is not str or len(key) <= KEY_MEMO_CHARS


def lower(key: Any) -> Any:
    """A key that is a text, in small letters."""
    return key.lower() if isinstance(key, str) else key


def plain(key: Any) -> str:
    """A key's letters and digits, in one spelling."""
    folded = unicodedata.normalize("NFKC", str(key)).casefold()
    return "".join(filter(str.isalnum, folded))
