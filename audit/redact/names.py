"""Secrets by the name of their key. Pure.

Names are compared without case, accents of width, and anything that is no letter or digit: `Pass-Word`, `PASSWORD` and
its full-width form are one. Letters of another alphabet that merely look alike are not: keys are our own services'.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Final

# Long words count wherever they stand in a key.
_DENIED_PARTS: Final = (
    "password", "passwd", "passphrase", "passcode", "secret", "token", "authorization", "authorisation", "apikey",
    "privatekey", "privkey", "cookie", "credential", "cardnumber", "cardpan", "securitycode", "accesskey", "signingkey",
    "encryptionkey", "decryptionkey", "masterkey", "sharedkey", "hmackey", "sshkey", "authkey", "clientkey",
    "servicekey", "accountkey", "databasekey", "sessionkey", "sessionid", "phpsessid", "connectionstring",
    "connectionurl", "connectionuri", "databaseurl", "socialsecurity", "recoverycode", "backupcode", "verificationcode",
    "onetimecode", "seedphrase", "mnemonic",
)  # fmt: skip
_PARTS: Final = re.compile("|".join(_DENIED_PARTS))
# Short ones count alone, or as the last word of a key, `user_pin`, `cardCvv`: `pin` must not hide `shipping`.
_DENIED_ENDS: Final = frozenset(
    {"pwd", "pin", "cvv", "cvc", "cvv2", "cvc2", "cvn", "otp", "totp", "jwt", "iban", "ssn", "dsn", "csrf", "xsrf"}
)
_DENIED_WORDS: Final = _DENIED_ENDS | {"pan", "bearer", "auth", "csc", "creditcard", "ccnumber", "connectsid"}
_VALUE_OF: Final = frozenset({"code", "number", "no", "value"})
"""`pin_code`, `ssn_number`: what the word before is, once more."""
_PASS_OF: Final = frozenset({"db", "database", "user", "key", "admin", "root", "smtp", "ftp", "mysql"})
"""Whose `pass` is a password; alone, or of a test or a guest, it is none."""
_TELLS_OF: Final = frozenset(
    {"type", "kind", "count", "length", "ttl", "alg", "algorithm", "issuer", "policy", "attempts", "at"}
)
"""What a key ends in that says something of a secret and does not hold it: `token_type`, `password_changed_at`."""
_BETWEEN: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")
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
            known = self._looked_at(key)
            if len(self._memo) < KEY_MEMO_COUNT and is_short(key):
                self._memo[key] = known
        return known

    def _looked_at(self, key: Any) -> bool:
        whole = plain(key)
        if whole in self._words:
            return True
        last, before = _last_words(key)
        if before and last in _TELLS_OF:
            return False
        if _PARTS.search(whole) or (before and last in _DENIED_ENDS):
            return True
        return (last in _VALUE_OF and before in _DENIED_ENDS) or (last == "pass" and before in _PASS_OF)

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


def _last_words(key: Any) -> tuple[str, str]:
    """The last word of a key and the one before it, small; `""` where there is none: `userPin`, `user-pin`."""
    words = [word for word in _BETWEEN.split(unicodedata.normalize("NFKC", str(key))) if word]
    return (words[-1].lower() if words else "", words[-2].lower() if len(words) > 1 else "")


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
