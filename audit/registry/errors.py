"""What can go wrong with the registry of event types, and with an event that is held against it."""

from audit.errors import AuditError


class RegistryInvalid(AuditError):
    """A registry file is not one.

    Attributes:
        file: Its name.
        line: Where, from 1; 0 where the whole file is meant.
        reason: Why.
    """

    def __init__(self, file: str, reason: str, line: int = 0) -> None:
        super().__init__(f"{file}:{line}: {reason}" if line else f"{file}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


class EventRefused(AuditError):
    """An event is not what the registry says events of its type are. Its message names fields, never values."""
