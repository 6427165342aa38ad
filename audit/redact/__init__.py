"""What is taken out of an event, at write and at reading. Pure.

A field path is dotted, from the event's root: `client.ip`, `details.items[*].email` (`audit.redact.paths`). Paths come
in classes (`pii`, `payment`, `secret`). Class `secret` also holds every key, at any depth, whose name is in the
deny-list (`audit.redact.names`), and every value that shows what it is (`audit.redact.values`): nobody has to remember
to configure `password`.

At write, secrets and whatever else `at_write` names go before anything reaches a disk (`audit.redact.write`). The other
classes are stored whole and masked by `mask` when a reader's view asks for it.
"""

from audit.redact.model import MASK, SECRET, Mode, Rules, Struck, Variant
from audit.redact.names import KeyNames
from audit.redact.paths import Paths, parse_paths
from audit.redact.strike import mask, strike, strike_names, strike_path
from audit.redact.values import Values
from audit.redact.write import Report, WriteRedactor

__all__ = [
    "MASK",
    "SECRET",
    "KeyNames",
    "Mode",
    "Paths",
    "Report",
    "Rules",
    "Struck",
    "Values",
    "Variant",
    "WriteRedactor",
    "mask",
    "parse_paths",
    "strike",
    "strike_names",
    "strike_path",
]
