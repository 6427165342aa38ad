"""Section `audit.redaction`: what is masked, and when."""

from pydantic import Field, model_validator

from audit.redact import Mode, parse_paths
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


class RedactionSettings(Section):
    """What is masked. Class `secret` is removed at write, the others at reading, by role."""

    mode: Mode = Field(Mode.ENFORCE, description="`off` (development only), `log` or `enforce`.")
    paths: dict[str, tuple[str, ...]] = Field(
        {"pii": _PII, "payment": _PAYMENT, "secret": ()}, description="Dotted field paths by class."
    )
    at_write: tuple[str, ...] = Field((), description="Classes removed at write besides `secret`.")
    key_names: tuple[str, ...] = Field((), description="Key names that are secrets, besides the built-in ones.")

    @model_validator(mode="after")
    def _checked(self) -> "RedactionSettings":
        for paths in self.paths.values():
            parse_paths(paths)
        if unknown := set(self.at_write) - set(self.paths):
            raise ValueError(f"at_write names a class without paths: `{min(unknown)}`")
        return self
