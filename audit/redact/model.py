"""The words of redaction, and its rules as a value that a worker can be sent."""

from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

MASK: Final = "***"
SECRET: Final = "secret"  # noqa: S105  # the name of a class
VALUE_KINDS: Final = ("token", "private_key", "card")
"""Secrets that are known by what they look like: bearer and basic credentials and JWTs, PEM keys, card numbers."""


class Mode(StrEnum):
    """What redaction does: nothing (development only), count what a view would hide, or work in silence."""

    OFF = "off"
    LOG = "log"
    ENFORCE = "enforce"


class Variant(StrEnum):
    """How a field goes: its value replaced, or the field removed."""

    MASK = "mask"
    REMOVE = "remove"


class Struck(NamedTuple):
    """A field that was masked or removed: its path, how, and of which class it is."""

    path: str
    how: Variant
    reason: str


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken out of a record before it is written.

    Attributes:
        mode: `off`, `log` or `enforce`.
        classes: Class name to field paths.
        at_write: Classes that go before the spool, besides `secret`.
        variants: Class to how its fields go at write; `remove` where it is not named.
        key_names: Key names that are secrets, besides the built-in ones.
        values: Which secrets are known by what they look like; of `VALUE_KINDS`.
    """

    mode: Mode = Mode.ENFORCE
    classes: dict[str, tuple[str, ...]] = {}
    at_write: tuple[str, ...] = ()
    variants: dict[str, Variant] = {}
    key_names: tuple[str, ...] = ()
    values: tuple[str, ...] = VALUE_KINDS
