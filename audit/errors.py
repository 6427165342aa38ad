"""What can go wrong on an event's way.

    AuditError                 retriable
    |- SpoolUnavailable        the spool cannot take the record now: refuse the request      retriable
    |- SpoolBusy               another process owns the folder
    |- SpoolFormat             a file of the spool is not what it should be
    |- SinkUnavailable         the store or the broker cannot take the batch now             retriable
    |  `- ClockRefused         because of the time it carries: this machine's clock is wrong
    |- Fenced                  another consumer owns the partition by now
    |- WrongRole               the database login may do more than it must
    |- Unattributed            an event of which nobody is named
    |- NoTransaction           an event for an outbox outside of a transaction, or a second one within
    |- OutboxUnusable          there is no outbox, or one of another release
    |- SealRefused             a seal, or the key for it, is not what it must be
    `- MigrationFailed         the store cannot be brought forward

Class attributes decide policy, so nobody matches on text.
"""

from enum import StrEnum


class Cause(StrEnum):
    """Why a sink did not take something; the values are metric labels."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"
    TLS = "tls"
    AUTHENTICATION = "authentication"
    AUTHORIZATION = "authorization"
    TARGET = "target"
    CREDENTIALS = "credentials"
    CLOCK = "clock"
    OTHER = "other"


class AuditError(Exception):
    """The root.

    Attributes:
        retriable: Whether the same call may succeed later without anybody's doing.
    """

    retriable: bool = False


class SpoolUnavailable(AuditError):
    """The record is not on disk, and nobody may act as if it were."""

    retriable = True


class SpoolBusy(AuditError):
    """Another process owns the spool folder."""


class SpoolFormat(AuditError):
    """A file in the spool cannot be read as what its name says."""


class SinkUnavailable(AuditError):
    """The sink did not take the batch. Whether it did is unknown; the dedupe key makes sending again harmless.

    Attributes:
        cause: Why.
        retry_after_s: How long to leave it alone, where a breaker says so; None: as the caller thinks fit.
    """

    retriable = True

    def __init__(self, text: str = "", *, cause: Cause = Cause.OTHER, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.cause = cause
        self.retry_after_s = retry_after_s


class ClockRefused(SinkUnavailable):
    """The broker refuses what is dated too far ahead. It is taken when this machine's clock is right."""


class Fenced(AuditError):
    """The offsets of this partition have moved on without us: another consumer owns it."""


class WrongRole(AuditError):
    """The database login is owner, superuser or BYPASSRLS: row-level security would not hold it."""


class Unattributed(AuditError):
    """Nobody is named as who did it, or a tenant that is not theirs: what nobody answers for is not recorded."""


class NoTransaction(AuditError):
    """The record of a change and the change itself would not stand or fall together."""


class OutboxUnusable(AuditError):
    """The outbox is not there, or not as this release knows it."""


class SealRefused(AuditError):
    """A seal record or a checkpoint does not hold, or the key that makes seals cannot be used."""


class MigrationFailed(AuditError):
    """The store's schema cannot be brought forward."""
