"""Section `audit.redaction`: what is taken out or masked, and when."""

import difflib
import re
from collections.abc import Iterable
from typing import Literal

import msgspec
from pydantic import Field, model_validator

from audit.event import AuditEvent
from audit.redact import SECRET, Mode, Rules, Variant, WriteRedactor, parse_paths
from audit.redact.model import VALUE_KINDS
from audit.settings.section import Section

_PII = (
    "client.ip",
    "client.user_agent",
    "details.email",
    "details.phone",
    "details.name",
    "details.address",
    "details.customer",
    "changes.email",
    "changes.phone",
    "changes.name",
    "changes.address",
)
_PAYMENT = ("details.card", "details.card_last4", "changes.card", "changes.card_last4")
_CLASS = re.compile(r"[a-z][a-z0-9_]{0,31}")  # it becomes a label's value
_ROOTS = (*(field.name for field in msgspec.structs.fields(AuditEvent)), "*")


class RedactionSettings(Section):
    """What is masked. Class `secret` is removed at write, the others at reading, by role."""

    mode: Mode = Field(Mode.ENFORCE, description="`off` (development only), `log` or `enforce`.")
    paths: dict[str, tuple[str, ...]] = Field(
        {"pii": _PII, "payment": _PAYMENT, SECRET: ()},
        description="Field paths by class, `details.items[*].email`.",
    )
    at_write: tuple[str, ...] = Field((), description="Classes that go at write besides `secret`.")
    variants: dict[str, Variant] = Field(
        {}, description="How a class's fields go at write: `remove` (unless said) or `mask`."
    )
    key_names: tuple[str, ...] = Field((), description="Key names that are secrets, besides the built-in ones.")
    values: tuple[Literal["token", "private_key", "card"], ...] = Field(
        VALUE_KINDS, description="Secrets that are known by what they look like, wherever they stand."
    )

    @model_validator(mode="after")
    def _checked(self) -> "RedactionSettings":
        for name, paths in self.paths.items():
            if _CLASS.fullmatch(name) is None:
                raise ValueError(f"`{name}` is no name of a class: small letters, digits and `_`, at most 32")
            _require_roots(parse_paths(paths))
        for key, names in (("at_write", self.at_write), ("variants", tuple(self.variants))):
            if unknown := set(names) - {*self.paths, SECRET}:
                raise ValueError(f"{key} names a class without paths: `{min(unknown)}`")
        if unwritten := set(self.variants) - {*self.at_write, SECRET}:
            raise ValueError(f"variants names a class that does not go at write: `{min(unwritten)}`")
        WriteRedactor.of(self.rules())
        return self

    def rules(self) -> Rules:
        """As a value that a worker can be sent."""
        return Rules(
            mode=self.mode,
            classes=self.paths,
            at_write=self.at_write,
            variants=self.variants,
            key_names=self.key_names,
            values=self.values,
        )


def _require_roots(paths: Iterable[tuple[str, ...]]) -> None:
    """Refuse a path that can match nothing: a misspelt one would redact nothing in silence."""
    for path in paths:
        if path[0] not in _ROOTS:
            close = difflib.get_close_matches(path[0], _ROOTS, n=1)
            hint = f"; the nearest is `{close[0]}`" if close else "; paths begin at the event, as in `details.email`"
            raise ValueError(f"field path `{'.'.join(path)}`: an event has no `{path[0]}`{hint}")
